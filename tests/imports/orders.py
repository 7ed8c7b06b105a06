"""The order of a workload's calls when each takes one second: for tests that an imported graph is the original's."""

from __future__ import annotations

from harness.core.engine import Engine
from harness.core.events import Call
from harness.core.records import CallRecord, DelayRecord, JobRecord, Reply
from harness.drivers.virtual import FixedDurations, simulate
from harness.workload.load import Loaded

Order = tuple[frozenset[str], ...]  # what starts together, step by step


def orders(loaded: Loaded, repeats: int = 1) -> set[Order]:
    """Return every order that the draws of this many repeats give; a node is called what it is in its sub-pipeline."""
    return set(all_orders(loaded, repeats))


def all_orders(loaded: Loaded, repeats: int = 1) -> list[Order]:
    """Return the order of every job."""
    plan = next(plan for plan in loaded.plans if plan.name == "unbounded")
    found: list[Order] = []
    for repeat in range(repeats):
        starts: dict[tuple[str, int, float], set[str]] = {}
        jobs: dict[tuple[str, int], list[frozenset[str]]] = {}

        def keep(
            record: CallRecord | DelayRecord | JobRecord,
            starts: dict[tuple[str, int, float], set[str]] = starts,
            jobs: dict[tuple[str, int], list[frozenset[str]]] = jobs,
        ) -> None:
            if isinstance(record, CallRecord):
                at_s, end_s = record.ready_s, record.reply.end_s
            elif isinstance(record, DelayRecord):
                at_s, end_s = record.start_s, record.end_s
            else:
                jobs[record.pipeline, record.job] = []  # also one in which nothing took any time
                return
            if end_s != at_s:
                key = (record.pipeline, record.job, at_s)
                starts.setdefault(key, set()).add(record.node.rpartition("/")[2])

        def serve(call: Call, now_s: float) -> Reply:
            return Reply("ok", sent_s=now_s, end_s=now_s + 1)

        engine = Engine(loaded.pipelines, plan, origin="predicted", seed=loaded.workload.seed, repeat=repeat)
        simulate(engine, FixedDurations(serve), keep)
        for (pipeline, job, _), names in sorted(starts.items()):
            jobs[pipeline, job].append(frozenset(names))
        found += [tuple(order) for order in jobs.values()]
    return found
