"""When jobs start, and conversations."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import Field, PositiveInt, Tag, model_validator

from harness.workload.arrival_file import MAX_ARRIVALS, read_arrivals
from harness.workload.schema.base import (
    PositiveSeconds,
    Seconds,
    Spec,
    mistake,
    numbers_of_file,
    one_key_of,
    text_or_list,
)
from harness.workload.schema.sizes import Amount, Duration

__all__ = [
    "Arrival",
    "AtTimes",
    "Bursts",
    "BurstsShape",
    "Closed",
    "Every",
    "Poisson",
    "Ramp",
    "RampShape",
    "Session",
    "Trace",
]

Rate = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]


class Every(Spec):
    """A job starts every `every_s` seconds; 0 starts all of them at once."""

    every_s: Seconds = Field(description="Seconds between intended starts; 0 = all at once.", examples=[0, 2.5])


class AtTimes(Spec):
    """Jobs start at the listed times."""

    at_s: tuple[Seconds, ...] = Field(
        min_length=1,
        max_length=100_000,
        description="Intended starts, in seconds, in order.",
        examples=[[0, 3, 9]],
    )

    @model_validator(mode="after")
    def _in_order(self) -> AtTimes:
        for i, (before, now) in enumerate(pairwise(self.at_s), start=1):
            if now < before:
                raise mistake(f"at_s must not decrease, found {now:g} after {before:g}", "at_s", i)
        return self


class Poisson(Spec):
    """Jobs start independently of one another, so many a second on average: people who do not know of each other."""

    poisson_per_s: Rate = Field(description="Jobs a second, on average.", examples=[0.2])


class RampShape(Spec):
    """Poisson arrivals whose rate changes in a straight line and then stays."""

    from_per_s: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)] = Field(
        description="Jobs a second at the beginning; may be 0.", examples=[0.1]
    )
    to_per_s: Rate = Field(description="Jobs a second at the end of the ramp, and from then on.", examples=[2])
    over_s: PositiveSeconds = Field(description="Seconds from one to the other.", examples=[60])


class Ramp(Spec):
    """Poisson arrivals that become more, or fewer: where does it stop to keep up?"""

    ramp: RampShape = Field(
        description="From one rate to another.", examples=[{"from_per_s": 0.1, "to_per_s": 2, "over_s": 60}]
    )


class BurstsShape(Spec):
    """So many jobs at once, every so often."""

    size: PositiveInt = Field(le=10_000, description="Jobs that start together.", examples=[8])
    every_s: PositiveSeconds = Field(description="Seconds from one burst to the next.", examples=[30])


class Bursts(Spec):
    """Jobs come in bursts: a scheduler's tick, a batch that was uploaded."""

    bursts: BurstsShape = Field(description="Bursts.", examples=[{"size": 8, "every_s": 30}])


class Trace(Spec):
    """Jobs start as somebody recorded it."""

    trace: Annotated[
        Annotated[
            Annotated[tuple[Seconds, ...], Field(min_length=1, max_length=MAX_ARRIVALS), Tag("<list>")]
            | Annotated[str, Tag("<text>")],
            text_or_list("the name of a file of arrival times"),
        ],
        numbers_of_file(read_arrivals, "arrivals", "`at_s`"),
    ] = Field(
        description="A file of times below the workload's folder: CSV, one time a line, or JSON lines; "
        "seconds, or dates that are counted from the first.",
        examples=["arrivals.csv"],
    )


class Closed(Spec):
    """A closed loop: each user starts the next job `think_s` after the last one ended."""

    closed: PositiveInt = Field(le=10_000, description="How many users.", examples=[1])
    think_s: Duration = Field(
        default=0.0,
        description="Seconds between a reply and the user's next request; with `session`, between two conversations.",
        examples=[2, {"exponential": {"mean": 5}}],
    )


Arrival = Annotated[
    Annotated[Every, Tag("<every_s>")]
    | Annotated[AtTimes, Tag("<at_s>")]
    | Annotated[Closed, Tag("<closed>")]
    | Annotated[Poisson, Tag("<poisson_per_s>")]
    | Annotated[Ramp, Tag("<ramp>")]
    | Annotated[Bursts, Tag("<bursts>")]
    | Annotated[Trace, Tag("<trace>")],
    one_key_of(("every_s", "at_s", "closed", "poisson_per_s", "ramp", "bursts", "trace")),
]


class Session(Spec):
    """Conversations: each arrival opens one; in every turn an agent sees its own turns before it."""

    turns: Amount = Field(description="Turns of a conversation, a job each.", examples=[6, [2, 10]])
    think_s: Duration = Field(
        default=0.0,
        description="Seconds from the end of a turn to the start of the next.",
        examples=[5, {"lognormal": {"median": 8, "sigma": 0.7}}],
    )
    reuse_prefix: bool = Field(
        default=False,
        description="Let the server keep the conversation in its prompt cache; otherwise every turn reads all of it.",
        examples=[True],
    )
