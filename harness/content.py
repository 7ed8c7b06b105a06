"""Where content comes from: the workload's own folder, then the working directory, then what Slotwise ships.

Profiles come from the user's cache too, before those that are shipped: `slotwise recommend` keeps there what it has
calibrated by itself.

In the wheel the shipped folders are `harness/content/agents` and so on; in an editable install they are the
repository's own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from harness.errors import WorkloadError

__all__ = ["available", "cache_dir", "check_inside", "find", "shipped"]


def shipped() -> Path:
    """Return the folder that holds the shipped `agents`, `workloads` and `profiles`."""
    package = Path(__file__).resolve().parent
    in_wheel = package / "content"
    return in_wheel if in_wheel.is_dir() else package.parent


def _bases(folder: str, near: Path | None) -> Iterator[Path]:
    """Yield the folders to look in, best first. `near` is the workload's folder, or one beside it."""
    if near is not None:
        yield near
        yield near.resolve().parent
    yield Path()
    if folder == "profiles":
        yield cache_dir()
    yield shipped()


def find(folder: str, filename: str, near: Path | None = None) -> Path | None:
    """Return the first `folder/filename` there is; WorkloadError where it is a link that leads elsewhere."""
    for base in _bases(folder, near):
        path = base / folder / filename
        if path.is_file():
            check_inside(path, base)
            return path
    return None


def available(folder: str, suffix: str, near: Path | None = None) -> tuple[str, ...]:
    """Return the names (without `suffix`) of everything `find` could find, sorted."""
    return tuple(
        sorted(
            {
                path.name.removesuffix(suffix)
                for base in _bases(folder, near)
                for path in (base / folder).glob(f"*{suffix}")
            }
        )
    )


def check_inside(path: Path, base: Path) -> None:
    """Raise WorkloadError where `path`, with its links followed, is not below `base`."""
    if not path.resolve().is_relative_to(base.resolve()):
        raise WorkloadError(str(path), f"leads out of {base}; copy the file there")


def cache_dir() -> Path:
    """Return the user's cache: SLOTWISE_CACHE, else $XDG_CACHE_HOME/slotwise, else ~/.cache/slotwise."""
    own = os.environ.get("SLOTWISE_CACHE")
    if own:
        return Path(own).expanduser()
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path.home() / ".cache") / "slotwise"
