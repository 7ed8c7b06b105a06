"""The index is a cache of the folders: whatever happens to either, what is listed is what is there."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import processes
import pytest
from analysis import records as make

from harness.errors import UserError
from harness.runs import index as index_module
from harness.runs.folder import RunFolder
from harness.runs.index import INDEX_NAME, INDEX_VERSION, Filters, RunRow, find_runs, note_run

STARTED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def add(root: Path, name: str = "w", *, hours: int = 0, choice: str | None = None, **changes: Any) -> Path:
    """Write a run of one trial that began this many hours after the first one."""
    at = STARTED + timedelta(hours=hours)
    run = make.run(trials=(make.trial(),))._replace(started_at=at.isoformat(), name=name, **changes)
    with RunFolder.create(root, name, at) as folder:
        folder.write_header(run)
        folder.add_records(run)
    if choice is not None:
        folder.write_text("summary.json", json.dumps({"choice": {"candidate": choice}}))
    return folder.path


def listed(root: Path, *filters: Any, **more: Any) -> list[str]:
    rows, _ = find_runs(root, Filters(*filters, **more))
    return [row.folder for row in rows]


def test_a_row_says_what_the_folder_says(tmp_path: Path) -> None:
    path = add(tmp_path, "digest", choice="batched")
    rows, total = find_runs(tmp_path)
    assert total == 1
    assert rows == [
        RunRow(
            folder=path.name,
            workload="digest",
            origin="measured",
            started_at="2026-03-04T05:06:07+00:00",
            state="complete",
            machine="A quiet processor",
            cores=2,
            engine="llamacpp llama.cpp b1",
            model="smollm2-135m",
            candidates="serial, batched, split",
            repeats=None,
            trials=1,
            seed=7,
            chosen="batched",
        )
    ]


def test_the_latest_first_and_no_more_than_asked(tmp_path: Path) -> None:
    names = [add(tmp_path, f"w{hours}", hours=hours).name for hours in (2, 0, 1)]
    assert listed(tmp_path) == [names[0], names[2], names[1]]
    rows, total = find_runs(tmp_path, limit=1)
    assert ([row.folder for row in rows], total) == ([names[0]], 3)


def test_filters(tmp_path: Path) -> None:
    a = add(tmp_path, "digest").name
    b = add(tmp_path, "chat_1", hours=2, origin="emulated", machine={"cpu": "Apple M1"}).name
    assert listed(tmp_path, "DIGEST") == [a]
    assert listed(tmp_path, "chat_") == [b]
    assert listed(tmp_path, "chat%") == []  # no patterns
    assert listed(tmp_path, machine="m1") == [b]
    assert listed(tmp_path, model="smollm2") == [b, a]
    assert listed(tmp_path, origin="emulated") == [b]
    assert listed(tmp_path, since=STARTED + timedelta(hours=1)) == [b]
    assert listed(tmp_path, "'; DROP TABLE runs; --") == []
    assert len(listed(tmp_path)) == 2


def test_moved_gone_newer_and_new_folders_are_seen(tmp_path: Path) -> None:
    kept, moved, gone = (add(tmp_path, name, hours=hours) for hours, name in enumerate(("kept", "moved", "gone")))
    assert len(listed(tmp_path)) == 3
    moved.rename(tmp_path / "elsewhere")
    shutil.rmtree(gone)
    new = add(tmp_path, "new", hours=9)
    (kept / "summary.json").write_text(json.dumps({"choice": {"candidate": "split"}}))
    rows, _ = find_runs(tmp_path)
    assert {row.folder: row.chosen for row in rows} == {new.name: None, "elsewhere": None, kept.name: "split"}


def test_a_header_that_was_edited_in_place_is_seen(tmp_path: Path) -> None:
    path = add(tmp_path)
    assert listed(tmp_path, machine="quiet")
    text = (path / "environment.json").read_text()
    (path / "environment.json").write_text(text.replace("A quiet processor", "A loud processor"))
    assert listed(tmp_path, machine="loud") and not listed(tmp_path, machine="quiet")


def test_two_folders_that_change_places_are_seen(tmp_path: Path) -> None:
    a, b = add(tmp_path, "a"), add(tmp_path, "b")
    listed(tmp_path)
    a.rename(tmp_path / "t")
    b.rename(a)
    (tmp_path / "t").rename(b)
    assert {row.folder: row.workload for row in find_runs(tmp_path)[0]} == {a.name: "b", b.name: "a"}


def test_a_run_that_goes_on_is_counted_anew(tmp_path: Path) -> None:
    path = add(tmp_path, partial=True)
    assert [(row.state, row.trials) for row in find_runs(tmp_path)[0]] == [("partial", 1)]
    with RunFolder(path) as folder:
        folder.add_trial(make.trial(repeat=1))
    assert [(row.state, row.trials) for row in find_runs(tmp_path)[0]] == [("partial", 2)]


def test_what_is_fresh_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(tmp_path)
    listed(tmp_path)
    monkeypatch.setattr(index_module, "_read", lambda *_: pytest.fail("read again"))
    assert len(listed(tmp_path)) == 1


def test_a_damaged_run_is_listed_and_what_is_no_run_is_not(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("x")
    for name, text in (("empty", ""), ("list", "[]"), ("nameless", "{}"), ("odd", '{"name": 3}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "environment.json").write_text(text)
    odd = {
        "name": "x",
        "machine": [],
        "servers": [1, {"models": 3}],
        "seed": 1 << 80,
        "candidates": "abc",
        "options": 1,
    }
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange/environment.json").write_text(json.dumps(odd))
    (tmp_path / "other").mkdir()
    rows, _ = find_runs(tmp_path)
    assert {row.folder for row in rows if row.state == "damaged"} == {"empty", "list", "nameless", "odd"}
    assert [row.folder for row in rows if row.state != "damaged"] == ["strange"]


def test_a_newer_index_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = add(tmp_path)
    with sqlite3.connect(tmp_path / INDEX_NAME) as newer:
        newer.execute(f"PRAGMA user_version = {INDEX_VERSION + 6}")
    newer.close()
    with pytest.raises(UserError, match=rf"written by a newer Slotwise \(index version {INDEX_VERSION + 6}, this one"):
        find_runs(tmp_path)
    note_run(path)  # and a run that has just ended is none the worse for it


def test_an_index_that_is_none_is_made_again(tmp_path: Path) -> None:
    path = add(tmp_path)
    (tmp_path / INDEX_NAME).write_bytes(b"not a database at all" * 100)
    assert listed(tmp_path) == [path.name]
    whole = (tmp_path / INDEX_NAME).read_bytes()
    (tmp_path / INDEX_NAME).write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    assert listed(tmp_path) == [path.name]


def test_an_index_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    path = add(tmp_path)
    (tmp_path / INDEX_NAME).mkdir()
    assert listed(tmp_path) == [path.name]


def test_an_index_that_another_process_holds_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = add(tmp_path)
    listed(tmp_path)
    second = add(tmp_path, hours=1)
    monkeypatch.setattr(index_module, "_PATIENCE_S", 0.0)
    holder = sqlite3.connect(tmp_path / INDEX_NAME, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert listed(tmp_path) == [second.name, first.name]
    holder.execute("ROLLBACK")
    holder.close()


def test_a_run_is_noted_where_there_is_an_index(tmp_path: Path) -> None:
    note_run(add(tmp_path))
    assert not (tmp_path / INDEX_NAME).exists()
    listed(tmp_path)
    path = add(tmp_path, hours=1)
    note_run(path)
    with sqlite3.connect(tmp_path / INDEX_NAME) as there:
        assert (path.name,) in there.execute("SELECT folder FROM runs").fetchall()
        assert there.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    there.close()


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom harness.runs.index import find_runs, note_run\n"
        "root = Path(sys.argv[1])\n"
        "for name in sys.argv[2:]:\n    note_run(root / name)\n    find_runs(root)\n"
    )
    paths = [add(tmp_path, f"w{number}") for number in range(12)]
    listed(tmp_path)
    halves = [[path.name for path in paths[start::2]] for start in (0, 1)]
    done: list[int] = []

    def work(names: list[str]) -> None:
        done.append(processes.run([sys.executable, "-c", code, str(tmp_path), *names]).returncode)

    threads = [threading.Thread(target=work, args=(names,)) for names in halves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [0, 0]
    with sqlite3.connect(tmp_path / INDEX_NAME) as there:
        assert there.execute("SELECT count(*) FROM runs").fetchone() == (12,)
        assert there.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    there.close()


def test_a_folder_that_is_not_there_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        find_runs(tmp_path / "nowhere")


def test_the_list_loads_nothing_heavy() -> None:
    heavy = ("numpy", "scipy", "pydantic", "yaml", "rich.console", "networkx", "langchain_core")
    both = "harness.app.runs, harness.report.runs_table"
    code = f"import sys, {both}; print([name for name in {heavy!r} if name in sys.modules])"
    found = processes.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
