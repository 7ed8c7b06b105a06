"""Goals in words: whether they are met, and where that is not certain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.analysis.goals import Judged, JudgedGoal, goals_met, judge_all, meets_goals
from harness.analysis.model import Analysis, CandidateSummary, GoalResult, PipelineSummary
from harness.analysis.statistics import P95_NEEDS
from harness.core.records import Origin
from harness.units import seconds
from harness.wording.figures import GOAL_LABELS

__all__ = [
    "MET_WHEN_IDLE",
    "doubtful_goals",
    "goal_column",
    "goal_sentence",
    "goals_cell",
    "none_meets",
    "state_text",
    "why_goals",
]

MET_WHEN_IDLE = "met when idle"


def goal_column(goals: Sequence[GoalResult]) -> tuple[str, str]:
    """Return the two lines above a column that says whether goals are met: what is judged, and what is wanted."""
    if len(goals) > 1:
        return (f"{len(goals)} goals", "met")
    wanted = seconds(goals[0].wanted_s)
    return {
        "first_token_s": ("goal: first", f"token < {wanted}"),
        "p50_s": ("goal: median", f"reply < {wanted}"),
        "p95_s": ("goal: p95", f"reply < {wanted}"),
    }[goals[0].goal]


def goals_cell(found: Sequence[JudgedGoal], origin: Origin, hidden: bool = False) -> str:
    """Say in a cell whether goals are met: of one `met` or `not certain`, of several `1 of 2` or `1 to 2 of 2`.

    `hidden`: replies that come while batch jobs run miss it, which the median over all hides.
    """
    if hidden and all(one.state in ("met", "not judged") for one in found):
        return MET_WHEN_IDLE
    if len(found) == 1:
        return state_text(found[0].state, origin)
    least, most = goals_met(found)
    return f"{least} of {len(found)}" if least == most else f"{least} to {most} of {len(found)}"


def state_text(state: Judged, origin: Origin) -> str:
    """Say whether a goal is met; what an estimate leaves open is not resolvable on it."""
    return "not resolvable" if state == "not certain" and origin == "estimated" else state


def goal_sentence(found: JudgedGoal, summary: PipelineSummary) -> str:
    """Say how a pipeline stands to one of its goals."""
    goal, found_s = found.goal, found.goal.found_s
    label = f"{GOAL_LABELS[goal.goal]} of {summary.pipeline} within {seconds(goal.wanted_s)}"
    if found_s is None and goal.goal == "p95_s":
        return f"Goal not judged: {label}; a 95th percentile needs {P95_NEEDS} replies, there are {summary.values}."
    if found_s is None:
        return f"Goal not judged: {label}; it was not measured."
    text = f"Goal {goal.state}: {label}, found {seconds(found_s)}"
    estimate = {"first_token_s": summary.first_token, "p50_s": summary.time}.get(goal.goal)
    if estimate is not None and seconds(estimate.value) != seconds(found_s):
        text += f" (median over the repeats; their mean is {seconds(estimate.value)})"
    return f"{text}, which is not certain: {_ends(found)}." if found.state == "not certain" else f"{text}."


def doubtful_goals(candidate: CandidateSummary) -> Iterator[str]:
    """Say of each goal of which it is not certain whether a candidate meets it."""
    for found in judge_all(candidate):
        if found.state == "not certain":
            label = GOAL_LABELS[found.goal.goal]
            yield f"Whether {found.goal.pipeline} meets its goal is not certain: of the {label} {_ends(found)}."


def _ends(found: JudgedGoal) -> str:
    if found.ends is None:
        return "the interval is too wide to show"
    low, high = map(seconds, found.ends)
    return f"the interval is {low} to {high}"


def why_goals(analysis: Analysis, name: str, on: str) -> str:
    """Say how goals decide for a candidate, and of whom it is not certain that they are met.

    Args:
        analysis: of all candidates.
        name: of the recommended one.
        on: what it is the fastest on among those that meet the goals.
    """
    able = [candidate for candidate in analysis.candidates if meets_goals(candidate)]
    doubtful = [candidate.name for candidate in able if _doubtful(candidate)]
    if len(able) == 1 and doubtful:
        return "By its middle figure it is the only one that meets the goal, which is not certain."
    if len(able) == 1:
        alone = not any(_doubtful(candidate) for candidate in analysis.candidates if candidate.name != name)
        return f"It is the only one that {'' if alone else 'surely '}meets the goal."
    others = len(doubtful) - (name in doubtful)
    doubt = f" ({others} of them not certainly)" if others else ""
    it = ", but it is not certain that it meets it" if name in doubtful else ""
    if analysis.choice.tie is None:
        return f"Of the {len(able)} that meet the goal{doubt}, it is the fastest on {on}{it}."
    first = "It meets the goal, but that is not certain." if it else "It meets the goal."
    return f"{first} No other that does is measurably faster on {on}."


def none_meets(analysis: Analysis) -> str:
    """Say that no candidate meets every goal; "" where none misses one."""
    if not any(meets_goals(candidate) is False for candidate in analysis.candidates):
        return ""
    surely = "surely " if any(_doubtful(candidate) for candidate in analysis.candidates) else ""
    return f"No candidate {surely}meets every goal"


def _doubtful(candidate: CandidateSummary) -> bool:
    """Whether it is not certain if a candidate meets every goal: none is surely missed, and some may be."""
    states = {found.state for found in judge_all(candidate)}
    return "not certain" in states and "missed" not in states
