"""The code among the settings as it is copied: executed, with a simulated server that counts its calls behind it."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, TypedDict

from conftest import VirtualLoop
from deploy.uses import candidate
from servers.asgi import AppTransport
from starlette.types import Receive, Scope, Send

from harness.analysis.model import PoolUse, ServerUse
from harness.core.placement import PLACEMENT
from harness.core.step_costs import StepCosts
from harness.deploy.settings import settings_for
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
    chosen = candidate(*uses)
    if pool:
        policy = PLACEMENT[pool]
        pools = (PoolUse(each.pipeline, pool, policy.says, policy.code) for each in chosen.pipelines)
        chosen = chosen._replace(pools=tuple(pools))
    (text,) = (text for text in settings_for(chosen).texts if text.kind == kind)
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
