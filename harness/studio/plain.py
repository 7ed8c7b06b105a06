"""Named tuples as plain data, for JSON."""

from __future__ import annotations

from typing import Any

__all__ = ["fields_of"]


def fields_of(found: Any) -> dict[str, Any]:
    """Turn a named tuple into a dict, and those in it, all the way down; what they hold else stays."""
    return {name: _plain(item) for name, item in found._asdict().items()}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return fields_of(value)
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
