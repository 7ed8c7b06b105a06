"""The rows of concurrency levels and the slots found, on calls whose slots are known."""

from __future__ import annotations

from typing import Any

import pytest
from analysis.records import call, run, trial
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.levels import began_together, counted_surely, effective_slots, level_of, levels_of, median_slots
from harness.core.records import CallRecord, Reply


def served(calls: int, slots: int, length: float = 1.0, lag: float = 0.0, **options: Any) -> list[CallRecord]:
    """Calls sent at 0 to a server of `slots`, in waves of that many; every other end is seen `lag` late."""
    return [
        call(
            item=n,
            queue=(n // slots) * length,
            prefill=length / 4,
            decode=length * 3 / 4,
            client=lag * (n % 2),
            **options,
        )
        for n in range(calls)
    ]


@given(calls=st.integers(1, 16), slots=st.integers(1, 8), lag=st.sampled_from([0.0, 0.01, 0.04, 0.3]))
def test_the_slots_are_found(calls: int, slots: int, lag: float) -> None:
    assert effective_slots(served(calls, slots, lag=lag)) == min(calls, slots)


def test_calls_one_after_the_other_are_one_slot() -> None:
    assert effective_slots([call(ready=0.0), call(ready=1.25), call(ready=2.5)]) == 1


def test_failed_calls_hold_no_slot() -> None:
    assert effective_slots([call(outcome="error"), call()]) == 1
    assert effective_slots([]) == 0


@given(calls=st.integers(2, 64), slots=st.integers(1, 16), lag=st.sampled_from([0.0, 0.01, 0.04]))
def test_waves_are_counted_surely(calls: int, slots: int, lag: float) -> None:
    burst = served(calls, slots, lag=lag)
    assert counted_surely([burst], min(calls, slots))


def test_calls_that_begin_one_by_one_over_longer_than_one_takes_are_not() -> None:
    """Each is taken at once, and all would overlap; a slow machine hands them on 0.1 s apart."""
    burst = [call(item=n, queue=n / 10, prefill=0.25, decode=0.75) for n in range(16)]
    assert effective_slots(burst) < 16 and not began_together(burst)
    assert not counted_surely([burst] * 3, effective_slots(burst))


def test_bursts_that_differ_are_sure_of_nothing_but_one_may_be_off() -> None:
    four, three, two = served(8, 4), served(8, 3), served(8, 2)
    assert counted_surely([four, three, four], 4)
    assert not counted_surely([four, three, two], 3)


def test_the_probe_takes_the_median_of_its_runs() -> None:
    assert median_slots([served(8, 4), served(8, 3), served(8, 4)]) == 4


def test_a_row_by_hand() -> None:
    row = level_of(served(4, 2, tokens=31), pinned_tokens=31)
    assert row.concurrent == 4
    assert row.wall_s == 2.0
    assert row.aggregate_tokens_per_s == 62.0
    assert row.per_call_tokens_per_s == pytest.approx(40.0)  # 30 tokens after the first in 0.75 s
    assert row.queue_wait_s == 0.5
    assert row.short_answers == 0


def test_short_answers_are_counted() -> None:
    assert level_of(served(4, 2, tokens=31), pinned_tokens=100).short_answers == 4


def test_an_unknown_wait_stays_unknown() -> None:
    assert level_of(served(2, 1, tell_queue=False)).queue_wait_s is None


def calls_at_levels(candidate: str, slots: int, repeat: int, server_name: str) -> list[CallRecord]:
    """Levels of 1, 2, 4 calls, one after the other, as one job."""
    calls, now = [], 0.0
    for level in (1, 2, 4):
        batch = served(
            level, slots, candidate=candidate, repeat=repeat, server=server_name, tokens=100, node=f"n{level}"
        )
        calls += [c._replace(ready_s=now, started_s=now, reply=_later(c, now)) for c in batch]
        now += 1.0 * -(-level // slots)
    return calls


def _later(record: CallRecord, by: float) -> Reply:
    reply = record.reply
    assert reply.sent_s is not None and reply.end_s is not None
    return reply._replace(sent_s=reply.sent_s + by, end_s=reply.end_s + by)


def test_levels_are_found_in_a_run() -> None:
    calls = [c for repeat in range(3) for c in calls_at_levels("serial", 1, repeat, "one-slot")]
    calls += [c for repeat in range(3) for c in calls_at_levels("batched", 4, repeat, "four-slot")]
    trials = tuple(trial(name, repeat) for name in ("serial", "batched") for repeat in range(3))
    measured = run(calls=tuple(calls), trials=trials, candidates=("serial", "batched"))
    found = levels_of(measured, {("chat", "n4"): 100})
    assert [(one.label, one.slots_asked) for one in found] == [("serial", 1), ("batched", 4)]
    assert [(row.concurrent, row.wall_s) for row in found[0].rows] == [(1, 1.0), (2, 2.0), (4, 4.0)]
    assert [(row.concurrent, row.wall_s) for row in found[1].rows] == [(1, 1.0), (2, 1.0), (4, 1.0)]
    assert found[1].rows[2].aggregate_tokens_per_s == 400.0


def test_batches_that_overlap_are_no_levels() -> None:
    calls = calls_at_levels("serial", 1, 0, "one-slot")
    calls.append(call("other", ready=0.5, tokens=100))
    assert levels_of(run(calls=tuple(calls), trials=(trial(),), candidates=("serial",)), {}) == ()
