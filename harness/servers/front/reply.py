"""The bytes of replies. The per-token path is here, so it builds JSON from constant parts."""

from __future__ import annotations

import json
import time
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, Literal

from harness.servers.front.engine import Embedded, Final, Model

__all__ = ["FrontReply", "details", "embedded", "error_line", "known", "listing", "now_rfc3339", "shown"]

_second = 0
_prefix = ""


def now_rfc3339() -> str:
    """Return the time of day in UTC with nanoseconds, as Ollama stamps its chunks."""
    global _second, _prefix  # strftime costs more than the rest of a chunk: once a second is enough
    second, ns = divmod(time.time_ns(), 1_000_000_000)
    if second != _second:
        _prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        _second = second
    return f"{_prefix}.{ns:09d}Z"


class FrontReply:
    """Chunks of one call, in the dress of /api/chat or /api/generate."""

    def __init__(self, kind: Literal["chat", "generate"], model: str) -> None:
        self._chat = kind == "chat"
        self._head = f'{{"model":{quoted(model)},"created_at":"'
        if self._chat:
            self._text = '","message":{"role":"assistant","content":'
            self._end = '},"done":false}\n'
        else:
            self._text = '","response":'
            self._end = ',"done":false}\n'

    def chunk(self, text: str) -> bytes:
        """Return the line for a piece of the answer."""
        return f"{self._head}{now_rfc3339()}{self._text}{quoted(text)}{self._end}".encode()

    def thought(self, text: str) -> bytes:
        """Return the line for a piece of thinking."""
        return f'{self._head}{now_rfc3339()}{self._text}"","thinking":{quoted(text)}{self._end}'.encode()

    def last(self, text: str, thinking: str, final: Final, total_ns: int, load_ns: int) -> bytes:
        """Return the object that ends a call; like Ollama's it leaves out fields that are zero."""
        counts = {
            "total_duration": total_ns,
            "load_duration": load_ns,
            "prompt_eval_count": final.prompt_tokens,
            "prompt_eval_duration": final.prompt_ns,
            "eval_count": final.output_tokens,
            "eval_duration": final.output_ns,
        }
        tail = "".join(f',"{key}":{value}' for key, value in counts.items() if value)
        return self._done(text, thinking, final.reason, tail)

    def loaded(self, reason: Literal["load", "unload"]) -> bytes:
        """Return the reply to a request with nothing to generate."""
        return self._done("", "", reason, "")

    def _done(self, text: str, thinking: str, reason: str, tail: str) -> bytes:
        extra = f',"thinking":{quoted(thinking)}' if thinking else ""
        close = "}" if self._chat else ""
        head = f"{self._head}{now_rfc3339()}{self._text}{quoted(text)}{extra}{close}"
        return f'{head},"done":true,"done_reason":"{reason}"{tail}}}\n'.encode()


def embedded(model: str, found: Embedded, total_ns: int, load_ns: int) -> bytes:
    """Return the body of /api/embed."""
    body: dict[str, Any] = {"model": model, "embeddings": found.vectors}
    counts = {"total_duration": total_ns, "load_duration": load_ns, "prompt_eval_count": found.tokens}
    return json.dumps(body | {key: value for key, value in counts.items() if value}).encode()


def error_line(message: str) -> bytes:
    """Return Ollama's error body, as a line."""
    return f'{{"error":{quoted(message)}}}\n'.encode()


def known(**facts: int | None) -> dict[str, int]:
    """Return those of the facts that are known."""
    return {key: value for key, value in facts.items() if value is not None}


def details(model: Model) -> dict[str, Any]:
    """Return the `details` object of a model."""
    return {
        "parent_model": "",
        "format": "gguf",
        "family": model.family,
        "families": [model.family],
        "parameter_size": model.parameter_size,
        "quantization_level": model.quantization,
    }


def capabilities(model: Model) -> list[str]:
    """Return what the front can do with a model."""
    if model.embeds:
        return ["embedding"]
    able = {"thinking": model.thinking, "vision": model.sees_images}
    return ["completion", *(name for name, yes in able.items() if yes)]


def listing(model: Model) -> dict[str, Any]:
    """Return the model's entry in /api/tags."""
    return {
        "name": f"{model.name}:latest",
        "model": f"{model.name}:latest",
        "modified_at": model.modified_at,
        **known(size=model.file_bytes),
        "digest": model.digest,
        "details": details(model),
        "capabilities": capabilities(model),
    }


def shown(model: Model, context_tokens: int | None) -> dict[str, Any]:
    """Return the body of /api/show."""
    told = context_tokens is not None
    return {
        "modelfile": f"FROM {model.name}\n" + (f"PARAMETER num_ctx {context_tokens}\n" if told else ""),
        "parameters": f"num_ctx{' ' * 24}{context_tokens}" if told else "",
        "template": model.template,
        "details": details(model),
        "model_info": json.loads(json.dumps(model.info, default=str)),
        "capabilities": capabilities(model),
        "modified_at": model.modified_at,
    }
