"""Whatever speaks OpenAI's HTTP API: what it is and has, and what it says where it refuses.

It is only asked, never told anything that changes it. The API key is read from the environment where a request is
made; it is in no order to a process, no record and no message.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import httpx

from harness import units
from harness.errors import ServerFailure, UserError, did_you_mean

__all__ = [
    "ASK_S",
    "Dialect",
    "OpenAiFacts",
    "Refused",
    "Way",
    "body_of",
    "look",
    "models_of",
    "named",
    "refusal",
    "said",
    "slots_working",
    "unreached",
    "way_to",
]

ASK_S = 10.0
BODY_BYTES_MAX = 4 << 20  # of a whole answer that is read
WORDS_MAX = 300  # characters that are repeated of what a server says
MODELS_SHOWN = 12


# Which server it is, and so what it takes and tells beyond OpenAI's own fields; "openai": nothing.
Dialect = Literal["llama-server", "vllm", "openai"]
OWNERS: dict[str, Dialect] = {"llamacpp": "llama-server", "vllm": "vllm"}  # by `owned_by` of their models


class Way(NamedTuple):
    """How to reach a server."""

    url: str  # without a slash at the end
    key_variable: str | None  # the environment variable that has the API key

    @property
    def shown(self) -> str:
        """The URL for people, without what is secret in it."""
        return units.safe_url(self.url)

    @property
    def key(self) -> str:
        """The API key; "" = none."""
        return "" if self.key_variable is None else os.environ.get(self.key_variable, "").strip()

    def client(
        self, timeout: httpx.Timeout | float, transport: httpx.AsyncBaseTransport | None = None
    ) -> httpx.AsyncClient:
        """Open a client that sends the key to this server, follows no redirect and goes through no proxy."""
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        return httpx.AsyncClient(headers=headers, timeout=timeout, trust_env=False, limits=limits, transport=transport)

    def hidden(self, text: str) -> str:
        """Return somebody else's words as a line without the key."""
        if self.key:
            text = text.replace(self.key, "***")
        text = units.safe_text(" ".join(text.split()))
        return "".join(c if c.isprintable() else " " for c in text)[:WORDS_MAX]


class Refused(NamedTuple):
    """Why a call was refused."""

    status: int  # what a caller is told
    message: str  # one line: why, and what to do


class OpenAiFacts(NamedTuple):
    """What a server tells about itself; None: it does not."""

    version: str  # name and version of the engine, as far as it says them
    context_tokens: int | None = None  # of one slot
    slots: int | None = None
    template: str | None = None  # chat template
    dialect: Dialect = "openai"
    sees_images: bool | None = None


def way_to(name: str, url: str, key_variable: str | None) -> Way:
    """Return the way to a server.

    Raises:
        UserError: the variable is not set, or what it has is no key.
    """
    way = Way(url.rstrip("/"), key_variable)
    if key_variable is not None and not way.key:
        raise UserError(
            f"{name}: the environment variable {key_variable} is not set (`api_key_env`); set it to the API key of "
            f"{way.shown}, or leave `api_key_env` out"
        )
    if not (way.key.isascii() and way.key.isprintable() and " " not in way.key):
        raise UserError(
            f"{name}: expected an API key in the environment variable {key_variable}, in ASCII and without spaces; "
            "found something else"
        )
    return way


async def look(name: str, way: Way, model: str) -> OpenAiFacts:
    """Ask a server what it is; it has to list the model.

    Raises:
        UserError: it does not have the model, or does not take the key.
        ServerFailure: it does not answer, or not as OpenAI's API does.
    """
    async with way.client(ASK_S) as client:
        try:
            status, answer = await _get(client, f"{way.url}/models")
        except httpx.TimeoutException:
            raise ServerFailure(f"{name}: {way.shown} did not answer within {units.seconds(ASK_S)}") from None
        except httpx.HTTPError as error:
            raise ServerFailure(f"{name}: {unreached(way, error)}") from None
        if status in (401, 403):
            raise UserError(f"{name}: {refusal(way, status, '').message}")
        listed = answer.get("data") if status == 200 and isinstance(answer, dict) else None
        if not isinstance(listed, list):
            raise ServerFailure(
                f"{name}: {way.shown}/models does not answer as OpenAI's API does ({status}: "
                f"{way.hidden(said(answer))}); the URL usually ends in /v1"
            )
        entries = {str(one.get("id")): one for one in listed if isinstance(one, dict)}
        if model not in entries:
            raise UserError(f'{name}: {way.shown} has no model "{model}"{named(entries, model)}')
        return await _what(client, way, entries[model])


async def models_of(client: httpx.AsyncClient, way: Way) -> tuple[str, ...]:
    """Return the names of the models that a server lists; none where it does not answer as it should."""
    try:
        _, answer = await _get(client, f"{way.url}/models")
    except httpx.HTTPError:
        return ()
    listed = answer.get("data") if isinstance(answer, dict) else None
    return tuple(str(one.get("id")) for one in listed if isinstance(one, dict)) if isinstance(listed, list) else ()


async def slots_working(way: Way, transport: httpx.AsyncBaseTransport | None = None) -> int | None:
    """Return how many slots of a llama-server work right now; None where it does not tell (`--no-slots`)."""
    async with way.client(ASK_S, transport) as client:
        try:
            status, answer = await _get(client, f"{way.url.removesuffix('/v1')}/slots")
        except httpx.HTTPError:
            return None
    if status != 200 or not isinstance(answer, list):
        return None
    return sum(isinstance(slot, dict) and slot.get("is_processing") is True for slot in answer)


async def _what(client: httpx.AsyncClient, way: Way, entry: Mapping[str, Any]) -> OpenAiFacts:
    """Return what a server is, by what it says of a model: llama-server and vLLM say more than OpenAI does."""
    dialect = OWNERS.get(str(entry.get("owned_by", "")), "openai")
    if dialect == "vllm":
        return OpenAiFacts("vllm", _positive(entry.get("max_model_len")), dialect=dialect)
    if dialect == "openai":
        return OpenAiFacts("OpenAI API")
    try:
        status, props = await _get(client, f"{way.url.removesuffix('/v1')}/props")
    except httpx.HTTPError:
        status, props = 0, None
    if status != 200 or not isinstance(props, dict):
        props = {}
    settings, template = props.get("default_generation_settings"), props.get("chat_template")
    modalities = props.get("modalities")
    sees = modalities.get("vision") if isinstance(modalities, dict) else None
    return OpenAiFacts(
        version=f"llama-server {way.hidden(str(props.get('build_info', '')))}".strip(),
        context_tokens=_positive(settings.get("n_ctx")) if isinstance(settings, dict) else None,
        slots=_positive(props.get("total_slots")),
        template=template if isinstance(template, str) and template else None,
        dialect=dialect,
        sees_images=sees if isinstance(sees, bool) else None,
    )


def _positive(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


async def _get(client: httpx.AsyncClient, url: str) -> tuple[int, Any]:
    """Return status and body of a GET; the text where it is no JSON."""
    async with client.stream("GET", url) as response:
        return response.status_code, await body_of(response)


async def body_of(response: httpx.Response) -> Any:
    """Return the JSON of a response, or its text where it is none; of a longer one only the beginning."""
    data = b""
    async for part in response.aiter_bytes():
        data += part
        if len(data) > BODY_BYTES_MAX:
            break
    try:
        return json.loads(data[:BODY_BYTES_MAX])
    except (ValueError, RecursionError):
        return data[:BODY_BYTES_MAX].decode(errors="replace")


def said(answer: Any) -> str:
    """Return what the body of an error says: `{"error": {"message": ...}}`, or what servers have in its place."""
    if isinstance(answer, dict):
        error = answer.get("error", answer.get("detail", answer.get("message", answer)))
        return str(error.get("message", error) if isinstance(error, dict) else error)
    return str(answer)


def named(models: Sequence[str] | Mapping[str, Any], asked: str) -> str:
    """Return what follows on "there is no such model": the models that there are."""
    if not models:
        return "; it lists none"
    shown = ", ".join(sorted(models)[:MODELS_SHOWN]) + (", ..." if len(models) > MODELS_SHOWN else "")
    hint = did_you_mean(asked, tuple(models)) or "."
    return f"{hint} It has {units.count(len(models), 'model')}: {shown}"


def refusal(way: Way, status: int, words: str) -> Refused:
    """Return what an error status means, in one line; `words` are the server's own, and are not trusted."""
    what = way.hidden(words)
    why = f" ({what})" if what else ""
    if status in (401, 403):  # what it says may have the key in it, in part
        if way.key_variable is None:
            return Refused(status, f"{way.shown} asks for an API key ({status}); name its variable with `api_key_env`")
        return Refused(
            status,
            f"{way.shown} does not take the API key ({status}); check the environment variable {way.key_variable}",
        )
    if status in (429, 503):
        return Refused(503, f"{way.shown} is too busy: {status}{why}")
    if 300 <= status < 400:
        return Refused(502, f"{way.shown} answers from another address ({status}); name that one in `url`")
    return Refused(status if 400 <= status < 600 else 502, f"{way.shown} refused the call: {status}{why}")


def unreached(way: Way, error: httpx.HTTPError) -> str:
    """Return why nothing came from a server, in one line."""
    if isinstance(error, httpx.ConnectError):
        return f"nothing listens at {way.shown}: start the server, or fix `url`"
    return f"nothing answers at {way.shown} ({way.hidden(str(error)) or type(error).__name__})"
