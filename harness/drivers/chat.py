"""One call to a model through ChatOllama, with its times and with every failure turned into an outcome.

docs/explanation/measuring.md has what must be known about langchain-ollama to measure through it: `ainvoke` streams
unless told not to, `options=` replaces all of the instance's options, the pool is 100 connections unless told
otherwise, and private fields of a server reach us only through an httpx hook.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from json import JSONDecodeError
from typing import Any

import httpx
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from pydantic import ValidationError

from harness.bounded import ANSWER_BYTES, AnswerTooLong, Bounded, without_proxies
from harness.core.records import ChatRequest, Outcome, Reply
from harness.drivers.figures import Believed, figures_of, number_in, one_line
from harness.drivers.repetition import REPEATED, SAID, repeats_itself

with without_proxies():
    from langchain_ollama import ChatOllama
    from ollama import ResponseError

__all__ = ["CACHED_HEADER", "QUEUE_HEADER", "THINKING_HEADER", "Chat", "client_settings", "explain"]

# What our own front tells: the exact wait for a slot, the prompt tokens that were in its cache, and the tokens before
# the answer.
QUEUE_HEADER = "x-slotwise-queue-ns"
CACHED_HEADER = "x-slotwise-cached-tokens"
THINKING_HEADER = "x-slotwise-thinking-tokens"
MARKS_MAX = 16  # tokens around thinking that no piece shows, such as <think> and </think>
_told: ContextVar[dict[str, int] | None] = ContextVar("told", default=None)


class Chat:
    """One server and model; one ChatOllama for all calls, since each builds two HTTP clients.

    Args:
        url: the server's base URL, with scheme and port.
        model: name of the model.
        clock: seconds, never going backwards.
        transport: for tests: answers instead of the network.
    """

    def __init__(
        self,
        url: str,
        model: str,
        clock: Callable[[], float],
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._clock = clock
        self._model = ChatOllama(
            model=model,
            base_url=url,
            reasoning=False,  # unless a call says otherwise: a model that can think would do so unasked
            cache=False,
            keep_alive=None,  # the server's own, unless an agent says it: a request's own can block a server
            async_client_kwargs=client_settings(_note, transport),
            # The synchronous client is never used; building its TLS context would cost 20 ms.
            sync_client_kwargs={"verify": False, "trust_env": False},
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._model._async_client._client.aclose()

    async def ask(self, request: ChatRequest, zero_s: float = 0.0) -> tuple[Reply, str]:
        """Carry out one call and return how it went and the answer's text ("" unless it went well).

        `zero_s` is the clock's time that counts as 0 in the reply.

        Raises nothing but CancelledError: what a server or the transport does wrong is an outcome.
        """
        messages: list[BaseMessage] = [] if request.system is None else [SystemMessage(request.system)]
        shown = request.shown_before or ((),) * len(request.history)
        for (user, said), images in zip(request.history, shown, strict=True):
            messages += [_shown(user, images), AIMessage(said)]
        messages.append(_shown(request.user, request.images))
        arguments: dict[str, Any] = {"options": dict(request.options)}
        if request.format is not None:
            arguments["format"] = request.format
        if request.think:
            arguments["reasoning"] = request.think
        if request.keep_alive is not None:
            arguments["keep_alive"] = request.keep_alive
        told: dict[str, int] = {}
        _told.set(told)
        sent_s, first_s, thought_s = self._clock() - zero_s, None, None
        thoughts, pieces = 0, list[str]()
        try:
            if request.stream:
                metadata: dict[str, Any] = {}
                async for chunk in self._model.astream(messages, **arguments):
                    if chunk.content:  # plain `content`: the `text` property costs 20 us a chunk
                        if first_s is None:
                            first_s = self._clock() - zero_s
                        pieces.append(str(chunk.content))
                    if request.think and chunk.additional_kwargs:
                        thoughts += 1
                        if thought_s is None:
                            thought_s = self._clock() - zero_s
                    if chunk.response_metadata:
                        metadata |= chunk.response_metadata
                text = "".join(pieces)
            else:
                answer = await self._model.ainvoke(messages, stream=False, **arguments)
                metadata, text = answer.response_metadata, answer.text
        except Exception as error:  # noqa: BLE001  a server's failure is a record, whatever its type
            outcome, reason = explain(error)
            return Reply(outcome, sent_s=sent_s, first_token_s=first_s, end_s=self._clock() - zero_s, error=reason), ""
        end_s = self._clock() - zero_s
        if not metadata.get("done") and repeats_itself(text):
            return Reply("error", sent_s, first_s, end_s, error=SAID, done_reason=REPEATED), ""
        if not metadata.get("done"):
            reason = "the answer is truncated: it ended without a final line (done: true)"
            return Reply("error", sent_s=sent_s, first_token_s=first_s, end_s=end_s, error=reason), ""
        told_of = figures_of(metadata, told.get(QUEUE_HEADER), end_s - sent_s)
        reply = Reply(
            "ok",
            sent_s=sent_s,
            first_token_s=first_s,
            end_s=end_s,
            error=told_of.doubt,
            done_reason=_reason(metadata.get("done_reason")),
            prompt_tokens=told_of.prompt_tokens,
            output_tokens=told_of.output_tokens,
            total_s=told_of.total_s,
            load_s=told_of.load_s,
            prefill_s=told_of.prefill_s,
            decode_s=told_of.decode_s,
            queue_s=told_of.queue_s,
            cached_tokens=_at_most(told.get(CACHED_HEADER), told_of.prompt_tokens),
            first_thought_s=thought_s,
            thinking_tokens=_thinking_tokens(told_of, metadata, told.get(THINKING_HEADER), thoughts, len(pieces)),
        )
        return reply, text


def _shown(text: str, images: tuple[str, ...]) -> HumanMessage:
    """Return a message with its images, which are data URLs."""
    if not images:
        return HumanMessage(text)
    shown: list[str | dict[Any, Any]] = [{"type": "image_url", "image_url": {"url": url}} for url in images]
    return HumanMessage([{"type": "text", "text": text}, *shown])


def _reason(said: object) -> str | None:
    """Return why an answer ended, as the server said it, in a few printable characters."""
    return None if said is None else one_line(said, 40)


def _at_most(said: int | None, tokens: int | None) -> int | None:
    """Return a count that is part of another one, unless it cannot be."""
    return None if said is None or (tokens is not None and said > tokens) else said


def _thinking_tokens(
    found: Believed, metadata: dict[str, Any], told: int | None, thoughts: int, pieces: int
) -> int | None:
    """Return how many of the tokens came before the answer; None where there were none, or that cannot be told.

    Ollama counts all of them together. Where an answer is streamed each of its pieces is a token, so the others came
    before it: thinking, and what marks it, which no piece shows. Where that does not fit, pieces were not tokens.

    Args:
        found: what can be believed of the last line.
        metadata: the last line.
        told: by our own front.
        thoughts, pieces: how many pieces there were, of thinking and of the answer.
    """
    generated = found.output_tokens
    if generated is None or told is not None:
        return None if generated is None else min(told or 0, generated)
    before = generated - pieces - (metadata.get("done_reason") == "stop")  # the token that ends the answer
    return before if thoughts and thoughts <= before <= thoughts + MARKS_MAX else None


def client_settings(
    hook: Callable[[httpx.Response], Awaitable[None]],
    transport: httpx.AsyncBaseTransport | None,
    most_bytes: int = ANSWER_BYTES,
) -> dict[str, Any]:
    """Return the settings of an HTTP client to measure with; `hook` is told of each response as its headers come."""
    if transport is None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        transport = httpx.AsyncHTTPTransport(limits=limits, trust_env=False)
    return {
        "transport": Bounded(transport, most_bytes),
        "timeout": None,  # the engine owns timeouts
        "trust_env": False,  # a proxy between us and a local server would be measured with it
        "event_hooks": {"response": [hook]},
    }


async def _note(response: httpx.Response) -> None:
    told = _told.get()
    for name in (QUEUE_HEADER, CACHED_HEADER, THINKING_HEADER):
        value = number_in(response.headers.get(name))
        if told is not None and value is not None:
            told[name] = value


def explain(error: Exception) -> tuple[Outcome, str]:
    """Turn what langchain-ollama raises (reference 4.5) into an outcome and one plain line."""
    if isinstance(error, ResponseError):
        if error.status_code == 503:
            return "rejected", f"503: {one_line(error.error)}"
        status = "" if error.status_code == -1 else f"{error.status_code}: "
        return "error", f"{status}{one_line(error.error)}"
    if isinstance(error, httpx.ConnectError | ConnectionError):
        return "error", "the server refused the connection: is it still running?"
    if isinstance(error, AnswerTooLong):
        return "error", str(error)
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
        return "error", f"the server closed the connection: {one_line(error)}"
    if isinstance(error, asyncio.TimeoutError | httpx.TimeoutException):
        return "timeout", f"no answer in time: {one_line(error) or type(error).__name__}"
    if isinstance(error, httpx.TooManyRedirects):
        return "error", "the server sends its clients elsewhere, in circles: give the URL of an Ollama itself"
    if isinstance(error, JSONDecodeError):
        return "error", "the answer is no JSON"
    if isinstance(error, UnicodeDecodeError):
        return "error", "the answer is no UTF-8"
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return "error", one_line(f"the answer is not as Ollama's are: {where}: {first['msg']}")
    if isinstance(error, AttributeError | TypeError):  # `ollama` takes it for a mapping
        return "error", "the answer is not as Ollama's are: a line is no JSON object"
    if isinstance(error, ValueError) and str(error).startswith(("No data received", "No generation chunks")):
        return "error", "the server sent no answer at all"
    return "error", f"{type(error).__name__}: {one_line(error)}"
