"""Whether goals are met, and whether that is certain: one judgement for every answer.

A goal is held against one figure, the median over the repeats or a 95th percentile. Where the interval of that figure
reaches over the wanted time it is not certain whether the goal is met, on whichever side of it the figure lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from harness.analysis.model import CandidateSummary, GoalResult, PipelineSummary
from harness.analysis.statistics import USELESS, Estimate, ends_of

__all__ = ["Judged", "JudgedGoal", "figure_of", "goals_met", "judge", "judge_all", "judge_pipeline", "meets_goals"]

Judged = Literal["met", "missed", "not certain", "not judged"]


class JudgedGoal(NamedTuple):
    """A goal, and how sure it is that it is met."""

    goal: GoalResult
    state: Judged
    ends: tuple[float, float] | None  # seconds, of the interval of what was found; None: unknown, or too wide to show


def judge(goal: GoalResult, time: Estimate | None, first_token: Estimate | None) -> JudgedGoal:
    """Judge a goal by what was found and its interval, over the repeats and over the profile together.

    The interval lies around the figure that the goal is about, as wide as that of the estimate. Of a 95th percentile
    the spread is taken to be that of the median. Without an interval the figure alone decides.

    Args:
        goal: with the figure that was found.
        time: of the pipeline.
        first_token: of its reply.
    """
    estimate = first_token if goal.goal == "first_token_s" else time
    if goal.found_s is None or goal.state == "not judged":
        return JudgedGoal(goal, "not judged", None)
    around = None if estimate is None else ends_of(estimate, useless=True)
    if estimate is None or around is None:
        return JudgedGoal(goal, goal.state, None)
    low, high = (goal.found_s * end / estimate.value for end in around)
    state: Judged = "not certain" if low < goal.wanted_s < high else goal.state
    return JudgedGoal(goal, state, (low, high) if high <= USELESS * low else None)


def judge_pipeline(summary: PipelineSummary) -> tuple[JudgedGoal, ...]:
    """Judge the goals of a pipeline under a candidate."""
    return tuple(judge(goal, summary.time, summary.first_token) for goal in summary.goals)


def judge_all(candidate: CandidateSummary) -> tuple[JudgedGoal, ...]:
    """Judge every goal under a candidate."""
    return tuple(one for summary in candidate.pipelines for one in judge_pipeline(summary))


def goals_met(found: Sequence[JudgedGoal]) -> tuple[int, int]:
    """Return how many goals are met at least and at most: what is not certain or was not judged may be."""
    states = [one.state for one in found]
    return states.count("met"), len(states) - states.count("missed")


def meets_goals(candidate: CandidateSummary) -> bool | None:
    """Tell whether the figures meet all goals that could be judged; None: there are none, or none could be."""
    judged = [goal for s in candidate.pipelines for goal in s.goals if goal.state != "not judged"]
    return all(goal.state == "met" for goal in judged) if judged else None


def figure_of(
    goals: Sequence[GoalResult], kind: Literal["first_token_s", "p50_s"], estimate: Estimate | None
) -> Estimate | None:
    """Return the estimate that is shown: around the figure that a goal of this kind is judged by, where there is one.

    So a figure that is shown beside its goal is the one that the goal was held against.
    """
    judged = next((one.found_s for one in goals if one.goal == kind and one.found_s), None)
    if judged is None or estimate is None:
        return estimate
    factor = judged / estimate.value
    low, high, profile_low, profile_high = (
        None if end is None else end * factor
        for end in (estimate.low, estimate.high, estimate.profile_low, estimate.profile_high)
    )
    return estimate._replace(value=judged, low=low, high=high, profile_low=profile_low, profile_high=profile_high)
