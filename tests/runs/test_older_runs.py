"""Runs of version 1 stay readable: by report, compare, score and runs; their workloads become today's with `migrate`.

`version-1/` was written by the last Slotwise of that version: `two-servers` by `slotwise run two-servers.yaml` on
simulated servers (of its six candidates each has another policy), `chat-only` by `slotwise simulate` of the shipped
workload on `epyc-2core`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from harness.cli.app import _main
from harness.content import shipped
from harness.report.summary import read_analysis
from harness.runs.folder import RunFolder, read_run
from harness.runs.head import read_head
from harness.runs.model import Note
from harness.runs.resume import check_same
from harness.workload.load import load_workload
from harness.workload.source import parse_yaml

FOLDERS = ("chat-only", "two-servers")
Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The folder of the old runs, a copy, with the profile that one of them was emulated on."""
    return Path(shutil.copytree(Path(__file__).parent / "version-1", tmp_path / "old"))


@pytest.fixture
def typed(old: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    monkeypatch.chdir(old)
    monkeypatch.setenv("SLOTWISE_CACHE", str(old.parent / "cache"))

    def typed(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["slotwise", *map(str, words)])
        code = _main()
        return code, *capsys.readouterr()

    return typed


@pytest.mark.parametrize("name", FOLDERS)
def test_an_old_run_is_of_version_1_and_is_read_whole(old: Path, name: str) -> None:
    header = json.loads((old / name / "environment.json").read_text())
    assert header["schema_version"] == 1 and "lanes" in header["plans"][0]
    run = read_run(old / name)
    for kind, records in (("calls", run.calls), ("jobs", run.jobs), ("trials", run.trials)):
        assert len(records) == len((old / name / f"{kind}.jsonl").read_text().splitlines()) > 0


@pytest.mark.parametrize("name", FOLDERS)
def test_its_notes_are_texts_whose_kind_is_not_known(old: Path, name: str) -> None:
    notes = json.loads((old / name / "environment.json").read_text())["notes"]
    assert notes and all(isinstance(note, str) for note in notes)
    assert read_head(old / name).notes == tuple(Note("run", note) for note in notes)


def test_its_plans_and_its_workload_are_those_of_today(old: Path, typed: Typed) -> None:
    for name, file in (
        ("chat-only", shipped() / "workloads/chat-only.yaml"),
        ("two-servers", old / "two-servers.yaml"),
    ):
        if file.parent == old:
            code, said, _ = typed("migrate", file.name)
            assert (code, said) == (0, "two-servers.yaml: 16 keys renamed\n")
        loaded, run = load_workload(file), read_run(old / name)
        assert run.plans == loaded.plans
        assert run.work == loaded.work()
        of_today = {"agents": loaded.workload.agents, "description": loaded.workload.description}
        assert run.workload.model_copy(update=of_today) == loaded.workload
    check_same(old, run, loaded)  # it could be resumed


def test_a_record_stays_and_its_copy_becomes_a_workload(old: Path, typed: Typed) -> None:
    record = old / "two-servers/workload.yaml"
    before = record.read_bytes()
    code, said, _ = typed("migrate", "two-servers")
    assert code == 0 and said.startswith("two-servers/workload.yaml: left alone: the record of a run")
    code, _, said = typed("check", record)
    assert code == 2
    for now in ("placement", "concurrency", "scheduling", "limit"):
        assert f"it is called `{now}` now (slotwise migrate rewrites a workload)" in said
    shutil.copyfile(record, old / "copy.yaml")
    settings = "14 default settings without effect left out (max_wait_s, reserve, ageing_s)"
    assert typed("migrate", "copy.yaml") == (0, f"copy.yaml: 19 keys renamed, {settings}\n", "")
    typed("migrate", "two-servers.yaml")
    copy, file = load_workload(old / "copy.yaml"), load_workload(old / "two-servers.yaml")
    assert (copy.plans, copy.servers, copy.work()) == (file.plans, file.servers, file.work())
    assert record.read_bytes() == before


@pytest.mark.parametrize("name", FOLDERS)
def test_report_says_what_it_said(old: Path, typed: Typed, name: str) -> None:
    """The same figures, and the same choice."""
    path = old / name / "summary.json"
    before = read_analysis(path.read_bytes(), "summary.json")
    code, said, _ = typed("report", name)
    assert code == 0 and before.run.origin in said
    now = read_analysis(path.read_bytes(), "summary.json")
    assert [c.name for c in now.candidates] == [c.name for c in before.candidates]
    for a, b in zip(now.candidates, before.candidates, strict=True):
        known = tuple(summary._replace(first_token_by_repeat=()) for summary in a.pipelines)  # which is newer
        assert (a.makespan, known) == (b.makespan, b.pipelines)
    assert now.choice.candidate == before.choice.candidate
    code, out, _ = typed("report", name, "--settings", "asyncio", "--candidate", now.candidates[1].name)
    assert code == 0 and out.startswith("import asyncio\n")


def test_compare_holds_it_to_a_run_of_today(old: Path, typed: Typed) -> None:
    """The same records, written as today."""
    run = read_run(old / "chat-only")
    with RunFolder.create(old, "new", datetime(2026, 12, 1)) as folder:
        folder.write_header(run)
        folder.add_records(run)
    code, said, err = typed("compare", "chat-only", folder.path.name, "--json")
    assert (code, err) == (0, "")
    (found,) = json.loads(said)["comparisons"]
    assert found["paired"] and found["verdict"] == "equal"
    assert all(row["before_s"] == row["now_s"] for row in found["rows"])
    # And from its summary alone, which is of version 1 too.
    assert json.loads((old / "chat-only/summary.json").read_text())["summary_version"] == 1
    code, said, err = typed("compare", folder.path.name, "--baseline", "chat-only/summary.json")
    assert (code, err) == (0, "") and "equal" in said


def test_score_takes_it(old: Path, typed: Typed) -> None:
    typed("migrate", "two-servers.yaml")
    code, said, err = typed("score", "two-servers.yaml", "--profile", "toy", "--run", "two-servers", "--json")
    assert code == 0, err
    rows = json.loads(said)["rows"]
    assert {row["candidate"] for row in rows} == {"serial", "batched", "waves", "reserved", "split", "shared"}
    assert (old / "two-servers/score.json").exists()


def test_runs_lists_it(typed: Typed) -> None:
    code, said, _ = typed("runs", ".", "--json")
    assert code == 0
    assert {(row["folder"], row["origin"]) for row in json.loads(said)} == {
        ("chat-only", "predicted"),
        ("two-servers", "emulated"),
    }


def test_what_is_resumed_of_it_is_written_in_words_of_today(old: Path, typed: Typed) -> None:
    """Its header is written again where nothing is missing; then its workload is one that loads."""
    typed("migrate", "two-servers.yaml")
    code, _, err = typed("run", "--resume", "two-servers")
    assert code == 0 and "nothing is missing in two-servers" in err
    assert read_head(old / "two-servers").plans == load_workload(old / "two-servers/workload.yaml").plans
    text = (old / "two-servers/workload.yaml").read_text()
    assert "max_wait_s" not in str(parse_yaml(text, "w").data["compare"]["serial"])
