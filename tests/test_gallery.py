"""The gallery: what `make gallery` does, on predictions; and where there is one, that it is whole and generated."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import processes
import pytest

ROOT = Path(__file__).parent.parent
GALLERY = ROOT / "reports" / "gallery"


@pytest.fixture(scope="module")
def gallery() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "benchmarks" / "gallery.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "gallery.py"), "--out", str(out), *arguments]
    return processes.run(command, cwd=ROOT, capture_output=True, text=True)


def test_every_shipped_workload_has_a_place_and_a_question(gallery: ModuleType) -> None:
    names = {path.stem for path in (ROOT / "workloads").glob("*.yaml")}
    assert set(gallery.REPEATS) == names
    assert min(gallery.REPEATS.values()) >= 3  # two have no useful interval
    for name in names:
        asked = gallery.question(name)
        assert asked.endswith("?") and "#" not in asked, name


def test_a_gallery_of_predictions(tmp_path: Path) -> None:
    out = tmp_path / "gallery"
    done = make(out, "--profile", "epyc-2core", "chat-only")
    assert done.returncode == 0, done.stderr
    kept = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {"README.md", "chat-only/report.md", "chat-only/report.html", "chat-only/summary.json"} <= kept
    assert not [name for name in kept if name.endswith((".jsonl", ".png"))]
    page = (out / "README.md").read_text(encoding="utf-8")
    assert "| **chat-only**<br>" in page and page.count("predicted") >= 1
    answer = json.loads((out / "chat-only/summary.json").read_text())["answer"]
    assert answer["headline"].partition(" (")[0] in page
    for cell in answer["table"]["rows"][0]["cells"]:
        assert f": **{cell}**" in page
    again = make(out, "--profile", "epyc-2core", "chat-only")
    assert again.returncode == 0 and "chat-only: there already" in again.stdout
    assert (out / "README.md").read_text(encoding="utf-8") == page


def test_one_that_fails_does_not_stop_the_rest(tmp_path: Path) -> None:
    done = make(tmp_path / "gallery", "--profile", "no-such-profile", "chat-only", "review-panel")
    assert done.returncode == 1
    assert "failed, the others are there: chat-only, review-panel" in done.stderr


def test_predictions_are_no_gallery(gallery: ModuleType) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "gallery.py"), "--profile", "epyc-2core"]
    done = processes.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "the gallery is measured" in done.stderr


# --- the gallery that is committed ------------------------------------------------------------------------------------

there = pytest.mark.skipif(
    not (GALLERY / "README.md").exists(), reason="no gallery in this checkout: `make gallery` measures one"
)


@there
def test_the_index_page_is_made_from_the_summaries(gallery: ModuleType) -> None:
    assert (GALLERY / "README.md").read_text(encoding="utf-8") == gallery.index_page(gallery.entries(GALLERY))


@there
def test_every_report_is_measured_whole_and_names_what_it_ran_on(gallery: ModuleType) -> None:
    for name, analysis in gallery.entries(GALLERY):
        assert analysis.run.origin == "measured" and analysis.run.started_at, name
        assert dict(analysis.run.machine)["cpu"] and all(s.model and s.version for s in analysis.run.servers), name
        text = (GALLERY / name / "report.md").read_text(encoding="utf-8")
        for target in re.findall(r"\]\((charts/[^)]+)\)", text):
            assert (GALLERY / name / target).exists(), target


@there
def test_it_is_small_and_tells_nothing_of_the_machines_folders() -> None:
    files = [path for path in GALLERY.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 6_000_000
    assert {path.suffix for path in files} <= {".md", ".html", ".json", ".yaml", ".svg"}
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?<!ollama:)(?<![\w.])/(?:home|root|tmp|work|Users|var)/", text), path


@there
def test_the_readme_shows_two_of_its_charts() -> None:
    shown = re.findall(r"\]\((reports/gallery/[^)]+\.svg)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(shown) == 2 and all((ROOT / path).exists() for path in shown)
