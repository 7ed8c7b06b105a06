"""What takes long: the search for the best candidate, its measurement, machines side by side. What is asked and told.

Such a task is begun, then asked about until it has ended; it can be stopped. Each tab has one of each of the two sorts.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from harness.studio.forms import MachineAsked, StudioAnswer, StudioForm, StudioQuestion, Text, TurnedAsked

__all__ = [
    "TASK_QUESTIONS",
    "AdviceAsked",
    "BesideAsked",
    "FollowAsked",
    "HaltAsked",
    "MeasureAsked",
    "TaskAnswer",
    "TaskAsked",
    "TaskSort",
    "TaskStage",
]

TaskSort = Literal["recommend", "compare"]
TaskStage = Literal["none", "search", "measurement", "comparison"]


class TaskAsked(StudioQuestion):
    """Anything about a task."""


class AdviceAsked(TaskAsked):
    """POST /api/recommend: begin the search. One of this tab that is under way is stopped."""

    text: Text = Field(description="The workload, as YAML.")
    machine: MachineAsked = Field(default=MachineAsked(), description="The machine to predict on.")
    turned: TurnedAsked = Field(default=TurnedAsked(), description="Values in place of those that are written.")
    extrapolate: bool = Field(default=False, description="Derive numbers of slots that a profile lacks.")


class MeasureAsked(TaskAsked):
    """POST /api/measure: measure the best of this tab's search, which has ended. It starts servers."""

    budget_s: float = Field(
        default=300.0, ge=1, le=3600, description="The longest that it may take, starts of servers included."
    )


class BesideAsked(TaskAsked):
    """POST /api/compare: begin to predict on several machines. One of this tab that is under way is stopped."""

    text: Text = Field(description="The workload, as YAML.")
    machines: tuple[MachineAsked, ...] = Field(min_length=2, max_length=4, description="Each one profile, or a device.")
    turned: TurnedAsked = Field(default=TurnedAsked(), description="Values in place of those that are written.")
    extrapolate: bool = Field(default=False, description="Derive numbers of slots that a profile lacks.")


class FollowAsked(TaskAsked):
    """POST /api/follow: how far a task of this tab is, and what came of it."""

    sort: TaskSort = "recommend"


class HaltAsked(TaskAsked):
    """POST /api/stop: stop a task of this tab. What was found until then comes as its answer, soon after."""

    sort: TaskSort = "recommend"


# --- what is answered -------------------------------------------------------------------------------------------------


class ServerStands(StudioForm):
    """A server while something is measured: calls that it works on, and those that wait for it."""

    server: str
    slots: int
    in_flight: int
    waiting: int


class PipelineStands(StudioForm):
    """Jobs of a pipeline while something is measured; `jobs` is null where the end is another pipeline's."""

    pipeline: str
    started: int
    ended: int
    jobs: int | None


class TaskProgress(StudioForm):
    """How far a task is. Times in seconds; null: not known."""

    lines: list[str] = Field(default=[], description="What was done until now, and last what is being done.")
    noun: str = Field(default="trial", description="What is counted by `number`.")
    number: int = Field(default=0, description="Of the trial under way; 0: none is.")
    total: int | None = Field(default=None, description="Of the trials; null: until enough is known.")
    title: str = Field(default="", description="Of the trial under way: which candidate, which repeat.")
    done: float = Field(default=0.0, description="Of all trials, or of the step under way, from 0 to 1.")
    elapsed_s: float = 0.0
    left_s: float | None = None
    at_most: bool = Field(default=False, description="`left_s` is a bound.")
    calls: int = Field(default=0, description="That have ended, of the trial under way.")
    failed: int = 0
    servers: list[ServerStands] = []
    pipelines: list[PipelineStands] = []


class ShownRow(StudioForm):
    """One line of the table of an answer."""

    name: str
    label: str
    recommended: bool
    cells: list[str]


class ShownTable(StudioForm):
    """The figures of the alternatives, the recommended one first; of each column the two lines above it."""

    columns: list[tuple[str, str]]
    rows: list[ShownRow]
    note: str  # on the rows as a whole, "" where there is none


class ShownLine(StudioForm):
    """A sentence, or something to be copied as it is."""

    text: str
    code: bool


class ShownPart(StudioForm):
    """A part with its name: why, instead, do this, how sure, details."""

    title: str
    lines: list[ShownLine]


class ShownAnswer(StudioForm):
    """An answer in the shape that all commands and reports have."""

    warnings: list[str]
    headline: str
    basis: list[str]
    table: ShownTable | None
    parts: list[ShownPart]


class ShownText(StudioForm):
    """Something to copy as it is; `path` is where it goes."""

    kind: str
    title: str
    path: str
    text: str


class ShownSettings(StudioForm):
    """All that can be copied for a recommended candidate."""

    candidate: str
    remarks: list[str]
    texts: list[ShownText]


class ShownDifference(StudioForm):
    """Measured beside predicted; `error` is predicted / measured - 1."""

    candidate: str
    pipeline: str
    predicted_s: float
    measured_s: float
    error: float


class ShownAdvice(StudioForm):
    """What a search found, and a measurement of it."""

    answer: ShownAnswer
    settings: list[ShownSettings]
    recommendation: dict[str, Any] = Field(description="What `slotwise recommend FILE --no-measure --json` prints.")
    differences: list[ShownDifference] = Field(description="Once it is measured.")
    folder: str = Field(description="Of the run, once it is measured.")
    interrupted: bool = Field(description="It was stopped: the best that was known then.")
    why_not: str = Field(description="Why it cannot be measured here; empty where it can be.")


class ShownTime(StudioForm):
    """The time of one pipeline on a machine; `text` has it with its interval."""

    pipeline: str
    what: str
    time_s: float | None
    text: str


class ShownMachine(StudioForm):
    """What the candidate takes that is recommended for a machine. `why_not`: it cannot be predicted there."""

    name: str
    machine: str
    model: str
    origin: str
    candidate: str
    slots: int
    times: list[ShownTime]
    goals: str
    needed_bytes: int | None
    there_bytes: int | None
    why_not: str


class ShownMachines(StudioForm):
    """Machines side by side."""

    answer: ShownAnswer
    machines: list[ShownMachine]


class TaskAnswer(StudioAnswer):
    """Of every question about a task. A task that went wrong has a `state` and a `message` or `mistakes` as always."""

    stage: TaskStage = Field(default="none", description="What it is, or was last; `none`: this tab has no such task.")
    at_work: bool = False
    stopping: bool = False
    about: int | None = Field(default=None, description="Version of the text that the task is about.")
    progress: TaskProgress | None = None
    advice: ShownAdvice | None = None
    beside: ShownMachines | None = None


TASK_QUESTIONS: dict[str, tuple[type[StudioQuestion], type[StudioAnswer]]] = {
    "recommend": (AdviceAsked, TaskAnswer),
    "measure": (MeasureAsked, TaskAnswer),
    "compare": (BesideAsked, TaskAnswer),
    "follow": (FollowAsked, TaskAnswer),
    "stop": (HaltAsked, TaskAnswer),
}
