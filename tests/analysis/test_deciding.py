"""What decides the question of a workload, in facts and in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.analysis.arriving import ArrivingJobs, Stretch
from harness.analysis.deciding import Pays, QueueGrowth, deciding, growth_of, pays_of, sequels_of_chosen, settled
from harness.analysis.model import Analysis
from harness.analysis.statistics import compare
from harness.app.options import Assumptions, SimulateOptions
from harness.app.simulate import simulate
from harness.wording.learned import gain_text, growth_text, learned, rates_text

SHIPPED = Path(__file__).parents[2] / "workloads"


def analysed(name: str, repeats: int = 3) -> Analysis:
    assumed = Assumptions(profiles=("epyc-2core",), extrapolate=True, resamples=0)
    return simulate(SHIPPED / f"{name}.yaml", SimulateOptions(assumptions=assumed, repeats=repeats)).analysis


def rising(candidate: str, grows_at: tuple[float, ...], waits_from_s: float | None = 5.0) -> ArrivingJobs:
    stretches = tuple(Stretch(float(n), n + 1.0, 1.0, 0.5, n + 0.5) for n in range(10))
    return ArrivingJobs(candidate, "chat", "interactive", stretches, waits_from_s, tuple(enumerate(grows_at)))


def pays(values: tuple[float, ...], base: tuple[float, ...]) -> Pays:
    best = compare("four", dict(enumerate(values)), "one", dict(enumerate(base)))
    assert best is not None
    return Pays("batch", ("digest",), best)


@pytest.fixture(scope="module")
def chats() -> Analysis:
    return analysed("chat-only")


def test_the_fastest_other_is_held_against_the_simplest(chats: Analysis) -> None:
    (found,) = pays_of(chats)
    assert (found.path, found.pipelines) == ("interactive", ("chat",))
    assert (found.best.candidate, found.best.against, found.best.relation) == ("share", "queue", "worse")
    assert deciding(chats)[0].candidate == "share" and settled(chats)
    assert learned(chats).startswith('With "share" chat replies take') and learned(chats).endswith(".")


def test_one_repeat_settles_nothing() -> None:
    assert not settled(analysed("chat-only", repeats=1))


def test_pipelines_one_after_the_other_are_what_their_workload_asks_about() -> None:
    found = analysed("supersteps")
    assert [c.candidate for c in deciding(found)] == ["supersteps"]
    assert deciding(found) == tuple(sequel.comparison for sequel in sequels_of_chosen(found))
    assert learned(found).startswith(f'Under "{found.choice.candidate}", supersteps ')


def test_levels_are_asked_about_slots() -> None:
    found = analysed("concurrency-ladder")
    assert sequels_of_chosen(found) == ()
    assert learned(found).startswith('Gain of more slots over "serial"')


def test_a_rate_that_climbs_asks_where_the_queue_grows(chats: Analysis) -> None:
    queue, share = rising("queue", (2.0, 2.1, 2.0)), rising("share", (4.0, 4.1, 4.2))
    found = growth_of(chats, (queue, share))
    assert found is not None and found.against is not None
    assert found.against.candidate == "share" and found.against.relation == "better"
    assert deciding(chats, found) == (found.against,) and settled(chats, found)
    assert [name for name, _ in found.rates] == ["queue", "share"]
    assert '"queue" at 2.0 jobs a second' in growth_text(found)
    assert '"share" carries 102 % further than "queue"' in growth_text(found)
    assert learned(chats, found) == growth_text(found)
    assert rates_text(found) == "queue grows from: queue 2.0/s, share 4.1/s"


def test_a_queue_at_the_very_end_is_no_queue_that_grows(chats: Analysis) -> None:
    found = growth_of(chats, (rising("queue", (2.0, 2.1)), rising("share", (9.8, 9.9))))
    assert found is not None and found.none == ("share",) and found.against is None
    assert 'under "share" no queue stays up to 8.5 jobs a second' in growth_text(found)
    assert not settled(chats, found)


def test_where_no_rate_is_known_nothing_is_said(chats: Analysis) -> None:
    unknown = rising("queue", ())
    unknown = unknown._replace(stretches=tuple(at._replace(expected_per_s=None) for at in unknown.stretches))
    assert growth_of(chats, (unknown,)) is None and growth_of(chats, ()) is None


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((6.0, 6.1, 6.1), "four −39 %"),
        ((11.6, 11.6, 11.61), "four +16 %"),
        ((31.0, 31.1, 31.0), "four 3.1x"),
        ((10.0, 10.01, 10.0), "four equal within 5 %"),
        ((9.0, 12.0, 8.0), "four −5 % (not settled)"),
    ],
)
def test_a_gain_in_a_few_characters(values: tuple[float, ...], text: str) -> None:
    assert gain_text(pays(values, (10.0, 10.0, 10.0))) == text


def test_a_growth_says_when_it_does_not_know() -> None:
    against = compare("share", {0: 4.0, 1: 2.0, 2: 3.0}, "queue", {0: 3.0, 1: 3.0, 2: 3.0}, lower_is_better=False)
    assert "is not settled" in growth_text(QueueGrowth("chat", (), ("one",), 6.0, against))
