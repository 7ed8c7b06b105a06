"""Embeddings in a workload: what they compile to, what `check` says of them, and every mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from workload.mistaken import message, nodes

from harness.core.graph import Node
from harness.report.workload import workload_lines, workload_plain
from harness.workload.describe import describe
from harness.workload.diagrams import mermaid
from harness.workload.load import Loaded, load_workload

INPUTS = """\
inputs:
  docs: {list: [one, two two two, three, four, five]}
  question: {list: ["why?"]}
servers:
  it: {kind: ollama, model: mine, slots: 2}
compare: {x: {placement: it}}
"""
GRAPH = """\
look: {embed: {model: vectors, texts: question}}
index: {embed: {model: vectors, texts: docs, batch: 2}}
each: {embed: {model: vectors, texts: item}, over: docs, enough: 3}
sum: {agent: {prompt: "{item}", output_tokens: 20}, over: docs}
sums: {embed: {model: vectors, texts: sum, batch: 4}, after: [sum]}
list: {agent: {prompt: "List.", output_tokens: 30, format: json}}
found: {embed: {model: vectors, texts: item}, over: list, items: {count: [1, 3]}, after: [list], timeout_s: 5}
answer: {agent: {prompt: "{question}", output_tokens: 5}, after: [look, index, each, sums, found]}
"""


def loaded(folder: Path, text: str = GRAPH, tail: str = INPUTS) -> Loaded:
    (folder / "w.yaml").write_text(nodes(text) + tail, encoding="utf-8")
    return load_workload(folder / "w.yaml")


def test_requests_and_their_texts(tmp_path: Path) -> None:
    found = loaded(tmp_path)
    by_name = {node.name: node for node in found.pipelines[0].graph.nodes}

    def requests(name: str) -> list[int]:
        node: Node = by_name[name]
        return [node.texts_of(item) for item in range(node.width)]

    assert requests("look") == [1]
    assert requests("index") == [2, 2, 1]
    assert requests("each") == [1, 1, 1, 1, 1]
    assert requests("sums") == [4, 1]
    assert requests("found") == [1, 1, 1]
    assert requests("answer") == [0]
    assert {by_name[name].kind for name in by_name} == {"agent"}
    embedding = {name: (node.agent, node.model) for name, node in by_name.items() if node.batch}
    assert embedding == dict.fromkeys(("look", "index", "each", "sums", "found"), ("", "vectors"))
    assert by_name["each"].enough == 3 and by_name["found"].timeout_s == 5
    assert by_name["index"].expected_output_tokens is None
    assert by_name["sums"].expected_prompt_tokens == round(20 * 5 / 2)
    assert found.models == {"it": ("mine", "vectors")} and found.embedding_models == {"vectors"}
    assert set(found.agents) == {("p", "sum"), ("p", "list"), ("p", "answer")}


def test_check_shows_them(tmp_path: Path) -> None:
    found = loaded(tmp_path)
    text = "\n".join(workload_lines(found, describe(found)))
    assert "index x3 (5 texts)" in text and "look (1 text)" in text
    flat = " ".join(text.split())
    assert "embed index: 5 texts (docs) with vectors in 3 requests, about 9 tokens" in flat
    assert "embed found: at most 3 texts (the item of each call) with vectors in 3 requests" in flat
    assert "index x3 (5 texts)" in mermaid(found.graphs.items())
    plain = {node["name"]: node for node in workload_plain(found, describe(found))["pipelines"][0]["nodes"]}
    assert (plain["index"]["kind"], plain["index"]["texts"], plain["index"]["batch"]) == ("embed", 5, 2)
    # Five requests of the list's summaries, the list, an answer: embeddings take no slot.
    assert describe(found).pipelines[0].width == 6


def test_a_pipeline_may_only_embed(tmp_path: Path) -> None:
    found = loaded(tmp_path, "index: {embed: {model: vectors, texts: docs}}")
    lines = " ".join(" ".join(workload_lines(found, describe(found))).split())
    assert "width embeddings alone, which take no slot" in lines and "work 1 embedding request a job" in lines
    assert found.models == {"it": ("vectors",)}


E = "pipelines.p.nodes.e: "
BEFORE = 'a: {agent: {prompt: "Hi", output_tokens: 5}}\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "e: {embed: {model: v, texts: dcos}}",
            'w.yaml:8:36: node "e" embeds: no input or earlier node "dcos"; did you mean "docs"?',
        ),
        (
            BEFORE + "e: {embed: {model: v, texts: a}}",
            'w.yaml:9:36: node "e" embeds: the node "a" need not be done by then; add `after: [a]`',
        ),
        (
            "t: {tool: {delay_s: 1}}\ne: {embed: {model: v, texts: t}, after: [t]}",
            'w.yaml:9:36: node "e" embeds: "t" is a tool, whose texts cannot be read here; name an agent node',
        ),
        (
            'f: {agent: {prompt: "{item}", output_tokens: 5}, over: docs, enough: 2}\n'
            "e: {embed: {model: v, texts: f}, after: [f]}",
            'w.yaml:9:36: node "e" embeds: how many answers "f" has is not known beforehand; name a node that makes '
            "one call, or one that fans out over an input and waits for all",
        ),
        (
            'e: {embed: {model: v, texts: docs}}\na: {agent: {prompt: "{e}", output_tokens: 5}, after: [e]}',
            'w.yaml:9:27: agent "a" in node "a" of pipeline "p" names {e}: that node is an embedding and has no text',
        ),
        (
            "e: {embed: {model: v, texts: docs}}\n"
            'a: {agent: {prompt: "Hi", output_tokens: 5}, over: e, items: {count: 2}, after: [e]}',
            'w.yaml:9:58: node "a" fans out: "e" is an embedding; name an agent node that answers one list',
        ),
        (
            "e: {embed: {model: v, texts: item}}",
            "w.yaml:8:29: " + E + "there is an item only where the node fans out; add `over: INPUT`",
        ),
        (
            "e: {embed: {model: v, texts: docs}, over: docs}",
            "w.yaml:8:29: " + E + "with `over` each request embeds one item: expected `texts: item`",
        ),
        (
            "e: {embed: {model: v, texts: item, batch: 2}, over: docs}",
            "w.yaml:8:42: " + E + "`over` and `batch` do not go together: with `over` a request has one text",
        ),
        (
            "e: {embed: {model: v, texts: docs}, repeat: {max: 2}}",
            "w.yaml:8:43: " + E + "`repeat` goes with `agent` or `pipeline`; put the embedding in a sub-pipeline",
        ),
        (
            "e: {embed: {model: v, texts: docs}, branch: {x: 0.5, y: 0.5}}",
            "w.yaml:8:43: " + E + "`branch` goes with `agent`, not with `embed`",
        ),
        (
            "e: {embed: {model: v, texts: docs}, answers: true}",
            "w.yaml:8:43: " + E + "`answers` goes with `agent`, not with `embed`; give it to the node whose "
            "answer a person reads",
        ),
        ("e: {embed: {model: v}}", "w.yaml:8:11: pipelines.p.nodes.e.embed.texts is missing (what is embedded: "),
        (
            "e: {embed: {model: v, texts: docs, batch: 0}}",
            "w.yaml:8:49: pipelines.p.nodes.e.embed.batch: expected more than 0, found 0",
        ),
        (
            "e: {}",
            "w.yaml:8:10: " + E + "a node needs `agent`, `embed`, `tool` or `pipeline`, found none of them",
        ),
        (
            'e: {embed: {model: v, texts: docs}}\na: {agent: {prompt: "Hi", output_tokens: 5, model: v}}',
            'w.yaml:8:26: node "e" embeds with "v", which other nodes ask for answers; a server embeds with embedding '
            "models alone: name one of these",
        ),
    ],
)
def test_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    found = message(tmp_path, monkeypatch, nodes(text) + INPUTS)
    assert said in found and "\n" not in found, found


EMBEDDED = 'node "e" of pipeline "p" embeds with "v", and candidate "{}" places it on no server that can: the embedded '
ELSEWHERE = "engine has no embedding models; place it on a server of kind: ollama or simulated"


def test_the_embedded_engine_does_not_embed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even with its own model; where the file has an Ollama, embeddings go there by themselves."""
    text = nodes('e: {embed: {model: v, texts: docs}}\na: {agent: {prompt: "Hi", output_tokens: 5}}')
    inputs = "inputs: {docs: {list: [one]}}\n"
    alone = text + inputs + "servers: {it: {kind: llamacpp, model: v}}\ncompare: {x: {placement: it}}\n"
    assert EMBEDDED.format("x") + ELSEWHERE in message(tmp_path, monkeypatch, alone)
    both = "servers: {it: {kind: llamacpp}, other: {kind: ollama, model: mine}}\ncompare: {x: {placement: it}}\n"
    (tmp_path / "w.yaml").write_text(text + inputs + both, encoding="utf-8")
    found = load_workload(tmp_path / "w.yaml")
    assert found.models == {"it": ("smollm2-135m",), "other": ("v",)}


def test_a_simulated_server_has_an_embedding_model_beside_its_own(tmp_path: Path) -> None:
    tail = INPUTS[: INPUTS.index("servers")] + "servers: {it: {kind: simulated, profile: epyc-2core, slots: 4}}\n"
    tail += "compare: {x: window}\n"
    found = loaded(tmp_path, tail=tail)
    assert found.models["it"] == ("epyc-2core", "vectors")
