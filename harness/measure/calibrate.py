"""Calibrate servers: bursts in a drawn order, a fit, and a profile (docs/explanation/calibration.md)."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import date
from statistics import median
from typing import Any, NamedTuple

from harness import __version__
from harness.core.device import on_accelerator, share_on_cpu
from harness.core.step_costs import RamCache, StepCosts
from harness.errors import ServerFailure
from harness.measure.burst_design import Effort, levels
from harness.measure.bursts import Carry, LiveBursts
from harness.measure.embedding import MeasuredEmbedding, measure_embedding
from harness.measure.experiment import Experiment, Setting, experiments, steady
from harness.measure.footprint import memory_use, with_footprint
from harness.measure.loads import TIMES, measure_load
from harness.measure.machine import machine_facts, machine_name
from harness.measure.probe import confirm_slots, refuse_others
from harness.measure.progress import Progress
from harness.measure.session import opened
from harness.measure.side_by_side import no_room_on_device, side_by_side
from harness.measure.texts import text_tokens
from harness.profiles.compile import compile_costs
from harness.profiles.fit import Contention, Fit, fit_setting, held_out, setting_of, summary
from harness.profiles.model_id import model_id
from harness.profiles.one_call import pooled
from harness.profiles.replay import Observed
from harness.profiles.schema import DRIFT_BOUND, Profile, Row, SlotSetting, TextTokens
from harness.profiles.values import RAM_CACHE_TOKENS, with_kv_bytes
from harness.servers.accelerator import find_accelerators, free_bytes
from harness.servers.machine import memory
from harness.servers.spec import RunningServer
from harness.units import count, percent, seconds
from harness.wording.others import at_least
from harness.workload.schema import FrozenDict, ServerSpec

__all__ = ["ToCalibrate", "calibrate", "pick_pair", "room_for"]

LEAST_TIMES, EMBEDDING_S = 5, 6.0  # each request is sent so often at least, and once for so much of the time
START_S = 8.0  # about what starting a server, loading its model again and warming it up takes
SENT_TOKENS = 65_536  # about the most that are sent to one server, prompts and answers


class ToCalibrate(NamedTuple):
    """A server to calibrate."""

    name: str
    spec: ServerSpec
    half: bool = False  # of the cores; `spec.threads` says the same


class _Up(NamedTuple):
    """A server that is up, warm and known to have its slots."""

    wanted: ToCalibrate
    server: RunningServer
    setting: Setting
    text: TextTokens | None  # of the first server: the model is the same
    load_s: float | None  # where the model could be taken out of memory and brought back


class _Calibrated(NamedTuple):
    """One server, fitted."""

    up: _Up
    experiment: Experiment
    fit: Fit
    setting: SlotSetting
    in_turns: int  # servers that were up together and took turns, itself included

    @property
    def wanted(self) -> ToCalibrate:
        """What was to be calibrated."""
        return self.up.wanted


async def calibrate(
    name: str,
    wanted: Sequence[ToCalibrate],
    effort: Effort,
    progress: Progress,
    *,
    pair: bool | None = False,
    machine: str | None = None,
    embed: str | None = None,
) -> Profile:
    """Calibrate servers, then two side by side where `pair` is asked for.

    Where all of the model is on an accelerator there is no half of the cores: such servers are left out, and the two
    side by side are those that have the device.

    Args:
        name: of the profile.
        wanted: the servers; with several, each has another number of slots or other threads.
        effort: for each, and in all.
        progress: is told of every step.
        pair: fit how the two `half` servers with the fewest and the most slots slow each other; None = two servers
            that share an accelerator, where that is sure to have room for both.
        machine: what to call it; None = its processor, cores and memory.
        embed: a model that embeds, whose cost is measured on the last of the servers; None = none.

    Raises:
        ServerFailure: a server could not be started or a call failed.
    """
    began_s = time.monotonic()
    free = None if pair is False else free_bytes(find_accelerators())
    likely = pair is True or free is not None
    parts = len(wanted) + likely
    effort = effort.shared_by(parts)
    progress.say(
        f"{count(len(wanted), 'server setting')}{' and two side by side' if likely else ''}: "
        f"about {seconds(parts * (effort.budget_s + START_S))} in all, longer on a machine that is slow or unsteady"
    )
    done = await _calibrate_each(wanted, effort, progress)
    contention, together, notes = None, None, []
    if pair is None and not all(on_accelerator(one.up.server.details) for one in done):
        pair = False
    if pair is not False:
        found = await _calibrate_pair(pick_pair(done), free, effort, progress, asked=pair is True)
        if isinstance(found, str):
            notes.append(f"Two servers side by side were not measured: {found}.")
            progress.say(notes[0])
        else:
            contention, together = found
    embedding = None if embed is None else await _embedding(wanted[-1], embed, effort, progress)
    notes += [] if embedding is None else [embedding.note]
    took_s = time.monotonic() - began_s
    return _profile(name, done, contention, together, took_s, machine, embedding, notes)


async def _embedding(wanted: ToCalibrate, model: str, effort: Effort, progress: Progress) -> MeasuredEmbedding:
    opening = opened(f"{wanted.name}-embed", wanted.spec, progress, asked=[wanted.spec.model], embeds=[model])
    async with opening as endpoint:
        times = max(LEAST_TIMES, round(effort.budget_s / EMBEDDING_S))
        return await measure_embedding(endpoint, model, times, progress, half=wanted.half)


def pick_pair(done: Sequence[_Calibrated]) -> tuple[_Calibrated, _Calibrated]:
    """Return the servers with the fewest and the most slots, of those with half of the cores where there are any."""
    able = [one for one in done if one.wanted.half] or done
    by_slots = sorted(able, key=lambda one: one.fit.costs.slots)
    return by_slots[0], by_slots[-1]


async def _calibrate_each(wanted: Sequence[ToCalibrate], effort: Effort, progress: Progress) -> list[_Calibrated]:
    """Calibrate servers, all up and in turns where there is the memory for that, else one after the other."""
    done: list[_Calibrated] = []
    while left := wanted[len(done) :]:
        async with AsyncExitStack() as stack:
            up = [await _bring_up(stack, left[0], progress, text=not done)]
            if on_accelerator(up[0].server.details):  # which has no half of the cores
                wanted = [one for one in wanted if not one.half]
                left = wanted[len(done) :]
            if len(left) > 1 and room_for(left[1:], up[0].server, up[0].setting.slots, memory().available_bytes):
                up += [await _bring_up(stack, one, progress, text=False) for one in left[1:]]
                progress.say(f"all {len(up)} servers are up, and take turns")
            elif len(left) > 1 and not done:
                progress.say("one server after the other, because they may not all fit into memory")
            if len(up) > 1:
                seen = await experiments([one.setting for one in up], effort, progress)
            else:
                seen = [await _alone(up[0].setting, effort, progress)]
        done += [_fitted(one, experiment, len(up)) for one, experiment in zip(up, seen, strict=True)]
    return done


def room_for(others: Sequence[ToCalibrate], server: RunningServer, slots: int, available_bytes: int) -> bool:
    """Tell whether others are sure to fit beside a server that is up: into main memory, whose size can be known.

    Args:
        others: of the same model.
        server: what it takes is read off its details.
        slots: that it has.
        available_bytes: of main memory, with that server up.
    """
    taken, kv_bytes = server.details.get("size_bytes"), server.details.get("kv_bytes_per_token")
    if taken is None or server.details.get("size_vram_bytes"):
        return False
    needed = sum(int(taken) * max(1.0, one.spec.slots / slots) for one in others)
    # Earlier prompts, of the one that is up too: no more than are sent.
    sent = SENT_TOKENS * int(kv_bytes) if kv_bytes else None
    kept = [one.spec.prompt_cache_bytes for one in (*others, *others[:1])]
    return needed + sum(most if sent is None else min(most, sent) for most in kept) <= available_bytes


async def _bring_up(stack: AsyncExitStack, wanted: ToCalibrate, progress: Progress, *, text: bool) -> _Up:
    endpoint = await stack.enter_async_context(opened(wanted.name, wanted.spec, progress))
    server = endpoint.server
    if not server.tells_times:
        raise ServerFailure(
            f"{wanted.name}: {server.version} does not tell how long a prompt and an answer take. A profile is made "
            "of these times. Calibrate the same model on llama-server, Ollama or the embedded engine"
        )
    if server.can_unload:
        progress.say(f"{wanted.name}: loading the model again, {TIMES} times")
    load_s = await measure_load(endpoint) if server.can_unload else None
    bursts = LiveBursts([endpoint])
    await bursts.prepare()
    await refuse_others(endpoint)
    asked, counted = server.slots_asked, await confirm_slots(endpoint, progress.say)
    slots = counted.number
    if counted.at_least and asked != slots:
        raise ServerFailure(at_least(wanted.name, slots))
    if asked not in (None, slots):
        raise ServerFailure(
            f"{wanted.name}: {count(asked or 0, 'slot')} asked, but it generates {slots} at a time; a profile under "
            "the wrong number of slots would mislead. Calibrate with the slots that it has"
        )
    tokens = await text_tokens(endpoint, progress) if text else None
    server = await with_footprint(server, wanted.spec)
    context_tokens = int(server.details.get("context_tokens", wanted.spec.context_tokens))
    accelerated = bool(server.details.get("size_vram_bytes"))
    setting = Setting(wanted.name, bursts, slots, context_tokens, accelerated)
    return _Up(wanted, server, setting, tokens, load_s)


async def _alone(setting: Setting, effort: Effort, progress: Progress) -> Experiment:
    async def once(carry: Carry) -> Experiment:
        (seen,) = await experiments([setting._replace(carry=carry)], effort, progress)
        return seen

    return await steady(once, setting.carry, progress, setting.name)


def _fitted(up: _Up, seen: Experiment, in_turns: int) -> _Calibrated:
    name, slots = up.setting.name, up.setting.slots
    batch, threads = up.server.details.get("batch_tokens"), up.server.details.get("threads")
    batch_tokens = None if batch is None else int(batch)
    try:
        fit = fit_setting(seen.fitted, levels(slots), batch_tokens, label=name)
    except ValueError as error:
        raise ServerFailure(f"{name}: nothing can be fitted: {error}") from None
    kv_bytes = up.server.details.get("kv_bytes_per_token")
    costs = fit.costs
    if costs.ram_cache is None and _keeps_prompts(up.server):  # it has one, and its copies cost nothing that was seen
        costs = costs._replace(ram_cache=RamCache(0.0, 0.0, RAM_CACHE_TOKENS))
    fit = fit._replace(costs=with_kv_bytes(costs, None if kv_bytes is None else int(kv_bytes)))
    setting = setting_of(
        fit,
        batch_tokens=batch_tokens,
        threads=None if threads is None else int(threads),
        drift=seen.drift,
        errors=(),
        gap_s=seen.gap_s,
    )
    return _Calibrated(up, seen, fit, setting, in_turns)


def _keeps_prompts(server: RunningServer) -> bool:
    """Tell whether a server has a RAM cache: every Ollama has, unless it is known to be off."""
    return server.version.startswith("ollama") and server.details.get("ram_cache") != "off"


async def _calibrate_pair(
    pair: Sequence[_Calibrated], free: int | None, effort: Effort, progress: Progress, *, asked: bool
) -> tuple[Contention, Experiment] | str:
    """Return what two servers cost each other, or why that is not measured."""
    servers = [one.up.server for one in pair]
    if not pair[0].wanted.half and (why := no_room_on_device(servers, free, asked=asked)):
        return why
    replicates = list(zip(*([replicate.costs for replicate in one.fit.replicates] for one in pair), strict=True))
    low, high = (one.wanted for one in pair)
    specs = {low.name: low.spec, f"{high.name}{'-again' if low is high else ''}": high.spec}
    return await side_by_side(specs, [one.fit.costs for one in pair], replicates, effort, progress)


def _profile(
    name: str,
    done: Sequence[_Calibrated],
    contention: Contention | None,
    together: Experiment | None,
    took_s: float,
    machine: str | None,
    embedding: MeasuredEmbedding | None = None,
    notes: Sequence[str] = (),
) -> Profile:
    calls = sum(len(one.experiment.observed) for one in done) + (len(together.observed) if together else 0)
    server = done[0].up.server
    loads_s = [one.up.load_s for one in done if one.up.load_s is not None]
    known: dict[str, Any] = {}  # left out of the file where it is not known
    if contention is not None:
        known["contention_replicates"] = {"2": contention.replicates}
    if len(done) > 1 and done[0].in_turns == len(done):
        known["in_turns"] = True
    if on_accelerator(server.details):
        known["accelerator"] = str(server.details.get("accelerator") or _accelerator())
    if loads_s:
        known["load_s"] = float(f"{median(loads_s):.6g}")
    if embedding is not None:
        known["embedding"] = embedding.embedding
    separate = Profile(
        version=1,
        name=name,
        origin="assumed" if server.emulated else "measured",  # fitted to a simulation: no machine was measured
        source=f"slotwise {__version__} calibrate: {count(calls, 'call')} in {seconds(took_s)}",
        date=date.today().isoformat(),
        machine=machine or machine_name(),
        engine=server.version,
        model=_model(server),
        model_id=model_id(done[0].wanted.spec.model),
        slots={str(one.fit.costs.slots): one.setting for one in done if not one.wanted.half},
        half={str(one.fit.costs.slots): one.setting for one in done if one.wanted.half} or None,
        contention=None if contention is None else {"2": float(f"{contention.factor:.6g}")},
        memory=memory_use(server, done[0].up.setting.slots),
        text=done[0].up.text,
        notes=(*notes, *_notes(done, contention, together)),
        rows=tuple(row for one in done for row in _rows(one)),
        **known,
    )
    return _tested(pooled(separate), done, together)


def _accelerator() -> str:
    return str(machine_facts().get("accelerator", "an accelerator"))


def _tested(profile: Profile, done: Sequence[_Calibrated], together: Experiment | None) -> Profile:
    """Return the profile with its errors on the calls that it was not fitted to: as it is, single calls shared."""

    def costs(one: _Calibrated) -> StepCosts:
        return compile_costs(profile, one.fit.costs.slots, threads="half" if one.wanted.half else None).costs

    found = [held_out(one.experiment.held_out, [costs(one)]) for one in done]
    families: dict[str, dict[str, SlotSetting]] = {"slots": {}, "half": {}}
    for one, errors in zip(done, found, strict=True):
        family, slots = "half" if one.wanted.half else "slots", str(one.fit.costs.slots)
        setting = (profile.half or {} if one.wanted.half else profile.slots)[slots]
        families[family][slots] = setting.model_copy(update={"held_out": summary(errors)})
    if together is not None and profile.contention is not None:
        found.append(held_out(together.held_out, [costs(one) for one in pick_pair(done)], profile.contention["2"]))
    settings = {family: FrozenDict(known) for family, known in families.items() if known}
    return profile.model_copy(update={**settings, "held_out": summary([e for errors in found for e in errors])})


def _notes(done: Sequence[_Calibrated], contention: Contention | None, together: Experiment | None) -> list[str]:
    seen = [(_label(one), one.experiment) for one in done]
    if together is not None:
        seen.append(("Two servers side by side", together))
    spilled = [(_label(one), share) for one in done if (share := share_on_cpu(one.up.server.details))]
    notes = [
        f"{label}: layers on the CPU: {percent(share)} of the model did not fit onto the accelerator, so its times are "
        "those of the cores. Calibrate with fewer slots or a smaller context."
        for label, share in spilled
    ]
    notes += [
        f"{label}: the machine changed speed meanwhile; one and the same call took {seconds(e.first_s)} at the "
        f"beginning and {seconds(e.last_s)} at the end ({e.drift:+.0%}, bound {percent(DRIFT_BOUND)}). "
        "Calibrate again on a quiet machine."
        for label, e in seen
        if abs(e.drift) > DRIFT_BOUND
    ]
    if "model_bytes" not in (details := done[0].up.server.details) and "kv_bytes_per_token" in details:
        notes.append("The model's bytes are what its server says that it takes, less the cache of all slots (/api/ps).")
    if contention is not None:
        low, high = pick_pair(done)
        slots = " and ".join(count(one.fit.costs.slots, "slot") for one in (low, high))
        where = "on half of the cores each" if low.wanted.half else "that share the device"
        error = percent(contention.error / contention.factor)
        notes.append(f"Contention is that of servers with {slots} {where}, both busy (standard error {error}).")
    return notes


def _label(one: _Calibrated) -> str:
    return f"{count(one.fit.costs.slots, 'slot')}{' on half of the cores' if one.wanted.half else ''}"


def _rows(one: _Calibrated) -> list[Row]:
    """The bursts of equal calls sent at once: median time until the last had ended."""
    rows = []
    by_burst: dict[str, dict[int, list[Observed]]] = defaultdict(lambda: defaultdict(list))
    for call in one.experiment.observed:
        by_burst[call.burst][call.repetition].append(call)
    for burst in one.experiment.bursts:
        if len(burst.groups) == 1:
            bursts = by_burst[burst.name].values()
            wall_s = median(max(c.sent_s + c.wall_s for c in b) - min(c.sent_s for c in b) for b in bursts)
            rows.append(
                Row(
                    slots=one.fit.costs.slots,
                    concurrent=burst.calls,
                    prompt_tokens=round(median(call.prompt_tokens for b in bursts for call in b)),
                    output_tokens=round(median(call.output_tokens for b in bursts for call in b)),
                    wall_s=float(f"{wall_s:.6g}"),
                    fitted=burst.fitted,
                    repetitions=len(bursts),
                    **({"half": True} if one.wanted.half else {}),
                )
            )
    return rows


def _model(server: RunningServer) -> str:
    quantization = server.details.get("quantization")
    return f"{server.model} {quantization}" if quantization else server.model
