"""What stands above an answer, the worst first."""

from __future__ import annotations

from analysis.scenarios import scenario, steady

from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis
from harness.report.summary import read_analysis, summary_text
from harness.runs.model import Note
from harness.wording.warnings import warnings_of


def cut_on_a_busy_machine() -> Analysis:
    """Four of five repeats, while others kept 1.5 cores busy."""
    run = scenario({"serial": steady(16), "batched": steady(13)})
    trials = tuple(trial._replace(other_cores=1.5) for trial in run.trials if trial.repeat < 4)
    note = Note("busy at start", "Other programs kept 1.5 cores busy when this run began. All times are too long.")
    return analyse(run._replace(trials=trials, partial=True, notes=(Note("run", "Something."), note)))


def test_what_makes_numbers_wrong_comes_before_what_is_missing() -> None:
    assert warnings_of(cut_on_a_busy_machine()) == (
        "Other programs used up to 1.5 cores in 8 of 8 trials.",
        "Partial: 4 of 5 repeats are complete for every candidate.",
        "Interrupted: 2 trials, excluded from all figures.",
        "Something.",
    )


def test_the_notes_of_the_full_report_have_the_same_order() -> None:
    kinds = [notice.kind for notice in cut_on_a_busy_machine().notices]
    assert kinds == ["busy machine", "busy at start", "partial", "interrupted", "run"]


def test_a_summary_that_was_kept_alone_still_warns() -> None:
    kept = read_analysis(summary_text(cut_on_a_busy_machine()), "summary.json")
    first = warnings_of(kept)[0]
    assert first.startswith("8 of 8 trials ran while other programs kept up to 1.5 cores busy (")
