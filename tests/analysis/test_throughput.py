"""Tokens over time, by hand."""

from __future__ import annotations

import pytest
from analysis.records import call

from harness.analysis.throughput import by_concurrency, output_tokens, throughput


def test_throughput_is_tokens_over_the_makespan() -> None:
    calls = [call(tokens=100), call(tokens=60), call(tokens=999, outcome="error")]
    assert output_tokens(calls) == 160
    assert throughput(calls, 8.0) == 20.0
    assert throughput(calls, 0.0) is None


def test_time_is_weighed_by_calls_in_flight() -> None:
    # One call is alone during [0, 1] and [2, 3]; both decode 100 tokens/s during [1, 2] and the second on to 3.
    calls = [
        call(ready=0.0, prefill=1.0, decode=1.0, tokens=100),
        call(ready=1.0, prefill=0.0, decode=2.0, tokens=200),
    ]
    found = {row.in_flight: row for row in by_concurrency(calls)}
    assert (found[1].time_s, found[1].tokens, found[1].tokens_per_s) == (2.0, 100.0, 50.0)
    assert (found[2].time_s, found[2].tokens, found[2].tokens_per_s) == (1.0, 200.0, 200.0)
    assert sum(row.tokens for row in found.values()) == pytest.approx(300)


def test_no_calls_no_rows() -> None:
    assert by_concurrency([]) == ()
