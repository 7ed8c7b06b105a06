"""What a sweep prints: 80 columns, several models side by side, and foreign text that does nothing."""

from __future__ import annotations

import io
import json

from analysis.test_sweep import on, rounds, rows, sweep
from rich.console import Console

from harness.analysis.sweep import Sweep, row_of
from harness.report.sweep import sweep_report, sweeps_plain

NASTY = "\x1b[31m[bold]<script>alert(1)</script> and much more of a name than fits"


def printed(*sweeps: Sweep) -> str:
    file = io.StringIO()
    Console(file=file, width=80, color_system=None).print(sweep_report(sweeps))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def full(**changes: object) -> Sweep:
    """Every column at its widest."""
    found = []
    for row in rows(12345.6, 20000.1, 20001, 19999):
        found.append(row._replace(needed_bytes=123_456 * 10**6, rss_bytes=999_999 * 10**6, first_token_s=100.0))
    return sweep(tuple(found), **changes)


def test_a_table() -> None:
    failed = row_of(8, (), None, "measured", failure="did not start: it broke", needed_bytes=10**9)
    text = printed(sweep((*rows(100, 140, 160), failed), ended="failed"))
    assert text.splitlines()[0] == "m  e 1; 2048 tokens a slot; measured, 5 rounds"
    lines = {line.split()[0]: line for line in text.splitlines() if line.split()}
    assert lines["2"].split()[1:5] == ["140.0", "+40.0", "%", "70.0"]
    assert lines["8"].split()[1:] == ["-", "-", "-", "-", "1.0", "GB"]  # no row has memory that was found
    assert "- 8 slots: did not start: it broke." in text


def test_it_fits_80_columns() -> None:
    for shown in ((full(),), (full(), full(model=NASTY), full(model="a" * 60), full(model="b"), full(model="c"))):
        text = printed(*shown)
        assert all(len(line) <= 80 for line in text.splitlines())
        assert "…" not in text.split("Side by side")[0]  # no number was cut
    accelerated = tuple(row._replace(size_bytes=10**9, vram_bytes=10**9) for row in full().rows)
    assert all(len(line) <= 80 for line in printed(sweep(accelerated)).splitlines())


def test_a_wide_interval_keeps_its_column() -> None:
    noisy = printed(sweep(rows(1, 4, noise=(1.0, 7.0, 0.3))))
    assert "…" not in noisy and all(len(line) <= 80 for line in noisy.splitlines())


def test_others_text_does_nothing() -> None:
    text = printed(full(model=NASTY, engine=NASTY))
    assert "\x1b" not in text and "[bold]<script>" in text


def test_side_by_side() -> None:
    two = printed(sweep(rows(100, 101, 102)), sweep(rows(50, 90, 91, 90), model="other"))
    table = two.split("Side by side")[1]
    cells = [line.split() for line in table.splitlines() if line.split()]
    assert ["1", "100.0", "*", "50.0"] in cells
    assert ["2", "101.0", "90.0", "*"] in cells
    assert ["memory", "<=", "22", "<=", "22"] in cells


def test_on_an_accelerator_memory_is_what_the_server_says() -> None:
    text = printed(sweep((on(1, 1)._replace(rss_bytes=5), on(0.75, 2)), ended="accelerator"))
    assert "75 %" in text and "1.0 kB" in text and " 5 B" not in text


def test_json() -> None:
    (found,) = json.loads(json.dumps(sweeps_plain([sweep(rows(100, 101, 102))]), allow_nan=False))
    assert (found["model"], found["saturates_at"], found["memory_slots"], found["ended"]) == ("m", 1, 22, "flat")
    assert [row["slots"] for row in found["rows"]] == [1, 2, 4]
    assert found["rows"][0]["rounds"][0]["tokens_per_s"] == rounds(100)[0].tokens_per_s
    assert found["sentences"]
