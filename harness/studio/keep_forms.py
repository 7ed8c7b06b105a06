"""What is asked to edit a graph by hand, to keep a design, and to share what came of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.studio.forms import (
    LONGEST_NAME,
    LinesOf,
    MachineAsked,
    Named,
    StudioAnswer,
    StudioForm,
    StudioQuestion,
    Text,
    TurnedAsked,
)

__all__ = [
    "KEEP_QUESTIONS",
    "BeginAnswer",
    "BeginAsked",
    "EditAnswer",
    "EditAsked",
    "FileAnswer",
    "FileAsked",
    "NodeAnswer",
    "NodeAsked",
    "PredictedAsked",
    "ReportAnswer",
    "SaveAsked",
    "SettingsAnswer",
    "SettingsAsked",
]

Name = Annotated[str, Field(max_length=LONGEST_NAME)]
Tokens = Annotated[int, Field(ge=1, le=1_000_000)]
Digest = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]


class NodeAsked(StudioQuestion):
    """POST /api/node: what an edit of a node can begin with."""

    text: Text = Field(description="The workload, as YAML.")
    pipeline: Named
    node: Named = Field(description="One of a sub-pipeline: refine/critic.")


class EditAsked(NodeAsked):
    """POST /api/edit: the text with one edit in it; nothing else of it changes."""

    kind: Literal["add-after", "fan-out", "one-call", "tokens", "delete"]
    name: Name = Field(default="", description="`add-after`: of the new node.")
    agent: Named | None = Field(default=None, description="`add-after`: an agent's name; null: one of its own.")
    over: Name = Field(default="", description="`fan-out`: the input.")
    tokens: tuple[Tokens, ...] = Field(
        default=(), max_length=2, description="`tokens`: a number, or the least and the most."
    )


class FileAsked(StudioQuestion):
    """POST /api/file: whether the design's file is what it was."""

    digest: Digest = Field(description='As the page knows it; "": there was no file.')
    text: Text = Field(default="", description="What the file is compared with where it has changed.")


class SaveAsked(FileAsked):
    """POST /api/save: write the text, if the file is what it was."""

    text: Text = Field(description="The workload, as YAML.")
    name: Name = Field(default="", description="Of a design that has no file yet: below the workbench's folder.")


class PredictedAsked(StudioQuestion):
    """POST /api/report: the report of the final figures."""

    text: Text = Field(description="The workload, as YAML.")
    machine: MachineAsked = Field(default=MachineAsked(), description="The machine to predict on.")
    turned: TurnedAsked = Field(default=TurnedAsked(), description="Values in place of those that are written.")
    extrapolate: bool = Field(default=False, description="Derive numbers of slots that a profile lacks.")


class SettingsAsked(PredictedAsked):
    """POST /api/settings: what to copy for a candidate."""

    candidate: Name


class BeginAsked(StudioQuestion):
    """POST /api/begin: a shipped workload to start from."""

    name: Named


class NodeAnswer(StudioAnswer):
    """Of /api/node."""

    kind: str = Field(default="", description="`agent`, `tool`, `embed` or `pipeline`.")
    agent: str = Field(default="", description='Its name; "": none, or one of its own.')
    card: str = Field(default="", description='The file that the agent is in; "": it is in the text.')
    shared_by: int = Field(default=1, description="Nodes that call this agent.")
    tokens: list[int] = []
    over: str = ""
    needed_by: list[str] = []
    inputs: list[str] = []
    agents: list[str] = []
    free_name: str = ""


class EditAnswer(StudioAnswer):
    """Of /api/edit."""

    text: str = ""
    lines: LinesOf | None = Field(default=None, description="Where the edit is; null: what was there is gone.")


class FileAnswer(StudioAnswer):
    """Of /api/file and /api/save."""

    file: str = Field(default="", description='"": the design has none yet.')
    digest: str = Field(default="", description='Of what is in the file now; "": there is no file.')
    same: bool = Field(default=True, description="The file is what it was.")
    saved: bool = Field(default=False, description="The text was written.")
    text: str = Field(default="", description="Where the file is not what it was: what is in it.")
    difference: list[str] = Field(default=[], description="The same: from the file to the text.")


class ReportAnswer(StudioAnswer):
    """Of /api/report."""

    name: str = ""
    html: str = ""


class SettingsPart(StudioForm):
    """Something to copy as it is; `path`: where it goes, "" where that is the reader's to say."""

    kind: str
    title: str
    path: str
    text: str


class SettingsAnswer(StudioAnswer):
    """Of /api/settings."""

    candidate: str = ""
    remarks: list[str] = []
    texts: list[SettingsPart] = []


class BeginAnswer(StudioAnswer):
    """Of /api/begin."""

    text: str = ""


KEEP_QUESTIONS: dict[str, tuple[type[StudioQuestion], type[StudioAnswer]]] = {
    "node": (NodeAsked, NodeAnswer),
    "edit": (EditAsked, EditAnswer),
    "file": (FileAsked, FileAnswer),
    "save": (SaveAsked, FileAnswer),
    "report": (PredictedAsked, ReportAnswer),
    "settings": (SettingsAsked, SettingsAnswer),
    "begin": (BeginAsked, BeginAnswer),
}
