"""Notes and changes of a recommendation, word for word; the rest is said in the tests of the search."""

from __future__ import annotations

import pytest

from harness.analysis.facts import MeasurementEnd
from harness.recommend.facts import (
    BudgetTooShort,
    CouldNotMeasure,
    LateInAnswer,
    LateInQueue,
    NothingToCompare,
    OpenInFile,
    OtherMachine,
    RecommendationNote,
    Relief,
    SearchInterrupted,
    TooFewRepeats,
)
from harness.recommend.model import Change, Users, UsersRow
from harness.recommend.sensitivity import most_people
from harness.wording.recommendations import change_text, goal_sentences, note_text, users_text

BUDGET = MeasurementEnd("budget", 2, 30.0, 12.0, 60.0)


@pytest.mark.parametrize(
    ("note", "text"),
    [
        (SearchInterrupted(), "Interrupted: this is the best of the candidates that had been tried."),
        (LateInAnswer(0.1), "10 % of the calls reach the workload's timeout_s while their answer is written."),
        (
            LateInQueue(1, 0.25),
            "1 candidate would lose calls to the workload's timeout_s while they wait in the server's queue (up to "
            "25 % of them).",
        ),
        (NothingToCompare(), "Prediction only: there is no other candidate to compare it with."),
        (
            BudgetTooShort(1.0, 90.0),
            "Prediction only: a budget of 1.00 s is too short to confirm it, which takes about 90.0 s at least "
            "(--budget).",
        ),
        (
            TooFewRepeats(1, BUDGET),
            "Prediction only: the measurement ended after 1 repeat; the 2 repeats that are needed would have taken "
            "about 30.0 s, and 12.0 s of 60.0 s was left.",
        ),
        (
            TooFewRepeats(0, BUDGET._replace(repeats=1, left_s=-1.0)),
            "Prediction only: the measurement ended after 0 repeats; another repeat would have taken about 30.0 s, and "
            "nothing of 60.0 s was left.",
        ),
        (CouldNotMeasure("no engine", begun=False), "Prediction only: it could not be measured (no engine)."),
        (CouldNotMeasure("it died", begun=True), "Prediction only: the measurement ended early (it died)."),
        (
            OpenInFile("w.yaml", (4, 9)),
            "2 open questions in w.yaml, lines 4 and 9. What stands there is a guess, and so is every figure here. "
            "Answer each question where it stands, then delete its comment.",
        ),
        (OtherMachine("a", "b"), 'The profile is of "a"; what is measured is this machine, "b".'),
    ],
)
def test_every_note(note: RecommendationNote, text: str) -> None:
    assert note_text(note) == text


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (Change("twice the users", True, ("a",)), "Twice the users: the answer stays the same."),
        (Change("twice the users", False, ()), "Twice the users: jobs fail under every candidate."),
        (Change("twice the users", False, ("a", "b")), 'Twice the users: the answer becomes "a" and "b".'),
        (
            Change("twice the users", False, ("b",), ratios=(1.25, 0.5), answer="a", misses_goal=True),
            'Twice the users: the answer becomes "b"; "a" would take 1.25 (batch) and 0.50 (interactive) times as '
            "long, and miss a goal.",
        ),
        (
            Change("twice the users", False, ("b",), ratios=(1.25, 0.5), answer="a", fails=True),
            'Twice the users: the answer becomes "b"; jobs of "a" would fail.',
        ),
        (
            Change("fewer slots", False, ("b",), fewer_slots=True, ratios=(1.5, 2.0)),
            'Fewer slots: "b", with 1.50 times the time of the batch path and 2.00 times the time of the interactive '
            "path.",
        ),
    ],
)
def test_every_change(change: Change, text: str) -> None:
    assert change_text(change, ("batch", "interactive")) == text


def test_a_change_on_the_only_path_does_not_name_it() -> None:
    change = Change("twice the users", False, ("b",), ratios=(1.25,), answer="a")
    assert change_text(change, ("batch",)).endswith('; "a" would take 1.25 times as long.')


def test_relief_is_said_whether_it_helps_or_not() -> None:
    assert goal_sentences(Relief("One person at a time", ("a", "b"))) == (
        'One person at a time: they are met, with "a" and "b".',
    )
    assert goal_sentences(Relief("One person at a time", ())) == (
        "One person at a time: none of the best candidates meets them either.",
    )


# --- how many people --------------------------------------------------------------------------------------------------


def people(meeting: dict[int, bool]) -> Users:
    """So many people, and whether they meet the goals; a reply takes as many seconds."""
    rows = tuple(UsersRow(users, 10.0, (float(users),), meets) for users, meets in meeting.items())
    return Users("a", rows, most_people(rows, with_goals=True), with_goals=True)


@pytest.mark.parametrize(
    ("meeting", "text"),
    [
        (
            {1: True, 2: True},
            '"a" meets every goal for up to 2 people at once (2.00 s for a reply); more people were not tried.',
        ),
        (
            {1: True, 2: True, 3: False, 4: False},
            '"a" meets every goal for up to 2 people at once (2.00 s for a reply); with 3 it misses a goal (3.00 s '
            "for a reply).",
        ),
        (
            {1: True, 2: True, 3: False, 4: False, 6: False, 8: True, 12: False, 16: True},
            '"a" meets every goal for up to 2 people at once (2.00 s for a reply); with 3 it misses a goal (3.00 s '
            "for a reply). That it meets them with 8 and 16 is no reason to plan for that many.",
        ),
        ({1: False, 2: False}, 'Not even one person at a time meets every goal with "a".'),
        (
            {1: False, 2: True, 3: False},
            'Not even one person at a time meets every goal with "a". That it meets them with 2 is no reason to plan '
            "for that many.",
        ),
    ],
)
def test_up_to_is_said_of_a_number_below_which_every_number_meets_the_goals(
    meeting: dict[int, bool], text: str
) -> None:
    assert users_text(people(meeting)) == text


def test_without_goals_it_is_where_throughput_is_within_5_percent_of_the_best() -> None:
    rates = {1: 50.0, 2: 94.0, 3: 96.0, 4: 90.0, 6: 100.0}
    rows = [UsersRow(users, rate, (1.0,), True) for users, rate in rates.items()]
    assert most_people(rows, with_goals=False) == 3
