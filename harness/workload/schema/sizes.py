"""A size or a time that may vary: a number, a range, or a named distribution.

The same forms wherever one stands. `Amount` counts things (tokens, items, turns), `Duration` is in seconds;
`distribution` compiles either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Discriminator, Field, PositiveInt, Tag

from harness.core.sizes import Distribution
from harness.workload.numbers import MAX_NUMBERS, read_numbers
from harness.workload.schema.base import (
    FrozenDict,
    PositiveSeconds,
    Seconds,
    Spec,
    mistake,
    numbers_of_file,
    text_or_list,
)

__all__ = [
    "Amount",
    "Duration",
    "Empirical",
    "Exponential",
    "ExponentialShape",
    "Gamma",
    "GammaShape",
    "Lognormal",
    "LognormalShape",
    "distribution",
    "is_fixed",
    "scaled",
]

Positive = PositiveSeconds
Most = Annotated[Positive | None, Field(description="Upper limit: larger values are set to it.", examples=[200])]


class LognormalShape(Spec):
    """A lognormal distribution."""

    median: Positive = Field(description="Half of the values are below this.", examples=[60])
    sigma: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] = Field(
        description="Standard deviation of the logarithm; 0.5: two thirds within a factor of 1.65.", examples=[0.5]
    )
    max: Most = None


class GammaShape(Spec):
    """A gamma distribution."""

    mean: Positive = Field(description="The mean.", examples=[60])
    cv: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] = Field(
        description="Coefficient of variation: standard deviation over mean.", examples=[0.5]
    )
    max: Most = None


class ExponentialShape(Spec):
    """An exponential distribution."""

    mean: Positive = Field(description="The mean.", examples=[2])
    max: Most = None


class Lognormal(Spec):
    """Lognormal: most values near the median, a long tail above; how answers and tools usually vary."""

    lognormal: LognormalShape = Field(
        description="Lognormal, by median and sigma.", examples=[{"median": 60, "sigma": 0.5}]
    )


class Gamma(Spec):
    """Gamma: any spread around a mean, by its coefficient of variation."""

    gamma: GammaShape = Field(description="Gamma, by mean and cv.", examples=[{"mean": 60, "cv": 0.5}])


class Exponential(Spec):
    """Exponential: times without memory."""

    exponential: ExponentialShape = Field(description="Exponential, by its mean.", examples=[{"mean": 2}])


def _not_empty(value: tuple[float, ...] | str) -> tuple[float, ...] | str:
    if not value:
        raise mistake("expected at least one value, found none")
    return value


class Empirical(Spec):
    """What was observed: every value equally likely."""

    empirical: Annotated[
        Annotated[
            Annotated[tuple[Seconds, ...], Field(max_length=MAX_NUMBERS), Tag("<list>")]
            | Annotated[str, Tag("<text>")],
            text_or_list("a list of numbers or the name of a file with one a line"),
        ],
        AfterValidator(_not_empty),
        numbers_of_file(read_numbers, "numbers", "the numbers"),
    ] = Field(
        description="The values, or a file with one a line, below the workload's folder.",
        examples=[[12, 40, 33], "lengths.txt"],
    )


def _in_order(value: tuple[float, ...]) -> tuple[float, ...]:
    if len(value) != 2:
        raise mistake(f"expected a range [low, high], found a list of {len(value)}")
    if value[0] > value[1]:
        raise mistake(f"expected a range [low, high], found {value[0]:g} above {value[1]:g}")
    return value


Whole = Annotated[int, Field(ge=0, le=1_000_000)]
_TWO = {"minItems": 2, "maxItems": 2}
WholeRange = Annotated[
    tuple[Whole, ...],
    AfterValidator(_in_order),
    Field(description="Uniform: low and high, both possible.", examples=[[20, 80]], json_schema_extra=_TWO),
]
Range = Annotated[
    tuple[Seconds, ...],
    AfterValidator(_in_order),
    Field(description="Uniform between low and high.", examples=[[0.2, 1.5]], json_schema_extra=_TWO),
]

_KEYS = ("lognormal", "gamma", "exponential", "empirical")


def _form(value: Any) -> str | None:
    """Choose the form by what was written: one mistake, one message."""
    if isinstance(value, (int, float)):
        return "<number>"
    if isinstance(value, (list, tuple)):
        return "<list>"
    if isinstance(value, BaseModel):
        return next((f"<{key}>" for key in _KEYS if hasattr(value, key)), None)
    found = [key for key in _KEYS if isinstance(value, Mapping) and key in value]
    return f"<{found[0]}>" if len(found) == 1 else None


_FORM = Discriminator(
    _form,
    custom_error_type="one_key_of",
    custom_error_message="expected {instead}a mapping with exactly one of {keys}",
    custom_error_context=FrozenDict(
        {"keys": ", ".join(f"`{key}`" for key in _KEYS), "instead": "a number, a range [low, high] or "}
    ),
)

Amount = Annotated[
    Annotated[PositiveInt, Field(le=1_000_000), Tag("<number>")]
    | Annotated[WholeRange, Tag("<list>")]
    | Annotated[Lognormal, Tag("<lognormal>")]
    | Annotated[Gamma, Tag("<gamma>")]
    | Annotated[Exponential, Tag("<exponential>")]
    | Annotated[Empirical, Tag("<empirical>")],
    _FORM,
]
Duration = Annotated[
    Annotated[Seconds, Tag("<number>")]
    | Annotated[Range, Tag("<list>")]
    | Annotated[Lognormal, Tag("<lognormal>")]
    | Annotated[Gamma, Tag("<gamma>")]
    | Annotated[Exponential, Tag("<exponential>")]
    | Annotated[Empirical, Tag("<empirical>")],
    _FORM,
]


def is_fixed(size: Amount | Duration) -> bool:
    """Return whether a size is a plain number."""
    return isinstance(size, (int, float))


def distribution(size: Amount | Duration, *, whole: bool = False) -> Distribution:
    """Compile a size. `whole`: of things that are counted, so that only whole numbers are drawn."""

    def most(value: float | None) -> float | None:
        return value if value is None or not whole else float(int(value))

    match size:
        case int() | float():
            return Distribution("fixed", (size,), whole)
        case tuple():
            return Distribution("uniform", size, whole)
        case Lognormal(lognormal=shape):
            return Distribution("lognormal", (shape.median, shape.sigma), whole, most(shape.max))
        case Gamma(gamma=shape):
            return Distribution("gamma", (shape.mean, shape.cv), whole, most(shape.max))
        case Exponential(exponential=shape):
            return Distribution("exponential", (shape.mean,), whole, most(shape.max))
        case Empirical(empirical=values):
            if isinstance(values, str):  # `numbers_of_file` has put its numbers in its place
                raise ValueError(f"{values} was not read")
            return Distribution("empirical", values, whole)


_SCALES = ("median", "mean", "max")  # what is in the unit of the values; spreads are relative


def scaled(amount: Any, factor: float) -> Any:
    """Return an `Amount`, as plain data, `factor` times as large: whole numbers, at least 1.

    A file of numbers, by its name, stays as it is.
    """

    def times(value: float) -> int:
        return min(1_000_000, max(1, round(value * factor)))

    if isinstance(amount, (int, float)):
        return times(amount)
    if isinstance(amount, (list, tuple)):
        return [times(value) for value in amount]
    if isinstance(amount, Mapping):
        ((form, shape),) = amount.items()
        if not isinstance(shape, Mapping):
            return {form: scaled(shape, factor)}
        return {form: {key: value * factor if key in _SCALES else value for key, value in shape.items()}}
    return amount
