"""Whatever speaks Ollama's HTTP API: ask it what it is and has, and load its models.

It is only asked, never told anything that changes it.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx

from harness import units
from harness.bounded import asking
from harness.errors import ServerFailure, UserError, did_you_mean
from harness.servers.spec import RunningServer

__all__ = [
    "ASK_S",
    "LOAD_S",
    "ask",
    "capabilities",
    "error_text",
    "find",
    "load",
    "models_at",
    "normal_url",
    "only_model",
]

ASK_S = 10.0
LOAD_S = 600.0


def normal_url(name: str, url: str) -> str:
    """Return `url` with scheme and port as Ollama's clients need them, or raise a `UserError`."""
    full = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(full)
        port = parts.port
    except ValueError:
        raise UserError(f"{name}: not a URL: {units.safe_url('//' + url.rpartition('@')[2])}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise UserError(f"{name}: expected a URL such as http://127.0.0.1:11434, found {units.safe_url(full)}")
    if port is None and parts.scheme == "http":
        port = 11434  # plain http means 80 to httpx, which is nobody's Ollama
    netloc = parts.netloc if parts.port or port is None else f"{parts.netloc.rstrip(':')}:{port}"
    return f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}"


async def ask(name: str, base: str, client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    """Return the answer to a GET; a `ServerFailure` says why there is none."""
    shown = units.safe_url(base)
    try:
        response = await client.get(path)
        if response.status_code == 200:
            answer = response.json()
            if isinstance(answer, dict):
                return answer
    except httpx.TimeoutException:
        raise ServerFailure(f"{_named(name)}{shown} did not answer within {units.seconds(ASK_S)}") from None
    except httpx.HTTPError as error:
        raise ServerFailure(f"{_named(name)}{_why_none(shown, error)}") from None
    except ValueError:
        pass
    raise ServerFailure(
        f"{_named(name)}{shown}{path} does not answer as Ollama does ({response.status_code}: {error_text(response)})"
    )


def _named(name: str) -> str:
    return f"{name}: " if name else ""


def _why_none(shown: str, error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.ConnectError) and "name" not in str(error).lower():  # the host's name is known
        return f"nothing listens at {shown}: start it with `ollama serve`, or fix the URL"
    return f"nothing answers at {shown} ({error}): start it with `ollama serve`, or fix the URL"


async def models_at(url: str) -> list[str]:
    """Return the models of a running server; nothing else is asked of it.

    Raises:
        UserError: that is no URL.
        ServerFailure: it does not answer, or not as Ollama does.
    """
    base = normal_url("URL", url)
    async with asking(base, ASK_S) as client:
        return _models(await ask("", base, client, "/api/tags"))


async def only_model(url: str) -> str:
    """Return the model of a running server that has one; nothing else is asked of it.

    Raises:
        UserError: it has none, or several: the message lists them.
        ServerFailure: it does not answer, or not as Ollama does.
    """
    have = await models_at(url)
    if len(have) == 1:
        return have[0]
    shown = units.safe_url(normal_url("URL", url))
    if not have:
        raise UserError(f"{shown} has no models; fetch one with: ollama pull NAME")
    raise UserError(f"{shown} has {len(have)} models: {_listed(have)}. Choose one with --model")


def _models(tags: dict[str, Any]) -> list[str]:
    return [str(entry.get("name", "")) for entry in tags.get("models") or [] if isinstance(entry, dict)]


def _listed(names: list[str]) -> str:
    return ", ".join(sorted(names)[:12]) + (", ..." if len(names) > 12 else "")


def find(name: str, where: str, asked: str, tags: dict[str, Any]) -> str:
    """Return the name under which the server has the model."""
    have = _models(tags)
    for candidate in (asked, f"{asked}:latest"):
        if candidate in have:
            return asked
    if not have:
        raise UserError(f'{name}: {where} has no models, asked for "{asked}"; fetch it with: ollama pull {asked}')
    hint = did_you_mean(asked, [one.removesuffix(":latest") for one in have])
    there = f"{units.count(len(have), 'model')}: {_listed(have)}"
    raise UserError(
        f'{name}: {where} has no model "{asked}"{hint} It has {there}. Choose one with --model, or: ollama pull {asked}'
        if hint
        else f'{name}: {where} has no model "{asked}". It has {there}. Choose one with --model, or: ollama pull {asked}'
    )


def error_text(response: httpx.Response) -> str:
    """Return what an error response says, in a line."""
    try:
        text = str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        text = response.text
    return " ".join(text.split())[:300] or response.reason_phrase


async def capabilities(
    server: RunningServer, model: str, transport: httpx.AsyncBaseTransport | None = None
) -> tuple[str, ...] | None:
    """Return what a model of a server can do (`thinking`, `vision`, ...); None where the server does not say."""
    client = asking(server.url, ASK_S, transport)
    async with client:
        try:
            response = await client.post("/api/show", json={"model": model})
            able = response.json().get("capabilities") if response.status_code == 200 else None
        except (httpx.HTTPError, ValueError, AttributeError):
            return None
    return tuple(map(str, able)) if isinstance(able, list) else None


def _with_loaded(server: RunningServer, loaded: list[dict[str, Any]]) -> RunningServer:
    """Return the server with what /api/ps says about its models, and where it has several, how many are loaded.

    Sizes are of all of its models together: layers on the CPU are slow whichever model they are of.
    """
    details = dict(server.details)
    if len(server.names) + len(server.embeds) > 1:
        details["models_loaded"] = len(loaded)
    sizes: dict[str, int] = {}
    for entry in loaded:
        name = str(entry.get("name")).removesuffix(":latest") if isinstance(entry, dict) else ""
        if name not in {one.removesuffix(":latest") for one in (server.model, *server.names.values())}:
            continue
        for key, ours in (("size", "size_bytes"), ("size_vram", "size_vram_bytes")):
            if isinstance(entry.get(key), int):
                sizes[ours] = sizes.get(ours, 0) + entry[key]
        if name == server.model.removesuffix(":latest"):
            if isinstance(entry.get("context_length"), int):
                details["context_tokens"] = entry["context_length"]
            found = entry.get("details") or {}
            if found.get("quantization_level"):
                details["quantization"] = str(found["quantization_level"])
    return server._replace(details=details | sizes)


async def load(server: RunningServer, limit_s: float = LOAD_S) -> RunningServer:
    """Warm a server: load each of its models, generate a token or embed a word; return it with what it then told."""
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": "Say yes."}],
        "stream": False,
        "options": {"num_predict": 1, "temperature": 0},
    }
    if server.emulated:
        body["options"] |= {"faults": False}
    shown = server.shown
    async with asking(server.url, limit_s) as client:
        try:
            requests = [("/api/embed", {"model": model, "input": "yes"}) for model in server.embeds.values()]
            answering = list(server.names.values()) or ([server.model] if server.answers else [])
            requests += [("/api/chat", {"model": model, **body}) for model in reversed(answering)]  # its own last
            for path, asked in requests:
                model = str(asked["model"])
                response = await client.post(path, json=asked)
                if response.status_code != 200:
                    break
            loaded = (await client.get("/api/ps")).json()["models"]
        except httpx.TimeoutException:
            raise ServerFailure(f"{server.name}: {shown} did not answer within {units.seconds(limit_s)}") from None
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise ServerFailure(f"{server.name}: {shown} failed while loading {model}: {error}") from None
    if response.status_code != 200:
        raise ServerFailure(
            f"{server.name}: {shown} could not load {model} ({response.status_code}: {error_text(response)})"
        )
    return _with_loaded(server, loaded)
