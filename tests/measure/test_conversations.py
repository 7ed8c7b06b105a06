"""Conversations over the wire: what each turn says of those before it, and how its prompt begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import VirtualLoop
from core.graphs import node as agent_node
from core.graphs import pipeline, plan_of, queue_of
from fake_ollama import FakeOllama

from harness.core.arrival_processes import Listed
from harness.core.engine import Engine
from harness.core.graph import Pipeline, Session
from harness.core.records import CallRecord, DelayRecord, JobRecord, Reply
from harness.core.sizes import fixed
from harness.drivers.chat import Chat
from harness.drivers.live import drive
from harness.measure.conversations import Conversations, TalkPlace
from harness.measure.sender import Endpoint, Sender
from harness.servers.spec import RunningServer
from harness.workload.reads import Readable
from harness.workload.schema import AgentSpec
from harness.workload.texts import Texts, listed

FRONT = RunningServer("s", "llamacpp", "http://s:1", "m", 2, True, "v", True, True, {"context_tokens": 512})
TURNS = 3


def talk(reuse: bool) -> Pipeline:
    session = Session(fixed(TURNS), fixed(1.0), reuse)
    return pipeline("talk", agent_node("say"), jobs=2 * TURNS, arrival=Listed((0.0, 0.25)), session=session)


async def run(
    loop: VirtualLoop, spec: Pipeline, *, system: str | None, tokens: Callable[[int], int] = lambda n: 10 * n
) -> tuple[list[CallRecord], list[dict[str, Any]], Conversations]:
    fake = FakeOllama(loop.time, lambda user: 1.0, fields=lambda n: {"prompt_eval_count": tokens(n)})
    chat = Chat(FRONT.url, "m", loop.time, transport=fake.transport())
    asked = iter(range(100))

    def render(pipeline: str, who: int, node: str, item: int, names: object) -> tuple[str | None, str]:
        return system, f"question {next(asked)}"

    texts = Texts(render, {("talk", "say"): Readable({})}, listed=listed)
    plan, conversations = plan_of("c", (queue_of("s", 2),), (spec,)), Conversations()
    sender = Sender(
        plan,
        (spec,),
        {"s": Endpoint(FRONT, chat, None)},
        {("talk", "say"): AgentSpec(prompt="p", output_tokens=4)},
        texts,
        zero_s=0.0,
        seed=7,
        repeat=0,
        conversations=conversations,
    )
    calls: list[CallRecord] = []

    def keep(record: CallRecord | JobRecord | DelayRecord) -> None:
        if isinstance(record, CallRecord):
            calls.append(record)
        elif isinstance(record, JobRecord) and record.session is not None:
            conversations.turn_ended("talk", record.session, record.job, turns=TURNS)

    await drive(Engine((spec,), plan, origin="measured"), sender, keep, start_s=0.0, settle=loop.idle)
    await chat.close()
    return calls, fake.chats, conversations


def said(body: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in body["messages"]]


@pytest.mark.parametrize("system", [None, "Be brief."])
def test_each_turn_holds_those_before_it(system: str | None, run_virtual: Callable[[Any], Any]) -> None:
    _, bodies, conversations = run_virtual(lambda loop: run(loop, talk(False), system=system))
    beginnings = [said(body)[0][1] for body in bodies]
    assert len({beginning[:8] for beginning in beginnings}) == 2 * TURNS  # no two prompts begin alike
    assert all(beginning[0] == "[" and beginning[7:9] == "] " for beginning in beginnings)
    plain = [[(role, text[9:] if i == 0 else text) for i, (role, text) in enumerate(said(body))] for body in bodies]
    first = [] if system is None else [("system", system)]
    # Two conversations, turn about: the first one's questions are 0, 2 and 4.
    assert plain[4] == [
        *first,
        ("user", "question 0"),
        ("assistant", "so"),
        ("user", "question 2"),
        ("assistant", "so"),
        ("user", "question 4"),
    ]
    assert [len(messages) for messages in plain] == [len(first) + n for n in (1, 1, 3, 3, 5, 5)]
    assert all(body["options"]["cache_prompt"] is False for body in bodies)
    assert conversations._all == {}  # forgotten at their ends


def test_a_conversation_that_may_be_found_again_begins_alike(run_virtual: Callable[[Any], Any]) -> None:
    _, bodies, _ = run_virtual(lambda loop: run(loop, talk(True), system=None))
    begins = [said(body)[0][1] for body in bodies]
    assert begins[0] == begins[2] == begins[4]
    assert begins[1] == begins[3] == begins[5]
    assert begins[0][:8] != begins[1][:8]
    for before, after in ((0, 2), (2, 4), (1, 3)):
        assert said(bodies[after])[: len(said(bodies[before]))] == said(bodies[before])
    assert all(body["options"]["cache_prompt"] is True for body in bodies)


def test_a_conversation_that_the_server_cut_is_an_error(run_virtual: Callable[[Any], Any]) -> None:
    """It counts fewer tokens than in the turn before; the next turn goes on from what is known."""
    spec = talk(False)._replace(jobs=TURNS)
    counts = {1: 40, 2: 39, 3: 60}
    calls, bodies, _ = run_virtual(lambda loop: run(loop, spec, system=None, tokens=counts.__getitem__))
    assert [call.outcome for call in calls] == ["ok", "error", "ok"]
    assert [text for _, text in said(bodies[2])][1:] == ["so", "question 2"]
    assert calls[1].reply.error == (
        "truncated: the conversation no longer fits: the server read 39 tokens, after 40 in the turn before"
    )


def test_what_comes_after_its_turn_is_not_kept() -> None:
    conversations, ok = Conversations(), Reply("ok", prompt_tokens=5)
    assert conversations.history(TalkPlace("p", 0, "n", 0, 3)) == ()
    conversations.keep(TalkPlace("p", 0, "n", 0, 3), "first pass", "a", ok)
    conversations.keep(TalkPlace("p", 0, "n", 0, 3), "second pass", "b", ok)  # of a loop the last pass counts
    conversations.turn_ended("p", 0, 3, turns=3)
    conversations.keep(TalkPlace("p", 0, "m", 0, 3), "late", "c", ok)  # a loser that was let run
    assert conversations.history(TalkPlace("p", 0, "n", 0, 4)) == (("second pass", "b"),)
    conversations.turn_ended("p", 0, 4, turns=3)
    assert conversations.history(TalkPlace("p", 0, "m", 0, 5)) == ()
    conversations.turn_ended("p", 0, 5, turns=3)
    conversations.keep(TalkPlace("p", 0, "n", 0, 5), "late", "d", ok)
    assert conversations.history(TalkPlace("p", 0, "n", 0, 6)) == ()


def test_a_turn_that_begins_before_the_one_before_has_ended_sees_what_has_been_answered() -> None:
    conversations, ok = Conversations(), Reply("ok", prompt_tokens=5)
    assert conversations.history(TalkPlace("p", 0, "reply", 0, 3)) == ()
    conversations.keep(TalkPlace("p", 0, "reply", 0, 3), "first", "a", ok)
    assert conversations.history(TalkPlace("p", 0, "reply", 0, 3)) == ()  # a turn does not see itself
    assert conversations.history(TalkPlace("p", 0, "reply", 0, 4)) == (("first", "a"),)
    assert conversations.history(TalkPlace("p", 0, "title", 0, 4)) == ()
    conversations.keep(TalkPlace("p", 0, "title", 0, 4), "second title", "d", ok)
    conversations.turn_ended("p", 0, 4, turns=3)
    conversations.keep(TalkPlace("p", 0, "title", 0, 3), "first title", "c", ok)  # late, but waited for
    conversations.turn_ended("p", 0, 3, turns=3)
    assert conversations.history(TalkPlace("p", 0, "title", 0, 5)) == (("first title", "c"), ("second title", "d"))


def test_the_last_turn_may_end_before_another_whose_title_still_sees_those_before() -> None:
    conversations, ok = Conversations(), Reply("ok", prompt_tokens=5)
    assert conversations.history(TalkPlace("p", 0, "title", 0, 1)) == ()
    conversations.keep(TalkPlace("p", 0, "title", 0, 1), "first title", "a", ok)
    conversations.turn_ended("p", 0, 1, turns=3)
    conversations.turn_ended("p", 0, 3, turns=3)  # the last one
    assert conversations.history(TalkPlace("p", 0, "title", 0, 2)) == (("first title", "a"),)
    conversations.turn_ended("p", 0, 2, turns=3)
    assert conversations.history(TalkPlace("p", 0, "title", 0, 2)) == ()


def test_a_turn_that_was_sent_without_the_one_before_is_not_taken_for_cut() -> None:
    """The first turn is answered after the second one was sent, so the second is shorter by right."""
    conversations = Conversations()
    first, second = TalkPlace("p", 0, "title", 0, 0), TalkPlace("p", 0, "title", 0, 1)
    assert conversations.history(first) == conversations.history(second) == ()
    assert conversations.keep(first, "long", "a", Reply("ok", prompt_tokens=54)).outcome == "ok"
    assert conversations.keep(second, "short", "b", Reply("ok", prompt_tokens=46)).outcome == "ok"
    third = TalkPlace("p", 0, "title", 0, 2)
    assert conversations.history(third) == (("long", "a"), ("short", "b"))
    assert conversations.keep(third, "c", "d", Reply("ok", prompt_tokens=45)).outcome == "error"
