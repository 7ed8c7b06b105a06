"""Bursts of equal calls: how many slots a server really has, what it costs when nobody waits, and the ladder.

A burst is a pipeline of one node, so it goes through the same engine, driver and records as everything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from harness.analysis.ladder import Ladder, effective_slots, ladder_row
from harness.core.draws import integer
from harness.core.engine import Engine
from harness.core.events import Call
from harness.core.graph import Arrival, Graph, Node, Pipeline
from harness.core.plan import Lane, Plan
from harness.core.records import CallRecord, DelayRecord, JobRecord, Reply
from harness.drivers.chat import Request
from harness.drivers.live import drive
from harness.errors import ServerFailure
from harness.measure.progress import Progress
from harness.measure.sender import Endpoint, options_for
from harness.workload.schema import AgentSpec

__all__ = ["LADDER", "burst", "find_slots", "measure_ladder"]

LADDER = (1, 2, 4, 8)
PROBE_TOKENS = 24
MOST_SLOTS = 64  # beyond this a probe stops looking
TIMEOUT_S = 300.0
TOPICS = ("tides", "bread", "bridges", "owls", "glass", "maps", "clocks", "salt", "rivers", "looms", "ferries", "wells")


async def burst(
    endpoint: Endpoint, concurrent: int, tokens: int, *, key: int, one_by_one: bool = False
) -> list[CallRecord]:
    """Send `concurrent` calls of `tokens` output tokens at once (or one after another) and return their records.

    Args:
        key: makes the prompts of this burst different from those of every other.

    Raises:
        ServerFailure: a call failed; the message names what the server said.
    """
    agent = AgentSpec(prompt="{item}", output_tokens=tokens)
    loop = asyncio.get_running_loop()
    zero_s = loop.time()

    async def send(call: Call) -> Reply:
        topic = TOPICS[call.item % len(TOPICS)]
        unique = integer(1_000_000, key, concurrent, call.item, "probe")
        user = f"[{unique:06d}] Write a long, detailed essay about {topic}. Do not stop early."
        options = options_for(endpoint.server, agent, seed=call.item)
        reply, _ = await endpoint.chat.ask(Request(None, user, options, stream=False), zero_s)
        return reply

    node = Node("call", "agent", (), (), width=concurrent, agent="probe", model=endpoint.server.model)
    pipeline = Pipeline("probe", "batch", Graph((node,)), Arrival(due_s=(0.0,)), jobs=1)
    lane = Lane(endpoint.server.name, 1, cap="serial" if one_by_one else "unbounded")
    records: list[CallRecord | JobRecord | DelayRecord] = []
    engine = Engine((pipeline,), Plan("probe", (lane,), (0,)), origin="measured", timeout_s=TIMEOUT_S)
    await drive(engine, send, records.append, start_s=zero_s)
    calls = [record for record in records if isinstance(record, CallRecord)]
    failed = next((call for call in calls if call.outcome != "ok" and call.started_s is not None), None)
    if failed is not None:
        raise ServerFailure(f"server {endpoint.server.name!r} ({endpoint.server.url}): {failed.reply.error}")
    return calls


async def find_slots(endpoint: Endpoint, *, rounds: int = 3, key: int = 0) -> int:
    """Return the number of calls that the server generates at the same time: the median over `rounds` bursts.

    More calls than slots are needed to see the limit: it starts at twice what was asked for and doubles as long as
    every call of a burst overlapped.
    """
    concurrent = max(3, 2 * (endpoint.server.slots_asked or 4))
    while True:
        found = sorted(
            [effective_slots(await burst(endpoint, concurrent, PROBE_TOKENS, key=key + r)) for r in range(rounds)]
        )[rounds // 2]
        if found < concurrent or concurrent >= MOST_SLOTS:
            return found
        concurrent *= 2


async def measure_ladder(
    endpoint: Endpoint, progress: Progress, *, rungs: Sequence[int] = LADDER, tokens: int = 100, rounds: int = 1
) -> Ladder:
    """Measure the plain experiment on one server: 1, 2, 4, 8 equal calls at once.

    With several rounds the one with the median wall-clock stands for the rung.
    """
    slots = await find_slots(endpoint)
    progress.say(f"{endpoint.server.name}: {slots} slots found")
    rows = []
    for concurrent in rungs:
        progress.say(f"{endpoint.server.name}: {concurrent} at once, {tokens} tokens each")
        measured = [
            ladder_row(await burst(endpoint, concurrent, tokens, key=1000 + r), pinned_tokens=tokens)
            for r in range(rounds)
        ]
        rows.append(sorted(measured, key=lambda row: row.wall_s)[len(measured) // 2])
    return Ladder(endpoint.server.name, endpoint.server.slots_asked, slots, tokens, tuple(rows))
