"""A policy in the gateway gives the very records of the same policy in the harness: the whole stack in virtual time.

Both sides are ChatOllama, HTTP messages and simulated servers behind our front. On one side the harness has the policy;
on the other it sends everything at once, and the gateway has it. All costs are multiples of 1/512 s, so floats are
exact, and `==` is demanded of every time, ties included.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, NamedTuple

import httpx
import pytest
from conftest import VirtualLoop
from core.graphs import FOUR, SINGLE, pipeline, plan_of, pool_of, queue_of
from servers.asgi import AppTransport

from harness.app.gateway import PIPELINES
from harness.core.arrival_processes import Closed, Listed
from harness.core.concurrency import CONCURRENCY
from harness.core.draws import integer
from harness.core.engine import Engine
from harness.core.events import Call
from harness.core.graph import Pipeline, Session
from harness.core.open_engine import OpenEngine
from harness.core.plan import Plan, Pool, ServerQueue
from harness.core.records import CallRecord, ChatRequest, JobRecord, Reply
from harness.core.sizes import fixed
from harness.core.step_costs import StepCosts
from harness.drivers.chat import Chat
from harness.drivers.gateway import Gate
from harness.drivers.live import drive
from harness.gateway.app import GatewayApp
from harness.gateway.classes import CLASSES, Classes
from harness.gateway.health import Health
from harness.gateway.metrics import Metrics
from harness.gateway.upstream import Headers, UpstreamAnswer
from harness.servers.access import Access
from harness.servers.distance import Distant
from harness.servers.front.app import create_app
from harness.servers.simulated_engine import SimulatedConfig, SimulatedEngine

UNIT_S = 1 / 512
COSTS = StepCosts(
    decode_s=(0.0, 8 * UNIT_S, 12 * UNIT_S, 13 * UNIT_S),
    prefill=((1, UNIT_S),),
    prompt_step_s=3 * UNIT_S,
    context_s_per_token=UNIT_S,
    mixed_factor=2.0,
    batch_tokens=16,
    before_s=16 * UNIT_S,
    after_s=4 * UNIT_S,
)
TALK = pipeline(
    "talk", *SINGLE, jobs=6, arrival=Listed((0.0, 0.5)), session=Session(fixed(3), fixed(0.125), reuse_prefix=True)
)
GRAPHS = (*FOUR, TALK)
# Calls on which no others wait. For graphs `waves` looks at what is coming, which no gateway can.
CALLS = (
    pipeline("many", *SINGLE, jobs=7),
    pipeline("few", *SINGLE, jobs=4, arrival=Listed((0.0, 0.25, 0.25, 0.5))),
    pipeline("chat", *SINGLE, path="interactive", jobs=None, arrival=Closed(2, fixed(0.125)), until=0),
)


class Sent(NamedTuple):
    """A call as its server got it."""

    call: int
    server: str
    at_s: float


class World:
    """Simulated servers in virtual time, and all that was sent to them."""

    def __init__(self, loop: VirtualLoop, servers: list[str]) -> None:
        self.loop, self.sent, self.flying, self.peak = loop, list[Sent](), 0, 0
        self.apps = {name: partial(self._serve, name, self._front()) for name in servers}

    def _front(self) -> Distant:
        engine = SimulatedEngine(SimulatedConfig("sim", "test", COSTS, 4096))
        return Distant(create_app(engine, lambda: round(self.loop.time() * 1e9)), COSTS.before_s, COSTS.after_s)

    async def _serve(self, name: str, front: Distant, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        seed = json.loads(message["body"])["options"]["seed"]
        self.sent.append(Sent(seed, name, self.loop.time()))
        self.flying += 1
        self.peak = max(self.peak, self.flying)
        given = [message]

        async def again() -> Any:
            return given.pop() if given else await receive()

        await front(scope, again, send)
        self.flying -= 1


class AppUpstream:
    """An app as what stands behind a gateway."""

    def __init__(self, url: str, app: Any) -> None:
        self.url = url
        self._client = httpx.AsyncClient(transport=AppTransport(app), base_url=url)

    async def send(
        self, method: str, target: str, headers: Headers, body: bytes | AsyncIterator[bytes] = b""
    ) -> UpstreamAnswer:
        request = self._client.build_request(method, target, headers=headers, content=body)
        response = await self._client.send(request, stream=True)
        return UpstreamAnswer(response.status_code, response.headers.raw, response.aiter_raw(), response.aclose)


Records = list[CallRecord | JobRecord]


async def carried_out(
    loop: VirtualLoop, pipelines: tuple[Pipeline, ...], plan: Plan, app_of: Callable[[Call], tuple[str, Any]]
) -> Records:
    """Carry a trial out with ChatOllama; `app_of` gives the base URL of a call, and the app that answers there."""
    records: Records = []
    chats: dict[str, Chat] = {}

    async def send(call: Call) -> Reply:
        base, app = app_of(call)
        if base not in chats:
            chats[base] = Chat(base, "sim", loop.time, transport=AppTransport(app))
        key = (7, call.pipeline, call.job, call.node, call.item)
        talk = call.session if call.session >= 0 else -1 - call.job  # as the engine knows conversations
        options = {
            "seed": call.id,
            "num_predict": 1 + 3 * integer(5, *key, "output"),
            "prompt_tokens": 8 + 24 * (call.job % 3) if call.session >= 0 else 4 + 4 * integer(8, *key, "prompt"),
            "cache_prompt": call.session >= 0,
        }
        reply, _ = await chats[base].ask(ChatRequest(None, f"{call.pipeline}/{talk}", options, stream=True))
        return reply

    engine = Engine(pipelines, plan, origin="emulated")
    await drive(engine, send, records.append, start_s=0.0, settle=loop.idle)  # type: ignore[arg-type]  # no tools' delays are compared
    for chat in chats.values():
        await chat.close()
    return records


async def inside(loop: VirtualLoop, world: World, pipelines: tuple[Pipeline, ...], plan: Plan) -> Records:
    """The harness has the policy."""
    names = [queue.server for queue in plan.queues]
    return await carried_out(loop, pipelines, plan, lambda call: (names[call.queue], world.apps[names[call.queue]]))


async def through(
    loop: VirtualLoop, world: World, pipelines: tuple[Pipeline, ...], queues: tuple[ServerQueue, ...], at: Any
) -> Records:
    """The harness sends everything at once, and the gateway has the policy."""
    plan = Plan("gate", queues, ((at,),) * len(PIPELINES))

    async def settle() -> None:
        for _ in range(4):  # until the client has heard of what ended at this instant, and has asked for what follows
            await loop.idle()

    engine = OpenEngine(PIPELINES, plan, origin="measured")
    gate = Gate(engine, lambda _: None, start_s=0.0, settle=settle)
    upstreams = [AppUpstream(name, app) for name, app in world.apps.items()]
    health = Health(gate, upstreams, [], lambda _: None)
    settles = isinstance(at, Pool) and at.policy.settles
    app = GatewayApp(gate, upstreams, health, Classes(), Access("127.0.0.1"), Metrics(engine), "me", settles=settles)
    running = asyncio.create_task(gate.run())
    everything = plan_of(plan.name, (queue_of("gateway", 1, "unbounded"),), pipelines)
    records = await carried_out(
        loop, pipelines, everything, lambda call: (f"http://127.0.0.1/{pipelines[call.pipeline].path}", app)
    )
    running.cancel()
    started = {sent.call: sent for sent in world.sent}
    return [as_inside(record, started) for record in records]


def as_inside(record: CallRecord | JobRecord, started: dict[int, Sent]) -> CallRecord | JobRecord:
    """Put in what only the gateway knows: where a call went, and when."""
    if not isinstance(record, CallRecord):
        return record
    sent = started[record.call]
    assert record.started_s == record.ready_s == record.reply.sent_s  # nothing waits in the harness
    reply = record.reply._replace(sent_s=sent.at_s)
    return record._replace(server=sent.server, started_s=sent.at_s, reply=reply)


@pytest.mark.parametrize("scheduling", ["fifo", "interactive-first"])
@pytest.mark.parametrize("placement", ["one", "least-loaded", "affinity"])
@pytest.mark.parametrize("concurrency", CONCURRENCY)
def test_a_policy_in_the_gateway_makes_the_records_of_the_policy_in_the_harness(
    concurrency: str, placement: str, scheduling: str, run_virtual: Callable[[Any], Any]
) -> None:
    names = ["http://a", "http://b"][: 1 if placement == "one" else 2]
    queues = tuple(queue_of(name, 3, concurrency, scheduling, max_wait_s=0.25) for name in names)
    at: Any = 0 if placement == "one" else pool_of(placement, (0, 1))
    pipelines = CALLS if concurrency == "waves" else GRAPHS
    plan = Plan("gate", queues, tuple((at,) * len(p.graph.nodes) for p in pipelines))

    def run(main: Callable[..., Any], *rest: Any) -> tuple[Records, World]:
        worlds: list[World] = []

        async def on(loop: VirtualLoop) -> Records:
            worlds.append(World(loop, names))
            found: Records = await main(loop, worlds[0], pipelines, *rest)
            return found

        return run_virtual(on), worlds[0]

    expected, alone = run(inside, plan)
    found, behind = run(through, queues, at)
    assert behind.sent == alone.sent  # each call, in this order, there and then
    assert behind.peak == alone.peak
    assert found == expected
    calls = [record for record in expected if isinstance(record, CallRecord)]
    assert {call.outcome for call in calls} == {"ok"} and len(calls) == len(behind.sent)
    assert concurrency == "unbounded" or any((call.router_wait_s or 0) > 0 for call in calls)
    assert {call.server for call in calls} == set(names)
    assert {call.path for call in calls} == set(CLASSES)
