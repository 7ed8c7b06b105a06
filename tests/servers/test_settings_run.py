"""The code among the settings, run as it is copied: against a simulated server, on a virtual clock, so exactly."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal, TypedDict

import pytest
from analysis.uses import ONE, candidate, used
from conftest import VirtualLoop
from core.graphs import queue_of
from servers.asgi import AppTransport
from starlette.types import Receive, Scope, Send

from harness.analysis.model import PoolUse, ServerUse
from harness.analysis.settings import settings_for
from harness.core.events import Call
from harness.core.placement import PLACEMENT
from harness.core.scheduling import SCHEDULING
from harness.core.step_costs import StepCosts
from harness.servers.front.app import create_app
from harness.servers.simulated_engine import SimulatedConfig, SimulatedEngine

RunVirtual = Callable[[Callable[[VirtualLoop], Any]], Any]

COSTS = StepCosts(decode_s=(0.0, *(0.5 + n / 16 for n in range(16))), prefill=((1, 0.125),))
PROMPTS = [f"Say {n}." for n in range(10)]


class Counted:
    """A simulated server of 16 slots that counts its chats: when each began and ended, and how many were in flight."""

    def __init__(self) -> None:
        self._app = create_app(SimulatedEngine(SimulatedConfig("llama3.2", "test", COSTS, 2048)))
        self.in_flight = self.most = 0
        self.spans: list[list[float]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/api/chat":
            await self._app(scope, receive, send)
            return
        now_s = asyncio.get_running_loop().time
        span = [now_s()]
        self.spans.append(span)
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            await asyncio.sleep(len(self.spans) % 4)  # so that calls which began together end one by one
            await self._app(scope, receive, send)
        finally:
            self.in_flight -= 1
            span.append(now_s())


def copied(kind: str, *uses: ServerUse, pool: str = "") -> tuple[dict[str, Any], dict[str, Counted]]:
    """Execute a snippet, and put a simulated server in the place of each that it names."""
    of = candidate(*uses)
    if pool:
        policy = PLACEMENT[pool]
        uses_all = (PoolUse(each.pipeline, pool, policy.says, policy.code) for each in of.pipelines)
        of = of._replace(pools=tuple(uses_all))
    (text,) = (text for text in settings_for(of).texts if text.kind == kind)
    made: dict[str, Any] = {}
    exec(compile(text.text, kind, "exec"), made)
    servers = {}
    for use in uses:
        name = use.server.replace("-", "_")
        servers[use.server] = Counted()
        client = made[f"{name}_server"]._client if kind == "asyncio" else made[f"{name}_model"]._async_client._client
        client._transport, client._mounts = AppTransport(servers[use.server]), {}
    return made, servers


def in_waves(server: Counted, size: int) -> bool:
    """Nothing of a wave began before all of the wave before it had ended."""
    waves = [server.spans[start : start + size] for start in range(0, len(server.spans), size)]
    return all(max(end for _, end in before) <= min(begin for begin, _ in wave) for before, wave in pairwise(waves))


CONCURRENCY = {
    "window": (ONE, 4),
    "serial": (used(ONE, "serial"), 1),
    "waves": (used(ONE, "waves"), 4),
    "unbounded": (used(ONE, "unbounded"), 10),
}


@pytest.mark.parametrize("kind", ["asyncio", "langchain"])
@pytest.mark.parametrize("concurrency", CONCURRENCY)
def test_the_limit_holds_and_is_reached(kind: str, concurrency: str, run_virtual: RunVirtual) -> None:
    use, most = CONCURRENCY[concurrency]
    made, servers = copied(kind, use)

    async def steps(_: VirtualLoop) -> list[Any]:
        answers: list[Any] = await made["ask_all_four_slot"](PROMPTS)
        return answers

    answers = run_virtual(steps)
    server = servers["four-slot"]
    assert [bool(answer if kind == "asyncio" else answer.text) for answer in answers] == [True] * len(PROMPTS)
    assert (len(server.spans), server.most) == (len(PROMPTS), most)
    assert in_waves(server, 4) == (concurrency in ("waves", "serial"))


@pytest.mark.parametrize("kind", ["asyncio", "langchain"])
def test_two_servers_have_a_limit_each(kind: str, run_virtual: RunVirtual) -> None:
    made, servers = copied(kind, used(ONE, "serial", server="one-slot"), ONE)

    async def steps(_: VirtualLoop) -> None:
        await asyncio.gather(made["ask_all_one_slot"](PROMPTS[:3]), made["ask_all_four_slot"](PROMPTS))

    run_virtual(steps)
    assert {name: server.most for name, server in servers.items()} == {"one-slot": 1, "four-slot": 4}


def test_asyncio_holds_over_several_lists_and_langchain_says_that_it_does_not(run_virtual: RunVirtual) -> None:
    most = {}
    for kind in ("asyncio", "langchain"):
        made, servers = copied(kind, ONE)

        async def steps(_: VirtualLoop, made: dict[str, Any] = made) -> None:
            await asyncio.gather(made["ask_all_four_slot"](PROMPTS), made["ask_all_four_slot"](PROMPTS))

        run_virtual(steps)
        most[kind] = servers["four-slot"].most
    assert most == {"asyncio": 4, "langchain": 8}


class State(TypedDict):
    """A list of prompts, and what came back."""

    prompts: list[str]
    answers: Annotated[list[str], operator.add]


def fan_out(call: Callable[[str], Any]) -> Any:
    """A graph as a user has it: a node for each prompt."""
    from langgraph.graph import END, START, StateGraph
    from langgraph.types import Send

    async def node(prompt: str) -> dict[str, list[str]]:
        return {"answers": [(await call(prompt)).text]}

    async def spread(state: State) -> list[Send]:
        return [Send("node", prompt) for prompt in state["prompts"]]

    graph: Any = StateGraph(State)  # its overloads do not know a node that is sent a string
    graph.add_node("node", node)
    graph.add_conditional_edges(START, spread, ["node"])
    graph.add_edge("node", END)
    return graph.compile()


def test_langgraph_by_max_concurrency_alone(run_virtual: RunVirtual) -> None:
    made, servers = copied("langgraph", ONE)
    graph = fan_out(made["four_slot_model"].ainvoke)  # not through the semaphore

    async def steps(_: VirtualLoop) -> Any:
        return await made["run"](graph, {"prompts": PROMPTS, "answers": []})

    state = run_virtual(steps)
    assert len(state["answers"]) == len(PROMPTS) and all(state["answers"])
    assert servers["four-slot"].most == 4


def test_langgraph_by_the_semaphore_over_two_invocations(run_virtual: RunVirtual) -> None:
    made, servers = copied("langgraph", used(ONE, "serial", server="one-slot"), ONE)
    graph = fan_out(made["call_four_slot"])
    other = fan_out(made["call_one_slot"])

    async def steps(_: VirtualLoop) -> None:
        state = {"prompts": PROMPTS, "answers": []}
        await asyncio.gather(made["run"](graph, state), made["run"](graph, state), made["run"](other, state))

    run_virtual(steps)
    assert {name: server.most for name, server in servers.items()} == {"one-slot": 1, "four-slot": 4}


def test_langgraph_without_a_limit(run_virtual: RunVirtual) -> None:
    made, servers = copied("langgraph", used(ONE, "unbounded"))
    graph = fan_out(made["call_four_slot"])
    run_virtual(lambda _: made["run"](graph, {"prompts": PROMPTS, "answers": []}))
    assert servers["four-slot"].most == len(PROMPTS)


@dataclass
class Asked:
    """One call, as an order knows it: of its node and its job, and what the copied code's key takes instead."""

    path: Literal["batch", "interactive"]
    priority: int
    length: float
    ahead: float
    due_s: float
    served_s: float


ARGUMENTS: dict[str, Callable[[Asked], tuple[object, ...]]] = {
    "interactive-first": lambda call: (call.path == "interactive",),
    "oldest-job-first": lambda call: (call.due_s,),
    "least-served-first": lambda call: (call.served_s,),
    "shortest-first": lambda call: (call.length * 64, 64),
    "critical-path-first": lambda call: (call.ahead * 200, 200),
}
ASKED = [
    Asked("batch", 0, 0.5, 0.5, 3.0, 0.0),
    Asked("batch", 0, 1.0, 0.2, 2.0, 9.0),
    Asked("interactive", 0, 0.25, 0.1, 4.0, 1.0),
    Asked("batch", 0, 0.75, 1.0, 1.0, 4.0),
    Asked("interactive", 0, 0.5, 0.6, 5.0, 2.0),
    Asked("batch", 0, 0.125, 0.4, 0.0, 6.0),
]


@pytest.mark.parametrize("kind", ["asyncio", "langchain", "langgraph"])
@pytest.mark.parametrize("scheduling", ARGUMENTS)
def test_who_waits_is_let_in_as_the_order_says(kind: str, scheduling: str, run_virtual: RunVirtual) -> None:
    made, servers = copied(kind, used(ONE, "serial", scheduling))
    call = made["ask_four_slot" if kind == "asyncio" else "call_four_slot"]
    key, ended = made["key_four_slot"], []

    async def one(number: int) -> None:
        await call(f"Say {number}.", key(*ARGUMENTS[scheduling](ASKED[number])))
        ended.append(number)

    async def steps(_: VirtualLoop) -> None:
        await asyncio.gather(*(one(number) for number in range(len(ASKED))))

    run_virtual(steps)
    queue = queue_of("four-slot", 1, "serial", scheduling)

    def of_the_engine(number: int) -> Any:
        asked = ASKED[number]
        return SCHEDULING[scheduling].key(Call(number, 0, number, 0, 0, 0, 0, 0.0), asked, asked, queue)

    first, *rest = range(len(ASKED))  # the first finds the server idle
    assert ended == [first, *sorted(rest, key=of_the_engine)]
    assert servers["four-slot"].most == 1


def test_a_call_that_is_cancelled_while_it_waits_or_as_its_turn_comes_keeps_nobody_out(run_virtual: RunVirtual) -> None:
    made, _ = copied("asyncio", used(ONE, "window", "oldest-job-first", 2))
    limit = made["Turns"](2)
    order: list[int] = []

    async def hold(number: int) -> None:
        async with limit.at(number):
            order.append(number)
            await asyncio.sleep(1)
        if number == 0:  # the first to have waited was given its turn and has not gone on yet
            tasks[2].cancel()

    tasks: list[asyncio.Task[None]] = []

    async def steps(loop: VirtualLoop) -> None:
        tasks.extend(asyncio.create_task(hold(number)) for number in range(7))
        await asyncio.sleep(0.5)
        tasks[3].cancel()  # waits
        await asyncio.gather(*tasks, return_exceptions=True)
        assert [task.cancelled() for task in tasks] == [number in (2, 3) for number in range(7)]

    run_virtual(steps)
    assert order == [0, 1, 4, 5, 6]
    assert (limit.free, limit.waiting) == (2, [])


def test_of_a_reserve_batch_calls_leave_a_slot_free(run_virtual: RunVirtual) -> None:
    for kind in ("asyncio", "langchain", "langgraph"):
        made, servers = copied(kind, used(ONE, "reserve"))
        call = made["ask_four_slot" if kind == "asyncio" else "call_four_slot"]

        async def steps(_: VirtualLoop, call: Any = call, server: Counted = servers["four-slot"]) -> list[int]:
            batch = [asyncio.create_task(call(prompt, batch=True)) for prompt in PROMPTS]
            await asyncio.sleep(0.25)
            most = server.most
            await call("Hello!")
            await asyncio.gather(*batch)
            return [most, server.most]

        assert run_virtual(steps) == [3, 4]


@pytest.mark.parametrize("kind", ["asyncio", "langchain", "langgraph"])
@pytest.mark.parametrize("scheduling", ["fifo", "oldest-job-first"])
def test_two_servers_that_take_whatever_comes(kind: str, scheduling: str, run_virtual: RunVirtual) -> None:
    uses = [used(ONE, "window", scheduling, server=name, slots=2) for name in ("half-a", "half-b")]
    made, servers = copied(kind, *uses, pool="least-loaded")
    every = made["ask_all_pool" if kind == "asyncio" else "call_all_pool"]

    async def steps(_: VirtualLoop) -> list[Any]:
        answers: list[Any] = await every(PROMPTS)
        return answers

    assert len(run_virtual(steps)) == len(PROMPTS)
    assert {name: server.most for name, server in servers.items()} == {"half-a": 2, "half-b": 2}
    assert sum(len(server.spans) for server in servers.values()) == len(PROMPTS)
    assert made["pool_free"] == [2, 2]


@pytest.mark.parametrize("kind", ["asyncio", "langchain"])
def test_a_conversation_stays_where_it_began(kind: str, run_virtual: RunVirtual) -> None:
    uses = [ONE._replace(server=name, limit=1, slots=1) for name in ("half-a", "half-b")]
    made, servers = copied(kind, *uses, pool="affinity")
    ask = made["ask_pool" if kind == "asyncio" else "call_pool"]

    async def conversation(name: str, turns: int) -> None:
        for turn in range(turns):
            await ask(f"Say {turn}.", name)

    async def steps(_: VirtualLoop) -> None:
        await asyncio.gather(conversation("one", 2), conversation("other", 3))

    run_virtual(steps)
    assert [len(server.spans) for server in servers.values()] == [2, 3]
    assert [server.most for server in servers.values()] == [1, 1]
