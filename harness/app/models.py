"""The built-in models: which there are, and fetching one."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from harness.measure.progress import SILENT, Progress
from harness.servers import models

__all__ = ["BuiltIn", "Fetched", "built_in", "pull"]


class BuiltIn(NamedTuple):
    """A model that can be fetched by its name."""

    name: str
    description: str
    size_bytes: int
    licence: str
    path: Path | None  # None: not fetched yet


class Fetched(NamedTuple):
    """A model that is there."""

    path: Path
    was_there: bool


def built_in() -> list[BuiltIn]:
    """Return the built-in models."""
    return [
        BuiltIn(name, model.description, model.file_bytes, model.licence, models.fetched(name))
        for name, model in models.BUILTIN.items()
    ]


def pull(name: str, progress: Progress = SILENT) -> Fetched:
    """Fetch a built-in model into the cache, once.

    Raises:
        UserError: there is no such model, or it cannot be written.
        ServerFailure: it cannot be fetched.
    """
    there = models.fetched(name) if name in models.BUILTIN else None
    if there:
        return Fetched(there, was_there=True)
    return Fetched(models.pull(name, say=progress.say, progress=progress.download), was_there=False)
