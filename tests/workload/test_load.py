"""What loading gives: compiled pipelines, agents, the inputs of every repeat; and the shipped workloads."""

from __future__ import annotations

import hashlib
from pathlib import Path

import networkx as nx
import pytest

from harness.content import shipped
from harness.core.arrival_processes import Closed, Every, Listed
from harness.core.graph import Graph, Node, Pipeline
from harness.core.sizes import fixed
from harness.workload.describe import Work, describe
from harness.workload.load import Loaded, load_workload
from harness.workload.prompts import Slot

TEXT = """\
version: 1
name: w
timeout_s: 60
pipelines:
  digest:
    path: batch
    jobs: 2
    arrival: {every_s: 1.5}
    nodes:
      merge:
        agent: {prompt: "Join: {part} {docs}", output_tokens: 9, model: smollm2-135m}
        after: [part, wait]
        timeout_s: 5
      part: {agent: reader, over: docs}
      wait: {tool: {delay_s: 0.25}, after: [part]}
  chat:
    path: interactive
    while: digest
    arrival: {closed: 3, think_s: 2}
    nodes:
      reply: {agent: {prompt: Hello, output_tokens: 4}}
  late:
    path: batch
    after: digest
    arrival: {at_s: [0, 4]}
    nodes:
      n: {agent: {prompt: "1234", system: "12345678", output_tokens: 1}}
agents:
  reader: {prompt: "Read {item}", output_tokens: 7}
inputs:
  docs: {list: ["12345678", "1234"]}
  made: {synthetic: {count: 2, tokens: 30}}
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    path = tmp_path / "w.yaml"
    path.write_text(TEXT)
    return load_workload(path)


def test_pipelines_are_compiled(loaded: Loaded) -> None:
    part = Node("part", "agent", (), (1, 2), 2, 0.0, "reader", "", 60.0, 4, 7)  # "Read " 2 + mean of 2 and 1, rounded
    wait = Node("wait", "tool", (0,), (2,), 1, 0.25)
    # "Join: " 2 + " " 1 + documents 3 + two numbered answers of 7 tokens
    merge = Node("merge", "agent", (0, 1), (), 1, 0.0, "merge", "smollm2-135m", 5.0, 26, 9)
    assert loaded.pipelines == (
        Pipeline("digest", "batch", Graph((part, wait, merge)), Every(1.5), 2),
        Pipeline(
            "chat",
            "interactive",
            Graph((Node("reply", "agent", (), (), 1, 0.0, "reply", "", 60.0, 2, 4),)),
            Closed(3, fixed(2.0)),
            None,
            until=0,
        ),
        Pipeline(
            "late",
            "batch",
            Graph((Node("n", "agent", (), (), 1, 0.0, "n", "", 60.0, 3, 1),)),
            Listed((0.0, 4.0)),
            2,
            after=0,
            draws_as="digest",
        ),
    )


def test_agents_and_prompts(loaded: Loaded) -> None:
    assert loaded.agents["digest", "part"].output_tokens == 7
    assert loaded.prompts["digest", "part"].template == ("Read ", Slot("item", 5))
    assert loaded.prompts["late", "n"].system == ("12345678",)
    assert ("digest", "wait") not in loaded.agents


def test_inputs_of_repeats(loaded: Loaded) -> None:
    first, again, second = loaded.inputs_for(0), loaded.inputs_for(0), loaded.inputs_for(1)
    for name, items in loaded.inputs.items():
        assert first.items(name, "p", 0) == again.items(name, "p", 3) == items
    assert first.items("docs", "p", 0) == second.items("docs", "p", 0) == ("12345678", "1234")
    assert not set(first.items("made", "p", 0)) & set(second.items("made", "p", 0))


def test_digest_is_of_the_text(loaded: Loaded) -> None:
    assert loaded.digest == hashlib.sha256(TEXT.encode()).hexdigest()


def test_description(loaded: Loaded) -> None:
    digest, chat, late = describe(loaded).pipelines
    assert (digest.width, digest.width_all_jobs, digest.span.nodes) == (2, 4, ("part", "wait", "merge"))
    assert (digest.span.calls, digest.span.output_tokens, digest.span.tool_s) == (2, 16, 0.25)
    assert digest.work == Work(calls=3, prompt_tokens=2 * 4 + 26, output_tokens=2 * 7 + 9)
    assert digest.total == Work(calls=6, prompt_tokens=68, output_tokens=46)
    assert (chat.width, chat.width_all_jobs, chat.total) == (1, 3, None)
    assert (late.width_all_jobs, late.jobs) == (2, 2)
    assert (digest.arrivals, chat.arrivals, late.arrivals) == (
        "a job every 1.5 s, 2 jobs",
        "3 users, 2 s between reply and next request until digest has ended",
        "2 jobs, at 0, 4 s, when digest has ended",
    )
    # digest (4) and late (2) never overlap; chat (3) may go on beside either
    assert describe(loaded).max_useful_slots == 7


def test_no_bound_on_open_arrivals_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(TEXT.replace("{closed: 3, think_s: 2}", "{every_s: 2}"))
    description = describe(load_workload(path))
    assert description.max_useful_slots is None
    assert description.pipelines[1].width_all_jobs is None
    assert "any number can pile up" in description.hints[0]


def test_hints(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    servers = (
        "servers:\n  big: {kind: llamacpp, slots: 16, context_tokens: 300}\n  spare: {kind: llamacpp}\n"
        "compare: {c: {placement: big}}\n"
    )
    path.write_text(TEXT.replace("output_tokens: 9", "output_tokens: 290") + servers)
    assert describe(load_workload(path)).hints == (
        "At most 7 calls can run together, so more than 7 slots can never be filled.",
        "big: 16 slots, of which 9 will stay empty.",
        "late: about 3 prompt tokens for each output token; batching shares the writing, not the reading.",
        "digest.merge needs about 316 tokens; big holds 300 a slot: raise context_tokens to 512 or shorten the prompt.",
        "spare: no candidate uses this server.",
    )


def test_a_graph_cannot_be_changed(loaded: Loaded) -> None:
    with pytest.raises(nx.NetworkXError, match=r"[Ff]rozen"):
        loaded.graphs["digest"].remove_node("wait")


SHIPPED = sorted((shipped() / "workloads").glob("*.yaml"))


def test_what_is_shipped() -> None:
    names = {path.stem for path in SHIPPED}
    assert names >= {"research-digest", "concurrency-ladder", "bulk-classify", "review-panel", "chat-only"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_workload(path: Path) -> None:
    loaded = load_workload(path)
    assert loaded.workload.name == path.stem
    text = path.read_text()
    assert text.startswith("# yaml-language-server: $schema=../harness/workload/schema.json\n#\n# The question: ")
    hints = describe(loaded).hints
    assert not any("context_tokens" in hint or "no candidate" in hint for hint in hints)


def test_sizes_of_the_shipped_experiments() -> None:
    digest = load_workload(shipped() / "workloads" / "research-digest.yaml")
    assert digest.pipelines[0].graph.nodes[0].width == 8
    ladder = load_workload(shipped() / "workloads" / "concurrency-ladder.yaml")
    assert [pipeline.graph.nodes[0].width for pipeline in ladder.pipelines] == [1, 2, 4, 8]
    assert {agent.output_tokens for agent in ladder.agents.values()} == {100}
    assert all(agent.exact_output for agent in ladder.agents.values())
    assert [pipeline.after for pipeline in ladder.pipelines] == [None, 0, 1, 2]
