"""One trial on both clocks: the virtual driver, and the live one with the real ChatOllama on a loop of virtual time.

For tests that demand equal records. Durations are multiples of 1/512 s, so that sums of floats are exact.
"""

from __future__ import annotations

from conftest import VirtualLoop
from core.graphs import node, pipeline
from fake_ollama import FakeOllama
from hypothesis import strategies as st

from harness.core.draws import integer
from harness.core.engine import Engine
from harness.core.events import Call
from harness.core.graph import Pipeline
from harness.core.plan import Plan
from harness.core.records import CallRecord, ChatRequest, DelayRecord, JobRecord, Path, Reply
from harness.drivers.chat import Chat
from harness.drivers.live import drive
from harness.drivers.virtual import simulate

AnyRecord = CallRecord | JobRecord | DelayRecord


def duration_s(call: Call) -> float:
    """Few different values, so that ties are common."""
    return (1 + integer(4, 7, call.pipeline, call.job, call.node, call.item)) / 8


def virtual(pipelines: tuple[Pipeline, ...], plan: Plan, timeout_s: float | None = None) -> list[AnyRecord]:
    records: list[AnyRecord] = []

    def serve(call: Call, now_s: float) -> Reply:
        return _reply(now_s, now_s + duration_s(call))

    simulate(Engine(pipelines, plan, origin="predicted", timeout_s=timeout_s), serve, records.append)
    return records


def _reply(sent_s: float, end_s: float) -> Reply:
    half_s = (end_s - sent_s) / 2
    return Reply("ok", sent_s, sent_s + half_s, end_s, None, "length", 10, 2, 2 * half_s, None, half_s, half_s)


async def live(
    loop: VirtualLoop, pipelines: tuple[Pipeline, ...], plan: Plan, timeout_s: float | None = None
) -> list[AnyRecord]:
    records: list[AnyRecord] = []
    calls: dict[str, Call] = {}
    server = FakeOllama(loop.time, lambda user: duration_s(calls[user]))
    chats = [Chat(f"http://lane{i}:1", "m", loop.time, transport=server.transport()) for i in range(len(plan.queues))]

    async def send(call: Call) -> Reply:
        calls[str(call.id)] = call
        reply, _ = await chats[call.queue].ask(ChatRequest(None, str(call.id), {}, stream=True))
        return reply

    engine = Engine(pipelines, plan, origin="predicted", timeout_s=timeout_s)
    await drive(engine, send, records.append, start_s=0.0, settle=loop.idle)
    return records


@st.composite
def random_pipelines(draw: st.DrawFn) -> tuple[Pipeline, ...]:
    made = []
    for name in ("a", "b")[: draw(st.integers(1, 2))]:
        nodes = []
        for i in range(draw(st.integers(1, 6))):
            after = tuple(sorted(draw(st.sets(st.integers(0, i - 1), max_size=3)))) if i else ()
            delay_s = draw(st.sampled_from([None, None, None, 0.0, 0.25]))
            nodes.append(node(f"n{i}", after, draw(st.integers(1, 4)) if delay_s is None else 1, delay_s))
        path: Path = draw(st.sampled_from(["batch", "interactive"]))
        made.append(pipeline(name, *nodes, path=path, jobs=draw(st.integers(1, 3))))
    return tuple(made)
