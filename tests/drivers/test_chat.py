"""Through the real ChatOllama: what is measured is what truly happened, and every failure is an outcome."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from conftest import VirtualLoop
from fake_ollama import FakeOllama

from harness.core.records import ChatRequest, Reply
from harness.drivers.chat import CACHED_HEADER, QUEUE_HEADER, THINKING_HEADER, Chat

REQUEST = ChatRequest("be brief", "hello", {"num_predict": 2, "num_ctx": 512}, stream=False)
STREAMED = REQUEST._replace(stream=True)
Run = Callable[[Any], Any]


@pytest.mark.parametrize("request_", [REQUEST, STREAMED], ids=["whole", "streamed"])
def test_times_are_those_of_the_server(run_virtual: Run, request_: ChatRequest) -> None:
    async def main(loop: VirtualLoop) -> tuple[Reply, str, FakeOllama]:
        server = FakeOllama(loop.time, lambda user: 1.5)
        chat = Chat("http://fake:1", "m", loop.time, transport=server.transport())
        await asyncio.sleep(2.0)
        reply, text = await chat.ask(request_, zero_s=0.5)
        await chat.close()
        return reply, text, server

    reply, text, server = run_virtual(main)
    (served,) = server.served
    assert (reply.sent_s, reply.end_s) == (served.arrived_s - 0.5, served.ended_s - 0.5) == (1.5, 3.0)
    assert reply.first_token_s == (2.25 if request_.stream else None)
    assert (reply.total_s, reply.prefill_s, reply.decode_s, reply.load_s) == (1.5, 0.75, 0.75, None)
    assert (reply.prompt_tokens, reply.output_tokens, reply.done_reason, text) == (10, 2, "length", "so")
    assert served.options == {"num_predict": 2, "num_ctx": 512}  # complete: nothing added, nothing lost


def test_two_hundred_calls_at_once_do_not_wait_for_connections(run_virtual: Run) -> None:
    """httpx allows 100 connections unless told otherwise; the 101st would wait in the client and look like queueing."""

    async def main(loop: VirtualLoop) -> list[Reply]:
        chat = Chat("http://fake:1", "m", loop.time, transport=FakeOllama(loop.time, lambda user: 1.0).transport())
        return [reply for reply, _ in await asyncio.gather(*(chat.ask(REQUEST) for _ in range(200)))]

    assert {reply.end_s for reply in run_virtual(main)} == {1.0}


def _answer(status: int, body: bytes, headers: dict[str, str] | None = None) -> httpx.MockTransport:
    return httpx.MockTransport(lambda request: httpx.Response(status, content=body, headers=headers))


def _final(**fields: Any) -> bytes:
    line = {"model": "m", "created_at": "x", "message": {"role": "assistant", "content": "hi"}, **fields}
    return json.dumps(line).encode() + b"\n"


def _ask(run_virtual: Run, transport: httpx.AsyncBaseTransport, request: ChatRequest) -> Reply:
    async def main(loop: VirtualLoop) -> Reply:
        reply, text = await Chat("http://fake:1", "m", loop.time, transport=transport).ask(request)
        assert (text != "") == (reply.outcome == "ok")
        return reply

    return run_virtual(main)  # type: ignore[no-any-return]  # a fixture of any type


def test_the_exact_queue_wait_of_our_front_is_taken_from_its_header(run_virtual: Run) -> None:
    transport = _answer(200, _final(done=True, done_reason="stop"), {QUEUE_HEADER: "31250000"})
    assert _ask(run_virtual, transport, REQUEST).queue_s == 0.03125
    transport = _answer(200, _final(done=True, done_reason="stop"), {CACHED_HEADER: "37"})
    assert _ask(run_virtual, transport, REQUEST).cached_tokens == 37
    transport = _answer(200, _final(done=True, done_reason="stop"))
    assert _ask(run_virtual, transport, REQUEST).queue_s is None


@pytest.mark.parametrize(
    ("status", "body", "outcome", "error"),
    [
        (404, b'{"error":"model \'m\' not found"}', "error", "404: model 'm' not found"),
        (503, b'{"error":"server busy, please try again."}', "rejected", "503: server busy, please try again."),
        (500, b'{"error":"red \\u001b[31m alert\\nline 2"}', "error", "500: red  [31m alert line 2"),
        (200, _final(done=False), "error", "the answer is truncated: it ended without a final line (done: true)"),
        (200, b"", "error", "the answer is no JSON"),
        (200, b'{"broken', "error", "the answer is no JSON"),
    ],
)
@pytest.mark.parametrize("request_", [REQUEST, STREAMED], ids=["whole", "streamed"])
def test_a_servers_failure_is_an_outcome(
    run_virtual: Run, request_: ChatRequest, status: int, body: bytes, outcome: str, error: str
) -> None:
    reply = _ask(run_virtual, _answer(status, body), request_)
    if body == b"" and request_.stream:
        error = "the server sent no answer at all"
    assert (reply.outcome, reply.error) == (outcome, error)
    assert reply.sent_s is not None and reply.end_s is not None


def test_an_error_line_in_the_middle_of_a_stream(run_virtual: Run) -> None:
    body = _final(done=False) + b'{"error":"out of memory"}\n'
    reply = _ask(run_virtual, _answer(200, body), STREAMED)
    assert (reply.outcome, reply.error) == ("error", "out of memory")


@pytest.mark.parametrize(
    ("raised", "outcome", "error"),
    [
        (httpx.ConnectError("no"), "error", "the server refused the connection: is it still running?"),
        (httpx.RemoteProtocolError("peer left"), "error", "the server closed the connection: peer left"),
        (httpx.ReadTimeout(""), "timeout", "no answer in time: ReadTimeout"),
    ],
)
@pytest.mark.parametrize("request_", [REQUEST, STREAMED], ids=["whole", "streamed"])
def test_a_broken_transport_is_an_outcome(
    run_virtual: Run, request_: ChatRequest, raised: Exception, outcome: str, error: str
) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise raised

    reply = _ask(run_virtual, httpx.MockTransport(fail), request_)
    assert (reply.outcome, reply.error) == (outcome, error)


def test_cancelling_a_call_closes_the_stream(run_virtual: Run) -> None:
    closed = []

    class Endless(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            async def lines() -> AsyncIterator[bytes]:
                try:
                    yield _final(done=False)
                    await asyncio.sleep(1e9)
                finally:
                    closed.append(True)

            return httpx.Response(200, content=lines())

    async def main(loop: VirtualLoop) -> None:
        task = asyncio.create_task(Chat("http://fake:1", "m", loop.time, transport=Endless()).ask(STREAMED))
        await asyncio.sleep(1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.0)

    run_virtual(main)
    assert closed == [True]


def _thought(*pieces: tuple[str, str], **fields: Any) -> bytes:
    """A stream of (thinking, content), and its last line."""
    lines = [
        {"model": "m", "message": {"role": "assistant", "content": content, "thinking": thinking}}
        for thinking, content in pieces
    ]
    done = {"done": True, "done_reason": "length"} | fields
    return b"".join(
        json.dumps(line).encode() + b"\n"
        for line in [*lines, {"model": "m", "message": {"role": "assistant", "content": ""}, **done}]
    )


@pytest.mark.parametrize(
    ("pieces", "fields", "expected"),
    [
        # two pieces of thinking and its two marks, which no piece shows; three of the answer
        ([("a", ""), ("b", ""), ("", "x"), ("", "y"), ("", "z")], {"eval_count": 7}, 4),
        # the same, and the token that ends the answer
        ([("a", ""), ("b", ""), ("", "x"), ("", "y")], {"eval_count": 7, "done_reason": "stop"}, 4),
        # a piece of the answer must have been several tokens
        ([("a", ""), ("", "x")], {"eval_count": 90}, None),
        ([("a", ""), ("", "x"), ("", "y")], {"eval_count": 2}, None),
        ([("", "x"), ("", "y")], {"eval_count": 2}, None),  # it did not think
        ([("a", ""), ("b", "")], {"eval_count": 3}, 3),  # it never came to an answer
        ([("a", ""), ("", "x")], {}, None),
    ],
)
def test_pieces_tell_thinking_from_the_answer(
    run_virtual: Run, pieces: list[tuple[str, str]], fields: dict[str, Any], expected: int | None
) -> None:
    async def main(loop: VirtualLoop) -> tuple[Reply, str]:
        chat = Chat("http://fake:1", "m", loop.time, transport=_answer(200, _thought(*pieces, **fields)))
        return await chat.ask(STREAMED._replace(think=True))

    reply, text = run_virtual(main)
    assert reply.outcome == "ok"
    assert reply.thinking_tokens == expected
    assert text == "".join(content for _, content in pieces)
    assert (reply.first_thought_s is None) == (not pieces[0][0])
    assert (reply.first_token_s is None) == (not text)


@pytest.mark.parametrize("think", [False, True, "high"])
def test_what_is_asked_is_sent_as_think_and_our_own_front_is_believed(run_virtual: Run, think: bool | str) -> None:
    asked: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content))
        body = _final(done=True, done_reason="length", eval_count=5)
        return httpx.Response(200, content=body, headers={THINKING_HEADER: "9"} if think else {})

    async def main(loop: VirtualLoop) -> Reply:
        chat = Chat("http://fake:1", "m", loop.time, transport=httpx.MockTransport(answer))
        reply, text = await chat.ask(REQUEST._replace(think=think))
        assert text == "hi"
        return reply

    reply = run_virtual(main)
    assert asked[0]["think"] == think
    assert reply.thinking_tokens == (5 if think else None)  # never more than there were
