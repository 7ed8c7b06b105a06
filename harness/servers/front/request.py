"""The JSON body of /api/chat, /api/generate and /api/embed, checked as Ollama checks it.

Wording and status codes follow Ollama v0.33 (server/routes.go, api/types.go), since clients match on them.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NamedTuple

from harness.servers.front.engine import GenerateRequest, TextEngine
from harness.servers.json_body import strict_json

__all__ = ["ApiError", "FrontRequest", "parse_chat", "parse_embed", "parse_generate", "parse_json", "same_model"]

# Ollama's defaults (api.DefaultOptions), always sent: a client that changes servers sees the same sampling.
SAMPLING: dict[str, int | float] = {
    "temperature": 0.8,
    "top_k": 40,
    "top_p": 0.9,
    "min_p": 0.0,
    "typical_p": 1.0,
    "repeat_last_n": 64,
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "seed": -1,
}
OURS = frozenset({"prompt_tokens", "thinking_tokens", "image_tokens"})  # not Ollama's, as the booleans
INTEGERS = frozenset({"num_predict", "num_ctx", "num_keep", "top_k", "repeat_last_n", "seed"}) | OURS
BOOLEANS = frozenset({"ignore_eos", "cache_prompt"})
UNKNOWN_CONTEXT = 4096  # tokens, where a server does not tell its own: Ollama's usual
UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}  # fmt: skip


NO_EMBEDDINGS = "This server does not support embeddings. Start it with `--embeddings`"  # llama.cpp's, and so Ollama's


class ApiError(Exception):
    """An answer other than 200, with Ollama's body `{"error": message}`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class FrontRequest(NamedTuple):
    """A request that passed: either something to generate or, with `request` None, a load or unload."""

    model: str  # as the client wrote it; replies repeat it
    stream: bool
    keep_alive_s: float | None  # None: not said; inf: for ever
    request: GenerateRequest | None


def parse_json(body: bytes) -> dict[str, Any]:
    """Return the body as a JSON object; its numbers are finite and fit into 64 bits, its texts can be encoded."""
    if not body.strip():
        raise ApiError(400, "missing request body")
    try:
        data = strict_json(body)
    except ValueError as error:  # covers bad UTF-8 too
        raise ApiError(400, f"invalid JSON in the request body: {error}") from None
    if not isinstance(data, dict):
        raise ApiError(400, f"the request body must be a JSON object, not {_kind(data)}")
    return data


def same_model(asked: str, name: str) -> bool:
    """Tell whether a client means this model: `name` and `name:latest` are the same."""
    return asked.removesuffix(":latest") == name


def parse_chat(body: bytes, engine: TextEngine) -> FrontRequest:
    """Check the body of /api/chat."""
    data = parse_json(body)
    model, stream, keep_alive_s = _common(data, engine)
    think = _think(data, model, engine)
    if data.get("tools"):
        raise ApiError(400, f"{model} does not support tools")
    messages = _messages(data.get("messages"), engine.model.sees_images)
    if not messages:
        return FrontRequest(model, stream, keep_alive_s, None)
    request = _request(data, engine, messages, "", stream, think)
    return FrontRequest(model, stream, keep_alive_s, request)


def parse_generate(body: bytes, engine: TextEngine) -> FrontRequest:
    """Check the body of /api/generate; without `raw` the chat template applies, as on Ollama."""
    data = parse_json(body)
    model, stream, keep_alive_s = _common(data, engine)
    prompt = _typed(data, "prompt", str, "string", "")
    system = _typed(data, "system", str, "string", "")
    raw = _typed(data, "raw", bool, "boolean", False)
    if raw and (system or data.get("template") or data.get("context")):
        raise ApiError(400, "raw mode does not support template, system, or context")
    think = _think(data, model, engine)
    for key in ("suffix", "template", "context", "images"):
        if data.get(key):
            raise ApiError(400, f"{model} does not support {key}")
    if not prompt:
        return FrontRequest(model, stream, keep_alive_s, None)
    messages = None
    if not raw and engine.model.template:
        messages = [{"role": "user", "content": prompt}]
        if system:
            messages.insert(0, {"role": "system", "content": system})
    elif system:
        prompt = f"{system}\n\n{prompt}"  # a model without a chat template: the text is all there is
    request = _request(data, engine, messages, prompt, stream, think)
    return FrontRequest(model, stream, keep_alive_s, request)


def parse_embed(body: bytes, model: str, embedding_model: str | None) -> list[str]:
    """Check the body of /api/embed and return its texts; an empty one is nothing to embed, as on Ollama."""
    data = parse_json(body)
    name = _typed(data, "model", str, "string", "")
    texts = data.get("input")
    if texts is None or isinstance(texts, str):
        texts = [texts] if texts else []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ApiError(400, "invalid input type")
    if embedding_model is None or not same_model(name, embedding_model):
        if same_model(name, model):
            raise ApiError(501, NO_EMBEDDINGS)
        raise ApiError(404, f"model '{name}' not found")
    return texts


def _common(data: dict[str, Any], engine: TextEngine) -> tuple[str, bool, float | None]:
    model = _typed(data, "model", str, "string", "")
    if not model:
        raise ApiError(400, "model is required")
    if not same_model(model, engine.model.name):
        raise ApiError(404, f"model '{model}' not found")
    top = data.get("top_logprobs")
    if data.get("logprobs") or top:
        raise ApiError(400, f"{model} does not support logprobs")
    stream = _typed(data, "stream", bool, "boolean", True)
    return model, stream, _keep_alive_s(data.get("keep_alive"))


def _request(
    data: dict[str, Any],
    engine: TextEngine,
    messages: list[dict[str, Any]] | None,
    prompt: str,
    stream: bool,
    think: bool | None,
) -> GenerateRequest:
    given = _options(_typed(data, "options", dict, "object", {}))
    num_predict = given.pop("num_predict", -1)
    no_limit = num_predict <= 0
    if no_limit:
        # Ollama: below zero means ten contexts; zero is dropped on the way to the engine, which is the same
        num_predict = 10 * (engine.context_tokens or UNKNOWN_CONTEXT)
    form = _format(data.get("format"))
    thinking_tokens = given.pop("thinking_tokens", 0) if data.get("think") else 0
    given.pop("thinking_tokens", None)
    if engine.model.thinking and not engine.emulated:
        thinking_tokens = 0  # it decides that itself
    elif thinking_tokens and form is not None and not engine.emulated:
        raise ApiError(400, 'option "thinking_tokens" cannot be combined with format: this model has no thinking')
    return GenerateRequest(
        messages=messages,
        prompt=prompt,
        stream=stream,
        num_predict=num_predict,
        # a complete grammar allows nothing but the end: ignoring the end would leave nothing to sample
        ignore_eos=given.pop("ignore_eos", False) and form is None,
        cache_prompt=given.pop("cache_prompt", True),
        prompt_tokens=given.pop("prompt_tokens", None),
        image_tokens=given.pop("image_tokens", 0),
        options=SAMPLING | given,
        format=form,
        think=think,
        thinking_tokens=thinking_tokens,
        no_limit=no_limit,
    )


def _options(given: dict[str, Any]) -> dict[str, Any]:
    """Keep the options that mean something here; unknown ones are ignored, as on Ollama."""
    known: dict[str, Any] = {}
    for key, value in given.items():
        if value is None:
            continue
        if key in BOOLEANS:
            if not isinstance(value, bool):
                raise ApiError(400, f'option "{key}" must be of type boolean')
        elif key in INTEGERS:
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ApiError(400, f'option "{key}" must be of type integer')
            value = int(value)
            if key in OURS and value < 1:
                raise ApiError(400, f'option "{key}" must be at least 1')
        elif key in SAMPLING:
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ApiError(400, f'option "{key}" must be of type float32')
        elif key == "stop":
            # Ollama wants an array; a single string is what people write, and harmless
            value = [value] if isinstance(value, str) else value
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise ApiError(400, f'option "{key}" must be of an array of strings')
            value = [item for item in value if item]
        else:
            continue
        if key not in ("num_ctx", "num_keep"):  # the context was fixed when the engine started
            known[key] = value
    return known


def _messages(value: Any, sees_images: bool) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ApiError(400, f"messages must be an array, not {_kind(value)}")
    messages = []
    for index, message in enumerate(value):
        where = f"messages[{index}]"
        if not isinstance(message, dict):
            raise ApiError(400, f"{where} must be an object, not {_kind(message)}")
        role, content = message.get("role"), message.get("content", "")
        if role not in ("system", "user", "assistant", "tool"):
            raise ApiError(400, f"{where}.role must be system, user, assistant or tool, not {json.dumps(role)}")
        if not isinstance(content, str):
            raise ApiError(400, f"{where}.content must be a string, not {_kind(content)}")
        images = message.get("images") or []
        if images and not sees_images:
            raise ApiError(400, f"{where}: this model does not support images")
        if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
            raise ApiError(400, f"{where}.images must be an array of strings in base64")
        messages.append({"role": role, "content": content} | ({"images": images} if images else {}))
    return messages


def _think(data: dict[str, Any], model: str, engine: TextEngine) -> bool | None:
    value = data.get("think")
    if value is not None and not isinstance(value, bool) and value not in ("low", "medium", "high", "max"):
        raise ApiError(
            400,
            f'invalid think value: {json.dumps(value)} (must be "high", "medium", "low", "max", true, or false)',
        )
    if engine.model.thinking:
        if value is None and not engine.model.thinking_known:
            return None
        # Unset means true, as on Ollama; a simulated model thinks where it is asked to.
        return not engine.emulated if value is None else bool(value)
    options = data.get("options")
    if value and not (isinstance(options, dict) and options.get("thinking_tokens")):  # ours
        raise ApiError(400, f'"{model}" does not support thinking')
    return None


def _format(value: Any) -> Any:
    if value is None or value == "":
        return None
    if value == "json" or isinstance(value, dict):
        return value
    raise ApiError(400, f'invalid format: {json.dumps(value)}; expected "json" or a valid JSON Schema object')


def _keep_alive_s(value: Any) -> float | None:
    """Return seconds from a number of seconds or a Go duration ("5m", "1h30m"); negative is for ever."""
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str):
        parts = re.findall(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)", value)
        bare = value.lstrip("+-")
        if bare != "0" and (not parts or "".join(n + unit for n, unit in parts) != bare):
            raise ApiError(400, f'time: invalid duration "{value}"')
        seconds = sum(float(n) * UNIT_S[unit] for n, unit in parts) * (-1 if value.startswith("-") else 1)
    else:
        raise ApiError(400, f"keep_alive must be a number of seconds or a duration, not {_kind(value)}")
    return math.inf if seconds < 0 else seconds


def _typed(data: dict[str, Any], key: str, kind: type, word: str, default: Any) -> Any:
    value = data.get(key)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise ApiError(400, f"{key} must be of type {word}, not {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    for kind, word in ((bool, "a boolean"), (str, "a string"), (list, "an array"), (dict, "an object")):
        if isinstance(value, kind):
            return word
    return "null" if value is None else "a number"
