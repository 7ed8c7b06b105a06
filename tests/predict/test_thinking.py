"""Thinking in a prediction: by hand, and against a run on simulated servers."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from predict.emulated import Kept, emulate
from predict.paper import PROFILE

from harness.analysis.analyse import analyse
from harness.core.events import Call
from harness.core.plan import Plan
from harness.core.records import CallRecord
from harness.predict.forecast import forecast
from harness.predict.servers import Profiles, modelled
from harness.predict.simulation import predict, simulate_trial
from harness.profiles.load import load_profile
from harness.profiles.schema import Profile
from harness.workload.load import Loaded, load_workload

WORKLOAD = """
version: 1
name: paper
pipelines:
  chat:
    path: interactive
    jobs: JOBS
    goal: {first_token_s: 1}
    SESSION
    nodes:
      reply: {agent: thinker, answers: true}
      title: {agent: {prompt: "0123{reply}", output_tokens: 3}, after: [reply]}
agents:
  thinker: {prompt: "PROMPT", output_tokens: 4, think: true, thinking_tokens: THINKING}
servers:
  one: {kind: KIND, slots: 1}
compare:
  serial: {placement: one, concurrency: serial}
"""


def made(
    folder: Path, thinking: str, jobs: int = 1, session: str = "", kind: str = "llamacpp"
) -> tuple[Loaded, Profile]:
    (folder / "dyadic.yaml").write_text(PROFILE, encoding="utf-8")
    text = WORKLOAD.replace("PROMPT", "0123" * 16).replace("THINKING", thinking).replace("JOBS", str(jobs))
    kind = f"{kind}, profile: {folder / 'dyadic.yaml'}" if kind == "simulated" else kind
    text = text.replace("SESSION", session).replace("KIND", kind)
    (folder / "w.yaml").write_text(text, encoding="utf-8")
    return load_workload(folder / "w.yaml"), load_profile(str(folder / "dyadic.yaml"))


def test_an_answer_comes_after_the_thinking_and_only_it_is_read(tmp_path: Path) -> None:
    """16 tokens are read in 0.125 s; then a token each 0.125 s: eight of thinking, then four of the answer."""
    prediction = predict(*made(tmp_path, "8"), repeats=1)
    reply, title = prediction.run.calls
    assert (reply.reply.first_thought_s, reply.reply.first_token_s, reply.reply.end_s) == (0.125, 1.125, 1.5)
    assert (reply.reply.output_tokens, reply.reply.thinking_tokens) == (12, 8)
    assert (reply.reply.prefill_s, reply.reply.decode_s) == (0.125, 11 / 8)
    assert title.reply.prompt_tokens == 1 + 4  # the answer without what was thought
    assert (title.reply.first_thought_s, title.reply.thinking_tokens) == (None, None)
    (chat,) = analyse(prediction.run).candidates[0].pipelines
    assert chat.first_thought is not None and chat.first_token is not None
    assert [chat.first_thought.value, chat.first_token.value] == pytest.approx([0.125, 1.125])
    assert [(goal.found_s, goal.state) for goal in chat.goals] == [(1.125, "missed")]  # the thought would have met it


def test_where_the_context_ends_in_the_thinking_there_is_no_answer(tmp_path: Path) -> None:
    prediction = predict(*made(tmp_path, "3000"), repeats=1)
    reply = prediction.run.calls[0].reply
    assert (reply.outcome, reply.output_tokens, reply.thinking_tokens) == ("ok", 2048 - 16, 2048 - 16)
    assert (reply.first_thought_s, reply.first_token_s) == (0.125, None)


def test_answers_that_are_longer_are_thought_longer_about(tmp_path: Path) -> None:
    loaded, _ = made(tmp_path, "8")
    tokens = forecast(loaded, None, answers=1.5)("serial", 0)
    assert tokens(Call(0, 0, 0, 0, 0, 0, 0, 0.0))[1:] == (6 + 12, 12)


def simulated(loaded: Loaded, profile: Profile, plan: Plan) -> list[CallRecord]:
    records: list[Any] = []
    servers = modelled(loaded, Profiles(profile), plan)
    simulate_trial(loaded, servers, 0, forecast(loaded, profile.text)(plan.name, 0), records.append)
    return [record for record in records if isinstance(record, CallRecord)]


@pytest.mark.parametrize("session", ["", "session: {turns: 3, think_s: 0.5, reuse_prefix: true}"], ids=["jobs", "talk"])
def test_a_run_and_a_prediction_think_alike(tmp_path: Path, run_virtual: Any, session: str) -> None:
    """The same lengths drawn, the same tokens found in the cache, and the same times of thought and answer."""
    loaded, profile = made(tmp_path, "[2, 12]", 6, session, "simulated")
    (plan,) = loaded.plans
    kept: Kept = run_virtual(partial(emulate, loaded=loaded, plan=plan, repeat=0))
    expected = simulated(loaded, profile, plan)

    def seen(calls: list[CallRecord]) -> dict[tuple[str, int], tuple[Any, ...]]:
        return {
            (c.node, c.job): (
                c.reply.prompt_tokens,
                c.reply.cached_tokens,
                c.reply.output_tokens,
                c.reply.thinking_tokens,
                *(pytest.approx(at_s, abs=1e-6) for at_s in (c.reply.first_thought_s, c.reply.first_token_s)),
                pytest.approx(c.reply.end_s, abs=1e-6),
            )
            for c in calls
        }

    assert seen(kept.calls) == seen(expected)
    thought = [c.reply.thinking_tokens for c in expected if c.node == "reply"]
    assert len(set(thought)) > 2 and all(2 <= (tokens or 0) <= 12 for tokens in thought)
