"""A text while it is written: mistakes as `check` says them, graphs, lines of nodes, and what can be turned."""

from __future__ import annotations

from pathlib import Path

import pytest
from workload.mistaken import HEAD, nodes

from harness.app.look import begun, look
from harness.app.workload import Written, load
from harness.content import shipped
from harness.errors import UserError, WorkloadError
from harness.workload.dependencies import dependencies

SHIPPED = sorted((shipped() / "workloads").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_node_of_a_drawing_has_its_lines(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found, loaded = look(Written(path, text)), load(path)
    assert found.mistakes == ()
    assert found.candidates == tuple(plan.name for plan in loaded.plans)
    assert [graph.pipeline for graph in found.graphs] == list(loaded.workload.pipelines)
    places = {(one.pipeline, one.node): one.lines for one in found.nodes}
    lines = text.splitlines()
    for graph in found.graphs:
        assert {one.node for one in graph.nodes} == set(dependencies(loaded.workload, graph.pipeline))
        for node in graph.nodes:
            first, last = places[graph.pipeline, node.node]
            assert f"{node.node.rpartition('/')[2]}:" in lines[first - 1]
            assert first <= last <= len(lines)
            assert 0 <= node.x <= graph.width - node.width
            assert 0 <= node.y <= graph.height - node.height


def test_lines_end_where_the_node_ends(tmp_path: Path) -> None:
    text = nodes(
        """
        first:
          agent:
            prompt: "Hi"

            output_tokens: 5
        # about the second
        second: {agent: {prompt: "Hi", output_tokens: 5},
          after: [first]}

        third: {agent: {prompt: "Hi", output_tokens: 5}, after: [second]}
        """
    )
    found = look(Written(tmp_path / "w.yaml", text))
    assert found.mistakes == ()
    assert [tuple(one.lines) for one in found.nodes] == [(8, 12), (14, 15), (17, 17)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a list",
        "a: [",
        "a: \x00",
        HEAD.replace("jobs: 1", "job: 1"),
        HEAD.replace("agent:", "agnt:").replace("path: batch", "path: soon"),
        HEAD + "servers:\n  main: {kind: ollma, slots: x}\n",
        HEAD.replace("Hi", "{nobody}"),
        HEAD + "\n".join(f"key{number}: 1" for number in range(40)),
    ],
)
def test_mistakes_are_those_of_an_error(tmp_path: Path, text: str) -> None:
    written = Written(tmp_path / "w.yaml", text)
    found = look(written)
    with pytest.raises(WorkloadError) as caught:
        load(written)
    assert [one.whole for one in found.mistakes] == str(caught.value).split("\n")
    for one in found.mistakes:
        if one.line:
            assert one.whole == f"{written.path}:{one.line}:{one.column}: {one.message}"


def test_a_graph_that_is_too_dense_is_said(tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(40)]
    written = [
        f'{name}: {{agent: {{prompt: "Hi", output_tokens: 5}}, after: [{", ".join(names[:number])}]}}'
        for number, name in enumerate(names)
    ]
    (graph,) = look(Written(tmp_path / "w.yaml", nodes("\n".join(written)))).graphs
    assert graph.nodes == ()
    assert "40 nodes" in graph.says[0]


def test_what_can_be_turned() -> None:
    path = shipped() / "workloads/research-digest.yaml"
    found = look(Written(path, path.read_text()))
    assert [(one.name, one.slots) for one in found.servers][:2] == [("one-slot", 1), ("four-slot", 4)]
    assert [(one.name, one.users, one.per_s) for one in found.pipelines] == [("digest", 0, None), ("chat", 1, None)]
    assert [one.name for one in found.levers] == ["ram_cache", "kv_unified"]


def test_what_is_begun_with(tmp_path: Path) -> None:
    new = tmp_path / "new.yaml"
    assert look(begun(new)).mistakes == look(begun(None)).mistakes == ()
    new.write_text("name: w\n")
    assert begun(new) == Written(new, "name: w\n")
    with pytest.raises(UserError, match="expected a folder for a new workload"):
        begun(tmp_path / "nowhere/new.yaml")
    with pytest.raises(WorkloadError, match="found a folder"):
        begun(tmp_path)
