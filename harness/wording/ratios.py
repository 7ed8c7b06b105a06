"""How much faster or slower, in words: `takes 58 % longer`, `takes 3.1x as long`, `is 2.8x faster`."""

from __future__ import annotations

import math
from typing import NamedTuple

from harness.analysis.statistics import NO_WIDTH, Comparison

__all__ = ["Subject", "between", "interval_of", "more_than", "than", "turned"]

_PERCENT_UP_TO = 2.0  # a factor beyond it is easier to grasp than a percentage


class Subject(NamedTuple):
    """What takes time: `digest`, `chat replies`."""

    text: str
    plural: bool = False

    def takes(self, ratio: float) -> str:
        """Say how its time changes by a factor."""
        takes, is_ = ("take", "are") if self.plural else ("takes", "is")
        if ratio >= _PERCENT_UP_TO:
            return f"{self.text} {takes} {_factor(ratio)} as long"
        if ratio <= 1 / _PERCENT_UP_TO:
            return f"{self.text} {is_} {_factor(1 / ratio)} faster"
        change = round(abs(ratio - 1) * 100)
        if change == 0:
            return f"{self.text} {takes} the same time"
        return f"{self.text} {takes} {change} % {'longer' if ratio > 1 else 'less time'}"

    def against(self, found: Comparison) -> str:
        """Say how its time differs, where that is known."""
        if found.relation == "equivalent":
            return f"{self.text} {'take' if self.plural else 'takes'} the same time within 5 %"
        if found.relation == "unresolved" and found.n > 1:
            return f"{self.text} {'show' if self.plural else 'shows'} no measurable difference"
        return self.takes(found.ratio)

    def takes_between(self, found: Comparison) -> str:
        """Say the interval of that factor in the same words; "" where there is none, or where it has no width."""
        ends = interval_of(found)
        if ends is None or math.isclose(*ends, rel_tol=NO_WIDTH):
            return ""
        low, high = ends
        takes, is_ = ("take", "are") if self.plural else ("takes", "is")
        if low >= 1:
            if found.ratio >= _PERCENT_UP_TO:
                return f"{self.text} {takes} {_factor(low)} to {_factor(high)} as long"
            return f"{self.text} {takes} {_percent(low - 1)} to {_percent(high - 1)} % longer"
        if high <= 1:
            if found.ratio <= 1 / _PERCENT_UP_TO:
                return f"{self.text} {is_} {_factor(1 / high)} to {_factor(1 / low)} faster"
            return f"{self.text} {takes} {_percent(1 - high)} to {_percent(1 - low)} % less time"
        return f"{self.text} {takes} between {_percent(1 - low)} % less and {_percent(high - 1)} % more time"


def between(found: Comparison) -> str:
    """Write the interval of a ratio as `Subject.takes` writes the ratio, in brackets; "" where there is none."""
    said = Subject("").takes_between(found)
    numbers = said.replace(" takes ", "").replace(" is ", "")
    for words in (" as long", " longer", " less time", " faster"):
        numbers = numbers.removesuffix(words)
    return f" ({numbers.removeprefix('between ')})" if numbers else ""


def more_than(ratio: float) -> str:
    """Say how much more of something there is than of what follows: `12 % more than`, `2.4x as much as`."""
    if ratio >= _PERCENT_UP_TO:
        return f"{_factor(ratio)} as much as"
    return f"{_percent(ratio - 1)} % more than"


def than(ratio: float) -> str:
    """Return what follows `takes 58 % longer`, `takes 2.1x as long`, `is 3.0x faster`, `takes the same time`."""
    return "as with" if ratio >= _PERCENT_UP_TO or round(abs(ratio - 1) * 100) == 0 else "than with"


def interval_of(found: Comparison) -> tuple[float, float] | None:
    """Return the interval of a ratio that decides: draws and profile together, whose errors are independent."""
    if found.interval is None:
        return None
    halves = [math.log(high / low) / 2 for low, high in filter(None, (found.interval, found.profile_interval))]
    half = math.hypot(*halves)
    return found.ratio * math.exp(-half), found.ratio * math.exp(half)


def turned(found: Comparison) -> Comparison:
    """Return a comparison of times the other way round."""

    def inverse(value: float | None) -> float | None:
        return None if value is None else 1 / value

    relation = {"better": "worse", "worse": "better"}.get(found.relation, found.relation)
    return found._replace(
        candidate=found.against,
        against=found.candidate,
        ratio=1 / found.ratio,
        low=inverse(found.high),
        high=inverse(found.low),
        profile_low=inverse(found.profile_high),
        profile_high=inverse(found.profile_low),
        relation=relation,  # type: ignore[arg-type]  # of a Relation one comes
    )


def _factor(ratio: float) -> str:
    return f"{ratio:.1f}x" if ratio < 9.95 else f"{ratio:.0f}x"


def _percent(share: float) -> str:
    return f"{max(share, 0.0) * 100:.0f}"
