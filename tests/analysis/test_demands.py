"""What somebody demands of a run: read, refused where it can be misread, held against the figures of summary.json."""

from __future__ import annotations

from typing import Any

import pytest
from analysis.scenarios import scenario, steady, with_goal

from harness.analysis.analyse import analyse
from harness.analysis.demands import FIGURES, OF_CANDIDATES, check_jobs, judge, read_demand
from harness.analysis.model import Analysis, GoalResult
from harness.app.gate import FailOn, open_goals, run_cases
from harness.errors import UserError
from harness.report.summary import summary
from harness.wording.demands import _number, demand_line, demand_text, goal_text, goals_text


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    chats = {"serial": steady(2.0), "batched": steady(1.0)}
    return analyse(scenario({"serial": steady(16.0), "batched": steady(13.0)}, chats))


def said(text: str, analysis: Analysis) -> tuple[bool, str]:
    demand = read_demand(text)
    assert demand is not None
    found = judge(demand, analysis)
    return found.holds, demand_text(found)


@pytest.mark.parametrize(
    ("text", "holds", "words"),
    [
        ("chat.p50_s<0.9", False, "chat.p50_s is 1 s under batched; it must be below 0.9 s"),
        ("chat.p50_s<1", False, "chat.p50_s is 1 s under batched; it must be below 1 s"),
        ("chat.p50_s <= 1", True, "chat.p50_s is 1 s under batched; it must be at most 1 s"),
        ("serial:chat.p50_s<1.5", False, "chat.p50_s is 2 s under serial; it must be below 1.5 s"),
        ("digest.jobs_failed<=0", True, "digest.jobs_failed is 0 under batched; it must be at most 0"),
        ("makespan_s<12", False, "makespan_s is 13 s under batched; it must be below 12 s"),
        (
            "chat.p95_s<2",
            False,
            "chat.p95_s was not measured under batched: 15 jobs succeeded, and it needs 100: use --repeats 34; "
            "it must be below 2 s",
        ),
    ],
)
def test_a_demand_holds_or_says_what_is(text: str, holds: bool, words: str, analysis: Analysis) -> None:
    assert said(text, analysis) == (holds, words)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("chat.p50_s<1.5", "Demand chat.p50_s < 1.5 s: 1 s under batched, holds"),
        ("serial:chat.p50_s<1.5", "Demand chat.p50_s < 1.5 s: 2 s under serial, does not hold"),
        ("chat.p95_s<2", "Demand chat.p95_s < 2 s: not measured under batched (15 of 100 jobs), does not hold"),
    ],
)
def test_the_figure_that_decides_is_a_line_and_in_the_xml(text: str, line: str, analysis: Analysis) -> None:
    demand = read_demand(text)
    assert demand is not None and demand_line(judge(demand, analysis)) == line
    case = run_cases(analysis, FailOn(demands=(demand,)))[0]
    assert (case.said, case.name) == (line, text if ":" in text else f"batched:{text}")


def test_too_few_jobs_are_refused_beforehand() -> None:
    demand = read_demand("chat.p95_s<2")
    assert demand is not None
    with pytest.raises(UserError, match="needs 100 jobs, this run has 45: use --repeats 12"):
        check_jobs(demand, {"chat": 9}, 5)
    check_jobs(demand, {"chat": 9}, 12)
    check_jobs(demand, {"chat": None}, 1)  # nobody knows
    other = read_demand("chat.p50_s<2")
    assert other is not None
    check_jobs(other, {"chat": 9}, 5)


def test_goals_that_were_not_judged_are_counted() -> None:
    met = GoalResult("chat", "p50_s", 2.0, 1.0, "met")
    open_ = GoalResult("chat", "p95_s", 3.0, None, "not judged")
    assert goals_text([(met, 45)]) == ""
    assert goals_text([(met, 45), (open_, 45)]) == "goals: 1 met, 1 not judged (45 of 100 jobs)"
    assert "was not judged under queue (45 of 100 jobs); it must be" in goal_text("queue", open_, 45)
    chats = {"serial": steady(2.0), "batched": steady(1.0)}
    run = scenario({"serial": steady(16.0), "batched": steady(13.0)}, chats, spec=with_goal(p50_s=2, p95_s=3))
    found = analyse(run)
    assert open_goals(found, FailOn(("goals",))) == "goals: 1 met, 1 not judged (15 of 100 jobs)"
    assert open_goals(found, FailOn(("failures",))) == ""
    skipped = [case.skipped for case in run_cases(found, FailOn(("goals",))) if case.skipped]
    assert skipped and all("(15 of 100 jobs)" in text for text in skipped)


def test_a_rate_must_be_above(analysis: Analysis) -> None:
    assert said("throughput_tokens_per_s>0.001", analysis)[0]
    holds, words = said("throughput_tokens_per_s>=100000", analysis)
    assert not holds and words.endswith("it must be at least 100000 tokens/s")


@pytest.mark.parametrize(
    ("value", "limit", "text"),
    [
        (2.4123, 2.0, "2.41"),
        (2.0004, 2.0, "2.0004"),
        (2.0, 2.0, "2"),
        (0.00012, 1.0, "0.00012"),
        (12345678, 1.0, "12345678"),
    ],
)
def test_a_number_has_as_many_digits_as_tell_it_from_its_limit(value: float, limit: float, text: str) -> None:
    assert _number(value, limit) == text


def test_without_a_recommended_candidate_nothing_is_judged(analysis: Analysis) -> None:
    none = analysis._replace(choice=analysis.choice._replace(candidate=None))
    holds, words = said("chat.p50_s<9", none)
    assert not holds
    assert words == "chat.p50_s is not judged: no candidate is recommended; name one, such as CANDIDATE:chat.p50_s<9"
    assert said("serial:chat.p50_s<9", none)[0]


def test_a_candidate_without_a_repeat_was_not_measured(analysis: Analysis) -> None:
    none = analysis._replace(candidates=tuple(one._replace(repeats=0) for one in analysis.candidates))
    assert said("chat.p50_s<9", none) == (
        False,
        "chat.p50_s was not measured under batched: no repeat is complete; it must be below 9 s",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("chat.p95_s>2", 'a time or a count must be below a limit; write "chat.p95_s<2"'),
        ("chat.p95_s>=2", 'write "chat.p95_s<=2"'),
        ("throughput_tokens_per_s<9", 'a rate must be above a limit; write "throughput_tokens_per_s>9"'),
        ("chat.p59_s<2", 'there is no figure "p59_s"; did you mean "p95_s"?; of a pipeline there are p50_s'),
        ("p95_s<2", 'name the pipeline too, such as "chat.p95_s"'),
        ("chat.makespan_s<2", 'makespan_s is of the whole candidate; leave "chat." out'),
        ("chat.p95_s<2s", 'expected [CANDIDATE:]PIPELINE.FIGURE<NUMBER, such as "chat.p95_s<2"'),
        ("chat.p95_s=<2", "the expression says what must hold"),
        ("<", "expected [CANDIDATE:]"),
        ("a" * 500 + "<1", "expected [CANDIDATE:]"),
    ],
)
def test_what_could_be_misread_is_refused(text: str, words: str) -> None:
    with pytest.raises(UserError) as error:
        read_demand(text)
    assert words in str(error.value)


def test_words_are_no_demand() -> None:
    assert read_demand("goals") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("chad.p50_s<2", 'no pipeline "chad"; did you mean "chat"?; there are digest, chat'),
        ("seriel:chat.p50_s<2", 'no candidate "seriel"; did you mean "serial"?; there are serial, batched'),
    ],
)
def test_an_unknown_name_lists_those_that_there_are(text: str, words: str, analysis: Analysis) -> None:
    with pytest.raises(UserError) as error:
        said(text, analysis)
    assert words in str(error.value)


def test_figures_are_those_of_summary_json(analysis: Analysis) -> None:
    candidate = analysis.by_name["batched"]
    flat: dict[str, Any] = next(one for one in summary(analysis)["candidates"] if one["name"] == "batched")
    for kinds, pipeline, plain in (
        (FIGURES, candidate.pipelines[0], flat["pipelines"][0]),
        (OF_CANDIDATES, candidate.pipelines[0], flat),
    ):
        for name, kind in kinds.items():
            if kind.where.startswith("the median"):
                continue
            value: Any = plain
            for key in kind.where.split("."):
                value = value and value[key]
            assert value == kind.value(candidate, pipeline), name
