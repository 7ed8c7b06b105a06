"""One candidate on one seed: the smallest piece of a search, and a pure function of both.

It makes the figures that analysis makes of records, from the same simulation (`harness.predict`), without keeping the
records: a search makes tens of thousands of them, and looks at five numbers of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

import harness.own_policies  # noqa: F401 - so that policies, a user's own too, can be sent to other processes
from harness.core.graph import Pipeline
from harness.core.records import CallRecord, DelayRecord, JobRecord
from harness.drivers.virtual import CannotEnd
from harness.predict.forecast import TokensOf, forecast
from harness.predict.servers import Given, Modelled, Profiles, modelled
from harness.predict.simulation import simulate_trial
from harness.workload.dependencies import dependencies
from harness.workload.load import Loaded
from harness.workload.networks import PlainGraph
from harness.workload.replies import Replies, replies_of

__all__ = ["BASE", "Evaluator", "Figures", "Problem", "Task", "Variation", "attended", "compiled", "varied"]


class Variation(NamedTuple):
    """The workload as it might turn out to be instead."""

    name: str = ""
    answers: float = 1.0  # factor on every answer's length
    jobs: int = 1  # factor on users and jobs: each arrival comes this often
    rate: float = 1.0  # factor on the rate of arrivals in open loops: the same jobs in less time
    users: int | None = None  # people on each interactive pipeline with a closed loop, with as many jobs each


BASE = Variation()


class Problem(NamedTuple):
    """What a worker has to know, once; picklable. `loaded` has every candidate in it."""

    loaded: Loaded
    profiles: Profiles
    given: Given = None
    extrapolate: bool = False
    replies: Mapping[str, Replies] | None = None  # of each interactive pipeline; None until it is `compiled`


def compiled(problem: Problem) -> Problem:
    """Return a problem without the networks that its graphs were made of: networkx need not be where it is sent."""
    if problem.replies is not None:
        return problem
    loaded = problem.loaded
    graphs: Any = {name: PlainGraph.copied(graph) for name, graph in loaded.graphs.items()}
    replies = {
        pipeline.name: replies_of(dependencies(loaded.workload, pipeline.name))
        for pipeline in loaded.pipelines
        if pipeline.path == "interactive"
    }
    return problem._replace(loaded=loaded._replace(graphs=graphs), replies=replies)


class Task(NamedTuple):
    """Evaluate one candidate on some seeds."""

    candidate: int  # index of its plan
    repeats: tuple[int, ...]
    variation: Variation = BASE


class Figures(NamedTuple):
    """One candidate on one seed. Seconds; None where no job ended well."""

    candidate: int
    repeat: int
    time_s: tuple[float | None, ...]  # by pipeline: the median over its jobs
    p95_s: tuple[float | None, ...]  # 95th percentile over its jobs, of however few
    first_token_s: tuple[float | None, ...]
    all_done_s: tuple[float | None, ...]  # first intended start to last end; None where a job failed
    makespan_s: float
    output_tokens: int
    calls: int
    timeouts: int
    jobs_failed: tuple[int, ...]
    cannot_end: str = ""  # why it was given up: jobs come faster than they go
    trace: int = 0  # a hash of when every call and every job ended: the same where the candidate did the same


class _World(NamedTuple):
    """The workload under one variation."""

    loaded: Loaded
    tokens_of: TokensOf


class Evaluator:
    """Evaluates candidates of one problem; keeps what does not depend on the seed."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem = compiled(problem)
        self._replies = problem.replies or {}
        self._index = {pipeline.name: number for number, pipeline in enumerate(problem.loaded.pipelines)}
        self._worlds: dict[Variation, _World] = {}
        self._servers: dict[tuple[Variation, int], Modelled] = {}

    def run(self, task: Task) -> tuple[Figures, ...]:
        """Evaluate one candidate on the seeds of a task."""
        return tuple(self.evaluate(task.candidate, repeat, task.variation) for repeat in task.repeats)

    def evaluate(self, candidate: int, repeat: int, variation: Variation = BASE) -> Figures:
        """Simulate one candidate once; UserError where the profile cannot say what its servers cost."""
        world = self._world(variation)
        servers = self._modelled(candidate, variation, world)
        calls: list[CallRecord] = []
        jobs: list[list[JobRecord]] = [[] for _ in self._index]

        def keep(record: CallRecord | JobRecord | DelayRecord) -> None:
            if isinstance(record, CallRecord):
                calls.append(record)
            elif isinstance(record, JobRecord):
                jobs[self._index[record.pipeline]].append(record)

        tokens = world.tokens_of(servers.plan.name, repeat)
        cannot_end, end_s = "", 0.0
        try:
            end_s = simulate_trial(world.loaded, servers, repeat, tokens, keep)
        except CannotEnd as error:
            cannot_end = str(error)
        good = [[job for job in every if job.outcome == "ok"] for every in jobs]
        timeouts, output_tokens = 0, 0
        for call in calls:
            outcome = call.reply.outcome
            if outcome == "ok":
                output_tokens += call.reply.output_tokens or 0
            elif outcome == "timeout":
                timeouts += 1
        return Figures(
            candidate,
            repeat,
            tuple(median(job.pipeline_time_s for job in ended) if ended else None for ended in good),
            tuple(_p95([job.pipeline_time_s for job in ended]) if ended else None for ended in good),
            tuple(median(waits) if waits else None for waits in self._waited(good, self._reply_calls(calls))),
            tuple(
                _span_s(ended) if ended and len(ended) == len(every) else None
                for ended, every in zip(good, jobs, strict=True)
            ),
            end_s,
            output_tokens,
            len(calls),
            timeouts,
            tuple(len(every) - len(ended) for ended, every in zip(good, jobs, strict=True)),
            cannot_end,
            _hash((*(call.reply.end_s for call in calls), *(job.end_s for every in jobs for job in every))),
        )

    def _reply_calls(self, calls: list[CallRecord]) -> Mapping[tuple[str, int], list[CallRecord]]:
        """Return the calls that may be a job's reply, by (pipeline, job); of interactive pipelines."""
        found: dict[tuple[str, int], list[CallRecord]] = {}
        if not self._replies:
            return found
        for call in calls:
            replies = self._replies.get(call.pipeline)
            if replies is not None and (call.node in replies.last or call.node in replies.answering):
                found.setdefault((call.pipeline, call.job), []).append(call)
        return found

    def _waited(
        self, good: list[list[JobRecord]], calls: Mapping[tuple[str, int], list[CallRecord]]
    ) -> list[list[float]]:
        """Return how long each job's first token took, by pipeline."""
        return [
            [
                first_s - job.due_s
                for job in ended
                if (mine := calls.get((job.pipeline, job.job)))
                and (first_s := self._replies[job.pipeline].first_token_s(job, mine)) is not None
            ]
            for ended in good
        ]

    def _world(self, variation: Variation) -> _World:
        world = self._worlds.get(variation)
        if world is None:
            loaded = varied(self._problem.loaded, variation)
            profiles = self._problem.profiles
            tokens_of = forecast(loaded, profiles.first.text, variation.answers, embedded=profiles.embedded_text)
            world = self._worlds[variation] = _World(loaded, tokens_of)
        return world

    def _modelled(self, candidate: int, variation: Variation, world: _World) -> Modelled:
        key = (variation, candidate)
        servers = self._servers.get(key)
        if servers is None:
            problem = self._problem
            servers = self._servers[key] = modelled(
                world.loaded,
                problem.profiles,
                world.loaded.plans[candidate],
                given=problem.given,
                extrapolate=problem.extrapolate,
            )
        return servers


def _hash(ends_s: Iterable[float | None]) -> int:
    """Return the same in every process, as a hash of None is not before CPython 3.12."""
    return hash(tuple(-1.0 if end_s is None else end_s for end_s in ends_s))


def _span_s(jobs: Sequence[JobRecord]) -> float:
    return max(job.end_s for job in jobs) - min(job.due_s for job in jobs)


def _p95(values: Sequence[float]) -> float:
    """Interpolated between the two nearest, as numpy does it."""
    values = sorted(values)
    at = 0.95 * (len(values) - 1)
    low = int(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (at - low) * (values[high] - values[low])


def varied(loaded: Loaded, variation: Variation) -> Loaded:
    """Return the workload with the variation's users, jobs and arrivals."""
    pipelines = loaded.pipelines
    if variation.users is not None:
        pipelines = tuple(_attended(pipeline, variation.users) for pipeline in pipelines)
    if variation.jobs != 1 or variation.rate != 1:
        pipelines = tuple(_varied(pipeline, variation.jobs, variation.rate) for pipeline in pipelines)
    return loaded._replace(pipelines=pipelines)


def attended(pipeline: Pipeline) -> bool:
    """Whether people wait there for a reply before they go on."""
    return pipeline.path == "interactive" and pipeline.arrival.users > 0


def _attended(pipeline: Pipeline, users: int) -> Pipeline:
    if not attended(pipeline):
        return pipeline
    jobs = pipeline.jobs
    each = None if jobs is None else max(1, round(jobs / pipeline.arrival.users))
    return pipeline._replace(arrival=pipeline.arrival.with_users(users), jobs=None if each is None else each * users)


def _varied(pipeline: Pipeline, jobs: int, rate: float) -> Pipeline:
    changed = pipeline.arrival.multiplied(jobs).scaled(rate)
    return pipeline._replace(arrival=changed, jobs=None if pipeline.jobs is None else pipeline.jobs * jobs)
