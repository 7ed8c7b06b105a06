"""The parts of a call add up, and the wait in the server's queue is found by the rule that its source allows."""

from __future__ import annotations

from typing import Any

import pytest
from analysis.records import call
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.timesplit import Parts, add_parts, is_load_event, mean_parts, split_call
from harness.runs.model import Baseline

EVERYTHING: dict[str, Any] = {
    "ready": 1.0,
    "router": 0.5,
    "throttle": 0.125,
    "queue": 2.0,
    "load": 0.0625,
    "prefill": 0.25,
    "decode": 1.0,
    "overhead": 0.03125,
    "client": 0.015625,
}


def test_told_wait_is_exact() -> None:
    split = split_call(call(**EVERYTHING), None)
    assert split is not None
    assert split.queue_source == "exact"
    assert split.parts == Parts(0.5, 0.125, 2.0, 0.0625, 0.03125, 0.25, 1.0, 0.015625, 0.0, 0.0, 0.0)


def test_residual_method_takes_the_baselines_off() -> None:
    record = call(**EVERYTHING, tell_queue=False)
    split = split_call(record, Baseline(residual_s=0.03125, load_s=0.015625, calls=5))
    assert split is not None
    assert split.queue_source == "residual"
    # R - R0 = 2.0 and load - L0 = 0.046875: a loaded model's slow load check is waiting too.
    assert split.parts == Parts(0.5, 0.125, 2.046875, 0.015625, 0.0, 0.25, 1.0, 0.015625, 0.0, 0.0, 0.03125)


def test_a_load_event_stays_load() -> None:
    baseline = Baseline(residual_s=0.0, load_s=0.03125, calls=5)
    record = call(load=0.75, queue=1.0, tell_queue=False)
    assert is_load_event(record, baseline)
    split = split_call(record, baseline)
    assert split is not None
    assert (split.parts.load_s, split.parts.queue_wait_s) == (0.75, 1.0)


def test_ten_times_a_slow_baseline_is_needed_for_a_load_event() -> None:
    assert not is_load_event(call(load=0.75), Baseline(0.0, 0.125, 5))
    assert is_load_event(call(load=1.5), Baseline(0.0, 0.125, 5))


def test_without_a_baseline_the_wait_is_unknown_and_not_attributed() -> None:
    split = split_call(call(**EVERYTHING, tell_queue=False), None)
    assert split is not None
    assert split.queue_source == "unknown"
    assert (split.parts.queue_wait_s, split.parts.not_attributed_s) == (0.0, 2.03125)


def test_a_wait_below_its_baseline_is_zero() -> None:
    split = split_call(call(queue=0.0, overhead=0.0, tell_queue=False), Baseline(0.5, 0.5, 5))
    assert split is not None
    assert split.parts.queue_wait_s == 0.0


def test_a_failed_call_has_no_split() -> None:
    assert split_call(call(outcome="timeout"), None) is None


ticks = st.integers(0, 4096).map(lambda n: n / 512)


@given(
    durations=st.tuples(*[ticks] * 9),
    told=st.booleans(),
    baseline=st.none() | st.tuples(ticks, ticks).map(lambda pair: Baseline(*pair, 5)),
)
def test_the_parts_add_up_exactly(durations: tuple[float, ...], told: bool, baseline: Baseline | None) -> None:
    names = ("ready", "router", "throttle", "queue", "load", "prefill", "decode", "overhead", "client")
    record = call(**dict(zip(names, durations, strict=True)), tell_queue=told)  # type: ignore[arg-type]  # of several types
    split = split_call(record, baseline)
    assert split is not None and record.reply.end_s is not None
    assert split.parts.total_s == record.reply.end_s - record.ready_s


@pytest.mark.parametrize("seconds", [0.1, 1 / 3, 1e-7])
def test_the_parts_add_up_to_rounding_on_any_durations(seconds: float) -> None:
    record = call(ready=seconds * 1000, router=seconds, queue=seconds * 7, prefill=seconds / 3, decode=seconds * 11)
    split = split_call(record, None)
    assert split is not None and record.reply.end_s is not None
    assert split.parts.total_s == pytest.approx(record.reply.end_s - record.ready_s, rel=1e-12)


def test_sums_and_means_go_kind_by_kind() -> None:
    both = [Parts(decode_s=1.0, load_s=0.5), Parts(decode_s=3.0)]
    assert add_parts(both) == Parts(decode_s=4.0, load_s=0.5)
    assert mean_parts(both) == Parts(decode_s=2.0, load_s=0.25)
    assert mean_parts([]) == Parts()


@pytest.mark.parametrize(
    ("told", "thinking_s"),
    [
        ({"first_thought_s": 1.0, "first_token_s": 1.75, "thinking_tokens": 9}, 0.75),  # as it was seen
        ({"first_thought_s": 1.0, "first_token_s": None, "thinking_tokens": 33}, 1.0),  # it never came to an answer
        ({"first_thought_s": 1.0, "first_token_s": 9.0}, 1.0),  # never more than there was
        ({"thinking_tokens": 8}, 0.25),  # a quarter of the 32 tokens after the first
        ({"thinking_tokens": 33}, 1.0),
        ({}, 0.0),
    ],
)
def test_thinking_is_a_part_of_its_own(told: dict[str, Any], thinking_s: float) -> None:
    record = call(**EVERYTHING)
    split = split_call(record._replace(reply=record.reply._replace(**told)), None)
    whole = split_call(record, None)
    assert split is not None and whole is not None
    assert (split.parts.thinking_s, split.parts.decode_s) == (thinking_s, 1.0 - thinking_s)
    assert split.parts.generating_s == 1.0
    assert split.parts.total_s == whole.parts.total_s
