"""A loop in a loop goes through every command, end to end.

What is run is emulated: simulated servers in this process, on a virtual clock; all else is what `slotwise run` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import yaml
from predict.emulated import PROFILE, in_this_process

from harness.app.check import check, diagram
from harness.app.export import Format, export
from harness.app.options import Assumptions, RecommendOptions, RunOptions, SimulateOptions
from harness.app.recommend import keep_recommendation, recommend
from harness.app.report import keep_prediction, keep_report, report
from harness.app.run import run
from harness.app.simulate import simulate
from harness.runs.model import Run
from harness.workload.dependencies import dependencies
from harness.workload.schema import Workload

NESTED = """
version: 1
name: nested
subpipelines:
  outer:
    nodes:
      write: {agent: {prompt: "Write.", output_tokens: 4}}
      polish: {agent: {prompt: "Polish.", output_tokens: 4}, after: [write], repeat: {max: 3, until: 0.5}}
pipelines:
  essay: {path: batch, jobs: 2, nodes: {refine: {pipeline: outer, repeat: {max: 3, until: 0.5}}}}
servers:
  one: {kind: simulated, profile: epyc-2core}
measure: {repeats: 2, warmup: 0}
"""


def through_every_command(plain: dict[str, Any], folder: Path) -> None:
    """Check, simulate, recommend, run, report and export a workload."""
    file = folder / "w.yaml"
    file.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
    checked = check(file)
    for form in ("mermaid", "dot"):
        assert diagram(checked.loaded, form)
    assumptions = Assumptions(profiles=(PROFILE,), extrapolate=True, resamples=2)
    predicted = simulate(file, SimulateOptions(assumptions=assumptions, repeats=2))
    assert whole(predicted.run)
    exported(keep_prediction(predicted, folder / "predicted"))
    answer = recommend(file, RecommendOptions(assumptions=assumptions, measure=False, max_slots=2, seeds=2, workers=1))
    keep_recommendation(answer, folder / "recommended")
    with in_this_process():
        measured = run(file, RunOptions(out=folder / "measured"))
    assert measured.failure is None
    assert measured.analysis is not None
    assert whole(measured.run)
    keep_report(measured.folder, measured.analysis, measured.run)
    assert report(measured.folder).run.jobs == measured.run.jobs
    exported(measured.folder)


def whole(run: Run) -> bool:
    """Whether every trial of every candidate came to its end."""
    return len(run.trials) == 2 * len(run.candidates) and all(trial.complete for trial in run.trials)


def exported(folder: Path) -> None:
    """Export a run in every format."""
    for form in get_args(Format):
        assert list(export(folder, form))


def test_loops_in_loops_go_through_every_command(tmp_path: Path) -> None:
    through_every_command(yaml.safe_load(NESTED), tmp_path)


def test_passes_of_loops_in_loops_follow_one_another() -> None:
    plain = yaml.safe_load(NESTED)
    nodes = plain["subpipelines"]["outer"]["nodes"]
    nodes["write"]["repeat"] = {"max": 2}  # the outer body begins with a loop, and ends in one
    graph = dependencies(Workload.model_validate(plain), "essay")
    assert set(graph.edges(data="again")) == {
        ("refine/write", "refine/write", True),
        ("refine/write", "refine/polish", False),
        ("refine/polish", "refine/polish", True),
        ("refine/polish", "refine/write", True),
    }
