"""A recommendation in words, beside the verdict that it rests on."""

from __future__ import annotations

import math
from statistics import fmean
from typing import NamedTuple

from harness.analysis.facts import BesideWork, MeasurementEnd
from harness.core.records import Path
from harness.recommend.facts import (
    BudgetTooShort,
    CallTooLong,
    CouldNotMeasure,
    LateInAnswer,
    LateInQueue,
    NearestToGoals,
    NothingToCompare,
    NotPredicted,
    OpenInFile,
    OtherMachine,
    RecommendationNote,
    Relief,
    SearchInterrupted,
    TooFewRepeats,
)
from harness.recommend.model import (
    BoundRow,
    Change,
    Confirmation,
    Recommendation,
    UsefulConcurrency,
    Users,
    UsersRow,
)
from harness.units import count, percent, seconds
from harness.wording.figures import GOAL_LABELS, listed
from harness.wording.notices import notice_text
from harness.wording.open_questions import open_questions_text
from harness.wording.own_policies import own_text
from harness.wording.searches import excluded_text, memory_text, search_sentences, too_long_text

__all__ = ["RecommendationText", "change_text", "end_text", "goal_sentences", "note_text", "recommended", "users_text"]


class RecommendationText(NamedTuple):
    """What is said of a recommendation, as plain text; rows in the order of the recommendation's."""

    notes: tuple[str, ...]
    goals: tuple[str, ...]
    left_out: tuple[str, ...]  # without a full stop
    search: tuple[str, ...]
    front: str  # why the chosen point was chosen
    useful_concurrency: str
    users: str
    changes: tuple[str, ...]
    bounds: tuple[str, ...]
    memory: str
    confirmation: tuple[str, ...]
    own: tuple[str, ...]


def recommended(found: Recommendation) -> RecommendationText:
    """Say what was found."""
    return RecommendationText(
        notes=tuple(map(note_text, found.notes)),
        goals=tuple(line for fact in found.goals for line in goal_sentences(fact)),
        left_out=tuple(map(excluded_text, found.left_out)),
        search=search_sentences(found.search),
        front=_front(found),
        useful_concurrency=_useful_concurrency(found.useful_concurrency) if found.useful_concurrency else "",
        users=users_text(found.users) if found.users else "",
        changes=tuple(change_text(change, found.paths) for change in found.changes),
        bounds=tuple(map(_bound, found.bounds)),
        memory=memory_text(found.memory, found.longest_call),
        confirmation=tuple(_confirmation(found.confirmation, found.answer)) if found.confirmation else (),
        own=tuple(own_text(own, found.paths) for own in found.own),
    )


def note_text(note: RecommendationNote) -> str:
    """Say what belongs above everything."""
    match note:
        case OpenInFile(file, lines):
            return open_questions_text(file, lines)
        case BesideWork():
            return notice_text(note)
        case SearchInterrupted():
            return "Interrupted: this is the best of the candidates that had been tried."
        case NotPredicted(candidate, reason):
            return f'"{candidate}" is not predicted: {reason}.'
        case CallTooLong(call):
            return too_long_text(call)
        case LateInAnswer(share):
            return f"{percent(share)} of the calls reach the workload's timeout_s while their answer is written."
        case LateInQueue(candidates, share):
            return (
                f"{count(candidates, 'candidate')} would lose calls to the workload's timeout_s while they wait in the "
                f"server's queue (up to {percent(share)} of them)."
            )
        case NothingToCompare():
            return "Prediction only: there is no other candidate to compare it with."
        case BudgetTooShort(budget_s, needed_s):
            return (
                f"Prediction only: a budget of {seconds(budget_s)} is too short to confirm it, which takes about "
                f"{seconds(needed_s)} at least (--budget)."
            )
        case TooFewRepeats(repeats, end):
            return f"Prediction only: the measurement ended after {count(repeats, 'repeat')}; {end_text(end)}."
        case CouldNotMeasure(error, begun=False):
            return f"Prediction only: it could not be measured ({error})."
        case CouldNotMeasure(error):
            return f"Prediction only: the measurement ended early ({error})."
        case OtherMachine(profile, here):
            return f'The profile is of "{profile}"; what is measured is this machine, "{here}".'


def end_text(end: MeasurementEnd) -> str:
    """Say why a measurement ended, as a clause."""
    match end.reason:
        case "all repeats":
            return "all repeats were measured, and some differences are not resolved"
        case "resolved":
            return "all differences were resolved"
        case "interrupted":
            return "it was interrupted"
        case _:
            what = "another repeat" if end.repeats == 1 else f"the {end.repeats} repeats that are needed"
            left = "nothing" if end.left_s <= 0 else seconds(end.left_s)
            return (
                f"{what} would have taken about {seconds(end.expected_s)}, and {left} of {seconds(end.budget_s)} was "
                "left"
            )


def goal_sentences(fact: NearestToGoals | Relief) -> tuple[str, ...]:
    """Where no candidate meets all goals: say which is nearest, by how much, and what would meet them."""
    if isinstance(fact, Relief):
        if not fact.candidates:
            return (f"{fact.what}: none of the best candidates meets them either.",)
        return (f"{fact.what}: they are met, with {_and(fact.candidates)}.",)
    misses = ", ".join(
        f"{GOAL_LABELS[miss.goal]} of {miss.pipeline} {seconds(miss.found_s)}, goal {seconds(miss.wanted_s)} "
        f"({miss.found_s / miss.wanted_s:.2f} times)"
        for miss in fact.missed
    )
    return (
        f'No candidate meets every goal. Nearest is "{fact.candidate}": {misses}.',
        *(
            f"A reply of {pipeline} alone on an idle server takes {seconds(alone_s)} already: no routing meets that "
            "goal. Try shorter answers or prompts, a smaller model or a faster machine."
            for pipeline, alone_s in fact.out_of_reach
        ),
    )


_WHY = {
    "one path": "Chosen: the simplest to run of those within 5 % of the fastest.",
    "same": "Chosen: on both paths the simplest to run of those within 5 % of its fastest.",
    "both": "Chosen: the simplest of those within 5 % of the fastest on both paths at once.",
    "goals": "Chosen: the fastest on the batch path of those that meet the goals.",
    "compromise": "Chosen: it has the smallest worst slowdown on a path.",
    "none": "",
}


def _front(found: Recommendation) -> str:
    """Say why the chosen point of the front, or the one beside it, was chosen."""
    choice = found.analysis.choice
    if found.confirmation is not None and found.confirmation.contradicts:
        return "Chosen: by the measurement."
    if choice.tie is not None:
        return (
            f'Chosen: it meets the goals, and is simpler than "{choice.tie.against}", the fastest on the batch path of '
            "those that meet them, and no slower within 5 %."
        )
    return _WHY[choice.kind]


def _useful_concurrency(found: UsefulConcurrency) -> str:
    where = f"{' + '.join(found.servers)} ({count(found.slots, 'slot')})"
    if found.in_flight is None:
        return f"On {where} throughput still rises with every additional call: a limit gains nothing."
    at = next(row for row in found.rows if row.in_flight == found.in_flight)
    one = next((row for row in found.rows if row.in_flight == 1), None)
    gain = f", {at.tokens_per_s / one.tokens_per_s:.2f} times that of one call" if one and found.in_flight > 1 else ""
    agents = count(found.in_flight, "call")
    return (
        f"On {where} {agents} at once reach{'es' if found.in_flight == 1 else ''} {at.tokens_per_s:.1f} tokens per "
        f"second{gain}; more calls only lengthen the queue."
    )


def users_text(users: Users) -> str:
    """Say how many people a candidate can serve at once."""
    if users.most is None:
        return f'Not even one person at a time meets every goal with "{users.candidate}".' + _met_again(users)
    at = next(row for row in users.rows if row.users == users.most)
    beyond = next((row for row in users.rows if row.users > at.users), None)
    people = "one person" if users.most == 1 else f"{users.most} people"
    reply = _reply(at)
    if users.with_goals:
        text = f'"{users.candidate}" meets every goal for up to {people} at once ({reply})'
        if beyond is None:
            return f"{text}; more people were not tried."
        return f"{text}; with {beyond.users} it misses a goal ({_reply(beyond)}).{_met_again(users)}"
    text = f"Throughput stops rising at {people} at once ({at.tokens_per_s:.1f} tokens per second, {reply})"
    return f"{text}; more people only wait: {beyond.users} get {_reply(beyond)}." if beyond else f"{text}."


def _met_again(users: Users) -> str:
    """Say with which larger numbers the goals are met although a smaller one misses them: no number to plan for."""
    more = [str(row.users) for row in users.rows if row.meets_goals and row.users > (users.most or 0)]
    return f" That it meets them with {listed(more)} is no reason to plan for that many." if more else ""


def _reply(row: UsersRow) -> str:
    return f"{seconds(row.times_s[-1])} for a reply" if math.isfinite(row.times_s[-1]) else "no reply in time"


def change_text(change: Change, paths: tuple[Path, ...]) -> str:
    """Say whether the answer stays, and what would be better by how much."""
    what, names = change.what[:1].upper() + change.what[1:], _and(change.candidates)
    if change.fewer_slots:
        pairs = zip(change.ratios, paths, strict=True)
        slower = " and ".join(f"{ratio:.2f} times the time of the {path} path" for ratio, path in pairs)
        return f"{what}: {names}, with {slower}."
    if change.stays:
        return f"{what}: the answer stays the same."
    if not change.candidates:
        return f"{what}: jobs fail under every candidate."
    text = f"{what}: the answer becomes {names}"
    if change.fails:
        return f'{text}; jobs of "{change.answer}" would fail.'
    if not change.ratios:
        return f"{text}."
    where = [f" ({path})" for path in paths] if len(paths) > 1 else [""]
    ratios = " and ".join(f"{ratio:.2f}{path}" for ratio, path in zip(change.ratios, where, strict=True))
    text = f'{text}; "{change.answer}" would take {ratios} times as long'
    return f"{text}, and miss a goal." if change.misses_goal else f"{text}."


def _bound(row: BoundRow) -> str:
    """Say how close a figure is to its lower bound."""
    why = {
        "all jobs": "all its tokens at the best rate of any setting",
        "a job": "every call alone on an idle server",
        "a reply": "every call alone on an idle server",
    }[row.figure]
    return (
        f"{row.figure[:1].upper() + row.figure[1:]} of {row.pipeline}: {seconds(row.found_s)}, "
        f"{row.found_s / row.bound_s:.2f} times the lower bound of {seconds(row.bound_s)} ({why})."
    )


def _confirmation(found: Confirmation, answer: tuple[str, ...]) -> list[str]:
    lines = [f"{count(found.repeats, 'repeat')} of each: {end_text(found.end)}."]
    if found.differences:
        errors = [abs(difference.error) for difference in found.differences]
        lines.append(f"The prediction was off by {percent(fmean(errors))} (mean), {percent(max(errors))} at worst.")
    mine, theirs = _and(answer), _and(found.predicted)
    if not answer:
        lines.append("The measurement contradicts the prediction: jobs fail under every candidate that was measured.")
    elif found.contradicts:
        lines.append(f"The measurement contradicts the prediction: {mine}, not {theirs}. The measurement decides.")
        lines.append(
            f"Useful concurrency, people, sensitivity, load and lower bounds below are still those of {theirs}."
        )
    else:
        lines.append(f"The measurement confirms the prediction: {mine}.")
    if found.looks > 1:
        lines.append(
            f"It was checked {found.looks} times whether that is enough: check k had 1 / (k (k + 1)) of the 5 % error "
            "to itself."
        )
    return lines


def _and(names: tuple[str, ...]) -> str:
    return " and ".join(f'"{name}"' for name in names)
