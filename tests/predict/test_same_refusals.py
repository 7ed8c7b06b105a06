"""What a server refuses, a prediction refuses: at the same time, in the same words."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from predict.emulated import PROFILE, emulate

from harness.core.context import REFUSED, Context
from harness.core.records import CallRecord, JobRecord
from harness.predict.forecast import forecast
from harness.predict.servers import Profiles, modelled
from harness.predict.simulation import predict, simulate_trial
from harness.profiles.load import load_profile
from harness.workload.load import Loaded, load_workload
from harness.workload.schema import LlamaCppServer, OllamaServer

RunVirtual = Callable[[Callable[[Any], Any]], Any]

SERVER = "{kind: simulated, profile: epyc-2core, extrapolate: true, slots: SLOTS, context_tokens: CONTEXT}"

PAGES = """\
version: 1
name: overflow
pipelines:
  ask:
    path: batch
    jobs: 8
    nodes:
      short: {agent: {prompt: "Say yes.", output_tokens: 20}}
      long: {agent: {prompt: "{pages}", output_tokens: 40}}
inputs:
  pages: {synthetic: {count: 1, tokens: TOKENS}}
servers:
  four: SERVER
compare:
  batched: {placement: four, concurrency: window}
"""

TALK = """\
version: 1
name: talk
agents:
  chat: {system: "You help.", prompt: "And what else can you tell me about this?", output_tokens: 40}
pipelines:
  support:
    path: interactive
    jobs: 16
    arrival: {closed: 1}
    session: {turns: 8}
    nodes:
      reply: {agent: chat}
servers:
  four: SERVER
compare:
  alone: {placement: four}
"""


def loaded_of(folder: Path, text: str, *, slots: int = 4, context: int = 512, tokens: int = 100) -> Loaded:
    path = folder / "workload.yaml"
    text = text.replace("SERVER", SERVER).replace("SLOTS", str(slots)).replace("TOKENS", str(tokens))
    path.write_text(text.replace("CONTEXT", str(context)), encoding="utf-8")
    return load_workload(path)


def simulated(loaded: Loaded) -> tuple[list[CallRecord], list[JobRecord]]:
    profile, plan = load_profile(PROFILE), loaded.plans[0]
    records: list[Any] = []
    servers = modelled(loaded, Profiles(profile, {}), plan, extrapolate=True)
    simulate_trial(loaded, servers, 0, forecast(loaded, profile.text)(plan.name, 0), records.append)
    return [r for r in records if isinstance(r, CallRecord)], [r for r in records if isinstance(r, JobRecord)]


def same(calls: list[CallRecord]) -> dict[Any, Any]:
    return {
        (c.pipeline, c.job, c.node, c.item): (
            c.reply.outcome,
            c.reply.error,
            c.reply.done_reason,
            c.reply.prompt_tokens,
            c.reply.output_tokens,
        )
        for c in calls
    }


@pytest.mark.parametrize(
    ("text", "context", "tokens", "outcomes"),
    [
        (PAGES, 512, 1500, {"ok", "error"}),  # the prompt does not fit
        (PAGES, 256, 215, {"ok"}),  # the prompt fits, and its answer ends early
        (TALK, 256, 0, {"ok", "error"}),  # the first turns fit
    ],
)
def test_a_run_and_a_simulation_of_one_seed_have_equal_failures(
    text: str, context: int, tokens: int, outcomes: set[str], tmp_path: Path, run_virtual: RunVirtual
) -> None:
    loaded = loaded_of(tmp_path, text, context=context, tokens=tokens)
    run = run_virtual(partial(emulate, loaded=loaded, plan=loaded.plans[0], repeat=0))
    calls, jobs = simulated(loaded)
    assert {call.outcome for call in calls} == outcomes
    assert same(calls) == same(run.calls)
    assert {job.job: job.outcome for job in jobs} == {job.job: job.outcome for job in run.jobs}


def test_an_answer_ends_where_the_context_does(tmp_path: Path) -> None:
    calls, _ = simulated(loaded_of(tmp_path, PAGES, context=256, tokens=215))
    replies = [call.reply for call in calls if call.node == "long"]
    assert {reply.output_tokens for reply in replies} == {
        min(40, 256 - (reply.prompt_tokens or 0)) for reply in replies
    }
    assert any((reply.output_tokens or 0) < 40 for reply in replies)


def test_a_candidate_whose_calls_are_refused_is_passed_over(tmp_path: Path) -> None:
    loaded = loaded_of(tmp_path, PAGES, context=512, tokens=1500)
    run = predict(loaded, load_profile(PROFILE), repeats=2, extrapolate=True).run
    assert {job.outcome for job in run.jobs} == {"error"}
    for error in {call.reply.error for call in run.calls if call.node == "long"}:
        assert error is not None
        assert error.startswith("400: request (")
        assert error.endswith("exceeds the available context size (512 tokens), try increasing it")


def test_each_kind_of_server_says_what_it_does_with_a_prompt_that_is_too_long() -> None:
    assert (LlamaCppServer.too_long, OllamaServer.too_long) == ("refuses", "cuts")


def test_what_fits() -> None:
    refuses, cuts = Context(100), Context(100, "cuts")
    assert [refuses.answered(prompt, 20) for prompt in (80, 81, 99, 100)] == [20, 19, 1, REFUSED]
    assert [cuts.answered(prompt, 20) for prompt in (80, 99, 100)] == [20, 20, 20]
    assert [refuses.read(prompt) for prompt in (99, 100)] == [99, 100]
    assert [cuts.read(prompt) for prompt in (99, 100, 4000)] == [99, 52, 52]
    assert cuts.error(4000) == "truncated: the server answered from 52 of 4000 prompt tokens, because a slot has 100"


def test_what_a_server_read_shows_that_it_cut_a_prompt() -> None:
    """The numbers that Ollama's `contextShiftPromptLimit` gives, with and without a first token of the tokenizer's."""
    cuts = Context(4096, "cuts")
    text = "truncated: the server answered from {} of about {} prompt tokens, because a slot has 4096"
    assert cuts.seen_truncated(2050, 5000) == text.format(2050, 5000)
    assert cuts.seen_truncated(2051, 5000) == text.format(2051, 5000)
    assert cuts.seen_truncated(4096, 3000) == text.format(4096, 4096)  # up to 0.12 the whole context was filled
    assert cuts.seen_truncated(2050, 2100) is None  # so long by itself
    assert cuts.seen_truncated(2049, 5000) is None  # no length that a cut leaves: the estimate is off
    assert Context(4096).seen_truncated(2050, 5000) is None  # refuses
