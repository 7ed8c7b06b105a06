"""What is asked to see one repeat of a candidate, and what it is answered."""

from __future__ import annotations

from pydantic import Field

from harness.studio.forms import MachineAsked, StudioAnswer, StudioForm, StudioQuestion, Text, TurnedAsked

__all__ = ["TIMELINE_QUESTIONS", "TimelineAnswer", "TimelineAsked"]


class TimelineAsked(StudioQuestion):
    """POST /api/timeline: one repeat of one candidate, as it goes in the simulation that the figures are of."""

    text: Text = Field(description="The workload, as YAML.")
    machine: MachineAsked = Field(default=MachineAsked(), description="The machine to predict on.")
    turned: TurnedAsked = Field(default=TurnedAsked(), description="Values in place of those that are written.")
    extrapolate: bool = Field(default=False, description="Derive numbers of slots that a profile lacks.")
    candidate: str = Field(min_length=1, max_length=10_000, description="Its name.")
    repeat: int = Field(default=0, ge=0, le=10_000, description="Which, from 0.")


class ServerRows(StudioForm):
    """A server in a timeline: a row for each slot. `waiting`: from a second on, how many calls wait to be sent, and in
    the server.
    """

    name: int = Field(description="The number of a text.")
    lanes: int = Field(description="Rows: its slots, or as many as were in use.")
    slots: int | None
    waiting: list[tuple[float, float, float]]


class DelayRow(StudioForm):
    """A tool's delay."""

    pipeline: str
    node: str
    job: int
    start_s: float
    end_s: float


class JobRow(StudioForm):
    """A job and its critical path. A step is the number of a call, or of a delay: -1 is the first, -2 the second."""

    pipeline: str
    job: int
    due_s: float
    end_s: float
    outcome: str
    steps: list[int]


class PartOfTime(StudioForm):
    """Seconds of one kind of time."""

    kind: str
    label: str
    seconds: float


class SplitOfPipeline(StudioForm):
    """Where the time of its jobs went: the mean over their critical paths, in this repeat."""

    pipeline: str
    jobs: int
    parts: list[PartOfTime]


class RunnerMemory(StudioForm):
    """A model with a context on a server. null = not known."""

    server: str
    model: str
    context_tokens: int | None
    slots: int
    weights_bytes: int | None
    cache_bytes: int | None = Field(description="Of all its slots.")
    load_s: float | None


class MemoryRow(StudioForm):
    """What a candidate's servers take on one machine, and what there is. null = not known; `notes` say why."""

    machine: str
    runners: list[RunnerMemory]
    needed_bytes: int | None = Field(description="Weights and KV cache, and a tenth more for buffers.")
    prompts_bytes: int = Field(description="Of main memory, that engines may fill with earlier prompts.")
    room_bytes: int | None
    room_text: str
    fits: bool | None
    notes: list[str]


class TimelineAnswer(StudioAnswer):
    """Of /api/timeline. Times are seconds on the trial's clock and not rounded."""

    candidate: str = ""
    repeat: int = 0
    origin: str = ""
    makespan_s: float = 0.0
    calls_of_trial: int = 0
    until_s: float | None = Field(default=None, description="All calls that began before it are here; null: all.")
    fields: list[str] = Field(default=[], description="What a row of `calls` holds, in this order.")
    texts: list[str] = Field(default=[], description="A field that ends in `_text` is the number of one of these.")
    calls: list[list[int | float | None]] = []
    servers: list[ServerRows] = []
    delays: list[DelayRow] = []
    jobs: list[JobRow] = []
    split: list[SplitOfPipeline] = []
    memory: list[MemoryRow] = []


# By path: what is asked, and what is answered.
TIMELINE_QUESTIONS: dict[str, tuple[type[StudioQuestion], type[StudioAnswer]]] = {
    "timeline": (TimelineAsked, TimelineAnswer),
}
