"""Embeddings in a prediction: worked by hand, beside a model that answers, swapped with it, and unknown."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from predict import paper

from harness.core.records import CallRecord
from harness.errors import UserError
from harness.predict.score import replay
from harness.predict.simulation import Prediction, predict
from harness.profiles.load import dump_profile, load_profile
from harness.profiles.schema import Profile
from harness.recommend.several import check_models
from harness.workload.load import Loaded, load_workload

WORKLOAD = """
version: 1
name: paper
pipelines:
  index:
    path: batch
    jobs: 1
    nodes:
      store: {embed: {model: vectors, texts: docs, batch: 2}}
  ask:
    path: batch
    jobs: 1
    arrival: {at_s: [0.25]}
    nodes:
      look: {embed: {model: vectors, texts: question}}
      answer: {agent: {prompt: "TEXT", output_tokens: 5}, after: [look]}
inputs:
  docs: {list: [DOC, DOC, DOC]}
  question: {list: [DOC]}
servers:
  both: {kind: ollama, model: none, slots: 2, max_loaded_models: 2}
  swap: {kind: ollama, model: none, slots: 2, max_loaded_models: 1}
compare:
  loaded: {placement: both, concurrency: unbounded}
  swapped: {placement: swap, concurrency: unbounded}
""".replace("TEXT", "0123456789abcdef" * 4).replace("DOC", "0123456789abcdef" * 2)

# A text of 32 characters is 8 tokens: 1/4 s + 8/32 s. The prompt is 16 tokens, 1/8 s; then 4 steps of 1/8 s.
TEXT_S, ANSWER_S, REQUEST_S = 0.25 + 8 / 32, 0.125 + 4 * 0.125, 0.0625
EMBEDDING = {"model": "vectors", "request_s": REQUEST_S, "text_s": 0.25, "token_s": 1 / 32, "stretch": 2.0, "load_s": 1}


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    (tmp_path / "w.yaml").write_text(
        WORKLOAD.replace("{at_s: [0.25]}", "{at_s: [0.25]}").replace("jobs: 1\n    arr", "arr")
    )
    return load_workload(tmp_path / "w.yaml")


def profile(folder: Path, **changes: object) -> Profile:
    plain = yaml.safe_load(paper.PROFILE) | {"load_s": 2, "embedding": {**EMBEDDING, **changes}}
    file = folder / "dyadic.yaml"
    file.write_text(yaml.safe_dump(plain), encoding="utf-8")
    return load_profile(str(file))


def times(found: Prediction, candidate: str) -> dict[tuple[str, int], tuple[float, float | None]]:
    calls = [call for call in found.run.calls if call.candidate == candidate]
    return {(call.node, call.item): (call.ready_s, call.reply.end_s) for call in calls}


def test_beside_a_model_that_answers(loaded: Loaded, tmp_path: Path) -> None:
    found = predict(loaded, profile(tmp_path), repeats=1)
    calls = {(call.node, call.item): call for call in found.run.calls if call.candidate == "loaded"}
    first_s, second_s = REQUEST_S + 2 * TEXT_S, REQUEST_S + 3 * TEXT_S
    assert calls["store", 0].reply.end_s == first_s and calls["store", 1].reply.end_s == second_s
    look = calls["look", 0]  # behind the three texts of the index
    assert (look.ready_s, look.reply.end_s) == (0.25, second_s + TEXT_S)
    assert (look.agent, look.model, look.reply.prompt_tokens, look.reply.output_tokens) == ("", "vectors", 8, None)
    assert look.reply.queue_s == second_s - (0.25 + REQUEST_S)
    assert look.reply.total_s == second_s + TEXT_S - (0.25 + REQUEST_S) and look.reply.prefill_s == TEXT_S
    assert calls["store", 0].reply.prompt_tokens == 16 and calls["store", 1].reply.prompt_tokens == 8
    assert calls["answer", 0].reply.end_s == second_s + TEXT_S + ANSWER_S  # nothing is embedded any more
    assert look.embeds and not calls["answer", 0].embeds


def test_swapped_each_waits_for_the_other(loaded: Loaded, tmp_path: Path) -> None:
    found = predict(loaded, profile(tmp_path), repeats=1)
    at = times(found, "swapped")
    start_s = REQUEST_S + 1.0  # the model that answers is loaded first, so the embedding model has to come in
    assert at["store", 0] == (0.0, start_s + 2 * TEXT_S)
    assert at["look", 0] == (0.25, start_s + 4 * TEXT_S)
    assert at["answer", 0] == (start_s + 4 * TEXT_S, start_s + 4 * TEXT_S + 2.0 + ANSWER_S)


def test_what_answers_and_what_embeds_slow_each_other(tmp_path: Path) -> None:
    text = WORKLOAD.replace("after: [look]", "").replace("jobs: 1\n    arrival: {at_s: [0.25]}", "jobs: 1")
    (tmp_path / "w.yaml").write_text(text.replace("}, }", "}}"), encoding="utf-8")
    loaded = load_workload(tmp_path / "w.yaml")
    at = times(predict(loaded, profile(tmp_path, request_s=0), repeats=1), "loaded")
    # The answer takes 5/8 s of work, and as long as it is under way everything takes twice as long.
    assert at["answer", 0] == (0.0, 2 * ANSWER_S)
    assert at["store", 0][1] == 2 * TEXT_S + ANSWER_S
    assert max(end_s or 0 for _, end_s in at.values()) == 4 * TEXT_S + ANSWER_S


def test_without_its_cost_nothing_is_predicted(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "none.yaml").write_text(paper.PROFILE, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        predict(loaded, load_profile(str(tmp_path / "none.yaml")), repeats=1)
    assert (
        'the cost of embedding with "vectors" is unknown: profile "dyadic" has no `embedding` section for it; measure '
        "it: slotwise calibrate ... --embed vectors"
    ) in str(caught.value)
    with pytest.raises(UserError, match="no `embedding` section for it; it knows another; measure it"):
        predict(loaded, profile(tmp_path, model="another"), repeats=1)


def test_candidates_that_embed_nothing_are_predicted_all_the_same(tmp_path: Path) -> None:
    """Placed on a server whose models are too many, one is refused; the other is not."""
    text = WORKLOAD.replace("  swapped:", "  two: {placement: {index: swap, ask: both}}\n  swapped:")
    (tmp_path / "w.yaml").write_text(text.replace("jobs: 1\n    arr", "arr"), encoding="utf-8")
    found = predict(load_workload(tmp_path / "w.yaml"), profile(tmp_path), repeats=1)
    assert set(found.run.candidates) == {"loaded", "swapped"}
    assert "beside another server on the same machine cannot be predicted" in found.refused["two"]


def test_a_server_that_only_embeds_stands_beside_one_that_answers(tmp_path: Path) -> None:
    text = WORKLOAD.replace(
        "  swap: {kind: ollama, model: none, slots: 2, max_loaded_models: 1}",
        "  one: {kind: ollama, model: vectors}\n  other: {kind: ollama, model: none}",
    )
    text = text[: text.index("compare")] + "compare: {apart: {placement: {index: one, ask.look: one, ask: other}}}\n"
    (tmp_path / "w.yaml").write_text(text.replace("jobs: 1\n    arr", "arr"), encoding="utf-8")
    loaded = load_workload(tmp_path / "w.yaml")
    assert loaded.models == {"one": ("vectors",), "other": ("none",)}
    at = times(predict(loaded, profile(tmp_path), repeats=1), "apart")
    # Every request of a window of one slot is sent when the one before has ended.
    assert at["store", 0] == (0.0, REQUEST_S + 2 * TEXT_S)
    assert at["answer", 0][1] == pytest.approx((at["look", 0][1] or 0) + ANSWER_S)


def test_a_load_that_is_not_known_matters_only_where_models_are_swapped(loaded: Loaded, tmp_path: Path) -> None:
    found = predict(loaded, profile(tmp_path, load_s=None), repeats=1)
    assert found.run.candidates == ("loaded",)
    assert "how long vectors takes to load (load_s)" in found.refused["swapped"]


def test_a_replay_has_the_texts_that_were_seen(loaded: Loaded, tmp_path: Path) -> None:
    known = profile(tmp_path)
    run = predict(loaded, known, repeats=1).run
    calls = tuple(
        call._replace(reply=call.reply._replace(prompt_tokens=40)) if call.node == "look" else call
        for call in run.calls
    )
    seen = predict(loaded, known, repeats=1, tokens_of=replay(run._replace(calls=calls), loaded.pipelines)).run
    look = next(call for call in seen.calls if call.node == "look")
    assert isinstance(look, CallRecord) and look.reply.prompt_tokens == 40
    assert look.reply.end_s == REQUEST_S + 3 * TEXT_S + 0.25 + 40 / 32


def test_a_profile_keeps_it(tmp_path: Path) -> None:
    known = profile(tmp_path)
    (tmp_path / "again.yaml").write_text(dump_profile(known), encoding="utf-8")
    assert load_profile(str(tmp_path / "again.yaml")) == known


@pytest.mark.parametrize(
    ("servers", "said"),
    [
        (
            "it: {kind: llamacpp, slots: 4}\n  other: {kind: ollama, model: none}",
            "its server (kind: llamacpp) does not embed",
        ),
        ("it: {kind: ollama, model: none, slots: 4}\n  other: {kind: ollama, model: two}", "none and two answer"),
    ],
)
def test_what_is_not_searched_is_refused(servers: str, said: str, tmp_path: Path) -> None:
    text = WORKLOAD[: WORKLOAD.index("servers")] + f"servers:\n  {servers}\ncompare: {{x: {{placement: it}}}}\n"
    if "two" in servers:
        second = 'more: {agent: {prompt: "X", output_tokens: 5, model: two}}\n      look:'
        text = text.replace("look:", second, 1)
    (tmp_path / "w.yaml").write_text(text.replace("jobs: 1\n    arr", "arr"), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        check_models(load_workload(tmp_path / "w.yaml"))
    assert "nodes embed with vectors" in str(caught.value) and said in str(caught.value)


def test_a_server_that_only_embeds_beside_agents_that_share_a_prefix(tmp_path: Path) -> None:
    text = WORKLOAD.replace('prompt: "', 'system: "Be brief.", shares_prefix: true, prompt: "').replace(
        "placement: both", "placement: {index: swap, ask.look: swap, ask.answer: both}"
    )
    text = text.replace("model: none, slots: 2, max_loaded_models: 1", "model: none, machine: other")
    text = text[: text.index("  swapped:")].replace("jobs: 1\n    arr", "arr")
    (tmp_path / "w.yaml").write_text(text, encoding="utf-8")
    calls = predict(load_workload(tmp_path / "w.yaml"), profile(tmp_path), repeats=1).run.calls
    assert {(call.node, call.server, call.outcome) for call in calls} == {
        ("store", "swap", "ok"),
        ("look", "swap", "ok"),
        ("answer", "both", "ok"),
    }


def test_a_stretch_that_is_not_steady_predicts_nothing(loaded: Loaded, tmp_path: Path) -> None:
    unsteady = profile(tmp_path, standard_error={"stretch": 0.5})
    found = predict(loaded, unsteady, repeats=1)
    assert list(found.refused) == ["loaded"]  # with room for one model at a time there is no beside
    why = found.refused["loaded"]
    assert "slow each other is not steady on this machine: 0.7 to 5.4 times" in why and "`threads: half`" in why


def test_embedding_on_half_of_the_cores_is_for_servers_with_half(loaded: Loaded, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is that of a server with half of the cores, and this one has all cores"):
        predict(loaded, profile(tmp_path, half=True), repeats=1)
