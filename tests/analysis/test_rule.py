"""The rule that decides: by hand, and that a run and a search which know the same answer the same."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from analysis.scenarios import scenario, steady
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.analysis.analyse import analyse
from harness.analysis.model import CandidateSummary, GoalResult, ServerUse
from harness.analysis.rule import Decision, Estimates, decide, within
from harness.analysis.verdict import decide as verdict_of
from harness.core.plan import Plan
from harness.recommend.facts import GoalFigure
from harness.recommend.scoring import CandidateScore, pick
from harness.recommend.space import Candidate

REPEATS = 4


def found(*candidates: Estimates) -> Decision:
    """Decide where those tie that are within 5 % of the fastest."""

    def ties(n: int, fastest: int, path: int) -> bool:
        mine, best = candidates[n].times_s[path], candidates[fastest].times_s[path]
        assert mine is not None and best is not None
        return within(mine, best)

    return decide(candidates, ties)


def one(*times_s: float | None, rank: int = 0, failed: Sequence[bool] = (), goals: bool | None = None) -> Estimates:
    """Estimates of a candidate; nothing failed unless it is said."""
    return Estimates(times_s, tuple(failed) or (False,) * len(times_s), goals, (1, 1, rank, 0, 0))


@pytest.mark.parametrize(
    ("candidates", "kind", "chosen"),
    [
        ([], "none", None),
        ([one(None)], "none", None),
        ([one(1.0, None)], "none", None),
        ([one(2.0), one(1.0, rank=1)], "one path", 1),
        ([one(1.05), one(1.0, rank=1)], "one path", 0),
        ([one(1.0, rank=1), one(1.0, rank=1)], "one path", 0),
        ([one(1.0, failed=[True]), one(9.0)], "one path", 1),
        ([one(1.0, failed=[True]), one(9.0, failed=[True])], "none", None),
        ([one(1.0, 1.0, failed=[True, False]), one(2.0, 2.0, failed=[True, False])], "none", None),
        ([one(1.0, 1.0), one(2.0, 2.0)], "same", 0),
        ([one(1.0, 9.0), one(1.04, 1.04, rank=1), one(9.0, 1.0)], "both", 1),
        ([one(1.0, 9.0), one(9.0, 1.0)], "compromise", 0),
        ([one(1.0, 9.0), one(2.0, 2.0, rank=1), one(9.0, 1.0)], "compromise", 1),
        ([one(1.0, 9.0), one(2.0, 2.0, rank=2), one(2.05, 2.0, rank=1), one(9.0, 1.0)], "compromise", 2),
        ([one(1.0, 9.0, goals=False), one(8.0, 1.0, goals=False)], "compromise", 1),
        ([one(1.0, 9.0, goals=False), one(9.0, 1.0, goals=True)], "goals", 1),
        ([one(1.0, 9.0, goals=True), one(9.0, 1.0, goals=True)], "goals", 0),
    ],
)
def test_every_kind_of_answer(candidates: list[Estimates], kind: str, chosen: int | None) -> None:
    answer = found(*candidates)
    assert (answer.kind, answer.candidate) == (kind, chosen)


def test_goals_take_the_simplest_of_those_that_meet_them_and_tie_with_the_fastest_of_them() -> None:
    answer = found(
        one(1.0, 9.0, rank=0, goals=False),
        one(2.0, 2.0, rank=3, goals=True),  # the fastest that meets them
        one(2.08, 2.0, rank=2, goals=True),  # ties with it, and is simpler
        one(2.2, 2.0, rank=1, goals=True),  # simpler still, and too slow
        one(9.0, 1.0, rank=4, goals=True),
    )
    assert (answer.kind, answer.candidate, answer.fastest) == ("goals", 2, 1)


def test_of_equally_simple_ones_that_meet_the_goals_and_tie_the_faster_for_the_person_is_taken() -> None:
    answer = found(one(1.0, 9.0, goals=False), one(2.0, 3.0, rank=1, goals=True), one(2.05, 1.5, rank=1, goals=True))
    assert (answer.kind, answer.candidate, answer.fastest) == ("goals", 2, 1)


def test_a_candidate_that_loses_jobs_on_one_path_is_no_answer_for_both() -> None:
    answer = found(
        one(1.0, 9.0, goals=False), one(2.0, 1.0, failed=[False, True], goals=True), one(3.0, 1.0, rank=1, goals=True)
    )
    assert [path.able for path in answer.paths] == [(0, 1, 2), (0, 2)]
    assert (answer.kind, answer.candidate) == ("goals", 2)


# --- a run and a search -----------------------------------------------------------------------------------------------

# Times whose ratios are nowhere near 1.05, where a run says "less than" and a search "at most".
TIMES = st.sampled_from([1.0, 1.02, 1.045, 1.06, 1.08, 1.11, 1.4, 2.0])


@st.composite
def estimates(draw: st.DrawFn) -> list[Estimates]:
    """Some candidates of one workload, with one path or two."""
    paths = draw(st.integers(1, 2))
    with_goal = paths == 2 and draw(st.booleans())
    return [
        Estimates(
            tuple(draw(st.none() | TIMES) if draw(st.integers(0, 9)) == 0 else draw(TIMES) for _ in range(paths)),
            tuple(draw(st.integers(0, 4)) == 0 for _ in range(paths)),
            draw(st.sampled_from([None, False, True, True])) if with_goal else None,
            (1, draw(st.integers(1, 3)), draw(st.integers(0, 2)), 0, 0),
        )
        for _ in range(draw(st.integers(1, 5)))
    ]


def summary_of(name: str, known: Estimates, like: CandidateSummary) -> CandidateSummary:
    """A candidate of a run without noise: its intervals have no width."""
    pipelines = []
    for path, (time_s, failed) in enumerate(zip(known.times_s, known.failed, strict=True)):
        times = () if time_s is None else tuple((repeat, time_s) for repeat in range(REPEATS))
        goals: tuple[GoalResult, ...] = ()
        if path == 1 and known.meets_goals is not None:
            goals = (GoalResult("chat", "p50_s", 1.0, 1.0, "met" if known.meets_goals else "missed"),)
        elif path == 1:
            goals = (GoalResult("chat", "p95_s", 1.0, None, "not judged"),)
        pipelines.append(like.pipelines[path]._replace(time_by_repeat=times, jobs_failed=int(failed), goals=goals))
    servers, slots, policy, *_ = known.simplicity
    use = ServerUse("s", "llamacpp", slots, 2048, 512, "window", "fifo", slots, simplicity=(policy, 0, 0))
    return like._replace(name=name, servers=(use,) * servers, pipelines=tuple(pipelines))


def score_of(number: int, known: Estimates) -> CandidateScore:
    """The same candidate in a search."""
    missed = (GoalFigure("chat", "p50_s", 1.0, 2.0),) if known.meets_goals is False else ()
    return CandidateScore(
        candidate=Candidate(number, Plan(f"c{number}", (), ()), known.simplicity),
        times_s=tuple(float("inf") if time_s is None else time_s for time_s in known.times_s),
        memory_bytes=None,
        missed=missed,
        excess=1.0,
        judged=known.meets_goals is not None,
        failed_on=known.failed,
        tokens_per_s=1.0,
        late_share=0.0,
        seeds=REPEATS,
    )


LIKE = analyse(scenario({"serial": steady(2)}, {"serial": steady(1)})).candidates[0]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(estimates())
@example([one(1.0, 9.0, goals=False), one(2.0, 2.0, rank=2, goals=True), one(2.04, 2.0, rank=1, goals=True)])
def test_a_run_and_a_search_that_know_the_same_answer_the_same(known: list[Estimates]) -> None:
    summaries = [summary_of(f"c{n}", estimate, LIKE) for n, estimate in enumerate(known)]
    verdicts, choice = verdict_of(summaries, "measured")
    searched = pick([score_of(n, estimate) for n, estimate in enumerate(known)])
    assert (choice.kind, choice.candidate) == (searched.kind, searched.whole and searched.whole.candidate.name)
    assert [verdict.chosen for verdict in verdicts] == [s and s.candidate.name for s in searched.by_path]
    assert [verdict.fastest for verdict in verdicts] == [s and s.candidate.name for s in searched.fastest]
    expected = found(*known)
    assert (choice.kind, choice.candidate) == (expected.kind, name_of(expected.candidate))
    assert (choice.tie.against if choice.tie else choice.candidate) == name_of(
        expected.candidate if expected.fastest is None else expected.fastest
    )


def name_of(number: int | None) -> str | None:
    """What a candidate is called in both."""
    return None if number is None else f"c{number}"
