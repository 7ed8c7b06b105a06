"""Agents that think: what may be written, what check says, and how much context a call needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.events import Call
from harness.core.graph import Node
from harness.core.outputs import output_tokens, thinking_tokens
from harness.core.paths import remaining_tokens
from harness.errors import WorkloadError
from harness.workload.describe import Description, describe
from harness.workload.load import Loaded, load_workload
from harness.workload.longest import needs_of

WORKLOAD = """
version: 1
name: thinking
pipelines:
  chat:
    path: interactive
    jobs: 4
    session: {turns: 2}
    nodes:
      reply: {agent: thinker}
      title: {agent: {prompt: "{reply}", output_tokens: 7}, after: [reply]}
agents:
  thinker: {prompt: "0123456789abcdef", output_tokens: 10, THINK}
servers:
  main: {kind: KIND, slots: 1, context_tokens: 300}
compare:
  one: {placement: main, concurrency: serial}
"""


def load(folder: Path, think: str = "think: true, thinking_tokens: [100, 200]", kind: str = "llamacpp") -> Loaded:
    model = ', model: "llama3.2:1b"' if kind == "ollama" else ""
    text = WORKLOAD.replace("THINK", think).replace("KIND", kind + model)
    (folder / "w.yaml").write_text(text, encoding="utf-8")
    return load_workload(folder / "w.yaml")


def described(folder: Path, kind: str = "llamacpp") -> Description:
    return describe(load(folder, kind=kind))


def node(loaded: Loaded, name: str = "reply") -> Node:
    return next(node for node in loaded.pipelines[0].graph.nodes if node.name == name)


@pytest.mark.parametrize(
    ("think", "message"),
    [
        (
            "think: true",
            "13:60: agents.thinker: `think` needs `thinking_tokens`: how many tokens the model thinks before",
        ),
        (
            "thinking_tokens: 9",
            "13:60: agents.thinker: `thinking_tokens` goes with `think`; add think: true, or remove it",
        ),
        ("think: false, thinking_tokens: 9", "`thinking_tokens` goes with `think`"),
        (
            "think: deep, thinking_tokens: 9",
            '13:67: agents.thinker.think: expected true, false, low, medium or high, found "deep"',
        ),
        (
            "think: 3, thinking_tokens: 9",
            "13:67: agents.thinker.think: expected true, false, low, medium or high, found 3",
        ),
    ],
)
def test_mistakes(tmp_path: Path, think: str, message: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        load(tmp_path, think)
    assert message in str(caught.value)


def test_a_level_is_a_level_and_its_size_is_compiled(tmp_path: Path) -> None:
    loaded = load(tmp_path, "think: high, thinking_tokens: 300")
    assert loaded.agents["chat", "reply"].think == "high"
    assert loaded.agents["chat", "reply"].pinned_tokens == 310
    assert node(loaded).thinking is not None and node(loaded, "title").thinking is None
    assert (node(loaded).expected_output_tokens, node(loaded).expected_generated) == (10, 310)
    assert remaining_tokens(loaded.pipelines[0].graph) == (317.0, 7.0)  # a policy that looks ahead counts all of it


def test_every_call_thinks_for_as_long_as_is_drawn_for_it(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    pipeline = loaded.pipelines[0]
    calls = [Call(0, 0, job, 0, 0, attempt, 0, 0.0) for job in range(40) for attempt in (0, 1)]
    drawn = [thinking_tokens(pipeline, call, 7, 0) for call in calls]
    assert drawn[::2] == drawn[1::2]  # all attempts alike
    assert all(100 <= (tokens or 0) <= 200 for tokens in drawn) and len(set(drawn)) > 20
    assert output_tokens(pipeline, calls[0], 7, 0) is None
    assert thinking_tokens(pipeline, Call(0, 0, 0, 1, 0, 0, 0, 0.0), 7, 0) is None


def test_check_counts_thinking_as_output_and_says_what_varies(tmp_path: Path) -> None:
    found = described(tmp_path)
    (facts,) = found.pipelines
    assert facts.expected and facts.work.output_tokens == 150 + 10 + 7
    assert facts.span.output_tokens == 150 + 10 + 7
    assert ("think", "reply: 150 tokens on average before the answer, which nobody sees: 100 to 200") in facts.control
    fixed = describe(load(tmp_path, "think: true, thinking_tokens: 90")).pipelines[0]
    assert not fixed.expected
    assert ("think", "reply: 90 tokens before the answer, which nobody sees") in fixed.control


def test_the_context_holds_the_thinking_of_this_turn_and_no_other(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    without = needs_of(load(tmp_path, "temperature: 0"))
    with_it = needs_of(loaded)
    assert with_it[0].prompt_tokens == without[0].prompt_tokens  # the turn before is there without its thinking
    assert with_it[0].output_tokens == without[0].output_tokens + 200
    assert with_it[1].tokens == without[1].tokens  # nor has the title the thinking in its prompt
    assert (with_it[0].how_sure, without[0].how_sure) == ("largest", "fixed")


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("llamacpp", "main: where smollm2-135m has no thinking, as many of its first tokens as thinking_tokens says"),
        ("ollama", 'main: llama3.2:1b must be a model that thinks (`ollama show llama3.2:1b` lists "thinking").'),
    ],
)
def test_check_says_what_a_model_needs(tmp_path: Path, kind: str, hint: str) -> None:
    assert any(one.startswith(hint) for one in described(tmp_path, kind).hints)
