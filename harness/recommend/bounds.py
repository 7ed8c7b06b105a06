"""What no routing can beat on these servers: the span of a job, and the work of all of them.

Span: every call alone on an idle server with the fastest setting there is, so a job takes as long as its longest chain.
It is found by the engine itself, on the draws of each seed, with servers that never make anybody wait: whatever the
graph does (branches, loops, k of n), the bound does too. Work: all tokens of the batch path, each at the best rate that
any setting reaches with any number of calls together. Both hold for the model of the server; its noise, which is a
factor on single segments, is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Literal, NamedTuple

from harness.analysis.model import Analysis
from harness.core.concurrency import UNBOUNDED
from harness.core.engine import Engine
from harness.core.events import Call
from harness.core.plan import Plan, ServerQueue
from harness.core.records import CallRecord, DelayRecord, JobRecord, Reply
from harness.core.step_costs import StepCosts, prefill_s, sped_up
from harness.drivers.modelled import Tokens
from harness.drivers.virtual import CannotEnd, simulate
from harness.predict.forecast import TokensOf, forecast
from harness.predict.sizes import Sizes
from harness.profiles.compile import compile_costs, stretch_of
from harness.profiles.embedding import embedding_of
from harness.profiles.schema import Profile, TextTokens
from harness.recommend.evaluate import Problem
from harness.recommend.model import BoundRow
from harness.workload.load import Loaded
from harness.workload.machines import by_machine
from harness.workload.schema import ServerSpec

__all__ = ["Bounds", "bound_rows", "bounds", "call_alone_s", "rate_s"]


class Bounds(NamedTuple):
    """Seconds; by pipeline, in the workload's order. None where no job ended well."""

    span_s: tuple[float | None, ...]  # no median job of the pipeline is faster
    batch_work_s: float | None  # the batch path is not all done before; None where there is none


def bounds(problem: Problem, seeds: int) -> Bounds:
    """Return the bounds of a workload over this many seeds, in the means that the times beside them have."""
    loaded = problem.loaded
    costs = {name: _costs(problem, spec) for name, spec in loaded.servers.items()}
    tokens_of = _read_at_least(loaded, problem.profiles.first.text, problem.profiles.embedded_text)
    plan = loaded.plans[0]
    tokens_by = plan.name  # any will do: all their servers count tokens alike
    one = plan._replace(
        queues=(ServerQueue(plan.queues[0].server, 1, UNBOUNDED),),
        placement=tuple((0,) * len(pipeline.graph.nodes) for pipeline in loaded.pipelines),
    )
    spans: list[list[float]] = [[] for _ in loaded.pipelines]
    works: list[float] = []
    for repeat in range(seeds):
        tokens = tokens_of(tokens_by, repeat)
        batch, jobs = _never_waiting(problem, one, tokens, tuple(costs.values()), repeat)
        for number, pipeline in enumerate(loaded.pipelines):
            times = [job.pipeline_time_s for job in jobs if job.pipeline == pipeline.name and job.outcome == "ok"]
            if times and median(times) > 0:
                spans[number].append(median(times))
        if batch:
            works.append(min(_work_s(each, costs, problem, batch) for each in loaded.plans))
    return Bounds(
        tuple(math.exp(math.fsum(map(math.log, times_s)) / len(times_s)) if times_s else None for times_s in spans),
        math.fsum(works) / len(works) if works and not _drops_calls(loaded) else None,
    )


def bound_rows(problem: Problem, analysis: Analysis, names: Sequence[str]) -> list[BoundRow]:
    """Return the figures of the answer beside their bounds; `names` are the candidates to run."""
    repeats = min(5, analysis.run.repeats)
    found = bounds(problem, repeats)
    rows = []
    for verdict in analysis.paths:
        name = names[0] if len(names) == 1 else verdict.chosen
        candidate = analysis.by_name.get(name or "")
        if candidate is None:
            continue
        for number, summary in enumerate(candidate.pipelines):
            span_s = found.span_s[number]
            alone = verdict.path == "batch" and problem.loaded.pipelines[number].jobs == 1 and found.batch_work_s
            if alone and span_s and span_s < (found.batch_work_s or 0.0):
                continue  # its work, below, says more
            if summary.pipeline in verdict.pipelines and summary.time and span_s:
                figure: Literal["a reply", "a job"] = "a reply" if verdict.path == "interactive" else "a job"
                rows.append(BoundRow(summary.pipeline, figure, summary.time.value, span_s))
        if verdict.path == "batch" and found.batch_work_s and len(verdict.pipelines) == 1:
            done = next(s.all_done for s in candidate.pipelines if s.pipeline in verdict.pipelines)
            if done:
                rows.append(BoundRow(verdict.pipelines[0], "all jobs", done.value, found.batch_work_s))
    return rows


def _read_at_least(loaded: Loaded, text: TextTokens | None, embedded: TextTokens | None) -> TokensOf:
    """Return the lengths of calls: what is said again in a conversation counts only where no cache can hold it."""
    return forecast(loaded, text, found_again=True, embedded=embedded)


def call_alone_s(costs: StepCosts, prompt_tokens: int, output_tokens: int) -> float:
    """Return what one call takes at least: nobody else there, the cheapest step, prompts at their cheapest."""
    prompt_s = prefill_s(costs.prefill, prompt_tokens) * min(1.0, costs.mixed_factor)
    step_s = min(costs.decode_s[1:])
    return costs.before_s + costs.after_s + prompt_s + (output_tokens - 1) * step_s


def rate_s(costs: StepCosts) -> float:
    """Return the seconds of one output token at the number of calls that shares its steps best."""
    return min(step_s / calls for calls, step_s in enumerate(costs.decode_s) if calls)


def _work_s(plan: Plan, costs: Mapping[str, StepCosts], problem: Problem, lengths: Sequence[tuple[int, int]]) -> float:
    """Return what all of these calls take at least on the servers of a plan, which never idle."""
    machines = by_machine({queue.server: problem.loaded.servers[queue.server] for queue in plan.queues})
    times_s = [
        _on_one_machine_s([costs[server] for server in servers], problem.profiles.on(machine).first, lengths)
        for machine, servers in machines.items()
    ]
    return times_s[0] if len(times_s) == 1 else 1 / math.fsum(1 / time_s for time_s in times_s)


def _on_one_machine_s(costs: Sequence[StepCosts], profile: Profile, lengths: Sequence[tuple[int, int]]) -> float:
    """Return what all of these calls take at least on servers that share a machine."""
    speeds = []
    for cost in costs:
        # A table of prompts may get cheaper per token with size, but between two knots never cheaper than at one.
        at = {1, *(n for n, _ in cost.prefill), cost.batch_tokens}
        token_s = min(prefill_s(cost.prefill, n) / n for n in at) * min(1.0, cost.mixed_factor)
        work_s = math.fsum(prompt * token_s + (output - 1) * rate_s(cost) for prompt, output in lengths)
        speeds.append(1 / work_s if work_s else math.inf)
    if len(speeds) == 1:
        return 1 / speeds[0]
    stretch = stretch_of(profile, len(speeds))[len(speeds)]
    return min(1 / max(speeds), stretch / sum(speeds))  # one alone unslowed, or all of them and slowed


def _costs(problem: Problem, spec: ServerSpec) -> StepCosts:
    given, extrapolate, simulation = problem.given, problem.extrapolate, spec.simulation
    if simulation is not None:
        given, extrapolate = {**simulation.assume, **(given or {})}, extrapolate or simulation.extrapolate
    profile = problem.profiles.on(spec.machine).of(spec.model)
    threads = spec.engine_threads
    given = {key: value for key, value in (given or {}).items() if key != "load_s"}  # no cost of a step
    costs = compile_costs(profile, spec.slots, threads=threads, given=given, extrapolate=extrapolate).costs
    return costs if simulation is None else sped_up(costs, simulation.speed_up)


def _never_waiting(
    problem: Problem, plan: Plan, tokens: Tokens, costs: Sequence[StepCosts], repeat: int
) -> tuple[list[tuple[int, int]], list[JobRecord]]:
    """Run one seed with every call alone; return the lengths of the batch path's calls, and all jobs."""
    loaded = problem.loaded
    simulations = [spec.simulation for spec in loaded.servers.values()]
    speed_up = max(1.0 if one is None else one.speed_up for one in simulations)
    batch: list[tuple[int, int]] = []
    jobs: list[JobRecord] = []

    def serve(call: Call, now_s: float) -> Reply:
        lengths = tokens(call)
        prompt, output = lengths[0], lengths[1]
        node = loaded.pipelines[call.pipeline].graph.nodes[call.node]
        if texts := node.texts_of(call.item):
            embedding = embedding_of(problem.profiles.all, node.model).costs
            return Reply("ok", now_s, None, now_s + embedding.alone_s(texts, prompt) / speed_up)
        if loaded.pipelines[call.pipeline].path == "batch":
            batch.append((prompt, output))
        return Reply("ok", now_s, None, now_s + min(call_alone_s(cost, prompt, output) for cost in costs))

    def keep(record: CallRecord | JobRecord | DelayRecord) -> None:
        if isinstance(record, JobRecord):
            jobs.append(record)

    engine = Engine(loaded.pipelines, plan, origin="predicted", seed=loaded.workload.seed, repeat=repeat)
    try:
        simulate(engine, serve, tokens.listening(keep) if isinstance(tokens, Sizes) else keep)
    except CannotEnd:
        return [], []
    return batch, jobs


def _drops_calls(loaded: Loaded) -> bool:
    """Whether calls may be given up half done: then it depends on the routing how much work there is."""
    nodes = [node for pipeline in loaded.pipelines for node in pipeline.graph.nodes]
    return any(node.need is not None or node.enough is not None for node in nodes)
