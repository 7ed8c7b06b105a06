"""What became of a user's own policies in a search, in words."""

from __future__ import annotations

from collections.abc import Mapping

from harness.core.records import Path
from harness.recommend.facts import NotTriedWhy, OwnPolicy
from harness.units import count

__all__ = ["own_line", "own_text"]

_WHY: Mapping[NotTriedWhy, str] = {
    "one path": "it has an effect only where both paths share a server",
    "idle slots": "it uses one slot, and each server has more",
    "the same": "it does the same as a simpler policy on each of these servers",
    "no choice": "no candidate has several servers to choose from",
    "no prefixes": "it has an effect only where a server may find a prompt again",
    "left out": "every candidate that could have it was left out",
}


def own_text(own: OwnPolicy, paths: tuple[Path, ...]) -> str:
    """Say whether a policy was tried, and how the best candidate with it stands to the answer of the search."""
    return f'Your {own.kind} policy "{own.name}" was {_became(own, paths)}.'


def own_line(own: OwnPolicy, paths: tuple[Path, ...]) -> str:
    """Say the same in few words, below a title that says that these are the user's."""
    return f'"{own.name}" was {_became(own, paths)}.'


def _became(own: OwnPolicy, paths: tuple[Path, ...]) -> str:
    if not own.candidates:
        return f"not tried: {_WHY[own.why_not]}"
    tried = f"tried in {count(own.candidates, 'candidate')}"
    if own.chosen:
        return f'{tried}, and "{own.best}" is in the predicted answer'
    if own.fails:
        return f"{tried}; jobs fail under {'it' if own.candidates == 1 else 'all of them'}"
    where = [f" ({path})" for path in paths] if len(paths) > 1 else [""]
    ratios = " and ".join(f"{ratio:.2f}{path}" for ratio, path in zip(own.ratios, where, strict=False))
    if not ratios:
        return f'{tried}; the best is "{own.best}"'
    goal = ", and misses a goal" if own.misses_goal else ""
    return f'{tried}; the best, "{own.best}", takes {ratios} times as long as the predicted answer{goal}'
