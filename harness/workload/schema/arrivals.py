"""When jobs start, and conversations. Each arrival turns itself into its process (`harness.core.arrival_processes`)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Protocol, Union

from pydantic import Field, PositiveInt, Tag, model_validator

from harness.core.arrival_processes import ArrivalProcess, Bursts, Closed, Every, GammaGaps, Listed, Poisson, Ramp
from harness.core.graph import Session
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
from harness.workload.schema.sizes import Amount, Duration, distribution

__all__ = [
    "ARRIVALS",
    "ArrivalSpec",
    "AtTimesSpec",
    "BurstsShape",
    "BurstsSpec",
    "ClosedSpec",
    "EverySpec",
    "GammaGapsShape",
    "GammaGapsSpec",
    "PoissonSpec",
    "RampShape",
    "RampSpec",
    "SessionSpec",
    "TraceSpec",
]

Rate = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]


class EverySpec(Spec):
    """A job starts every `every_s` seconds; 0 starts all of them at once."""

    every_s: Seconds = Field(description="Seconds between intended starts; 0 = all at once.", examples=[0, 2.5])

    def process(self) -> Every:
        return Every(self.every_s)

    def faster(self, rate: float) -> dict[str, Any]:
        return {"every_s": self.every_s / rate}


class AtTimesSpec(Spec):
    """Jobs start at the listed times."""

    at_s: tuple[Seconds, ...] = Field(
        min_length=1,
        max_length=100_000,
        description="Intended starts, in seconds, in order.",
        examples=[[0, 3, 9]],
    )

    @model_validator(mode="after")
    def _in_order(self) -> AtTimesSpec:
        for i, (before, now) in enumerate(pairwise(self.at_s), start=1):
            if now < before:
                raise mistake(f"at_s must not decrease, found {now:g} after {before:g}", "at_s", i)
        return self

    def process(self) -> Listed:
        return Listed(self.at_s)

    def faster(self, rate: float) -> dict[str, Any]:
        return {"at_s": [at_s / rate for at_s in self.at_s]}


class PoissonSpec(Spec):
    """Jobs start independently of one another, at a mean rate: people who do not know of each other."""

    poisson_per_s: Rate = Field(description="Jobs a second, on average.", examples=[0.2])

    def process(self) -> Poisson:
        return Poisson(self.poisson_per_s)

    def faster(self, rate: float) -> dict[str, Any]:
        return {"poisson_per_s": self.poisson_per_s * rate}


class GammaGapsShape(Spec):
    """Jobs whose gaps have a gamma distribution."""

    per_s: Rate = Field(description="Jobs a second, on average.", examples=[0.2])
    cv: Annotated[float, Field(ge=0.05, le=10, allow_inf_nan=False)] = Field(
        description="Coefficient of variation of the gaps, standard deviation over mean: 1 is Poisson; below 1 "
        "jobs come more evenly, near 0 as with `every_s`; above 1 they come in clusters.",
        examples=[2],
    )


class GammaGapsSpec(Spec):
    """Jobs start in clusters, or more evenly than at random, by the coefficient of variation of their gaps."""

    gamma: GammaGapsShape = Field(
        description="Gamma gaps, by rate and coefficient of variation.", examples=[{"per_s": 0.2, "cv": 2}]
    )

    def process(self) -> GammaGaps:
        return GammaGaps(self.gamma.per_s, self.gamma.cv)

    def faster(self, rate: float) -> dict[str, Any]:
        return {"gamma": {"per_s": self.gamma.per_s * rate, "cv": self.gamma.cv}}


class RampShape(Spec):
    """Poisson arrivals whose rate changes in a straight line and then stays."""

    from_per_s: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)] = Field(
        description="Jobs a second at the beginning; may be 0.", examples=[0.1]
    )
    to_per_s: Rate = Field(description="Jobs a second at the end of the ramp, and from then on.", examples=[2])
    over_s: PositiveSeconds = Field(description="Seconds from one to the other.", examples=[60])


class RampSpec(Spec):
    """Poisson arrivals that become more, or fewer: where does it stop to keep up?"""

    ramp: RampShape = Field(
        description="From one rate to another.", examples=[{"from_per_s": 0.1, "to_per_s": 2, "over_s": 60}]
    )

    def process(self) -> Ramp:
        return Ramp(self.ramp.from_per_s, self.ramp.to_per_s, self.ramp.over_s)

    def faster(self, rate: float) -> dict[str, Any]:
        ramp = self.ramp
        rates = {"from_per_s": ramp.from_per_s * rate, "to_per_s": ramp.to_per_s * rate}
        return {"ramp": {**rates, "over_s": ramp.over_s / rate}}


class BurstsShape(Spec):
    """Several jobs at once, at regular intervals."""

    size: PositiveInt = Field(le=10_000, description="Jobs that start together.", examples=[8])
    every_s: PositiveSeconds = Field(description="Seconds from one burst to the next.", examples=[30])


class BurstsSpec(Spec):
    """Jobs come in bursts: a scheduler's tick, a batch that was uploaded."""

    bursts: BurstsShape = Field(description="Bursts.", examples=[{"size": 8, "every_s": 30}])

    def process(self) -> Bursts:
        return Bursts(self.bursts.size, self.bursts.every_s)

    def faster(self, rate: float) -> dict[str, Any]:
        return {"bursts": {"size": self.bursts.size, "every_s": self.bursts.every_s / rate}}


class TraceSpec(Spec):
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

    def process(self) -> Listed:
        if isinstance(self.trace, str):  # `numbers_of_file` has put its times in its place
            raise ValueError(f"{self.trace} was not read")
        return Listed(self.trace)

    def faster(self, rate: float) -> dict[str, Any]:
        return {"trace": [at_s / rate for at_s in self.process().at_s]}


class ClosedSpec(Spec):
    """A closed loop: each user starts the next job `think_s` after the last one ended."""

    closed: PositiveInt = Field(le=10_000, description="How many users.", examples=[1])
    think_s: Duration = Field(
        default=0.0,
        description="Seconds between a reply and the user's next request; with `session`, between two conversations.",
        examples=[2, {"exponential": {"mean": 5}}],
    )

    def process(self) -> Closed:
        return Closed(self.closed, distribution(self.think_s))

    def faster(self, rate: float) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_unset=True)


# By their key in a workload: what is listed here is in the schema, in every message and in the tests of all processes.
ARRIVALS: dict[str, type[Spec]] = {
    "every_s": EverySpec,
    "at_s": AtTimesSpec,
    "closed": ClosedSpec,
    "poisson_per_s": PoissonSpec,
    "gamma": GammaGapsSpec,
    "ramp": RampSpec,
    "bursts": BurstsSpec,
    "trace": TraceSpec,
}

if TYPE_CHECKING:

    class ArrivalSpec(Protocol):
        """Any of `ARRIVALS`: what a pipeline says of its arrivals, and the process that it means."""

        def process(self) -> ArrivalProcess: ...

        def faster(self, rate: float) -> dict[str, Any]:
            """Return what is written of `process().scaled(rate)`, as plain data."""

else:
    _TAGGED = tuple(Annotated[spec, Tag(f"<{key}>")] for key, spec in ARRIVALS.items())
    ArrivalSpec = Annotated[Union[_TAGGED], one_key_of(ARRIVALS)]  # noqa: UP007 - made of a table


class SessionSpec(Spec):
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

    def session(self) -> Session:
        """Return what is compiled of it."""
        return Session(distribution(self.turns, whole=True), distribution(self.think_s), self.reuse_prefix)
