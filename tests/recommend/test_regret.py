"""benchmarks/regret.py: no regret where the profile is the truth, regret where it is not, and said which.

What is "measured" is a prediction on the profile that is the truth, written as a run: exact durations.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from quiet import Quiet
from recommend.workloads import alone, both, fan, loaded_of, paper

from harness.core.concurrency import CONCURRENCY
from harness.measure.progress import Progress
from harness.predict.simulation import predict
from harness.profiles.schema import Profile
from harness.runs.folder import RunFolder
from harness.workload.load import Loaded
from harness.workload.schema import FrozenDict

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "regret.py"


@pytest.fixture(scope="module")
def regret() -> ModuleType:
    spec = importlib.util.spec_from_file_location("regret", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["regret"] = module
    spec.loader.exec_module(module)
    return module


class Truth:
    """Measures as the live harness does, on a machine that is exactly this profile."""

    def __init__(self, folder: Path, profile: Profile) -> None:
        self.folder, self.profile = folder, profile
        self.asked: list[Loaded] = []

    def __call__(self, loaded: Loaded, progress: Progress, enough: Callable[[Path], bool]) -> Path:
        self.asked.append(loaded)
        path = self.folder / f"run-{len(self.asked)}"
        repeats = 0
        while repeats < loaded.workload.measure.repeats:
            repeats += 1
            run = predict(loaded, self.profile, repeats=repeats).run
            path = self.folder / f"run-{len(self.asked)}-{repeats}"
            path.mkdir()
            with RunFolder(path) as to:
                to.write_header(run._replace(origin="measured", workload=loaded.resolved()))
                to.add_records(run)
            if enough(path):
                break
        return path


def found(regret: ModuleType, folder: Path, text: str, profile: Profile, truth: Truth) -> dict[str, Any]:
    path = loaded_of(folder, text).path
    result: dict[str, Any] = regret.regret(path, profile, Quiet(), budget_s=600, measure=truth, repeats=2)
    json.dumps(result, allow_nan=False)
    return result


@pytest.mark.parametrize(
    "text",
    [fan(6), fan(3), *(pytest.param(both(*goal), marks=pytest.mark.slow) for goal in ((), ("p50_s: 4",)))],
)
def test_where_the_profile_is_the_truth_there_is_no_regret(regret: ModuleType, tmp_path: Path, text: str) -> None:
    profile = paper(tmp_path)
    rows = found(regret, tmp_path, text, profile, Truth(tmp_path, profile))["rows"]
    assert rows
    assert {row["verdict"] for row in rows} == {"within 5 %"}
    assert all(row["ratio"] <= 1.05 for row in rows)


def slow_in_batches(profile: Profile) -> Profile:
    slots = {
        key: setting.model_copy(update={"step_s": FrozenDict({b: 0.5 * int(b) for b in setting.step_s})})
        for key, setting in profile.slots.items()
        if key != "1"
    }
    return profile.model_copy(update={"slots": FrozenDict({"1": profile.slots["1"], **slots})})


def test_where_it_is_not_the_regret_is_what_the_truth_says(regret: ModuleType, tmp_path: Path) -> None:
    profile = alone(tmp_path)
    truth = Truth(tmp_path, slow_in_batches(profile))
    result = found(regret, tmp_path, fan(8), profile, truth)
    (row,) = result["rows"]
    assert row["recommended"] == "window-on-4"
    assert row["best"].endswith("-on-1")
    grid, duel = truth.asked
    assert duel.workload.seed != grid.workload.seed  # fresh draws
    times = {
        plan.name: predict(duel._replace(plans=(plan,)), truth.profile, repeats=1).run.jobs[0].pipeline_time_s
        for plan in duel.plans
    }
    assert row["ratio"] == pytest.approx(times[row["recommended"]] / times[row["best"]])
    assert row["verdict"] == f"regret {row['ratio'] - 1:.0%}"
    assert row["regret"] == pytest.approx(row["ratio"] - 1)


def test_the_grid_has_every_cap_and_both_placements_and_nothing_twice(regret: ModuleType, tmp_path: Path) -> None:
    profile = paper(tmp_path)
    designs = regret.grid(regret.space_of(loaded_of(tmp_path, both()).path, profile))
    names = [design.name for design in designs]
    assert len(names) == len(set(names))
    queues = [queue for design in designs for queue in design.plan.queues]
    assert {queue.concurrency.name for queue in queues} == set(CONCURRENCY)
    assert {queue.slots for queue in queues} == {1, 2, 4}
    assert {len(design.plan.queues) for design in designs} == {1, 2}
    assert any(queue.scheduling.name == "interactive-first" for queue in queues)
    one_path = regret.grid(regret.space_of(loaded_of(tmp_path, fan(3)).path, profile))
    assert {"2x-serial-on-1", "2x-window-on-4"} <= {design.name for design in one_path}


@pytest.mark.parametrize(
    ("low", "ratio", "high", "verdict"),
    [
        (0.98, 1.01, 1.04, "within 5 %"),
        (0.80, 0.90, 1.00, "within 5 %"),  # the recommended one is the better
        (1.02, 1.04, 1.06, "unresolved"),
        (1.06, 1.20, 1.30, "regret 20%"),
        (None, 1.20, None, "unresolved"),
    ],
)
def test_what_an_interval_means(
    regret: ModuleType, low: float | None, ratio: float, high: float | None, verdict: str
) -> None:
    comparison = regret.Comparison("a", "b", ratio, low, high, None, 3, 1, "unresolved", None)
    assert regret.verdict_of(comparison) == verdict


@pytest.mark.parametrize(("budget_s", "repeats"), [(60, 1), (119, 1), (121, 2)])
def test_a_grid_ends_before_a_repeat_that_has_no_room(
    regret: ModuleType, tmp_path: Path, budget_s: float, repeats: int
) -> None:
    """Two designs, 10 s a trial, after 80 s in which servers are started."""
    now_s = 0.0
    over = regret.GridOver(budget_s, lambda: now_s)
    profile = paper(tmp_path)
    loaded = loaded_of(tmp_path, fan(2))
    loaded = loaded._replace(plans=loaded.plans[:2])
    whole = Truth(tmp_path, profile)(loaded, Quiet(), lambda folder: folder.name.endswith("-2"))
    ended = 0
    for number in range(4):
        now_s = 90.0 + 10 * number
        part = tmp_path / f"part-{number}"
        shutil.copytree(whole, part)
        lines = (part / "trials.jsonl").read_text(encoding="utf-8").splitlines()
        ordered = sorted(lines, key=lambda line: json.loads(line)["repeat"])
        (part / "trials.jsonl").write_text("\n".join(ordered[: number + 1]) + "\n", encoding="utf-8")
        if over(part):
            ended = number + 1
            break
    assert ended == 2 * repeats


def test_what_is_there_is_not_measured_again(regret: ModuleType, tmp_path: Path) -> None:
    profile = paper(tmp_path)
    assert regret.kept_in(tmp_path, "fan", profile) is None
    (tmp_path / "fan.json").write_text('{"profile": "paper", "rows": []}', encoding="utf-8")
    assert regret.kept_in(tmp_path, "fan", profile) == {"profile": "paper", "rows": []}
    assert regret.kept_in(tmp_path, "fan", profile.model_copy(update={"name": "other"})) is None


@pytest.mark.parametrize("path", sorted((SCRIPT.parent / "regret").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_workloads_load(regret: ModuleType, path: Path) -> None:
    space = regret.space_of(path, regret.load_profile("epyc-2core"))
    assert len(regret.grid(space)) >= 8


@pytest.mark.slow
def test_on_simulated_servers(
    regret: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole script, through the live driver, twice: what was measured is not measured again."""
    paper(tmp_path)
    text = fan(6, 40).replace(
        "{kind: ollama, model: gemma4}", f"{{kind: simulated, profile: {tmp_path / 'paper.yaml'}, speed_up: 10}}"
    )
    loaded_of(tmp_path, text)
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path / "cache"))
    options = ["--profile", str(tmp_path / "paper.yaml"), "--budget", "4m", "--repeats", "2", "--json", "all.json"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["regret.py", "workload.yaml", *options, "--out", "kept"])
    regret.main()
    (result,) = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    assert result["origin"] == "emulated"
    assert all(not row["verdict"].startswith("regret") for row in result["rows"])
    assert "0 regret" in capsys.readouterr().out
    folders = sorted(path.name for path in (tmp_path / "kept").iterdir())
    regret.main()
    assert "0 regret" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == folders
