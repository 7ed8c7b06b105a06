"""A server that speaks OpenAI's API, behind the front's seam: each call is one streamed request to it.

It has slots and a queue of its own, so the front holds no call back. What it does not tell (times, what was in its
cache) is not known; nothing is timed here in its place.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx

from harness.servers.front.engine import Cached, EngineError, Final, GenerateRequest, Model, Piece, Thought
from harness.servers.front.request import same_model
from harness.servers.openai_api import Dialect, Way, body_of, models_of, named, refusal, said, unreached
from harness.workload.image_files import data_url

__all__ = ["OpenAiConfig", "OpenAiEngine"]

CONNECT_S = 10.0
SILENCE_S = 3600.0  # between two parts of an answer, a wait in the server's queue too; callers give up by themselves
LINE_BYTES_MAX = 4 << 20
ANSWER_BYTES_MAX = 256 << 20
PIECES_MORE = 64  # than twice the tokens that were asked for: a server that goes on beyond does not count them
SEED_NONE = -1
TEMPLATE = "(the server's own)"
# Sampling beyond OpenAI's own: the option -> what a server calls it.
# llama-server hands all its own fields on (tools/server/server-common.cpp); vLLM documents its "extra parameters".
SAMPLING: dict[Dialect, dict[str, str]] = {
    "llama-server": {name: name for name in ("top_k", "min_p", "typical_p", "repeat_last_n", "repeat_penalty")},
    "vllm": {"top_k": "top_k", "min_p": "min_p", "repeat_penalty": "repetition_penalty"},
    "openai": {},
}
LIMIT, LIMIT_SINCE = "max_tokens", "max_completion_tokens"  # the second is OpenAI's newer name


class OpenAiConfig(NamedTuple):
    """What is known of the server; None: not known."""

    model_name: str  # as it lists it
    url: str
    key_variable: str | None
    version: str
    context_tokens: int | None  # of one slot
    template: str | None  # chat template
    dialect: Dialect
    sees_images: bool  # or may


class OpenAiEngine:
    """A model of a running server. Its slots are not known here: all calls go to it at once."""

    emulated = False

    def __init__(self, config: OpenAiConfig, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._config = config
        self._way = Way(config.url, config.key_variable)
        self._client: httpx.AsyncClient | None = None
        self._transport = transport  # for tests: answers instead of the network
        self._limit = LIMIT
        self.slots: int | None = None
        self.context_tokens = config.context_tokens
        self.version = config.version
        self.model = Model(
            name=config.model_name.removesuffix(":latest"),
            digest="",
            modified_at="1970-01-01T00:00:00Z",
            file_bytes=None,
            memory_bytes=None,
            vram_bytes=None,
            family="",
            parameter_size="",
            quantization="",
            template=config.template or TEMPLATE,
            thinking=config.template is None or "enable_thinking" in config.template,
            info={},
            thinking_known=config.template is not None,
            sees_images=config.sees_images,
        )
        assert same_model(config.model_name, self.model.name)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Piece, None]:
        """Yield what the server streams; an early close closes the connection, at which the server stops."""
        if request.messages is None:
            raise EngineError(400, "a server behind OpenAI's API has its own chat template: `raw` is not supported")
        if self._client is None:  # of the loop that serves
            self._client = self._way.client(httpx.Timeout(SILENCE_S, connect=CONNECT_S), self._transport)
        answer = _Answer(self._way, request)
        try:
            async with self._asked(self._client, request) as response:
                async for event in _events(self._way, response):
                    for piece in answer.pieces(event):
                        yield piece
                    if answer.ended:
                        break
                yield answer.final()
        except httpx.TimeoutException:
            raise EngineError(504, f"{self._way.shown} sent nothing for too long") from None
        except (httpx.RemoteProtocolError, httpx.ReadError):
            raise EngineError(502, f"{self._way.shown} closed the connection before the end of its answer") from None
        except httpx.HTTPError as error:
            raise EngineError(502, unreached(self._way, error)) from None

    @asynccontextmanager
    async def _asked(self, client: httpx.AsyncClient, request: GenerateRequest) -> AsyncIterator[httpx.Response]:
        """Open the stream of an answer; once more where the server only knows the newer name of the limit."""
        url = f"{self._way.url}/chat/completions"
        async with client.stream("POST", url, json=self._body(request)) as response:
            if response.status_code == 200:
                yield response
                return
            status, words = response.status_code, said(await body_of(response))
        if status != 400 or self._limit == LIMIT_SINCE or LIMIT_SINCE not in words:
            raise await self._refused(client, status, words)
        self._limit = LIMIT_SINCE
        async with client.stream("POST", url, json=self._body(request)) as response:
            if response.status_code != 200:
                raise await self._refused(client, response.status_code, said(await body_of(response)))
            yield response

    def _body(self, request: GenerateRequest) -> dict[str, Any]:
        options, dialect = request.options, self._config.dialect
        body: dict[str, Any] = {
            "model": self._config.model_name,
            "messages": [_message(message) for message in request.messages or ()],
            "stream": True,  # also for whole replies: only a stream can be stopped
            "stream_options": {"include_usage": True},
            "temperature": options["temperature"],
            "top_p": options["top_p"],
        }
        if not request.no_limit:
            body[self._limit] = request.num_predict
        if options["seed"] > SEED_NONE:
            body["seed"] = options["seed"]
        if options.get("stop"):
            body["stop"] = options["stop"]
        for penalty in ("presence_penalty", "frequency_penalty"):
            if options[penalty]:
                body[penalty] = options[penalty]
        if request.format == "json":
            body["response_format"] = {"type": "json_object"}
        elif request.format is not None:
            schema = {"name": "answer", "schema": request.format, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if request.think is not None and (request.think or dialect != "openai"):
            body["chat_template_kwargs"] = {"enable_thinking": request.think}
        body |= {name: options[option] for option, name in SAMPLING[dialect].items()}
        if dialect != "openai" and request.ignore_eos:
            body["ignore_eos"] = True
        if dialect == "llama-server":
            body["cache_prompt"] = request.cache_prompt
            if request.stream:
                body["return_progress"] = True  # tells what was cached before the first token
        return body

    async def _refused(self, client: httpx.AsyncClient, status: int, words: str) -> EngineError:
        if status == 404:
            listed = await models_of(client, self._way)
            if self._config.model_name not in listed:
                there = named(listed, self._config.model_name)
                return EngineError(404, f'{self._way.shown} has no model "{self._config.model_name}"{there}')
        why = refusal(self._way, status, words)
        return EngineError(why.status, why.message)


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message as OpenAI's API has it: images are parts of its content, as data URLs."""
    if not (images := message.get("images")):
        return message
    parts: list[dict[str, Any]] = [{"type": "text", "text": message["content"]}]
    parts += [{"type": "image_url", "image_url": {"url": _image_url(image)}} for image in images]
    return {"role": message["role"], "content": parts}


def _image_url(image: str) -> str:
    try:
        data = base64.b64decode(image, validate=True)
    except ValueError:
        raise EngineError(400, "an image of the request is no base64") from None
    return data_url(data)


class _Answer:
    """What is known of one answer, as its events come in."""

    def __init__(self, way: Way, request: GenerateRequest) -> None:
        self.ended = False
        self._way = way
        self._pieces_max = 2 * request.num_predict + PIECES_MORE
        self._asked = request.num_predict
        self._pieces = 0
        self._reason: str | None = None
        self._cached: int | None = None
        self._usage: dict[str, Any] = {}
        self._timings: dict[str, Any] = {}

    def pieces(self, event: dict[str, Any] | None) -> list[Piece]:
        """Take one event in (None: the last, which says so); return what it has of the text."""
        if event is None:
            self.ended = True
            return []
        if event.get("error"):
            error = event["error"]
            code = error.get("code") if isinstance(error, dict) else None
            why = refusal(self._way, code if isinstance(code, int) else 500, said(event))
            raise EngineError(why.status, why.message)
        for name, kept in (("usage", self._usage), ("timings", self._timings)):
            if isinstance(event.get(name), dict):
                kept.update(event[name])
        choices = event.get("choices") or [{}]
        choice = choices[0] if isinstance(choices, list) and isinstance(choices[0], dict) else {}
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            delta = {}
        self._reason = choice.get("finish_reason") or self._reason
        found: list[Piece] = []
        progress = event.get("prompt_progress")
        if isinstance(progress, dict) and self._cached is None:
            self._cached = _count(progress.get("cache"))
            if self._cached is not None:
                found.append(Cached(self._cached))
        thought = delta.get("reasoning_content") or delta.get("reasoning")  # vLLM has used both names
        if isinstance(thought, str) and thought:
            found.append(Thought(thought))
        if isinstance(text := delta.get("content"), str) and text:
            found.append(text)
        self._pieces += bool(found)
        if self._pieces > self._pieces_max:
            raise EngineError(
                502,
                f"{self._way.shown} goes on after {self._asked} tokens, which is all that was asked for (max_tokens)",
            )
        return found

    def final(self) -> Final:
        """Return the end, or say that there was none."""
        if self._reason is None:
            raise EngineError(502, f"{self._way.shown} ended its answer without saying why (finish_reason)")
        usage, timings = self._usage, self._timings
        told = usage.get("prompt_tokens_details")
        cached = _count(told.get("cached_tokens")) if isinstance(told, dict) else None
        if (kept := _count(timings.get("cache_n"))) is not None:
            cached = kept
        output_tokens = _count(usage.get("completion_tokens"))
        return Final(
            reason="length" if self._reason == "length" else "stop",
            prompt_tokens=_count(usage.get("prompt_tokens")),
            cached_tokens=cached,
            prompt_ns=_ns(timings.get("prompt_ms")),
            output_tokens=output_tokens,
            # one token has no second one to measure to; llama-server says 1 us then, to divide by
            output_ns=_ns(timings.get("predicted_ms")) if (output_tokens or 0) > 1 else None,
        )


async def _events(way: Way, response: httpx.Response) -> AsyncIterator[dict[str, Any] | None]:
    """Yield the events of a stream, each an object; None is `[DONE]`. Lines and answers are bounded."""
    rest, total = b"", 0
    async for part in response.aiter_bytes():
        total += len(part)
        *lines, rest = (rest + part).split(b"\n")
        if total > ANSWER_BYTES_MAX or len(rest) > LINE_BYTES_MAX:
            raise EngineError(502, f"{way.shown} sent an answer that is too large")
        for line in lines:
            if line.startswith(b"data:"):
                yield _event(way, line[5:].strip())
            elif line.startswith(b"error:"):  # how llama-server has told errors in a stream
                yield _event(way, b'{"error":' + line[6:].strip() + b"}")
            elif line.strip() and not line.startswith((b":", b"event:", b"id:", b"retry:")):
                raise _malformed(way, line)
    if rest.strip():
        if not rest.startswith(b"data:"):
            raise _malformed(way, rest)
        yield _event(way, rest[5:].strip())


def _event(way: Way, data: bytes) -> dict[str, Any] | None:
    if data == b"[DONE]":
        return None
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise _malformed(way, data)
    return event


def _malformed(way: Way, data: bytes) -> EngineError:
    shown = way.hidden(data[:80].decode(errors="replace"))
    return EngineError(
        502, f"{way.shown}: the answer is no stream of OpenAI's API; expected data: {{...}}, found {shown}"
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _ns(value: object) -> int | None:
    """Return nanoseconds of milliseconds."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12
    return round(value * 1e6) if known and isinstance(value, int | float) else None
