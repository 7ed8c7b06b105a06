"""`answers` in a workload: what it makes of a graph, where it is refused, what `slotwise check` says."""

from __future__ import annotations

from pathlib import Path

import pytest
from workload.mistaken import HEAD, INLINE, message, nodes, sub

from harness.report.workload import workload_lines
from harness.workload.dependencies import dependencies
from harness.workload.describe import describe
from harness.workload.load import load_workload
from harness.workload.replies import Replies, replies_of

ANSWERS = f"{INLINE}, answers: true"


def chat(text: str) -> str:
    return nodes(text).replace("path: batch", "path: interactive")


CASES = {
    "on a batch path": (
        nodes(f"a: {ANSWERS}}}"),
        'w.yaml:8:52: pipeline "p": `answers` goes with path: interactive, found path: batch in "a"',
    ),
    "in a sub-pipeline of a batch path": (
        nodes("a: {pipeline: review}") + sub(f"b: {ANSWERS}}}"),
        'w.yaml:12:52: pipeline "p": `answers` goes with path: interactive, found path: batch in "a/b"',
    ),
    "on a tool": (
        chat("a: {tool: {delay_s: 1}, answers: true}"),
        "w.yaml:8:31: pipelines.p.nodes.a: `answers` goes with `agent`, not with `tool`; give it to the node whose "
        "answer a person reads",
    ),
    "on a sub-pipeline": (
        chat("a: {pipeline: review, answers: true}") + sub(f"b: {INLINE}}}"),
        "w.yaml:8:29: pipelines.p.nodes.a: `answers` goes with `agent`, not with `pipeline`; give it to a node of that "
        "sub-pipeline",
    ),
    "on a fan-out": (
        chat(f"a: {ANSWERS}, over: docs}}"),
        "w.yaml:8:52: pipelines.p.nodes.a: `over` and `answers` do not go together: a fan-out has several answers; "
        "give the node that puts them together `answers`\n"
        'w.yaml:8:73: node "a" fans out: no input "docs"; there is none',
    ),
    "on two nodes of one job": (
        chat(f"a: {ANSWERS}}}\nb: {ANSWERS}, after: [a]}}"),
        'w.yaml:9:52: pipeline "p": "a" and "b" can both run in one job, so which of them is the reply? Leave '
        "`answers` with one of them (several only on different labels of a branch)",
    ),
    "not last in a loop": (
        chat("a: {pipeline: review, repeat: {max: 3}}") + sub(f"b: {ANSWERS}}}\nc: {INLINE}, after: [b]}}"),
        'w.yaml:12:52: pipeline "p": "a/b" need not be the last node in the loop "a", because of "a/c", so it is '
        "not clear which answer is the reply; give `answers` to the loop's last node or to a node after the loop",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, expected = CASES[name]
    assert message(tmp_path, monkeypatch, text) == expected


GOOD = {
    "a title": (f"a: {ANSWERS}}}\nb: {INLINE}, after: [a]}}", "", Replies(frozenset("a"), frozenset("b"))),
    "ways of a branch": (
        f"s: {INLINE}, branch: {{x: 0.5, y: 0.5}}}}\na: {ANSWERS}, after: [s.x]}}\nb: {ANSWERS}, after: [s.y]}}\n"
        f"t: {INLINE}, after: [a, b]}}",
        "",
        Replies(frozenset("ab"), frozenset("t")),
    ),
    "a loop of its own": (
        f"a: {ANSWERS}, repeat: {{max: 3}}}}\nb: {INLINE}, after: [a]}}",
        "",
        Replies(frozenset("a"), frozenset("b")),
    ),
    "last in a loop": (
        f"a: {{pipeline: review, repeat: {{max: 3}}}}\nt: {INLINE}, after: [a]}}",
        sub(f"b: {INLINE}}}\nc: {ANSWERS}, after: [b]}}"),
        Replies(frozenset({"a/c"}), frozenset("t")),
    ),
    "nobody": (f"a: {INLINE}}}\nb: {INLINE}, after: [a]}}", "", Replies(frozenset(), frozenset("b"))),
}


@pytest.mark.parametrize("name", GOOD)
def test_taken(name: str, tmp_path: Path) -> None:
    text, subpipelines, expected = GOOD[name]
    (tmp_path / "w.yaml").write_text(chat(text) + subpipelines, encoding="utf-8")
    loaded = load_workload(tmp_path / "w.yaml")
    assert replies_of(dependencies(loaded.workload, "p")) == expected
    assert {node.name for node in loaded.pipelines[0].graph.nodes if node.answers} == expected.answering


def test_check_says_what_is_the_reply_and_what_is_load(tmp_path: Path) -> None:
    text = chat(f"a: {ANSWERS}}}\nb: {INLINE}, after: [a]}}").replace(
        "jobs: 1", "jobs: 6\n    arrival: {closed: 2, think_s: 1}"
    )
    (tmp_path / "w.yaml").write_text(text, encoding="utf-8")
    loaded = load_workload(tmp_path / "w.yaml")
    description = describe(loaded)
    assert "  reply  is there when a is done; load after it: b" in workload_lines(loaded, description)
    assert description.pipelines[0].width_all_jobs == 6  # a user goes on while b is under way: more than 2 jobs at once


def test_nothing_is_said_where_no_node_answers(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(HEAD, encoding="utf-8")
    loaded = load_workload(tmp_path / "w.yaml")
    assert loaded.pipelines[0].graph.nodes[0].answers is False
    assert not any(line.startswith("  reply") for line in workload_lines(loaded, describe(loaded)))
