"""Every form of traces and rows: nothing is lost in silence, and docs/how-to/import.md says what becomes of each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from imports.forms import CALLS, FORMS, INPUT, OUTPUT, ROWS, TOOLS, WIDTH

from harness.imports.account import ImportAccount, ImportCounts, loss_line
from harness.imports.draft import Draft
from harness.imports.read import read_traces
from harness.imports.traces import draft_traces
from harness.imports.write import questions, write_balanced
from harness.workload.load import load_workload

PAGE = Path(__file__).parent.parent.parent / "docs" / "how-to" / "import.md"
TABLE = re.compile(r"(\| form \| calls \|.*\n\|[-| ]+\|\n)((?:\|.*\n)+)")
ROW_CALLS, ROW_INPUT, ROW_OUTPUT = len(ROWS), sum(i for _, i, _ in ROWS), sum(o for _, _, o in ROWS)
# What is in the files, counted by hand: where it is neither the application's work nor that of the rows.
OTHER = {
    "BurstGPT": ImportCounts(ROW_CALLS + 2, ROW_INPUT + 500, ROW_OUTPUT, 1, 0),
    "AIPerf, conversations": ImportCounts(4, 1600, 200, 1, 2),
    "inference-perf, texts": ImportCounts(ROW_CALLS, sum(5 * (i * 4 // 5) // 4 for _, i, _ in ROWS), ROW_OUTPUT, 1, 0),
}
NO_ROWS = list(FORMS)[: list(FORMS).index("Mooncake")]


def imported(name: str, folder: Path) -> Draft:
    """Import a form under a name that says nothing of it."""
    text = FORMS[name][0]()
    path = folder / "file.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    read = read_traces(path)
    assert read.found.form == FORMS[name][1]
    draft, _ = write_balanced(draft_traces(read, "file.txt", "back"), folder / "back.yaml", force=True)
    return draft


@pytest.mark.parametrize("name", FORMS)
def test_nothing_is_lost_in_silence(name: str, tmp_path: Path) -> None:
    draft = imported(name, tmp_path)
    account = draft.account
    work = ImportCounts(CALLS, INPUT, OUTPUT, WIDTH, TOOLS)
    assert account.found == OTHER.get(
        name, work if name in NO_ROWS else ImportCounts(ROW_CALLS, ROW_INPUT, ROW_OUTPUT, 1, 0)
    )
    assert account.missing() == {}
    head = [note.text for note in draft.head]
    assert all(loss_line(loss) in head for loss in account.lost)
    if name != "BurstGPT":  # nothing had to be lost
        assert account.lost == ()
    assert "Lost:" not in (tmp_path / "back.yaml").read_text().partition("version: 1")[2]


@pytest.mark.parametrize("name", NO_ROWS)
def test_the_same_application_is_the_same_graph(name: str, tmp_path: Path) -> None:
    imported(name, tmp_path)
    (graph,) = load_workload(tmp_path / "back.yaml").graphs.values()
    names = ("chat-1", "chat-2", "chat-3") if "without names" in name else ("plan", "read", "edit")
    first, wide, last = names
    assert set(graph.edges) == {(first, "search"), ("search", wide), (wide, last)}
    assert [graph.nodes[node]["width"] for node in names] == [1, 3, 1]


def test_times_of_rows(tmp_path: Path) -> None:
    for name in (
        "Mooncake",
        "BurstGPT",
        "Azure",
        "Bailian",
        "AIPerf, records of a run",
        "inference-perf, requests of a run",
    ):
        draft = imported(name, tmp_path)
        (pipeline,) = draft.pipelines.values()
        assert pipeline.keys["arrival"] == {"at_s": [s for s, _, _ in ROWS]}, name
        assert not any("unit" in text for text in questions(draft)), name


def test_a_unit_that_nobody_knows_is_asked(tmp_path: Path) -> None:
    draft = imported("rows with other columns", tmp_path)
    assert any("in which unit are the times" in text and "Guess: seconds." in text for text in questions(draft))
    read = read_traces(tmp_path / "file.txt", "ms")
    (pipeline,) = draft_traces(read, "file.txt", "back").pipelines.values()
    assert pipeline.keys["arrival"] == {"at_s": [s / 1000 for s, _, _ in ROWS]}
    assert read.found.asks == []


def figures(draft: Draft) -> str:
    """Return the cells of a form in the table of the page: in, out and lost of each figure, and what is asked."""

    def cell(figure: str) -> str:
        account: ImportAccount = draft.account
        found, made = getattr(account.found, figure), getattr(account.made, figure)
        lost = sum(getattr(loss, figure) for loss in account.lost)
        return " / ".join(f"{round(value):d}" for value in (found, made, lost))

    cells = [cell(figure) for figure in ImportCounts._fields]
    return " | ".join([*cells, str(len(questions(draft)))])


def test_the_table_of_the_page(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    rows = "".join(f"| {name} | {figures(imported(name, tmp_path))} |\n" for name in FORMS)
    for row in rows.splitlines():
        for cell in row.split(" | ")[1:-1]:
            found, made, lost = map(int, cell.split(" / "))
            assert found == made + lost, row
    text = PAGE.read_text(encoding="utf-8")
    match = TABLE.search(text)
    assert match, "docs/how-to/import.md has no table of forms"
    if request.config.getoption("--accept"):
        PAGE.write_text(text.replace(match[0], match[1] + rows), encoding="utf-8")
    else:
        assert match[2] == rows, "write it again: pytest --accept tests/imports/test_forms.py"
