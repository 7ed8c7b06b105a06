"""The critical path of a diamond, by hand."""

from __future__ import annotations

import pytest
from analysis.records import call, delay, job
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.critical_path import PathEdges, critical_path, median_job, slack_of
from harness.analysis.timesplit import Parts
from harness.core.records import CallRecord, DelayRecord, JobRecord
from harness.workload.dependencies import dependencies
from harness.workload.schema import Workload


def graph(pipeline: object, subpipelines: object = None) -> PathEdges:
    file = {"version": 1, "name": "w", "pipelines": {"p": pipeline}, "subpipelines": subpipelines or {}}
    return PathEdges.compiled(dependencies(Workload.model_validate(file), "p"))


GRAPH = graph(
    {
        "path": "batch",
        "jobs": 1,
        "nodes": {
            "plan": {"agent": "a"},
            "quick": {"agent": "a", "after": ["plan"]},
            "slow": {"agent": "a", "over": "things", "after": ["plan"]},
            "look-up": {"tool": {"delay_s": 1.0}, "after": ["plan"]},
            "edit": {"agent": "a", "after": ["quick", "slow", "look-up"]},
        },
    }
)


def diamond() -> tuple[JobRecord, list[CallRecord], list[DelayRecord]]:
    """plan 0.25-1.25, then quick to 2, look-up to 2.25, slow items to 2.5 and 4, edit 4.125-5; the job was due at 0."""
    calls = [
        call("plan", pipeline="p", ready=0.25, prefill=0.25, decode=0.75),
        call("quick", pipeline="p", ready=1.25, prefill=0.25, decode=0.5),
        call("slow", pipeline="p", item=0, ready=1.25, prefill=0.25, decode=1.0),
        call("slow", pipeline="p", item=1, ready=1.25, router=1.25, queue=0.25, prefill=0.25, decode=1.0),
        call("edit", pipeline="p", ready=4.125, prefill=0.125, decode=0.75),
    ]
    return job("p", due=0.0, end=5.5, calls=5), calls, [delay("look-up", 1.25, 2.25, pipeline="p")]


def test_the_path_of_a_diamond() -> None:
    record, calls, delays = diamond()
    path = critical_path(record, calls, delays, GRAPH, {})
    assert path is not None
    assert [(step.node, step.item) for step in path.steps] == [("plan", 0), ("slow", 1), ("edit", 0)]
    assert path.steps[0].parts == Parts(prefill_s=0.25, decode_s=0.75, harness_s=0.25)
    assert path.steps[1].parts == Parts(router_wait_s=1.25, queue_wait_s=0.25, prefill_s=0.25, decode_s=1.0)
    assert path.steps[2].parts == Parts(prefill_s=0.125, decode_s=0.75, harness_s=0.125 + 0.5)
    assert path.parts.total_s == path.pipeline_time_s == 5.5


def test_a_delay_can_be_critical() -> None:
    record, calls, _ = diamond()
    late = delay("look-up", 1.25, 4.125, pipeline="p")
    path = critical_path(record, calls, [late], GRAPH, {})
    assert path is not None
    assert [step.node for step in path.steps] == ["plan", "look-up", "edit"]
    assert path.steps[1].parts == Parts(tool_s=2.875)
    assert path.parts.total_s == 5.5


def test_a_job_of_which_nothing_ended_has_no_path() -> None:
    record, *_ = diamond()
    assert critical_path(record, [call("plan", outcome="error")], [], GRAPH, {}) is None


@given(st.lists(st.integers(0, 512), min_size=7, max_size=7))
def test_the_parts_add_up_to_the_pipeline_time(ticks: list[int]) -> None:
    plan, quick, slow, tool, edit, gap, tail = (tick / 512 for tick in ticks)
    ready = gap + plan
    ends = [ready + quick, ready + slow, ready + tool]
    calls = [
        call("plan", ready=gap, prefill=0.0, decode=plan),
        call("quick", ready=ready, prefill=quick, decode=0.0),
        call("slow", ready=ready, router=slow, prefill=0.0, decode=0.0),
        call("edit", ready=max(ends) + gap, prefill=edit, decode=0.0),
    ]
    record = job("p", end=max(ends) + gap + edit + tail, due=0.0)
    path = critical_path(record, calls, [delay("look-up", ready, ready + tool)], GRAPH, {})
    assert path is not None
    assert path.parts.total_s == record.pipeline_time_s
    assert path.steps[1].end_s == max(ends)


@pytest.mark.parametrize(("ends", "median"), [([3.0, 1.0, 2.0], 2.0), ([4.0, 3.0, 1.0, 2.0], 2.0)])
def test_the_median_job_is_one_that_happened(ends: list[float], median: float) -> None:
    assert median_job([job(number=n, end=end) for n, end in enumerate(ends)]).end_s == median


def test_the_path_goes_through_every_pass_of_a_loop_and_past_a_loser() -> None:
    review = {"nodes": {"critic": {"agent": "a"}, "editor": {"agent": "a", "after": ["critic"]}}}
    looped = graph(
        {
            "path": "batch",
            "jobs": 1,
            "nodes": {
                "fast": {"agent": "a"},
                "slow": {"agent": "a"},
                "refine": {"pipeline": "review", "after": ["fast", "slow"], "need": "any", "losers": "run",
                           "repeat": {"max": 2}},
                "end": {"agent": "a", "after": ["refine"]},
            },
        },
        {"review": review},
    )  # fmt: skip
    calls = [
        call("fast", pipeline="p", ready=0.0, prefill=0.0, decode=1.0),
        call("slow", pipeline="p", ready=0.0, prefill=0.0, decode=9.0),
        call("refine/critic", pipeline="p", ready=1.0, prefill=0.0, decode=1.0),
        call("refine/editor", pipeline="p", ready=2.0, prefill=0.0, decode=1.0),
        call("refine/critic", pipeline="p", ready=3.0, prefill=0.0, decode=1.0),
        call("refine/editor", pipeline="p", ready=4.0, prefill=0.0, decode=1.0),
        call("end", pipeline="p", ready=5.0, prefill=0.0, decode=1.0),
    ]
    path = critical_path(job("p", due=0.0, end=6.0, calls=7), calls, [], looped, {})
    assert path is not None
    nodes = [step.node for step in path.steps]
    assert nodes == ["fast", "refine/critic", "refine/editor", "refine/critic", "refine/editor", "end"]
    assert path.parts == Parts(decode_s=6.0)


def test_a_node_that_was_skipped_was_waited_for_as_long_as_what_decides() -> None:
    """`edit` waits for `extra`, which runs only if `sort` says so: until it has said no, `edit` cannot start."""
    nodes = {
        "quick": {"agent": "a"},
        "sort": {"agent": "a", "branch": {"yes": 0.5, "no": 0.5}},
        "extra": {"agent": "a", "after": ["sort.yes"]},
        "more": {"agent": "a", "after": ["extra"]},
        "edit": {"agent": "a", "after": ["quick", "more"]},
    }
    skipping = graph({"path": "batch", "jobs": 1, "nodes": nodes})
    calls = [
        call("quick", pipeline="p", ready=0.0, prefill=0.25, decode=0.25),
        call("sort", pipeline="p", ready=0.0, prefill=0.25, decode=2.75),
        call("edit", pipeline="p", ready=3.0, prefill=0.25, decode=0.75),
    ]
    record = job("p", due=0.0, end=4.0, calls=3)
    path = critical_path(record, calls, [], skipping, {})
    assert path is not None
    assert [step.node for step in path.steps] == ["sort", "edit"]
    assert path.parts == Parts(prefill_s=0.5, decode_s=3.5)
    slack = {node.node: node.slack_s for node in slack_of(record, calls, [], skipping, {})}
    assert slack == {"quick": 2.5, "sort": 0.0, "edit": 0.0}


def test_a_node_that_is_skipped_in_one_pass_of_a_loop() -> None:
    """In the first pass `sort` says yes, in the second no."""
    nodes = {
        "sort": {"agent": "a", "branch": {"yes": 0.5, "no": 0.5}},
        "quick": {"agent": "a"},
        "extra": {"agent": "a", "after": ["sort.yes"]},
        "edit": {"agent": "a", "after": ["quick", "extra"]},
    }
    pipeline = {"path": "batch", "jobs": 1, "nodes": {"r": {"pipeline": "s", "repeat": {"max": 2}}}}
    looping = graph(pipeline, {"s": {"nodes": nodes}})
    times = [("sort", 0, 1), ("quick", 0, 0.5), ("extra", 1, 2), ("edit", 2, 3)]
    times += [("sort", 3, 5), ("quick", 3, 3.5), ("edit", 5, 6)]
    calls = [
        call(f"r/{name}", pipeline="p", ready=start, prefill=0.0, decode=end - start) for name, start, end in times
    ]
    record = job("p", due=0.0, end=6.0, calls=7)
    path = critical_path(record, calls, [], looping, {})
    assert path is not None
    assert [step.node for step in path.steps] == [f"r/{name}" for name in ("sort", "extra", "edit", "sort", "edit")]
    assert path.parts == Parts(decode_s=6.0)
    slack = {node.node: node.slack_s for node in slack_of(record, calls, [], looping, {})}
    assert slack == {"r/sort": 0.0, "r/quick": 1.5, "r/extra": 0.0, "r/edit": 0.0}
