"""What the page asks and what it is answered: JSON, each form a model here. docs/how-to/studio.md describes it.

Every request carries the tab that it is from and the version of what it is about. Every answer repeats them, so that a
page can put one aside that it does not wait for any more.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from harness.studio.forms import (
    API_VERSION,
    MOST_CHARACTERS,
    LinesOf,
    MachineAsked,
    State,
    StudioAnswer,
    StudioForm,
    StudioQuestion,
    Text,
    TurnedAsked,
)
from harness.studio.keep_forms import KEEP_QUESTIONS
from harness.studio.task_forms import TASK_QUESTIONS
from harness.studio.timeline_forms import TIMELINE_QUESTIONS
from harness.units import count

__all__ = [
    "API_VERSION",
    "QUESTIONS",
    "CompletedAnswer",
    "CompletionAsked",
    "FiguresAnswer",
    "FiguresAsked",
    "LookAnswer",
    "LookAsked",
    "MachineAsked",
    "MachinesAnswer",
    "MachinesAsked",
    "State",
    "StudioAnswer",
    "StudioQuestion",
    "TurnedAsked",
    "api_schema",
]

# --- what is asked ----------------------------------------------------------------------------------------------------


class LookAsked(StudioQuestion):
    """POST /api/look: check a text, and see its graphs and what can be turned in it."""

    text: Text = Field(description="The workload, as YAML.")


class CompletionAsked(StudioQuestion):
    """POST /api/complete: what could stand at a place of a text."""

    text: Text = Field(description="The workload, as YAML.")
    line: int = Field(ge=1, le=MOST_CHARACTERS, description="Of the cursor, from 1.")
    column: int = Field(ge=1, le=MOST_CHARACTERS, description="Of the cursor, from 1: characters before it, plus one.")


class FiguresAsked(StudioQuestion):
    """POST /api/figures: predict every candidate. A later one of the same tab and stage takes the place of this one."""

    text: Text = Field(description="The workload, as YAML.")
    machine: MachineAsked = Field(default=MachineAsked(), description="The machine to predict on.")
    turned: TurnedAsked = Field(default=TurnedAsked(), description="Values in place of those that are written.")
    stage: Literal["preliminary", "final"] = Field(
        default="final", description="`preliminary`: five repeats; `final`: what `slotwise simulate` gives."
    )
    extrapolate: bool = Field(default=False, description="Derive numbers of slots that a profile lacks.")


class MachinesAsked(StudioQuestion):
    """POST /api/machines: which profiles, devices and models there are."""


# --- what is answered -------------------------------------------------------------------------------------------------


class NodePlace(StudioForm):
    """Where a node is written."""

    pipeline: str
    node: str
    lines: LinesOf


class GraphNode(StudioForm):
    """A box of a drawing; lengths are pixels."""

    node: str
    x: float
    y: float
    width: float
    height: float
    texts: list[str]
    title: str


class GraphLine(StudioForm):
    """A line of a drawing: an SVG path. `again`: the way back of a loop."""

    d: str
    again: bool


class PipelineGraph(StudioForm):
    """The graph of a pipeline as a report draws it. Where it is too dense, `says` has what there is, and no node."""

    pipeline: str
    width: float
    height: float
    nodes: list[GraphNode]
    lines: list[GraphLine]
    says: list[str]


class ServerTurns(StudioForm):
    """A server whose slots can be turned."""

    name: str
    slots: int
    model: str


class PipelineTurns(StudioForm):
    """How jobs of a pipeline come. `users` is 0 where there are none; `per_s` is null where there is no rate."""

    name: str
    users: int
    per_s: float | None


class LeverTurns(StudioForm):
    """A setting of the engine whose effect a prediction knows."""

    name: str
    about: str
    values: list[str]
    usual: str


class LookAnswer(StudioAnswer):
    """Of /api/look."""

    name: str = ""
    candidates: list[str] = []
    graphs: list[PipelineGraph] = []
    nodes: list[NodePlace] = []
    servers: list[ServerTurns] = []
    pipelines: list[PipelineTurns] = []
    levers: list[LeverTurns] = []


class CompletedItem(StudioForm):
    """Something that could stand there."""

    text: str = Field(description="What is written in place of what stands between `first` and the cursor.")
    kind: Literal["key", "value", "name"]
    about: str


class CompletedAnswer(StudioAnswer):
    """Of /api/complete."""

    first: int = Field(default=1, description="Column, from 1, at which the text that is replaced begins.")
    items: list[CompletedItem] = []


class Quantity(StudioForm):
    """A figure with its 95 % interval; `profile_low`, `profile_high`: over resampled calibrations."""

    value: float
    low: float | None
    high: float | None
    n: int
    origin: str
    profile_low: float | None
    profile_high: float | None


class GoalState(StudioForm):
    """A goal and whether it is met."""

    pipeline: str
    goal: str
    wanted_s: float
    found_s: float | None
    state: Literal["met", "missed", "not judged"]


class OfPipeline(StudioForm):
    """One pipeline under one candidate; times in seconds. `time` is the reply time where the path is interactive."""

    pipeline: str
    path: str
    time: Quantity | None
    first_token: Quantity | None
    all_done: Quantity | None
    p95_s: float | None
    goals: list[GoalState]
    jobs_failed: int


class OfCandidate(StudioForm):
    """One candidate. `why_not`: why it cannot be predicted; then it has no figures."""

    name: str
    recommended: bool
    why_not: str
    pipelines: list[OfPipeline]
    makespan: Quantity | None
    throughput: Quantity | None


class FiguresAnswer(StudioAnswer):
    """Of /api/figures."""

    stage: Literal["preliminary", "final"] = "final"
    repeats: int = 0
    origin: str = ""
    profiles: list[tuple[str, str]] = Field(default=[], description="Each profile, and the origin of its numbers.")
    headline: str = ""
    notices: list[str] = []
    candidates: list[OfCandidate] = []
    summary: dict[str, Any] | None = Field(
        default=None, description="Final ones: what `slotwise simulate FILE --json` prints (docs/reference/reports.md)."
    )


class KnownMachine(StudioForm):
    """A profile. `mistake`: why it cannot be read; then nothing else is known."""

    name: str
    kind: Literal["shipped", "own"]
    origin: str = ""
    machine: str = ""
    engine: str = ""
    model: str = ""
    slots: list[int] = []
    mistake: str = ""


class KnownDevice(StudioForm):
    """A device that a profile can be estimated for."""

    name: str
    family: str
    memory_bytes: int


class KnownModel(StudioForm):
    """A model that a profile can be estimated for."""

    name: str
    quant: str
    bytes: int


class MachinesAnswer(StudioAnswer):
    """Of /api/machines."""

    profiles: list[KnownMachine] = []
    devices: list[KnownDevice] = []
    models: list[KnownModel] = []


# By path: what is asked, and what is answered.
QUESTIONS: dict[str, tuple[type[StudioQuestion], type[StudioAnswer]]] = {
    "look": (LookAsked, LookAnswer),
    "complete": (CompletionAsked, CompletedAnswer),
    "figures": (FiguresAsked, FiguresAnswer),
    "machines": (MachinesAsked, MachinesAnswer),
    **KEEP_QUESTIONS,
    **TIMELINE_QUESTIONS,
    **TASK_QUESTIONS,
}


def api_schema() -> dict[str, Any]:
    """Return the JSON Schemas of all requests and answers, by path."""
    return {
        "api": API_VERSION,
        "about": f"{count(len(QUESTIONS), 'question')}, each POST /api/NAME; docs/how-to/studio.md",
        "questions": {
            name: {"asked": asked.model_json_schema(), "answered": answered.model_json_schema(mode="serialization")}
            for name, (asked, answered) in QUESTIONS.items()
        },
    }
