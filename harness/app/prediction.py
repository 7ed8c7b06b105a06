"""The profiles of a prediction, and what it takes for granted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.errors import UserError, did_you_mean
from harness.predict.servers import Profiles
from harness.profiles.compile import ASSUMPTIONS
from harness.profiles.load import load_profile
from harness.profiles.schema import Profile

__all__ = ["check_assumed", "profiles_of"]


def profiles_of(named: tuple[str, ...], near: Path) -> Profiles:
    """Read one profile, NAME, or one for each model, MODEL=NAME; those in `near` come before those that are shipped.

    Raises:
        UserError: there is no such profile, or several do not go by model.
    """
    if len(named) == 1 and "=" not in named[0]:
        return Profiles(load_profile(named[0], near))
    by_model: dict[str, Profile] = {}
    for text in named:
        model, separator, name = text.rpartition("=")
        if not (separator and model and name):
            raise UserError(
                "--profile: several go by model, such as --profile smollm2-135m=NAME --profile gemma3-270m=NAME, "
                f'found "{text}"'
            )
        if model in by_model:
            raise UserError(f'--profile: two profiles for model "{model}"; give one')
        by_model[model] = load_profile(name, near)
    if not by_model:
        raise UserError("a prediction needs the profile of a machine: give one with --profile NAME")
    return Profiles(next(iter(by_model.values())), by_model)


def check_assumed(assume: Mapping[str, float]) -> None:
    """Raise UserError where something is given that no profile has."""
    known = (*ASSUMPTIONS, "load_s")
    for key in assume:
        if key not in known:
            raise UserError(f'--assume: expected one of {", ".join(known)}, found "{key}"{did_you_mean(key, known)}')
