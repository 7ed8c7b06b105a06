"""What an analysis knows: a frozen tree of tuples that the terminal, Markdown and JSON all render.

Numbers are raw (seconds, tokens per second) and carry their origin. Nothing here is a sentence: those are made of it in
`harness.wording`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, NamedTuple

from harness.analysis.critical_path import CriticalPath
from harness.analysis.facts import Notice
from harness.analysis.found_again import FoundAgain
from harness.analysis.levels import Levels
from harness.analysis.reloads import Reloads
from harness.analysis.rule import ChoiceKind
from harness.analysis.statistics import Comparison, Estimate, Relation
from harness.analysis.swaps import Swaps
from harness.analysis.throughput import AtConcurrency
from harness.analysis.timesplit import Parts
from harness.core.context import CallNeed
from harness.core.records import Origin, Path
from harness.core.scheduling import KeyCode
from harness.runs.model import ServerFacts
from harness.workload.schema import KINDS

__all__ = [
    "ANALYSIS_VERSION",
    "AgentUse",
    "Alternative",
    "Analysis",
    "CandidateSummary",
    "Choice",
    "GoalResult",
    "MachineFact",
    "PathVerdict",
    "PipelineSummary",
    "PoolUse",
    "RunHead",
    "Sequel",
    "ServerUse",
    "Settings",
    "SettingsText",
    "SlotGains",
    "Standing",
]

ANALYSIS_VERSION = 1


MachineFact = str | int | float | tuple[tuple[str, str], ...]  # the last: packages and their versions


class RunHead(NamedTuple):
    """What was run, and on what."""

    name: str
    workload: str
    description: str
    origin: Origin
    started_at: str
    repeats: int  # asked for
    seed: int
    machine: tuple[tuple[str, MachineFact], ...]
    servers: tuple[ServerFacts, ...]
    options: tuple[tuple[str, str], ...]
    command: str
    control: Literal["draws", "model"] = "draws"  # what decided which way jobs went
    work: tuple[tuple[str, str], ...] = ()  # digests of what was done, by part; empty: an older run
    missing: tuple[str, ...] = ()  # candidates of the workload that were neither predicted nor measured
    engines: tuple[str, ...] = ()  # by name, of the servers' kinds
    standard_set: bool = False  # the workload names no candidates


class AgentUse(NamedTuple):
    """What the calls of an agent ask its server for, where its file says something of it."""

    agent: str  # its name; PIPELINE.NODE where it is written at its node
    model: str = ""  # where that is not the server's
    num_ctx: int | None = None  # tokens
    keep_alive: int | str | None = None  # as Ollama takes it
    think: bool | str = False


class ServerUse(NamedTuple):
    """How a candidate uses one server."""

    server: str
    kind: str
    slots: int  # found by the probe; asked for where it was not probed
    context_tokens: int
    batch_tokens: int
    concurrency: str  # the policy's name, as the next
    scheduling: str
    limit: int | None  # the most calls sent at once; None: unbounded
    threads: int | None = None  # of the engine, where it was not given every core
    extrapolated: bool = False  # predicted, from another number of slots than the profile was made with
    models: tuple[str, ...] = ()  # as agents name them, where there are several
    most_loaded: int | None = None  # of these at the same time, where it was set
    batch_limit: int | None = None  # the most batch calls among them, where that is another number
    together: bool = False  # calls start in waves, and the next waits for all of one
    first: str = ""  # who goes first, as a clause
    key: KeyCode | None = None  # the same as code to copy; None: first come, first served
    simplicity: tuple[int, int, int] = (0, 0, 0)  # see `harness.core.plan.simplicity_of`
    max_queue: int | None = None  # calls that may wait for a model, where it was set
    levers: tuple[tuple[str, str], ...] = ()  # settings of its engine that are not Ollama's usual ones: (name, value)
    need: CallNeed | None = None  # the call that lacks most context; None: each has enough, or it is not known

    @property
    def slots_set_by(self) -> str:
        """What sets its slots where Ollama's settings are not for it; "" = they are."""
        return KINDS[self.kind].slots_set_by if self.kind in KINDS else ""

    @property
    def context_to_set(self) -> int:
        """The context of a slot that each of its calls fits into; 0 where it is not known."""
        return self.context_tokens if self.need is None else max(self.context_tokens, self.need.enough)

    machine: str = ""  # that it stands on, as the workload names it; "": it names none
    accelerator: str = ""  # that has all or a part of its model; "": none, or it is not known
    cpu_share: float = 0.0  # of its model, which did not fit onto that
    embeds: tuple[str, ...] = ()  # the models that texts were embedded with there
    agents: tuple[AgentUse, ...] = ()  # whose calls ask for a context, a keep-alive or thinking
    slots_at_least: bool = False  # it may have more
    model: str = ""  # that calls ask for, as the server names it; "": what is deployed names it otherwise
    url: str = ""  # where it runs already, without credentials; "": it was started for this
    key_variable: str = ""  # the environment variable that has its API key; "": it takes none

    @property
    def limits_calls(self) -> bool:
        """Whether its slots hold calls back, or would if more were sent; else nothing of it needs to change."""
        return not self.slots_at_least and (self.limit is None or self.limit >= self.slots)


class PoolUse(NamedTuple):
    """How one of several servers is chosen for the calls of a pipeline."""

    pipeline: str
    policy: str  # the placement policy's name
    says: str  # where calls go, as a clause
    code: Literal["", "most free", "settled"]  # how printed code chooses; "": it does not


class GoalResult(NamedTuple):
    """A goal of an interactive pipeline under one candidate."""

    pipeline: str
    goal: Literal["first_token_s", "p50_s", "p95_s"]
    wanted_s: float
    found_s: float | None
    state: Literal["met", "missed", "not judged"]


class PipelineSummary(NamedTuple):
    """One pipeline under one candidate, over the complete repeats; failed jobs are in the counts and in no time."""

    pipeline: str
    path: Path
    servers: tuple[str, ...]  # those that its calls went to, by name
    time: Estimate | None  # pipeline time, on interactive paths the reply time: per repeat the median over jobs
    time_by_repeat: tuple[tuple[int, float], ...]
    time_by_profile: tuple[float, ...]  # predicted: the factor on the time under each resampled profile
    first_token: Estimate | None  # of the answer, from the job's intended start; interactive only
    all_done: Estimate | None  # first intended start to last end of the pipeline's jobs
    p95_s: float | None  # None below 100 values
    values: int  # jobs that ended well
    jobs_failed: int
    calls: int
    calls_failed: int  # without those that were given up because others were enough
    short_answers: int
    call_parts: Parts  # mean over calls
    job_parts: Parts  # mean over the jobs' critical paths
    queue_source: Literal["exact", "residual", "unknown", "mixed"]
    median_path: CriticalPath | None
    goals: tuple[GoalResult, ...]
    calls_dropped: int = 0  # because others had been enough: nothing went wrong with them
    nodes: tuple[tuple[str, str], ...] = ()  # (node, its server), where they are on several, each on one
    found_again: FoundAgain | None = None  # of prompts that a server may keep; None: there are none
    first_thought: Estimate | None = None  # the same of the thinking before it; None: nobody thinks there
    first_token_by_repeat: tuple[tuple[int, float], ...] = ()


class CandidateSummary(NamedTuple):
    """One candidate over its complete repeats."""

    name: str
    servers: tuple[ServerUse, ...]
    repeats: int  # complete ones
    interrupted: int  # trials that were begun and not finished; in no number
    makespan: Estimate | None
    throughput: Estimate | None  # output tokens of all pipelines over the makespan
    pipelines: tuple[PipelineSummary, ...]
    concurrency: tuple[tuple[str, tuple[AtConcurrency, ...]], ...]  # by server
    swaps: tuple[Swaps, ...] = ()  # of servers with several models
    reloads: tuple[Reloads, ...] = ()  # that agents cause by what they ask for, the longest first
    pools: tuple[PoolUse, ...] = ()  # pipelines with calls that may go to several servers
    per_request: Estimate | None = None  # tokens/s of one call while its answer is generated

    @property
    def on_cpu(self) -> bool:
        """Whether layers of one of its models did not fit onto the accelerator."""
        return any(use.cpu_share > 0 for use in self.servers)

    def uses_for(self, pipelines: Collection[str]) -> tuple[ServerUse, ...]:
        """Return the servers that calls of these pipelines went to."""
        servers = {name for s in self.pipelines if s.pipeline in pipelines for name in s.servers}
        return tuple(use for use in self.servers if use.server in servers)

    def batches(self, pipelines: Collection[str]) -> bool:
        """Tell whether calls of these pipelines can be generated together."""
        return any(use.slots > 1 and use.limit != 1 for use in self.uses_for(pipelines))


Standing = Literal["clear", "equivalent", "unresolved", "one repeat", "only one", "all fail", "no data"]


class Sequel(NamedTuple):
    """Under one candidate, a pipeline against the one that it came after; `comparison` names pipelines."""

    candidate: str
    comparison: Comparison


class PathVerdict(NamedTuple):
    """The answer for one path.

    standing: `clear` the fastest is better than every other; `equivalent` others are within 5 % of it; `unresolved`
    others are not distinguishable from it; the simplest of those is chosen; `all fail` jobs fail under every candidate,
    so none is.
    """

    path: Path
    pipelines: tuple[str, ...]
    standing: Standing
    fastest: str | None
    chosen: str | None
    passed_over: tuple[str, ...]  # candidates whose jobs failed, of which none ended well, or with layers on the CPU
    batched: bool | None  # more than one call in flight into more than one slot
    comparisons: tuple[Comparison, ...]  # the other candidates against the fastest
    cost: Comparison | None  # the chosen one on the other path, against that path's own choice
    sequels: tuple[Sequel, ...] = ()  # of pipelines that come after another one of this path


class SettingsText(NamedTuple):
    """Something to copy as it is; `path` is where it goes, "" where that is the reader's to say."""

    kind: str  # a key of `harness.deploy.kinds.SETTINGS`
    path: str
    text: str


class Settings(NamedTuple):
    """What to copy for one candidate: in short, and whole."""

    candidate: str
    shell: tuple[str, ...]
    code: tuple[str, ...]
    remarks: tuple[str, ...]
    texts: tuple[SettingsText, ...] = ()

    def whole(self, kind: str) -> str:
        """Return everything of one kind."""
        return "\n".join(text.text for text in self.texts if text.kind == kind)


class Alternative(NamedTuple):
    """Another candidate against the recommended one, on every path on which it can be chosen: below 1 it is faster."""

    candidate: str
    comparisons: tuple[tuple[Path, Comparison], ...]

    @property
    def relations(self) -> frozenset[Relation]:
        """How it stands on the paths; empty: its jobs fail on all of them."""
        return frozenset(comparison.relation for _, comparison in self.comparisons)


class Choice(NamedTuple):
    """The answer for the whole workload.

    kind: `same` and `both` one candidate serves both paths; `goals` the goals decided between the paths' own choices;
    `compromise` nothing decides between them, so it is the one whose worst slowdown on a path is the least.
    tie: `goals`, where the candidate is not the fastest on the batch path of those that meet them: against that one,
    with which it ties.
    alternatives: the other candidates against this one, in the run's order.
    """

    kind: ChoiceKind
    candidate: str | None
    settings: tuple[Settings, ...]
    remarks: tuple[str, ...]  # on all of the settings
    tie: Comparison | None = None
    alternatives: tuple[Alternative, ...] = ()


class SlotGains(NamedTuple):
    """Where pipelines are concurrency levels: the fastest candidate of each against the simplest of all."""

    simplest: str
    levels: tuple[tuple[str, Comparison], ...]


class Analysis(NamedTuple):
    """All that is known of one run; `harness.wording.said` says it."""

    version: int
    run: RunHead
    notices: tuple[Notice, ...]
    paths: tuple[PathVerdict, ...]
    choice: Choice
    candidates: tuple[CandidateSummary, ...]
    levels: tuple[Levels, ...]
    gains: SlotGains | None = None  # where the workload is made of concurrency levels
    resampled: str | None = None  # of a prediction: what its resampled profiles come from
    looks: int = (
        0  # how many there were when it ended, as enough was known: intervals are wider for that; 0: repeats were fixed
    )

    @property
    def by_name(self) -> dict[str, CandidateSummary]:
        """The candidates by their names."""
        return {candidate.name: candidate for candidate in self.candidates}
