"""Prompts of conversations in a forecast, by hand, and what the prompt cache makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from predict.paper import PROFILE

from harness.core.records import CallRecord
from harness.predict.simulation import Prediction, predict
from harness.profiles.load import load_profile
from harness.workload.load import load_workload

WORKLOAD = """
version: 1
name: paper
pipelines:
  talk:
    path: interactive
    jobs: 3
    arrival: {closed: 1}
    session: {turns: 3, think_s: 4, reuse_prefix: REUSE}
    nodes:
      say: {agent: {prompt: "PROMPT", system: "SYSTEM", output_tokens: 5}}
OTHERservers:
  main: {kind: llamacpp, slots: SLOTS}
compare:
  serial: {placement: main, concurrency: serial}
"""
OTHER = """  other:
    path: batch
    arrival: {at_s: [2]}
    nodes:
      do: {agent: {prompt: "x", output_tokens: 1}}
"""


def predicted(folder: Path, *, reuse: bool, slots: int = 1, other: str = "") -> Prediction:
    (folder / "p.yaml").write_text(PROFILE, encoding="utf-8")
    text = WORKLOAD.replace("REUSE", str(reuse).lower()).replace("SLOTS", str(slots)).replace("OTHER", other)
    text = text.replace("PROMPT", "0123" * 16).replace("SYSTEM", "0123" * 8)  # 16 and 8 tokens
    (folder / "w.yaml").write_text(text, encoding="utf-8")
    return predict(load_workload(folder / "w.yaml"), load_profile(str(folder / "p.yaml")), repeats=1)


def talk_of(prediction: Prediction) -> list[CallRecord]:
    return [call for call in prediction.run.calls if call.pipeline == "talk"]


def test_turns_hold_what_was_asked_and_answered_before_them(tmp_path: Path) -> None:
    calls = talk_of(predicted(tmp_path, reuse=False))
    assert [call.reply.prompt_tokens for call in calls] == [24, 24 + 21, 24 + 2 * 21]  # the system message once
    assert [call.reply.cached_tokens for call in calls] == [0, 0, 0]
    assert [call.reply.prefill_s for call in calls] == [n / 128 for n in (24, 45, 66)]


def test_jobs_are_turns(tmp_path: Path) -> None:
    jobs = predicted(tmp_path, reuse=False).run.jobs
    assert [(job.session, job.turn, job.job) for job in jobs] == [(0, 0, 0), (0, 1, 1), (0, 2, 2)]


GO_ON = "Go on: what should we see next, and why? I liked your last idea, but I would rather walk than drive."


@pytest.mark.parametrize(
    ("system", "counts"),
    [("You plan a journey with a friend. Be brief.", [51, 112, 173, 234, 295]), (None, [56, 117, 178, 239, 300])],
)
def test_the_template_stands_around_every_message_and_begins_the_prompt_once(
    system: str | None, counts: list[int], tmp_path: Path
) -> None:
    """What llama.cpp counted with SmolLM2, whose template adds 14 tokens to a system message and a question, 30 to a
    question alone, and 11 for each turn before; the words of these texts are a token each."""
    text = (
        "text: {tokens_per_piece: 1, tokens_per_long_letter: 0, template_tokens: 30, system_template_tokens: 14,\n"
        "  turn_template_tokens: 11, held_out: {calls: 1, median_error: 0, worst_error: 0}}\n"
    )
    (tmp_path / "p.yaml").write_text(PROFILE + text, encoding="utf-8")
    said = WORKLOAD.replace("REUSE", "false").replace("SLOTS", "1").replace("OTHER", "").replace("jobs: 3", "jobs: 5")
    said = said.replace("turns: 3", "turns: 5").replace("output_tokens: 5", "output_tokens: 24")
    said = said.replace(', system: "SYSTEM"', "" if system is None else f', system: "{system}"').replace(
        "PROMPT", GO_ON
    )
    (tmp_path / "w.yaml").write_text(said, encoding="utf-8")
    run = predict(load_workload(tmp_path / "w.yaml"), load_profile(str(tmp_path / "p.yaml")), repeats=1).run
    assert [call.reply.prompt_tokens for call in run.calls] == counts


@pytest.mark.parametrize(
    ("slots", "other", "cached"),
    [(1, "", [0, 28, 49]), (1, OTHER, [0, 0, 49]), (2, OTHER, [0, 28, 49])],
    ids=["alone", "evicted", "a slot for the other"],
)
def test_what_a_slot_holds_is_not_read_again(slots: int, other: str, cached: list[int], tmp_path: Path) -> None:
    """All but the last token of an answer: 24 + 5 - 1, then 45 + 5 - 1."""
    calls = talk_of(predicted(tmp_path, reuse=True, slots=slots, other=other))
    assert [call.reply.cached_tokens for call in calls] == cached
    assert [call.reply.prefill_s for call in calls] == [
        (tokens - found) / 128 for tokens, found in zip((24, 45, 66), cached, strict=True)
    ]
