"""Demands on a run, in words: what was found, and what must hold."""

from __future__ import annotations

from harness.analysis.demands import Judgement
from harness.analysis.model import GoalResult
from harness.analysis.statistics import P95_NEEDS
from harness.units import count

__all__ = ["demand_text", "goal_text"]

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
            return f"{demand.name} was not measured{under}: {ended} succeeded, and it needs {P95_NEEDS}; {limit}"
        case "not known":
            return f"{demand.name} was not measured{under}: this run has no such figure; {limit}"
        case _:
            assert found.found is not None
            is_ = f"{_number(found.found, demand.limit)}{_unit(demand.measure.unit)}"
            return f"{demand.name} is {is_}{under}; {limit}"


def goal_text(candidate: str, goal: GoalResult) -> str:
    """Say how a goal of the workload stands: `goal: chat.p95_s is 2.41 s under both; it must be at most 2 s`."""
    limit = f"it must be at most {goal.wanted_s:.6g} s"
    if goal.found_s is None:
        return f"goal: {goal.pipeline}.{goal.goal} was not judged under {candidate}; {limit}"
    return f"goal: {goal.pipeline}.{goal.goal} is {_number(goal.found_s, goal.wanted_s)} s under {candidate}; {limit}"


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""


def _number(value: float, limit: float) -> str:
    """Write a number with three digits, or with as many as tell it from its limit."""
    for digits in (3, 4, 6, 9):
        text = f"{value:.{digits}g}"
        if value == limit or float(text) != limit:
            return text if "e" not in text else f"{value:.6f}".rstrip("0").rstrip(".")
    return repr(value)
