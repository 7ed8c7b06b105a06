"""Sweep slot counts on this machine, or calls at once on a running server, until something ends it.

The rules are in `harness.analysis.sweep`; here servers are started, bursts are sent and memory is read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from harness.analysis.sweep import Footprint, Round, Sweep, ending, round_of, row_of
from harness.core.records import Origin
from harness.errors import ServerFailure, UserError
from harness.measure.footprint import footprint_of_file, told_footprint
from harness.measure.probe import WARM_CALLS, burst, find_slots
from harness.measure.progress import Progress
from harness.measure.sender import Endpoint, origin_of
from harness.measure.session import opened
from harness.servers import models
from harness.servers.machine import descendants_rss_bytes, memory
from harness.servers.running import server_at
from harness.servers.spec import RunningServer
from harness.units import count, rate, size
from harness.workload.schema import ENGINES, ServerSpec

__all__ = [
    "Died",
    "Keep",
    "Look",
    "Seen",
    "ToSweep",
    "check_memory",
    "footprint_of",
    "slot_counts",
    "sweep_calls",
    "sweep_slots",
    "walk",
]

BURST_KEY = 5000  # and above: prompts that no other burst has


class ToSweep(NamedTuple):
    """What to sweep."""

    model: str
    engine: str  # a kind of server that is started here
    context_tokens: int
    most: int
    tokens: int  # of every answer
    rounds: int
    threads: int | None = None  # of the engine; None: every core

    def spec(self, slots: int) -> ServerSpec:
        """Return the server with this many slots."""
        options: dict[str, Any] = {"model": self.model, "slots": slots, "context_tokens": self.context_tokens}
        options |= {"threads": self.threads} if self.threads is not None else {}
        return ENGINES[self.engine].model_validate({"kind": self.engine, **options})


class Died(ServerFailure):
    """A server that started and then failed at its work."""


class Seen(NamedTuple):
    """What was seen at one count."""

    rounds: tuple[Round, ...]
    engine: str
    context_tokens: int | None
    origin: Origin
    rss_bytes: int | None = None
    size_bytes: int | None = None
    vram_bytes: int | None = None
    footprint: Footprint | None = None  # as the server tells it


Look = Callable[[int], Awaitable[Seen]]
Keep = Callable[[Sweep], None]


def slot_counts(most: int) -> tuple[int, ...]:
    """Return 1, 2, 4, ... up to `most`, which is the last whatever it is."""
    counts = [1]
    while counts[-1] * 2 <= most:
        counts.append(counts[-1] * 2)
    return tuple(counts) if counts[-1] == most else (*counts, most)


async def footprint_of(wanted: ToSweep, progress: Progress) -> Footprint | None:
    """Read the header of a model that is a file (a built-in one is fetched first); None for one of the engine's own.

    Raises:
        UserError: no such model, or its context is smaller than what is wanted.
    """
    is_file = wanted.model in models.BUILTIN or wanted.model.lower().endswith(".gguf")
    if ENGINES[wanted.engine].loads_by_name and not is_file:
        return None
    path = await models.ensure_async(wanted.model, say=progress.say, progress=progress.download)
    found = footprint_of_file(path)
    _check_context(wanted, found)
    return found


def _check_context(wanted: ToSweep, footprint: Footprint) -> None:
    trained = footprint.trained_tokens
    if trained is not None and wanted.context_tokens > trained:
        raise UserError(
            f"--context {wanted.context_tokens}: {models.model_name(wanted.model)} was trained with {trained} tokens; "
            f"ask for {trained} at most"
        )


def check_memory(wanted: ToSweep, footprint: Footprint | None, available_bytes: int) -> None:
    """Raise UserError where not even one slot fits into the memory that is available; 0 bytes: unknown."""
    needed = footprint.least_bytes(1, wanted.context_tokens) if footprint is not None else None
    if footprint is None or needed is None or available_bytes <= 0 or needed <= available_bytes:
        return
    weights = footprint.weights_bytes or 0
    raise UserError(
        f"{models.model_name(wanted.model)}: one slot of {wanted.context_tokens} tokens needs {size(needed)} (weights "
        f"{size(weights)}, KV cache {size(needed - weights)}), {size(available_bytes)} are available; close what uses "
        "the memory, or take a smaller --context or a smaller model"
    )


async def sweep_slots(wanted: ToSweep, footprint: Footprint | None, progress: Progress, keep: Keep) -> Sweep:
    """Start a server for 1, 2, 4, ... slots, one after the other, each met with as many equal calls as it has slots.

    `keep` is given the sweep as it stands after every count.

    Raises:
        UserError: the model does not exist, or not even one slot of it fits.
    """
    available = memory().available_bytes
    check_memory(wanted, footprint, available)

    async def look(slots: int) -> Seen:
        async with opened(f"{wanted.engine}-{slots}", wanted.spec(slots), progress) as endpoint:
            told = footprint or await told_footprint(endpoint.server)
            if told is not None:
                _check_context(wanted, told)
            try:
                rounds = await _rounds(endpoint, slots, wanted, progress)
            except ServerFailure as error:
                raise Died(str(error)) from error
            return _seen(endpoint.server, rounds, told)._replace(rss_bytes=descendants_rss_bytes())

    empty = Sweep(
        model=models.model_name(wanted.model),
        engine="",
        varied="slots",
        slots_found=None,
        context_tokens=wanted.context_tokens,
        footprint=footprint,
        available_bytes=available or None,
        origin="measured",
        rows=(),
        ended="interrupted",
        most=wanted.most,
    )
    return await walk(empty, look, progress, keep)


async def sweep_calls(wanted: ToSweep, url: str, progress: Progress, keep: Keep) -> Sweep:
    """Send 1, 2, 4, ... calls at once to a running server, whose slots cannot be changed from outside.

    Raises:
        ServerFailure: it does not answer, or not as Ollama does.
    """
    spec = await server_at(url, wanted.model)
    async with opened("server", spec, progress) as endpoint:
        server = endpoint.server
        footprint = await told_footprint(server)
        progress.say(f"{server.name}: warming up")
        await burst(endpoint, WARM_CALLS, 8, key=-1, one_by_one=True)
        progress.say(f"{server.name}: counting slots")
        slots = (await find_slots(endpoint, say=progress.say)).number

        async def look(calls: int) -> Seen:
            return _seen(server, await _rounds(endpoint, calls, wanted, progress, warm=False), footprint)

        context = server.details.get("context_tokens")
        empty = Sweep(
            model=server.model,
            engine=server.version,
            varied="calls",
            slots_found=slots,
            context_tokens=None if context is None else int(context),
            footprint=footprint,
            available_bytes=None,  # it may be another machine's
            origin=origin_of([server]),
            rows=(),
            ended="interrupted",
            most=wanted.most,
        )
        return await walk(empty, look, progress, keep)


async def walk(sweep: Sweep, look: Look, progress: Progress, keep: Keep) -> Sweep:
    """Look at one count after the other until the rules say why that was enough.

    A count whose predicted memory is more than is available is not looked at. A server that fails is an answer; a
    mistake of the user's is raised.
    """
    keep(sweep)
    for slots in slot_counts(sweep.most):
        before = sweep.rows[-1] if sweep.rows else None
        needed, least = _needed(sweep, slots), _needed(sweep, slots, least=True)
        if least is not None and sweep.available_bytes is not None and least > sweep.available_bytes:
            said = f"it would need {size(least)}, {size(sweep.available_bytes)} are available"
            row = row_of(slots, (), before, sweep.origin, needed_bytes=needed, failure=said)
            sweep = sweep._replace(rows=(*sweep.rows, row), ended="memory")
            keep(sweep)
            return sweep
        progress.say(f"{sweep.model}: {_what(sweep, slots)}")
        try:
            seen = await look(slots)
        except ServerFailure as error:
            row = row_of(slots, (), before, sweep.origin, needed_bytes=needed, failure=_reason(sweep, error))
        else:
            footprint = sweep.footprint or seen.footprint
            context = sweep.context_tokens or seen.context_tokens
            sweep = sweep._replace(engine=seen.engine, origin=seen.origin, footprint=footprint, context_tokens=context)
            row = row_of(
                slots,
                seen.rounds,
                before,
                seen.origin,
                needed_bytes=_needed(sweep, slots),
                rss_bytes=seen.rss_bytes,
                size_bytes=seen.size_bytes,
                vram_bytes=seen.vram_bytes,
            )
            if row.throughput is not None:
                progress.say(f"{sweep.model}: {_what(sweep, slots)}: {rate(row.throughput.value)} in all")
        sweep = sweep._replace(rows=(*sweep.rows, row))
        ended = ending(sweep)
        sweep = sweep._replace(ended=ended or "interrupted")
        keep(sweep)
        if ended is not None:
            break
    return sweep


def _what(sweep: Sweep, slots: int) -> str:
    return count(slots, "slot") if sweep.varied == "slots" else f"{count(slots, 'call')} at once"


def _needed(sweep: Sweep, slots: int, *, least: bool = False) -> int | None:
    """Predict the memory of this many slots; not where the slots do not vary."""
    if sweep.varied == "calls" or sweep.footprint is None or sweep.context_tokens is None:
        return None
    predict = sweep.footprint.least_bytes if least else sweep.footprint.needed_bytes
    return predict(slots, sweep.context_tokens)


def _reason(sweep: Sweep, error: ServerFailure) -> str:
    """Return a failure in a line."""
    started = sweep.varied == "calls" or isinstance(error, Died)
    return f"{'failed' if started else 'did not start'}: {' '.join(str(error).split())[:300].rstrip('.')}"


async def _rounds(
    endpoint: Endpoint, calls: int, wanted: ToSweep, progress: Progress, *, warm: bool = True
) -> tuple[Round, ...]:
    if warm:
        await burst(endpoint, WARM_CALLS, 8, key=-1, one_by_one=True)
    name, at_once = endpoint.server.name, f"{count(calls, 'call')} at once"
    progress.trials([at_once] * wanted.rounds, "round", server=at_once)
    rounds = []
    for number in range(wanted.rounds):
        progress.trial(number + 1, f"{name}, {at_once}")
        records = await burst(endpoint, calls, wanted.tokens, key=BURST_KEY + number)
        rounds.append(round_of(records, wanted.tokens))
    progress.trials(())
    return tuple(rounds)


def _seen(server: RunningServer, rounds: Sequence[Round], footprint: Footprint | None) -> Seen:
    def number(key: str) -> int | None:
        value = server.details.get(key)
        return None if value is None else int(value)

    return Seen(
        tuple(rounds),
        server.version,
        number("context_tokens"),
        origin_of([server]),
        size_bytes=number("size_bytes"),
        vram_bytes=number("size_vram_bytes"),
        footprint=footprint,
    )
