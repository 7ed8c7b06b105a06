"""`slotwise run --until resolved`: on simulated servers, in virtual time; and what a look costs, by arithmetic."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from predict.emulated import in_this_process
from quiet import Quiet

from harness.analysis.analyse import analyse
from harness.analysis.facts import MeasuredUntil
from harness.analysis.looks import look_at, next_look, shares_of
from harness.analysis.questions import open_questions
from harness.analysis.statistics import against_goal, estimate
from harness.app import run as app_run
from harness.app.measuring import Measured
from harness.app.options import ResumeOptions, RunOptions
from harness.app.report import report
from harness.app.resume import resume
from harness.cli.app import _main
from harness.errors import UserError
from harness.measure.until import Until
from harness.runs.folder import read_run

WORKLOAD = """
version: 1
name: w
pipelines:
  digest:
    path: batch
    jobs: 4
    arrival: {closed: 2}
    nodes:
      part: {agent: {prompt: "About {item}.", output_tokens: [10, 60]}, over: items}
      join: {agent: {prompt: "Join {part}", output_tokens: 24}, after: [part]}
inputs:
  items: {list: [a, b, c]}
servers:
  one: {kind: simulated, profile: epyc-2core}
  four: {kind: simulated, profile: epyc-2core, slots: 4}
compare:
  serial: {placement: one, concurrency: serial}
  window: {placement: four, concurrency: window}
measure: {repeats: 2, warmup: 0}
"""


def virtual_s() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:  # before it begins
        return 0.0


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(app_run, "Until", partial(Until, clock=virtual_s))
    path = tmp_path / "w.yaml"
    path.write_text(WORKLOAD, encoding="utf-8")
    with in_this_process():
        yield path


def until_of(measured: Measured) -> MeasuredUntil:
    assert measured.failure is None
    assert measured.analysis is not None
    (notice,) = [one for one in measured.analysis.notices if isinstance(one, MeasuredUntil)]
    return notice


def test_looks_share_the_error() -> None:
    assert [look_at(n) for n in (1, 3, 4, 5, 6, 8, 12, 13, 18)] == [1, 1, 2, 2, 3, 3, 4, 5, 5]
    due = [3]
    while len(due) < 5:
        due.append(next_look(due[-1]))
    assert due == [3, 5, 8, 12, 18]
    assert shares_of(0) == 1
    assert sum(1 / shares_of(k) for k in range(1, 1000)) == pytest.approx(1, abs=0.0011)


def test_a_goal_is_settled_on_one_side_or_within_five_percent() -> None:
    clear = estimate([1.0, 1.1, 0.9, 1.0], "measured")
    assert clear is not None
    assert against_goal(clear, 2.0) == (True, None)
    near = estimate([1.0, 1.001, 0.999, 1.0], "measured")
    assert near is not None
    assert against_goal(near, 1.0) == (True, None)  # at the goal, whichever side it is on
    settled, needed = against_goal(clear, 1.03)
    assert not settled and needed is not None and needed > 4
    once = estimate([1.0], "measured")
    assert once is not None
    assert against_goal(once, 2.0) == (False, None)


def test_it_goes_on_until_every_question_is_settled(file: Path, tmp_path: Path) -> None:
    progress = Quiet()
    found = app_run.run(file, RunOptions(until="resolved", at_most_s=3600, out=tmp_path / "out"), progress)
    notice = until_of(found)
    assert (notice.open, notice.interrupted) == ((), False)
    assert notice.repeats in (3, 5, 8, 12, 18, 27, 41) and notice.repeats > 3  # more than the two of the file
    assert progress.said[-1].startswith(f"Every question is settled after {notice.repeats} repeats.")
    assert any(text.startswith("open after 3 repeats, at most ") for text in progress.said)
    # What the folder says later is the same, with the same wider intervals.
    later = report(found.folder)
    assert found.analysis is not None
    assert later.analysis.paths == found.analysis.paths
    assert later.analysis.looks == look_at(notice.repeats)
    fixed = analyse(later.run._replace(options={"repeats": notice.repeats}))
    wider, narrow = later.analysis.paths[0].comparisons[0], fixed.paths[0].comparisons[0]
    assert wider.comparisons == shares_of(later.analysis.looks) * narrow.comparisons
    assert wider.low is not None and narrow.low is not None and wider.low < narrow.low


def test_it_ends_when_the_time_is_out_and_goes_on_where_it_was(file: Path, tmp_path: Path) -> None:
    progress = Quiet()
    options = RunOptions(until="resolved", at_most_s=30, out=tmp_path / "out")
    found = app_run.run(file, options, progress)
    notice = until_of(found)
    assert notice.open and notice.more_s is not None and notice.more_s > 0
    assert f"slotwise run --resume {found.folder} --until resolved --at-most" in progress.said[-1]
    assert progress.said[-1].startswith(f"Not settled after {notice.repeats} repeats within 30s. Still open: ")
    assert not found.run.partial
    before = {(call.candidate, call.repeat, call.pipeline, call.job, call.node) for call in found.run.calls}
    # It has ended as it was asked to: nothing is missing.
    assert resume(found.folder).missing == 0
    again = resume(found.folder, ResumeOptions(until="resolved", at_most_s=3600), progress)
    assert again.missing is None
    settled = until_of(again.measured)
    assert settled.open == () and settled.repeats > notice.repeats
    run = read_run(found.folder)
    assert before <= {(call.candidate, call.repeat, call.pipeline, call.job, call.node) for call in run.calls}
    assert any(note.kind == "resumed" for note in run.notes)
    # And once more: it sees that there is nothing to do, and measures nothing.
    assert resume(found.folder, ResumeOptions(until="resolved")).missing == 0


def test_a_run_with_its_repeats_can_go_on_until_it_is_settled(file: Path, tmp_path: Path) -> None:
    found = app_run.run(file, RunOptions(repeats=3, out=tmp_path / "out"))
    assert found.analysis is not None
    assert found.analysis.looks == 0
    again = resume(found.folder, ResumeOptions(until="resolved", at_most_s=3600))
    assert until_of(again.measured).open == ()
    assert again.measured.analysis is not None
    assert again.measured.analysis.looks > 0
    assert resume(found.folder, ResumeOptions(until="resolved")).missing == 0  # still the workload of its file


def test_an_interrupted_one_goes_on_as_it_was_begun(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = Quiet()

    def interrupt(number: int, title: str) -> None:
        if number == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(progress, "trial", interrupt)
    found = app_run.run(file, RunOptions(until="resolved", at_most_s=3600, out=tmp_path / "out"), progress)
    assert found.interrupted and found.run.partial
    notice = until_of(found)
    assert notice.interrupted and notice.repeats == 2
    assert progress.said[-1].startswith("Interrupted after 2 repeats, before every question was settled.")
    again = resume(found.folder)
    assert until_of(again.measured).open == ()
    assert again.measured.run.options["at_most"] == "1h"


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--at-most", "5m"], "--at-most goes with --until resolved"),
        (["--until", "done"], '--until: expected resolved, found "done"'),
        (["--until", "resolved", "--repeats", "5"], "leave --repeats out"),
        (["--until", "resolved", "--at-most", "soon"], "--at-most: expected a time such as 90s, 5m or 1h"),
        (["--until", "resolved", "--at-most", "0s"], "--at-most: expected a time such as 90s, 5m or 1h"),
    ],
)
def test_options_that_do_not_go_together(
    typed: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["slotwise", "run", "w.yaml", *typed])
    assert _main() == UserError.exit_code
    assert message in capsys.readouterr().err


def test_a_pair_is_asked_for_once(file: Path, tmp_path: Path) -> None:
    found = app_run.run(file, RunOptions(repeats=2, out=tmp_path / "out"))
    assert found.analysis is not None
    analysis = found.analysis
    questions = open_questions(analysis.paths, analysis.choice, analysis.candidates)
    assert [(question.candidate, question.against) for question in questions] in (
        [("serial", "window")],
        [("window", "serial")],
    )
    assert questions[0].pipelines == ("digest",) and questions[0].repeats == 2
