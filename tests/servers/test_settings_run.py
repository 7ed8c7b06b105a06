"""The code among the settings, run as it is copied: against a simulated server, on a virtual clock, so exactly."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, TypedDict

import pytest
from analysis.uses import ONE, candidate
from conftest import VirtualLoop
from servers.asgi import AppTransport
from starlette.types import Receive, Scope, Send

from harness.analysis.model import ServerUse
from harness.analysis.settings import settings_for
from harness.core.step_costs import StepCosts
from harness.servers.front.app import create_app
from harness.servers.simulated import SimulatedConfig, SimulatedEngine

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


def copied(kind: str, *uses: ServerUse) -> tuple[dict[str, Any], dict[str, Counted]]:
    """Execute a snippet, and put a simulated server in the place of each that it names."""
    (text,) = (text for text in settings_for(candidate(*uses)).texts if text.kind == kind)
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


CAPS = {
    "window": (ONE, 4),
    "serial": (ONE._replace(cap="serial", in_flight=1), 1),
    "waves": (ONE._replace(cap="waves", in_flight=4), 4),
    "unbounded": (ONE._replace(cap="unbounded", in_flight=None), 10),
}


@pytest.mark.parametrize("kind", ["asyncio", "langchain"])
@pytest.mark.parametrize("cap", CAPS)
def test_the_limit_holds_and_is_reached(kind: str, cap: str, run_virtual: RunVirtual) -> None:
    use, most = CAPS[cap]
    made, servers = copied(kind, use)

    async def steps(_: VirtualLoop) -> list[Any]:
        answers: list[Any] = await made["ask_all_four_slot"](PROMPTS)
        return answers

    answers = run_virtual(steps)
    server = servers["four-slot"]
    assert [bool(answer if kind == "asyncio" else answer.text) for answer in answers] == [True] * len(PROMPTS)
    assert (len(server.spans), server.most) == (len(PROMPTS), most)
    assert in_waves(server, 4) == (cap in ("waves", "serial"))


@pytest.mark.parametrize("kind", ["asyncio", "langchain"])
def test_two_servers_have_a_limit_each(kind: str, run_virtual: RunVirtual) -> None:
    made, servers = copied(kind, ONE._replace(server="one-slot", in_flight=1, cap="serial"), ONE)

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
    made, servers = copied("langgraph", ONE._replace(server="one-slot", in_flight=1, cap="serial"), ONE)
    graph = fan_out(made["call_four_slot"])
    other = fan_out(made["call_one_slot"])

    async def steps(_: VirtualLoop) -> None:
        state = {"prompts": PROMPTS, "answers": []}
        await asyncio.gather(made["run"](graph, state), made["run"](graph, state), made["run"](other, state))

    run_virtual(steps)
    assert {name: server.most for name, server in servers.items()} == {"one-slot": 1, "four-slot": 4}


def test_langgraph_without_a_limit(run_virtual: RunVirtual) -> None:
    made, servers = copied("langgraph", ONE._replace(cap="unbounded", in_flight=None))
    graph = fan_out(made["call_four_slot"])
    run_virtual(lambda _: made["run"](graph, {"prompts": PROMPTS, "answers": []}))
    assert servers["four-slot"].most == len(PROMPTS)
