"""When jobs start."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import Field, PositiveInt, Tag, model_validator

from harness.workload.schema.base import Seconds, Spec, mistake, one_key_of

__all__ = ["Arrival", "AtTimes", "Closed", "Every"]


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


class Closed(Spec):
    """A closed loop: each user starts the next job `think_s` after the last one ended."""

    closed: PositiveInt = Field(le=10_000, description="How many users.", examples=[1])
    think_s: Seconds = Field(
        default=0.0, description="Seconds between a reply and the user's next request.", examples=[2]
    )


Arrival = Annotated[
    Annotated[Every, Tag("<every_s>")] | Annotated[AtTimes, Tag("<at_s>")] | Annotated[Closed, Tag("<closed>")],
    one_key_of(("every_s", "at_s", "closed")),
]
