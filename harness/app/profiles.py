"""The profiles that there are, shipped ones and the user's own, and one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from harness.content import available, find, shipped
from harness.errors import SlotwiseError
from harness.profiles.load import load_profile
from harness.profiles.schema import Profile

__all__ = ["KnownProfile", "known_profile", "known_profiles"]


class KnownProfile(NamedTuple):
    """A profile that a command finds by its name."""

    name: str  # as in --profile NAME
    kind: Literal["shipped", "own"]
    path: Path | None
    profile: Profile | None  # None: it cannot be read
    mistake: str = ""  # why


def known_profiles(near: Path | None = None) -> tuple[KnownProfile, ...]:
    """Return every profile that `--profile NAME` finds, by name; `near` is a workload's folder. Nothing is raised."""
    return tuple(_known(name, near) for name in available("profiles", ".yaml", near))


def known_profile(name: str, near: Path | None = None) -> KnownProfile:
    """Return one profile, by name or path.

    Raises:
        WorkloadError, UserError: there is none of that name, or it cannot be read.
    """
    profile = load_profile(name, near)
    path = Path(name) if "/" in name or name.endswith((".yaml", ".yml")) else find("profiles", f"{name}.yaml", near)
    return KnownProfile(name, _kind(path), path, profile)


def _known(name: str, near: Path | None) -> KnownProfile:
    path = None
    try:
        path = find("profiles", f"{name}.yaml", near)
        return KnownProfile(name, _kind(path), path, load_profile(name, near))
    except SlotwiseError as error:  # a broken file stands in nobody's way
        return KnownProfile(name, _kind(path), path, None, str(error).splitlines()[0])


def _kind(path: Path | None) -> Literal["shipped", "own"]:
    there = path is not None and path.resolve().is_relative_to((shipped() / "profiles").resolve())
    return "shipped" if there else "own"
