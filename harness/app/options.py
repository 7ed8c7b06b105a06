"""What each use case can be told. What several of them can be told is an object of its own in theirs.

Nothing heavy is imported here: a command makes its options before it loads anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from harness.core.policies import Policies

__all__ = [
    "AT_MOST_S",
    "REPORTS",
    "Assumptions",
    "CalibrateOptions",
    "Changes",
    "ExportOptions",
    "GatewayOptions",
    "ImportOptions",
    "MachinesOptions",
    "ProbeOptions",
    "RecommendOptions",
    "RecordedOptions",
    "ResumeOptions",
    "RunOptions",
    "ScoreOptions",
    "ServeOptions",
    "SimulateOptions",
    "SweepOptions",
]

REPORTS = Path("reports")  # where runs get folders of their own
AT_MOST_S = 600.0  # that a measurement goes on until every question is settled


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What is to be different in a workload; what is left out stays as the file has it."""

    scale: float = 1  # factor on the number of jobs of every pipeline
    seed: int | None = None  # of everything drawn
    only: tuple[str, ...] = ()  # candidates, by name; none named: all
    engine: str | None = None  # servers that are started get this one, such as "ollama"; settings that both have stay
    model: str | None = None  # of every server; an agent that names a model keeps it
    # By name: the URL of a running server in its place; by "": of one in the place of every server.
    servers: Mapping[str, str] = field(default_factory=dict)
    levers: Mapping[str, str] = field(default_factory=dict)  # of the engine, by name: what the workload does not say
    # Those that the workload may name: a Python file, which is executed, or the policies themselves.
    policies: Path | Policies | None = None


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """What a prediction goes by."""

    # Each a name or a file; one for each machine as MACHINE=NAME, for each of several models as MODEL=NAME, and for
    # those on a machine as MACHINE:MODEL=NAME. A machine that is left out has what the workload says of it.
    profiles: tuple[str, ...] = ()
    assume: Mapping[str, float] = field(default_factory=dict)  # what a profile does not know, such as before_s
    extrapolate: bool = False  # derive numbers of slots that a profile lacks; marked in the result
    resamples: int | None = None  # profiles tried for its uncertainty: left out 20, or fewer where that takes long


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Of `harness.app.run.run`."""

    changes: Changes = field(default_factory=Changes)
    repeats: int | None = None  # recorded, of every candidate; left out: as in the workload
    warmup: int | None = None  # repeats before them that are not recorded; left out: as in the workload
    until: Literal["resolved"] | None = None  # as many repeats instead as settle every question
    at_most_s: float = AT_MOST_S  # `until`: then it ends whatever is open, servers to be started included
    out: Path = REPORTS  # the run gets a folder of its own below it
    command: str = ""  # what to type to do it again; kept with the run, without credentials


@dataclass(frozen=True, kw_only=True)
class ResumeOptions:
    """Of `harness.app.resume.resume`; everything else is as it was when the run was begun."""

    file: Path | None = None  # where the workload is now; left out: where it was
    servers: Mapping[str, str] = field(default_factory=dict)  # by name: the URL of a running server, where it changed
    policies: Path | Policies | None = None  # where the run's own policies are now; left out: where they were
    until: Literal["resolved"] | None = None  # go on until every question is settled, also after all its repeats
    at_most_s: float | None = None  # `until`, from now on; left out: as when the run was begun, else ten minutes


@dataclass(frozen=True, kw_only=True)
class SimulateOptions:
    """Of `harness.app.simulate.simulate`."""

    changes: Changes = field(default_factory=Changes)
    assumptions: Assumptions = field(default_factory=Assumptions)
    repeats: int = 200  # with other draws each time
    lengths: Path | None = None  # a measured run whose lengths of prompts and answers are taken; left out: a forecast
    command: str = ""  # what to type to do it again; kept with the run, without credentials


@dataclass(frozen=True, kw_only=True)
class RecommendOptions:
    """Of `harness.app.recommend.recommend`. Without a profile one of this machine and model is taken, else made."""

    changes: Changes = field(default_factory=Changes)
    assumptions: Assumptions = field(default_factory=Assumptions)
    measure: bool = True  # confirm the best few on servers; without it no profile is made either
    budget_s: float = 300.0  # for the measurement
    max_slots: int | None = None  # of one server
    memory_bytes: int | None = None  # for all servers; left out: what the machine has
    seeds: int = 16  # draws on which the last candidates are tried
    workers: int | None = None  # processes of the search; left out: one for each core
    cluster: str = ""  # address of a Dask scheduler; the search goes there instead
    out: Path = REPORTS  # what is measured gets a folder of its own below it
    command: str = ""  # what to type to do it again; kept with what is measured, without credentials


@dataclass(frozen=True, kw_only=True)
class MachinesOptions:
    """Of `harness.app.machines.compare_machines`."""

    profiles: tuple[str, ...]  # of the machines: names or files
    each: SimulateOptions | RecommendOptions  # how each is predicted, without its profiles; nothing is measured
    prices: Mapping[str, float] = field(default_factory=dict)  # of machines, by what they are named; in any currency


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """Of `harness.app.score.score`."""

    changes: Changes = field(default_factory=Changes)
    assumptions: Assumptions
    run: Path | None = None  # score against the run in this folder; left out: one that is measured now
    forecast: bool = False  # guess the lengths of calls as `simulate` does, instead of taking those observed
    repeats: int | None = None  # recorded, of every candidate; left out: as in the workload
    out: Path = REPORTS  # what is measured gets a folder of its own below it
    command: str = ""  # what to type to do it again; kept with what is measured, without credentials


@dataclass(frozen=True, kw_only=True)
class CalibrateOptions:
    """Of `harness.app.calibrate.calibrate`."""

    slots: tuple[int, ...] | None = None  # the numbers of slots to calibrate; left out: 1 and 4, or what the server has
    model: str | None = None  # its name, or the path of a GGUF file
    effort: Literal["quick", "default", "thorough"] = "default"  # about 20 s, a minute, 5 minutes for each number
    pair: bool | None = None  # also two side by side, on half of the cores or one device; left out: where it can be
    name: str | None = None  # of the profile; left out: made of server and model
    machine: str | None = None  # what to call it; left out: its processor
    embed: str | None = None  # also what embedding with this model costs; left out: that stays unknown
    out: Path | None = None  # the file to write; left out: profiles/NAME.yaml
    force: bool = False  # overwrite the file


@dataclass(frozen=True, kw_only=True)
class RecordedOptions:
    """Of `harness.app.calibrate_from.calibrate_from`."""

    name: str  # of the profile
    machine: str  # where the calls were recorded
    engine: str = "ollama"  # and its version
    model: str = "unknown"
    context_tokens: int = 2048  # of one slot
    kv_bytes: int | None = None  # of a token; left out: not known
    model_bytes: int | None = None  # of the model's file; left out: not known
    note: str | None = None  # what a reader of the profile must know
    date: str | None = None  # when the calls were recorded
    out: Path | None = None  # the file to write; left out: profiles/NAME.yaml
    force: bool = False  # overwrite the file


@dataclass(frozen=True, kw_only=True)
class ProbeOptions:
    """Of `harness.app.probe.probe`."""

    model: str | None = None  # its name, or the path of a GGUF file
    tokens: int = 100  # of every answer
    levels: tuple[int, ...] = (1, 2, 4, 8)  # concurrency levels: calls at once
    rounds: int = 1  # rounds per level; the figures are medians


@dataclass(frozen=True, kw_only=True)
class ApplyOptions:
    """Of `harness.app.apply.apply` and `revert`."""

    candidate: str | None = None  # left out: the recommended one
    server: str | None = None  # of the candidate, by name; left out: the only one
    kind: str | None = None  # systemd, launchd or compose; left out: what this machine has
    to: Path | None = None  # the file to write; left out: where its reader looks for it
    force: bool = False  # revert a file that somebody else has changed since


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """Of `harness.app.sweep.sweep`."""

    engine: str = "llamacpp"  # started once for every number of slots
    context_tokens: int | None = None  # of one slot; left out: 2048
    most: int = 64  # slots
    server: str | None = None  # the URL of a running server instead: calls at once vary, not its slots
    tokens: int = 48  # of every answer
    rounds: int = 5  # rounds per number of slots
    threads: int | None = None  # of the engine; left out: every core


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Of `harness.app.export.export`."""

    only: tuple[str, ...] = ()  # the trials of these candidates; none named: all
    policies: Path | None = None  # of a workload file: a Python file with policies that it may name. It is executed


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """Of `harness.app.import_.import_traces` and `import_crewai`; of every import."""

    out: Path | None = None  # the file to write; left out: NAME.yaml in the working folder
    force: bool = False  # overwrite what is there
    times: str = ""  # unit of the times of rows (s, ms, us, ns), where their form does not say it


@dataclass(frozen=True, kw_only=True)
class GraphImportOptions(ImportOptions):
    """Of `harness.app.import_.import_langgraph`."""

    items: tuple[tuple[str, int], ...] = ()  # of nodes, how many items they have
    interactive: tuple[str, ...] = ()  # graphs for whose jobs a person waits
    python: Path | None = None  # the interpreter that reads the graphs; left out: this one


@dataclass(frozen=True, kw_only=True)
class RecordOptions:
    """Of `harness.app.record.record` and `import_recording`."""

    upstream: str | None = None  # the URL of the server; left out: OLLAMA_HOST, or this machine's Ollama
    model: str | None = None  # or the embedded engine with this model
    profile: str | None = None  # or a simulated server with this profile
    slots: int = 4  # of the embedded engine or the simulated server
    idle_s: float = 5.0  # without a header, a new job begins where no call was in flight for longer
    keep: Path | None = None  # where the recording itself is kept, as JSON lines
    texts: bool = False  # show and keep how prompts begin
    quiet_stdout: bool = False  # the program's standard output goes to standard error
    out: Path | None = None  # the file to write; left out: NAME.yaml in the working folder
    force: bool = False  # overwrite what is there


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Of `harness.app.serve.serve`. None leaves a setting as the server has it."""

    slots: int = 1
    context_tokens: int = 2048  # of one slot
    host: str = "127.0.0.1"
    port: int = 11435  # 0 takes a free one
    allow_hosts: tuple[str, ...] = ()  # further names that it may be called by
    allow_origins: tuple[str, ...] = ()  # web pages that may call it, such as https://chat.example.org
    # the embedded engine
    model: str | None = None  # a built-in model's name, or the path of a GGUF file
    batch_tokens: int | None = None  # prompt tokens of one step of the engine
    threads: int | None = None
    # a simulation instead
    profile: str | None = None  # a name or a file: this machine is simulated
    speed_up: float | None = None  # its times are divided by this
    assume: Mapping[str, float] | None = None  # what the profile does not know
    extrapolate: bool | None = None  # derive a number of slots that the profile lacks
    faults: Mapping[str, float] | None = None  # by kind, such as "cut": the share of calls that meet it
    fault_seed: int | None = None
    fault_delay_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class GatewayOptions:
    """Of `harness.app.gateway.gateway`."""

    upstreams: tuple[str, ...]  # URLs of servers that run already
    host: str = "127.0.0.1"
    port: int = 11435  # 0 takes a free one
    model: str | None = None  # of those that speak OpenAI's API; left out: the only one that each of them has
    slots: tuple[int, ...] = ()  # one for all, or one for each; none: they are counted
    concurrency: str = "window"  # policies, by name
    scheduling: str = "interactive-first"
    placement: str = "least-loaded"
    limit: int | None = None  # the most calls in flight on a server; left out: as many as slots
    reserve: int | None = None  # of `reserve`: slots that batch calls leave
    ageing_s: float | None = None  # how much longer a batch call has waited that goes first
    run: str | None = None  # a run's folder, or its name: policies and slots as its report recommends them
    policies: Path | Policies | None = None  # own ones: a Python file, which is executed, or the policies themselves
    queue: int = 512  # the most calls that wait
    default_class: Literal["interactive", "batch"] = "batch"
    interactive_models: tuple[str, ...] = ()  # offered as interactive/NAME too
    interactive_key: str | None = None  # an environment variable or a file that has the key
    interactive_user_agents: tuple[str, ...] = ()  # patterns
    allow_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    upstream_key_env: str | None = None  # an environment variable that has the servers' key
