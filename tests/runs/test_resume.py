"""Killed at any moment, a run loses what was in flight and nothing else; resumed, it ends as if undisturbed."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest
from runs import virtual_run as virtual

from harness.errors import UserError
from harness.runs.folder import RECORD_FILES, RunFolder, read_run
from harness.runs.head import read_head
from harness.runs.resume import check_same, reopen, whole_trials
from harness.workload.load import Overrides, load_workload

# More of them: SLOTWISE_KILLS=100 pytest tests/runs/test_resume.py; with real kills: test_killed_often.py.
MOMENTS = int(os.environ.get("SLOTWISE_KILLS", "12"))


@pytest.fixture
def undisturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    virtual.on_fakes(monkeypatch)
    return virtual.begin(tmp_path / "undisturbed", virtual.write_workload(tmp_path))


def lines(path: Path) -> dict[str, list[bytes]]:
    return {kind: (path / f"{kind}.jsonl").read_bytes().splitlines(keepends=True) for kind in RECORD_FILES}


def kill_and_resume(tmp_path: Path, undisturbed: Path, seed: int) -> int:
    """Kill it once or twice at drawn moments, then let it end; return how many of the kills hit it."""
    draw = random.Random(seed)
    total = sum(map(len, lines(undisturbed).values()))
    path: Path | None = None
    seen: list[dict[str, list[bytes]]] = []
    hit = 0
    for _ in range(draw.choice((1, 2))):
        with pytest.MonkeyPatch.context() as patched:
            virtual.kill_after(patched, draw.randint(1, total), draw.choice((0.0, draw.random(), 1.0)))
            try:
                if path is None:
                    virtual.begin(tmp_path / f"killed-{seed}", tmp_path / "w.yaml")
                else:
                    virtual.resume(path)
            except virtual.Killed:
                hit += 1
        (path,) = (tmp_path / f"killed-{seed}").iterdir()
        seen.append(lines(path))
        assert read_run(path).calls is not None  # readable at any moment
    assert path is not None
    virtual.resume(path)

    run, whole = read_run(path), read_run(undisturbed)
    assert virtual.by_trial(run) == virtual.by_trial(whole), seed
    assert not run.partial and not run.notes
    after = lines(path)
    for on_disk in seen:
        for kind, before in on_disk.items():
            aside = path / "cut" / f"{kind}.jsonl"
            kept = [*after[kind], *(aside.read_bytes().splitlines(keepends=True) if aside.exists() else [])]
            lost = Counter(line.rstrip(b"\n") for line in before) - Counter(line.rstrip(b"\n") for line in kept)
            assert not lost, (seed, kind)
    return hit


def test_the_undisturbed_run_has_something_to_lose(undisturbed: Path) -> None:
    run = read_run(undisturbed)
    assert (len(run.trials), len(run.calls), len(run.jobs), len(run.delays)) == (4, 4 * 5, 4 * 3, 4)
    assert whole_trials(run) == {("serial", 0), ("serial", 1), ("both", 0), ("both", 1)}


@pytest.mark.parametrize("seed", range(MOMENTS))
def test_killed_and_resumed_is_as_undisturbed(tmp_path: Path, undisturbed: Path, seed: int) -> None:
    kill_and_resume(tmp_path, undisturbed, seed)


@pytest.mark.slow
def test_killed_at_a_thousand_moments(tmp_path: Path, undisturbed: Path) -> None:
    hit = runs = 0
    while hit < 1000:
        hit += kill_and_resume(tmp_path, undisturbed, 1000 + runs)
        shutil.rmtree(tmp_path / f"killed-{1000 + runs}")
        runs += 1
    print(f"{hit} kills of {runs} runs")


def test_half_a_last_line_is_set_aside_and_never_glued_to(tmp_path: Path, undisturbed: Path) -> None:
    path = undisturbed
    whole = (path / "calls.jsonl").read_bytes()
    (path / "calls.jsonl").write_bytes(whole[:-30])
    half = whole[:-30].split(b"\n")[-1]
    assert any("last line is damaged" in note.text for note in read_run(path).notes)
    virtual.resume(path)
    assert not read_run(path).notes
    assert half + b"\n" in (path / "cut/calls.jsonl").read_bytes().splitlines(keepends=True)


def test_a_line_without_its_end_is_whole(tmp_path: Path, undisturbed: Path) -> None:
    path = undisturbed
    before = (path / "trials.jsonl").read_bytes()
    (path / "trials.jsonl").write_bytes(before[:-1])
    with reopen(path, whole_trials(read_run(path))):
        pass
    assert (path / "trials.jsonl").read_bytes() == before
    assert not (path / "cut").exists()


def test_a_run_that_somebody_else_went_on_with_is_left_alone(undisturbed: Path) -> None:
    before = lines(undisturbed)
    with pytest.raises(UserError, match="another process has just gone on with this run"):
        reopen(undisturbed, {("serial", 0)})  # as it was a moment ago
    assert lines(undisturbed) == before


def test_a_full_disk_while_setting_aside_loses_nothing(undisturbed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (undisturbed / "trials.jsonl").write_bytes(b"".join(lines(undisturbed)["trials"][:2]))
    before = lines(undisturbed)
    whole = whole_trials(read_run(undisturbed))

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(UserError, match="No space left on device"):
            reopen(undisturbed, whole)
    assert lines(undisturbed) == before
    virtual.resume(undisturbed)
    assert not read_run(undisturbed).notes and len(read_run(undisturbed).trials) == 4


@pytest.mark.parametrize("kind", ["calls", "jobs", "trials"])
def test_a_trial_that_lost_a_record_is_measured_again(tmp_path: Path, undisturbed: Path, kind: str) -> None:
    file = undisturbed / f"{kind}.jsonl"
    first, *rest = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first[:20] + b"\n" + b"".join(rest))
    assert len(whole_trials(read_run(undisturbed))) == 3


def test_only_one_process_writes_a_run(undisturbed: Path) -> None:
    with RunFolder(undisturbed), pytest.raises(UserError, match="another process is writing this run"):
        RunFolder(undisturbed)
    with RunFolder(undisturbed):  # and it is free again
        pass


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("Hello", "Good day", "pipelines"),
        ("[a, b]", "[a, c]", "inputs"),
        ("slots: 2", "slots: 4", "servers"),
        ("repeats: 2", "repeats: 3", "measure"),
        ("concurrency: serial", "concurrency: waves", "compare"),
    ],
)
def test_another_workload_is_refused(tmp_path: Path, undisturbed: Path, old: str, new: str, what: str) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(virtual.WORKLOAD.replace(old, new), encoding="utf-8")
    run = read_run(undisturbed)
    with pytest.raises(UserError, match=rf"is not the workload that this run was begun with \(.*{what}"):
        check_same(undisturbed, run, load_workload(path))


def test_a_comment_or_another_address_is_no_other_workload(tmp_path: Path, undisturbed: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text("# a comment\n" + virtual.WORKLOAD, encoding="utf-8")
    check_same(undisturbed, read_run(undisturbed), load_workload(path))


def test_documents_that_changed_are_another_workload(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("one")
    text = virtual.WORKLOAD.replace("{list: [a, b]}", '{files: "*.md"}')
    (tmp_path / "w.yaml").write_text(text)
    before = load_workload(tmp_path / "w.yaml").work()
    (tmp_path / "a.md").write_text("two")
    after = load_workload(tmp_path / "w.yaml").work()
    assert {part for part in before if before[part] != after[part]} == {"inputs"}


def test_what_may_differ_between_runs_is_no_part_of_the_work(tmp_path: Path) -> None:
    path = virtual.write_workload(tmp_path)
    before = load_workload(path).work()
    assert load_workload(path, Overrides(repeats=7, seed=3, engine="ollama")).work() == before
    assert load_workload(path, Overrides(scale=2)).work() != before
    path.write_text(virtual.WORKLOAD.replace("jobs: 2\n", "jobs: 2\n    goal: {p50_s: 1}\n"))
    assert load_workload(path).work() == before


def test_a_header_reads_without_records(undisturbed: Path) -> None:
    (undisturbed / "calls.jsonl").unlink()
    head = read_head(undisturbed)
    assert (head.calls, head.notes, set(head.work)) == ((), (), {"pipelines", "agents", "inputs", "control"})
