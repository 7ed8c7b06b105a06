"""What the page asks and what it is answered: JSON, each form a model here. docs/how-to/studio.md describes it.

Every request carries the tab that it is from and the version of what it is about. Every answer repeats them, so that a
page can put one aside that it does not wait for any more.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

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

API_VERSION = 1

MOST_CHARACTERS = 1024 * 1024  # of a workload
MOST_NAMED = 64  # of dials, of profiles
LONGEST_NAME = 200

State = Literal["ok", "mistake", "replaced", "too-long", "failed"]

Text = Annotated[str, Field(max_length=MOST_CHARACTERS)]
Named = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


# --- what is asked ----------------------------------------------------------------------------------------------------


class StudioQuestion(_Form):
    """What every request has."""

    tab: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Which tab asks; made by the page, any text.")
    version: int = Field(ge=0, le=2**53, description="Of what is asked about; the page counts it up.")


class LookAsked(StudioQuestion):
    """POST /api/look: check a text, and see its graphs and what can be turned in it."""

    text: Text = Field(description="The workload, as YAML.")


class CompletionAsked(StudioQuestion):
    """POST /api/complete: what could stand at a place of a text."""

    text: Text = Field(description="The workload, as YAML.")
    line: int = Field(ge=1, le=MOST_CHARACTERS, description="Of the cursor, from 1.")
    column: int = Field(ge=1, le=MOST_CHARACTERS, description="Of the cursor, from 1: characters before it, plus one.")


class MachineAsked(_Form):
    """The machine to predict on."""

    profiles: tuple[Named, ...] = Field(
        default=(),
        max_length=MOST_NAMED,
        description="As `--profile` takes them: NAME, or MODEL=NAME or MACHINE=NAME for several.",
    )
    device: Named | None = Field(default=None, description="A device instead; its profile is estimated.")
    model: Named | None = Field(default=None, description="With a device: the model that is served.")
    quant: Named | None = Field(default=None, description="With a device: the number format of the model's weights.")


class TurnedAsked(_Form):
    """Values in place of those that are written; the text stays as it is."""

    slots: dict[Named, int] = Field(default={}, max_length=MOST_NAMED, description="By server: its slots.")
    users: dict[Named, int] = Field(default={}, max_length=MOST_NAMED, description="By pipeline: users, where it has.")
    rate: dict[Named, Number] = Field(
        default={}, max_length=MOST_NAMED, description="By pipeline: a factor on how often jobs come."
    )
    answers: Number = Field(default=1.0, description="A factor on the length of every answer.")
    levers: dict[Named, Named] = Field(default={}, max_length=MOST_NAMED, description="By name: a setting of engines.")


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


class Mistake(_Form):
    """A mistake, as `slotwise check` says it."""

    line: int = Field(description="From 1; 0 = it has no place in the text.")
    column: int = Field(description="From 1; 0 likewise.")
    message: str = Field(description="What is wrong, and what to do.")
    whole: str = Field(description="The line that `slotwise check` prints.")


class StudioAnswer(_Form):
    """What every answer has. Where it is not `ok`, `mistakes` or `message` say why, and nothing else is there."""

    api: int = API_VERSION
    tab: str
    version: int
    state: State = Field(
        default="ok",
        description="`mistake`: the text or a value is wrong; `replaced`: a later request took its place; `too-long`: "
        "it was interrupted as it took too long; `failed`: something else went wrong.",
    )
    message: str = Field(default="", description="Where the state is `replaced`, `too-long` or `failed`: why.")
    mistakes: list[Mistake] = []


class LinesOf(_Form):
    """Lines of the text, from 1; both belong to it."""

    first: int
    last: int


class NodePlace(_Form):
    """Where a node is written."""

    pipeline: str
    node: str
    lines: LinesOf


class GraphNode(_Form):
    """A box of a drawing; lengths are pixels."""

    node: str
    x: float
    y: float
    width: float
    height: float
    texts: list[str]
    title: str


class GraphLine(_Form):
    """A line of a drawing: an SVG path. `again`: the way back of a loop."""

    d: str
    again: bool


class PipelineGraph(_Form):
    """The graph of a pipeline as a report draws it. Where it is too dense, `says` has what there is, and no node."""

    pipeline: str
    width: float
    height: float
    nodes: list[GraphNode]
    lines: list[GraphLine]
    says: list[str]


class ServerTurns(_Form):
    """A server whose slots can be turned."""

    name: str
    slots: int
    model: str


class PipelineTurns(_Form):
    """How jobs of a pipeline come. `users` is 0 where there are none; `per_s` is null where there is no rate."""

    name: str
    users: int
    per_s: float | None


class LeverTurns(_Form):
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


class CompletedItem(_Form):
    """Something that could stand there."""

    text: str = Field(description="What is written in place of what stands between `first` and the cursor.")
    kind: Literal["key", "value", "name"]
    about: str


class CompletedAnswer(StudioAnswer):
    """Of /api/complete."""

    first: int = Field(default=1, description="Column, from 1, at which the text that is replaced begins.")
    items: list[CompletedItem] = []


class Quantity(_Form):
    """A figure with its 95 % interval; `profile_low`, `profile_high`: over resampled calibrations."""

    value: float
    low: float | None
    high: float | None
    n: int
    origin: str
    profile_low: float | None
    profile_high: float | None


class GoalState(_Form):
    """A goal and whether it is met."""

    pipeline: str
    goal: str
    wanted_s: float
    found_s: float | None
    state: Literal["met", "missed", "not judged"]


class OfPipeline(_Form):
    """One pipeline under one candidate; times in seconds. `time` is the reply time where the path is interactive."""

    pipeline: str
    path: str
    time: Quantity | None
    first_token: Quantity | None
    all_done: Quantity | None
    p95_s: float | None
    goals: list[GoalState]
    jobs_failed: int


class OfCandidate(_Form):
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


class KnownMachine(_Form):
    """A profile. `mistake`: why it cannot be read; then nothing else is known."""

    name: str
    kind: Literal["shipped", "own"]
    origin: str = ""
    machine: str = ""
    engine: str = ""
    model: str = ""
    slots: list[int] = []
    mistake: str = ""


class KnownDevice(_Form):
    """A device that a profile can be estimated for."""

    name: str
    family: str
    memory_bytes: int


class KnownModel(_Form):
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
