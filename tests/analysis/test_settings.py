"""What is to be copied for a candidate."""

from __future__ import annotations

import asyncio

import pytest
from analysis.scenarios import scenario, steady

from harness.analysis.analyse import analyse
from harness.analysis.model import CandidateSummary
from harness.analysis.settings import settings_for
from harness.core.orders import ORDERS


def candidate(**changes: object) -> CandidateSummary:
    found = analyse(scenario({"batched": steady(12)})).candidates[0]
    return found._replace(servers=(found.servers[0]._replace(**changes),))  # type: ignore[arg-type]


def test_reserve_is_two_semaphores() -> None:
    (line,) = settings_for(candidate(cap="reserve", in_flight=4, batch_in_flight=3)).code
    names: dict[str, object] = {}
    exec(line, {"asyncio": asyncio}, names)
    every, batch = names["four_slot"], names["four_slot_batch"]
    assert isinstance(every, asyncio.Semaphore) and isinstance(batch, asyncio.Semaphore)
    assert (every._value, batch._value) == (4, 3)


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_but_the_plain_one_needs_more_than_a_semaphore(order: str) -> None:
    remarks = settings_for(candidate(order=order)).remarks
    assert any("priority queue" in remark for remark in remarks) == (order != "fifo")
