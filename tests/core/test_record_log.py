"""A log of records gives back what it was given."""

from __future__ import annotations

from core.graphs import FAN, node, pipeline

from harness.core.engine import Engine
from harness.core.plan import Lane, Plan
from harness.core.record_log import RecordLog
from harness.core.records import CallRecord, DelayRecord, JobRecord, Reply
from harness.core.server_model import ServerModel
from harness.core.step_costs import StepCosts
from harness.drivers.modelled import ModelledServer, ModelledServers
from harness.drivers.virtual import simulate


def test_what_a_simulation_made_comes_back_equal_and_of_the_same_types() -> None:
    made: list[CallRecord | JobRecord | DelayRecord] = []
    tools = pipeline("tools", node("fetch", delay_s=0.25), node("ask", (0,)), jobs=2)
    engine = Engine(
        (pipeline("fan", *FAN, jobs=3), tools),
        Plan("x", (Lane("s", 2),), ((0, 0), (0, 0))),
        origin="predicted",
        timeout_s=9.0,
    )
    servers = [ModelledServer(ServerModel(StepCosts((0.0, 1.0, 1.5), ((1, 0.25),))))]
    simulate(engine, ModelledServers(servers, lambda call: (4, 3)), made.append)
    assert {record.outcome for record in made if isinstance(record, CallRecord)} >= {"ok"}
    made.append(
        CallRecord(
            "c",
            0,
            "measured",
            "p",
            "batch",
            7,
            "n",
            0,
            0,
            1,
            9,
            "a",
            "m",
            "s",
            1.5,
            None,
            Reply("rejected", error="503"),
        )
    )
    log = RecordLog()
    for record in made:
        log.append(record)
    back = list(log)
    assert back == made
    assert len(log) == len(made)
    assert [repr(record) for record in back] == [repr(record) for record in made]
