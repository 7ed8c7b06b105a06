"""Lengths of calls before any is made: counted by hand, per item, and open about what they rest on."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.events import Call
from harness.errors import UserError
from harness.predict.forecast import forecast, forecast_assumes
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.profiles.schema import Profile
from harness.workload.load import Loaded, load_workload

PROFILE = """
version: 1
name: words
origin: assumed
source: made up for tests
date: null
machine: a machine on paper
engine: none
model: SmolLM2, in words
model_id: smollm2-135m
slots:
  2: {step_s: {1: 0.125, 2: 0.1875}, prefill_s_per_token: 0.0078125, prefill_batch_tokens: 512,
      context_s_per_token: 0, mixed_factor: 1, before_s: 0, after_s: 0, gap_s: 0}
contention: null
memory: {context_tokens: 2048}
text: {tokens_per_piece: 1, tokens_per_long_letter: 0.5, template_tokens: 20, system_template_tokens: 10,
  held_out: {calls: 12, median_error: 0.02, worst_error: 0.1}}
"""

WORKLOAD = """
version: 1
name: lengths
pipelines:
  work:
    path: batch
    jobs: 1
    nodes:
      part: {agent: {system: "Be brief.", prompt: "Read: {item}", output_tokens: 5}, over: notes}
      wait: {tool: {delay_s: 1}, after: [part]}
      join: {agent: {prompt: "{part} {notes}", output_tokens: 3}, after: [part, wait]}
      last: {agent: {prompt: "So: {join}", output_tokens: 2}, after: [join]}
inputs:
  notes: {list: ["one two", "incomprehensible!"]}
servers:
  two: {kind: llamacpp, slots: 2}
compare:
  window: {placement: two, concurrency: window}
"""


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return profile_with(tmp_path, PROFILE)


def profile_with(folder: Path, text: str) -> Profile:
    path = folder / "profiles" / "words.yaml"  # where a simulated server of the workload finds it too
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return load_profile(str(path))


def load(folder: Path, old: str = "", new: str = "") -> Loaded:
    (folder / "lengths.yaml").write_text(WORKLOAD.replace(old, new) if old else WORKLOAD, encoding="utf-8")
    return load_workload(folder / "lengths.yaml")


def lengths(loaded: Loaded, profile: Profile | None) -> dict[tuple[str, int], tuple[int, ...]]:
    tokens = forecast(loaded, profile.text if profile else None)("window", 3)
    nodes = loaded.pipelines[0].graph.nodes
    return {
        (node.name, item): tokens(Call(0, 0, 0, number, item, 0, 0, 0.0))
        for number, node in enumerate(nodes)
        if node.kind == "agent"
        for item in range(node.width)
    }


def test_every_call_has_its_own_length(tmp_path: Path, profile: Profile) -> None:
    # "Be brief." has 3 pieces, "Read:" 2; the items 2, and 2 with ten letters of a long word beyond six
    assert lengths(load(tmp_path), profile) == {
        ("part", 0): (10 + 3 + 2 + 2, 5),
        ("part", 1): (10 + 3 + 2 + 2 + 5, 5),
        # two answers of 5 tokens, each with 3 for its number and line; then both notes
        ("join", 0): (20 + 2 * (5 + 3) + 2 + 7, 3),
        ("last", 0): (20 + 2 + 3, 2),
    }


def test_without_text_in_the_profile_a_token_is_four_characters(tmp_path: Path) -> None:
    found = lengths(load(tmp_path), None)
    assert found["part", 0] == (4 + 3, 5)  # "Read: one two" and "Be brief.", each rounded up
    assert found["part", 1] == (6 + 3, 5)


def test_made_up_text_is_counted_as_it_is(tmp_path: Path, profile: Profile) -> None:
    loaded = load(tmp_path, 'list: ["one two", "incomprehensible!"]', "synthetic: {count: 3, tokens: 50}")
    assert all(len(words.split()) + words.count(".") == 50 for words in loaded.inputs["notes"])
    assert [lengths(loaded, profile)["part", item][0] for item in range(3)] == [10 + 5 + 50] * 3


def test_simulated_servers_count_characters(tmp_path: Path, profile: Profile) -> None:
    loaded = load(tmp_path, "kind: llamacpp", "kind: simulated, profile: words")
    assert lengths(loaded, profile) == lengths(loaded, None)
    assert forecast_assumes(loaded, profile) == ()


def notes(loaded: Loaded, profile: Profile, **options: bool) -> list[str]:
    run = predict(loaded, profile, repeats=1, **options).run  # type: ignore[arg-type]  # of several types
    return [note.text for note in run.notes if note.kind == "assumed"]


def test_what_is_assumed_is_said(tmp_path: Path, profile: Profile) -> None:
    assert notes(load(tmp_path), profile) == [
        "Assumed: prompts have the tokens that their words, digits and punctuation had in calibration (off by 2.0 %, "
        "10 % at worst, on texts that were not fitted)."
    ]
    (short,) = notes(load(tmp_path), profile.model_copy(update={"text": None}))
    assert short.startswith("Assumed: a token is four characters of prompt, and the chat template adds none (profile")
    free = load(tmp_path, "output_tokens: 3}", "output_tokens: 3, exact_output: false}")
    assert notes(free, profile)[1].startswith("Assumed: every answer is as long as it may be (output_tokens)")


def test_other_batch_and_context_sizes_are_said(tmp_path: Path, profile: Profile) -> None:
    other = load(tmp_path, "slots: 2}", "slots: 2, batch_tokens: 256, context_tokens: 4096}")
    batch, context = notes(other, profile)[1:]
    assert batch.startswith(
        'Assumed: "two" has batch_tokens 256, but the costs of a step are those of the profile, with'
    )
    assert batch.endswith("with 512.")
    assert context.startswith('Assumed: "two" has a context of 4096 tokens, the profile was fitted with 2048: ')


@pytest.mark.parametrize("model", ["gemma3-270m", "/models/SmolLM2-135M-Instruct.Q8_0.gguf"])
def test_another_model_is_refused_unless_extrapolated(tmp_path: Path, profile: Profile, model: str) -> None:
    loaded = load(tmp_path, "slots: 2}", f"slots: 2, model: {model}}}")
    message = r'profile "words" was measured with model "smollm2-135m", server "two" uses ".*"; .* --extrapolate'
    with pytest.raises(UserError, match=message):
        predict(loaded, profile, repeats=1)
    marked = notes(loaded, profile, extrapolate=True)
    assert any(note.endswith("extrapolated from smollm2-135m, which the profile measured.") for note in marked)


@pytest.mark.parametrize("model", ["smollm2-135m", "/models/SmolLM2-135M-Instruct.Q4_1.gguf"])
def test_the_same_model_by_name_or_by_file(tmp_path: Path, profile: Profile, model: str) -> None:
    assert len(notes(load(tmp_path, "slots: 2}", f"slots: 2, model: {model}}}"), profile)) == 1


def test_a_profile_of_before_names_its_model_in_words_only(tmp_path: Path) -> None:
    old = profile_with(tmp_path, PROFILE.replace("model_id: smollm2-135m\n", ""))
    (note,) = (note for note in notes(load(tmp_path), old) if "model_id" in note)
    assert note.startswith('Assumed: the model of profile "words" (SmolLM2, in words) is that of the workload')


def test_simulated_servers_are_predicted_with_their_speed_up(tmp_path: Path, profile: Profile) -> None:
    def end_s(text: str) -> float:
        return predict(load(tmp_path, "kind: llamacpp", text), profile, repeats=1).run.trials[0].makespan_s

    once_s, four_s = end_s("kind: simulated, profile: words"), end_s("kind: simulated, profile: words, speed_up: 4")
    assert once_s - 1 == 4 * (four_s - 1)  # all but the tool's second
    loaded = load(tmp_path, "kind: llamacpp", "kind: simulated, profile: words, speed_up: 4")
    assert notes(loaded, profile) == ['Assumed: "two" is a simulated server: its times are divided by 4 here too.']


def test_a_simulated_server_of_another_profile_is_refused(tmp_path: Path, profile: Profile) -> None:
    loaded = load(tmp_path, "kind: llamacpp", "kind: simulated, profile: m1-published")
    with pytest.raises(UserError, match=r'server "two" plays profile "m1-published", not "words"; '):
        predict(loaded, profile, repeats=1)
