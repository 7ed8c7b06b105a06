"""Who is interactive: by a header, a path, the name of a model, a key, the program; else the default class."""

from __future__ import annotations

from collections.abc import Mapping
from hmac import compare_digest
from typing import Literal, NamedTuple, get_args

__all__ = ["CLASSES", "CLASS_HEADER", "CallClass", "Classes", "UnknownClass", "matches", "said_by"]

CallClass = Literal["interactive", "batch"]
CLASSES: tuple[CallClass, ...] = get_args(CallClass)
CLASS_HEADER = b"x-slotwise-class"
ALIAS = "interactive/"  # before a model's name: `namespace/model` is a name that every Ollama client takes


class UnknownClass(ValueError):
    """The header names no class; the message says which there are."""


class Classes(NamedTuple):
    """The rules, in this order: header, path, model, key, program; the first that says something decides."""

    default: CallClass = "batch"
    models: tuple[str, ...] = ()  # offered as interactive/NAME too
    key: str = ""  # requests with this bearer token are interactive; "" = no such rule
    user_agents: tuple[str, ...] = ()  # patterns

    def of(self, headers: Mapping[bytes, bytes], by_path: CallClass | None, model: str) -> CallClass:
        """Return the class of a request; UnknownClass where its header names none."""
        said = said_by(headers) or by_path
        if said is not None:
            return said
        agent = headers.get(b"user-agent", b"").decode("latin-1")
        if self.model_of(model) != model or self.is_key(headers) or any(matches(p, agent) for p in self.user_agents):
            return "interactive"
        return self.default

    def model_of(self, name: str) -> str:
        """Return the model that a name stands for."""
        bare = name.removeprefix(ALIAS)
        known = {model.removesuffix(":latest") for model in self.models}
        return bare if bare != name and bare.removesuffix(":latest") in known else name

    def is_key(self, headers: Mapping[bytes, bytes]) -> bool:
        """Tell whether a request has the key; it is compared in a time that tells nothing about it."""
        said = headers.get(b"authorization", b"")
        return bool(self.key) and compare_digest(said, b"Bearer " + self.key.encode())


def said_by(headers: Mapping[bytes, bytes]) -> CallClass | None:
    """Return the class that the header of a request names; None where it has no such header.

    Raises:
        UnknownClass: there is no such class.
    """
    said = headers.get(CLASS_HEADER)
    if said is None:
        return None
    for known in CLASSES:
        if said.decode("latin-1").strip() == known:
            return known
    found = said.decode("latin-1")[:40]
    raise UnknownClass(f'X-Slotwise-Class: expected interactive or batch, found "{found}"')


def matches(pattern: str, text: str) -> bool:
    """Tell whether a pattern is found in a text, whatever the case; `*` in it stands for anything.

    Each part is looked for once, after the one before it, so no pattern takes long.
    """
    at, text = 0, text.lower()
    for part in pattern.lower().split("*"):
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return True
