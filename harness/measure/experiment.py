"""Send the bursts of a calibration: several servers in turns, a single one again where the machine changed speed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from typing import NamedTuple

from harness.core.draws import shuffled
from harness.core.records import CallRecord
from harness.core.step_costs import StepCosts
from harness.errors import ServerFailure
from harness.measure.burst_design import (
    APART,
    FILL,
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
from harness.profiles.seats import seated
from harness.units import count, percent, seconds
from harness.wording.doubtful import unfit

__all__ = ["ATTEMPTS", "Experiment", "Setting", "experiments", "pair_experiment", "steady"]

TIMING = Burst("timing", (Group(1, 128, 16),))
TIMED = 2
ONE_BY_ONE = Burst("one by one", tuple(Group(1, 1, 1 + n) for n in range(8)))  # they end one after the other
ONE_BY_ONE_KEY = -3  # and below: of prompts that no other burst has
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
    accelerated: bool = False  # the model is on an accelerator


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
        self._sent_at: dict[float, list[list[Observed]]] = {}
        self._sent = 0

    async def send(self, block: _Block, burst: Burst) -> None:
        """Carry out the next burst, which is of this block."""
        calls = observe(await self._carry(burst, TIMED + self._sent), burst, self._sent)
        self._sent += 1
        self._observed += calls
        self._sent_at.setdefault(block.at, []).append(calls)

    def seen(self) -> Experiment:
        """Return all of it."""
        first, last = self._sent_at[0.0], self._sent_at[1.0]
        # What a call waits because of what was in the slots before it is no change of the machine's speed.
        least_s = min((rest_s for calls in (*first, *last) if (rest_s := _rest_s(calls)) is not None), default=None)
        first_s, last_s = (median(_took_s(calls, least_s) for calls in bursts) for bursts in (first, last))
        return Experiment(self._slots, self._bursts, tuple(self._observed), first_s, last_s)


def _rest_s(calls: Sequence[Observed]) -> float | None:
    """Return what a lone call took besides reading its prompt and answering, in seconds; None if no server says it."""
    if len(calls) != 1 or calls[0].prefill_s is None or calls[0].decode_s is None:
        return None
    return calls[0].wall_s - calls[0].prefill_s - calls[0].decode_s


def _took_s(calls: Sequence[Observed], least_s: float | None) -> float:
    """Return how long a burst took, in seconds; for a lone call, with the least time outside its steps of any."""
    rest_s = _rest_s(calls)
    took_s = max(call.sent_s + call.wall_s for call in calls)
    return took_s if rest_s is None or least_s is None else took_s - (rest_s - least_s)


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
            for call in observe(await setting.carry(ONE_BY_ONE, ONE_BY_ONE_KEY - key), ONE_BY_ONE, key)
        ]
        seen = one.seen()
        steps = [c.decode_s / (c.output_tokens - 1) for c in seen.observed if c.decode_s and c.output_tokens > 1]
        observed = _in_seats(seen.observed, setting.slots, median(steps) if steps else 0.0)
        found.append(seen._replace(gap_s=gap_of(apart), observed=tuple(observed)))
    return found


async def _series_of(setting: Setting, effort: Effort, progress: Progress, seed: int) -> _Series:
    name, carry, slots, context_tokens, accelerated = setting
    timed = [call for key in range(TIMED) for call in observe(await carry(TIMING, key), TIMING, key)]
    if not all(call.decode_s for call in timed):
        raise ServerFailure(unfit(name, None))
    speed = speed_of(timed[1:])
    bursts = design(slots, context_tokens, effort, speed, accelerated=accelerated)
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
    seen = series.seen()
    observed = list(seen.observed)
    for number, cost in enumerate(costs):
        mine = [i for i, call in enumerate(observed) if call.server == number]
        known = _in_seats([observed[i] for i in mine], cost.slots, cost.decode_s[1])
        for i, call in zip(mine, known, strict=True):
            observed[i] = call
    return seen._replace(observed=tuple(observed))


def _in_seats(observed: Sequence[Observed], slots: int, step_s: float) -> list[Observed]:
    """Return the calls of one server with their seats, and with what their bursts found in the slots.

    Before all slots were filled at once nobody knows who was in them, and only seats that the server's log told are
    known.
    """
    first: dict[int, int] = {}  # its group in each burst; the other server of a pair may have another one
    for call in observed:
        first.setdefault(call.repetition, call.group)
    sizes = Counter(call.repetition for call in observed if call.group == first[call.repetition])
    filled = min((call.repetition for call in observed if sizes[call.repetition] >= slots), default=0)
    return [
        call if call.repetition >= filled else call._replace(seat=told.seat, left=())
        for call, told in zip(seated(observed, slots, step_s), observed, strict=True)
    ]


def _blocks(bursts: tuple[Burst, ...], references: int, repetitions: int, seed: int) -> list[_Block]:
    """The reference first and last, and between them everything in a drawn order; its repetitions evenly spread.

    A burst that must know which slots it gets comes after one that fills them all at once.
    """
    fill = next((burst for burst in bursts if burst.name == FILL), None)

    def filled(drawn: Sequence[Burst]) -> tuple[Burst, ...]:
        return tuple(one for burst in drawn for one in ((fill, burst) if fill and burst.name == APART else (burst,)))

    others = tuple(burst for burst in bursts if burst.name != FILL)
    middle = [
        _Block((r + 0.5) / repetitions, filled(shuffled(others, seed, r, "calibration"))) for r in range(repetitions)
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
