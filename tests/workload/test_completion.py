"""What can stand at a place of a text that is being written."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.content import shipped
from harness.workload.completion import completions

GRAPH = """\
agents:
  writer: {prompt: x}
inputs:
  notes: {list: [a]}
pipelines:
  p:
    nodes:
      first: {agent: writer}
      second: """


FOLDER = shipped() / "workloads"


def at(text: str, folder: Path = FOLDER) -> tuple[int, list[str]]:
    found = completions(text, text.count("\n") + 1, len(text) - text.rfind("\n"), folder)
    return found.first, [one.text for one in found.items]


@pytest.mark.parametrize(
    ("text", "first", "expected"),
    [
        ("pipelines:\n  p:\n    pa", 5, ["path"]),
        ("pipelines:\n  p:\n    path: ", 11, ["batch", "interactive"]),
        ("pipelines:\n  p:\n    path: in", 11, ["interactive"]),
        ("version: 1\nname: x\nversi", 1, []),  # it is there already
        ("servers:\n  a:\n    kind: ", 11, ["llamacpp", "ollama", "openai", "simulated"]),
        ("servers:\n  a: {kind: oll", 13, ["ollama"]),
        ("pipelines:\n  p:\n    arrival: {gamma: {", 23, ["per_s", "cv"]),
        (GRAPH + "{agent: wri", 23, ["writer"]),
        (GRAPH + "{ag", 16, ["agent"]),
        (GRAPH + "{agent: writer, over: no", 37, ["notes"]),
        (GRAPH + "{agent: writer, after: [", 39, ["first", "second"]),
        (GRAPH + "{agent: {pro", 24, ["prompt"]),
        (GRAPH + "\n        agent: wri", 16, ["writer"]),
        ("pipelines:  # pa", 17, []),
        ("control: ", 10, ["draws", "model"]),
        ("nothing:\n  of:\n    this: ", 11, []),
    ],
)
def test_what_can_stand_there(text: str, first: int, expected: list[str]) -> None:
    assert at(text) == (first, expected)


def test_an_empty_text_begins_with_every_key() -> None:
    assert at("")[1][:4] == ["version", "name", "description", "pipelines"]


def test_role_cards_are_agents_too(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents/gardener.md").write_text("")
    assert "gardener" in at(GRAPH + "{agent: ", tmp_path)[1]


def test_any_place_of_any_shipped_workload_can_be_asked_about() -> None:
    for path in sorted((shipped() / "workloads").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        for number, line in enumerate(text.split("\n"), start=1):
            for column in {1, len(line) // 2 + 1, len(line) + 1}:
                assert 1 <= completions(text, number, column, path.parent).first <= column
    assert completions("a", 99, 1, Path()).items == ()
