"""Trace events by the rules of their format, CSV and JSON lines as their readers read them, and notebooks."""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from analysis import records as make
from analysis.scenarios import scenario, steady

from harness.analysis.slots import slots_of
from harness.content import shipped
from harness.errors import UserError
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.report.tables import csv_lines, json_lines
from harness.report.trace_events import trace_lines
from harness.runs.model import Note, Run
from harness.runs.rows import COLUMNS
from harness.workload.load import load_workload

NASTY = '=cmd|"x"!A0, <script>alert(1)</script>\x1b[31m\nnext http://u:s3cret@h/'


@pytest.fixture(scope="module")
def predicted() -> Run:
    path = shipped() / "workloads/research-digest.yaml"
    loaded = load_workload(path)
    return predict(loaded, load_profile("epyc-2core", path.parent), repeats=2, extrapolate=True).run


def nasty_run() -> Run:
    failed = make.call(job=1, outcome="error")
    failed = failed._replace(reply=failed.reply._replace(error=NASTY))
    return make.run(trials=(make.trial(),), calls=(make.call(streamed=True), failed, make.call(repeat=1)))


def events_of(run: Run, *only: str) -> list[dict[str, Any]]:
    whole: dict[str, Any] = json.loads("\n".join(trace_lines(run, only or None)))
    assert set(whole) == {"displayTimeUnit", "otherData", "traceEvents"}
    assert whole["displayTimeUnit"] in ("ms", "ns")
    found: list[dict[str, Any]] = whole["traceEvents"]
    return found


def ns(value: float) -> int:
    """Microseconds with three decimals, exactly."""
    return round(Fraction(str(value)) * 1000)


def check_format(events: list[dict[str, Any]]) -> None:
    """The rules of the Trace Event Format for the phases that we write."""
    opened: dict[tuple[str, str], int] = {}
    stacks: dict[tuple[int, int], list[int]] = defaultdict(list)
    slices = sorted(
        (e for e in events if e["ph"] == "X"), key=lambda e: (e["pid"], e["tid"], ns(e["ts"]), -ns(e["dur"]))
    )
    for event in events:
        assert {"name", "ph", "pid", "tid", "ts"} <= set(event), event
        assert isinstance(event["pid"], int) and isinstance(event["tid"], int)
        assert event["ph"] in "XbeCMi" and event["ts"] >= 0
        match event["ph"]:
            case "X":
                assert event["dur"] >= 0
            case "b" | "e":
                key = (event["cat"], event["id"])
                opened[key] = opened.get(key, 0) + (1 if event["ph"] == "b" else -1)
                assert opened[key] in (0, 1)
            case "C":
                assert all(isinstance(value, int) and value >= 0 for value in event["args"].values())
            case "i":
                assert event["s"] in "gpt"
            case "M":
                assert event["name"] in ("process_name", "thread_name", "process_sort_index")
                assert isinstance(event["args"]["sort_index" if "sort" in event["name"] else "name"], int | str)
    assert not any(opened.values())
    named = {(e["name"], e["pid"], e["tid"]) for e in events if e["ph"] == "M"}
    assert {("process_name", e["pid"], 0) for e in events} <= named
    assert {("thread_name", e["pid"], e["tid"]) for e in slices} <= named
    at: dict[tuple[Any, ...], float] = {}
    for event in events:  # within a counter, and within a pair, time does not go back
        if event["ph"] in "Cbe":
            series = (event["ph"] == "C", event["pid"], event["name"], event.get("id"))
            assert event["ts"] >= at.get(series, 0.0), event
            at[series] = event["ts"]
    for event in slices:  # on a track slices nest or follow one another
        stack = stacks[event["pid"], event["tid"]]
        start, end = ns(event["ts"]), ns(event["ts"]) + ns(event["dur"])
        while stack and stack[-1] <= start:
            stack.pop()
        assert not stack or end <= stack[-1], event
        stack.append(end)


def test_a_trace_keeps_the_rules_of_its_format(predicted: Run) -> None:
    events = events_of(predicted)
    check_format(events)
    calls = [event for event in events if event["ph"] == "X" and event["args"]]
    assert len(calls) == len(predicted.calls)
    names = {event["args"]["name"] for event in events if event["ph"] == "M" and event["name"] == "thread_name"}
    assert names == {"slot 0", "slot 1", "slot 2", "slot 3"}
    assert sum(event["ph"] == "i" for event in events) == len(predicted.trials)


def test_no_more_slots_are_busy_than_the_server_has(predicted: Run) -> None:
    slots = {f"server {server.name}": server.slots_found or 0 for server in predicted.servers}
    events = events_of(predicted)
    names = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    tracks = {(names[e["pid"]], e["tid"]) for e in events if e["ph"] == "X"}
    assert {tid for _, tid in tracks} <= set(range(4))
    for server, tid in tracks:
        assert tid < slots[server]


def test_times_are_microseconds() -> None:
    """A prompt of a quarter of a second and an answer of a second, after the first half second."""
    first, second = make.call(), make.call(serial=1, ready=1.5, queue=0.25)
    events = events_of(make.run(trials=(make.trial(makespan=3.0),), calls=(first, second)))
    slices = {(e["name"], e["ts"], e["dur"]) for e in events if e["ph"] == "X"}
    assert slices == {
        ("chat/reply", 0.0, 1_250_000.0), ("prefill", 0.0, 250_000.0), ("decode", 250_000.0, 1_000_000.0),
        ("chat/reply", 1_750_000.0, 1_250_000.0), ("prefill", 1_750_000.0, 250_000.0),
        ("decode", 2_000_000.0, 1_000_000.0),
    }  # fmt: skip
    queue = [(e["ts"], e["args"]["calls"]) for e in events if e["name"] == "queue in the server"]
    assert queue == [(1_500_000.0, 1), (1_750_000.0, 0)]


def test_one_candidate_alone(predicted: Run) -> None:
    some = events_of(predicted, predicted.candidates[0])
    check_format(some)
    assert len(some) < len(events_of(predicted))


def test_slots_by_hand() -> None:
    """Two slots: 0 to 2, 0 to 1, then 1 to 3 in the free one; the last begins a little before the second one ends."""
    calls = [
        make.call(serial=0, ready=0.0, prefill=0.5, decode=1.5),
        make.call(serial=1, ready=0.0, prefill=0.5, decode=0.5),
        make.call(serial=2, ready=0.5, queue=0.4375, prefill=0.5, decode=1.5625),
    ]
    found = slots_of(calls, {})
    assert [(one.call.call, one.slot, one.start_s, one.prefill_s, one.decode_s, one.end_s) for one in found] == [
        (0, 0, 0.0, 0.0, 0.5, 2.0),
        (1, 1, 0.0, 0.0, 0.5, 1.0),
        (2, 1, 1.0, 1.0, 1.4375, 3.0),
    ]


def test_a_run_without_calls_is_a_trace() -> None:
    check_format(events_of(make.run()))


def test_failed_calls_and_odd_texts_are_in_a_trace() -> None:
    events = events_of(nasty_run())
    check_format(events)
    (failed,) = (event for event in events if event.get("args", {}).get("outcome") == "error")
    assert (failed["ph"], failed["name"], failed["cat"]) == ("b", "chat/reply", "failed call")  # in no slot
    assert "s3cret" not in json.dumps(events)


def test_csv_reads_back_as_one_row_for_each_call() -> None:
    run = nasty_run()
    rows = list(csv.DictReader(csv_lines(run)))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 3
    assert float(rows[0]["prefill_s"]) == run.calls[0].reply.prefill_s
    assert rows[0]["error"] == "" and rows[0]["first_token_s"] != ""
    assert rows[1]["error"].startswith("'=cmd|") and "\x1b" not in rows[1]["error"]
    assert [row["in_complete_trial"] for row in rows] == ["True", "True", "False"]
    assert "s3cret" not in "".join(csv_lines(run))


def test_json_lines_are_the_records() -> None:
    run = nasty_run()
    rows = [json.loads(line) for line in json_lines(run)]
    assert [{key: row[key] for key in run.calls[0].to_json()} for row in rows[::2]] == [
        run.calls[0].to_json(),
        run.calls[2].to_json(),
    ]
    assert rows[0]["wall_s"] == run.calls[0].wall_s


def test_a_notebook_shows_a_run_as_text() -> None:
    run = nasty_run()._replace(notes=(Note("run", "<script>x</script>"),), name="http://u:s3cret@h/<b>")
    text = run._repr_html_()
    assert "<script>" not in text and "&lt;script&gt;" in text and "s3cret" not in text
    assert "3 calls" in text and "A quiet processor" in text


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_data_frame_of_what_is_installed(library: Any) -> None:
    module = pytest.importorskip(library)
    run = nasty_run()
    whole = run.calls[0]._replace(reply=run.calls[0].reply._replace(load_s=0, end_s=2))  # mixed with fractions
    table = run._replace(calls=(whole, *run.calls[1:])).to_frame(library)
    assert isinstance(table, module.DataFrame)
    assert list(table.columns) == list(COLUMNS) and len(table) == 3


def test_a_data_frame_is_made_of_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setitem(sys.modules, "polars", SimpleNamespace(DataFrame=lambda columns: columns))
    table = nasty_run().to_frame()
    assert tuple(table) == COLUMNS
    assert table["outcome"] == ["ok", "error", "ok"]
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(UserError, match=r"pandas or polars is not installed.*--as csv"):
        nasty_run().to_frame()


def test_the_exports_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.cli.app import _main
    from harness.runs.folder import RunFolder

    run = scenario({"serial": steady(16)})
    from datetime import UTC, datetime

    with RunFolder.create(tmp_path, "w", datetime(2026, 3, 4, tzinfo=UTC)) as folder:
        folder.write_header(run)
        folder.add_records(run)
    for kind, name in (("perfetto", "t.json"), ("csv", "c.csv"), ("jsonl", "c.jsonl")):
        monkeypatch.setattr(
            "sys.argv", ["slotwise", "export", str(folder.path), "--as", kind, "-o", str(tmp_path / name)]
        )
        assert _main() == 0
    check_format(json.loads((tmp_path / "t.json").read_text())["traceEvents"])
    assert len((tmp_path / "c.csv").read_text().splitlines()) == len(run.calls) + 1
    assert len((tmp_path / "c.jsonl").read_text().splitlines()) == len(run.calls)
