"""Prompts far longer than those that a profile was fitted to: what they cost is an extrapolation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from harness.core.records import CallRecord
from harness.profiles.schema import Profile

__all__ = ["FAR", "OutOfRange", "out_of_range"]

FAR = 2  # times the longest prompt of the calibration; up to there a curve that was fitted is taken to hold


class OutOfRange(NamedTuple):
    """How far the prompts of a prediction lie outside what a profile was fitted to."""

    profile: str
    longest: int  # prompt tokens of the longest call that was predicted on it
    shortest_fitted: int
    longest_fitted: int


def out_of_range(profile: Profile, calls: Iterable[CallRecord]) -> OutOfRange | None:
    """Return how far the longest prompt is out of the profile's range.

    Args:
        profile: one that keeps its observations (`rows`); of others the range is not known.
        calls: those that were predicted on it.

    Returns:
        None where no prompt is more than `FAR` times as long as the longest that was fitted, or nothing is known.
    """
    fitted = [row.prompt_tokens for row in profile.rows if row.fitted and row.prompt_tokens is not None]
    if not fitted:
        return None
    longest = max((call.reply.prompt_tokens or 0 for call in calls if not call.embeds), default=0)
    return OutOfRange(profile.name, longest, min(fitted), max(fitted)) if longest > FAR * max(fitted) else None
