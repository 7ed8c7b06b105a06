"""The gallery: what `make gallery` does, on predictions; and where there is one, that it is whole and generated."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import processes
import pytest

from benchmarks.gallery import KEPT, PACKED
from benchmarks.gallery_machines import MACHINES, Machine, predicted, read_predictions, write_predictions
from benchmarks.gallery_page import NOT_HERE, ORDER, entries, index_page, question
from benchmarks.gallery_repeats import ALL_S, LEAST, TWO_S, fix, read_fixed, write_fixed
from harness.analysis.deciding import settled
from harness.app.options import Assumptions, SimulateOptions
from harness.app.simulate import simulate
from harness.cli.app import _main

ROOT = Path(__file__).parent.parent
GALLERY = ROOT / "reports" / "gallery"


def make(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "gallery.py"), "--out", str(out), *arguments]
    return processes.run(command, cwd=ROOT, capture_output=True, text=True)


def test_every_shipped_workload_has_a_place_and_a_question() -> None:
    names = {path.stem for path in (ROOT / "workloads").glob("*.yaml")}
    assert set(ORDER) == names and len(ORDER) == len(names)
    for name in names:
        asked = question(name)
        assert asked.endswith("?") and "#" not in asked, name


def test_a_gallery_of_predictions(tmp_path: Path) -> None:
    out = tmp_path / "gallery"
    done = make(out, "--profile", "epyc-2core", "chat-only")
    assert done.returncode == 0, done.stderr
    kept = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {"README.md", "chat-only/report.md", "chat-only/calls.jsonl.gz", "chat-only/environment.json"} <= kept
    assert not [name for name in kept if name.endswith((".jsonl", ".png"))]
    page = (out / "README.md").read_text(encoding="utf-8")
    assert "| **chat-only**: Three people" in page and "chat replies take" in page
    assert "**1 of 1 measured questions" in page
    again = make(out, "--profile", "epyc-2core", "chat-only")
    assert again.returncode == 0 and "chat-only: there already" in again.stdout
    assert (out / "README.md").read_text(encoding="utf-8") == page


def test_one_that_fails_does_not_stop_the_rest(tmp_path: Path) -> None:
    done = make(tmp_path / "gallery", "--profile", "no-such-profile", "chat-only", "review-panel")
    assert done.returncode == 1
    assert "failed, the others are there: chat-only, review-panel" in done.stderr


def test_predictions_are_no_gallery() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "gallery.py"), "--profile", "epyc-2core"]
    done = processes.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "the gallery is measured" in done.stderr


def test_repeats_are_fixed_by_the_spread_of_a_pilot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    asked = SimulateOptions(assumptions=Assumptions(profiles=("epyc-2core",), extrapolate=True, resamples=0), repeats=3)
    pilot = simulate(Path("workloads/retrieval.yaml"), asked).analysis
    fixed = fix(pilot)
    assert fixed.repeats >= LEAST and fixed.pilot["repeats"] == 3
    took_s = fixed.repeats * fixed.pilot["seconds_a_repeat"]
    assert took_s <= (TWO_S if fixed.only else ALL_S) or fixed.repeats == LEAST
    path = tmp_path / "repeats.yaml"
    write_fixed(path, {"retrieval": fixed})
    assert read_fixed(path) == {"retrieval": fixed}
    assert read_fixed(tmp_path / "none.yaml") == {}


def test_other_machines_are_predicted_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = predicted(Path("workloads/chat-only.yaml"), Machine("here", "m", profile="epyc-2core"))
    assert found.chosen == "queue" and found.pays[0].best.relation == "worse" and not found.why_not
    unknown = predicted(Path("workloads/chat-only.yaml"), Machine("there", "m", profile="no-such-profile"))
    assert unknown.chosen is None and "no-such-profile" in unknown.why_not
    path = tmp_path / "elsewhere.json"
    write_predictions(path, {"chat-only": (found, unknown)})
    assert read_predictions(path) == {"chat-only": (found, unknown)}


# --- the gallery that is committed ------------------------------------------------------------------------------------

there = pytest.mark.skipif(
    not (GALLERY / "README.md").exists(), reason="no gallery in this checkout: `make gallery` measures one"
)


@there
def test_the_index_page_is_made_from_what_is_kept() -> None:
    found = entries(GALLERY)
    elsewhere = read_predictions(GALLERY / "elsewhere.json")
    page = index_page(GALLERY, found, elsewhere, read_fixed(GALLERY / "repeats.yaml"))
    assert (GALLERY / "README.md").read_text(encoding="utf-8") == page
    done = sum(settled(entry.analysis, entry.growth) for entry in found.values())
    assert f"**{done} of {len(found)} measured questions are settled**" in page


@there
def test_every_workload_is_measured_or_says_why_not() -> None:
    assert {*entries(GALLERY), *NOT_HERE} >= set(ORDER)


@there
def test_every_workload_is_predicted_on_every_machine_or_says_why_not() -> None:
    elsewhere = read_predictions(GALLERY / "elsewhere.json")
    assert list(elsewhere) == list(ORDER)
    for name, some in elsewhere.items():
        assert {machine.name for machine in MACHINES} <= {one.machine for one in some}, name
        assert all(one.why_not or one.learned for one in some), name


@there
def test_every_report_is_measured_whole_and_names_what_it_ran_on() -> None:
    for name, entry in entries(GALLERY).items():
        run = entry.analysis.run
        assert run.origin == "measured" and run.started_at, name
        assert dict(run.machine)["cpu"] and all(s.model and s.version for s in run.servers), name
        text = (GALLERY / name / "report.md").read_text(encoding="utf-8")
        for target in re.findall(r"\]\((charts/[^)]+)\)", text):
            assert (GALLERY / name / target).exists(), target


@there
@pytest.mark.parametrize("name", [path.parent.name for path in sorted(GALLERY.glob("*/summary.json"))])
def test_each_opens_with_report_and_compare(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    for pattern in (*KEPT, *(f"{file}.gz" for file in PACKED)):  # a copy: `report` writes into it
        for file in (GALLERY / name).glob(pattern):
            target = folder / file.relative_to(GALLERY / name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    monkeypatch.setattr("sys.argv", ["slotwise", "report", str(folder), "--json"])
    assert _main() == 0, capsys.readouterr().err
    kept = json.loads((GALLERY / name / "summary.json").read_text(encoding="utf-8"))
    assert json.loads(capsys.readouterr().out)["choice"]["candidate"] == kept["choice"]["candidate"]
    monkeypatch.setattr("sys.argv", ["slotwise", "compare", str(folder), str(GALLERY / name), "--json"])
    assert _main() == 0, capsys.readouterr().err


@there
def test_how_often_each_was_measured_was_fixed_beforehand() -> None:
    fixed = read_fixed(GALLERY / "repeats.yaml")
    for name, entry in entries(GALLERY).items():
        if entry.whole:
            one, run = fixed[name], entry.analysis.run
            assert run.repeats == one.repeats, name
            assert one.pilot["date"] <= run.started_at[:10], name
            assert not one.only or {c.name for c in entry.analysis.candidates} == set(one.only), name


@there
def test_it_is_small_and_tells_nothing_of_the_machines_folders() -> None:
    files = [path for path in GALLERY.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 12_000_000
    assert {path.suffix for path in files} <= {".md", ".html", ".json", ".yaml", ".svg", ".gz", ".txt"}
    for path in files:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
        assert not re.search(r"(?<!ollama:)(?<![\w.])/(?:home|root|tmp|work|Users|var)/", text), path


@there
def test_the_readme_shows_two_of_its_charts() -> None:
    shown = re.findall(r"\]\((reports/gallery/[^)]+\.svg)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(shown) == 2 and all((ROOT / path).exists() for path in shown)
