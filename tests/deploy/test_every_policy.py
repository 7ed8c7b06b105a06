"""Every policy as code to copy: what it says of itself holds at the server, whatever the policy is.

Run over the policies that come with Slotwise and over some that a user might have written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import pytest
from conftest import VirtualLoop
from core.graphs import queue_of
from deploy.copied import PROMPTS, RunVirtual, copied, fan_out, in_waves
from deploy.uses import ONE

from harness.analysis.measures import policies_of
from harness.analysis.model import ServerUse
from harness.core.concurrency import CONCURRENCY, Concurrency, QueueSettings, QueueView
from harness.core.events import Call
from harness.core.placement import PLACEMENT
from harness.core.plan import ServerQueue
from harness.core.policy import made
from harness.core.scheduling import FIFO, SCHEDULING, JobView, KeyCode, NodeView, Scheduling, SchedulingSettings

KINDS = ("asyncio", "langchain", "langgraph")


# --- concurrency ---


def half(queue: QueueSettings) -> int:
    """At most half of the slots."""
    return max(1, queue.slots // 2)


def twice(queue: QueueSettings) -> int:
    """At most twice as many calls as slots."""
    return 2 * queue.slots


def no_limit(queue: QueueSettings) -> None:
    """Everything at once."""


def pair_when_idle(view: QueueView, now_s: float) -> int:
    return 0 if view.in_flight else 2


WRITTEN = {
    "half": half,
    "twice": twice,
    "everything": no_limit,
    "half, in pairs": Concurrency(half, start=pair_when_idle),
    "half, in waves": Concurrency(half, together=True),
    "everything, in waves": Concurrency(no_limit, together=True),
    "half, one batch call": Concurrency(half, batch_limit=lambda queue: 1),
    "everything, two batch calls": Concurrency(no_limit, batch_limit=lambda queue: 2),
    "twice, in waves, three batch calls": Concurrency(twice, together=True, batch_limit=lambda queue: 3),
}
EVERY = CONCURRENCY | {name: made(Concurrency, "limit", name, policy) for name, policy in WRITTEN.items()}


def given(
    concurrency: Concurrency, scheduling: Scheduling = FIFO, slots: int = 4, server: str = "four-slot"
) -> ServerUse:
    """A server used with these policies."""
    use = ONE._replace(server=server, slots=slots)
    return policies_of(use, ServerQueue(server, slots, concurrency, scheduling))


async def sent(kind: str, code: dict[str, Any], prompts: list[str], **how: Any) -> None:
    """Send prompts as each library does: as a list, or by a node for each in two graphs that run together."""
    if kind == "langgraph":
        graph = fan_out(partial(code["call_four_slot"], **how))
        parts = (prompts[::2], prompts[1::2])
        await asyncio.gather(*(code["run"](graph, {"prompts": part, "answers": []}) for part in parts))
    else:
        await code["ask_all_four_slot"](prompts, **how)


@pytest.mark.parametrize(
    ("slots", "calls", "scheduling"),
    [(1, 3, "fifo"), (4, 10, "fifo"), (4, 10, "oldest-job-first"), (8, 3, "fifo")],
)
@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("kind", KINDS)
def test_as_many_calls_are_in_flight_as_the_limit_says(
    kind: str, name: str, slots: int, calls: int, scheduling: str, run_virtual: RunVirtual
) -> None:
    use = given(EVERY[name], SCHEDULING[scheduling], slots)
    code, servers = copied(kind, use)
    server = servers["four-slot"]
    run_virtual(lambda _: sent(kind, code, PROMPTS[:calls]))
    assert (len(server.spans), server.most) == (calls, calls if use.limit is None else min(use.limit, calls))
    if use.together and use.limit and kind != "langgraph":
        assert in_waves(server, use.limit)


BATCH_LIMITED = [name for name, policy in EVERY.items() if policy.batch_limit]


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("name", BATCH_LIMITED)
@pytest.mark.parametrize("kind", KINDS)
def test_batch_calls_keep_to_their_own_limit(kind: str, name: str, slots: int, run_virtual: RunVirtual) -> None:
    use = given(EVERY[name], slots=slots)
    assert use.batch_limit is not None
    code, servers = copied(kind, use)
    server = servers["four-slot"]
    calls, limit = len(PROMPTS), len(PROMPTS) if use.limit is None else use.limit
    run_virtual(lambda _: sent(kind, code, PROMPTS, batch=True))
    assert (len(server.spans), server.most) == (calls, min(use.batch_limit, limit))


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("name", [name for name in BATCH_LIMITED if not EVERY[name].together])
@pytest.mark.parametrize("kind", KINDS)
def test_other_calls_go_past_batch_calls_up_to_the_limit(
    kind: str, name: str, slots: int, run_virtual: RunVirtual
) -> None:
    use = given(EVERY[name], slots=slots)
    assert use.batch_limit is not None
    code, servers = copied(kind, use)
    server = servers["four-slot"]
    call = code["ask_four_slot" if kind == "asyncio" else "call_four_slot"]

    async def steps(_: VirtualLoop) -> None:
        batch = [asyncio.create_task(call(prompt, batch=True)) for prompt in PROMPTS]
        await asyncio.sleep(0.25)
        await asyncio.gather(*batch, *(call(prompt) for prompt in PROMPTS))

    run_virtual(steps)
    assert len(server.spans) == 2 * len(PROMPTS)
    assert server.most == (use.batch_limit + len(PROMPTS) if use.limit is None else use.limit)


@pytest.mark.parametrize(("sizes", "scheduling"), [((2, 2), "fifo"), ((1, 4), "oldest-job-first")])
@pytest.mark.parametrize(
    "name", [name for name, policy in EVERY.items() if not (policy.together or policy.batch_limit)]
)
@pytest.mark.parametrize("placement", [name for name, policy in PLACEMENT.items() if policy.code])
@pytest.mark.parametrize("kind", KINDS)
def test_each_server_of_several_keeps_its_limit(
    kind: str, placement: str, name: str, sizes: tuple[int, int], scheduling: str, run_virtual: RunVirtual
) -> None:
    uses = [given(EVERY[name], SCHEDULING[scheduling], slots, f"s{n}") for n, slots in enumerate(sizes)]
    code, servers = copied(kind, *uses, pool=placement)
    call = code["ask_pool" if kind == "asyncio" else "call_pool"]

    async def steps(_: VirtualLoop) -> None:
        conversations = [(prompt,) if PLACEMENT[placement].settles else () for prompt in PROMPTS]
        await asyncio.gather(*(call(prompt, *which) for prompt, which in zip(PROMPTS, conversations, strict=True)))

    run_virtual(steps)
    assert sum(len(server.spans) for server in servers.values()) == len(PROMPTS)
    for use, server in zip(uses, servers.values(), strict=True):
        assert server.most == min(len(server.spans), len(PROMPTS) if use.limit is None else use.limit) > 0


# --- scheduling ---


def youngest_job_first(call: Call, node: NodeView, job: JobView, settings: SchedulingSettings) -> int:
    """The call of the job that came last."""
    return -call.job


def least_ahead_first(call: Call, node: NodeView, job: JobView, settings: SchedulingSettings) -> tuple[float, float]:
    """The call with least ahead of it, of those the longest."""
    return node.ahead, -node.length


AHEAD = KeyCode("tokens_ahead, tokens", "Least ahead goes first.", "tokens_ahead, -tokens")
ORDERS = SCHEDULING | {
    "youngest-job-first": made(Scheduling, "key", "youngest-job-first", youngest_job_first),
    "least-ahead-first": made(Scheduling, "key", "least-ahead-first", Scheduling(least_ahead_first, code=AHEAD)),
}


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
    "least-ahead-first": lambda call: (call.ahead * 200, call.length * 200),
}
ASKED = [
    Asked("batch", 0, 0.5, 0.5, 3.0, 0.0),
    Asked("batch", 0, 1.0, 0.2, 2.0, 9.0),
    Asked("interactive", 0, 0.25, 0.1, 4.0, 1.0),
    Asked("batch", 0, 0.75, 1.0, 1.0, 4.0),
    Asked("interactive", 0, 0.5, 0.6, 5.0, 2.0),
    Asked("batch", 0, 0.125, 0.4, 0.0, 6.0),
]


KEYED = [name for name, policy in ORDERS.items() if not policy.first_come]


def order_of(
    kind: str, name: str, arguments: Callable[[int, Any], tuple[Any, ...]], run_virtual: RunVirtual
) -> list[int]:
    """Send every call at once to a server that takes one at a time, and return their order.

    `arguments` of a call's number and the code's function for keys: what a call takes besides its prompt.
    """
    code, servers = copied(kind, given(CONCURRENCY["serial"], ORDERS[name]))
    call, key = code["ask_four_slot" if kind == "asyncio" else "call_four_slot"], code["key_four_slot"]
    ended = []

    async def one(number: int) -> None:
        await call(f"Say {number}.", *arguments(number, key))
        ended.append(number)

    async def steps(_: VirtualLoop) -> None:
        await asyncio.gather(*(one(number) for number in range(len(ASKED))))

    run_virtual(steps)
    assert servers["four-slot"].most == 1
    return ended


def engine_key(name: str, number: int) -> Any:
    """The key that the engine gives a call."""
    asked, queue = ASKED[number], queue_of("four-slot", 1, "serial")
    return ORDERS[name].key(Call(number, 0, number, 0, 0, 0, 0, 0.0), asked, asked, queue)


def engine_order(name: str) -> list[int]:
    """The order in which the engine starts the calls; the first finds the server idle."""
    first, *rest = range(len(ASKED))
    return [first, *sorted(rest, key=partial(engine_key, name))]


@pytest.mark.parametrize("name", KEYED)
@pytest.mark.parametrize("kind", KINDS)
def test_who_waits_goes_by_the_key_that_the_caller_passes(kind: str, name: str, run_virtual: RunVirtual) -> None:
    def arguments(number: int, key: Any) -> tuple[Any, ...]:
        return (engine_key(name, number),)

    assert order_of(kind, name, arguments, run_virtual) == engine_order(name)


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_code_makes_the_keys_of_the_engine(kind: str, name: str, run_virtual: RunVirtual) -> None:
    def arguments(number: int, key: Any) -> tuple[Any, ...]:
        return (key(*ARGUMENTS[name](ASKED[number])),)

    assert order_of(kind, name, arguments, run_virtual) == engine_order(name)


def test_a_policy_that_does_not_say_how_its_key_is_made_takes_it_from_the_caller() -> None:
    code, _ = copied("asyncio", given(CONCURRENCY["serial"], ORDERS["youngest-job-first"]))
    assert code["key_four_slot"](-3) == -3


@pytest.mark.parametrize("name", [name for name in ORDERS if name not in KEYED])
@pytest.mark.parametrize("kind", KINDS)
def test_first_come_first_served_needs_no_key(kind: str, name: str) -> None:
    code, _ = copied(kind, given(CONCURRENCY["window"], ORDERS[name]))
    assert not {"Turns", "key_four_slot"} & set(code)
