"""Questions that an import left in a file: they are found where they stand, and every answer names them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.app.check import check
from harness.app.machines import compare_machines
from harness.app.options import Assumptions, MachinesOptions, RecommendOptions, SimulateOptions
from harness.app.recommend import recommend
from harness.app.report import keep_prediction
from harness.app.simulate import simulate
from harness.app.workload import file_notes
from harness.report.workload import workload_lines, workload_plain
from harness.runs.folder import read_run
from harness.wording.open_questions import open_questions_text
from harness.wording.recommendations import note_text
from harness.wording.run_answer import run_answer
from harness.workload.open_questions import FileQuestion, file_questions

TEXT = """# A note.
version: 1
name: w
pipelines:
  # QUESTION 1: does a person wait
  #   for it? Guess: yes.
  # Another note, which is no part of it.
  p:
    path: batch
    jobs: 2
    nodes:
      # QUESTION: how long are they?
      a: {agent: {prompt: "Hello", output_tokens: 8}}
      b:
        agent:
          prompt: |
            Say this:
            # QUESTION 3: this is a text
          output_tokens: 8 # QUESTION 4: not on a line of its own
# QUESTION 5: the last line
"""
SAID = "3 open questions in w.yaml, lines 5, 12 and 20."


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "w.yaml"
    path.write_text(TEXT)
    return path


def test_questions_are_comments_on_lines_of_their_own() -> None:
    assert file_questions(TEXT) == (
        FileQuestion(5, "does a person wait for it? Guess: yes."),
        FileQuestion(12, "how long are they?"),
        FileQuestion(20, "the last line"),
    )
    assert file_questions(TEXT.replace("QUESTION", "Question")) == ()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((4,), "1 open question in w.yaml, line 4."),
        ((4, 9), "2 open questions in w.yaml, lines 4 and 9."),
        (tuple(range(1, 12)), "11 open questions in w.yaml, lines 1, 2, 3, 4, 5, 6, 7, 8 and 3 more."),
    ],
)
def test_the_banner(lines: tuple[int, ...], said: str) -> None:
    first, _, rest = open_questions_text("w.yaml", lines).partition(". ")
    assert f"{first}." == said and "delete its comment" in rest


def test_check_says_it(file: Path) -> None:
    found = check(file)
    assert SAID in " ".join("\n".join(workload_lines(*found)).split())
    plain = json.loads(json.dumps(workload_plain(*found)))
    assert [question["line"] for question in plain["open_questions"]] == [5, 12, 20]


def test_a_run_begins_with_it(file: Path) -> None:
    (note, *_) = file_notes(check(file).loaded)
    assert note.kind == "open questions" and note.text.startswith(SAID)


def test_a_prediction_says_it_and_its_report_does(file: Path, tmp_path: Path) -> None:
    found = simulate(file, SimulateOptions(assumptions=Assumptions(profiles=("epyc-2core",)), repeats=2))
    assert run_answer(found.analysis).warnings[0] == SAID
    keep_prediction(found, tmp_path / "runs")
    (folder,) = (tmp_path / "runs").iterdir()
    assert read_run(folder).notes[0].text.startswith(SAID)
    assert SAID[:-1] in (folder / "report.md").read_text()


def test_a_recommendation_says_it(file: Path) -> None:
    options = RecommendOptions(assumptions=Assumptions(profiles=("epyc-2core",)), measure=False, workers=1, seeds=2)
    found = recommend(file, options).recommendation
    assert note_text(found.notes[0]).startswith(SAID)


def test_a_comparison_of_machines_says_it(file: Path) -> None:
    each = SimulateOptions(assumptions=Assumptions(extrapolate=True), repeats=2)
    found = compare_machines(file, MachinesOptions(each=each, profiles=("epyc-2core", "m1-published")))
    assert found.open_questions.startswith(SAID)


def test_an_answered_file_says_nothing(file: Path) -> None:
    answered = [line for line in TEXT.splitlines() if not line.lstrip().startswith("# QUESTION") or " 3:" in line]
    file.write_text("\n".join(answered))
    found = check(file)
    assert not found.loaded.questions and not file_notes(found.loaded)
