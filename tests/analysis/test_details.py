"""What the page shows beyond the analysis: distributions, slack, lanes, the front. By hand, and against definitions."""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import pairwise

import networkx as nx
import pytest
from analysis import records as make
from analysis.scenarios import scenario, steady

from harness.analysis.analyse import analyse
from harness.analysis.critical_path import PathEdges, slack_of
from harness.analysis.details import details, ecdf
from harness.analysis.front import front_of
from harness.analysis.timeline import Waiting, median_trial, timeline, trials_to_show


def _graph(*edges: tuple[str, str]) -> PathEdges:
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_edges_from(edges, again=False)
    return PathEdges.compiled(graph)


def test_the_distribution_is_the_share_of_values_at_most_so_large() -> None:
    values = [3.0, 1.0, 2.0, 2.0]
    assert ecdf(values) == ((1.0, 0.25), (2.0, 0.5), (2.0, 0.75), (3.0, 1.0))


@pytest.mark.parametrize("n", [199, 200, 201, 12_345])
def test_many_values_make_few_points_that_all_lie_on_the_distribution(n: int) -> None:
    draw = random.Random(n)
    values = [draw.expovariate(1) for _ in range(n)]
    points = ecdf(values)
    assert len(points) == min(n, 200)
    assert points[0][0] == min(values)
    assert points[-1] == (max(values), 1.0)
    for at_s, share in points:
        assert share == sum(value <= at_s for value in values) / n


def test_slack_in_a_diamond() -> None:
    """a (1 s) -> b (2 s) and c (0.5 s) -> d (1 s): c could end 1.5 s later."""
    common = {"pipeline": "digest", "path": "batch"}
    calls = [
        make.call("a", prefill=0.5, decode=0.5, **common),  # type: ignore[arg-type]  # mixed
        make.call("b", ready=1.0, prefill=0.5, decode=1.5, **common),  # type: ignore[arg-type]  # mixed
        make.call("c", ready=1.0, prefill=0.25, decode=0.25, **common),  # type: ignore[arg-type]  # mixed
        make.call("d", ready=3.0, prefill=0.5, decode=0.5, **common),  # type: ignore[arg-type]  # mixed
    ]
    job = make.job("digest", path="batch", end=4.0)
    found = slack_of(job, calls, [], _graph(("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")), {})
    assert {slack.node: (slack.start_s, slack.end_s, slack.slack_s) for slack in found} == {
        "a": (0.0, 1.0, 0.0), "b": (1.0, 3.0, 0.0), "c": (1.0, 1.5, 1.5), "d": (3.0, 4.0, 0.0),
    }  # fmt: skip


def test_slack_of_a_fan_out_is_that_of_its_last_call_and_delays_count() -> None:
    common = {"pipeline": "digest", "path": "batch"}
    calls = [
        make.call("fan", prefill=0.5, decode=0.5, **common),  # type: ignore[arg-type]  # mixed
        make.call("fan", item=1, prefill=0.5, decode=1.0, **common),  # type: ignore[arg-type]  # mixed
    ]
    delays = [make.delay("tool", 0.0, 0.75), make.delay("last", 1.5, 2.0)]
    job = make.job("digest", path="batch", end=2.25)
    found = slack_of(job, calls, delays, _graph(("fan", "last"), ("tool", "last")), {})
    assert {slack.node: (slack.steps, slack.slack_s) for slack in found} == {
        "fan": (2, 0.25), "tool": (1, 1.0), "last": (1, 0.25),  # the harness's own quarter of a second is slack, too
    }  # fmt: skip


def test_calls_lie_in_as_many_lanes_as_there_are_slots_and_never_on_each_other() -> None:
    """Random calls through a first-in first-out queue of three slots."""
    draw = random.Random(3)
    free_s, calls, ready_s = [0.0] * 3, [], 0.0
    for serial in range(400):
        ready_s += draw.randrange(64) / 64
        slot = min(range(3), key=free_s.__getitem__)
        queue_s = max(0.0, free_s[slot] - ready_s)
        prefill_s, decode_s = draw.randrange(1, 64) / 64, draw.randrange(1, 128) / 64
        calls.append(make.call(serial=serial, ready=ready_s, queue=queue_s, prefill=prefill_s, decode=decode_s))
        free_s[slot] = ready_s + queue_s + prefill_s + decode_s
    chart = timeline(make.trial(), calls, {"one-slot": 3}, {})
    (server,) = chart.servers
    assert (chart.calls, chart.shown, chart.until_s, server.lanes) == (400, 400, None, 3)
    lanes = defaultdict(list)
    for bar in server.bars:
        lanes[bar.slot].append((bar.start_s, bar.end_s))
    assert set(lanes) == {0, 1, 2}
    for intervals in lanes.values():
        assert all(before[1] <= after[0] for before, after in pairwise(intervals))


def test_of_a_long_trial_the_first_calls_are_shown_and_the_rest_is_said() -> None:
    calls = [make.call(serial=n, queue=float(n), decode=0.75) for n in range(50)]  # all ready at once
    chart = timeline(make.trial(), calls, {}, {}, most=20)
    assert (chart.calls, chart.shown, chart.until_s) == (50, 20, 20.0)
    assert chart.servers[0].waiting[:2] == (Waiting(0.0, 0, 49), Waiting(1.0, 0, 48))  # of all of them
    assert chart.servers[0].waiting[-1] == Waiting(20.0, 0, 29)


def test_a_long_queue_is_averaged_and_its_area_stays() -> None:
    """What lies under the curve is the sum of all waits."""
    draw = random.Random(5)
    calls = [
        make.call(
            serial=n, ready=draw.randrange(4096) / 64, router=draw.randrange(64) / 64, queue=draw.randrange(64) / 64
        )
        for n in range(2000)
    ]
    (server,) = timeline(make.trial(), calls, {}, {}).servers
    steps = server.waiting
    assert len(steps) == 401
    pieces = [(after.time_s - step.time_s, step) for step, after in pairwise(steps)]
    assert sum(piece_s * step.router for piece_s, step in pieces) == pytest.approx(
        sum(c.router_wait_s or 0 for c in calls)
    )
    assert sum(piece_s * step.server for piece_s, step in pieces) == pytest.approx(
        sum(c.reply.queue_s or 0 for c in calls)
    )


def test_a_call_that_failed_has_no_slot() -> None:
    chart = timeline(make.trial(), [make.call(outcome="error")], {"one-slot": 1}, {})
    assert [bar.slot for bar in chart.servers[0].bars] == [None]


def test_the_median_trial_is_complete_and_happened() -> None:
    trials = [make.trial(repeat=n, makespan=span) for n, span in enumerate((3.0, 1.0, 2.0, 9.0))]
    assert median_trial([*trials, make.trial(repeat=9, makespan=2.5, complete=False)]) == trials[2]
    assert median_trial([]) is None


def test_medians_are_shown_first_and_then_whole_repeats_as_long_as_there_is_room() -> None:
    trials = [make.trial(name, n, makespan=span) for name, spans in (("a", (3, 1, 2, 9)), ("b", (5, 4, 6, 7)))
              for n, span in enumerate(spans)]  # fmt: skip

    def shown(calls: int) -> list[tuple[str, int]]:
        sizes = {(trial.candidate, trial.repeat): calls for trial in trials}
        found, most = trials_to_show(("a", "b"), trials, sizes)
        assert most == 2000
        return [(trial.candidate, trial.repeat) for trial in found]

    assert shown(10) == [(name, n) for name in "ab" for n in range(4)]
    assert shown(2000) == [("a", 0), ("a", 2), ("b", 0), ("b", 2)]  # both medians, and who did the same work
    assert shown(1500) == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("b", 2)]
    assert shown(3000) == [("a", 0), ("a", 2), ("b", 0), ("b", 2)]  # of long trials only the first calls


def test_no_more_repeats_than_anybody_looks_through_and_cut_trials_never() -> None:
    trials = [make.trial("a", n, makespan=n + 1.0, complete=n != 3) for n in range(50)]
    found, most = trials_to_show(("a", "b"), trials, {})
    assert most == 2000
    assert {trial.repeat for trial in found} == {0, 1, 2, 4, 5, 6, 7, 8, 25}
    many = [make.trial(f"c{n}", 0) for n in range(60)]
    assert trials_to_show([trial.candidate for trial in many], many, {}) == (many, 100)


def test_the_front_holds_what_no_other_candidate_beats() -> None:
    digest = {"serial": steady(16), "batched": steady(13), "split": steady(14)}
    chat = {"serial": steady(3), "batched": steady(2), "split": steady(1)}
    points = front_of(analyse(scenario(digest, chat)).candidates)
    assert [(point.candidate, point.on_front) for point in points] == [
        ("batched", True), ("split", True), ("serial", False),
    ]  # fmt: skip
    assert front_of(analyse(scenario(digest)).candidates) == ()


def test_all_of_it_from_one_run() -> None:
    digest = {"serial": steady(16), "batched": steady(13)}
    run = scenario(digest, {"serial": steady(3), "batched": steady(2)})
    found = details(run, analyse(run))
    assert [(spread.candidate, spread.pipeline, spread.jobs) for spread in found.distributions] == [
        ("serial", "digest", 10), ("serial", "chat", 15), ("batched", "digest", 10), ("batched", "chat", 15),
    ]  # fmt: skip
    assert {(row.node, row.calls) for row in found.nodes} == {("summarize", 20), ("merge", 10), ("reply", 15)}
    merge = next(row for row in found.nodes if (row.candidate, row.node) == ("serial", "merge"))
    assert merge.parts.prefill_s == pytest.approx(1.0)
    assert merge.parts.decode_s == pytest.approx(3.0)
    assert [(chart.candidate, chart.repeat) for chart in found.timelines] == [
        (name, repeat) for name in ("serial", "batched") for repeat in range(5)
    ]
    assert [chart.candidate for chart in found.timelines if chart.median] == ["serial", "batched"]
    assert found.trials == 10
    assert len(found.graphs) == 4
