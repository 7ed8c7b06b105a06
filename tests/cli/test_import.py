"""`slotwise import` and `slotwise export` as they are typed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.cli.app import _main
from harness.content import shipped

REVIEW = shipped() / "workloads" / "review-panel.yaml"


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command line in a folder of its own; return exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["slotwise", *words])
        try:
            code = _main()
        except SystemExit as leaving:
            code = int(str(leaving.code))
        out = capsys.readouterr()
        return code, out.out, out.err

    return run


@pytest.fixture
def spans(typed: Any, tmp_path: Path) -> Path:
    """Return the spans of a simulated run of the review panel, exported."""
    code, _, err = typed("simulate", str(REVIEW), "--profile", "epyc-2core", "--repeats", "2", "--out", "runs")
    assert code == 0, err
    (run,) = (tmp_path / "runs").iterdir()
    code, out, err = typed("export", str(run), "--only", "window", "-o", "spans.jsonl")
    assert (code, out, err) == (0, "", "wrote spans.jsonl\n")
    return tmp_path / "spans.jsonl"


def test_a_run_is_exported_and_imported_and_checked(spans: Path, typed: Any) -> None:
    assert [len(line) > 1000 for line in spans.read_text().splitlines()] == [True, True]
    code, out, err = typed("import", "traces", "spans.jsonl", "-o", "again.yaml")
    assert (code, err) == (0, "")
    assert "Recovered from 4 traces of spans.jsonl." in out
    assert "wrote again.yaml" in out and "1. does a person wait for it" in out
    assert max(len(line) for line in out.splitlines()) <= 80
    code, out, _ = typed("check", "again.yaml")
    assert code == 0 and "review: interactive, 2 jobs at once" in out


def test_json(spans: Path, typed: Any) -> None:
    code, out, _ = typed("import", "traces", "spans.jsonl", "--json")
    answer = json.loads(out)
    assert code == 0 and answer["workload"] == "spans.yaml" and Path("spans.yaml").is_file()
    assert [node["name"] for node in answer["pipelines"]["review"]["nodes"]][-1] == "edit"
    (lost,) = answer["lost"]  # two repeats of two jobs: the second is no job
    assert lost["why"] == "in further trials of the same jobs that Slotwise recorded"
    assert len(answer["noticed"]) == 1 and answer["noticed"][0].startswith("Lost: ")
    assert len(answer["questions"]) == 2 and answer["asked"] == answer["questions"]
    for figure in ("calls", "input_tokens", "output_tokens", "tools"):
        assert answer["found"][figure] == pytest.approx(answer["made"][figure] + lost[figure], rel=0.002)


def test_nothing_is_overwritten(spans: Path, typed: Any) -> None:
    Path("spans.yaml").write_text("mine")
    code, _, err = typed("import", "traces", "spans.jsonl")
    assert code == 2
    assert err == ("slotwise: spans.yaml exists already; name another file with -o, or overwrite it with --force\n")
    assert Path("spans.yaml").read_text() == "mine"
    assert typed("import", "traces", "spans.jsonl", "--force")[0] == 0
    assert Path("spans.yaml").read_text() != "mine"
    code, _, err = typed("export", "runs/none", "-o", "spans.jsonl")
    assert code == 2
    (run,) = Path("runs").iterdir()
    assert typed("export", str(run), "-o", "spans.jsonl")[2].startswith("slotwise: spans.jsonl exists already")


def test_what_cannot_be_read_writes_nothing(typed: Any, tmp_path: Path) -> None:
    (tmp_path / "cut.json").write_text('{"resourceSpans": [')
    code, _, err = typed("import", "traces", "cut.json")
    assert code == 2 and "it is truncated" in err
    assert [path.name for path in tmp_path.iterdir()] == ["cut.json"]


def test_graphs(spans: Path, typed: Any) -> None:
    (run,) = Path("runs").iterdir()
    for path in (str(REVIEW), str(run)):
        code, mermaid, _ = typed("export", path, "--as", "mermaid")
        assert code == 0 and mermaid.startswith("flowchart LR") and "facts" in mermaid
        code, dot, _ = typed("export", path, "--as", "dot")
        assert code == 0 and dot.startswith("digraph") and "facts" in dot


def test_a_run_whose_documents_are_gone_still_has_a_graph(typed: Any) -> None:
    digest = str(shipped() / "workloads" / "research-digest.yaml")
    assert typed("simulate", digest, "--profile", "epyc-2core", "--repeats", "1", "--out", "runs")[0] == 0
    (run,) = Path("runs").iterdir()
    code, out, err = typed("export", str(run), "--as", "mermaid")
    assert code == 0, err
    assert "summarize x8" in out


def test_what_export_cannot_do(spans: Path, typed: Any) -> None:
    assert "a workload has no calls to export" in typed("export", str(REVIEW))[2]
    (run,) = Path("runs").iterdir()
    code, _, err = typed("export", str(run), "--only", "windo")
    assert code == 2 and 'has no candidate "windo"; did you mean "window"?' in err


APP = """
from typing import TypedDict
from langgraph.graph import START, StateGraph
class S(TypedDict):
    x: int
print("noise")
builder = StateGraph(S)
for name in ("draft", "edit"):
    builder.add_node(name, lambda s: {"x": 1})
builder.add_edge(START, "draft")
builder.add_edge("draft", "edit")
graph = builder.compile()
"""


def test_importing_a_graph_says_that_it_executes_code(typed: Any, tmp_path: Path) -> None:
    pytest.importorskip("langgraph.graph", reason="LangGraph is not installed (pip install --group dev)")
    sys.modules.pop("writer_app", None)  # of other tests
    (tmp_path / "writer_app.py").write_text(APP)
    code, out, err = typed("import", "langgraph", "writer_app:graph", "--json")
    assert code == 0
    assert err == "Importing writer_app: this executes its code.\nnoise\n"
    assert json.loads(out)["workload"] == "graph.yaml"
    assert typed("check", "graph.yaml")[0] == 0


def test_a_file_in_the_way_stops_it_before_anything_is_executed(typed: Any, tmp_path: Path) -> None:
    (tmp_path / "danger.py").write_text("open('executed', 'w').close()")
    (tmp_path / "graph.yaml").write_text("mine")
    code, _, err = typed("import", "langgraph", "danger.py:graph")
    assert code == 2 and "exists already" in err and "executes" not in err
    assert not (tmp_path / "executed").exists()


def test_a_module_that_raises_writes_nothing(typed: Any, tmp_path: Path) -> None:
    (tmp_path / "broken_app.py").write_text("raise RuntimeError('no database')")
    code, _, err = typed("import", "langgraph", "broken_app:graph")
    assert code == 2
    assert err.splitlines()[-1] == (
        "slotwise: broken_app could not be imported, so nothing was written: RuntimeError: no database "
        f"({tmp_path / 'broken_app.py'}:1)"
    )
    assert not list(tmp_path.glob("*.yaml"))
