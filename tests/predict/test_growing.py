"""Prompts that grow from pass to pass in a forecast, by hand, and what the prompt cache makes of them."""

from __future__ import annotations

from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any

import pytest
from predict.paper import PROFILE

from harness.core.events import Call
from harness.core.prompt_numbers import own_number
from harness.core.records import CallRecord
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.workload.load import load_workload

WORKLOAD = """
version: 1
name: paper
subpipelines:
  step:
    nodes:
      act: {agent: {prompt: "PROMPT", system: "SYSTEM", output_tokens: 5}, grows: {by: 10, reuse_prefix: REUSE}}
      look: {tool: {delay_s: 1}, after: [act]}
pipelines:
  work:
    path: batch
    arrival: {at_s: ARRIVALS}
    SESSION
    nodes:
      loop: {pipeline: step, repeat: {passes: 3}}
servers:
  main: {kind: llamacpp, slots: SLOTS}
compare:
  serial: {placement: main, concurrency: serial}
"""
# Without a count of its own a token is four characters: 16 and 8 of them, and words of a made-up text have about one
# each.
TEXTS = {"PROMPT": "0123" * 16, "SYSTEM": "0123" * 8}


def calls_of(folder: Path, *, profile: str = "", **changes: Any) -> list[CallRecord]:
    (folder / "p.yaml").write_text(PROFILE + profile, encoding="utf-8")
    text = WORKLOAD
    usual = {"REUSE": "true", "ARRIVALS": "[0]", "SLOTS": "1", "SESSION": "jobs: 1" if "SESSION" not in changes else ""}
    for key, value in {**TEXTS, **usual, **changes}.items():
        text = text.replace(key, str(value))
    text = text.replace("    jobs: 1\n", "") if changes.get("ARRIVALS") else text
    (folder / "w.yaml").write_text(text, encoding="utf-8")
    return list(predict(load_workload(folder / "w.yaml"), load_profile(str(folder / "p.yaml")), repeats=1).run.calls)


def prompts(calls: list[CallRecord]) -> list[int]:
    return [call.reply.prompt_tokens or 0 for call in calls]


def new(calls: list[CallRecord]) -> list[int]:
    """What came in with each further pass, whose answer before had five tokens."""
    return [b - a - 5 for a, b in zip(prompts(calls), prompts(calls)[1:], strict=False)]


def test_each_pass_holds_those_before_it(tmp_path: Path) -> None:
    calls = calls_of(tmp_path)
    assert prompts(calls)[0] == 24  # the system message is there once
    assert len(calls) == 3 and all(8 <= tokens <= 14 for tokens in new(calls))
    assert [call.reply.cached_tokens for call in calls] == [0, *(tokens + 4 for tokens in prompts(calls)[:2])]


def test_without_the_cache_all_of_it_is_read_again(tmp_path: Path) -> None:
    kept, read = calls_of(tmp_path), calls_of(tmp_path, REUSE="false")
    assert prompts(kept) == prompts(read)
    assert [call.reply.cached_tokens for call in read] == [0, 0, 0]
    assert [call.reply.prefill_s for call in read] == [tokens / 128 for tokens in prompts(read)]


@pytest.mark.parametrize(("slots", "found"), [(1, 0), (2, 4)], ids=["one evicts the other", "a slot for each"])
def test_jobs_have_conversations_of_their_own(slots: int, found: int, tmp_path: Path) -> None:
    """Two jobs take turns: while one waits for its tool, the other has the only slot."""
    calls = calls_of(tmp_path, ARRIVALS="[0, 0.5]", SLOTS=slots)
    assert [(call.job, call.iteration) for call in calls] == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)]
    assert sum((call.reply.cached_tokens or 0) > 0 for call in calls) == found
    first, second = (prompts([call for call in calls if call.job == job]) for job in (0, 1))
    assert first[0] == second[0] and first[1:] != second[1:]  # what comes in is drawn for each


def test_a_turn_goes_on_with_all_passes_of_the_turns_before(tmp_path: Path) -> None:
    session = "session: {turns: 2, reuse_prefix: true}"
    calls = calls_of(tmp_path, SESSION=session)
    first, second = calls[:3], calls[3:]
    assert len(second) == 3
    assert prompts(second)[0] == prompts(first)[2] + 5 + 16  # all that was said, and the question again
    assert second[0].reply.cached_tokens == prompts(first)[2] + 4


def test_a_turn_is_read_again_where_only_its_passes_may_be_kept(tmp_path: Path) -> None:
    calls = calls_of(tmp_path, SESSION="session: {turns: 2}")
    assert [bool(call.reply.cached_tokens) for call in calls] == [False, True, True, False, True, True]


NESTED = """
version: 1
name: nested
subpipelines:
  inner:
    nodes:
      act: {agent: {prompt: "PROMPT", output_tokens: 5}, grows: {by: 10}}
  outer:
    nodes:
      again: {pipeline: inner, repeat: {passes: 2}}
pipelines:
  work: {path: batch, jobs: 1, nodes: {loop: {pipeline: outer, repeat: {passes: 2}}}}
servers:
  main: {kind: llamacpp, slots: 1}
compare:
  serial: {placement: main, concurrency: serial}
"""


def test_a_new_run_of_the_loop_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PROFILE, encoding="utf-8")
    (tmp_path / "w.yaml").write_text(NESTED.replace("PROMPT", TEXTS["PROMPT"]), encoding="utf-8")
    calls = predict(load_workload(tmp_path / "w.yaml"), load_profile(str(tmp_path / "p.yaml")), repeats=1).run.calls
    assert [call.iteration for call in calls] == [0, 1, 2, 3]
    assert prompts(list(calls))[0::2] == [16, 16]
    assert [bool(call.reply.cached_tokens) for call in calls] == [False, True, False, True]


def test_what_all_prompts_begin_with_is_found_in_any_slot(tmp_path: Path) -> None:
    """Two jobs take turns in one slot; as long as a tenth of the prompt it would even choose the slot."""
    calls = calls_of(tmp_path, profile=COUNTED.replace("MORE", ""), ARRIVALS="[0, 0.5]")
    assert [call.reply.cached_tokens for call in calls] == [3] * 6  # in the first one from what was there before


COUNTED = (
    "text: {tokens_per_piece: 1, tokens_per_long_letter: 0, template_tokens: 10, system_template_tokens: 10,\n"
    "  turn_template_tokens: 10, opening_tokens: 7, system_opening_tokens: 3, MORE\n"
    "  held_out: {calls: 1, median_error: 0, worst_error: 0}}\n"
)
JOBS = 40


def test_numbers_that_begin_with_the_same_digits_are_found_again(tmp_path: Path) -> None:
    """Forty jobs, one after the other in one slot: each finds the digits that it has in common with the one before."""
    at = str([100 * job for job in range(JOBS)])
    folder = tmp_path / "digits"
    folder.mkdir()
    calls = calls_of(folder, profile=COUNTED.replace("MORE", "digit_tokens: [1, 2, 3, 4, 5],"), ARRIVALS=at)
    loaded = load_workload(folder / "w.yaml")
    (pipeline,) = loaded.pipelines
    act = next(number for number, node in enumerate(pipeline.graph.nodes) if node.kind == "agent")
    first_calls = [Call(0, 0, job, act, 0, 0, 0, 0.0, passes=(0,)) for job in range(JOBS)]
    own = [own_number("serial", pipeline, call, loaded.workload.seed, 0) for call in first_calls]
    alike = [
        len(list(takewhile(lambda digits: len(set(digits)) == 1, zip(*two, strict=True)))) for two in pairwise(own)
    ]
    assert max(alike) >= 1
    first = [call.reply.cached_tokens for call in calls if call.iteration == 0]
    assert first == [3, *(3 + digits for digits in alike)]


SHARED = """
version: 1
name: shared
pipelines:
  work:
    path: batch
    arrival: {at_s: [0, 10]}
    nodes:
      one: {agent: {system: "SYSTEM", prompt: "PROMPT", output_tokens: 5, shares_prefix: true}}
      two: {agent: {system: "SYSTEM", prompt: "PROMPT", output_tokens: 5, shares_prefix: SHARES}, after: [one]}
      own: {agent: {system: "OTHER", prompt: "PROMPT", output_tokens: 5, shares_prefix: true}, after: [two]}
servers:
  main: {kind: llamacpp, slots: SLOTS}
compare:
  serial: {placement: main, concurrency: serial}
"""


@pytest.mark.parametrize(
    ("slots", "shares", "found"),
    [
        (1, "true", [0, 8, 0, 0, 8, 0]),  # the third agent evicts what the first two share
        (2, "true", [0, 8, 0, 8, 8, 8]),
        (1, "false", [0, 0, 0, 0, 0, 0]),
    ],
    ids=["one slot", "two slots", "only one says so"],
)
def test_what_agents_share_is_read_once(slots: int, shares: str, found: list[int], tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PROFILE, encoding="utf-8")
    text = SHARED.replace("SHARES", shares).replace("SLOTS", str(slots)).replace("OTHER", "4567" * 8)
    for key, value in TEXTS.items():
        text = text.replace(key, value)
    (tmp_path / "w.yaml").write_text(text, encoding="utf-8")
    calls = predict(load_workload(tmp_path / "w.yaml"), load_profile(str(tmp_path / "p.yaml")), repeats=1).run.calls
    assert prompts(list(calls)) == [24] * 6
    assert [call.reply.cached_tokens for call in calls] == found


def test_what_agents_share_is_as_long_as_it_was_counted(tmp_path: Path) -> None:
    """A made-up handbook of 50 words and stops, 2 tokens each, and 17 beside them; the own numbers differ at once."""
    more = "shared_tokens: 17, made_up_tokens_per_piece: 2,"
    (tmp_path / "p.yaml").write_text(PROFILE + COUNTED.replace("MORE", more), encoding="utf-8")
    text = SHARED.replace("SHARES", "true").replace("SLOTS", "2").replace("SYSTEM", "{rules}")
    text += "inputs: {rules: {synthetic: {count: 1, tokens: 50}}}\n"
    (tmp_path / "w.yaml").write_text(text.replace("OTHER", "so " * 40).replace("PROMPT", "Yes"), encoding="utf-8")
    calls = predict(load_workload(tmp_path / "w.yaml"), load_profile(str(tmp_path / "p.yaml")), repeats=1).run.calls
    assert [call.reply.cached_tokens for call in calls if call.node != "own"][1:] == [17 + 2 * 50] * 3
    # The template of 10, the handbook, the own number in brackets of 8 and the prompt of 1.
    assert {call.reply.prompt_tokens for call in calls if call.node != "own"} == {10 + 2 * 50 + 8 + 1}
