"""When jobs are intended to start: one frozen class for each arrival process, all of what is known of it.

Nothing here knows whether anybody can keep up: that is what makes a loop open. Nobody else asks which process one is;
whatever differs between them is in `ArrivalProcess`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import log, sqrt
from typing import ClassVar, Literal, Protocol

from harness.core.draws import uniform
from harness.core.gamma import gamma_quantile
from harness.core.sizes import Distribution, fixed
from harness.units import count

__all__ = ["ArrivalProcess", "Bursts", "Closed", "Every", "GammaGaps", "Listed", "Opens", "Poisson", "Ramp", "Requests"]

Opens = Literal["job", "conversation"]  # what an arrival opens


class ArrivalProcess(Protocol):
    """When the jobs of a pipeline start; with sessions, when its conversations open.

    A closed loop has `users`, each of whom starts a job at the beginning and the next one a think time after the last
    one ended. In an open loop nobody waits for anybody: `users` is 0, and the times say everything.
    """

    @property
    def users(self) -> int:
        """How many users a closed loop has; 0 = an open loop."""

    @property
    def think(self) -> Distribution:
        """How long a user waits before the next job, in seconds; 0 s in an open loop."""

    @property
    def starts(self) -> int | None:
        """How many starts it lists; None = it goes on for as many jobs as the pipeline has."""

    @property
    def endless(self) -> bool:
        """Whether it can pace a pipeline that goes on until another has ended (`while`)."""

    @property
    def mean_per_s(self) -> float | None:
        """Mean rate in the long run, whatever becomes of the jobs before; None where they do not come at a rate."""

    @property
    def changes(self) -> bool:
        """Whether its rate becomes another one while it lasts: a report then shows times by when jobs came."""

    def times(self, base_s: float, seed: int, repeat: int, pipeline: str) -> Iterator[float]:
        """Yield the intended starts in order, counted from `base_s`: each drawn when the one before it is due.

        What is drawn for start n has the key (seed, repeat, pipeline, n, "arrival"): it is the same for every
        candidate. Of a closed loop these are the first starts of its users.
        """

    def scaled(self, rate: float) -> ArrivalProcess:
        """Return it `rate` times as fast: the same starts in 1 / `rate` of the time. A closed loop stays as it is."""

    def multiplied(self, by: int) -> ArrivalProcess:
        """Return it with `by` times as many starts, or users, in the same time."""

    def with_users(self, users: int) -> ArrivalProcess:
        """Return a closed loop with this number of users; an open loop stays as it is."""

    def words(self, what: Opens, number: int | None) -> str:
        """Say it in words, for `check`. `number`: how many start in all; None where that is not known.

        The words name the number only where the process is not `endless`.
        """


_NOBODY_THINKS = fixed(0.0)
_ENOUGH = 10  # listed starts, to tell a rate that changes from chance


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed loop: each user starts the next job a think time after the last one ended."""

    users: int
    think: Distribution = _NOBODY_THINKS
    starts: ClassVar[int | None] = None
    changes: ClassVar[bool] = False
    endless: ClassVar[bool] = True
    mean_per_s: ClassVar[float | None] = None

    def times(self, base_s: float, seed: int, repeat: int, pipeline: str) -> Iterator[float]:
        return iter((base_s,) * self.users)

    def scaled(self, rate: float) -> Closed:
        return self

    def multiplied(self, by: int) -> Closed:
        return self.with_users(self.users * by)

    def with_users(self, users: int) -> Closed:
        return replace(self, users=users)

    def words(self, what: Opens, number: int | None) -> str:
        between = "reply and next request" if what == "job" else "conversations"
        return f"{count(self.users, 'user')}, {self.think.words} s between {between}"


@dataclass(frozen=True, slots=True)
class Every:
    """A start every `every_s` seconds; 0 = all jobs that there are at once."""

    every_s: float
    users: ClassVar[int] = 0
    think: ClassVar[Distribution] = _NOBODY_THINKS
    starts: ClassVar[int | None] = None
    changes: ClassVar[bool] = False

    @property
    def endless(self) -> bool:
        return self.every_s > 0

    @property
    def mean_per_s(self) -> float | None:
        return 1 / self.every_s if self.every_s else None

    def times(self, base_s: float, seed: int, repeat: int, pipeline: str) -> Iterator[float]:
        return (base_s + n * self.every_s for n in itertools.count())

    def scaled(self, rate: float) -> Every:
        return Every(self.every_s / rate)

    def multiplied(self, by: int) -> Every:
        return Every(self.every_s / by)

    def with_users(self, users: int) -> Every:
        return self

    def words(self, what: Opens, number: int | None) -> str:
        if self.every_s:
            return f"a {what} every {self.every_s:g} s"
        return f"{what}s, all at once" if number is None else _at_once(number, what)


@dataclass(frozen=True, slots=True)
class Listed:
    """Starts at listed times, in order: written in the workload, or recorded by somebody."""

    at_s: tuple[float, ...]
    users: ClassVar[int] = 0
    think: ClassVar[Distribution] = _NOBODY_THINKS
    endless: ClassVar[bool] = False

    @property
    def starts(self) -> int:
        return len(self.at_s)

    @property
    def changes(self) -> bool:
        if len(self.at_s) < _ENOUGH or self.at_s[0] == self.at_s[-1]:
            return False
        half_s = (self.at_s[0] + self.at_s[-1]) / 2
        early = sum(at_s < half_s for at_s in self.at_s)
        few, many = sorted((early, len(self.at_s) - early))
        return many >= 2 * few

    @property
    def mean_per_s(self) -> float | None:
        over_s = self.at_s[-1] - self.at_s[0] if self.at_s else 0.0
        return (len(self.at_s) - 1) / over_s if over_s else None

    def times(self, base_s: float, seed: int, repeat: int, pipeline: str) -> Iterator[float]:
        return (base_s + at_s for at_s in self.at_s)

    def scaled(self, rate: float) -> Listed:
        return Listed(tuple(at_s / rate for at_s in self.at_s))

    def multiplied(self, by: int) -> Listed:
        return Listed(tuple(at_s for at_s in self.at_s for _ in range(by)))

    def with_users(self, users: int) -> Listed:
        return self

    def words(self, what: Opens, number: int | None) -> str:
        if not self.at_s or self.at_s[-1] == 0:
            return _at_once(self.starts, what)
        if self.starts == 1:
            return f"1 {what} at {self.at_s[0]:g} s"
        shown = ", ".join(f"{at_s:g}" for at_s in self.at_s[:4]) + (", ..." if self.starts > 4 else "")
        return f"{self.starts} {what}s, at {shown} s"


@dataclass(frozen=True, slots=True)
class Poisson:
    """Starts independent of one another, `per_s` a second on average: people who do not know of each other."""

    per_s: float
    users: ClassVar[int] = 0
    think: ClassVar[Distribution] = _NOBODY_THINKS
    starts: ClassVar[int | None] = None
    changes: ClassVar[bool] = False
    endless: ClassVar[bool] = True

    @property
    def mean_per_s(self) -> float:
        return self.per_s

    def times(self, base_s: float, seed: int, repeat: int, pipeline: str) -> Iterator[float]:
        return (base_s + at / self.per_s for at in _drawn(_exponential, seed, repeat, pipeline))

    def scaled(self, rate: float) -> Poisson:
        return Poisson(self.per_s * rate)

    def multiplied(self, by: int) -> Poisson:
        return self.scaled(by)

    def with_users(self, users: int) -> Poisson:
        return self

    def words(self, what: Opens, number: int | None) -> str:
        return f"{self.per_s:g} {what}s a second at random (Poisson)"


@dataclass(frozen=True, slots=True)
class GammaGaps:
    """Independent gaps from a gamma distribution, by their coefficient of variation.

    `cv` 1 is a Poisson process (the very same starts); below 1 starts are more even, above 1 they come in clusters,
    as requests to language models do (Wang et al., "BurstGPT", arXiv 2401.17644, model recorded ones by it).
    """

    per_s: float
    cv: float
    users: ClassVar[int] = 0
    think: ClassVar[Distribution] = _NOBODY_THINKS
    starts: ClassVar[int | None] = None
    changes: ClassVar[bool] = False
    endless: ClassVar[bool] = True

    @property
    def mean_per_s(self) -> float:
        return self.per_s

    def times(self, base_s: float, seed: int, repeat: int, pipeline: str) -> Iterator[float]:
        shape = 1 / self.cv**2  # which is also the mean, of scale 1
        return (base_s + at / (shape * self.per_s) for at in _drawn(gamma_quantile(shape), seed, repeat, pipeline))

    def scaled(self, rate: float) -> GammaGaps:
        return GammaGaps(self.per_s * rate, self.cv)

    def multiplied(self, by: int) -> GammaGaps:
        return self.scaled(by)

    def with_users(self, users: int) -> GammaGaps:
        return self

    def words(self, what: Opens, number: int | None) -> str:
        return f"{self.per_s:g} {what}s a second at random (gamma gaps, cv {self.cv:g})"


@dataclass(frozen=True, slots=True)
class Ramp:
    """Poisson arrivals whose rate goes from one value to another in a straight line, and stays there."""

    from_per_s: float
    to_per_s: float
    over_s: float
    users: ClassVar[int] = 0
    think: ClassVar[Distribution] = _NOBODY_THINKS
    starts: ClassVar[int | None] = None
    endless: ClassVar[bool] = True

    @property
    def changes(self) -> bool:
        return self.from_per_s != self.to_per_s

    @property
    def mean_per_s(self) -> float:
        return self.to_per_s

    def times(self, base_s: float, seed: int, repeat: int, pipeline: str) -> Iterator[float]:
        return (base_s + self._reaches(starts) for starts in _drawn(_exponential, seed, repeat, pipeline))

    def per_s_at(self, at_s: float) -> float:
        """Return the rate at a moment, counted from `base_s`."""
        return self.from_per_s + min(max(at_s / self.over_s, 0.0), 1.0) * (self.to_per_s - self.from_per_s)

    def expected(self, until_s: float) -> float:
        """Return how many starts it brings by `until_s` on average: the integral of its rate."""
        rising_s = min(until_s, self.over_s)
        slope = (self.to_per_s - self.from_per_s) / self.over_s
        return self.from_per_s * rising_s + slope * rising_s**2 / 2 + self.to_per_s * (until_s - rising_s)

    def _reaches(self, starts: float) -> float:
        """Return when `expected` reaches `starts`: its inverse.

        The n-th arrival of a process with integrated rate L is where L is the n-th arrival of one of rate 1 (Cinlar,
        "Introduction to Stochastic Processes", 1975, section 4.7). On the ramp it is the root of a quadratic, written
        so that nothing cancels and a flat ramp needs no case of its own.
        """
        first, last, over_s = self.from_per_s, self.to_per_s, self.over_s
        beyond = starts - (first + last) / 2 * over_s
        if beyond >= 0:
            return over_s + beyond / last
        if not starts:
            return 0.0
        slope = (last - first) / over_s
        return 2 * starts / (first + sqrt(first * first + 2 * slope * starts))

    def scaled(self, rate: float) -> Ramp:
        return Ramp(self.from_per_s * rate, self.to_per_s * rate, self.over_s / rate)

    def multiplied(self, by: int) -> Ramp:
        return Ramp(self.from_per_s * by, self.to_per_s * by, self.over_s)

    def with_users(self, users: int) -> Ramp:
        return self

    def words(self, what: Opens, number: int | None) -> str:
        return f"{self.from_per_s:g} to {self.to_per_s:g} {what}s a second at random (Poisson), over {self.over_s:g} s"


@dataclass(frozen=True, slots=True)
class Bursts:
    """`size` starts at once, every `every_s` seconds."""

    size: int
    every_s: float
    users: ClassVar[int] = 0
    think: ClassVar[Distribution] = _NOBODY_THINKS
    starts: ClassVar[int | None] = None
    changes: ClassVar[bool] = False
    endless: ClassVar[bool] = True

    @property
    def mean_per_s(self) -> float:
        return self.size / self.every_s

    def times(self, base_s: float, seed: int, repeat: int, pipeline: str) -> Iterator[float]:
        return (base_s + n // self.size * self.every_s for n in itertools.count())

    def scaled(self, rate: float) -> Bursts:
        return Bursts(self.size, self.every_s / rate)

    def multiplied(self, by: int) -> Bursts:
        return Bursts(self.size * by, self.every_s)

    def with_users(self, users: int) -> Bursts:
        return self

    def words(self, what: Opens, number: int | None) -> str:
        return f"{self.size} {what}s at once every {self.every_s:g} s"


def _drawn(gap: Callable[[float], float], seed: int, repeat: int, pipeline: str) -> Iterator[float]:
    """Yield the sums of independent gaps; `gap` makes one of a uniform number in [0, 1)."""
    at = 0.0
    for n in itertools.count():
        at += gap(uniform(seed, repeat, pipeline, n, "arrival"))
        yield at


def _exponential(u: float) -> float:
    return -log(1 - u)


def _at_once(number: int, what: Opens) -> str:
    return count(number, what) if number == 1 else f"{count(number, what)} at once"


@dataclass(frozen=True, slots=True)
class Requests:
    """Whenever somebody outside asks (`harness.core.open_engine`): nothing is known of it before."""

    users: ClassVar[int] = 0
    think: ClassVar[Distribution] = _NOBODY_THINKS
    starts: ClassVar[int | None] = None
    changes: ClassVar[bool] = False
    endless: ClassVar[bool] = True
    mean_per_s: ClassVar[float | None] = None

    def times(self, base_s: float, seed: int, repeat: int, pipeline: str) -> Iterator[float]:
        return iter(())

    def scaled(self, rate: float) -> Requests:
        return self

    multiplied = with_users = scaled

    def words(self, what: Opens, number: int | None) -> str:
        return f"{count(2, what).split()[1]} start when they are asked for"
