"""Send the bursts of a calibration in a drawn order, and once more where the machine changed its speed meanwhile."""

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

__all__ = ["ATTEMPTS", "Experiment", "experiment", "pair_experiment", "steady"]

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


async def experiment(
    carry: Carry, slots: int, effort: Effort, progress: Progress, *, name: str, context_tokens: int, seed: int = 0
) -> Experiment:
    """Send the bursts of one server: the reference, everything in a drawn order so often as time allows, the reference.

    Args:
        carry: sends one burst.
        slots: of the server.
        effort: how much time there is.
        progress: is told how long it will take before it begins.
        name: of the server, for `progress`.
        context_tokens: of a slot.
        seed: of the order.
    """
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
    seen = await _send(carry, (slots,), bursts, bursts[0], repetitions, effort, progress, name=name, seed=seed)
    apart = [
        call for key in range(effort.references) for call in observe(await carry(APART, APART_KEY - key), APART, key)
    ]
    return seen._replace(gap_s=gap_of(apart))


async def pair_experiment(
    carry: Carry, costs: Sequence[StepCosts], effort: Effort, progress: Progress, *, name: str, seed: int = 0
) -> Experiment:
    """Send the bursts of two servers that work at the same time."""
    bursts = pair_design(costs, effort)
    once_s = sum(duration_s(burst, costs) for burst in bursts)
    repetitions = max(1, min(effort.repetitions, round(effort.budget_s / once_s)))
    progress.say(f"{name}: about {seconds(repetitions * once_s)} or longer")
    slots = tuple(cost.slots for cost in costs)
    return await _send(carry, slots, bursts, bursts[0], repetitions, effort, progress, name=name, seed=seed)


async def _send(
    carry: Carry,
    slots: tuple[int, ...],
    bursts: tuple[Burst, ...],
    reference: Burst,
    repetitions: int,
    effort: Effort,
    progress: Progress,
    *,
    name: str,
    seed: int,
) -> Experiment:
    references = effort.references if len(slots) == 1 else 1
    middle = [burst for r in range(repetitions) for burst in shuffled(bursts, seed, r, "calibration")]
    order = [*[reference] * references, *middle, *[reference] * references]
    progress.trials([burst.name for burst in order], "burst", of=name)
    observed: list[Observed] = []
    walls_s: list[float] = []
    for number, burst in enumerate(order):
        progress.trial(number + 1, f"{name}, {burst.name}")
        calls = observe(await carry(burst, TIMED + number), burst, number)
        observed += calls
        if number < references or number >= len(order) - references:
            walls_s.append(max(call.sent_s + call.wall_s for call in calls))
    progress.trials(())
    first_s, last_s = median(walls_s[:references]), median(walls_s[references:])
    return Experiment(slots, bursts, tuple(observed), first_s, last_s)


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
                f"{name}: measured again ({len(made) + 1} of at most {ATTEMPTS} times), since the machine changed speed: "
                f"one and the same call took {seconds(last.first_s)} at the beginning and {seconds(last.last_s)} at the "
                f"end ({last.drift:+.0%}, bound {percent(DRIFT_BOUND)})"
            )
        made.append(await once(_other_prompts(carry, len(made))))
    return min(made, key=lambda seen: abs(seen.drift))


def _other_prompts(carry: Carry, attempt: int) -> Carry:
    async def again(burst: Burst, key: int) -> list[CallRecord]:
        return await carry(burst, key + attempt * KEYS if key >= 0 else key - attempt * KEYS)

    return again
