"""The whole report at fixed records: golden texts, well-formed charts, and no text of others' that acts."""

from __future__ import annotations

import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from analysis import records as make
from analysis.scenarios import scenario, steady, with_goal
from conftest import Golden
from rich.console import Console

from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis
from harness.report.chart_style import to_svg
from harness.report.charts import charts_of
from harness.report.files import write_report
from harness.report.markdown import markdown_report
from harness.report.summary import summary, summary_text
from harness.report.terminal import print_report
from harness.runs.model import Note, Run

GOLDEN = Path(__file__).parent / "golden"
NASTY = "\x1b[31m[bold]<script>alert(1)</script> | ![x](y) `z`"


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    """A trade between the paths, with a goal and a note."""
    digest = {"serial": steady(16), "batched": steady(13), "split": steady(14.5, noise=(0.01, -0.01, 0.005, 0.0, 0.0))}
    chat = {"serial": steady(3), "batched": steady(2), "split": steady(1)}
    return analyse(scenario(digest, chat, spec=with_goal(p50_s=0.5), notes=("Something to know.",)))


@pytest.fixture(scope="module")
def nasty_run() -> Run:
    """Markup and terminal escapes wherever text comes from outside."""
    run = scenario({"serial": steady(16), "batched": steady(13)}, notes=(NASTY,))
    broken = make.call("merge", pipeline="digest", path="batch", job=9, outcome="error")
    broken = broken._replace(reply=broken.reply._replace(error=NASTY))
    facts = tuple(s._replace(model=NASTY, version=NASTY, details={"x": NASTY}) for s in run.servers)
    return run._replace(
        calls=(*run.calls, broken),
        servers=facts,
        machine={"cpu": NASTY, "cores": 2},
        command=NASTY,
        options={"model": NASTY},
        workload=run.workload.model_copy(update={"description": NASTY}),
    )


@pytest.fixture(scope="module")
def nasty(nasty_run: Run) -> Analysis:
    return analyse(nasty_run)


def terminal(analysis: Analysis, *, ascii_only: bool = False, colour: bool = False) -> str:
    class File(io.StringIO):
        encoding = "ascii" if ascii_only else "utf-8"

    file = File()
    console = Console(file=file, width=80, color_system="truecolor" if colour else None, force_terminal=colour)
    print_report(analysis, console, full=True)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def test_golden_terminal(analysis: Analysis, golden: Golden) -> None:
    golden(GOLDEN / "terminal.txt", terminal(analysis))


def test_golden_markdown(analysis: Analysis, golden: Golden) -> None:
    text = markdown_report(analysis, [("charts/pipeline-time.svg", "Pipeline time by candidate")])
    golden(GOLDEN / "report.md", text)


def test_the_terminal_report_fits_80_columns(analysis: Analysis) -> None:
    wide = [line for line in terminal(analysis).splitlines() if len(line) > 80]
    # Only what is to be copied may be longer: it is never broken in two.
    assert wide and all("ollama serve" in line for line in wide)


def test_the_terminal_report_says_the_same_in_ascii(analysis: Analysis) -> None:
    text = terminal(analysis, ascii_only=True)
    text.encode("ascii")
    assert "# decode" in text


def test_colour_adds_no_words(analysis: Analysis) -> None:
    import re

    coloured = re.sub(r"\x1b\[[0-9;]*m", "", terminal(analysis, colour=True))
    assert [line.rstrip() for line in coloured.splitlines()] == terminal(analysis).splitlines()


def test_others_text_does_nothing_in_a_terminal(nasty: Analysis) -> None:
    text = terminal(nasty)
    assert "\x1b" not in text
    assert "[bold]<script>alert(1)</script>" in text


def test_others_text_does_nothing_in_markdown(nasty: Analysis) -> None:
    text = markdown_report(nasty)
    assert "\x1b" not in text
    lines = [line for line in text.splitlines() if "script" in line]
    assert len(lines) >= 6
    for line in lines:
        # Escaped, or in an indented code block, where nothing is markup.
        assert line.startswith("    ") or ("<" not in line.replace(r"\<", "") and "![" not in line.replace(r"\!\[", ""))


def test_charts_are_well_formed_and_name_unit_and_origin(analysis: Analysis) -> None:
    charts = charts_of(analysis)
    assert {"pipeline-time", "reply-time", "throughput", "time-split"} <= set(charts)
    svg = to_svg(charts["pipeline-time"])
    words = " ".join(element.text or "" for element in ElementTree.fromstring(svg).iter())
    for word in ("Pipeline time of digest (measured)", "pipeline time, seconds", "serial", "batched", "split"):
        assert word in words


def test_of_many_repeats_a_hundred_dots_are_drawn_and_it_is_said() -> None:
    many = analyse(scenario({"serial": [10 + n / 1000 for n in range(1000)]}, jobs=1))
    svg = to_svg(charts_of(many)["pipeline-time"])
    root = ElementTree.fromstring(svg)
    assert sum(element.get("aria-roledescription") == "circle" for element in root.iter()) == 100
    assert "100 of 1000 repeats" in " ".join(element.text or "" for element in root.iter())


def test_summary_is_json_with_raw_numbers(analysis: Analysis) -> None:
    read = json.loads(summary_text(analysis))
    assert read == json.loads(json.dumps(summary(analysis)))
    assert read["summary_version"] == 2
    assert (read["choice"]["kind"], read["choice"]["candidate"]) == ("compromise", "split")
    assert read["answer"]["headline"] == "Run 2 servers: digest batched (4 slots), chat serially (1 slot)."
    found = analysis.candidates[0].pipelines[0].time
    assert found is not None
    assert read["candidates"][0]["pipelines"][0]["time"] == {
        "value": found.value, "low": found.low, "high": found.high, "n": 5, "origin": "measured",
        "profile_low": None, "profile_high": None,
    }  # fmt: skip


def test_every_key_of_the_summary_is_documented(analysis: Analysis) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "reports.md").read_text(encoding="utf-8")
    read = summary(analysis)
    keys = set(read) | set(read["paths"][0]) | set(read["choice"]) | set(read["candidates"][0])
    keys |= set(read["candidates"][0]["pipelines"][0]) | set(read["paths"][0]["comparisons"][0])
    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []


def test_what_numbers_rest_on_stands_below_by_its_kind_and_not_by_its_words() -> None:
    run = scenario({"serial": steady(16)}, origin="emulated")
    notes = (Note("run", "Assumed: by an older Slotwise."), Note("assumed", "A profile is taken for granted."))
    above, below = terminal(analyse(run._replace(notes=notes))).split("Basis of the emulation")
    assert "Assumed: by an older Slotwise." in above
    assert "A profile is taken for granted." in below


def test_an_empty_run_is_reported(tmp_path: Path) -> None:
    run = make.run(partial=True)
    assert "No candidate can be recommended" in terminal(analyse(run))
    write_report(tmp_path, analyse(run), run)
    assert "No candidate can be recommended" in (tmp_path / "report.md").read_text()
    assert "No candidate can be recommended" in (tmp_path / "report.html").read_text()


def test_the_files_of_a_report(tmp_path: Path, nasty: Analysis, nasty_run: Run) -> None:
    write_report(tmp_path, nasty, nasty_run)
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    charts = [f"charts/{name}" for name in ("latency", "node-split", "pipeline-time", "throughput", "time-split")]
    files = [*(f"{chart}.{kind}" for chart in charts for kind in ("png", "svg")), "report.html", "report.md"]
    assert names == [*files, "summary.json"]
    for chart in charts:
        assert f"]({chart}.svg)" in (tmp_path / "report.md").read_text()
        assert (tmp_path / f"{chart}.png").read_bytes().startswith(b"\x89PNG")


def test_bars_fit_a_narrow_terminal_and_a_candidate_without_jobs_has_none(analysis: Analysis) -> None:
    first, *others = analysis.candidates
    empty = first.pipelines[0].job_parts._replace(**dict.fromkeys(first.pipelines[0].job_parts._fields, 0.0))
    nothing = first._replace(pipelines=tuple(p._replace(job_parts=empty) for p in first.pipelines))
    console = Console(file=io.StringIO(), width=60)
    print_report(analysis._replace(candidates=(nothing, *others)), console, full=True)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert f"{first.name:<7}  -" in [line.rstrip() for line in lines]
    bars = [line.rstrip() for line in lines if "█" in line and line.startswith(("batched", "split"))]
    assert len(bars) == 4 and all(len(bar) <= 60 and bar.endswith("s") for bar in bars)
