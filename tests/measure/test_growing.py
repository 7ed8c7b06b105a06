"""Conversations that grow from pass to pass, and shared system messages, over the wire: what each call says."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from conftest import VirtualLoop
from core.graphs import node, pipeline, plan_of, queue_of, until
from fake_ollama import FakeOllama

from harness.core.engine import Engine
from harness.core.graph import Growth, Pipeline
from harness.core.records import CallRecord, DelayRecord, JobRecord, Reply
from harness.core.sizes import Distribution, fixed
from harness.drivers.chat import Chat
from harness.drivers.live import drive
from harness.measure.conversations import Conversations, TalkPlace
from harness.measure.sender import Endpoint, Sender
from harness.servers.spec import RunningServer
from harness.workload.reads import Loop, Readable, Result
from harness.workload.schema import AgentSpec
from harness.workload.texts import Texts, listed

FRONT = RunningServer("s", "llamacpp", "http://s:1", "m", 2, True, "v", True, True, {"context_tokens": 4096})
PASSES = 3
VARIES = Distribution("uniform", (5, 40), True)
Said = list[tuple[str, str]]


def growing(reuse: bool = True, jobs: int = 2, by: Distribution = VARIES) -> Pipeline:
    act = node("act", grows=Growth(by, reuse))
    return pipeline("work", act, until("act/until", (0,), (0,), PASSES), jobs=jobs)


async def run(
    loop: VirtualLoop, spec: Pipeline, agent: AgentSpec, candidate: str = "c", fails: frozenset[int] = frozenset()
) -> tuple[list[CallRecord], list[Said], list[dict[str, Any]], Conversations]:
    fake = FakeOllama(loop.time, lambda user: 1.0)
    chat = Chat(FRONT.url, "m", loop.time, transport=fake.transport())

    def render(pipeline: str, who: int, node: str, item: int, names: object) -> tuple[str | None, str]:
        return agent.system, agent.prompt

    reads, loops = (
        {("work", "act"): Readable({}, ("act",))},
        {("work", "act"): Loop(frozenset({"act"}), (Result(("act",)),))},
    )
    plan, conversations = plan_of(candidate, (queue_of("s", 2),), (spec,)), Conversations()
    sender = Sender(
        plan,
        (spec,),
        {"s": Endpoint(FRONT, chat, None)},
        {("work", "act"): agent},
        Texts(render, reads, loops, listed=listed),
        zero_s=0.0,
        seed=7,
        repeat=0,
        conversations=conversations,
    )
    calls: list[CallRecord] = []

    def keep(record: CallRecord | JobRecord | DelayRecord) -> None:
        if isinstance(record, CallRecord):
            calls.append(record)
        elif isinstance(record, JobRecord):
            conversations.job_ended("work", record.job)

    await drive(Engine((spec,), plan, origin="measured", seed=7), sender, keep, start_s=0.0, settle=loop.idle)
    await chat.close()
    said = [[(m["role"], m["content"]) for m in body["messages"]] for body in fake.chats]
    return calls, said, [body["options"] for body in fake.chats], conversations


AGENT = AgentSpec(system="You act.", prompt="Do this.", output_tokens=4)


@pytest.mark.parametrize("system", ["You act.", None])
def test_each_pass_says_all_before_it_and_a_result(system: str | None, run_virtual: Callable[[Any], Any]) -> None:
    agent = AGENT.model_copy(update={"system": system})
    calls, said, options, conversations = run_virtual(lambda loop: run(loop, growing(jobs=1), agent))
    assert [len(messages) for messages in said] == [n + (system is not None) for n in (1, 3, 5)]
    for before, after in pairwise(said):
        assert after[: len(before)] == before  # to the last character, its number included
        assert after[len(before)][0] == "assistant" and after[-1][0] == "user"
    results = [messages[-1][1] for messages in said[1:]]
    assert len(set(results)) == 2 and not any("Do this." in result for result in results)
    assert all(4 <= len(result.split()) <= 41 for result in results)
    assert all(option["cache_prompt"] for option in options)
    assert [call.iteration for call in calls] == [0, 1, 2]
    assert conversations._all == {}  # forgotten at the end of the job


def test_no_other_job_or_candidate_begins_alike(run_virtual: Callable[[Any], Any]) -> None:
    begins = set()
    for candidate in ("c", "d"):
        _, said, _, _ = run_virtual(lambda loop, name=candidate: run(loop, growing(), AGENT, name))
        assert len({messages[0][1] for messages in said}) == 2  # one for each job, in all of its passes
        begins |= {messages[0][1] for messages in said}
    assert len(begins) == 4


def test_candidates_get_the_same_results(run_virtual: Callable[[Any], Any]) -> None:
    results = []
    for candidate in ("c", "d"):
        _, said, _, _ = run_virtual(lambda loop, name=candidate: run(loop, growing(), AGENT, name))
        results.append(sorted(messages[-1][1] for messages in said if len(messages) > 2))
    assert results[0] == results[1] and len(set(results[0])) == 4


def test_without_the_cache_no_two_passes_begin_alike(run_virtual: Callable[[Any], Any]) -> None:
    _, said, options, _ = run_virtual(lambda loop: run(loop, growing(reuse=False), AGENT))
    assert len({messages[0][1] for messages in said}) == 2 * PASSES
    assert not any(option["cache_prompt"] for option in options)


def test_a_shared_system_message_comes_before_what_makes_a_prompt_unique(run_virtual: Callable[[Any], Any]) -> None:
    agent = AGENT.model_copy(update={"shares_prefix": True})
    _, said, options, _ = run_virtual(lambda loop: run(loop, growing(reuse=False), agent))
    assert len({messages[0] for messages in said}) == 1 and said[0][0][1].endswith("] You act.")
    assert len({messages[1][1][:8] for messages in said}) == 2 * PASSES
    assert all(option["cache_prompt"] for option in options)
    rules = agent.model_copy(update={"system": "You plan."})
    _, other, _, _ = run_virtual(lambda loop: run(loop, growing(), rules))
    assert other[0][0][1][:8] != said[0][0][1][:8]  # nor does one with another text
    _, other, _, _ = run_virtual(lambda loop: run(loop, growing(), agent, "d"))
    assert other[0][0] != said[0][0]  # another candidate finds nothing of it
    assert len({messages[1][1] for messages in other}) == 2  # a number for each job


def test_what_was_dropped_is_no_part_of_it() -> None:
    """Its first pass was given up: the second asks the same again. An answer that comes late then is not kept."""
    conversations, ok = Conversations(), Reply("ok", prompt_tokens=5)
    first, second, third = (TalkPlace("p", -1, "n", 0, 0, (), iteration) for iteration in range(3))
    assert conversations.grown(first, ("s", "one"), lambda: "x") == ("s", "one")
    assert conversations.grown(second, ("t", "two"), lambda: "y") == ("s", "one")
    assert conversations.history(second) == ()
    conversations.keep(first, "one", "late", ok)
    conversations.keep(second, "one", "b", ok)
    assert conversations.grown(third, ("u", "three"), lambda: "z") == ("s", "z")
    assert conversations.history(third) == (("one", "b"),)


def test_a_pass_that_the_server_cut_is_an_error() -> None:
    conversations = Conversations()
    first, second = (TalkPlace("p", -1, "n", 0, 0, (), iteration) for iteration in range(2))
    for place in (first, second):
        conversations.grown(place, (None, "one"), lambda: "x")
        cut = conversations.keep(place, "q", "a", Reply("ok", prompt_tokens=40 - place.iteration))
    assert (
        cut.error
        == "truncated: the conversation no longer fits: the server read 39 tokens, after 40 in the pass before"
    )


def test_a_fixed_size_is_the_same_in_every_pass(run_virtual: Callable[[Any], Any]) -> None:
    _, said, _, _ = run_virtual(lambda loop: run(loop, growing(jobs=1, by=fixed(12)), AGENT))
    assert len({len(messages[-1][1].split()) for messages in said[1:]}) <= 2  # words and stops
