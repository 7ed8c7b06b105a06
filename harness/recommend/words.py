"""What a recommendation says beside the verdict, in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.analysis.model import Choice
from harness.recommend.bounds import bounds
from harness.recommend.evaluate import Problem
from harness.recommend.model import KneeRow, UsersRow
from harness.recommend.scoring import Judge, Pick, Score
from harness.units import count, percent, seconds

if TYPE_CHECKING:
    from harness.recommend.search import Searched

__all__ = [
    "bound_sentence",
    "change_sentence",
    "fewer_sentence",
    "front_sentence",
    "goal_sentences",
    "knee_sentence",
    "relief_sentence",
    "search_sentences",
    "users_sentence",
]

_GOALS = {"first_token_s": "first token", "p50_s": "median reply", "p95_s": "95th percentile of the reply"}
SURE = 0.005  # a chance below it is written as such


def search_sentences(searched: Searched) -> tuple[str, ...]:
    """Say how many were looked at, and how sure it is that nothing better was dropped."""
    n = len(searched.scores)
    evaluations = f"{count(searched.evaluations, 'evaluation')}, all candidates on the same draws"
    if searched.interrupted:
        return (f"{count(n, 'candidate')} looked at when it was interrupted ({evaluations}).",)
    if searched.exhaustive:
        seeds = searched.rungs[0].seeds
        return (f"All {count(n, 'candidate')} were tried on {count(seeds, 'seed')} ({evaluations}); none was dropped.",)
    steps = ", then ".join(f"{rung.candidates} on {rung.seeds}" for rung in searched.rungs)
    again = f", and {searched.again} of the dropped on more" if searched.again else ""
    lines = [f"Candidates by seeds: {steps}{again} ({evaluations})."]
    if searched.doubt is not None:
        chance = f"at most {percent(searched.doubt)}" if searched.doubt >= SURE else f"below {percent(SURE)}"
        lines.append(
            f"The chance that one of the {n - len(searched.finalists)} dropped is over 5 % faster on a path than the "
            f"fastest that was kept is {chance}, as far as the profile holds."
        )
    return tuple(lines)


def knee_sentence(servers: Sequence[str], slots: int, rows: Sequence[KneeRow], knee: KneeRow) -> str:
    """Say how many agents are worth attaching at once."""
    where = f"{' + '.join(servers)} ({count(slots, 'slot')})"
    if knee.in_flight is None:
        return f"On {where} throughput still rises with every call that is ready: no limit pays."
    one = next((row for row in rows if row.in_flight == 1), None)
    gain = f", {knee.tokens_per_s / one.tokens_per_s:.2f} times that of one" if one and knee.in_flight > 1 else ""
    agents = count(knee.in_flight, "call")
    return (
        f"On {where} {agents} at once reach{'es' if knee.in_flight == 1 else ''} {knee.tokens_per_s:.1f} tokens a "
        f"second{gain}; more only lengthen the queue."
    )


def users_sentence(candidate: str, rows: Sequence[UsersRow], most: int | None, *, goals: bool) -> str:
    """Say how many people a candidate carries at once."""
    if most is None:
        return f'Not even one person at a time meets every goal with "{candidate}".'
    at = next(row for row in rows if row.users == most)
    beyond = next((row for row in rows if row.users > most), None)
    people = "one person" if most == 1 else f"{most} people"
    reply = _reply(at)
    if goals:
        text = f'"{candidate}" meets every goal for up to {people} at once ({reply})'
        if beyond is None:
            return f"{text}, and nobody tried more."
        return f"{text}; with {beyond.users} it misses one ({_reply(beyond)})."
    text = f"With {people} at once throughput is where it stays ({at.tokens_per_s:.1f} tokens a second, {reply})"
    return f"{text}; more only wait: {beyond.users} get {_reply(beyond)}." if beyond else f"{text}."


def _reply(row: UsersRow) -> str:
    return f"{seconds(row.times_s[-1])} for a reply" if math.isfinite(row.times_s[-1]) else "no reply in time"


def relief_sentence(what: str, names: Sequence[str]) -> str:
    """Say whether less work would meet the goals, and how it would be run then."""
    if not names:
        return f"{what}: no candidate that was kept meets them either."
    return f"{what}: they are met, with {' and '.join(f'{chr(34)}{name}{chr(34)}' for name in names)}."


_WHY = {
    "one path": "Chosen: of those within 5 % of the fastest the simplest to run.",
    "same": "Chosen: on both paths of those within 5 % of the fastest the simplest to run.",
    "both": "Chosen: within 5 % of the fastest on both paths, and the simplest of those that are.",
    "goals": "Chosen: the goals decide; it is the fastest on the batch path of those that meet them.",
    "trade": "Chosen: the two ends, because no goal says what a faster path may cost the other one.",
    "none": "",
}


def front_sentence(choice: Choice) -> str:
    """Say why the chosen point of the front, or the one beside it, was chosen."""
    if choice.tie is not None:
        return (
            f'Chosen: the goals decide; it ties with "{choice.tie.against}", the fastest on the batch path of those '
            "that meet them, and is simpler."
        )
    return _WHY[choice.kind]


def change_sentence(what: str, stays: bool, found: Pick, now: Sequence[Score]) -> str:
    """Say whether the answer stays, and what would be better by how much."""
    what = what[:1].upper() + what[1:]
    if stays:
        return f"{what}: the answer stays."
    if not found.names:
        return f"{what}: no candidate is left whose jobs end well."
    names = " and ".join(f'"{name}"' for name in found.names)
    if len(now) != 1 or len(found.chosen) != 1:
        return f"{what}: the answer becomes {names}."
    mine, better = now[0], found.chosen[0]
    return f"{what}: the answer becomes {names}; {_against(mine, better)}."


def _against(mine: Score, other: Score) -> str:
    if mine.failed and not other.failed:
        return f'jobs of "{mine.candidate.name}" would fail'
    names = ("batch", "interactive") if len(mine.times_s) > 1 else ("",)
    ratios = [
        f"{a / b:.2f}{f' ({name})' if name else ''}"
        for a, b, name in zip(mine.times_s, other.times_s, names, strict=True)
    ]
    text = f'"{mine.candidate.name}" would take {" and ".join(ratios)} times its time'
    if mine.missed and not other.missed:
        text += ", and miss a goal"
    return text


def fewer_sentence(others: Pick, best: Sequence[Score], judge: Judge) -> str:
    """Say what fewer slots would cost."""
    names = " and ".join(f'"{name}"' for name in others.names)
    ratios = []
    for path, name in enumerate(judge.paths):
        mine = min(score.times_s[path] for score in best)
        theirs = min(score.times_s[path] for score in others.chosen)
        ratios.append(f"{theirs / mine:.2f} times the time of the {name} path")
    return f"Fewer slots: {names}, with {' and '.join(ratios)}."


def bound_sentence(pipeline: str, what: str, found_s: float, bound_s: float) -> str:
    """Say how close a figure is to what no routing can beat."""
    why = {
        "all jobs": "all its tokens at the best rate of any setting",
        "a job": "every call alone on an idle server",
        "a reply": "every call alone on an idle server",
    }[what]
    return (
        f"{what[:1].upper() + what[1:]} of {pipeline}: {seconds(found_s)}; no routing on these servers is below "
        f"{seconds(bound_s)} ({why}), so it is {found_s / bound_s:.2f} times the bound."
    )


def goal_sentences(searched: Searched, problem: Problem) -> tuple[str, ...]:
    """Where no candidate meets all goals: the nearest, by how much, and what would meet them."""
    missing = any(score.missed for score in searched.scores)
    able = [score for score in searched.finalists if not score.failed] or list(searched.finalists)
    if not missing or any(score.meets for score in searched.scores):
        return ()
    nearest = min(able, key=lambda s: (s.excess, s.candidate.simplicity))
    spans = bounds(problem, 1).span_s
    misses = ", ".join(
        f"{_GOALS[miss.goal]} of {miss.pipeline} {seconds(miss.found_s)}, wanted {seconds(miss.wanted_s)} "
        f"({miss.found_s / miss.wanted_s:.2f} times)"
        for miss in nearest.missed
    )
    lines = [f'No candidate meets every goal. Nearest is "{nearest.candidate.name}": {misses}.']
    for miss in nearest.missed:
        span_s = spans[list(problem.loaded.workload.pipelines).index(miss.pipeline)]
        if miss.goal == "p50_s" and span_s is not None and span_s > miss.wanted_s:
            lines.append(
                f"A reply of {miss.pipeline} alone on an idle server takes {seconds(span_s)} already: no routing meets "
                "that goal. Shorter answers or prompts, a smaller model or a faster machine would."
            )
    return tuple(lines)
