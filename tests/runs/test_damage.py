"""What stands on disk is input: damaged records are named and left out, and a folder that vanishes is noticed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from analysis import records as make
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.analysis.analyse import analyse
from harness.errors import LostRun, SlotwiseError, UserError
from harness.report.runs_table import runs_lines
from harness.runs.folder import RunFolder, read_run
from harness.runs.index import find_runs

STARTED = datetime(2026, 7, 1, 12)


def written(folder: Path) -> Path:
    with RunFolder.create(folder, "w", STARTED) as run:
        run.write_header(make.run(partial=False))
        run.add_records(make.run(calls=(make.call(job=0), make.call(job=1))))
    return run.path


def test_a_line_that_repeats_a_record_counts_once(tmp_path: Path) -> None:
    path = written(tmp_path)
    calls = path / "calls.jsonl"
    calls.write_text(calls.read_text() * 2)
    found = read_run(path)
    assert len(found.calls) == 2
    assert found.notes[0].text == "calls.jsonl: 2 lines repeat a record: left out."


BEYOND = ["NaN", "Infinity", "-Infinity", "1e400", "1e18", "-1e18", "9" * 400, '"\\ud800"', "[]"]


@pytest.mark.parametrize("value", BEYOND)
def test_a_number_that_cannot_be_is_damage(tmp_path: Path, value: str) -> None:
    path = written(tmp_path)
    first, second = (path / "calls.jsonl").read_text().splitlines()
    damaged = json.dumps({**json.loads(first), "sent_s": "HERE"}).replace('"HERE"', value)
    (path / "calls.jsonl").write_text(f"{damaged}\n{second}\n")
    found = read_run(path)
    assert [call.job for call in found.calls] == [1]
    assert found.notes[0].text == "calls.jsonl: 1 line of 2 damaged and left out (line 1)."


junk = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text("a5 \x1b\u202e\u00e9", max_size=5),
    st.lists(st.integers(), max_size=2),
    st.sampled_from([10**400, -1, "\x1b[2J", "x" * 300]),
)  # fmt: skip


def spoil(line: str, key: int, value: object) -> str:
    flat = json.loads(line)
    flat[sorted(flat)[key % len(flat)]] = value
    return json.dumps(flat)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    file=st.sampled_from(["calls.jsonl", "jobs.jsonl", "trials.jsonl", "delays.jsonl"]),
    key=st.integers(0, 40), value=junk, cut=st.integers(0, 200), raw=st.binary(max_size=30),
)  # fmt: skip
def test_whatever_stands_in_a_record_file_gives_a_run(
    tmp_path: Path, file: str, key: int, value: object, cut: int, raw: bytes
) -> None:
    path = tmp_path / "kept"
    if not path.exists():
        shutil.move(written(tmp_path / "made"), path)
    whole = (path / file).read_bytes()
    try:
        lines = whole.decode().splitlines()
        spoilt = [spoil(lines[0], key, value), *lines[1:]] if lines else []
        (path / file).write_bytes("\n".join(spoilt).encode()[: 10_000 - cut] + b"\n" + raw)
        analyse(read_run(path))
    finally:
        (path / file).write_bytes(whole)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    file=st.sampled_from(["environment.json", "workload.yaml", "summary.json"]), start=st.integers(0, 3000),
    length=st.integers(0, 40), raw=st.binary(max_size=20),
)  # fmt: skip
def test_whatever_stands_in_a_head_is_a_run_or_one_line(
    tmp_path: Path, file: str, start: int, length: int, raw: bytes
) -> None:
    path = tmp_path / "kept"
    if not path.exists():
        shutil.move(written(tmp_path / "made"), path)
        (path / "summary.json").write_text("{}")
    whole = (path / file).read_bytes()
    try:
        (path / file).write_bytes(whole[:start] + raw + whole[start + length :])
        try:
            analyse(read_run(path))
        except SlotwiseError as error:
            assert str(error).isprintable()  # one line
        rows, total = find_runs(tmp_path)
        assert total == len(rows) == 1
    finally:
        (path / file).write_bytes(whole)


def test_plans_that_place_other_pipelines_are_one_line(tmp_path: Path) -> None:
    path = written(tmp_path)
    header = json.loads((path / "environment.json").read_text())
    assert header["plans"]
    header["plans"][0]["placement"].append([0])
    (path / "environment.json").write_text(json.dumps(header))
    with pytest.raises(UserError, match=r"environment\.json: plans: '.+' places \d pipelines, expected \d, as many"):
        read_run(path)


@pytest.mark.parametrize("text", ["a: !!int x", '"\\UFFFFFFFF"', "a: 2026-99-99"])
def test_a_workload_that_the_reader_of_yaml_stumbles_over_is_one_line(tmp_path: Path, text: str) -> None:
    path = written(tmp_path)
    (path / "workload.yaml").write_text(text)
    with pytest.raises(UserError, match=r"workload\.yaml: not the YAML that `slotwise run` writes: [^\n]+$"):
        read_run(path)


@pytest.mark.parametrize("value", ["", "x", -1, 1e13])
def test_a_detail_that_is_no_number_is_one_line(tmp_path: Path, value: object) -> None:
    path = written(tmp_path)
    header = json.loads((path / "environment.json").read_text())
    header["servers"][0]["details"]["context_tokens"] = value
    (path / "environment.json").write_text(json.dumps(header))
    with pytest.raises(UserError, match=r"environment\.json: servers: context_tokens of '.+': expected a whole number"):
        read_run(path)


@pytest.mark.parametrize("key", ["a\nb", "\ud800"])
def test_a_key_that_cannot_be_shown_is_one_line(tmp_path: Path, key: str) -> None:
    path = written(tmp_path)
    header = json.loads((path / "environment.json").read_text())
    header["servers"][0][key] = 1
    (path / "environment.json").write_text(json.dumps(header))
    with pytest.raises(UserError) as found:
        read_run(path)
    assert str(found.value).isprintable()


def test_a_graph_that_names_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    path = written(tmp_path)
    plain = yaml.safe_load((path / "workload.yaml").read_text())
    node = next(iter(next(iter(plain["pipelines"].values()))["nodes"].values()))
    node["after"] = ["nobody"]
    (path / "workload.yaml").write_text(yaml.safe_dump(plain))
    with pytest.raises(UserError, match=r"workload\.yaml: .+ its graphs do not fit \(KeyError\('nobody'\)\)$"):
        read_run(path)


def test_a_damaged_folder_is_listed_as_damaged(tmp_path: Path) -> None:
    good = written(tmp_path)
    for name, text in (
        ("cut", '{"name": "x'),
        ("number", "7"),
        (os.fsdecode(b"name\xff"), "{}"),
        ("odd", '{"name": "\\ud800"}'),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "environment.json").write_text(text)
    for _ in range(2):  # from the folders, and from the index
        rows, total = find_runs(tmp_path)
        assert total == 5
        states = {row.folder: row.state for row in rows}
        assert states.pop(good.name) == "complete" and states.pop("odd") == "complete"
        assert set(states.values()) == {"damaged"}
    lines = runs_lines(tmp_path, rows, total, filtered=False)
    assert lines[-1].startswith("damaged: the environment.json of ") and lines[-1].endswith(" are not readable")


def remove(path: Path) -> None:
    shutil.rmtree(path)


def rename(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def with_its_parent(path: Path) -> None:
    shutil.rmtree(path.parent)


@pytest.mark.parametrize("vanishes", [remove, rename, with_its_parent])
def test_a_folder_that_vanishes_goes_on_in_another(tmp_path: Path, vanishes: Callable[[Path], None]) -> None:
    with RunFolder.create(tmp_path / "runs", "w", STARTED) as folder:
        gone = folder.path
        folder.write_header(make.run(partial=False))
        folder.add_call(make.call(job=0))
        vanishes(gone)
        folder.add_call(make.call(job=1))
        folder.add_call(make.call(job=2))
    assert folder.path.name == f"{gone.name}-again"
    assert folder.moved == f"{gone} has vanished while the run was written; everything is in {folder.path}"
    assert [call.job for call in read_run(folder.path).calls] == [0, 1, 2]


def test_where_no_other_folder_can_be_made_the_run_ends(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "runs", "w", STARTED) as folder:
        folder.write_header(make.run(partial=False))
        with_its_parent(folder.path)
        (tmp_path / "runs").write_text("in the way")
        with pytest.raises(LostRun, match="has vanished, and no other can be made beside it") as raised:
            folder.add_call(make.call())
    assert raised.value.exit_code == 3
