"""Bursts of equal calls: how many slots a server really has, what it costs when nobody waits, and
what it does at several concurrency levels.

A burst is a pipeline of one node, so it goes through the same engine, driver and records as everything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import NamedTuple

from harness.analysis.levels import Level, Levels, counted_surely, level_of, median_level, median_slots
from harness.analysis.others import waits_for_others
from harness.analysis.slots_asked import MOST_COUNTED, CountedSlots
from harness.core.arrival_processes import Listed
from harness.core.concurrency import SERIAL, UNBOUNDED
from harness.core.device import share_on_cpu
from harness.core.draws import integer
from harness.core.engine import Engine
from harness.core.events import Call
from harness.core.graph import Graph, Node, Pipeline
from harness.core.plan import Plan, ServerQueue
from harness.core.records import CallRecord, ChatRequest, DelayRecord, JobRecord, Reply
from harness.drivers.live import drive
from harness.drivers.repetition import REPEATED
from harness.errors import ServerFailure
from harness.measure.bursts import AGAIN, ATTEMPTS, DRAWN
from harness.measure.others import slots_of_others, waits_alone
from harness.measure.progress import Progress
from harness.measure.sender import Endpoint, options_for, origin_of
from harness.runs.model import Baseline
from harness.units import count
from harness.wording.doubtful import no_counts, no_times, unseen
from harness.wording.others import at_least, others_again, others_at_start, others_refused, others_refused_working
from harness.workload.schema import AgentSpec

__all__ = [
    "LEVELS",
    "WARM_CALLS",
    "Alone",
    "burst",
    "confirm_slots",
    "find_baseline",
    "find_slots",
    "look_alone",
    "measure_levels",
    "refuse_others",
]

LEVELS = (1, 2, 4, 8)
WARM_CALLS = 2
BASELINE_CALLS = 5
PROBE_TOKENS = 24
LONGER, LONGEST_PROBE = 4, 16  # times as long, where calls did not overlap enough; and at most
ANOTHER = 10_000  # keys of a burst that is sent again
TOPICS = ("tides", "bread", "bridges", "owls", "glass", "maps", "clocks", "salt", "rivers", "looms", "ferries", "wells")


class Alone(NamedTuple):
    """What single calls to a warm server tell."""

    baseline: Baseline | None  # None where the server tells its queue wait itself
    others_s: tuple[float, ...]  # waits of calls that had to wait for others; only where it ran already


async def burst(
    endpoint: Endpoint, concurrent: int, tokens: int, *, key: int, one_by_one: bool = False
) -> list[CallRecord]:
    """Send `concurrent` calls of `tokens` output tokens at once (or one after another) and return their records.

    Where an answer repeats itself, so that the server ends it, other prompts are sent, and answers are drawn.

    Args:
        key: makes the prompts of this burst different from those of every other.

    Raises:
        ServerFailure: a call failed; the message names what the server said.
    """
    for attempt in range(ATTEMPTS):
        agent = AgentSpec(prompt="{item}", output_tokens=tokens, temperature=DRAWN if attempt else 0.0)
        calls = await _burst(endpoint, concurrent, agent, key - AGAIN * attempt, one_by_one=one_by_one)
        failed = next((call for call in calls if call.outcome != "ok" and call.started_s is not None), None)
        if failed is None or failed.reply.done_reason != REPEATED:
            break
    if failed is not None:
        raise ServerFailure(f"{endpoint.server.name}: {endpoint.server.shown}: {failed.reply.error}")
    return calls


async def _burst(
    endpoint: Endpoint, concurrent: int, agent: AgentSpec, key: int, *, one_by_one: bool
) -> list[CallRecord]:
    loop = asyncio.get_running_loop()
    zero_s = loop.time()

    async def send(call: Call) -> Reply:
        topic = TOPICS[call.item % len(TOPICS)]
        unique = integer(1_000_000, key, concurrent, call.item, "probe")
        user = f"[{unique:06d}] Write a long, detailed essay about {topic}. Do not stop early."
        options = options_for(endpoint.server, agent, seed=call.item)
        if endpoint.server.emulated:
            options["faults"] = False  # they are for the run, not for the look at the server before it
        reply, _ = await endpoint.chat.ask(
            ChatRequest(None, user, options, stream=not endpoint.server.tells_times), zero_s
        )
        return reply

    node = Node("call", "agent", (), (), width=concurrent, agent="probe", model=endpoint.server.model)
    pipeline = Pipeline("probe", "batch", Graph((node,)), Listed((0.0,)), jobs=1)
    queue = ServerQueue(endpoint.server.name, 1, concurrency=SERIAL if one_by_one else UNBOUNDED)
    records: list[CallRecord | JobRecord | DelayRecord] = []
    # Calls at once may be served one after the other: the last has the patience of all before it.
    patience_s = endpoint.timeout_s * concurrent
    origin = origin_of([endpoint.server])
    engine = Engine((pipeline,), Plan("probe", (queue,), ((0,),)), origin=origin, timeout_s=patience_s)
    await drive(engine, send, records.append, start_s=zero_s)
    return [record for record in records if isinstance(record, CallRecord)]


async def find_slots(
    endpoint: Endpoint, *, rounds: int = 3, key: int = 0, say: Callable[[str], None] = lambda text: None
) -> CountedSlots:
    """Return the number of calls that the server generates at the same time: the median over `rounds` bursts.

    More calls than slots are needed to see the limit: it starts at twice what was asked for and doubles as long as
    every call of a burst overlapped. Calls that were sent or began so far apart that some could end before others
    began say too little, as do bursts that differ: then longer ones are sent, and where these are no better `say` is
    told that there are at least so many.
    Where the server's times are missing or cannot be, `say` is told, and slots are counted by when tokens arrive.

    Raises:
        ServerFailure: a call failed, or it cannot be seen when any of them generated.
    """
    concurrent, tokens = max(3, 2 * (endpoint.server.slots_asked or 4)), PROBE_TOKENS
    while True:
        bursts = [await burst(endpoint, concurrent, tokens, key=key + r) for r in range(rounds)]
        found = median_slots(bursts)
        if not found and endpoint.server.tells_times:  # not what can be believed: the client's own clock, then
            say(no_times(endpoint.server.name, doubt_in(bursts)))
            endpoint = endpoint._replace(server=endpoint.server._replace(tells_times=False))
            continue
        if not found:
            raise ServerFailure(unseen(endpoint.server.name, doubt_in(bursts)))
        if found >= MOST_COUNTED:
            say(at_least(endpoint.server.name, found))
            return CountedSlots(found, at_least=True)
        if found >= concurrent:
            concurrent *= 2
        elif counted_surely(bursts, found):
            return CountedSlots(found)
        elif tokens < LONGEST_PROBE * PROBE_TOKENS:
            tokens *= LONGER
        else:
            say(at_least(endpoint.server.name, found))
            return CountedSlots(found, at_least=True)


async def confirm_slots(endpoint: Endpoint, say: Callable[[str], None]) -> CountedSlots:
    """Return the slots of a server: of one burst, or of three where one finds others than were asked for."""
    counted = await find_slots(endpoint, rounds=1, say=say)
    if counted.at_least or endpoint.server.slots_asked not in (None, counted.number):
        return await find_slots(endpoint, key=1, say=say)
    return counted


async def look_alone(endpoint: Endpoint) -> Alone:
    """Warm a server up and send single calls: what each costs, and whether others use the server right now."""
    warm = await burst(endpoint, WARM_CALLS, 8, key=-1, one_by_one=True)
    exact = endpoint.server.exact_queue
    calls = warm if exact else await burst(endpoint, BASELINE_CALLS, 8, key=-2, one_by_one=True)
    others_s = () if endpoint.server.managed else waits_alone(calls)
    return Alone(None if exact else find_baseline(calls), others_s)


async def refuse_others(endpoint: Endpoint) -> None:
    """Make sure that nobody else uses a running server right now.

    Raises:
        ServerFailure: single calls had to wait, so what is measured now would be of others, too.
    """
    if slots := await slots_of_others(endpoint):
        raise ServerFailure(f"{endpoint.server.name}: {others_refused_working(slots)}")
    if not endpoint.server.managed and (others_s := (await look_alone(endpoint)).others_s):
        raise ServerFailure(f"{endpoint.server.name}: {others_refused(others_s)}")


def doubt_in(bursts: Iterable[Sequence[CallRecord]]) -> str | None:
    """Return what a server said that cannot be, of the first such call; None where all of it can."""
    return next((c.reply.error for calls in bursts for c in calls if c.outcome == "ok" and c.reply.error), None)


def find_baseline(calls: Sequence[CallRecord]) -> Baseline | None:
    """Return what a warm call costs where nobody waits, from single calls; None where the server tells no times."""
    if all(call.residual_s is None for call in calls):
        return None
    return Baseline(
        residual_s=median(call.residual_s or 0.0 for call in calls),
        load_s=median(call.reply.load_s or 0.0 for call in calls),
        calls=len(calls),
    )


async def measure_levels(
    endpoint: Endpoint, progress: Progress, *, levels: Sequence[int] = LEVELS, tokens: int = 100, rounds: int = 1
) -> Levels:
    """Measure the plain experiment on one server: 1, 2, 4, 8 equal calls at once; medians over the rounds."""
    name = endpoint.server.name
    progress.say(f"{name}: warming up")
    baseline, others_s = await look_alone(endpoint)
    if others_s:
        progress.say(others_at_start(name, others_s))
    progress.say(f"{name}: counting slots")
    counted = await find_slots(endpoint, say=progress.say)
    slots, touched = counted.number, bool(others_s)
    doubt: str | None = None
    progress.trials([f"{concurrent}" for _ in range(rounds) for concurrent in levels], "burst", server=name)
    rows: dict[int, list[Level]] = {concurrent: [] for concurrent in levels}
    for r in range(rounds):
        for number, concurrent in enumerate(levels):
            progress.trial(r * len(levels) + number + 1, f"{name}, {count(concurrent, 'call')} at once")
            records, disturbed = await _undisturbed(endpoint, concurrent, tokens, 1000 + r, slots, baseline, progress)
            touched |= disturbed
            rows[concurrent].append(level_of(records, baseline, pinned_tokens=tokens))
            if not any(call.reply.output_tokens for call in records):
                raise ServerFailure(no_counts(name, doubt_in([records])))
            doubt = doubt or doubt_in([records])
    progress.trials(())
    if doubt is not None:
        progress.say(f"{name}: {doubt}")
    medians = tuple(median_level(rows[concurrent]) for concurrent in levels)
    server = endpoint.server
    origin, on_cpu = origin_of([server]), share_on_cpu(server.details)
    return Levels(
        label=name,
        slots_asked=server.slots_asked,
        slots_found=slots,
        rows=medians,
        origin=origin,
        model=server.model,
        engine=server.version,
        cpu_share=on_cpu,
        others=touched,
        slots_at_least=counted.at_least,
        kind=server.kind,
        url="" if server.managed else server.shown,
    )


async def _undisturbed(
    endpoint: Endpoint,
    concurrent: int,
    tokens: int,
    key: int,
    slots: int,
    baseline: Baseline | None,
    progress: Progress,
) -> tuple[list[CallRecord], bool]:
    """Send a burst, again where calls waited for others; return it, and whether they did in the last one, too."""
    for attempt in range(ATTEMPTS):
        records = await burst(endpoint, concurrent, tokens, key=key + ANOTHER * attempt)
        waited = () if endpoint.server.managed else waits_for_others(records, slots, baseline)
        if not waited:
            return records, False
        if attempt + 1 < ATTEMPTS:
            others_s = sum(one.others_s for one in waited)
            progress.say(others_again(endpoint.server.name, len(waited), others_s, attempt + 2, ATTEMPTS))
    return records, True
