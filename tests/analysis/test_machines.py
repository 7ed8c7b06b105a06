"""Which machine carries a workload, and which of those is the cheapest."""

from __future__ import annotations

import math

import pytest

from harness.analysis.machines import Carries, MachineComparison, MachineResult, MachineTime
from harness.analysis.model import GoalResult
from harness.analysis.statistics import Estimate, ends_of
from harness.core.records import Origin
from harness.wording.estimates import UNKNOWN
from harness.wording.figures import ends_text, estimate_text
from harness.wording.machines_answer import carries_text, machines_answer, time_text


def estimated(value: float, low: float | None = None, high: float | None = None, spread: float = 0.0) -> Estimate:
    profile = (value * math.exp(-spread), value * math.exp(spread)) if spread else (None, None)
    return Estimate(value, low, high, 20, "predicted", *profile)


def machine(
    name: str, value_s: float, carries: Carries = "yes", price: float | None = None, origin: Origin = "measured"
) -> MachineResult:
    time = MachineTime("ask", "interactive", estimated(value_s, value_s / 1.1, value_s * 1.1), ())
    return MachineResult(name, f"a {name}", "m", origin, carries, "serial", 1, (time,), 1, 2, price)


def test_draws_and_profile_are_one_interval() -> None:
    found = estimated(2.0, 2.0 * math.exp(-0.3), 2.0 * math.exp(0.3), spread=0.4)
    ends = ends_of(found)
    assert ends is not None
    assert ends == pytest.approx((2.0 * math.exp(-0.5), 2.0 * math.exp(0.5)))


def test_an_interval_without_width_is_none() -> None:
    found = estimated(5.32, 5.32, 5.32)
    assert ends_of(found) is None
    assert estimate_text(found) == f"5.32 s ({UNKNOWN})"
    assert time_text(MachineTime("ask", "batch", found, ())) == f"5.32 s ({UNKNOWN})"


def test_a_narrow_interval_is_no_unknown_one() -> None:
    assert ends_text((5.3201, 5.3205), "{:.2f} s".format) == "±0.004 %"
    assert ends_text((5.0, 6.0), "{:.2f} s".format) == "5.00 s to 6.00 s"


def test_the_cheapest_of_those_that_carry_it() -> None:
    small, large, slow = (
        machine("small", 1.5, price=900),
        machine("large", 0.2, price=9000),
        machine("slow", 3, "no", 1),
    )
    found = MachineComparison("w", "", (large, small, slow))
    assert found.best == small
    assert machines_answer(found).headline == "small is the cheapest that meets every goal: ask reply 1.50 s."


def test_without_a_price_the_fastest_is_named_and_prices_are_asked_for() -> None:
    found = MachineComparison("w", "", (machine("small", 1.5), machine("large", 0.2, price=9000)))
    assert found.best is not None
    assert found.best.name == "large"
    answer = machines_answer(found)
    assert answer.headline == "small and large meet every goal; large is the fastest."
    assert any('--price "small=NUMBER"' in line.text for part in answer.parts for line in part.lines)


def test_the_cheapest_of_those_with_a_price_is_named_beside_the_fastest() -> None:
    found = MachineComparison("w", "", (machine("a", 1.5, price=9), machine("b", 1.0, price=5), machine("c", 0.2)))
    said = [line.text for part in machines_answer(found).parts for line in part.lines]
    assert "Of those with a price b is the cheapest." in said
    assert [one.name for one in found.ranked] == ["c", "b", "a"]


@pytest.mark.parametrize(("other_s", "resolved"), [(1.1, False), (1.3, True)])  # each interval is 10 % to either side
@pytest.mark.parametrize("carries", ["yes", "no goal"])
def test_the_faster_of_two_is_named_only_where_that_is_resolved(
    other_s: float, resolved: bool, carries: Carries
) -> None:
    machines = (machine("a", 1.0, carries, origin="estimated"), machine("b", other_s, carries, origin="estimated"))
    answer = machines_answer(MachineComparison("w", "", machines))
    said = [line.text for part in answer.parts for line in part.lines]
    assert ("Not resolvable on an estimate whether a or b is faster." in said) is not resolved
    assert ("a is the fastest by its middle figure" in answer.headline) is not resolved
    assert "a is the fastest" in answer.headline


def test_what_to_measure_names_the_model_that_all_machines_run() -> None:
    both = [machine(name, 1.0, origin="estimated")._replace(model_asked="qwen3:8b") for name in ("a", "b")]

    def said(*machines: MachineResult) -> str:
        answer = machines_answer(MachineComparison("w", "", machines))
        return " ".join(line.text for part in answer.parts for line in part.lines)

    assert said(*both).endswith("slotwise probe http://127.0.0.1:11434 --model qwen3:8b")
    assert said(both[0], both[1]._replace(model_asked="phi4:14b")).endswith("--model NAME")


def test_a_cheaper_one_that_may_carry_it_is_named() -> None:
    machines = (machine("a", 1.0, price=900), machine("b", 2.0, "not certain", 100, "estimated"))
    answer = machines_answer(MachineComparison("w", "", machines))
    said = [line.text for part in answer.parts for line in part.lines]
    assert "Not resolvable on an estimate whether b meets every goal, and it is cheaper." in said


def test_nobody_is_named_where_nobody_surely_carries_it() -> None:
    found = MachineComparison("w", "", (machine("a", 2.0, "not certain", origin="estimated"), machine("b", 3.0, "no")))
    assert found.best is None
    answer = machines_answer(found)
    said = [line.text for part in answer.parts for line in part.lines]
    assert "Not resolvable on an estimate whether a meets every goal." in said
    assert any("slotwise probe" in text for text in said)
    assert carries_text(found.machines[0]) == "not resolvable"
    assert "estimated" in answer.basis[-1]


def with_goals(name: str, *goals: GoalResult, carries: Carries = "not certain", origin: Origin) -> MachineResult:
    """A machine whose reply takes 1 s, 10 % to either side, with a first token after 0.2 s."""
    time = MachineTime("ask", "interactive", estimated(1.0, 1 / 1.1, 1.1), goals, estimated(0.2, 0.19, 0.21))
    return machine(name, 1.0, carries, origin=origin)._replace(times=(time,))


def table_of(*machines: MachineResult) -> tuple[list[tuple[str, str]], list[tuple[str, ...]]]:
    table = machines_answer(MachineComparison("w", "", machines)).table
    assert table is not None
    return list(table.columns), [row.cells for row in table.rows]


def test_the_table_has_first_tokens_and_the_figure_that_the_goal_is_about() -> None:
    goal = GoalResult("ask", "p50_s", 1.0, 0.95, "met")
    columns, (cells,) = table_of(with_goals("a", goal, origin="estimated"))
    assert columns[:3] == [("", "candidate"), ("ask", "reply"), ("ask first", "token")]
    assert columns[3] == ("goal: median", "reply < 1.00 s")
    assert cells[:4] == ("serial", "950 ms", "200 ms", "not resolvable")


def test_several_goals_are_counted_as_for_one_machine() -> None:
    goals = (GoalResult("ask", "first_token_s", 1.0, 0.2, "met"), GoalResult("ask", "p50_s", 1.0, 0.95, "met"))
    columns, (cells,) = table_of(with_goals("a", *goals, origin="measured"))
    assert columns[3] == ("2 goals", "met") and cells[3] == "1 to 2 of 2"


def test_a_machine_on_which_it_does_not_fit_meets_nothing() -> None:
    goal = GoalResult("ask", "p50_s", 2.0, 0.95, "met")
    _, (cells,) = table_of(with_goals("a", goal, carries="too large", origin="measured"))
    assert cells[3] == "no room"
