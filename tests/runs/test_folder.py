"""A run goes to disk and comes back equal; damage, movement and full disks are named, never swallowed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from analysis import records as make
from core.graphs import pool_of, queue_of
from predict.paper import knowing

from harness.content import shipped
from harness.core.plan import Plan
from harness.errors import UserError
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.runs import folder as folder_module
from harness.runs.folder import RunFolder, read_run
from harness.runs.model import Baseline, Note, Run, ServerFacts
from harness.workload.load import load_workload

WORKLOADS = sorted((shipped() / "workloads").glob("*.yaml"))
ONE_MODEL = [path for path in WORKLOADS if path.stem != "two-model-cascade"]  # a profile is of one model
STARTED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def full_run() -> Run:
    return make.run(
        trials=(make.trial(), make.trial(repeat=1, lag=None, complete=False)),
        calls=(
            make.call(streamed=True),
            make.call(job=1, outcome="error"),
            make.call(job=2, tell_queue=False),
        ),
        jobs=(make.job(), make.job(number=1, outcome="error")),
        delays=(make.delay("merge", 0.25, 0.75),),
        servers=(make.server("one-slot", 1, baseline=Baseline(0.01, 0.002, 5)), make.server("four-slot", 4)),
        notes=("a note",),
    )._replace(options={"repeats": 5, "engine": "llamacpp"}, output_tokens={"chat/reply": 33})


def write(parent: Path, run: Run) -> Path:
    with RunFolder.create(parent, run.workload.name, STARTED) as folder:
        folder.write_header(run._replace(partial=True))
        folder.add_records(run)
        folder.write_header(run)
    return folder.path


def test_what_is_written_is_read_back_equal(tmp_path: Path) -> None:
    run = full_run()
    path = write(tmp_path, run)
    assert path.name == "research-digest-20260304-050607"
    assert read_run(path) == run


@pytest.mark.parametrize("path", ONE_MODEL, ids=lambda path: path.stem)
def test_shipped_workloads_are_read_back_whole(path: Path, tmp_path: Path) -> None:
    """Nodes of sub-pipelines, loops and fan-outs at run time among them."""
    loaded = load_workload(path)
    run = predict(loaded, knowing(load_profile("epyc-2core", path.parent), loaded), repeats=1, extrapolate=True).run
    found = read_run(write(tmp_path, run))
    assert run.calls
    assert (found.calls, found.jobs, found.delays, found.notes) == (run.calls, run.jobs, run.delays, run.notes)


def test_plans_over_several_servers_are_read_back_equal(tmp_path: Path) -> None:
    plan = Plan(
        "c", (queue_of("a", 1), queue_of("b", 2, "reserve", reserve=1)), ((0, pool_of("affinity", (0, 1))), (1,))
    )
    run = full_run()._replace(plans=(plan,))
    assert read_run(write(tmp_path, run)).plans == (plan,)


def test_a_moved_folder_reads_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "here", full_run())
    (tmp_path / "there").mkdir()
    assert read_run(path.rename(tmp_path / "there" / "other-name")) == full_run()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        with RunFolder.create(tmp_path, "w", STARTED) as folder:
            names.append(folder.path.name)
    assert names == ["w-20260304-050607", "w-20260304-050607-2", "w-20260304-050607-3"]
    assert sorted(file.name for file in (tmp_path / names[0]).iterdir()) == [
        "calls.jsonl",
        "delays.jsonl",
        "jobs.jsonl",
        "slots.jsonl",
        "trials.jsonl",
    ]


def test_each_call_is_on_disk_when_add_call_returns(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, "w", STARTED) as folder:
        for number in range(1, 4):
            folder.add_call(make.call(job=number))
            assert len((folder.path / "calls.jsonl").read_text().splitlines()) == number


def test_a_damaged_last_line_is_a_note_and_the_rest_is_used(tmp_path: Path) -> None:
    run = full_run()
    path = write(tmp_path, run)
    whole = (path / "calls.jsonl").read_bytes()
    (path / "calls.jsonl").write_bytes(whole[:-40])
    found = read_run(path)
    assert found.calls == run.calls[:-1]
    assert found.notes == (
        Note("records", "calls.jsonl: the last line is damaged and was left out; the run was interrupted there."),
        Note("run", "a note"),
    )


@pytest.mark.parametrize("line", ["", "[]", "null", '{"candidate": "serial"}', "[" * 100_000, '{"x": \ud800'])
def test_a_damaged_line_in_the_middle_is_counted(tmp_path: Path, line: str) -> None:
    run = full_run()
    path = write(tmp_path, run)
    lines = (path / "calls.jsonl").read_text().splitlines()
    lines[1] = line
    (path / "calls.jsonl").write_text("\n".join(lines) + "\n", errors="surrogatepass")
    found = read_run(path)
    assert found.calls == (run.calls[0], run.calls[2])
    assert found.notes[0].text == "calls.jsonl: 1 line of 3 damaged and left out (line 2)."


def test_a_value_of_the_wrong_type_is_damage_too(tmp_path: Path) -> None:
    path = write(tmp_path, full_run())
    flat = json.loads((path / "trials.jsonl").read_text().splitlines()[0])
    (path / "trials.jsonl").write_text(json.dumps({**flat, "makespan_s": "long"}) + "\n")
    assert read_run(path).trials == ()


def test_a_missing_record_file_is_a_note(tmp_path: Path) -> None:
    path = write(tmp_path, full_run())
    (path / "delays.jsonl").unlink()
    assert read_run(path).notes[0].text == "delays.jsonl is missing: its records are not in this report."


def test_a_killed_run_says_that_it_is_partial(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, "w", STARTED) as folder:
        folder.write_header(make.run(partial=True))
        folder.add_call(make.call())
    assert read_run(folder.path).partial


def test_another_version_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, full_run())
    header = json.loads((path / "environment.json").read_text())
    (path / "environment.json").write_text(json.dumps({**header, "schema_version": 99}))
    said = r"written in version 99 of the run format, expected 1 or 2"
    with pytest.raises(UserError, match=said):
        read_run(path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", r"not a run folder: it has no environment\.json"),
        ("file", r"not a run folder: it has no environment\.json"),
        ("nowhere", "nowhere: no such folder; `slotwise runs` lists"),
        ("file/inside", "file/inside: no such folder; `slotwise runs` lists"),
    ],
)
def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=said):
        read_run(tmp_path / name)


def test_a_yaml_bomb_in_the_folder_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, full_run())
    (path / "workload.yaml").write_text("a: &a [1]\nb: [*a, *a]\n")
    with pytest.raises(UserError, match="aliases are not expected here"):
        read_run(path)


def test_a_tag_in_the_folder_runs_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, full_run())
    (path / "workload.yaml").write_text("name: !!python/object/apply:os.system ['touch pwned']\n")
    with pytest.raises(UserError, match=r"not the YAML that `slotwise run` writes"):
        read_run(path)


def test_credentials_reach_no_file(tmp_path: Path) -> None:
    secret_url = "http://me:s3cret@host:11434/x"
    spec = make.workload(
        servers={"one-slot": {"kind": "ollama", "model": "m", "url": secret_url}}, compare={"a": "serial"}
    )
    facts = ServerFacts("one-slot", "ollama", secret_url, "m", None, 1, "0.30", False, None, {})
    run = make.run(spec=spec, servers=(facts,))._replace(command=f"slotwise run x.yaml --server one-slot={secret_url}")
    with RunFolder.create(tmp_path, "w", STARTED) as folder:
        folder.write_header(run)
        failed = make.call(outcome="error")
        folder.add_call(failed._replace(reply=failed.reply._replace(error=f"no answer from {secret_url}")))
    for file in folder.path.iterdir():
        assert "s3cret" not in file.read_text(), file
    found = read_run(folder.path)
    assert found.servers[0].url == "http://host:11434/x"
    assert found.calls[0].reply.error == "no answer from http://host:11434/x"


def test_the_workload_file_is_plain_yaml(tmp_path: Path) -> None:
    path = write(tmp_path, full_run())
    assert yaml.safe_load((path / "workload.yaml").read_text())["pipelines"]["chat"]["while"] == "digest"


def test_an_unusable_parent_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=r"the run folder cannot be made there: .*choose another folder with --out"):
        RunFolder.create(tmp_path / "file" / "reports", "w", STARTED)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full to stand for a full disk")
def test_a_full_disk_at_the_start_leaves_no_folder_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = folder_module._check_room
    monkeypatch.setattr(folder_module, "_check_room", lambda path: check(Path("/dev/full")))
    with pytest.raises(UserError, match="No space left on device"):
        RunFolder.create(tmp_path, "w", STARTED)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full to stand for a full disk")
def test_a_disk_that_fills_up_during_the_run_keeps_what_was_written(tmp_path: Path) -> None:
    path = write(tmp_path, full_run())
    (path / "jobs.jsonl").unlink()
    (path / "jobs.jsonl").symlink_to("/dev/full")
    message = r"No space left on device.*what was written so far is kept"
    with RunFolder(path) as folder, pytest.raises(UserError, match=message):
        folder.add_job(make.job())
    (path / "jobs.jsonl").unlink()
    assert read_run(path).calls == full_run().calls
