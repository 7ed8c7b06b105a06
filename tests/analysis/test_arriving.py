"""Times by arrival of the job: which pipelines ask for it, and from when on a queue stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.analysis.arriving import waits_from
from harness.analysis.details import details
from harness.app.options import Assumptions, SimulateOptions
from harness.app.simulate import simulate
from harness.core.arrival_processes import ArrivalProcess, Closed, Every, Listed, Poisson, Ramp

SHIPPED = Path(__file__).parents[2] / "workloads"


@pytest.mark.parametrize(
    ("waits", "from_s"),
    [
        ([], None),
        ([(1.0, 2.0)], None),  # nothing waits at the end
        ([(4.0, 12.0)], 4.0),
        ([(1.0, 3.0), (2.0, 6.0), (5.0, 12.0)], 1.0),  # one takes over from another
        ([(1.0, 3.0), (4.0, 12.0), (7.0, 8.0)], 4.0),  # before 4 s nothing waited for a while
        ([(9.0, 11.0), (10.5, 12.0)], 9.0),  # what becomes ready afterwards says nothing
        ([(5.0, 5.0), (10.0, 10.0)], None),  # no wait at all
    ],
)
def test_from_when_on_something_always_waits(waits: list[tuple[float, float]], from_s: float | None) -> None:
    assert waits_from(waits, until_s=10.0) == from_s


@pytest.mark.parametrize(
    ("process", "changes"),
    [
        (Ramp(1.0, 5.0, 20.0), True),
        (Ramp(5.0, 1.0, 20.0), True),
        (Ramp(2.0, 2.0, 20.0), False),
        (Poisson(3.0), False),
        (Every(0.0), False),
        (Closed(3), False),
        (Listed(tuple(float(n) for n in range(20))), False),
        (Listed((0.0,) * 20), False),  # all at once
        (Listed((*(float(4 * n) for n in range(5)), *(20 + n / 2 for n in range(40)))), True),  # two rates
        (Listed((0.0, 9.0, 9.5)), False),  # too few to tell
        (Listed(()), False),
    ],
)
def test_which_arrivals_ask_for_it(process: ArrivalProcess, changes: bool) -> None:
    assert process.changes is changes


@pytest.mark.parametrize(
    ("process", "at_s", "per_s"),
    [
        (Ramp(1.0, 5.0, 20.0), 0.0, 1.0),
        (Ramp(1.0, 5.0, 20.0), 10.0, 3.0),
        (Ramp(1.0, 5.0, 20.0), 50.0, 5.0),  # it stays there
    ],
)
def test_the_rate_that_is_expected_at_a_moment(process: Ramp, at_s: float, per_s: float) -> None:
    assert process.per_s_at(at_s) == per_s


def test_a_rate_that_climbs_overtakes_one_slot_before_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SHIPPED.parent)
    asked = SimulateOptions(assumptions=Assumptions(profiles=("epyc-2core",), extrapolate=True, resamples=0), repeats=3)
    run, analysis, *_ = simulate(SHIPPED / "rush-hour.yaml", asked)
    queue, share = details(run, analysis).arriving
    assert (queue.candidate, share.candidate) == ("queue", "share")
    assert len(queue.stretches) == 10
    assert queue.stretches[0].per_s < queue.stretches[-1].per_s
    assert queue.waits_from_s is not None and share.waits_from_s is not None
    assert 0 < queue.waits_from_s < share.waits_from_s <= queue.stretches[-1].to_s
    rates = [at.expected_per_s for at in queue.stretches]
    assert None not in rates and rates == sorted(rates, key=lambda rate: rate or 0.0)
    assert [repeat for repeat, _ in queue.grows_at] == [0, 1, 2]
    assert all(0.2 < rate <= 6 for _, rate in (*queue.grows_at, *share.grows_at))


def test_a_steady_rate_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SHIPPED.parent)
    asked = SimulateOptions(assumptions=Assumptions(profiles=("epyc-2core",), extrapolate=True, resamples=0), repeats=1)
    run, analysis, *_ = simulate(SHIPPED / "chat-only.yaml", asked)
    assert details(run, analysis).arriving == ()
