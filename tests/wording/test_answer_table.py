"""The figures of an answer."""

from __future__ import annotations

import pytest
from analysis.scenarios import scenario, steady

from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis
from harness.analysis.uses import differ_in_order
from harness.units import seconds
from harness.wording.answer_table import answer_table


def two_orders(chats: int) -> Analysis:
    """One server, used first come, first served or interactive first; `chats` in each of five repeats."""
    digest = {"serial": steady(16), "batched": steady(13)}
    found = analyse(scenario(digest, {"serial": steady(3), "batched": steady(2)}, chats=chats))
    batched = found.by_name["batched"]
    fifo = tuple(use._replace(scheduling="fifo") for use in batched.servers)
    return found._replace(candidates=(batched._replace(name="fifo", servers=fifo), batched))


@pytest.mark.parametrize(("chats", "there"), [(20, True), (19, False)])
def test_candidates_that_differ_in_order_show_95th_percentiles_of_100_jobs(chats: int, there: bool) -> None:
    found = two_orders(chats)
    table = answer_table(found)
    assert table is not None
    assert (("chat", "p95") in table.columns) is there
    assert ("digest", "p95") not in table.columns  # ten jobs
    if there:
        column = table.columns.index(("chat", "p95"))
        (p95_s,) = {summary.p95_s for summary in found.candidates[0].pipelines if summary.pipeline == "chat"}
        assert p95_s is not None and table.rows[0].cells[column] == seconds(p95_s)


def test_other_slots_are_more_than_another_order() -> None:
    found = analyse(scenario({"serial": steady(16), "batched": steady(13)}))
    assert not differ_in_order(found.candidates)
    assert differ_in_order(two_orders(1).candidates)
    assert not differ_in_order(found.candidates[:1])
