"""What became of a user's own policies in a search: tried or not, and how the best candidate with each stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.core.plan import Plan, Pool
from harness.core.policies import KINDS
from harness.recommend.facts import NotTriedWhy, OwnPolicy
from harness.recommend.scoring import CandidateScore, Judge
from harness.recommend.search import Searched
from harness.recommend.space import Space

__all__ = ["own_of"]


def own_of(space: Space, searched: Searched, judge: Judge, best: Sequence[CandidateScore]) -> tuple[OwnPolicy, ...]:
    """Return this for each policy that does not come with Slotwise; `best` is what is to be run."""
    return tuple(
        _own(kind.name, policy, space, searched, judge, best)
        for kind in KINDS
        for policy in getattr(space.loaded.policies, kind.name).values()
        if policy.source.where
    )


def _own(
    kind: str, policy: Any, space: Space, searched: Searched, judge: Judge, best: Sequence[CandidateScore]
) -> OwnPolicy:
    using = [score for score in searched.scores if policy.name in _used(kind, score.candidate.plan)]
    if not using:
        return OwnPolicy(kind, policy.name, why_not=_why_not(kind, policy, space))
    ratios = {score.candidate.number: _ratios(score, searched, judge, best) for score in using}
    chosen = [score for score in best if policy.name in _used(kind, score.candidate.plan)]
    nearest = min(
        chosen or using,
        key=lambda score: (
            score.failed,
            score.excess,
            max(ratios[score.candidate.number], default=0.0),
            score.candidate.simplicity,
        ),
    )
    return OwnPolicy(
        kind,
        policy.name,
        len(using),
        best=nearest.candidate.name,
        chosen=bool(chosen),
        ratios=ratios[nearest.candidate.number],
        fails=nearest.failed,
        misses_goal=bool(nearest.missed) and not any(score.missed for score in best),
    )


def _used(kind: str, plan: Plan) -> set[str]:
    """Return the names of the policies of a kind that a candidate has."""
    if kind == "placement":
        return {place.policy.name for row in plan.placement for place in row if isinstance(place, Pool)}
    return {getattr(queue, kind).name for queue in plan.queues}


def _ratios(
    score: CandidateScore, searched: Searched, judge: Judge, best: Sequence[CandidateScore]
) -> tuple[float, ...]:
    """Return by path what a candidate takes over what the answer takes, on the seeds that both were tried on."""
    if not best:
        return ()
    mine = searched.figures[score.candidate.number]
    theirs = [searched.figures[one.candidate.number] for one in best]
    common = {one.repeat for one in mine}.intersection(*({one.repeat for one in figures} for figures in theirs))
    times = judge.score(score.candidate, (one for one in mine if one.repeat in common)).times_s
    others = [
        judge.score(one.candidate, (each for each in figures if each.repeat in common)).times_s
        for one, figures in zip(best, theirs, strict=True)
    ]
    return tuple(time_s / min(other[path] for other in others) for path, time_s in enumerate(times))


def _why_not(kind: str, policy: Any, space: Space) -> NotTriedWhy:
    """Return why no candidate has a policy, by what the policy says of itself."""
    if getattr(policy, "for_both_paths", False):
        return "one path"
    if kind == "placement":
        pools = (place for one in space.candidates for row in one.plan.placement for place in row)
        return "no prefixes" if any(isinstance(place, Pool) for place in pools) else "no choice"
    if kind == "concurrency" and policy.one_at_a_time:
        return "idle slots"
    return "the same" if kind == "concurrency" and policy.same_as is not None else "left out"
