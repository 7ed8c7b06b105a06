"""What the gateway reads of a request and of its answer: as little as it needs, and nothing of what is said."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from harness.servers.json_body import too_deep

__all__ = ["HELD", "AskedFor", "Tail", "read_request", "session_of"]

SESSION_HEADER = b"x-slotwise-session"
# What holds a slot of a server while it is answered; everything else passes.
HELD = frozenset(
    {
        *("/api/chat", "/api/generate", "/api/embed", "/api/embeddings"),
        *("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/messages"),
    }
)
TAIL_BYTES = 2048  # the last line of an answer, with its counts
_IN = re.compile(rb'"(?:prompt_eval_count|prompt_tokens|input_tokens)"\s*:\s*(\d{1,9})\b')
_OUT = re.compile(rb'"(?:eval_count|completion_tokens|output_tokens)"\s*:\s*(\d{1,9})\b')
_ERROR = re.compile(rb'(?:^|\n)(?:data: )?\{"error"')


class AskedFor(NamedTuple):
    """A request that may hold a slot."""

    body: Mapping[str, Any]
    model: str
    holds: bool  # False: it only loads or unloads a model


def read_request(path: str, data: bytes) -> AskedFor | None:
    """Read the body of a request; None where it is no JSON object, or none that can be read here.

    Half of a surrogate pair and numbers of any size up to 4,300 digits are read; whether they mean something is for the
    server to say.
    """
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or too_deep(body):
        return None
    needed = {"/api/chat": "messages", "/api/generate": "prompt"}.get(path)
    model = body.get("model")
    return AskedFor(body, model if isinstance(model, str) else "", needed is None or _says(body, needed))


def _says(body: Mapping[str, Any], needed: str) -> bool:
    """Tell whether something is said under a key; Ollama's reader takes capitals for the same key."""
    return any(value for key, value in body.items() if key.casefold() == needed)


def session_of(headers: Mapping[bytes, bytes], asked: AskedFor) -> int:
    """Return the number of the conversation that a request goes on with; -1 where it is none.

    By the header `X-Slotwise-Session`; else by how it began: all messages up to the first of the user. It is a hash of
    62 bits, so nothing has to be kept of it.
    """
    said = headers.get(SESSION_HEADER)
    if said is None:
        messages = asked.body.get("messages")
        if not isinstance(messages, list):
            return -1
        begun: list[object] = []
        for message in messages:
            begun.append(message)
            if isinstance(message, dict) and message.get("role") == "user":
                break
        said = json.dumps([asked.model, begun]).encode()
    return int.from_bytes(blake2b(said, digest_size=8).digest()) >> 2


class Tail:
    """The end of an answer that goes through, for the counts in its last line."""

    def __init__(self) -> None:
        self._data = b""
        self.begun = False  # the client has the head

    def add(self, chunk: bytes) -> None:
        """Note a piece; it is not looked into."""
        self._data = (self._data + chunk)[-TAIL_BYTES:] if len(chunk) < TAIL_BYTES else chunk[-TAIL_BYTES:]

    def tokens(self) -> tuple[int | None, int | None]:
        """Return the tokens of the prompt and of the answer; None where it does not say."""
        return _last(_IN, self._data), _last(_OUT, self._data)

    @property
    def ends_line(self) -> bool:
        """Whether a line could begin here."""
        return not self._data or self._data.endswith(b"\n")

    @property
    def is_error(self) -> bool:
        """Whether it ends with an error."""
        return _ERROR.search(self._data) is not None


def _last(pattern: re.Pattern[bytes], data: bytes) -> int | None:
    found = pattern.findall(data)
    return int(found[-1]) if found else None
