"""The oracle of the walk: what a job has to do, found by recursion over its graph.

It is slow, keeps no state and shares no code with the walk. Use it with `random_graphs`, on records of either driver.

Everything is a function of (node, pass of every loop around it): when it was ready, when it was done, from when on
nobody needed it. How long calls took is read from the records; whether a call should have been there at all, and when
it should have been ready, is what is found out here. No two calls may end at one instant, and no graph may
have both lists and `need`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import inf
from typing import NamedTuple

from harness.core.draws import uniform
from harness.core.graph import Pipeline
from harness.core.records import CallRecord, DelayRecord, JobRecord

Passes = tuple[int, ...]


class End(NamedTuple):
    """When it is known that a node is done (alive) or skipped."""

    at_s: float
    alive: bool


class Expected(NamedTuple):
    """What must be in the records of one job."""

    calls: dict[tuple[str, int, int, int], float]  # (node, iteration, item, attempt) -> ready
    delays: dict[tuple[str, int], tuple[float, float]]  # those that were sat out; (node, iteration) -> start and end
    not_needed: dict[tuple[str, int, int], float]  # (node, iteration, item) -> since when, of those not done by then
    outcome: str
    end_s: float


def reference(
    pipeline: Pipeline, seed: int, job: JobRecord, calls: Sequence[CallRecord], delays: Sequence[DelayRecord]
) -> Expected:
    """Say what should have happened in a job, given how long each call took."""
    nodes = pipeline.graph.nodes
    attempts: dict[tuple[str, int, int], dict[int, CallRecord]] = {}
    for call in calls:
        attempts.setdefault((call.node, call.iteration, call.item), {})[call.attempt] = call
    delay_ends = {(delay.node, delay.iteration): delay.end_s for delay in delays}
    # The loops around each node, outermost first.
    around = [[u for u in range(len(nodes) - 1, -1, -1) if i in nodes[u].body] for i in range(len(nodes))]

    def drawn(node: int, iteration: int, purpose: str) -> float:
        return uniform(seed, job.repeat, pipeline.name, job.job, nodes[node].name, 0, iteration, purpose)

    def item_end(node: int, iteration: int, item: int) -> float:
        for call in attempts.get((nodes[node].name, iteration, item), {}).values():
            if call.outcome == "ok":
                assert call.reply.end_s is not None
                return call.reply.end_s
        return inf

    @cache
    def loop_pass(until: int, outer: Passes, number: int) -> tuple[End, bool]:
        """When pass `number` of a loop ended, and whether it was the last."""
        end = joined(until, outer, [(sink, (*outer, number)) for sink in nodes[until].predecessors])
        if not end.alive or end.at_s == inf:
            return end, True
        iteration = iteration_of(until, outer) + number
        spec = nodes[until]
        if spec.passes is not None:
            key = (job.repeat, pipeline.name, job.job, spec.name, 0, iteration_of(until, outer), "passes")
            return end, number + 1 >= min(max(1, round(spec.passes.draw(seed, *key))), spec.max_iterations)
        last = number + 1 == spec.max_iterations
        return end, last or drawn(until, iteration, "until") < nodes[until].end_share

    def passes_of(until: int, outer: Passes) -> int:
        number = 0
        while not loop_pass(until, outer, number)[1]:
            number += 1
        return number + 1

    def joined(node: int, passes: Passes, sources: list[tuple[int, Passes]]) -> End:
        """When a node is let go by the ends of its predecessors; not alive: skipped then."""
        ends = []
        for place, (source, at) in enumerate(sources):
            end = done(source, at)
            takes = nodes[node].takes[place] if nodes[node].takes else None
            alive = end.alive and (takes is None or takes == label(source, at))
            ends.append(End(end.at_s, alive))
        if not ends:
            return End(job.arrived_s, True)
        living = sorted(end.at_s for end in ends if end.alive)
        last = max(end.at_s for end in ends)
        need = nodes[node].need
        if need is not None and len(living) >= need:
            return End(living[need - 1], True)
        return End(last, bool(living))

    @cache
    def ready(node: int, passes: Passes) -> End:
        loops = around[node]
        for level in range(len(loops) - 1, -1, -1):  # innermost first
            until = loops[level]
            if any(before in nodes[until].body for before in nodes[node].predecessors):
                break  # not where a pass of this loop begins, nor of one further out
            if passes[level]:
                first = ready(node, (*passes[:level], 0, *(0 for _ in loops[level + 1 :])))
                again = loop_pass(until, passes[:level], passes[level] - 1)[0]
                return End(again.at_s, first.alive)
        sources = [(before, passes[: len(around[before])]) for before in nodes[node].predecessors]
        return joined(node, passes, sources)

    def width(node: int, passes: Passes) -> int:
        spec = nodes[node]
        if spec.over is None:
            return spec.width
        over = passes[: len(around[spec.over])]
        if not done(spec.over, over).alive:
            return 0
        assert spec.items is not None
        key = (job.repeat, pipeline.name, job.job, spec.name, 0, iteration_of(node, passes), "items")
        return min(spec.width, int(spec.items.draw(seed, *key)))

    @cache
    def done(node: int, passes: Passes) -> End:
        spec = nodes[node]
        if spec.kind == "until":
            return loop_pass(node, passes, passes_of(node, passes) - 1)[0]
        start = ready(node, passes)
        if not start.alive or start.at_s == inf:
            return start
        iteration = iteration_of(node, passes)
        if spec.kind == "tool":
            return End(delay_ends.get((spec.name, iteration), inf), True)
        items = width(node, passes)
        if not items:
            return start
        ends = sorted(item_end(node, iteration, item) for item in range(items))
        return End(ends[min(items, spec.enough or items) - 1], True)

    @cache
    def label(node: int, passes: Passes) -> int | None:
        shares = nodes[node].shares
        if not shares:
            return None
        value = drawn(node, iteration_of(node, passes), "branch")
        return next(i for i in range(len(shares)) if value < sum(shares[: i + 1]) or i == len(shares) - 1)

    @cache
    def unneeded(node: int, passes: Passes, within: int | None = None) -> float:
        """From when on nobody waits for this pass of a node; somebody waits for `within`, whatever comes after it."""
        if node == within:
            return inf
        after = nodes[node].successors
        if not after:
            return inf
        until_s = 0.0
        for successor in after:
            at = passes[: len(around[successor])]
            if nodes[successor].kind == "until" and node in nodes[successor].body:
                waits_s = loop_pass(successor, at, passes[len(at)])[0].at_s
            elif len(around[successor]) > len(at):  # it begins a loop
                at = (*at, *(0 for _ in around[successor][len(at) :]))
                waits_s = ready(successor, at).at_s
            elif nodes[successor].kind == "until":
                raise AssertionError("only its body comes before an until node")
            else:
                waits_s = ready(successor, at).at_s
            until_s = max(until_s, min(waits_s, unneeded(successor, at, within)))
        return until_s

    def ran(node: int, passes: Passes, within: int | None = None) -> bool:
        start = ready(node, passes)
        if not start.alive or start.at_s == inf:
            return False
        if nodes[node].kind == "agent" and not width(node, passes):
            return start.at_s <= unneeded(node, passes, within)
        return start.at_s < unneeded(node, passes, within)

    def ended(until: int, outer: Passes, number: int, within: int) -> bool:
        """Whether the end of a pass really came."""
        end = loop_pass(until, outer, number)[0]
        return end.alive and end.at_s < inf and end.at_s <= unneeded(until, outer, within)

    def all_passes(node: int) -> list[Passes]:
        """Every pass that was begun, in order."""
        found: list[Passes] = [()]
        for until in around[node]:
            found = [(*outer, number) for outer in found for number in range(passes_of(until, outer))]
        return found

    @cache
    def iteration_of(node: int, passes: Passes) -> int:
        """How often a node ran before."""
        count = 0
        for before in earlier(node, passes):
            # The loop by whose passes the two differ went on after that pass: its end was waited for.
            level = next(i for i in range(len(passes)) if before[i] != passes[i])
            loop = around[node][level]
            if nodes[node].kind == "until":
                count += sum(ended(node, before, n, loop) for n in range(passes_of(node, before)))
            else:
                count += ran(node, before, loop)
        return count

    def earlier(node: int, passes: Passes) -> list[Passes]:
        found: list[Passes] = [()]
        for level, until in enumerate(around[node]):
            following = []
            for outer in found:
                # In the pass that is asked about, no more is looked at than has begun.
                here = outer == passes[:level]
                following += [(*outer, n) for n in range(passes[level] + 1 if here else passes_of(until, outer))]
            found = following
        return [each for each in found if each < passes]

    # The first item that fails for good, while it is needed, fails the job.
    failed_s = inf
    outcome = "ok"
    runs = [(node, passes) for node in range(len(nodes)) for passes in all_passes(node) if nodes[node].kind != "until"]
    for node, passes in runs:
        if nodes[node].kind != "agent" or not ran(node, passes):
            continue
        iteration = iteration_of(node, passes)
        gone_s = min(unneeded(node, passes), done(node, passes).at_s)
        for item in range(width(node, passes)):
            last = attempts.get((nodes[node].name, iteration, item), {}).get(nodes[node].retries)
            if last is not None and last.outcome not in ("ok", "cancelled"):
                assert last.reply.end_s is not None
                if last.reply.end_s < min(gone_s, failed_s):
                    failed_s, outcome = last.reply.end_s, last.outcome

    expected = Expected({}, {}, {}, outcome, 0.0)
    last_s = job.arrived_s
    for node, passes in runs:
        spec, start = nodes[node], ready(node, passes)
        if not ran(node, passes) or start.at_s > failed_s:
            continue
        iteration = iteration_of(node, passes)
        end_s = done(node, passes).at_s
        gone_s = min(unneeded(node, passes), failed_s)
        if spec.kind == "tool":
            if end_s < inf:
                expected.delays[spec.name, iteration] = (start.at_s, end_s)
            last_s = max(last_s, min(end_s, gone_s))
            continue
        for item in range(width(node, passes)):
            needed_s = min(gone_s, end_s)
            if item_end(node, iteration, item) > needed_s and failed_s > needed_s:
                expected.not_needed[spec.name, iteration, item] = needed_s
            ready_s = start.at_s
            for attempt in range(spec.retries + 1):
                expected.calls[spec.name, iteration, item, attempt] = ready_s
                made = attempts.get((spec.name, iteration, item), {}).get(attempt)
                if made is None or made.outcome in ("ok", "cancelled") or made.reply.end_s is None:
                    break
                ready_s = made.reply.end_s + spec.backoff_s * 2**attempt
                if made.reply.end_s > needed_s or ready_s > needed_s:
                    break  # nobody asks again for what is not needed
        last_s = max(last_s, min(end_s, gone_s))
    if failed_s < inf:  # what the job waited for by then is let run
        last_s = failed_s
        for call in calls:
            if call.started_s is None or call.reply.end_s is None:
                continue
            given_up_s = expected.not_needed.get((call.node, call.iteration, call.item), inf)
            if given_up_s > failed_s:
                last_s = max(last_s, call.reply.end_s)
    return expected._replace(end_s=last_s)
