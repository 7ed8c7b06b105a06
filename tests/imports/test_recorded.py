"""The law: a program runs against a recording front, and the workload has its calls, tokens and width."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from conftest import VirtualLoop
from hypothesis import given, settings
from hypothesis import strategies as st
from servers.asgi import AppTransport

from harness.errors import UserError
from harness.gateway.recorder import Exchange, RecordingApp
from harness.gateway.upstream import Headers, UpstreamAnswer
from harness.imports.draft import Draft
from harness.imports.recorded_draft import draft_recording
from harness.imports.recording import CallRecording, RecordedCall, keep_recording, read_recording
from harness.imports.said import said
from harness.imports.write import write_balanced
from harness.servers.access import Access
from harness.workload.load import Loaded, load_workload

JSON = [(b"content-type", b"application/json")]


class Server:
    """Answers after as long, and with as many tokens, as the last message says; counts what is in flight."""

    url = "http://server"

    def __init__(self) -> None:
        self.seen: list[tuple[str, Headers, dict[str, Any]]] = []
        self.now = self.most = 0

    async def send(
        self, method: str, target: str, headers: Headers, body: bytes | AsyncIterator[bytes] = b""
    ) -> UpstreamAnswer:
        assert isinstance(body, bytes)
        asked = json.loads(body)
        self.seen.append((target, headers, asked))
        order = json.loads(asked["messages"][-1]["content"].rpartition("|")[2])
        self.now += 1
        self.most = max(self.most, self.now)

        async def chunks() -> AsyncIterator[bytes]:
            await asyncio.sleep(order["s"])
            self.now -= 1
            said = {"message": {"role": "assistant", "content": order.get("says", "")}, "done": True}
            yield json.dumps({**said, "prompt_eval_count": order["in"], "eval_count": order["out"]}).encode() + b"\n"

        async def close() -> None: ...

        return UpstreamAnswer(order.get("status", 200), JSON, chunks(), close)


class Node(NamedTuple):
    """A call of a program: what it waits for, how long it pauses and takes, and its tokens."""

    after: tuple[int, ...]
    pause_s: float
    s: float
    tokens: tuple[int, int]
    opening: str


Ask = Callable[..., Any]


def recorded(program: Callable[[Ask], Any], **kwargs: Any) -> tuple[Server, list[RecordedCall]]:
    """Run a program on a virtual clock; `ask(order, opening, job, system)` is its call of a model."""
    server, recording = Server(), CallRecording(**kwargs)
    loop = VirtualLoop()

    def keep(one: Exchange) -> None:
        recording.add(
            said(one.path, one.asked, one.answer), one.start_s, one.end_s, job=one.job,
            input_tokens=one.input_tokens, output_tokens=one.output_tokens, failed=one.failed,
        )  # fmt: skip

    async def main() -> None:
        app = RecordingApp(server, keep, loop.time, Access("127.0.0.1"))
        async with httpx.AsyncClient(transport=AppTransport(app), base_url="http://127.0.0.1", timeout=None) as client:

            async def ask(
                order: dict[str, Any], opening: str = "", job: str = "", system: str = "", **options: Any
            ) -> str:
                messages = [{"role": "system", "content": system}] if system else []
                messages.append({"role": "user", "content": f"{opening}|{json.dumps(order)}"})
                headers = {"authorization": "Bearer secret", **({"x-slotwise-job": job} if job else {})}
                body = {"model": "m", "messages": messages, "options": options}
                answer = await client.post("/api/chat", json=body, headers=headers)
                return str(answer.json()["message"]["content"])

            await program(ask)

    try:
        loop.run_until_complete(main())
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    return server, recording.calls()


def imported(calls: list[RecordedCall], idle_s: float = 5.0) -> tuple[Draft, Loaded]:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "out.yaml"
        draft, _ = write_balanced(draft_recording(calls, "program", "out", idle_s), target)
        return draft, load_workload(target)


@st.composite
def programs(draw: st.DrawFn) -> list[Node]:
    """Any graph of calls with pauses, whose prompts begin alike or not."""
    nodes: list[Node] = []
    for i in range(draw(st.integers(1, 7))):
        after = tuple(sorted(draw(st.sets(st.sampled_from(range(i)), max_size=2)))) if i else ()
        opening = draw(st.sampled_from(["Summarise this text for me: ", f"Step {i}: ", "The joined parts of it: "]))
        nodes.append(
            Node(
                after, draw(st.sampled_from([0, 0, 0.25, 1])), draw(st.integers(1, 8)) / 8,
                (draw(st.integers(1, 500)), draw(st.integers(1, 100))), opening,
            )
        )  # fmt: skip
    return nodes


async def run(nodes: list[Node], ask: Ask, job: str = "") -> None:
    async def one(node: Node, before: list[asyncio.Task[None]]) -> None:
        await asyncio.gather(*before)
        await asyncio.sleep(node.pause_s)
        await ask({"s": node.s, "in": node.tokens[0], "out": node.tokens[1]}, node.opening, job)

    tasks: list[asyncio.Task[None]] = []
    for node in nodes:
        tasks.append(asyncio.create_task(one(node, [tasks[i] for i in node.after])))
    await asyncio.gather(*tasks)


@settings(max_examples=40, deadline=None)
@given(programs())
def test_what_one_job_sent_is_what_the_workload_sends(nodes: list[Node]) -> None:
    server, calls = recorded(lambda ask: run(nodes, ask))
    draft, _ = imported(calls)
    account = draft.account
    assert account.found.calls == len(nodes) == len(server.seen)
    assert account.found.input_tokens == sum(node.tokens[0] for node in nodes)
    assert account.found.output_tokens == sum(node.tokens[1] for node in nodes)
    assert account.found.width == server.most
    assert account.missing() == {}
    assert account.made.calls == pytest.approx(len(nodes), abs=0.01)
    # What overlapped only in part is one fan-out, whose calls all may run at once: nothing else differs.
    assert all(loss._replace(why="", width=0) == (*("",), 0, 0, 0, 0, 0) for loss in account.lost)


@settings(max_examples=25, deadline=None)
@given(st.lists(programs(), min_size=2, max_size=4), st.booleans())
def test_of_several_jobs_nothing_is_lost_in_silence(jobs: list[list[Node]], by_header: bool) -> None:
    async def program(ask: Ask) -> None:
        for number, nodes in enumerate(jobs):
            await run(nodes, ask, f"job-{number}" if by_header else "")
            await asyncio.sleep(0.5 if by_header else 20)

    server, calls = recorded(program)
    draft, loaded = imported(calls)
    assert next(iter(loaded.workload.pipelines.values())).jobs == len(jobs)
    assert draft.account.found.calls == sum(map(len, jobs))
    assert draft.account.found.input_tokens == sum(node.tokens[0] for nodes in jobs for node in nodes)
    assert draft.account.found.width == server.most
    assert draft.account.missing() == {}


PLAN = "first the tools, then the books"
MANUAL = "You lend tools. " * 20


async def agent(ask: Ask, job: str = "") -> None:
    """Plan; search three times in a conversation that grows; write two parts at once and join them."""
    plan = await ask({"s": 1, "in": 120, "out": 20, "says": PLAN}, "Plan a note", job, MANUAL)
    turns = "Search for what the plan needs, step by step"
    for n in range(3):
        await asyncio.sleep(0.5 if n else 0)
        turns = await _turn(ask, turns, n, job)
    parts = [ask({"s": 1, "in": 200, "out": 50}, f"Write a part of this plan: {plan} {i}", job, MANUAL) for i in "ab"]
    await asyncio.gather(*parts)


async def _turn(ask: Ask, turns: str, n: int, job: str) -> str:
    order = {"s": 1, "in": 100 + 70 * n, "out": 30, "says": f" so {n}"}
    await ask(order, turns, job, temperature=0.5)
    return f"{turns}|{json.dumps(order)}{order['says']} and the result {n}"


def test_a_recording_has_the_conversation_the_pauses_and_who_reads_whom() -> None:
    _, calls = recorded(agent)
    assert [call.follows for call in calls] == [-1, -1, 1, 2, -1, -1]
    assert [call.reads for call in calls][-2:] == [(0,), (0,)]
    draft, loaded = imported(calls)
    (pipeline,) = draft.pipelines.values()
    assert [(step.name, step.kind, step.after) for step in pipeline.flow] == [
        ("call-1", "agent", ()),
        ("call-2-loop", "graph", ("call-1",)),
        ("call-3", "agent", ("call-2-loop",)),
    ]
    body = pipeline.flow[1].body
    assert [step.kind for step in body] == ["tool", "agent"] or [step.kind for step in body] == ["agent", "tool"]
    assert next(step for step in body if step.kind == "agent").keys["grows"] == {"by": 30}
    agents = loaded.workload.agents
    assert agents["call-2"].temperature == 0.5
    assert agents["call-1"].system == agents["call-3"].system and agents["call-1"].shares_prefix
    assert {server.model for server in loaded.workload.servers.values()} == {"m"}
    assert draft.account.lost == () and draft.account.made.calls == 6


def test_jobs_are_parted_by_idle_time_unless_one_goes_on_with_the_other() -> None:
    async def program(ask: Ask) -> None:
        for n in range(3):
            says = await ask({"s": 1, "in": 10, "out": 5, "says": f"this is answer number {n}"}, f"Say {n}")
            await asyncio.sleep(7)
            await ask({"s": 1, "in": 30, "out": 5}, f"Improve this: {says}")  # the same job: it reads the answer
            await asyncio.sleep(6)

    draft, loaded = imported(recorded(program)[1])
    assert next(iter(loaded.workload.pipelines.values())).jobs == 3
    asked = [item for item in draft.head if item.question]
    assert len(asked) == 1 and "is each of these 3 jobs one?" in asked[0].text and asked[0].guess == "3 jobs"
    assert draft.account.missing() == {}
    together, _ = imported(recorded(program)[1], idle_s=60)
    assert [item.guess for item in together.head if item.question] == ["one job"]


def test_who_waits_for_whom_is_asked_where_no_answer_is_read() -> None:
    async def program(ask: Ask) -> None:
        says = await ask({"s": 1, "in": 10, "out": 5, "says": PLAN}, "Plan it all, and well")
        await ask({"s": 1, "in": 30, "out": 5, "says": PLAN[::-1]}, f"Write it, as this says: {says}", num_predict=9)
        await ask({"s": 1, "in": 30, "out": 5}, "Something else", temperature=1)

    (pipeline,) = imported(recorded(program)[1])[0].pipelines.values()
    assert any("these read the answer that they wait for: call-1-2 for call-1-1" in n.text for n in pipeline.notes)
    questions = [n.text for n in pipeline.notes if n.question]
    assert len(questions) == 1 and "call-2 for call-1-2" in questions[0]


def test_calls_that_fail_are_named_as_lost() -> None:
    async def program(ask: Ask) -> None:
        await ask({"s": 1, "in": 10, "out": 0, "status": 503})
        await ask({"s": 1, "in": 10, "out": 5})

    account = imported(recorded(program)[1])[0].account
    assert account.found.calls == 2 and account.made.calls == 1 and account.missing() == {}
    assert [(loss.why, loss.calls) for loss in account.lost] == [("that failed (the server answered 503)", 1)]

    async def only_failures(ask: Ask) -> None:
        await ask({"s": 1, "in": 10, "out": 0, "status": 404})

    with pytest.raises(UserError, match=r"found 1 call that failed \(the server answered 404\)"):
        imported(recorded(only_failures)[1])


@pytest.mark.parametrize("texts", [False, True])
def test_what_is_kept_has_no_texts_and_no_headers_and_gives_the_same_workload(tmp_path: Path, texts: bool) -> None:
    server, calls = recorded(lambda ask: agent(ask, "one"), texts=texts)
    assert all((b"authorization", b"Bearer secret") in headers for _, headers, _ in server.seen)  # it went through
    assert not any(name == b"x-slotwise-job" for _, headers, _ in server.seen for name, _ in headers)
    path = tmp_path / "kept.jsonl"
    keep_recording(path, calls)
    text = path.read_text()
    assert "secret" not in text and (texts or PLAN not in text) and "You lend tools" not in text
    assert ("Plan a note" in text) is texts
    assert read_recording(path) == calls
    for wrong, why in (
        ("{}", "expected a recording"),
        (text + '{"x": 1}\n', r":8: expected a recorded call, found the key"),
    ):
        path.write_text(wrong)
        with pytest.raises(UserError, match=why):
            read_recording(path)


PARTS = {"role": "user", "content": [{"type": "text", "text": "P"}]}
STREAM = (
    b"".join(b'data: {"choices":[{"delta":{"content":"%c"}}]}\n\n' % letter for letter in b"ab") + b"data: [DONE]\n"
)
LINES = b'{"response":"a"}\n{"response":"b"}'
ALL = ("S", ("P",), "ab")


@pytest.mark.parametrize(
    ("path", "asked", "answer", "expected"),
    [
        ("/api/generate", {"system": "S", "prompt": "P", "format": "json"}, LINES, ALL),
        ("/v1/chat/completions", {"messages": [{"role": "developer", "content": "S"}, PARTS]}, STREAM, ALL),
        ("/v1/responses", {"instructions": "S", "input": "P"}, b'{"output":[{"content":[{"text":"ab"}]}]}', ALL),
        ("/v1/messages", {"system": "S", "messages": [PARTS]}, b'{"content":[{"type":"text","text":"ab"}]}', ALL),
        ("/api/embed", {"model": "m", "input": ["P", "Q"]}, b"{}", ("", ("P", "Q"), "")),
        ("/api/chat", {"messages": "none", "options": 3}, b"\xff", ("", ("none",), "")),
    ],
)
def test_every_api_is_understood(path: str, asked: dict[str, Any], answer: bytes, expected: tuple[Any, ...]) -> None:
    found = said(path, asked, answer)
    assert (found.system, found.turns, found.answer) == expected
