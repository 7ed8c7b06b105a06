"""From records to one summary per candidate: only complete trials, only jobs that ended well."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from statistics import median
from typing import Literal, NamedTuple

from harness.analysis.critical_path import CriticalPath, PathEdges, critical_path, median_job
from harness.analysis.found_again import found_again
from harness.analysis.looks import looks_of, shares_of
from harness.analysis.model import CandidateSummary, GoalResult, PipelineSummary, PoolUse, ServerUse
from harness.analysis.needs import needed_contexts, needs_of_servers
from harness.analysis.reloads import EndedJob, reloads_of
from harness.analysis.statistics import estimate, p95
from harness.analysis.swaps import swaps_of
from harness.analysis.throughput import AtConcurrency, by_concurrency, throughput
from harness.analysis.timesplit import mean_parts, split_call
from harness.analysis.uses import accelerator_used, address_used, agents_used, threads_used
from harness.core.device import share_on_cpu
from harness.core.levers import unusual
from harness.core.plan import Pool, ServerQueue
from harness.core.records import CallRecord, DelayRecord, JobRecord
from harness.runs.model import Run
from harness.workload.dependencies import dependencies
from harness.workload.networks import nx
from harness.workload.replies import replies_of
from harness.workload.schema import AgentSpec, PipelineSpec

__all__ = ["Index", "figure_key", "figures_by_repeat", "index_records", "pinned_tokens", "policies_of", "summarise"]


JobKey = tuple[str, int, str, int]  # candidate, repeat, pipeline, job


class Index(NamedTuple):
    """A run's records by what they belong to; `complete` holds the (candidate, repeat) that count."""

    complete: frozenset[tuple[str, int]]
    interrupted: frozenset[tuple[str, int]]
    calls: Mapping[tuple[str, str], Sequence[CallRecord]]  # candidate, pipeline; complete trials only
    jobs: Mapping[tuple[str, str], Sequence[JobRecord]]
    job_calls: Mapping[JobKey, Sequence[CallRecord]]
    job_delays: Mapping[JobKey, Sequence[DelayRecord]]


def index_records(run: Run) -> Index:
    """Sort a run's records; a trial without its record, or whose record says so, was interrupted."""
    complete = frozenset((trial.candidate, trial.repeat) for trial in run.trials if trial.complete)
    begun = {(trial.candidate, trial.repeat) for trial in run.trials}
    begun |= {(call.candidate, call.repeat) for call in run.calls}
    calls: dict[tuple[str, str], list[CallRecord]] = defaultdict(list)
    jobs: dict[tuple[str, str], list[JobRecord]] = defaultdict(list)
    job_calls: dict[JobKey, list[CallRecord]] = defaultdict(list)
    job_delays: dict[JobKey, list[DelayRecord]] = defaultdict(list)
    for call in run.calls:
        if (call.candidate, call.repeat) in complete:
            calls[call.candidate, call.pipeline].append(call)
            job_calls[call.candidate, call.repeat, call.pipeline, call.job].append(call)
    for delay in run.delays:
        job_delays[delay.candidate, delay.repeat, delay.pipeline, delay.job].append(delay)
    for job in run.jobs:
        if (job.candidate, job.repeat) in complete:
            jobs[job.candidate, job.pipeline].append(job)
    return Index(complete, frozenset(begun - complete), calls, jobs, job_calls, job_delays)


def summarise(run: Run, index: Index) -> tuple[CandidateSummary, ...]:
    """Summarise every candidate, in the run's order."""
    pinned = pinned_tokens(run)
    return tuple(_candidate(name, run, index, pinned) for name in run.candidates)


def pinned_tokens(run: Run) -> dict[tuple[str, str], int]:
    """Return the pinned answer length by (pipeline, node): the run's own table, else what the workload's agents say."""
    pinned: dict[tuple[str, str], int] = {}
    for pipeline, spec in run.workload.pipelines.items():
        for name, node in spec.nodes.items():
            agent = node.agent if isinstance(node.agent, AgentSpec) else run.workload.agents.get(node.agent or "")
            if agent is not None and agent.pinned_tokens is not None:
                pinned[pipeline, name] = agent.pinned_tokens
    for key, tokens in run.output_tokens.items():
        name, _, node_name = key.partition("/")
        pinned[name, node_name] = tokens
    return pinned


def _candidate(name: str, run: Run, index: Index, pinned: Mapping[tuple[str, str], int]) -> CandidateSummary:
    mine = [call for pipeline in run.workload.pipelines for call in index.calls.get((name, pipeline), ())]
    makespans, rates = _of_trials(name, run, mine)
    shares = shares_of(looks_of(run))
    return CandidateSummary(
        name=name,
        servers=_servers(name, run, mine),
        repeats=len(makespans),
        interrupted=sum(candidate == name for candidate, _ in index.interrupted),
        makespan=estimate(list(makespans.values()), run.origin, _factors(run, name, "", "makespan"), shares),
        throughput=estimate(list(rates.values()), run.origin, _factors(run, name, "", "throughput"), shares),
        pipelines=tuple(
            _pipeline(name, pipeline, spec, run, index, pinned) for pipeline, spec in run.workload.pipelines.items()
        ),
        concurrency=_concurrency(mine),
        swaps=swaps_of(mine, {server.name: server.baseline for server in run.servers}),
        reloads=reloads_of(run, mine, partial(_ended, name, index)),
        pools=_pools(name, run),
        per_request=estimate(
            list(_per_request(mine).values()), run.origin, _factors(run, name, "", "per_request"), shares
        ),
    )


def _ended(candidate: str, index: Index, pipeline: str) -> Iterator[EndedJob]:
    """Yield the jobs of a pipeline that ended well."""
    for job in index.jobs.get((candidate, pipeline), ()):
        if job.outcome == "ok":
            key = (candidate, job.repeat, pipeline, job.job)
            yield EndedJob(job, index.job_calls.get(key, ()), index.job_delays.get(key, ()))


def _pipeline(
    candidate: str,
    pipeline: str,
    spec: PipelineSpec,
    run: Run,
    index: Index,
    pinned: Mapping[tuple[str, str], int],
) -> PipelineSummary:
    calls = index.calls.get((candidate, pipeline), ())
    jobs = index.jobs.get((candidate, pipeline), ())
    good = [job for job in jobs if job.outcome == "ok"]
    baselines = {server.name: server.baseline for server in run.servers}
    split_calls = {id(call): split_call(call, baselines.get(call.server)) for call in calls}
    splits = [split for split in split_calls.values() if split is not None]
    sources = {split.queue_source for split in splits}
    source: Literal["exact", "residual", "unknown", "mixed"] = "mixed"
    if len(sources) < 2 or "unknown" in sources:
        source = "unknown" if "unknown" in sources else next(iter(sources), "unknown")

    graph = dependencies(run.workload, pipeline)
    figures = _figures(good, len(good) == len(jobs), spec, graph, index)
    edges = PathEdges.compiled(graph)
    paths: dict[JobRecord, CriticalPath] = {}
    for job in good:
        key = (candidate, job.repeat, pipeline, job.job)
        mine, delays = index.job_calls.get(key, ()), index.job_delays.get(key, ())
        path = critical_path(job, mine, delays, edges, baselines, split_calls)
        if path is not None:
            paths[job] = path

    shares = shares_of(looks_of(run))
    estimates = {
        figure: estimate(list(values.values()), run.origin, _factors(run, candidate, pipeline, figure), shares)
        for figure, values in figures.items()
    }
    summary = PipelineSummary(
        pipeline=pipeline,
        path=spec.path,
        servers=tuple(sorted({call.server for call in calls})),
        nodes=_servers_of_nodes(calls),
        first_thought=estimates["first_thought"],
        time=estimates["time"],
        time_by_repeat=tuple(sorted(figures["time"].items())),
        time_by_profile=_factors(run, candidate, pipeline, "time"),
        first_token=estimates["first_token"],
        first_token_by_repeat=tuple(sorted(figures["first_token"].items())),
        all_done=estimates["all_done"],
        p95_s=p95([job.pipeline_time_s for job in good]),
        values=len(good),
        jobs_failed=len(jobs) - len(good),
        calls=len(calls),
        calls_failed=sum(call.outcome != "ok" and not call.not_needed for call in calls),
        calls_dropped=sum(call.not_needed for call in calls),
        short_answers=sum(
            call.outcome == "ok" and (call.reply.output_tokens or 0) < pinned.get((pipeline, call.node), 0)
            for call in calls
        ),
        call_parts=mean_parts([split.parts for split in splits]),
        job_parts=mean_parts([path.parts for path in paths.values()]),
        queue_source=source,
        median_path=paths.get(median_job(good)) if good else None,
        goals=(),
        found_again=found_again(calls, spec, graph),
    )
    medians = {figure: median(values.values()) for figure, values in figures.items() if values}
    return summary._replace(goals=_goals(summary, spec, medians))


def _figures(
    good: Sequence[JobRecord], all_good: bool, spec: PipelineSpec, graph: nx.DiGraph, index: Index
) -> dict[str, dict[int, float]]:
    """Return the figures of a pipeline by name, each by repeat."""
    first_tokens: dict[int, float] = {}
    first_thoughts: dict[int, float] = {}
    if spec.path == "interactive":
        replies = replies_of(graph)
        first_tokens = _by_repeat(_first(good, index.job_calls, replies.first_token_s))
        first_thoughts = _by_repeat(_first(good, index.job_calls, replies.first_thought_s))
    return {
        "time": _by_repeat((job.repeat, job.pipeline_time_s) for job in good),
        "first_token": first_tokens,
        "first_thought": first_thoughts,
        "all_done": {repeat: _span(jobs) for repeat, jobs in _grouped(good).items()} if all_good else {},
    }


def figures_by_repeat(run: Run) -> dict[str, dict[int, float]]:
    """Return every figure that has an estimate, by repeat; the keys are those of `UnderResampling.factors`."""
    index = index_records(run)
    found: dict[str, dict[int, float]] = {}
    for name in run.candidates:
        calls = [call for pipeline in run.workload.pipelines for call in index.calls.get((name, pipeline), ())]
        makespans, rates = _of_trials(name, run, calls)
        found |= {figure_key(name, "", "makespan"): makespans, figure_key(name, "", "throughput"): rates}
        found[figure_key(name, "", "per_request")] = _per_request(calls)
        for pipeline, spec in run.workload.pipelines.items():
            jobs = index.jobs.get((name, pipeline), ())
            good = [job for job in jobs if job.outcome == "ok"]
            graph = dependencies(run.workload, pipeline)
            for figure, values in _figures(good, len(good) == len(jobs), spec, graph, index).items():
                found[figure_key(name, pipeline, figure)] = values
    return found


def figure_key(candidate: str, pipeline: str, figure: str) -> str:
    """Name a figure of a candidate, or of one of its pipelines."""
    return f"{candidate}/{pipeline}/{figure}"


def _factors(run: Run, candidate: str, pipeline: str, figure: str) -> tuple[float, ...]:
    return run.resampled.factors.get(figure_key(candidate, pipeline, figure), ()) if run.resampled else ()


def _of_trials(candidate: str, run: Run, calls: Sequence[CallRecord]) -> tuple[dict[int, float], dict[int, float]]:
    """Return makespan and throughput of the complete trials by repeat."""
    by_repeat: dict[int, list[CallRecord]] = defaultdict(list)
    for call in calls:
        by_repeat[call.repeat].append(call)
    trials = [trial for trial in run.trials if trial.candidate == candidate and trial.complete]
    rates = {trial.repeat: throughput(by_repeat[trial.repeat], trial.makespan_s) for trial in trials}
    return (
        {trial.repeat: trial.makespan_s for trial in trials},
        {repeat: rate for repeat, rate in rates.items() if rate},
    )


def _per_request(calls: Sequence[CallRecord]) -> dict[int, float]:
    """Return the rate at which one call's tokens come (tokens/s) by repeat: after their first ones, all calls' tokens
    over all calls' time of generation."""
    tokens: dict[int, int] = defaultdict(int)
    time_s: dict[int, float] = defaultdict(float)
    for call in calls:
        if call.outcome == "ok" and call.decode_tokens_per_s is not None:
            tokens[call.repeat] += (call.reply.output_tokens or 0) - 1
            time_s[call.repeat] += call.reply.decode_s or 0.0
    return {repeat: tokens[repeat] / time_s[repeat] for repeat in sorted(tokens)}


def _first(
    jobs: Iterable[JobRecord],
    calls: Mapping[JobKey, Sequence[CallRecord]],
    first: Callable[[JobRecord, Sequence[CallRecord]], float | None],
) -> Iterable[tuple[int, float]]:
    """Yield (repeat, seconds from the intended start to the first token of the reply), where calls were streamed."""
    for job in jobs:
        first_s = first(job, calls.get((job.candidate, job.repeat, job.pipeline, job.job), ()))
        if first_s is not None:
            yield job.repeat, first_s - job.due_s


def _by_repeat(values: Iterable[tuple[int, float]]) -> dict[int, float]:
    """Return the median per repeat: jobs of one repeat are correlated, so they make one value."""
    grouped: dict[int, list[float]] = defaultdict(list)
    for repeat, value in values:
        grouped[repeat].append(value)
    return {repeat: median(grouped[repeat]) for repeat in sorted(grouped)}


def _grouped(jobs: Iterable[JobRecord]) -> dict[int, list[JobRecord]]:
    grouped: dict[int, list[JobRecord]] = defaultdict(list)
    for job in jobs:
        grouped[job.repeat].append(job)
    return grouped


def _span(jobs: Sequence[JobRecord]) -> float:
    return max(job.end_s for job in jobs) - min(job.due_s for job in jobs)


def _servers_of_nodes(calls: Sequence[CallRecord]) -> tuple[tuple[str, str], ...]:
    """Return where each node's calls went, by its first one; () on one server, or where a node's may go to several."""
    found = dict.fromkeys((call.node, call.server) for call in calls)
    nodes = dict(found)
    return tuple(found) if len(nodes) == len(found) and len(set(nodes.values())) > 1 else ()


def _goals(summary: PipelineSummary, spec: PipelineSpec, medians: Mapping[str, float]) -> tuple[GoalResult, ...]:
    """Judge the goals. They are stated in medians, so it is a median that is held against them, and not the mean of the
    estimates: a first token that comes either at once or late has a mean at which it never comes."""
    if spec.goal is None:
        return ()
    found: dict[Literal["first_token_s", "p50_s", "p95_s"], tuple[float | None, float | None]] = {
        "first_token_s": (spec.goal.first_token_s, medians.get("first_token")),
        "p50_s": (spec.goal.p50_s, medians.get("time")),
        "p95_s": (spec.goal.p95_s, summary.p95_s),
    }
    results = []
    for goal, (wanted_s, found_s) in found.items():
        if wanted_s is None:
            continue
        if found_s is None:
            results.append(GoalResult(summary.pipeline, goal, wanted_s, None, "not judged"))
        else:
            state: Literal["met", "missed"] = "met" if found_s <= wanted_s else "missed"
            results.append(GoalResult(summary.pipeline, goal, wanted_s, found_s, state))
    return tuple(results)


def _concurrency(calls: Sequence[CallRecord]) -> tuple[tuple[str, tuple[AtConcurrency, ...]], ...]:
    """Weigh every server's trials one by one (clocks start again), then add them up."""
    trials: dict[str, dict[int, list[CallRecord]]] = defaultdict(lambda: defaultdict(list))
    for call in calls:
        trials[call.server][call.repeat].append(call)
    found = []
    for server in sorted(trials):
        time_s: dict[int, float] = defaultdict(float)
        tokens: dict[int, float] = defaultdict(float)
        for of_trial in trials[server].values():
            for row in by_concurrency(of_trial):
                time_s[row.in_flight] += row.time_s
                tokens[row.in_flight] += row.tokens
        rows = tuple(AtConcurrency(n, time_s[n], tokens[n], tokens[n] / time_s[n]) for n in sorted(time_s))
        found.append((server, rows))
    return tuple(found)


def _pools(candidate: str, run: Run) -> tuple[PoolUse, ...]:
    """Return the pipelines with calls that may go to several servers, and how one of these is chosen."""
    plan = next((plan for plan in run.plans if plan.name == candidate), None)
    placed = zip(run.workload.pipelines, plan.placement if plan else (), strict=plan is not None)
    found = ((pipeline, at.policy) for pipeline, places in placed for at in places if isinstance(at, Pool))
    return tuple(PoolUse(name, how.name, how.says or how.about, how.code) for name, how in dict.fromkeys(found))


def policies_of(use: ServerUse, queue: ServerQueue) -> ServerUse:
    """Return the use of a server with what is known of its queue's policies; its slots are those that were found."""
    return use._replace(
        concurrency=queue.concurrency.name,
        scheduling=queue.scheduling.name,
        limit=queue.most,
        batch_limit=queue.most_batch,
        together=queue.concurrency.together,
        first=queue.scheduling.says or queue.scheduling.about,
        key=queue.scheduling.code and queue.scheduling.code.ageing(queue.ageing_s),
        simplicity=queue._replace(slots=use.slots).simplicity,
    )


def _servers(candidate: str, run: Run, calls: Sequence[CallRecord]) -> tuple[ServerUse, ...]:
    """Describe the servers that a candidate's calls went to, with the policies that its plan gives them."""
    used = {call.server for call in calls}
    contexts = {server.name: int(server.details.get("context_tokens", 0)) for server in run.servers}
    needs = needed_contexts(needs_of_servers(run), calls, contexts)
    facts = {server.name: server for server in run.servers}
    plan = next((plan for plan in run.plans if plan.name == candidate), None)
    uses = []
    for queue in plan.queues if plan else ():
        if queue.server not in used:
            continue
        known = facts.get(queue.server)
        details = known.details if known else {}
        slots = (known and known.slots_found) or queue.slots
        use = ServerUse(
            server=queue.server,
            kind=known.kind if known else "",
            slots=slots,
            context_tokens=contexts.get(queue.server, 0),
            batch_tokens=int(details.get("batch_tokens", 0)),
            concurrency="",
            scheduling="",
            limit=None,
            threads=threads_used(run, details),
            extrapolated=bool(details.get("extrapolated")),
            models=tuple(model.model for model in known.models) if known else (),
            most_loaded=int(details["max_loaded_models"]) if "max_loaded_models" in details else None,
            max_queue=int(details["max_queue"]) if "max_queue" in details else None,
            levers=unusual(details),
            need=needs.get(queue.server),
            machine=str(details.get("machine", "")),
            accelerator=accelerator_used(run, details),
            cpu_share=share_on_cpu(details),
            embeds=tuple(sorted({call.model for call in calls if call.embeds and call.server == queue.server})),
            agents=agents_used(run, known, calls) if known else (),
            slots_at_least=bool(known and known.slots_at_least),
            **address_used(run, known),
        )
        uses.append(policies_of(use, queue))
    return tuple(uses)
