"""docs/workload.md is executed: examples load, mistakes and the output of check are as printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.cli.check import lines
from harness.errors import WorkloadError
from harness.workload.agents import read_card
from harness.workload.describe import describe
from harness.workload.load import load_workload
from harness.workload.schema import AgentSpec, NodeSpec, PipelineSpec, Routing, Workload

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "workload.md").read_text(encoding="utf-8")
BLOCKS = [(match[1], match[2]) for match in re.finditer(r"^```([^\n]+)\n(.*?)^```$", PAGE, re.M | re.S)]
EXAMPLES = [text for kind, text in BLOCKS if kind == "yaml"]
HEAD = "version: 1\nname: example\n"
PIPELINES = "pipelines: {p: {path: batch, jobs: 1, nodes: {n: {agent: chat}}}}\n"


@pytest.mark.parametrize("i", range(len(EXAMPLES)))
def test_example_loads(i: int, tmp_path: Path) -> None:
    text = EXAMPLES[i]
    if not re.search(r"^version:", text, re.M):
        text = HEAD + text
    if not re.search(r"^pipelines:", text, re.M):
        text += PIPELINES
    path = tmp_path / "example.yaml"
    path.write_text(text, encoding="utf-8")
    describe(load_workload(path))


def test_role_card(tmp_path: Path) -> None:
    ((_, text),) = [block for block in BLOCKS if block[0] == "markdown"]
    path = tmp_path / "card.md"
    path.write_text(text)
    spec = read_card(path).spec
    assert (spec.system, spec.prompt) == ("Be brief.", "Summarise this note in one short sentence.\n\n{item}")


def test_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ((_, text),) = [block for block in BLOCKS if block[0] == "yaml mistakes"]
    ((_, expected),) = [block for block in BLOCKS if block[0] == "text"]
    monkeypatch.chdir(tmp_path)
    Path("digest.yaml").write_text(text)
    with pytest.raises(WorkloadError) as caught:
        load_workload(Path("digest.yaml"))
    assert str(caught.value) == expected.rstrip("\n")


def test_output_of_check(monkeypatch: pytest.MonkeyPatch) -> None:
    ((_, text),) = [block for block in BLOCKS if block[0] == "console"]
    command, *expected = text.rstrip("\n").split("\n")
    monkeypatch.chdir(ROOT)
    loaded = load_workload(Path(command.removeprefix("$ slotwise check ")))
    assert lines(loaded, describe(loaded)) == expected


def test_every_key_is_documented() -> None:
    for model in (Workload, PipelineSpec, NodeSpec, AgentSpec, Routing):
        for name, field in model.model_fields.items():
            assert re.search(rf"\b{field.alias or name}\b", PAGE), f"{field.alias or name} of {model.__name__}"
