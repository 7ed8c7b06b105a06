"""What is to be copied for a candidate."""

from __future__ import annotations

import asyncio

import pytest
from analysis.scenarios import scenario, steady

from harness.analysis.analyse import analyse
from harness.analysis.model import CandidateSummary
from harness.analysis.settings import settings_for
from harness.core.orders import ORDERS
from harness.core.places import PLACES
from harness.core.plan import Pool


def candidate(**changes: object) -> CandidateSummary:
    found = analyse(scenario({"batched": steady(12)})).candidates[0]
    return found._replace(servers=(found.servers[0]._replace(**changes),))  # type: ignore[arg-type]


def test_reserve_is_two_semaphores() -> None:
    lines = settings_for(candidate(cap="reserve", in_flight=4, batch_in_flight=3)).code
    names: dict[str, object] = {}
    exec("\n".join(lines), {"asyncio": asyncio}, names)
    every, batch = names["four_slot"], names["four_slot_batch"]
    assert isinstance(every, asyncio.Semaphore) and isinstance(batch, asyncio.Semaphore)
    assert (every._value, batch._value) == (4, 3)


@pytest.mark.parametrize("choice", PLACES)
def test_several_servers_are_said_with_how_one_is_chosen(choice: str) -> None:
    run = scenario({"batched": steady(12)})
    (plan,) = [plan for plan in run.plans if plan.name == "batched"]
    place = tuple(tuple(Pool(choice, (0, 0)) for _ in of) for of in plan.place)
    found = analyse(run._replace(plans=(plan._replace(place=place),))).candidates[0]
    assert {how for _, how in found.pools} == {choice}
    assert any("with most free slots" in remark for remark in settings_for(found).remarks)


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_but_the_plain_one_needs_more_than_a_semaphore(order: str) -> None:
    remarks = settings_for(candidate(order=order)).remarks
    assert any("priority queue" in remark for remark in remarks) == (order != "fifo")
