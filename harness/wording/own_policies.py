"""What became of a user's own policies in a search, in words."""

from __future__ import annotations

from collections.abc import Mapping

from harness.core.records import Path
from harness.recommend.facts import NotTriedWhy, OwnPolicy
from harness.units import count

__all__ = ["own_text"]

_WHY: Mapping[NotTriedWhy, str] = {
    "one path": "it has an effect only where both paths share a server, and here they share none",
    "idle slots": "it uses one slot, and each server has more",
    "the same": "it does the same as a simpler policy on each of these servers",
    "no choice": "no candidate has several servers to choose from",
    "no prefixes": "it has an effect only where a server may find a prompt again, and here none may",
    "left out": "every candidate that could have it was left out",
}


def own_text(own: OwnPolicy, paths: tuple[Path, ...]) -> str:
    """Say whether a policy was tried, and how the best candidate with it stands to the answer of the search."""
    what = f'Your {own.kind} policy "{own.name}"'
    if not own.candidates:
        return f"{what} was not tried: {_WHY[own.why_not]}."
    tried = f"{what} was tried in {count(own.candidates, 'candidate')}"
    if own.chosen:
        return f'{tried} and is in the answer of the search ("{own.best}").'
    if own.fails:
        return f"{tried}; jobs fail under {'it' if own.candidates == 1 else 'all of them'}."
    where = [f" ({path})" for path in paths] if len(paths) > 1 else [""]
    ratios = " and ".join(f"{ratio:.2f}{path}" for ratio, path in zip(own.ratios, where, strict=False))
    if not ratios:
        return f'{tried}; the best of these is "{own.best}".'
    goal = ", and misses a goal" if own.misses_goal else ""
    return f'{tried}; the best of these, "{own.best}", takes {ratios} times as long as the answer of the search{goal}.'
