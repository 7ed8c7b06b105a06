"""A run in memory: everything recorded when a workload was executed (measured) or simulated (predicted) once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

from harness.core.context import CallNeed
from harness.core.plan import Plan
from harness.core.records import CallRecord, DelayRecord, JobRecord, Origin, TrialRecord
from harness.runs.plans import PolicyFile
from harness.workload.schema import Workload

__all__ = ["NOTE_KINDS", "Baseline", "ModelFacts", "Note", "NoteKind", "Run", "ServerFacts", "UnderResampling"]

# What a note of a run is about. `run`: not known, since older runs had texts alone.
_AtStart = Literal["busy at start", "others at start"]
_OfFile = Literal["open questions"]
_OfRun = Literal["run", "records", "resumed", "changed", "lost slots", "skipped", "thinking", "others working"]
_OfPrediction = Literal["profile", "memory", "drift", "score", "assumed", "lengths", "out of range", "unpredicted"]
_OfResampling = Literal["resampled", "standard errors", "not resampled", "endless"]
_OfSimulatedServers = Literal["faults", "speed", "contention"]  # beside "assumed"
NoteKind = Literal[_OfRun, _OfFile, _AtStart, _OfPrediction, _OfResampling, _OfSimulatedServers]
NOTE_KINDS: tuple[NoteKind, ...] = get_args(NoteKind)


class Note(NamedTuple):
    """Something that a run has to say of itself, in words because it is written down with the run."""

    kind: NoteKind
    text: str


class Baseline(NamedTuple):
    """Medians over warm single calls on an idle server: what is overhead and not queueing (reference 1.5)."""

    residual_s: float
    load_s: float
    calls: int


class ModelFacts(NamedTuple):
    """What was found of one of several models on a server."""

    model: str  # as it is asked for
    slots_found: int | None
    baseline: Baseline | None


class ServerFacts(NamedTuple):
    """What was asked of a server and what was found."""

    name: str
    kind: str
    url: str  # without credentials
    model: str
    slots_asked: int | None
    slots_found: int | None  # by the probe, of several models the fewest; None: not probed
    version: str
    exact_queue: bool
    baseline: Baseline | None
    details: dict[str, str | int | float]
    models: tuple[ModelFacts, ...] = ()  # where it serves several
    slots_at_least: bool = False  # there may be more than were found


class UnderResampling(NamedTuple):
    """What a prediction becomes where the calibration of its profile is resampled, on the same draws."""

    source: str  # resampled calibration, standard errors or unknown
    draws: int  # repeats on which it was looked at
    # By "candidate/pipeline/figure": the factor on that figure under each resampled profile.
    factors: Mapping[str, tuple[float, ...]] = {}


class Run(NamedTuple):
    """One run. `notes` are the warnings that belong at the top of every report, worst first.

    A run whose records are still empty is the header that `RunFolder.write_header` takes.
    """

    name: str
    origin: Origin
    started_at: str  # RFC 3339
    workload: Workload
    candidates: tuple[str, ...]  # in the workload's order
    machine: dict[str, Any]  # cpu, cores, memory_bytes, os, python, slotwise
    servers: tuple[ServerFacts, ...]
    notes: tuple[Note, ...]
    partial: bool  # interrupted: some repeats are missing or were interrupted
    trials: tuple[TrialRecord, ...]
    calls: Sequence[CallRecord]  # of a prediction: a RecordLog, which rebuilds them when they are looked at
    jobs: Sequence[JobRecord]
    delays: Sequence[DelayRecord]
    plans: tuple[Plan, ...] = ()  # lanes and placement of every candidate, as they were run
    command: str = ""  # what to type to do it again; without credentials
    options: Mapping[str, Any] = {}  # what the command line changed: repeats, scale, engine, ...
    resampled: UnderResampling | None = None  # of a predicted run: what its profile is worth
    output_tokens: Mapping[str, int] = {}  # pinned answer lengths by "pipeline/node"; a shorter answer is counted
    needs: tuple[CallNeed, ...] = ()  # the longest call of each node, by the workload; empty: an older run
    work: Mapping[str, str] = {}  # digests of what was done, by part (`Loaded.work`); empty: an older run
    file: str = ""  # the workload file as it was named
    policy_files: tuple[PolicyFile, ...] = ()  # where the user's own policies came from
    copies: Mapping[str, bytes] = {}  # to be written: files that the workload names, by their path in the run's folder

    def to_frame(self, library: Literal["pandas", "polars"] | None = None) -> Any:
        """Return the calls as a data frame, a row each, of whichever of pandas and polars is installed.

        Raises UserError where neither is.
        """
        from harness.runs.frame import frame

        return frame(self, library)

    def _repr_html_(self) -> str:
        """Show the run in Jupyter: what was run on what, and how many trials and calls there are."""
        from harness.runs.frame import html

        return html(self)
