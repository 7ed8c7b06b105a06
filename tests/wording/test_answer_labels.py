"""What candidates are called in the table of an answer."""

from __future__ import annotations

import pytest
from analysis import records as make
from analysis.scenarios import scenario, steady

from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis
from harness.wording.answer_table import answer_table


def on_one_server(first: int | None, second: int | None, *, asked: int | None = None, waves: bool = False) -> Analysis:
    """Two candidates that send so many calls at once (None: all) to a server with 63 slots.

    `asked` is how many slots it was started with; None: it ran already, and was taken as it was.
    """
    found = analyse(scenario({"serial": steady(16), "batched": steady(13)}))
    uses = [one.servers[0]._replace(server="mine", slots=63, together=waves) for one in found.candidates]
    candidates = tuple(
        one._replace(servers=(use._replace(limit=limit),))
        for one, use, limit in zip(found.candidates, uses, (first, second), strict=True)
    )
    server = make.server("mine", 63)._replace(slots_asked=asked)
    return found._replace(run=found.run._replace(servers=(server,)), candidates=candidates)


def labels(analysis: Analysis) -> dict[str, str]:
    table = answer_table(analysis)
    assert table is not None
    return {row.name: row.label for row in table.rows}


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (1, 8, ("at most 1 call at once", "at most 8 calls at once")),
        (2, None, ("at most 2 calls at once", "no limit on calls")),
    ],
)
def test_on_a_server_that_was_taken_as_it_was_candidates_are_called_by_what_they_send(
    first: int, second: int | None, said: tuple[str, str]
) -> None:
    assert labels(on_one_server(first, second)) == {"serial": f"serial: {said[0]}", "batched": f"batched: {said[1]}"}


def test_waves_are_said_as_such() -> None:
    found = labels(on_one_server(2, 4, waves=True))
    assert found == {"serial": "serial: in waves of 2", "batched": "batched: in waves of 4"}


def test_where_that_makes_no_difference_or_slots_were_chosen_they_are_called_by_their_slots() -> None:
    by_slots = {"serial": "serial, 63 slots", "batched": "batched, 63 slots"}
    assert labels(on_one_server(8, 8)) == by_slots
    assert labels(on_one_server(1, 8, asked=63)) == by_slots
