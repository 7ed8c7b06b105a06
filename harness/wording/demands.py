"""Demands on a run, in words: what was found, and what must hold."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.demands import Judgement, repeats_for_p95
from harness.analysis.model import GoalResult
from harness.analysis.statistics import P95_NEEDS
from harness.units import count

__all__ = ["demand_line", "demand_text", "goal_text", "goals_text"]

_MUST = {"<": "below", "<=": "at most", ">": "above", ">=": "at least"}


def demand_text(found: Judgement) -> str:
    """Say how a demand stands: `chat.p95_s is 2.41 s; it must be below 2 s`."""
    demand = found.demand
    limit = f"it must be {_MUST[demand.sign]} {_number(demand.limit, demand.limit)}{_unit(demand.measure.unit)}"
    under = f" under {found.candidate}" if found.candidate else ""
    match found.why:
        case "no choice":
            return (
                f"{demand.name} is not judged: no candidate is recommended; name one, such as CANDIDATE:{demand.text}"
            )
        case "no repeat":
            return f"{demand.name} was not measured{under}: no repeat is complete; {limit}"
        case "few values":
            ended = count(found.values, "job")
            more = f": use --repeats {repeats_for_p95(found.values, found.repeats)}" if found.values else ""
            return f"{demand.name} was not measured{under}: {ended} succeeded, and it needs {P95_NEEDS}{more}; {limit}"
        case "not known":
            return f"{demand.name} was not measured{under}: this run has no such figure; {limit}"
        case _:
            assert found.found is not None
            is_ = f"{_number(found.found, demand.limit)}{_unit(demand.measure.unit)}"
            return f"{demand.name} is {is_}{under}; {limit}"


def demand_line(found: Judgement) -> str:
    """Say the figure that decides: `Demand chat.p95_s < 2 s: 0.87 s under queue, holds`."""
    demand = found.demand
    limit = f"{demand.sign} {_number(demand.limit, demand.limit)}{_unit(demand.measure.unit)}"
    under = f" under {found.candidate}" if found.candidate else ""
    if found.found is None:
        few = f" ({found.values} of {P95_NEEDS} jobs)" if found.why == "few values" else ""
        what = "no candidate is recommended" if found.why == "no choice" else f"not measured{under}{few}"
    else:
        what = f"{_number(found.found, demand.limit)}{_unit(demand.measure.unit)}{under}"
    return f"Demand {demand.name} {limit}: {what}, {'holds' if found.holds else 'does not hold'}"


def goals_text(goals: Sequence[tuple[GoalResult, int]]) -> str:
    """Count goals where one was not judged: `goals: 1 met, 1 not judged (45 of 100 jobs)`; "" where all were.

    Each is with the jobs that succeeded.
    """
    if all(goal.state != "not judged" for goal, _ in goals):
        return ""
    states = [goal.state for goal, _ in goals]
    said = [f"{states.count(state)} {state}" for state in ("met", "missed", "not judged") if state in states]
    open_ = [text for goal, jobs in goals if goal.state == "not judged" and (text := _lacking(goal, jobs))]
    why = f" ({', '.join(dict.fromkeys(open_))})" if open_ else ""
    return f"goals: {', '.join(said)}{why}"


def goal_text(candidate: str, goal: GoalResult, jobs: int) -> str:
    """Say how a goal of the workload stands: `goal: chat.p95_s is 2.41 s under both; it must be at most 2 s`.

    `jobs` are those that succeeded.
    """
    limit = f"it must be at most {goal.wanted_s:.6g} s"
    if goal.found_s is None:
        why = f" ({lacking})" if (lacking := _lacking(goal, jobs)) else ""
        return f"goal: {goal.pipeline}.{goal.goal} was not judged under {candidate}{why}; {limit}"
    return f"goal: {goal.pipeline}.{goal.goal} is {_number(goal.found_s, goal.wanted_s)} s under {candidate}; {limit}"


def _lacking(goal: GoalResult, jobs: int) -> str:
    return f"{jobs} of {P95_NEEDS} jobs" if goal.goal == "p95_s" and jobs < P95_NEEDS else ""


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""


def _number(value: float, limit: float) -> str:
    """Write a number with three digits, or with as many as tell it from its limit."""
    for digits in (3, 4, 6, 9):
        text = f"{value:.{digits}g}"
        if value == limit or float(text) != limit:
            return text if "e" not in text else f"{value:.6f}".rstrip("0").rstrip(".")
    return repr(value)
