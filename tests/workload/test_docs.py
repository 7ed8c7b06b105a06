"""docs/reference/workload.md is executed: examples load, mistakes and the output of check are as printed.

So are the pages in docs/language: their examples load, fit 80 columns, and every job of them ends well.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.core.engine import Engine
from harness.core.records import JobRecord, Reply
from harness.drivers.virtual import simulate
from harness.errors import WorkloadError
from harness.report.workload import workload_lines
from harness.workload.agents import read_card
from harness.workload.describe import describe
from harness.workload.load import load_workload
from harness.workload.schema import (
    AgentSpec,
    ItemsSpec,
    LabelSpec,
    NodeSpec,
    OllamaServer,
    PipelineSpec,
    RepeatSpec,
    RetrySpec,
    Routing,
    UntilSpec,
    Workload,
)

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "workload.md").read_text(encoding="utf-8")
LANGUAGE = sorted((ROOT / "docs" / "reference" / "language").glob("*.md"))
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
    assert workload_lines(loaded, describe(loaded)) == expected


def test_every_key_is_documented() -> None:
    text = PAGE + "".join(page.read_text(encoding="utf-8") for page in LANGUAGE)
    models = (Workload, PipelineSpec, NodeSpec, AgentSpec, Routing, OllamaServer)
    for model in (*models, LabelSpec, UntilSpec, RepeatSpec, ItemsSpec, RetrySpec):
        for name, field in model.model_fields.items():
            assert re.search(rf"\b{field.alias or name}\b", text), f"{field.alias or name} of {model.__name__}"


@pytest.mark.parametrize("page", LANGUAGE, ids=lambda page: page.stem)
def test_language_page(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    examples = re.findall(r"^```yaml\n(.*?)^```$", text, re.M | re.S)
    assert examples, "a page without an example"
    (tmp_path / "lengths.txt").write_text("12\n40\n")
    for name, table in re.findall(r"^```csv (\S+)\n(.*?)^```$", text, re.M | re.S):
        (tmp_path / name).write_text(table)
    for example in examples:
        path = tmp_path / "example.yaml"
        path.write_text(example, encoding="utf-8")
        loaded = load_workload(path)
        shown = workload_lines(loaded, describe(loaded))
        assert all(len(line) <= 80 for line in shown[1:])
        for plan in loaded.plans:
            records: list[object] = []
            engine = Engine(loaded.pipelines, plan, origin="predicted", seed=loaded.workload.seed)
            simulate(engine, lambda call, now_s: Reply("ok", end_s=now_s + 1), records.append)
            assert {record.outcome for record in records if isinstance(record, JobRecord)} == {"ok"}
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert all((page.parent / link).is_file() for link in links)


def test_every_page_is_linked() -> None:
    assert {f"language/{page.name}" for page in LANGUAGE} <= set(re.findall(r"\]\(([^)#]+)\)", PAGE))
