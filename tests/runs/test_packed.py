"""Records that are packed: a run is read as if they were not, and nothing is added to them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from harness.app.options import Assumptions, SimulateOptions
from harness.app.report import keep_prediction, kept_summary
from harness.app.simulate import simulate
from harness.errors import UserError
from harness.runs.folder import RECORD_FILES, RunFolder, read_run
from harness.runs.index import find_runs
from harness.runs.lines import PACKED, read_lines

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    asked = SimulateOptions(assumptions=Assumptions(profiles=("epyc-2core",), extrapolate=True, resamples=0), repeats=2)
    return keep_prediction(simulate(ROOT / "workloads/chat-only.yaml", asked), tmp_path_factory.mktemp("runs"))


def packed(folder: Path, target: Path) -> Path:
    target.mkdir()
    for name in ("environment.json", "workload.yaml", "summary.json"):
        (target / name).write_bytes((folder / name).read_bytes())
    for kind in RECORD_FILES:
        (target / f"{kind}.jsonl{PACKED}").write_bytes(gzip.compress((folder / f"{kind}.jsonl").read_bytes()))
    return target


def test_packed_records_are_read_as_they_were(run_folder: Path, tmp_path: Path) -> None:
    assert read_run(packed(run_folder, tmp_path / "packed")) == read_run(run_folder)


def test_a_list_of_runs_counts_packed_trials(run_folder: Path, tmp_path: Path) -> None:
    packed(run_folder, tmp_path / "packed")
    (row,), total = find_runs(tmp_path)
    assert (row.folder, row.trials, total) == ("packed", 4, 1)


def test_a_file_that_is_not_packed_goes_first(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n', encoding="utf-8")
    (tmp_path / f"x.jsonl{PACKED}").write_bytes(gzip.compress(b'{"a": 2}\n'))
    assert read_lines(tmp_path / "x.jsonl", lambda flat: flat["a"]).records == [1]


@pytest.mark.parametrize("cut", [slice(0, 12), slice(5, None)])
def test_a_damaged_one_says_so(cut: slice, tmp_path: Path) -> None:
    (tmp_path / f"x.jsonl{PACKED}").write_bytes(gzip.compress(b'{"a": 2}\n')[cut])
    with pytest.raises(UserError, match=r"x\.jsonl\.gz: expected a whole gzip file, found a damaged one"):
        read_lines(tmp_path / "x.jsonl", dict)


def test_one_that_unpacks_to_more_than_can_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.runs.lines._MOST_BYTES", 1000)
    (tmp_path / f"x.jsonl{PACKED}").write_bytes(gzip.compress(b"{}\n" * 500))
    with pytest.raises(UserError, match="found more"):
        read_lines(tmp_path / "x.jsonl", dict)


def test_nothing_is_added_to_them(run_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="packed records cannot be added to; unpack them first: gunzip"):
        RunFolder(packed(run_folder, tmp_path / "packed"))


def test_a_summary_alone_is_read_where_nothing_else_is_kept(run_folder: Path, tmp_path: Path) -> None:
    assert kept_summary(run_folder) is None and kept_summary(tmp_path) is None
    (tmp_path / "summary.json").write_bytes((run_folder / "summary.json").read_bytes())
    found = kept_summary(tmp_path)
    assert found is not None and found.choice.candidate == "queue"
