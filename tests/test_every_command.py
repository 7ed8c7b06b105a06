"""Every feature within every other goes through every command: random workload files, end to end.

What is run is emulated: simulated servers in this process, on a virtual clock; all else is what the command line does.
"""

from __future__ import annotations

import gc
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from core.random_workloads import workloads
from hypothesis import HealthCheck, Phase, given, seed, settings
from predict.emulated import PROFILE, in_this_process, with_embedding

from harness.app.export import Format
from harness.app.report import report
from harness.cli.app import _main
from harness.content import shipped
from harness.deploy.deployment import deployment_of
from harness.deploy.kinds import SETTINGS
from harness.report import chart_style
from harness.runs.folder import read_run
from harness.workload.dependencies import dependencies
from harness.workload.schema import Workload

SERVER = {"kind": "simulated", "profile": PROFILE, "context_tokens": 4096, "threads": "half", "extrapolate": True}
FILES = int(os.environ.get("SLOTWISE_RANDOM_FILES", "10000"))  # in the slow tests
CHUNKS = 20  # of them, each with a seed of its own; a failure names its chunk
PROFILED = ("--profile", PROFILE, "--extrapolate", "--resamples", "2")
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


EMBEDDING = """
version: 1
name: embedding
pipelines:
  index: {path: batch, jobs: 2, nodes: {store: {embed: {model: vectors, texts: docs, batch: 2}}}}
  ask:
    path: interactive
    jobs: 2
    nodes:
      look: {embed: {model: vectors, texts: question}}
      answer: {agent: {prompt: "{docs} {question}", output_tokens: 4}, after: [look]}
inputs: {docs: {synthetic: {count: 3, tokens: 8}}, question: {list: ["Why?"]}}
servers:
  it: {kind: simulated, profile: PROFILE, context_tokens: 4096, slots: 4, extrapolate: true}
compare: {one: {placement: it, concurrency: serial}, all: {placement: it, concurrency: unbounded}}
measure: {repeats: 2, warmup: 0}
"""


def slotwise(*arguments: object) -> str:
    """Type a command, and return what it prints; an AssertionError says what it complains of."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr("sys.argv", ["slotwise", *map(str, arguments)])
        code = _main()
    gc.unfreeze()  # `report` keeps all that it read from being looked through, as a program that soon ends may
    assert not code, (arguments, err.getvalue())
    return out.getvalue()


def written(plain: dict[str, Any], folder: Path) -> Path:
    file = folder / "w.yaml"
    file.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
    return file


def looked_at(file: Path) -> None:
    """Through the commands that run nothing."""
    for form in ((), ("--json",), ("--mermaid",), ("--dot",)):
        assert slotwise("check", file, *form)
    slotwise("migrate", "--check", file)


def predicted(file: Path, profiled: Sequence[str] = PROFILED) -> Path:
    """Simulate it, and return the folder of the prediction."""
    slotwise("simulate", file, *profiled, "--repeats", 2, "--out", file.parent / "predicted")
    (folder,) = (file.parent / "predicted").iterdir()
    assert whole(folder)
    return folder


def through_every_command(file: Path, profiled: Sequence[str] = PROFILED) -> None:
    """Through every command that takes a workload or a run."""
    looked_at(file)
    folders = [predicted(file, profiled)]
    slotwise(
        *("recommend", file, *profiled, "--no-measure", "--max-slots", 1, "--seeds", 2, "--workers", 1),
        *("--out", file.parent / "recommended"),
    )
    with in_this_process():
        slotwise("run", file, "--out", file.parent / "measured")
    (measured,) = (each for each in (file.parent / "measured").iterdir() if each.is_dir())
    assert whole(measured)
    folders.append(measured)
    slotwise("score", file, *profiled[:3], "--run", measured)
    for kind in SETTINGS:
        assert slotwise("report", measured, "--settings", kind, "--candidate", read_run(measured).candidates[0])
    applied(measured, file.parent / "applied.yaml")
    for folder in folders:
        for form in ((), ("--json",)):  # both write the page, the Markdown and the summary
            assert slotwise("report", folder, *form)
        for export in get_args(Format):
            assert slotwise("export", folder, "--as", export)
        assert {"report.html", "report.md", "summary.json"} <= {each.name for each in folder.iterdir()}
    for shown in ((), ("--json",), ("--markdown",), ("--html", file.parent / "compare.html")):
        assert slotwise("compare", *folders, *shown)
    assert slotwise("runs", file.parent / "measured")


def applied(run: Path, to: Path) -> None:
    """Write what a run has for each of a candidate's servers, and put it back."""
    name = read_run(run).candidates[0]
    for server in deployment_of(report(run).analysis.by_name[name]).servers:
        asked = ("--as", "compose", "--candidate", name, "--server", server.use.server, "--to", to)
        assert "OLLAMA_NUM_PARALLEL" in slotwise("apply", run, *asked, "--dry-run")
        slotwise("apply", run, *asked, "--yes")
        assert yaml.safe_load(to.read_text(encoding="utf-8"))["services"]
    if to.exists():
        slotwise("apply", "--revert", "--to", to, "--yes")
        assert not to.exists()


def whole(folder: Path) -> bool:
    """Whether every trial of every candidate came to its end."""
    run = read_run(folder)
    return len(run.trials) == 2 * len(run.candidates) and all(trial.complete for trial in run.trials)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Charts are specified and not drawn: that takes a second for each, and is another's program."""
    monkeypatch.setattr(chart_style, "to_svg", lambda chart: chart.to_json() and "<svg></svg>")
    monkeypatch.setattr(chart_style, "to_png", lambda svg: b"")
    yield


def on_random_files(count: int, number: int, through: Callable[[Path], object], embeds: str = "") -> None:
    """Write this many random files, different ones for every number, and do something with each."""

    @seed(number)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(plain=workloads(SERVER, embeds=embeds))
    def each(plain: dict[str, Any]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            through(written(plain, Path(folder)))

    each()


def test_loops_in_loops_go_through_every_command(tmp_path: Path) -> None:
    through_every_command(written(yaml.safe_load(NESTED), tmp_path))


@pytest.mark.slow
def test_embeddings_go_through_every_command(tmp_path: Path) -> None:
    shipped_one = (shipped() / "profiles" / f"{PROFILE}.yaml").read_text(encoding="utf-8")
    profile = with_embedding(shipped_one, "vectors", tmp_path, stretch=1.5)
    file = written(yaml.safe_load(EMBEDDING.replace("PROFILE", profile)), tmp_path)
    through_every_command(file, ("--profile", profile, *PROFILED[2:]))


def test_random_workloads_go_through_every_command(undrawn: None) -> None:
    on_random_files(1, 0, through_every_command)


@pytest.mark.parametrize("embeds", ["", "vectors"])
def test_random_workloads_go_through_the_commands_that_run_nothing(embeds: str) -> None:
    on_random_files(10, 0, looked_at, embeds)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_many_random_workloads_go_through_the_commands_that_run_nothing(chunk: int) -> None:
    """10,000 files, or SLOTWISE_RANDOM_FILES: through `check` in each form and `migrate`. About 75 ms of CPU a file."""
    on_random_files(FILES // CHUNKS, chunk, looked_at)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_many_random_workloads_go_through_every_command(undrawn: None, chunk: int) -> None:
    """One in a hundred of that many goes through everything.

    A file takes about 5 s of CPU then, most of it in `recommend`: 10,000 would take 14 hours.
    """
    on_random_files(max(1, FILES // CHUNKS // 100), chunk, through_every_command)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_many_random_workloads_are_predicted(undrawn: None, chunk: int) -> None:
    """One in twenty of that many is simulated and reported. About half a second of CPU a file."""
    on_random_files(max(1, FILES // CHUNKS // 20), chunk, predicted)


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
