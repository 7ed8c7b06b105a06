"""A machine that is no longer as fast as its profile: one factor explains the errors of a score."""

from __future__ import annotations

import pytest
from analysis.scenarios import scenario, steady
from report.test_answer import part_of, screen

from harness.analysis.analyse import analyse
from harness.predict.score import Score, ScoreRow
from harness.report.score_answer import score_answer


def score_of(*factors: float, figure: str = "pipeline time") -> Score:
    return Score(tuple(ScoreRow(f"c{i}", "digest", figure, 2.0 * f, 2.0, 0.01) for i, f in enumerate(factors)), ())


@pytest.mark.parametrize(
    ("factors", "pace"),
    [
        ((1.65, 1.65, 1.65), 1.65),
        ((0.5, 0.5, 0.5, 0.5), 0.5),
        ((1.5, 1.6, 1.7), (1.5 * 1.6 * 1.7) ** (1 / 3)),
        ((1.02, 0.99, 1.05), None),  # noise
        ((1.65, 1.65), None),  # two may agree by chance
        ((1.65, 1.65, 1.2), None),  # something else is off, too
    ],
)
def test_one_factor_explains_the_errors_or_does_not(factors: tuple[float, ...], pace: float | None) -> None:
    found = score_of(*factors).pace
    assert found is None if pace is None else found == pytest.approx(pace)


def test_only_times_of_jobs_count() -> None:
    assert score_of(1.65, 1.65, 1.65, figure="queue wait").pace is None


def test_it_is_said_and_what_to_do() -> None:
    analysis = analyse(scenario({"serial": steady(16), "batched": steady(12)}))

    def why(score: Score) -> str:
        return part_of(
            screen(score_answer(score, analysis, "laptop", "as observed", None, "slotwise report DIR")), "Why"
        )

    said = (
        "All times are off by about the same factor: the machine had 1.65 times the speed of laptop. Calibrate again."
    )
    assert why(score_of(1.65, 1.65, 1.65)).startswith(said)
    assert "Calibrate again" not in why(score_of(1.02, 0.99, 1.05))
