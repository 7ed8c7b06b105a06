"""What docs/language says of arrivals and sessions is so: the trace, the hint, every key."""

from __future__ import annotations

import re
from pathlib import Path

from harness.core.arrival_processes import Listed
from harness.workload.describe import describe
from harness.workload.load import Loaded, load_workload
from harness.workload.schema.arrivals import ARRIVALS, SessionSpec
from harness.workload.schema.loops import GrowsSpec

FOLDER = Path(__file__).parents[2] / "docs" / "reference" / "language"


def blocks(page: str) -> list[tuple[str, str]]:
    text = (FOLDER / page).read_text(encoding="utf-8")
    return [(match[1], match[2]) for match in re.finditer(r"^```([^\n]+)\n(.*?)^```$", text, re.M | re.S)]


def example(text: str, folder: Path) -> Loaded:
    path = folder / "example.yaml"
    path.write_text(text, encoding="utf-8")
    return load_workload(path)


def test_the_trace_of_the_page_is_read_as_it_says(tmp_path: Path) -> None:
    ((_, csv),) = [block for block in blocks("arrivals.md") if block[0] == "csv arrivals.csv"]
    (tmp_path / "arrivals.csv").write_text(csv)
    (text,) = [text for kind, text in blocks("arrivals.md") if kind == "yaml" and "trace" in text]
    assert example(text, tmp_path).pipelines[0].arrival == Listed((0.0, 0.75, 4.125))


def test_the_hint_about_the_context_is_as_printed(tmp_path: Path) -> None:
    ((_, text),) = [block for block in blocks("sessions.md") if block[0] == "yaml too long"]
    ((_, expected),) = [block for block in blocks("sessions.md") if block[0] == "text hint"]
    assert expected.rstrip("\n") in describe(example(text, tmp_path)).hints


def test_the_hint_about_a_conversation_that_grows_is_as_printed(tmp_path: Path) -> None:
    ((_, text),) = [block for block in blocks("growing-prompts.md") if block[0] == "yaml too long"]
    ((_, expected),) = [block for block in blocks("growing-prompts.md") if block[0] == "text hint"]
    assert expected.rstrip("\n") in describe(example(text, tmp_path)).hints


def test_every_key_is_documented() -> None:
    growing = (FOLDER / "growing-prompts.md").read_text(encoding="utf-8")
    for name in GrowsSpec.model_fields:
        assert f"| `{name}` |" in growing, name
    arrivals = (FOLDER / "arrivals.md").read_text(encoding="utf-8")
    for name in ARRIVALS:
        assert f"| `{{{name}: " in arrivals, name  # a row of the table
    sessions = (FOLDER / "sessions.md").read_text(encoding="utf-8")
    for name in SessionSpec.model_fields:
        assert f"`{name}`" in sessions, name
