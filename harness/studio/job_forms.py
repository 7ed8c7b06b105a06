"""What takes long: how it is begun, watched and stopped. One for each tab at a time."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.studio.forms import (
    MOST_NAMED,
    MachineAsked,
    Named,
    StudioAnswer,
    StudioForm,
    StudioQuestion,
    Text,
    TurnedAsked,
)

__all__ = ["JOB_QUESTIONS", "JobAnswer", "JobAsked", "JobKind", "JobStateAsked", "JobStopAsked"]

JobKind = Literal["recommend", "measure", "compare"]


class JobAsked(StudioQuestion):
    """POST /api/job: begin a search, a measurement or a comparison, in place of the one before of this tab."""

    kind: JobKind = Field(
        description="`recommend`: search all ways by simulation; `measure`: run candidates on servers that are "
        "started; `compare`: predict on several machines."
    )
    text: Text = Field(description="The workload, as YAML.")
    machine: MachineAsked = Field(default=MachineAsked(), description="The machine to predict on.")
    turned: TurnedAsked = Field(default=TurnedAsked(), description="Values in place of those that are written.")
    extrapolate: bool = Field(default=False, description="Derive numbers of slots that a profile lacks.")
    candidates: tuple[Named, ...] = Field(default=(), max_length=MOST_NAMED, description="`measure`: which; none: all.")
    machines: tuple[MachineAsked, ...] = Field(default=(), max_length=4, description="`compare`: two to four.")


class JobStateAsked(StudioQuestion):
    """POST /api/job-state: how far it is."""


class JobStopAsked(StudioQuestion):
    """POST /api/job-stop: end it. What was found until then is its answer, where there is one."""


class JobLine(StudioForm):
    """A line of an answer; `code` is to be copied."""

    text: str
    code: bool = False


class JobPart(StudioForm):
    """A part of an answer: why, instead, do this, how sure."""

    title: str
    lines: list[JobLine]


class JobRow(StudioForm):
    """A row of the answer's table."""

    name: str
    label: str
    recommended: bool
    cells: list[str]


class JobTable(StudioForm):
    """The answer's table; a column has two lines above it."""

    columns: list[list[str]]
    rows: list[JobRow]


class JobResult(StudioForm):
    """An answer in the shape of every answer."""

    warnings: list[str]
    headline: str
    basis: list[str]
    table: JobTable | None
    parts: list[JobPart]


class JobBeside(StudioForm):
    """A measured time beside the predicted one; seconds, and the error as a share."""

    candidate: str
    pipeline: str
    measured_s: float
    predicted_s: float | None
    error: float | None


class JobAnswer(StudioAnswer):
    """Of /api/job, /api/job-state and /api/job-stop. `version` is that of the design it is about."""

    kind: JobKind | None = Field(default=None, description="null: there is none.")
    running: bool = False
    stopping: bool = False
    seconds: float = Field(default=0.0, description="Since it began; of one that has ended: how long it took.")
    said: list[str] = Field(default=[], description="What it said of itself, the last lines.")
    done: int = Field(default=0, description="Of `total` equal parts of the step under way.")
    total: int = 0
    result: JobResult | None = None
    settings: list[list[str]] = Field(default=[], description="Kind and text to copy.")
    folder: str = Field(default="", description="Of the run that was measured.")
    beside: list[JobBeside] = []
    interrupted: bool = False


# By path: what is asked, and what is answered.
JOB_QUESTIONS: dict[str, tuple[type[StudioQuestion], type[StudioAnswer]]] = {
    "job": (JobAsked, JobAnswer),
    "job-state": (JobStateAsked, JobAnswer),
    "job-stop": (JobStopAsked, JobAnswer),
}
