"""Servers on one machine: a change of clock, checked against the servers alone."""

from __future__ import annotations

import pytest
from core.by_step import Given, Seen, reference
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.machine import Machine
from harness.core.server_model import ServerModel
from harness.core.server_request import Request
from harness.core.step_costs import StepCosts

COSTS = StepCosts(decode_s=(0.0, 1.0, 1.5), prefill=((1, 0.25),), batch_tokens=8)


def together(costs: list[StepCosts], calls: list[list[Given]], stretch: dict[int, float]) -> list[list[Seen]]:
    machine = Machine([ServerModel(c) for c in costs], stretch)
    requests = [[Request(i, c.prompt_tokens, c.output_tokens) for i, c in enumerate(batch)] for batch in calls]
    events = [(c.at_s, 0, s, i) for s, batch in enumerate(calls) for i, c in enumerate(batch)]
    events += [(c.cancel_s, 1, s, i) for s, batch in enumerate(calls) for i, c in enumerate(batch) if c.cancel_s]
    events.sort()
    while True:
        now_s = min(*(server.next_s() for server in machine.servers), events[0][0] if events else float("inf"))
        if now_s == float("inf"):
            return [[Seen(r.prompt_s, r.first_token_s, r.end_s, r.cancelled) for r in batch] for batch in requests]
        for server in machine.servers:
            server.advance(now_s)
        while events and events[0][0] == now_s:
            _, kind, s, i = events.pop(0)
            if kind == 0:
                machine.servers[s].submit(requests[s][i], now_s)
            elif requests[s][i].end_s is None:
                machine.servers[s].cancel(requests[s][i], now_s)


sizes = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 30)), min_size=1, max_size=6)


@settings(max_examples=100, deadline=None)
@given(sizes, sizes, st.sampled_from([1.0, 1.25, 2.0]), st.sampled_from([0.0, 1 / 64]))
def test_two_busy_servers_stretch_each_other_until_one_is_idle(
    left: list[tuple[int, int]], right: list[tuple[int, int]], factor: float, context_s: float
) -> None:
    costs = [COSTS._replace(context_s_per_token=context_s), COSTS._replace(decode_s=(0.0, 0.5))]
    batches = [[Given(0.0, *size) for size in sizes] for sizes in (left, right)]
    alone = [reference(c, b) for c, b in zip(costs, batches, strict=True)]
    shared_s = min(max(seen.end_s or 0.0 for seen in batch) for batch in alone)

    def real(work_s: float | None) -> float:
        assert work_s is not None
        return factor * min(work_s, shared_s) + max(0.0, work_s - shared_s)

    expected = [[(real(s.prompt_s), real(s.first_token_s), real(s.end_s)) for s in batch] for batch in alone]
    for mine, other in zip(together(costs, batches, {2: factor}), expected, strict=True):
        for seen, times in zip(mine, other, strict=True):
            assert seen[:3] == pytest.approx(times, rel=1e-12)


def test_the_stretch_begins_and_ends_within_a_step() -> None:
    """Right works from 2.5 to 4.5 s, its own 1 s of work stretched by two; left loses one second by that."""
    left, right = together([COSTS, COSTS], [[Given(0.0, 4, 5)], [Given(2.5, 4, 1)]], {2: 2.0})
    assert right == [Seen(2.5, 4.5, 4.5, False)]
    assert left == [Seen(0.0, 1.0, 6.0, False)]


def test_a_call_cancelled_on_a_shared_machine_goes_at_the_end_of_the_stretched_step() -> None:
    left, right = together([COSTS, COSTS], [[Given(0.0, 4, 50, 3.0)], [Given(0.0, 4, 2)]], {2: 2.0})
    assert right == [Seen(0.0, 2.0, 4.0, False)]
    assert left == [Seen(0.0, 2.0, 4.0, True)]


def test_unknown_contention_is_refused() -> None:
    models = [ServerModel(COSTS), ServerModel(COSTS)]
    with pytest.raises(ValueError, match=r"^the contention of 2 busy servers on one machine is not known$"):
        Machine(models, {})
