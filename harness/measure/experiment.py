"""Send the bursts of a calibration: several servers in turns, a single one again where the machine changed speed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from typing import NamedTuple

from harness.core.draws import shuffled
from harness.core.records import CallRecord
from harness.core.step_costs import StepCosts
from harness.measure.burst_design import (
    Burst,
    Effort,
    Group,
    design,
    duration_s,
    expected_s,
    pair_design,
    speed_of,
)
from harness.measure.bursts import Carry, observe
from harness.measure.progress import Progress
from harness.profiles.fit import gap_of
from harness.profiles.replay import Observed
from harness.profiles.schema import DRIFT_BOUND
from harness.units import count, percent, seconds

__all__ = ["ATTEMPTS", "Experiment", "Setting", "experiments", "pair_experiment", "steady"]

TIMING = Burst("timing", (Group(1, 128, 16),))
TIMED = 2
APART = Burst("apart", tuple(Group(1, 1, 1 + n) for n in range(8)))  # they end one after the other
APART_KEY = -3  # and below: of prompts that no other burst has
ATTEMPTS = 3  # at most, until the machine keeps its speed
KEYS = 10_000  # of one attempt: prompts of another have other keys, so that none is found in a cache


class Experiment(NamedTuple):
    """What was seen. `first_s` and `last_s`: the median time of the reference call at the begin and at the end."""

    slots: tuple[int, ...]  # of each server
    bursts: tuple[Burst, ...]
    observed: tuple[Observed, ...]
    first_s: float
    last_s: float
    gap_s: float | None = None  # between calls that were sent together

    @property
    def fitted(self) -> tuple[Observed, ...]:
        """What a fit may read."""
        names = {burst.name for burst in self.bursts if burst.fitted}
        return tuple(call for call in self.observed if call.burst in names)

    @property
    def held_out(self) -> tuple[Observed, ...]:
        """What it may not."""
        names = {burst.name for burst in self.bursts if not burst.fitted}
        return tuple(call for call in self.observed if call.burst in names)

    @property
    def drift(self) -> float:
        """Relative change of the reference call."""
        return self.last_s / self.first_s - 1


class Setting(NamedTuple):
    """A server as it is calibrated: `slots` are those that it really has."""

    name: str
    carry: Carry  # sends one burst there
    slots: int
    context_tokens: int  # of a slot


class _Block(NamedTuple):
    """What is sent without a pause between: references, or one repetition of everything."""

    at: float  # 0 = at the beginning, 1 = at the end
    bursts: tuple[Burst, ...]


class _Series:
    """The bursts of servers that are calibrated as one: a single one, or two side by side."""

    def __init__(
        self, name: str, carry: Carry, slots: tuple[int, ...], bursts: tuple[Burst, ...], blocks: Sequence[_Block]
    ) -> None:
        self.name, self.blocks = name, tuple(blocks)
        self._carry, self._slots, self._bursts = carry, slots, bursts
        self._observed: list[Observed] = []
        self._walls_s: dict[float, list[float]] = {}
        self._sent = 0

    async def send(self, block: _Block, burst: Burst) -> None:
        """Carry out the next burst, which is of this block."""
        calls = observe(await self._carry(burst, TIMED + self._sent), burst, self._sent)
        self._sent += 1
        self._observed += calls
        self._walls_s.setdefault(block.at, []).append(max(call.sent_s + call.wall_s for call in calls))

    def seen(self) -> Experiment:
        """Return all of it."""
        first_s, last_s = median(self._walls_s[0.0]), median(self._walls_s[1.0])
        return Experiment(self._slots, self._bursts, tuple(self._observed), first_s, last_s)


async def experiments(
    settings: Sequence[Setting], effort: Effort, progress: Progress, *, seed: int = 0
) -> list[Experiment]:
    """Send the bursts of servers that are all up, one burst at a time.

    Of each server: the reference, everything in a drawn order so often as time allows, the reference. Repetitions of
    different servers take turns, so that a machine that changes its speed does so for all of them: what one gains over
    another is not a matter of when it was measured.

    Args:
        settings: the servers, with their idle machine.
        effort: how much time there is for each.
        progress: is told how long it will take before it begins.
        seed: of the orders.
    """
    series = [await _series_of(setting, effort, progress, seed) for setting in settings]
    await _in_turns(series, progress, seed)
    found = []
    for one, setting in zip(series, settings, strict=True):
        apart = [
            call
            for key in range(effort.references)
            for call in observe(await setting.carry(APART, APART_KEY - key), APART, key)
        ]
        found.append(one.seen()._replace(gap_s=gap_of(apart)))
    return found


async def _series_of(setting: Setting, effort: Effort, progress: Progress, seed: int) -> _Series:
    name, carry, slots, context_tokens = setting
    timed = [call for key in range(TIMED) for call in observe(await carry(TIMING, key), TIMING, key)]
    speed = speed_of(timed[1:])
    bursts = design(slots, context_tokens, effort, speed)
    once_s = expected_s(bursts, slots, speed)
    reference_s = expected_s(bursts[:1], slots, speed)
    left_s = effort.budget_s - 2 * effort.references * reference_s
    repetitions = max(1, min(effort.repetitions, round(left_s / once_s)))
    about_s = repetitions * once_s + 2 * effort.references * reference_s
    progress.say(
        f"{name}: about {seconds(about_s)} ({count(repetitions, 'repetition')} of {count(len(bursts), 'burst')})"
    )
    return _Series(name, carry, (slots,), bursts, _blocks(bursts, effort.references, repetitions, seed + slots))


async def pair_experiment(
    carry: Carry, costs: Sequence[StepCosts], effort: Effort, progress: Progress, *, name: str, seed: int = 0
) -> Experiment:
    """Send the bursts of two servers that work at the same time, and of each alone among them."""
    bursts = pair_design(costs, effort)
    once_s = sum(duration_s(burst, costs) for burst in bursts)
    repetitions = max(1, min(effort.repetitions, round(effort.budget_s / once_s)))
    progress.say(f"{name}: about {seconds(repetitions * once_s)} or longer")
    slots = tuple(cost.slots for cost in costs)
    series = _Series(name, carry, slots, bursts, _blocks(bursts, 1, repetitions, seed))
    await _in_turns([series], progress, seed)
    return series.seen()


def _blocks(bursts: tuple[Burst, ...], references: int, repetitions: int, seed: int) -> list[_Block]:
    """The reference first and last, and between them everything in a drawn order; its repetitions evenly spread."""
    middle = [
        _Block((r + 0.5) / repetitions, tuple(shuffled(bursts, seed, r, "calibration"))) for r in range(repetitions)
    ]
    ends = (bursts[0],) * references
    return [_Block(0.0, ends), *middle, _Block(1.0, ends)]


async def _in_turns(series: Sequence[_Series], progress: Progress, seed: int) -> None:
    blocks = tuple((one, block) for one in series for block in one.blocks)
    drawn = shuffled(blocks, seed, "turns")  # whose repetition is first among those of one time
    order = [(one, block, burst) for one, block in sorted(drawn, key=lambda turn: turn[1].at) for burst in block.bursts]
    server = series[0].name if len(series) == 1 else ""
    progress.trials([f"{one.name}, {burst.name}" for one, _, burst in order], "burst", server=server)
    for number, (one, block, burst) in enumerate(order, start=1):
        progress.trial(number, f"{one.name}, {burst.name}")
        await one.send(block, burst)
    progress.trials(())


async def steady(
    once: Callable[[Carry], Awaitable[Experiment]], carry: Carry, progress: Progress, name: str
) -> Experiment:
    """Make an experiment until the machine keeps its speed meanwhile, at most `ATTEMPTS` times; return the steadiest.

    Args:
        once: makes it, with what it is given to send bursts.
        carry: sends one burst.
        progress: is told why it is made again.
        name: of the server, for `progress`.
    """
    made: list[Experiment] = []
    while not made or (abs(made[-1].drift) > DRIFT_BOUND and len(made) < ATTEMPTS):
        if made:
            last = made[-1]
            progress.say(
                f"{name}: measured again ({len(made) + 1} of at most {ATTEMPTS} times), since the machine changed "
                f"speed: one and the same call took {seconds(last.first_s)} at the beginning and "
                f"{seconds(last.last_s)} at the end ({last.drift:+.0%}, bound {percent(DRIFT_BOUND)})"
            )
        made.append(await once(_other_prompts(carry, len(made))))
    return min(made, key=lambda seen: abs(seen.drift))


def _other_prompts(carry: Carry, attempt: int) -> Carry:
    async def again(burst: Burst, key: int) -> list[CallRecord]:
        return await carry(burst, key + attempt * KEYS if key >= 0 else key - attempt * KEYS)

    return again
