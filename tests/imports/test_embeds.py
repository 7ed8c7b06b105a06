"""Embeddings and thinking in traces: what the spans of each convention tell, and what is asked instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.imports.write import questions

pytest.importorskip("opentelemetry.sdk", reason="the OpenTelemetry SDK is not installed (pip install --group dev)")
from imports.apps import App, recovered
from imports.test_traces import checked, edges, steps


def asking(at_s: float, app: App, **embedding: Any) -> None:
    """One question that is embedded, looked up and answered."""
    root = app.root(at_s, at_s + 4)
    app.span("embedding", at_s, at_s + 0.2, root, **embedding)
    app.tool("search", at_s + 0.2, at_s + 0.5, root)
    app.call("answer", at_s + 0.5, at_s + 3, root)


CONVENTIONS: dict[str, dict[str, Any]] = {
    "semantic conventions": {
        "gen_ai__operation__name": "embeddings",
        "gen_ai__request__model": "nomic-embed-text",
        "gen_ai__usage__input_tokens": 12,
    },
    "OpenInference": {
        "openinference__span__kind": "EMBEDDING",
        "embedding__model_name": "nomic-embed-text",
        "llm__token_count__prompt": 12,
        "embedding__embeddings__0__embedding__text": "a",
        "embedding__embeddings__0__embedding__vector": [0.1, 0.2],
        "embedding__embeddings__1__embedding__text": "b",
    },
    "OpenLLMetry": {
        "llm__request__type": "embedding",
        "gen_ai__request__model": "nomic-embed-text",
        "gen_ai__usage__prompt_tokens": 12,
        "gen_ai__prompt__0__content": "a",
        "gen_ai__prompt__1__content": "b",
    },
}


@pytest.mark.parametrize("name", CONVENTIONS)
def test_an_embedding_has_its_texts_tokens_and_model(name: str, tmp_path: Path) -> None:
    app = App()
    for job in range(3):
        asking(10.0 * job, app, **CONVENTIONS[name])
    draft, _ = recovered(app, tmp_path)
    loaded = checked(draft, tmp_path)
    assert edges(loaded) == {("embed", "search"), ("search", "answer")}
    assert steps(draft)["embed"].embed == {"model": "nomic-embed-text", "texts": "embed-texts"}
    texts = 1 if name == "semantic conventions" else 2
    assert draft.inputs["embed-texts"] == {"synthetic": {"count": texts, "tokens": 12 // texts}}
    asked = " ".join(questions(draft))
    assert "which model of your server stands for nomic-embed-text" in asked
    assert ("how many texts has a request of embed" in asked) is (texts == 1)
    assert "how many tokens has a text" not in asked
    assert draft.servers["one-slot"]["kind"] == "ollama"


def test_what_is_not_told_of_an_embedding_is_asked(tmp_path: Path) -> None:
    app = App()
    asking(0, app, gen_ai__operation__name="embeddings")
    draft, _ = recovered(app, tmp_path)
    checked(draft, tmp_path)
    asked = " ".join(questions(draft))
    for question in ("with which model does embed embed", "how many texts has a request", "how many tokens has a text"):
        assert question in asked


def test_a_model_may_be_called_anything(tmp_path: Path) -> None:
    app = App()
    asking(0, app, gen_ai__operation__name="embeddings", gen_ai__request__model="a b\x1b[31m: {x}")
    draft, _ = recovered(app, tmp_path)
    checked(draft, tmp_path)
    assert steps(draft)["embed"].embed["model"] == "a b[31m: {x}"


def test_requests_at_once_are_batches(tmp_path: Path) -> None:
    app = App()
    for job in range(2):
        at_s = 10.0 * job
        root = app.root(at_s, at_s + 5)
        for _ in range(3):
            app.span("embedding", at_s, at_s + 1, root, **CONVENTIONS["OpenInference"])
        app.call("answer", at_s + 1, at_s + 3, root)
    draft, _ = recovered(app, tmp_path)
    checked(draft, tmp_path)
    assert steps(draft)["embed"].embed == {"model": "nomic-embed-text", "texts": "embed-texts", "batch": 2}
    assert draft.inputs["embed-texts"]["synthetic"] == {"count": 6, "tokens": 6}


def test_traces_of_embeddings_alone_import(tmp_path: Path) -> None:
    app = App()
    for job in range(2):
        root = app.root(10.0 * job, 10.0 * job + 5)
        app.span("embedding", 10.0 * job, 10.0 * job + 1, root, **CONVENTIONS["OpenInference"])
    draft, _ = recovered(app, tmp_path)
    checked(draft, tmp_path)
    assert not draft.agents


@pytest.mark.parametrize(
    "attribute",
    [
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.output_token_details.reasoning",
        "llm.token_count.completion_details.reasoning",
        "usage_metadata.output_token_details.reasoning",
    ],
)
def test_reasoning_is_thinking_and_no_part_of_the_answer(attribute: str, tmp_path: Path) -> None:
    app = App()
    for job, thought in enumerate((60, 80, 100)):
        at_s = 10.0 * job
        root = app.root(at_s, at_s + 5)
        app.call("answer", at_s, at_s + 3, root, (100, 20 + thought), **{attribute: thought})
    draft, _ = recovered(app, tmp_path)
    checked(draft, tmp_path)
    spec, _ = draft.agents["answer"]
    assert spec["output_tokens"] == 20
    assert spec["think"] is True
    assert spec["thinking_tokens"] == {"empirical": [60, 80, 100]}


def test_an_agent_whose_reasoning_is_counted_as_none_does_not_think(tmp_path: Path) -> None:
    app = App()
    app.call("answer", 0, 3, app.root(0, 5), (100, 20), gen_ai__usage__reasoning__output_tokens=0)
    draft, _ = recovered(app, tmp_path)
    assert "think" not in draft.agents["answer"][0]
