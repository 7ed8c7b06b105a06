"""What every request and every answer of the page is made of; `api.py` has the questions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "API_VERSION",
    "LONGEST_NAME",
    "MOST_CHARACTERS",
    "MOST_NAMED",
    "LinesOf",
    "MachineAsked",
    "Mistake",
    "Named",
    "Number",
    "State",
    "StudioAnswer",
    "StudioForm",
    "StudioQuestion",
    "Text",
    "TurnedAsked",
]

API_VERSION = 1

MOST_CHARACTERS = 1024 * 1024  # of a workload
MOST_NAMED = 64  # of dials, of profiles
LONGEST_NAME = 200

State = Literal["ok", "mistake", "replaced", "too-long", "failed"]

Text = Annotated[str, Field(max_length=MOST_CHARACTERS)]
Named = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class StudioForm(BaseModel):
    """Anything that is asked or answered."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StudioQuestion(StudioForm):
    """What every request has."""

    tab: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Which tab asks; made by the page, any text.")
    version: int = Field(ge=0, le=2**53, description="Of what is asked about; the page counts it up.")


class MachineAsked(StudioForm):
    """The machine to predict on."""

    profiles: tuple[Named, ...] = Field(
        default=(),
        max_length=MOST_NAMED,
        description="As `--profile` takes them: NAME, or MODEL=NAME or MACHINE=NAME for several.",
    )
    device: Named | None = Field(default=None, description="A device instead; its profile is estimated.")
    model: Named | None = Field(default=None, description="With a device: the model that is served.")
    quant: Named | None = Field(default=None, description="With a device: the number format of the model's weights.")


class TurnedAsked(StudioForm):
    """Values in place of those that are written; the text stays as it is."""

    slots: dict[Named, int] = Field(default={}, max_length=MOST_NAMED, description="By server: its slots.")
    users: dict[Named, int] = Field(default={}, max_length=MOST_NAMED, description="By pipeline: users, where it has.")
    rate: dict[Named, Number] = Field(
        default={}, max_length=MOST_NAMED, description="By pipeline: a factor on how often jobs come."
    )
    answers: Number = Field(default=1.0, description="A factor on the length of every answer.")
    levers: dict[Named, Named] = Field(default={}, max_length=MOST_NAMED, description="By name: a setting of engines.")


class Mistake(StudioForm):
    """A mistake, as `slotwise check` says it."""

    line: int = Field(description="From 1; 0 = it has no place in the text.")
    column: int = Field(description="From 1; 0 likewise.")
    message: str = Field(description="What is wrong, and what to do.")
    whole: str = Field(description="The line that `slotwise check` prints.")


class StudioAnswer(StudioForm):
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


class LinesOf(StudioForm):
    """Lines of the text, from 1; both belong to it."""

    first: int
    last: int
