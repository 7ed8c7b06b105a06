"""Images in conversations: they stay in the message in which they were shown, and a server finds them again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import VirtualLoop
from core.graphs import node, pipeline, plan_of, queue_of, until
from fake_ollama import FakeOllama
from predict import paper
from predict.test_same_sizes import emulated, simulated, starts_and_ends

from harness.core.engine import Engine
from harness.core.graph import Growth, Pipeline, Session
from harness.core.records import CallRecord, DelayRecord, JobRecord
from harness.core.sizes import fixed
from harness.drivers.chat import Chat
from harness.drivers.live import drive
from harness.measure.conversations import Conversations
from harness.measure.sender import Endpoint, Sender
from harness.servers.spec import RunningServer
from harness.workload.load import Loaded, load_workload
from harness.workload.longest import needs_of
from harness.workload.reads import Loop, Readable, Result
from harness.workload.schema import AgentSpec
from harness.workload.texts import Texts, listed

OLLAMA = RunningServer(
    "s", "ollama", "http://s:1", "m", 2, True, "v", False, False, {"context_tokens": 512, "batch_tokens": 512}
)
PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"
AGENT = AgentSpec(prompt="What is it?", output_tokens=4, images=("a.png", "b.png"), image_tokens=500)
URLS = {"a.png": "data:image/png;base64,QUFB", "b.png": "data:image/png;base64,QkJC"}
SENT = ["QUFB", "QkJC"]
Said = list[tuple[str, str, list[str]]]


async def run(loop: VirtualLoop, spec: Pipeline, fails: frozenset[int] = frozenset()) -> list[Said]:
    """Return role, text and images of each message, by request, in the order in which the fake got them."""
    fake = FakeOllama(loop.time, lambda user: 1.0, misbehave=lambda n: (500, b"{}") if n in fails else None)
    chat = Chat(OLLAMA.url, "m", loop.time, transport=fake.transport())
    name = spec.graph.nodes[0].name
    grows = spec.graph.nodes[0].grows is not None
    reads = {(spec.name, name): Readable({}, (name,) if grows else ())}
    loops = {(spec.name, name): Loop(frozenset({name}), (Result((name,)),))} if grows else {}

    def render(pipeline: str, who: int, node: str, item: int, names: object) -> tuple[str | None, str]:
        return None, AGENT.prompt

    plan, conversations = plan_of("c", (queue_of("s", 1),), (spec,)), Conversations()
    sender = Sender(
        plan,
        (spec,),
        {"s": Endpoint(OLLAMA, chat, None)},
        {(spec.name, name): AGENT},
        Texts(render, reads, loops, listed=listed),
        zero_s=0.0,
        seed=7,
        repeat=0,
        conversations=conversations,
        images=URLS,
    )

    def keep(record: CallRecord | JobRecord | DelayRecord) -> None:
        if isinstance(record, JobRecord) and record.session is not None:
            conversations.turn_ended(spec.name, record.session, record.job, turns=2)

    await drive(Engine((spec,), plan, origin="measured"), sender, keep, start_s=0.0, settle=loop.idle)
    await chat.close()
    return [[(m["role"], m["content"], m.get("images") or []) for m in body["messages"]] for body in fake.chats]


def talk() -> Pipeline:
    return pipeline("talk", node("say"), jobs=2, session=Session(fixed(2), fixed(0.0), True))


def growing(retries: int = 0, session: Session | None = None) -> Pipeline:
    act = node("act", grows=Growth(fixed(10), True), retries=retries)
    return pipeline("work", act, until("act/until", (0,), (0,), 2), jobs=1 if session is None else 2, session=session)


def images(said: list[Said]) -> list[list[list[str]]]:
    """Of the messages of the user."""
    return [[shown for role, _, shown in messages if role == "user"] for messages in said]


def test_each_turn_shows_its_own_and_those_before_it(run_virtual: Callable[[Any], Any]) -> None:
    said = run_virtual(lambda loop: run(loop, talk()))
    assert images(said) == [[SENT], [SENT, SENT]]
    assert said[1][:1] == said[0]  # to the last byte: a server can find it again
    assert [role for role, _, _ in said[1]] == ["user", "assistant", "user"]
    assert said[1][1][2] == []


def test_a_node_that_grows_shows_them_with_its_prompt_alone(run_virtual: Callable[[Any], Any]) -> None:
    said = run_virtual(lambda loop: run(loop, growing()))
    assert images(said) == [[SENT], [SENT, []]]
    assert said[1][:1] == said[0]


def test_in_a_session_each_turn_of_a_node_that_grows_shows_them_once(run_virtual: Callable[[Any], Any]) -> None:
    said = run_virtual(lambda loop: run(loop, growing(session=Session(fixed(2), fixed(0.0), True))))
    assert images(said) == [[SENT], [SENT, []], [SENT, [], SENT], [SENT, [], SENT, []]]


def test_a_call_that_failed_is_asked_again_with_them(run_virtual: Callable[[Any], Any]) -> None:
    said = run_virtual(lambda loop: run(loop, growing(retries=1), fails=frozenset({1})))
    assert images(said) == [[SENT], [SENT], [SENT, []]]


WORKLOAD = """
version: 1
name: w
pipelines:
  p:
    path: interactive
    jobs: JOBS
    SESSION
    nodes: {look: {agent: looker LOOP}}
agents:
  looker: {prompt: "0123456789abcdef", output_tokens: 6, SYSTEM images: [a.png], image_tokens: 500}
servers:
  s: {kind: simulated, profile: PROFILE, context_tokens: 8192}
compare:
  one: {placement: s, concurrency: serial}
"""
TURNS, GROWS = "session: {turns: 3, reuse_prefix: true}", ", repeat: {passes: 3}, grows: {by: 10}"


def load(folder: Path, *, session: str = "", loop: str = "", jobs: int = 3, system: str = "") -> Loaded:
    (folder / "a.png").write_bytes(PNG)
    (folder / "paper.yaml").write_text(
        paper.PROFILE.replace("contention: null", "contention: {2: 1}"), encoding="utf-8"
    )
    text = WORKLOAD.replace("SESSION", session).replace("LOOP", loop).replace("JOBS", str(jobs))
    text = text.replace("PROFILE", str(folder / "paper.yaml")).replace("SYSTEM", system)
    (folder / "w.yaml").write_text(text, encoding="utf-8")
    return load_workload(folder / "w.yaml")


def both(loaded: Loaded) -> list[CallRecord]:
    """Return what is simulated, which is what is emulated."""
    (plan,) = loaded.plans
    calls, run = simulated(loaded, plan, 0), emulated(loaded, plan)

    def by_call(records: list[CallRecord]) -> dict[tuple[int, int], tuple[int | None, int | None, int | None]]:
        return {
            (c.job, c.iteration): (c.reply.prompt_tokens, c.reply.output_tokens, c.reply.cached_tokens)
            for c in records
            if c.outcome == "ok"
        }

    assert by_call(calls) == by_call(run) and len(by_call(calls)) == len(calls)
    assert starts_and_ends(calls) == {key: pytest.approx(time) for key, time in starts_and_ends(run).items()}
    return sorted(calls, key=lambda call: (call.job, call.iteration))


def test_turns_by_hand(tmp_path: Path) -> None:
    """Four characters a token: a number of 9 characters and a question of 16 are 7, its answer 6."""
    calls = both(load(tmp_path, session=TURNS))
    assert [c.reply.prompt_tokens for c in calls] == [507, 507 + 6 + 504, 507 + 2 * (6 + 504)]
    # All of the prompt before, and its answer without the last token, which was never read.
    assert [c.reply.cached_tokens for c in calls] == [0, 507 + 5, 507 + 6 + 504 + 5]


def test_passes_by_hand(tmp_path: Path) -> None:
    calls = both(load(tmp_path, loop=GROWS, jobs=1))
    first, second, third = (c.reply.prompt_tokens or 0 for c in calls)
    assert first == 507
    assert 5 < second - first - 6 < 30 and 5 < third - second - 6 < 30  # a result of about ten tokens, and no image
    assert [c.reply.cached_tokens for c in calls] == [0, first + 5, second + 5]


@pytest.mark.parametrize("system", ["", 'system: "Be brief.", '])
@pytest.mark.parametrize(
    ("session", "loop", "jobs"), [(TURNS, GROWS, 6), ("", GROWS, 2), (TURNS.replace("true", "false"), "", 6)]
)
def test_a_simulation_is_what_is_emulated(tmp_path: Path, session: str, loop: str, jobs: int, system: str) -> None:
    both(load(tmp_path, session=session, loop=loop, jobs=jobs, system=system))


def test_the_longest_call_has_an_image_for_each_turn_and_one_for_all_passes(tmp_path: Path) -> None:
    (turns,) = needs_of(load(tmp_path, session=TURNS))
    (passes,) = needs_of(load(tmp_path, loop=GROWS, jobs=1))
    assert 1500 < turns.prompt_tokens < 1600
    assert 500 < passes.prompt_tokens < 600
