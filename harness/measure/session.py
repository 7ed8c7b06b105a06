"""A whole measured run: servers up, warmed and probed; candidates interleaved over the repeats; servers down.

All servers are started once and kept loaded and idle, so that a candidate differs from the next only in where and when
its calls are sent. The order of the candidates is drawn again for every repeat, so drift affects all alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from harness.core.arrivals import turns_of
from harness.core.draws import shuffled
from harness.core.engine import Engine
from harness.core.plan import Plan
from harness.core.records import CallRecord, DelayRecord, EmbedRequest, JobRecord, SlotRecord, TrialRecord
from harness.drivers.chat import Chat
from harness.drivers.embedder import Embedder
from harness.drivers.live import LiveStats, drive
from harness.errors import ServerFailure
from harness.measure.conversations import Conversations
from harness.measure.images import images_for
from harness.measure.others import Watch
from harness.measure.probe import confirm_slots, find_slots, look_alone
from harness.measure.progress import Progress
from harness.measure.sender import Endpoint, Sender, origin_of, throttle
from harness.measure.thinking import about_thinking
from harness.measure.told import forget, told
from harness.runs.changes import server_changes
from harness.runs.folder import RunFolder
from harness.runs.model import ModelFacts, Note, Run, ServerFacts
from harness.servers.launch import launched
from harness.servers.machine import cpu_use, other_cores
from harness.servers.simulated import simulated
from harness.servers.spec import RunningServer
from harness.units import count
from harness.wording.changes import changed_notes
from harness.wording.others import others_at_start
from harness.workload.load import Loaded
from harness.workload.prompts import render
from harness.workload.schema import ServerSpec
from harness.workload.texts import Render, Texts, listed

__all__ = ["measure", "opened"]


class _Trial(NamedTuple):
    """One entry of the order in which everything is measured."""

    plan: Plan
    repeat: int  # negative: warm-up, not recorded


@asynccontextmanager
async def opened(
    name: str,
    spec: ServerSpec,
    progress: Progress,
    timeout_s: float = 300.0,
    near: Path | None = None,
    played: Mapping[str, RunningServer] | None = None,
    asked: Sequence[str] = (),
    embeds: Sequence[str] = (),
) -> AsyncIterator[Endpoint]:
    """Launch a server and open its clients, one for each model; close all afterwards.

    `timeout_s` bounds every call to it, and how long a server that we did not start may take to load a model. `near`
    is the workload's folder, `played` the simulated servers that have been started already. `asked` are the models that
    it has to answer with, left out: the spec's, unless it only embeds; `embeds` are those that it has to embed with.
    """
    clock = asyncio.get_running_loop().time
    async with AsyncExitStack() as stack:
        started = launched(
            name,
            spec,
            say=progress.say,
            connect=lambda url, model: Chat(url, model, clock),
            progress=progress.download,
            patience_s=timeout_s,
            near=near,
            played=played,
            asked=asked,
            embeds=embeds,
        )
        up = await stack.enter_async_context(started)
        chats = {model: up.client(called) for model, called in up.server.names.items()}
        chat = next(iter(chats.values()), None) or up.client(up.server.model)
        for one in chats.values() or [chat]:
            stack.push_async_callback(one.close)
        embedders = {model: Embedder(up.server.url, called, clock) for model, called in up.server.embeds.items()}
        for embedder in embedders.values():
            stack.push_async_callback(embedder.close)
        yield Endpoint(up.server, chat, throttle(spec.starts_per_s), timeout_s, chats, embedders, up.log, up.working)


async def measure(
    loaded: Loaded,
    folder: RunFolder,
    header: Run,
    progress: Progress,
    done: Collection[tuple[str, int]] = (),
    enough: Callable[[Path], bool] | None = None,
    repeats: int | None = None,
) -> Run:
    """Measure every candidate of a workload, writing records as calls end.

    Args:
        header: the run without records; `servers` and `notes` are filled in here. Of a run that is resumed it holds the
            servers as they were, and what is another now becomes a note.
        done: the (candidate, repeat) that need not be measured; the others keep their order and their draws.
        enough: looks at the folder after every trial, warm-up included, and ends the run where it says so.
        repeats: of every candidate, at most; left out: as in the workload.

    Returns:
        The header as it stands at the end, marked complete. The records are in the folder.
    """
    async with AsyncExitStack() as stack:
        endpoints: dict[str, Endpoint] = {}
        near = loaded.path.parent
        played = await stack.enter_async_context(simulated(loaded.servers, say=progress.say, near=near))
        for name, spec in loaded.servers.items():
            embeds = [model for model in loaded.models[name] if model in loaded.embedding_models]
            asked = [model for model in loaded.models[name] if model not in embeds]
            server = opened(name, spec, progress, loaded.workload.timeout_s, near, played, asked, embeds)
            endpoints[name] = await stack.enter_async_context(server)
        machines = {name: spec.machine for name, spec in loaded.servers.items()}
        thinking = await about_thinking(loaded, endpoints)
        images = await images_for(loaded, endpoints)
        others: list[Note] = []
        facts = [_standing(await _examine(one, progress, others), machines[name]) for name, one in endpoints.items()]
        servers = [endpoint.server for endpoint in endpoints.values()]
        changed = changed_notes(server_changes(header.servers, facts))
        assumed = _emulated(servers, loaded.plans, machines)
        notes = dict.fromkeys((*header.notes, *others, *changed, *thinking, *assumed))
        header = header._replace(origin=origin_of(servers), servers=tuple(facts), notes=tuple(notes))
        folder.write_header(header)

        order = [
            (at, trial)
            for at, trial in enumerate(_order(loaded, repeats))
            if (trial.plan.name, trial.repeat) not in done
        ]
        watch = Watch([one.server.name for one in endpoints.values() if not one.server.managed], progress)
        progress.trials([trial.plan.name for _, trial in order])
        failed: list[str] = []
        for number, (position, trial) in enumerate(order, start=1):
            label = f"repeat {trial.repeat + 1}" if trial.repeat >= 0 else "warm-up"
            progress.trial(number, f"{trial.plan.name}, {label}")
            # What was given up may go on there.
            if not failed and await watch.began(f"{trial.plan.name}, {label}", endpoints.values()):
                notes_before = [note for note in header.notes if note.kind != "others working"]
                header = header._replace(notes=(*notes_before, *watch.notes()))
                folder.write_header(header)
            failed = await _measure_trial(loaded, endpoints, trial, position, folder, progress, images, watch)
            watch.ended(f"{trial.plan.name}, {label}", header.servers)
            for name in failed:
                header = await _after_failure(endpoints[name], header, progress)
            if enough is not None and enough(folder.path):
                whole = trial.repeat + int((position + 1) % len(loaded.plans) == 0)
                header = header._replace(options={**header.options, "repeats": max(1, whole)})
                break
        progress.trials(())
    return header._replace(partial=False)


def _order(loaded: Loaded, repeats: int | None = None) -> list[_Trial]:
    measure, seed = loaded.workload.measure, loaded.workload.seed
    order = []
    for repeat in range(-measure.warmup, measure.repeats if repeats is None else repeats):
        order += [_Trial(plan, repeat) for plan in shuffled(loaded.plans, seed, repeat, "interleave")]
    return order


async def _measure_trial(
    loaded: Loaded,
    endpoints: dict[str, Endpoint],
    trial: _Trial,
    position: int,
    folder: RunFolder,
    progress: Progress,
    images: Mapping[str, str] | None = None,
    watch: Watch | None = None,
) -> list[str]:
    """Measure one trial and return the servers on which a call failed."""
    workload, plan, repeat = loaded.workload, trial.plan, trial.repeat
    texts = Texts(_renderer(loaded, repeat), loaded.uses, loaded.loops, loaded.lists(), listed=listed)
    origin = origin_of(endpoints[queue.server].server for queue in plan.queues)
    engine = Engine(
        loaded.pipelines, plan, origin=origin, seed=workload.seed, repeat=repeat, timeout_s=workload.timeout_s
    )
    conversations = Conversations()
    by_name = {pipeline.name: pipeline for pipeline in loaded.pipelines}
    first_due_s: list[float] = []
    failed: dict[str, None] = {}
    calls: list[CallRecord] = []  # to servers with a log
    logs = {name: endpoint.log for name, endpoint in endpoints.items() if endpoint.log is not None}
    forget(endpoints.values())

    def keep(record: CallRecord | JobRecord | DelayRecord) -> None:
        progress.record(record)
        if isinstance(record, CallRecord):
            if record.outcome != "ok" and record.started_s is not None:  # also one that was not needed: cancelled
                failed[record.server] = None
            if watch is not None:
                watch.keep(record)
            if repeat >= 0:
                folder.add_call(record)
                if record.server in logs:
                    calls.append(record)
        elif isinstance(record, JobRecord):
            first_due_s.append(record.due_s)
            texts.forget(record.pipeline, record.job)
            if record.session is not None:
                turns = turns_of(by_name[record.pipeline], record.session, workload.seed, repeat)
                conversations.turn_ended(record.pipeline, record.session, record.job, turns=turns)
            else:
                conversations.job_ended(record.pipeline, record.job)
            if repeat >= 0:
                folder.add_job(record)
        elif repeat >= 0:
            folder.add_delay(record)

    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    loop = asyncio.get_running_loop()
    zero_s = loop.time()
    sender = Sender(
        plan,
        loaded.pipelines,
        endpoints,
        loaded.agents,
        texts,
        zero_s=zero_s,
        seed=workload.seed,
        repeat=repeat,
        decisions=loaded.decisions(),
        conversations=conversations,
        images=images,
    )
    before = cpu_use()
    stats: LiveStats = await drive(engine, sender, keep, start_s=zero_s, on_change=progress.stands)
    # The CPU time of a server that is not ours cannot be distinguished from that of any other program.
    alone = all(endpoints[queue.server].server.managed for queue in plan.queues)
    if repeat >= 0:
        record = TrialRecord(
            candidate=plan.name,
            repeat=repeat,
            origin=origin,
            position=position,
            started_at=started_at,
            makespan_s=stats.end_s - min(first_due_s, default=0.0),
            loop_lag_p99_s=stats.loop_lag_p99_s,
            complete=True,
            other_cores=other_cores(before, cpu_use()) if alone else None,
        )
        for call, served in await told(calls, logs):
            folder.add_slot(SlotRecord(plan.name, repeat, call.call, served.slot, served.cached_tokens))
        folder.sync()
        folder.add_trial(record)
    return list(failed)


async def _after_failure(endpoint: Endpoint, header: Run, progress: Progress) -> Run:
    """Look at a server on which a call failed: is it alive, and has it still all its slots?

    A cancelled call can cost an Ollama a slot until it unloads the model (reference 6 #1). What is measured after that
    would be labelled with slots that are not there.

    Raises:
        ServerFailure: it no longer answers. What was measured so far is kept.
    """
    name = endpoint.server.name
    progress.say(f"{name}: a call failed or was cancelled; counting slots again")
    try:
        seen = [await find_slots(view, rounds=1, say=progress.say) for view in endpoint.models().values()]
        sure = [counted.number for counted in seen if not counted.at_least]
    except ServerFailure as error:
        raise ServerFailure(f"the run stopped: {error}") from error
    before = next(facts for facts in header.servers if facts.name == name)
    slots = min(sure, default=before.slots_found)  # of at least so many, none was lost for certain
    if slots == before.slots_found:
        return header
    said = (
        f'Server "{name}" generated {before.slots_found} calls at a time before a call failed or was cancelled, and '
        f"{slots} after it: what was measured later has {slots}."
    )
    servers = tuple(facts._replace(slots_found=slots) if facts.name == name else facts for facts in header.servers)
    return header._replace(servers=servers, notes=(*header.notes, Note("lost slots", said)))


def _renderer(loaded: Loaded, repeat: int) -> Render[str, tuple[str | None, str] | EmbedRequest]:
    """Return what fills the templates in: the same inputs for every candidate of a repeat."""
    inputs = loaded.inputs_for(max(repeat, 0))
    drawn_by = {pipeline.name: pipeline.drawn_by for pipeline in loaded.pipelines}

    def fill(
        pipeline: str, who: int, node: str, item: int, outputs: Mapping[str, tuple[str, ...]]
    ) -> tuple[str | None, str] | EmbedRequest:
        prompt = loaded.prompts[pipeline, node]
        over = loaded.node(pipeline, node).over
        if "item" in outputs:
            text: str | None = outputs["item"][0]
        else:
            text = None if over is None else inputs.items(over, drawn_by[pipeline], who)[item]
        named = {name: inputs.items(name, drawn_by[pipeline], who) for name in prompt.names & loaded.inputs.keys()}
        if batch := loaded.graphs[pipeline].nodes[node]["batch"]:
            if text is not None:
                return EmbedRequest((text,))
            (name,) = prompt.names
            return EmbedRequest(tuple((outputs.get(name) or named.get(name) or ())[item * batch : (item + 1) * batch]))
        system = None if prompt.system is None else render(prompt.system, text, named, outputs)
        return system, render(prompt.template, text, named, outputs)

    return fill


def _standing(facts: ServerFacts, machine: str | None) -> ServerFacts:
    """Return what was found of a server with the machine that the workload names for it."""
    return facts if machine is None else facts._replace(details={**facts.details, "machine": machine})


async def _examine(endpoint: Endpoint, progress: Progress, disturbed: list[Note]) -> ServerFacts:
    """Warm a server up, find how many slots it really has and what a call costs where nobody waits: for each model.

    Where others use it right now, `disturbed` gets a note.
    """
    server = endpoint.server
    views = endpoint.models()
    found, at_least = [], False
    for model, view in views.items():
        with_model = f" with {model}" if len(views) > 1 else ""
        progress.say(f"{server.name}: warming up{with_model}")
        baseline, waits_s = await look_alone(view)
        if waits_s:
            disturbed.append(Note("others at start", others_at_start(server.name, waits_s)))
            progress.say(disturbed[-1].text)
        progress.say(f"{server.name}: counting slots{with_model}")
        slots = await confirm_slots(view, progress.say)
        at_least |= slots.at_least
        found.append(ModelFacts(model, slots.number, baseline))
    fewest = min((facts.slots_found or 0 for facts in found), default=1)
    found += [ModelFacts(model, 1, None) for model in server.embeds]  # Ollama gives a model that embeds one slot
    asked = "" if server.slots_asked is None else f" of {server.slots_asked} asked"
    more = "at least " if at_least else ""
    progress.say(f"{server.name}: ready at {server.shown}, {more}{count(fewest, 'slot')} found{asked}")
    return ServerFacts(
        name=server.name,
        kind=server.kind,
        url=server.shown,
        model=server.model,
        slots_asked=server.slots_asked,
        slots_found=fewest,
        slots_at_least=at_least,
        version=server.version,
        exact_queue=server.exact_queue,
        baseline=found[0].baseline if found else None,
        details=server.details,
        models=tuple(found) if len(found) > 1 else (),
    )


def _emulated(servers: list[RunningServer], plans: tuple[Plan, ...], machines: Mapping[str, str | None]) -> list[Note]:
    """Say what a simulated server takes for granted, what goes wrong there on purpose, and what it leaves out."""
    notes: list[Note] = []
    for server in servers:
        if "assumed" in server.details:
            text = f'Server "{server.name}", not from the profile: {server.details["assumed"]}.'
            notes.append(Note("assumed", text))
        if "faults" in server.details:
            notes.append(Note("faults", f'Server "{server.name}", injected faults: {server.details["faults"]}.'))
        factor = server.details.get("speed_up", 1)
        if factor != 1:
            text = f'Server "{server.name}": all its times are those of its profile divided by {factor:g}.'
            notes.append(Note("speed", text))
    # Up to how many busy servers each of them slows as the profile says; one that was met by URL is alone.
    known = {server.name: int(server.details.get("contention", 1)) for server in servers if server.emulated}
    together = dict.fromkeys(
        plan.name
        for plan in plans
        for machine in dict.fromkeys(machines.values())
        for here in [{q.server for q in plan.queues if q.server in known and machines[q.server] == machine}]
        if len(here) > min((known[name] for name in here), default=1)
    )
    if together:
        text = (
            "How much these simulated servers would slow each other on one machine is not known: "
            f"{', '.join(together)} would be slower there."
        )
        notes.append(Note("contention", text))
    return notes
