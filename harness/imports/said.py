"""What a recorded request and its answer say: of Ollama's API, and of OpenAI's and Anthropic's as far as they agree."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["SaidText", "said"]

MOST_CHARS = 1 << 20  # of one text that is looked at
_EMBED = ("/api/embed", "/api/embeddings", "/v1/embeddings")
_MOST = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_SETTINGS = ("temperature", "num_ctx", "num_predict")


class SaidText(NamedTuple):
    """A call: what was said to the model, what it said, and the settings that the request had."""

    kind: str  # agent or embed
    model: str
    system: str
    turns: tuple[str, ...]  # everything else of the prompt, a text for each message
    answer: str
    thought: str
    texts: int | None  # of an embedding
    settings: Mapping[str, Any]  # temperature, num_ctx, num_predict, keep_alive, think, format, tools

    @property
    def prompt(self) -> str:
        """All turns as one text."""
        return "\n".join(self.turns)


def said(path: str, asked: Mapping[str, Any], answer: bytes) -> SaidText:
    """Read a request and the body of its answer, which may be a stream. What is not understood is left out."""
    model = asked.get("model")
    named = model if isinstance(model, str) else ""
    if path in _EMBED:
        texts = asked.get("input", asked.get("prompt"))
        each = tuple(_text(one) for one in texts) if isinstance(texts, list) else (_text(texts),)
        return SaidText("embed", named, "", each, "", "", len(each), {})
    system, turns = _prompt(asked)
    parts = list(_parts(answer))
    return SaidText(
        "agent", named, system, turns,
        "".join(_of(parts, _ANSWER))[:MOST_CHARS], "".join(_of(parts, _THOUGHT))[:MOST_CHARS],
        None, _settings(asked),
    )  # fmt: skip


def _prompt(asked: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    systems = [_text(asked[key]) for key in ("system", "instructions") if asked.get(key)]
    turns = [_text(asked["prompt"])] if asked.get("prompt") else []
    messages = asked.get("messages", asked.get("input"))
    if isinstance(messages, str):
        turns.append(messages)
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, Mapping):
            continue
        called = message.get("tool_calls")
        text = _text(message.get("content")) + (json.dumps(called, sort_keys=True) if called else "")
        (systems if message.get("role") in ("system", "developer") else turns).append(text)
    return "\n".join(systems), tuple(turns)


def _settings(asked: Mapping[str, Any]) -> dict[str, Any]:
    given = asked.get("options")
    options = given if isinstance(given, Mapping) else {}
    most = next(
        (asked[key] for key in ("max_tokens", "max_completion_tokens", "max_output_tokens") if key in asked), None
    )
    found = {key: options.get(key, asked.get(key)) for key in _SETTINGS}
    found["num_predict"] = options.get("num_predict", most)
    numbers = {
        key: value
        for key, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    }
    kept: dict[str, Any] = {key: value if key == "temperature" else int(value) for key, value in numbers.items()}
    if isinstance(keep := asked.get("keep_alive"), str | int) and not isinstance(keep, bool):
        kept["keep_alive"] = keep
    if asked.get("think"):
        kept["think"] = asked["think"] if asked["think"] in ("low", "medium", "high") else True
    if asked.get("format") or asked.get("response_format"):
        kept["format"] = "json"
    if isinstance(tools := asked.get("tools"), list) and tools:
        kept["tools"] = len(tools)
    return kept


def _text(value: Any) -> str:
    """Return a text, or the texts of a message in parts, one after the other."""
    if isinstance(value, str):
        return value[:MOST_CHARS]
    if isinstance(value, Mapping):
        return _text(value.get("text") or value.get("content") or "")
    if isinstance(value, Sequence):
        return "\n".join(filter(None, map(_text, value)))[:MOST_CHARS]
    return ""


def _parts(answer: bytes) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of an answer: one, JSON lines, or the events of a stream."""
    whole = _object(answer)
    if whole is not None:
        yield whole
        return
    for line in answer.splitlines():
        if (part := _object(line.removeprefix(b"data:").strip())) is not None:
            yield part


def _object(text: bytes) -> Mapping[str, Any] | None:
    if not text.startswith(b"{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, Mapping) else None


_ANSWER, _THOUGHT = ("content", "response", "text", "output_text"), ("thinking", "reasoning", "reasoning_content")
_INSIDE = ("message", "delta", "content", "output")


def _of(parts: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Iterator[str]:
    """Yield the texts of these names, wherever in the parts of an answer they stand."""
    for part in parts:
        choices = part.get("choices")
        inner = [one for one in choices if isinstance(one, Mapping)] if isinstance(choices, list) else [part]
        for one in inner:
            yield from _texts(one, names, 0)


def _texts(part: Mapping[str, Any], names: Sequence[str], depth: int) -> Iterator[str]:
    for name in names:
        if isinstance(value := part.get(name), str) and value:
            yield value
            break
    if depth > 3:
        return
    called = part.get("tool_calls")
    if called and names is _ANSWER:
        yield json.dumps(called, sort_keys=True)
    for name in _INSIDE:
        value = part.get(name)
        for one in value if isinstance(value, list) else (value,):
            if isinstance(one, Mapping):
                yield from _texts(one, names, depth + 1)
