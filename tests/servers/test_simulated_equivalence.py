"""One server model, two clocks: behind the front on an event loop whose time is virtual, and in the virtual driver.

All costs are multiples of 1/512 s, which floats add up exactly and which are whole nanoseconds, so `==` is demanded of
every time. The wall-clock side is the whole stack: ChatOllama, HTTP messages, the front's queue, the engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
from conftest import VirtualLoop
from core.graphs import FOUR, SINGLE, pipeline, queue_of
from core.graphs import plan_of as placed
from servers.asgi import AppTransport

from harness.core.arrival_processes import Listed
from harness.core.concurrency import CONCURRENCY
from harness.core.draws import integer
from harness.core.engine import Engine
from harness.core.events import Call
from harness.core.graph import Session
from harness.core.machine import Machine, SharedServer
from harness.core.plan import Plan
from harness.core.records import CallRecord, ChatRequest, DelayRecord, JobRecord, Reply
from harness.core.server_model import ServerModel
from harness.core.sizes import fixed
from harness.core.step_costs import StepCosts
from harness.drivers.chat import Chat
from harness.drivers.live import drive
from harness.drivers.modelled import ModelledServer, ModelledServers
from harness.drivers.virtual import simulate
from harness.servers.distance import Distant
from harness.servers.front.app import create_app
from harness.servers.simulated_engine import SimulatedConfig, SimulatedEngine, Truth

AnyRecord = CallRecord | JobRecord | DelayRecord

UNIT_S = 1 / 512
BATCHED = StepCosts(
    decode_s=(0.0, 8 * UNIT_S, 12 * UNIT_S, 13 * UNIT_S),
    prefill=((1, UNIT_S),),
    prompt_step_s=3 * UNIT_S,
    context_s_per_token=UNIT_S,
    mixed_factor=2.0,
    batch_tokens=16,
)
PLAIN = StepCosts(decode_s=(0.0, 8 * UNIT_S, 8 * UNIT_S), prefill=((1, 4 * UNIT_S),), batch_tokens=512)
FAR = PLAIN._replace(before_s=16 * UNIT_S, after_s=4 * UNIT_S)

TALK = Session(fixed(3), fixed(0.125), reuse_prefix=True)
PIPELINES = (
    *FOUR,
    # Conversations: among others, who evict them, and alone.
    pipeline("talk", *SINGLE, jobs=6, arrival=Listed((0.0, 0.5)), session=TALK),
    pipeline("calm", *SINGLE, jobs=9, arrival=Listed((0.0, 0.5, 0.5)), session=TALK, after=3),
)


def tokens(call: Call) -> tuple[int, int] | tuple[int, int, int]:
    """Few different lengths, so that ties are common; one of the answers is one token, and some calls think before."""
    key = (7, call.pipeline, call.job, call.node, call.item)
    thinking = 3 * (integer(4, *key, "thinking") == 0)
    if call.session >= 0:
        prompt, output = 8 + 24 * (call.job % 3) + 4 * integer(2, *key, "prompt"), 4
    else:
        prompt, output = 4 + 4 * integer(8, *key, "prompt"), 1 + 3 * integer(5, *key, "output")
    return (prompt, output + thinking, thinking) if thinking else (prompt, output)


def thread(call: Call) -> str | None:
    return None if call.session < 0 else f"{call.pipeline}/{call.session}"


def virtual(
    costs: tuple[StepCosts, ...], plan: Plan, timeout_s: float | None, stretch: float | None = None
) -> list[AnyRecord]:
    records: list[AnyRecord] = []
    alone = [ServerModel(c) for c in costs]
    models: Sequence[ServerModel | SharedServer] = alone if stretch is None else Machine(alone, {2: stretch}).servers
    servers = [ModelledServer(model, c.before_s, c.after_s) for model, c in zip(models, costs, strict=True)]
    simulate(
        Engine(PIPELINES[: len(plan.placement)], plan, origin="emulated", timeout_s=timeout_s),
        ModelledServers(servers, tokens, thread),
        records.append,
    )
    return records


async def live(
    loop: VirtualLoop,
    costs: tuple[StepCosts, ...],
    plan: Plan,
    timeout_s: float | None,
    truths: list[Truth],
    stretch: float | None = None,
) -> list[AnyRecord]:
    records: list[AnyRecord] = []
    chats = []
    engines = [SimulatedEngine(SimulatedConfig("sim", "test", cost, 4096), truths.append) for cost in costs]
    if stretch is not None:
        SimulatedEngine.share(engines, {2: stretch})
    for engine, cost in zip(engines, costs, strict=True):
        app = Distant(create_app(engine, lambda: round(loop.time() * 1e9)), cost.before_s, cost.after_s)
        chats.append(Chat("http://front:80", "sim", loop.time, transport=AppTransport(app)))

    async def send(call: Call) -> Reply:
        prompt_tokens, output_tokens, thinking = (*tokens(call), 0)[:3]
        options = {"seed": call.id, "num_predict": output_tokens, "prompt_tokens": prompt_tokens}
        options["cache_prompt"] = call.session >= 0
        if thinking:
            options["thinking_tokens"] = thinking
        request = ChatRequest(None, thread(call) or "hello", options, stream=True, think=thinking > 0)
        reply, text = await chats[call.queue].ask(request)
        assert reply.outcome != "ok" or len(text.split()) == output_tokens - thinking
        return reply

    driven = Engine(PIPELINES[: len(plan.placement)], plan, origin="emulated", timeout_s=timeout_s)
    await drive(driven, send, records.append, start_s=0.0, settle=loop.idle)
    for chat in chats:
        await chat.close()
    return records


def told_by(records: list[AnyRecord], truths: dict[int, Truth]) -> list[AnyRecord]:
    """Put the wait up to the prompt in `queue_s`, as the virtual driver means it; a zero is left out on the wire.

    The front's header ends when the slot is there. What lies between is checked against the server's own log.
    """
    result: list[AnyRecord] = []
    for record in records:
        if isinstance(record, CallRecord) and record.outcome == "ok":
            truth, reply = truths[record.call], record.reply
            assert truth.arrived_s is not None and truth.prompt_s is not None
            assert reply.queue_s == truth.slot_s - truth.arrived_s
            queue_s = truth.prompt_s - truth.arrived_s
            reply = reply._replace(load_s=0.0, decode_s=reply.decode_s or 0.0, queue_s=queue_s)
            record = record._replace(reply=reply)
        result.append(record)
    return result


def without_detail(records: list[AnyRecord]) -> list[AnyRecord]:
    """What a call that was given up had learned by then depends on who carried it out."""
    return [
        r._replace(reply=Reply(r.outcome, end_s=r.reply.end_s)) if isinstance(r, CallRecord) else r for r in records
    ]


def plan_of(caps: tuple[str, ...], costs: tuple[StepCosts, ...]) -> Plan:
    place = {1: (0,) * 6, 2: (0, 0, 1, 1, 0, 1)}[len(caps)]
    queues = tuple(queue_of(f"s{i}", costs[i].slots, concurrency, max_wait_s=0.5) for i, concurrency in enumerate(caps))
    return placed("eq", queues, PIPELINES, place)


@pytest.mark.parametrize(
    "caps", [(concurrency,) for concurrency in CONCURRENCY] + [("unbounded", "window")], ids="+".join
)
@pytest.mark.parametrize("costs", [BATCHED, PLAIN, FAR], ids=["batched", "plain", "far"])
def test_the_same_records_on_both_clocks(
    caps: tuple[str, ...], costs: StepCosts, run_virtual: Callable[[Any], Any]
) -> None:
    each = (costs,) * len(caps)
    plan = plan_of(caps, each)
    expected = virtual(each, plan, None)
    truths: list[Truth] = []
    records = run_virtual(lambda loop: live(loop, each, plan, None, truths))
    assert told_by(records, {truth.seed: truth for truth in truths}) == expected
    calls = [record for record in expected if isinstance(record, CallRecord)]
    assert len(truths) == len(calls) and {call.outcome for call in calls} == {"ok"}
    ends = [call.reply.end_s for call in calls]
    if caps[0] in ("window", "waves", "unbounded"):
        assert len(set(ends)) < len(ends)  # there were ties
    cached = [call.reply.cached_tokens for call in calls if call.pipeline in ("talk", "calm")]
    assert sum(tokens == 0 for tokens in cached) > 5  # first turns, and those that others evicted
    assert sum(tokens is not None and tokens > 0 for tokens in cached) >= 2
    assert caps != ("unbounded",) or any((call.reply.queue_s or 0) > 0.5 for call in calls)  # and waits


@pytest.mark.parametrize("timeout_s", [None, 2.0], ids=["patient", "impatient"])
@pytest.mark.parametrize("costs", [BATCHED, FAR], ids=["batched", "far"])
def test_servers_on_one_machine_slow_each_other_on_both_clocks(
    costs: StepCosts, timeout_s: float | None, run_virtual: Callable[[Any], Any]
) -> None:
    """A factor of two is exact in floats. Each server hears at once of what changes on the other."""
    each, plan = (costs, costs), plan_of(("unbounded", "window"), (costs, costs))
    if timeout_s is not None:
        plan = plan._replace(placement=plan.placement[:4])
    expected = virtual(each, plan, timeout_s, 2.0)
    truths: list[Truth] = []
    records = run_virtual(lambda loop: live(loop, each, plan, timeout_s, truths, 2.0))
    if timeout_s is None:
        assert told_by(records, {truth.seed: truth for truth in truths}) == expected
    else:
        assert any(truth.cancelled for truth in truths)
        assert without_detail(records) == without_detail(expected)
    assert without_detail(expected) != without_detail(virtual(each, plan, timeout_s))


@pytest.mark.parametrize("concurrency", ["unbounded", "window"])
def test_the_same_calls_are_given_up(concurrency: str, run_virtual: Callable[[Any], Any]) -> None:
    """Wherever they are; a slot that was given up is free at the end of its step on both clocks."""
    plan = plan_of((concurrency,), (BATCHED,))
    plan = plan._replace(placement=plan.placement[:4])
    expected = virtual((BATCHED,), plan, 1.0)
    outcomes = {record.outcome for record in expected if isinstance(record, CallRecord)}
    assert outcomes >= {"ok", "timeout"}
    truths: list[Truth] = []
    records = run_virtual(lambda loop: live(loop, (BATCHED,), plan, 1.0, truths))
    assert without_detail(records) == without_detail(expected)
    assert any(truth.cancelled for truth in truths)


def test_every_token_comes_at_the_end_of_its_step(run_virtual: Callable[[Any], Any]) -> None:
    """Times by hand: a growing context, and a second call whose prompt holds up the first for a step."""

    async def main(loop: VirtualLoop) -> list[list[float]]:
        engine = SimulatedEngine(SimulatedConfig("sim", "test", BATCHED, 4096))
        app = create_app(engine, lambda: round(loop.time() * 1e9))

        async def one(at_s: float, output_tokens: int) -> list[float]:
            await asyncio.sleep(at_s)
            options = {"num_predict": output_tokens, "prompt_tokens": 8}
            body = {"model": "sim", "prompt": "x", "raw": True, "options": options}
            seen = []
            async with (
                httpx.AsyncClient(transport=AppTransport(app), base_url="http://front") as client,
                client.stream("POST", "/api/generate", json=body) as response,
            ):
                async for _ in response.aiter_lines():
                    seen.append(loop.time() / UNIT_S)
            return seen

        return list(await asyncio.gather(one(0.0, 5), one(30 * UNIT_S, 2)))

    first, second = run_virtual(main)
    # Alone: 3 + 8 units of prompt; steps of 8 + 9 and 8 + 10 of context, in the latter of which the second call comes.
    # A mixed step: 8 + 11 of context + 2 x 8 of prompt = 35. Then both together: 12 + 12 + 9 = 33.
    assert first == [11, 28, 46, 81, 114, 114]
    assert second == [81, 114, 114]
