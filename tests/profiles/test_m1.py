"""The published M1 figures, predicted in virtual time: exact numbers, and within the stated bounds of the published."""

from __future__ import annotations

import numpy as np
import pytest
from core.graphs import queue_of

from harness.core.arrival_processes import Listed
from harness.core.engine import Engine
from harness.core.graph import Graph, Node, Pipeline
from harness.core.plan import Plan
from harness.drivers.modelled import ModelledServer, ModelledServers
from harness.drivers.virtual import simulate
from harness.profiles.compile import compile_costs, server_models
from harness.profiles.load import load_profile
from harness.profiles.schema import Profile, Row

PROFILE = load_profile("m1-published")


def wall_s(profile: Profile, row: Row) -> float:
    costs = compile_costs(profile, row.slots, given={"prefill_s_per_token": 0.0}).costs
    (model,) = server_models(profile, [costs])
    fan = Pipeline("fan", "batch", Graph((Node("n", "agent", (), (), row.concurrent),)), Listed((0.0,)), jobs=1)
    engine = Engine((fan,), Plan("m1", (queue_of("m1", row.slots, "unbounded"),), ((0,),)), origin="predicted")
    backend = ModelledServers(
        [ModelledServer(model, costs.before_s, costs.after_s)], lambda call: (30, row.output_tokens)
    )
    return simulate(engine, backend, lambda record: None)


def test_every_row_exactly() -> None:
    predicted = [round(wall_s(PROFILE, row), 3) for row in PROFILE.rows]
    assert predicted == [4.5, 8.53, 16.59, 32.71, 5.15, 10.57, 11.36, 22.25]


@pytest.mark.parametrize("row", PROFILE.rows, ids=lambda row: f"{row.slots} slots, {row.concurrent} calls")
def test_rows_within_their_bounds(row: Row) -> None:
    assert row.fitted == (row.concurrent < 8)
    assert abs(wall_s(PROFILE, row) / row.wall_s - 1) < (0.05 if row.fitted else 0.03)


def test_the_profile_is_what_the_fitted_rows_give() -> None:
    """By the rule that the file states; the rows with 8 calls have no part in it."""
    walls = {(row.slots, row.concurrent): row.wall_s for row in PROFILE.rows if row.fitted}
    per_call_s, overhead_s = np.polyfit([1, 2, 4], [walls[1, n] for n in (1, 2, 4)], 1)
    one, four = PROFILE.slots["1"], PROFILE.slots["4"]
    assert one.before_s == four.before_s == pytest.approx(overhead_s, rel=1e-3)
    assert one.step_s["1"] == pytest.approx(per_call_s / 99, rel=1e-4)
    assert {int(b): s for b, s in four.step_s.items()} == {
        b: pytest.approx((walls[4, b] - overhead_s) / 99, rel=1e-4) for b in (1, 2, 4)
    }
