"""What an answer says of goals: met, missed, or not certain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from analysis.scenarios import scenario, steady, with_goal

from harness.analysis.analyse import analyse
from harness.analysis.goals import judge_all
from harness.analysis.model import Analysis
from harness.wording.answer_table import answer_table
from harness.wording.goals import goals_cell
from harness.wording.run_answer import run_answer

NOISE = (0.01, -0.01, 0.005, 0.0, 0.0)
SOME = (0.1, -0.1, 0.05, -0.05, 0.0)
MUCH = (0.3, -0.3, 0.2, -0.2, 0.0)
DIGEST = {"serial": steady(16), "batched": steady(13), "split": steady(14.5, noise=NOISE)}


def judged(chat: Mapping[str, Sequence[float]], **goals: float) -> Analysis:
    return analyse(scenario(DIGEST, {"serial": steady(3), "batched": steady(2), **chat}, spec=with_goal(**goals)))


def cells(found: Analysis) -> dict[str, str]:
    table = answer_table(found)
    assert table is not None
    return {row.name: row.cells[-1] for row in table.rows}


def said(found: Analysis, title: str) -> str:
    (part,) = (part for part in run_answer(found).parts if part.title == title)
    return " ".join(line.text for line in part.lines)


def test_a_goal_that_is_surely_met_decides_in_plain_words() -> None:
    found = judged({"split": steady(1)}, p50_s=1.5)
    assert (found.choice.kind, found.choice.candidate) == ("goals", "split")
    assert cells(found) == {"split": "met", "serial": "missed", "batched": "missed"}
    assert said(found, "Why").startswith("It is the only one that meets the goal.")
    assert "not certain" not in said(found, "How sure")


def test_a_goal_within_the_interval_is_not_certain_in_cell_reason_and_doubt() -> None:
    found = judged({"split": steady(1, noise=MUCH)}, p50_s=1.2)
    assert (found.choice.kind, found.choice.candidate) == ("goals", "split")
    assert cells(found) == {"split": "not certain", "serial": "missed", "batched": "missed"}
    assert said(found, "Why").startswith(
        "By its middle figure it is the only one that meets the goal, which is not certain."
    )
    assert "Whether chat meets its goal is not certain: of the median reply the interval is " in said(found, "How sure")
    split = found.by_name["split"]
    assert goals_cell(judge_all(split), "estimated") == "not resolvable"


def test_one_that_may_meet_the_goal_makes_the_other_the_only_sure_one() -> None:
    found = judged({"batched": steady(1.6, noise=SOME), "split": steady(1)}, p50_s=1.5)
    assert (found.choice.kind, found.choice.candidate) == ("goals", "split")
    assert cells(found)["batched"] == "not certain"
    assert said(found, "Why").startswith("It is the only one that surely meets the goal.")


def test_of_several_that_meet_it_the_doubt_is_said() -> None:
    found = judged({"batched": steady(1.3, noise=SOME), "split": steady(1)}, p50_s=1.4)
    assert (found.choice.kind, found.choice.candidate) == ("goals", "batched")
    assert said(found, "Why").startswith(
        "Of the 2 that meet the goal, it is the fastest on digest, but it is not certain that it meets it."
    )
    found = judged({"serial": steady(1.3, noise=SOME), "batched": steady(1.1), "split": steady(0.8)}, p50_s=1.4)
    assert (found.choice.kind, found.choice.candidate) == ("goals", "batched")
    assert said(found, "Why").startswith("Of the 3 that meet the goal (1 of them not certainly), it is the fastest")


@pytest.mark.parametrize(
    ("split", "begin"),
    [(steady(1), "No candidate meets every goal"), (steady(1, noise=SOME), "No candidate surely meets every goal")],
)
def test_that_nobody_meets_it_is_said_as_surely_as_it_is(split: Sequence[float], begin: str) -> None:
    found = judged({"split": split}, p50_s=0.95)
    assert found.choice.kind == "compromise"
    assert said(found, "Why").startswith(f"{begin}, and none is best on both paths.")


def test_of_several_goals_the_least_and_the_most_are_counted() -> None:
    assert cells(judged({"split": steady(1)}, p50_s=1.2, first_token_s=1.0))["split"] == "2 of 2"
    found = judged({"split": steady(1, noise=MUCH)}, p50_s=1.2, first_token_s=1.0)
    assert cells(found)["split"] == "1 to 2 of 2"


def test_the_head_of_the_column_says_what_is_judged() -> None:
    for goals, head in (
        ({"p50_s": 1.5}, ("goal: median", "reply < 1.50 s")),
        ({"first_token_s": 1.0}, ("goal: first", "token < 1.00 s")),
        ({"p95_s": 2.0}, ("goal: p95", "reply < 2.00 s")),
        ({"p50_s": 1.5, "p95_s": 2.0}, ("2 goals", "met")),
    ):
        table = answer_table(judged({"split": steady(1)}, **goals))
        assert table is not None and table.columns[-1] == head
