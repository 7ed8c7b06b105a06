"""The server model, engine and virtual driver against queueing theory.

Fixed seeds; the mean over independent runs must lie within its 99.9 % interval of the exact result. A slot's service is
made exponential (or whatever is wanted) by the number of tokens: 1 ms each, so its grain is a thousandth of its mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from math import factorial

import numpy as np
import pytest
from core.graphs import SINGLE, pipeline, queue_of
from numpy.random import Generator
from scipy.stats import t as student

from harness.core.arrival_processes import GammaGaps, Listed
from harness.core.engine import Engine
from harness.core.events import Action, Event
from harness.core.plan import Plan
from harness.core.records import CallRecord
from harness.core.server_model import ServerModel
from harness.core.server_request import Request
from harness.core.step_costs import StepCosts
from harness.drivers.modelled import ModelledServer, ModelledServers
from harness.drivers.virtual import simulate

TOKEN_S = 1e-3
Draw = Callable[[Generator, int], np.ndarray]  # (generator, how many) -> service times, s


def exponential(rng: Generator, n: int) -> np.ndarray:
    """Mean 1 s, squared coefficient of variation 1."""
    return rng.exponential(1.0, n)


def two_point(rng: Generator, n: int) -> np.ndarray:
    """Nine in ten take 0.5 s, one takes 5.5 s: mean 1 s, second moment 3.25 s2."""
    return np.where(rng.random(n) < 0.9, 0.5, 5.5)


def same_speed(slots: int) -> StepCosts:
    """Every slot as fast as if it were alone: c servers."""
    return StepCosts((0.0, *[TOKEN_S] * slots))


def shared_speed(slots: int) -> StepCosts:
    """The server as fast as it is, however many share it: processor sharing."""
    return StepCosts((0.0, *(TOKEN_S * b for b in range(1, slots + 1))))


def arrivals(rng: Generator, rate_per_s: float, draw: Draw, n: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.exponential(1 / rate_per_s, n).cumsum(), np.rint(draw(rng, n) / TOKEN_S).astype(int)


def serve(costs: StepCosts, due_s: np.ndarray, tokens: np.ndarray) -> list[Request]:
    """Run the calls through the model alone. One token more than the service needs: the first comes from the prompt."""
    model = ServerModel(costs)
    requests = []
    for i, (at_s, n) in enumerate(zip(due_s.tolist(), tokens.tolist(), strict=True)):
        while model.next_s() <= at_s:
            model.advance(model.next_s())
        requests.append(Request(i, 1, n + 1))
        model.submit(requests[-1], at_s)
    while model.next_s() < float("inf"):
        model.advance(model.next_s())
    return requests


def times_s(requests: Iterable[Request]) -> np.ndarray:
    return np.array([(r.end_s or 0.0) - r.queued_s for r in requests])


def assert_mean(runs: list[float], expected: float) -> None:
    half = student.ppf(0.9995, len(runs) - 1) * np.std(runs, ddof=1) / len(runs) ** 0.5
    assert half < 0.06 * expected  # else it could hardly fail
    assert abs(np.mean(runs) - expected) < half, (np.mean(runs), expected, half)


def mean_times(
    costs: StepCosts, rate_per_s: float, draw: Draw, seed: int, n: int = 6000, runs: int = 25
) -> list[float]:
    means = []
    for run in range(runs):
        requests = serve(costs, *arrivals(np.random.default_rng([seed, run]), rate_per_s, draw, n))
        means.append(float(times_s(requests[n // 10 :]).mean()))  # the first tenth still fills an empty system
    return means


def test_m_m_1() -> None:
    """T = 1 / (mu - lambda)."""
    assert_mean(mean_times(same_speed(1), 0.5, exponential, seed=1), 1 / (1 - 0.5))


@pytest.mark.parametrize(("servers", "load"), [(2, 0.7), (4, 0.75)])
def test_m_m_c(servers: int, load: float) -> None:
    """Erlang C: T = 1/mu + C(c, a) / (c mu - lambda), a = lambda / mu."""
    a = servers * load
    waits = a**servers / factorial(servers) / (1 - load)
    erlang_c = waits / (sum(a**k / factorial(k) for k in range(servers)) + waits)
    expected = 1 + erlang_c / (servers - a)
    assert_mean(mean_times(same_speed(servers), a, exponential, seed=2), expected)


def test_m_g_1() -> None:
    """Pollaczek-Khinchine: T = E[S] + lambda E[S2] / (2 (1 - rho))."""
    expected = 1 + 0.3 * 3.25 / (2 * (1 - 0.3))
    assert_mean(mean_times(same_speed(1), 0.3, two_point, seed=3), expected)


@pytest.mark.parametrize("cv", [0.5, 2.0])
def test_gi_m_1(cv: float) -> None:
    """T = 1 / (mu (1 - sigma)), sigma the root below 1 of sigma = A(mu (1 - sigma)), A the Laplace transform of gaps
    (Kleinrock, "Queueing Systems" I, 1975, chapter 6); of gamma gaps A(s) = (1 + s cv^2 / lambda)^(-1 / cv^2).
    """
    rate_per_s, sigma = 0.4, 0.5
    for _ in range(200):
        sigma = (1 + (1 - sigma) * cv**2 / rate_per_s) ** (-1 / cv**2)
    means = []
    for run in range(25):
        due_s = np.array(list(islice(GammaGaps(rate_per_s, cv).times(0.0, 9, run, "p"), 6000)))
        tokens = np.rint(exponential(np.random.default_rng([9, run]), 6000) / TOKEN_S).astype(int)
        means.append(float(times_s(serve(same_speed(1), due_s, tokens)[600:]).mean()))
    assert_mean(means, 1 / (1 - sigma))


@pytest.mark.parametrize("draw", [exponential, two_point])
def test_processor_sharing(draw: Draw) -> None:
    """T = E[S] / (1 - rho), whatever the distribution of S."""
    assert_mean(mean_times(shared_speed(64), 0.5, draw, seed=4), 1 / (1 - 0.5))


@pytest.mark.parametrize("slots", [1, 3, 64])
def test_work_is_conserved(slots: int) -> None:
    """Where the total rate is constant, busy periods end when Lindley's recursion says, however many share it."""
    due_s, tokens = arrivals(np.random.default_rng(5), 0.7, exponential, 2000)
    requests = serve(shared_speed(slots), due_s, tokens)
    end_s, ends = 0.0, []
    for at_s, n in zip(due_s.tolist(), tokens.tolist(), strict=True):
        if at_s > end_s:
            ends.append(end_s)
            end_s = at_s
        end_s += n * TOKEN_S
    mine = np.sort([r.end_s or 0.0 for r in requests])
    found = mine[np.searchsorted(mine, np.array(ends[1:]) - 1e-9)]
    assert found == pytest.approx(np.array(ends[1:]), abs=1e-9)
    assert mine[-1] == pytest.approx(end_s, abs=1e-9)


def test_one_slot_serves_first_come_first_served() -> None:
    """Call by call: D = max(A, D of the one before) + S (Lindley)."""
    due_s, tokens = arrivals(np.random.default_rng(6), 0.9, two_point, 3000)
    end_s = 0.0
    for request, at_s, n in zip(serve(same_speed(1), due_s, tokens), due_s.tolist(), tokens.tolist(), strict=True):
        end_s = max(at_s, end_s) + n * TOKEN_S
        assert request.end_s == pytest.approx(end_s, abs=1e-9)


class Watched(Engine):
    """Integrates the number of calls in the system over time."""

    area_s = 0.0
    seen_s = 0.0

    def handle(self, events: Sequence[Event], now_s: float) -> list[Action]:
        self.area_s += (self.queued + self.in_flight) * (now_s - self.seen_s)
        self.seen_s = now_s
        return super().handle(events, now_s)


def through_everything(concurrency: str, due_s: np.ndarray, tokens: np.ndarray) -> tuple[Watched, list[CallRecord]]:
    """Engine, driver and model: four slots, each as fast as if it were alone."""
    jobs = pipeline("p", *SINGLE, jobs=len(due_s), arrival=Listed(tuple(due_s.tolist())))
    engine = Watched((jobs,), Plan("theory", (queue_of("s", 4, concurrency),), ((0,),)), origin="predicted")
    lengths = tokens.tolist()
    backend = ModelledServers([ModelledServer(ServerModel(same_speed(4)))], lambda call: (1, lengths[call.job] + 1))
    calls: list[CallRecord] = []
    simulate(engine, backend, lambda record: calls.append(record) if isinstance(record, CallRecord) else None)
    return engine, calls


@pytest.mark.parametrize("concurrency", ["serial", "window", "unbounded"])
def test_littles_law_through_engine_and_driver(concurrency: str) -> None:
    """L = lambda W: the integral of the number in the system is the sum of the times in it, and of the times' parts."""
    due_s, tokens = arrivals(np.random.default_rng(7), 0.8 if concurrency == "serial" else 2.8, exponential, 2000)
    engine, calls = through_everything(concurrency, due_s, tokens)
    assert len(calls) == 2000
    in_system_s = sum((call.reply.end_s or 0.0) - call.ready_s for call in calls)
    assert engine.area_s == pytest.approx(in_system_s, rel=1e-9)
    replies = [call.reply for call in calls]
    parts_s = sum((r.queue_s or 0.0) + (r.prefill_s or 0.0) + (r.decode_s or 0.0) for r in replies)
    assert sum(call.router_wait_s or 0.0 for call in calls) + parts_s == pytest.approx(in_system_s, rel=1e-9)


def test_where_the_queue_stands_does_not_matter_to_the_calls() -> None:
    """A window in front of the server, and the server's own FIFO queue: the same ends, from different waits."""
    due_s, tokens = arrivals(np.random.default_rng(8), 2.8, exponential, 500)
    window, unbounded = (through_everything(concurrency, due_s, tokens)[1] for concurrency in ("window", "unbounded"))
    assert {call.job: call.reply.end_s for call in window} == {call.job: call.reply.end_s for call in unbounded}
    assert sum(call.router_wait_s or 0.0 for call in window) > 0
    assert sum(call.router_wait_s or 0.0 for call in unbounded) == 0
