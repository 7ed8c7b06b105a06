"""What is predicted on an estimated profile is `estimated`, in every report."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from harness.app.options import Assumptions, Changes, SimulateOptions
from harness.app.simulate import Simulated, simulate
from harness.app.workload import Written
from harness.report.markdown import markdown_report
from harness.report.summary import summary
from harness.report.terminal import print_report

ROOT = Path(__file__).parents[2]
TEXT = """
version: 1
name: ask
pipelines: {ask: {path: batch, jobs: 2, nodes: {reply: {agent: chat}}}}
compare: {plain: window}
"""


@pytest.fixture(scope="module")
def estimated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    """Return a prediction on a profile that was typed in by hand: it says nothing of how sure it is."""
    text = (ROOT / "profiles" / "m1-published.yaml").read_text(encoding="utf-8")
    text = text.replace("origin: published", "origin: estimated").replace("name: m1-published", "name: hand")
    file = tmp_path_factory.mktemp("profiles") / "hand.yaml"
    file.write_text(text.replace("prefill_s_per_token: null", "prefill_s_per_token: 0.002"), encoding="utf-8")
    options = SimulateOptions(
        changes=Changes(model="gemma4"), assumptions=Assumptions(profiles=(str(file),)), repeats=6
    )
    return simulate(Written(Path("ask.yaml"), TEXT), options)


def test_every_record_and_figure_is_estimated(estimated: Simulated) -> None:
    run, analysis, _ = estimated
    assert {run.origin} == {"estimated"}
    assert {record.origin for record in run.trials} | {record.origin for record in run.jobs} == {"estimated"}
    assert {record.origin for record in run.calls} == {"estimated"}
    assert analysis.run.origin == "estimated"
    time = analysis.candidates[0].pipelines[0].time
    assert time is not None
    assert time.origin == "estimated"
    assert summary(analysis)["run"]["origin"] == "estimated"


def test_reports_say_so_and_what_to_measure(estimated: Simulated) -> None:
    text = StringIO()
    print_report(estimated.analysis, Console(file=text, width=80, highlight=False), full=True)
    for shown in (text.getvalue(), markdown_report(estimated.analysis)):
        said = " ".join(shown.split())
        assert "Estimated: nothing was measured." in said
        assert "slotwise probe http://127.0.0.1:11434 --model" in said.replace("\\", "")
        assert "uncertainty unknown" in said
        assert "Predicted, not measured" not in said


def test_a_measured_profile_still_predicts() -> None:
    options = SimulateOptions(assumptions=Assumptions(profiles=("epyc-2core",)), repeats=3)
    assert simulate(Written(Path("ask.yaml"), TEXT), options).run.origin == "predicted"
