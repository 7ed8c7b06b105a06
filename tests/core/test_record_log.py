"""A log of records gives back what it was given."""

from __future__ import annotations

import pytest
from core.graphs import FAN, node, pipeline, queue_of

from harness.core import record_log
from harness.core.engine import Engine
from harness.core.plan import Plan
from harness.core.record_log import RecordLog, Records
from harness.core.records import CallRecord, DelayRecord, JobRecord, Reply
from harness.core.server_model import ServerModel
from harness.core.step_costs import StepCosts
from harness.drivers.modelled import ModelledServer, ModelledServers
from harness.drivers.virtual import simulate


@pytest.mark.parametrize("block", [1, 2, 5, 4096])
def test_what_a_simulation_made_comes_back_equal_and_of_the_same_types(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_log, "BLOCK", block)
    made: list[CallRecord | JobRecord | DelayRecord] = []
    tools = pipeline("tools", node("fetch", delay_s=0.25), node("ask", (0,)), jobs=2)
    engine = Engine(
        (pipeline("fan", *FAN, jobs=3), tools),
        Plan("x", (queue_of("s", 2),), ((0, 0), (0, 0))),
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
    records = Records()
    for record in made:
        records.append(record)
    for kind, log in ((CallRecord, records.calls), (JobRecord, records.jobs), (DelayRecord, records.delays)):
        wanted = [record for record in made if isinstance(record, kind)]
        assert wanted
        assert [repr(record) for record in log] == [repr(record) for record in wanted]
        assert all(type(mine) is kind for mine in log)
        assert [log[i] for i in range(len(log))] == wanted
        assert log[-1] == wanted[-1]
        assert log[1:] == wanted[1:]
        assert log == tuple(wanted)
        assert log != wanted[1:]
        with pytest.raises(IndexError):
            log[len(wanted)]


def test_values_that_are_equal_and_not_the_same_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """0 and 0.0, a sum of floats that is whole, numbers beyond 64 bits, and what is not known."""
    monkeypatch.setattr(record_log, "BLOCK", 3)
    log = RecordLog(JobRecord)
    made = [
        JobRecord("c", 0, "predicted", "p", "batch", number, due_s, 0.0, end_s, "ok", 1)
        for number, due_s, end_s in ((1, 0.0, 5.0), (2, 0, -0.0), (1 << 70, 1.5, 0.0))
    ]
    for record in made:
        log.append(record)
    assert [repr(record) for record in log] == [repr(record) for record in made]
