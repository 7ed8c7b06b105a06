"""The design that a run recommends, before running servers."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_every_command import slotwise

from harness.app.gateway import PIPELINES, gateway, plan_of_gateway
from harness.app.gateway_from import plan_from
from harness.app.options import GatewayOptions
from harness.errors import UserError

WORKLOAD = """
version: 1
name: two
pipelines:
  work: {path: batch, jobs: 6, nodes: {call: {agent: {prompt: "Write.", output_tokens: 40}}}}
  chat: {path: interactive, jobs: 3, arrival: {every_s: 1}, nodes: {call: {agent: {prompt: "Say.", output_tokens: 8}}}}
servers: {one: {kind: simulated, profile: epyc-2core, slots: 4, context_tokens: 1024}}
compare:
  only: {placement: one, concurrency: window, limit: 3, scheduling: SCHEDULING, ageing_s: 20}
measure: {repeats: 2, warmup: 0}
"""


def simulated(
    folder: Path, scheduling: str, *more: object, concurrency: str = "window", limit: str = " limit: 3,"
) -> str:
    file = folder / "two.yaml"
    text = WORKLOAD.replace("SCHEDULING", scheduling).replace("window, limit: 3,", f"{concurrency},{limit}")
    if scheduling == "fifo":
        text = text.replace(", ageing_s: 20", "")
    file.write_text(text, encoding="utf-8")
    slotwise("simulate", file, "--profile", "epyc-2core", "--resamples", 0, "--out", folder / "runs", *more)
    (run,) = (each for each in (folder / "runs").iterdir() if each.is_dir())
    return str(run)


def test_a_gateway_takes_policies_limits_and_slots_of_a_run(tmp_path: Path) -> None:
    run = simulated(tmp_path, "interactive-first")
    plan = plan_from(run, ["http://here:1"], [])
    (queue,) = plan.queues
    assert (queue.server, queue.slots, queue.limit, queue.most, queue.ageing_s) == ("http://here:1", 4, 3, 3, 20)
    assert (queue.concurrency.name, queue.scheduling.name) == ("window", "interactive-first")
    assert plan.placement == ((0,),) * len(PIPELINES)
    assert plan_from(run, ["u"], [2]).queues[0].slots == 2
    with pytest.raises(UserError, match=r"has 1 server \(one\); name each with --upstream"):
        gateway(GatewayOptions(upstreams=("http://127.0.0.1:1", "http://127.0.0.1:2"), run=run))


def test_own_policies_of_a_run_are_named_again(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        'def half(queue):\n    """Half."""\n    return max(1, queue.slots // 2)\n\n\nCONCURRENCY = {"half": half}\n',
        encoding="utf-8",
    )
    run = simulated(tmp_path, "fifo", "--policies", mine, concurrency="half", limit="")
    with pytest.raises(UserError, match='"half" is your own policy; name its file with --policies FILE'):
        plan_from(run, ["http://here:1"], [])
    (queue,) = plan_from(run, ["http://here:1"], [], mine).queues
    assert (queue.concurrency.name, queue.most) == ("half", 2)
    options = GatewayOptions(upstreams=("u",), concurrency="half", scheduling="fifo", policies=mine)
    assert plan_of_gateway(options, ["u"], [6]).queues[0].most == 3


def test_a_run_whose_design_needs_jobs_is_refused(tmp_path: Path) -> None:
    run = simulated(tmp_path, "shortest-first")
    with pytest.raises(UserError, match="schedules by shortest-first"):
        plan_from(run, ["http://here:1"], [])
