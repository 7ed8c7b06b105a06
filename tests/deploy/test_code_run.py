"""The code among the settings, run as it is copied: against a simulated server, on a virtual clock, so exactly.

What must hold for every policy is in `test_every_policy`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from conftest import VirtualLoop
from deploy.copied import PROMPTS, Counted, RunVirtual, copied, fan_out, in_waves
from deploy.uses import ONE, used

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
