"""What a file that Slotwise wrote, and somebody changed, has wrong in it, in one printable line."""

from __future__ import annotations

from pydantic import ValidationError

__all__ = ["first_mistake"]


def first_mistake(error: ValidationError) -> str:
    """Return where the first of several mistakes is, and what it is; keys and values may be anything."""
    try:
        problem = error.errors(include_url=False)[0]
    except UnicodeEncodeError:  # pydantic puts the value into its words
        return "a text that cannot be encoded"
    where = ".".join(str(part) for part in problem["loc"])
    said = f"{where}: {problem['msg']}" if where else problem["msg"]
    return "".join(char if char.isprintable() else " " for char in said)
