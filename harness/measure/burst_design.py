"""The bursts of a calibration: what is sent together, how much of it fits into the time. Pure: nothing is sent here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle
from statistics import median
from typing import NamedTuple

from harness.core.arrival_processes import Listed
from harness.core.graph import Graph, Node, Pipeline
from harness.core.step_costs import StepCosts
from harness.profiles.replay import Observed, replay

__all__ = [
    "APART",
    "EFFORTS",
    "FILL",
    "REFERENCE",
    "Burst",
    "Effort",
    "Group",
    "Speed",
    "design",
    "duration_s",
    "expected_s",
    "levels",
    "pair_design",
    "pipelines_of",
    "speed_of",
]

LEVELS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
REFERENCE = "1 call"  # the burst that is also sent first and last, to see drift
FILL = "fill"  # a short call in every slot: then it is known what is in them, and which one comes next
APART = "apart"  # two slots are busy that are no neighbours; it comes after a fill
SHORT_TOKENS = 32  # of prompts where prompts do not matter
SPARE_TOKENS = 96  # of the context: what a prompt may come out longer than asked
SCALES = (1.0, 0.5, 0.25)  # of all lengths, for servers too slow for the time
APART_STEPS = 3  # between calls that must come in a certain order
SHARING = 0.4  # guess before anything is fitted: each further slot adds this much of a step


class Group(NamedTuple):
    """Equal calls sent at the same time."""

    calls: int
    prompt_tokens: int
    output_tokens: int
    at_s: float = 0.0
    server: int = 0


class Burst(NamedTuple):
    """Groups that belong together. When it has ended the servers are idle."""

    name: str
    groups: tuple[Group, ...]
    fitted: bool = True  # else it tests the fit

    @property
    def calls(self) -> int:
        """How many calls in all."""
        return sum(group.calls for group in self.groups)


class Effort(NamedTuple):
    """How much a calibration of one server may cost."""

    budget_s: float
    prompts: tuple[int, ...]  # prompt tokens of single calls, besides the reference
    output_tokens: int
    references: int  # at the beginning, and again at the end
    repetitions: int  # at most
    at_most_s: float = math.inf  # of several servers, all of them

    def shared_by(self, parts: int) -> Effort:
        """Return what each of several servers, or pairs of them, may cost."""
        return self._replace(budget_s=min(self.budget_s, self.at_most_s / parts))


EFFORTS = {
    "quick": Effort(20.0, (128, 384), 32, 2, 3, 80.0),
    "default": Effort(60.0, (128, 256, 512), 64, 3, 8, 180.0),
    "thorough": Effort(300.0, (128, 256, 512, 1024), 64, 5, 12, 1500.0),
}


class Speed(NamedTuple):
    """What a first call has shown."""

    step_s: float
    prefill_s_per_token: float


def levels(slots: int) -> tuple[int, ...]:
    """Return the numbers of calls at once that are measured; steps in between are interpolated."""
    return tuple(sorted({n for n in LEVELS if n <= slots} | {slots}))


def design(
    slots: int, context_tokens: int, effort: Effort, speed: Speed, *, accelerated: bool = False
) -> tuple[Burst, ...]:
    """Return one repetition for a server, the reference first, as long as the time allows.

    Args:
        slots, context_tokens: of the server, and of a slot.
        effort: how much it may cost.
        speed: what a first call has shown.
        accelerated: the model is on an accelerator, where it matters which slots are busy.
    """
    for scale in SCALES:
        bursts = _design(slots, context_tokens, effort, speed, scale)
        if accelerated and slots > 2:
            bursts += _apart(slots, effort, speed, scale)
        if expected_s(bursts, slots, speed) <= effort.budget_s:
            break
    return bursts


def _design(slots: int, context_tokens: int, effort: Effort, speed: Speed, scale: float) -> tuple[Burst, ...]:
    tokens = max(8, round(effort.output_tokens * scale))
    few = max(4, tokens // 4)
    room = max(SHORT_TOKENS, context_tokens - tokens - SPARE_TOKENS)
    prompts = sorted({min(room, max(2 * SHORT_TOKENS, round(n * scale))) for n in effort.prompts})
    bursts = [Burst(REFERENCE, (Group(1, SHORT_TOKENS, tokens),))]
    # Many slots: calls at once, all generating. A single call may be longer, since only it pays for its context.
    bursts += [Burst(f"{n} calls", (Group(n, SHORT_TOKENS, tokens),)) for n in levels(slots)[1:]]
    for prompt in prompts:
        output = tokens if prompt == prompts[-1] else few  # long contexts tell what context costs a step
        bursts.append(Burst(f"prompt of {prompt}", (Group(1, prompt, output),)))
    long = prompts[len(prompts) // 2]
    if slots > 1:
        others = slots - 1
        # The prompt has to come while the others generate, also where the guess at their own prompts is off.
        reading_s = others * SHORT_TOKENS * speed.prefill_s_per_token
        answer = max(tokens, round(0.6 * reading_s / speed.step_s))
        at_s = 0.8 * reading_s + 0.3 * answer * speed.step_s
        mixed = (Group(others, SHORT_TOKENS, answer), Group(1, long, few, at_s))
        bursts.append(Burst("prompt among others", mixed))
        if effort.budget_s > EFFORTS["default"].budget_s:
            bursts.append(Burst("long answers", (Group(slots, SHORT_TOKENS, 2 * tokens),)))
    quick = effort.budget_s <= EFFORTS["quick"].budget_s
    # Not fitted: queueing, and sizes and arrivals of all sorts, more of them than there are slots if time allows it.
    sizes = tuple(zip((64, 200, 120, 320, 96, 160), (0.5, 1.0, 0.25, 0.75, 0.375, 0.625), strict=True))
    most = max(3, min(len(sizes), slots + 1) if quick else slots + 2)
    mix = [
        Group(1, min(room, round(prompt * scale)), max(2, round(tokens * share)), 0.15 * i * tokens * speed.step_s)
        for i, (prompt, share) in zip(range(most), cycle(sizes), strict=False)
    ]
    bursts.append(Burst("all sorts", tuple(mix), fitted=False))
    if not quick:
        queue = Group(slots + max(1, slots // 2) + 1, min(room, round(96 * scale)), max(2, tokens * 3 // 4))
        bursts.append(Burst("queue", (queue,), fitted=False))
    return tuple(bursts)


def _apart(slots: int, effort: Effort, speed: Speed, scale: float) -> tuple[Burst, ...]:
    """Return two busy slots that are no neighbours, and what comes before it so that this is known."""
    tokens = max(8, round(effort.output_tokens * scale))
    few = max(4, tokens // 4)
    # They come one after the other, and the one in the middle ends first.
    after_s = APART_STEPS * speed.step_s + SHORT_TOKENS * speed.prefill_s_per_token
    groups = [Group(1, SHORT_TOKENS, few if i == 1 else tokens, i * after_s) for i in range(3)]
    return Burst(FILL, (Group(slots, SHORT_TOKENS, few),)), Burst(APART, tuple(groups))


def pair_design(costs: Sequence[StepCosts], effort: Effort) -> tuple[Burst, ...]:
    """Return one repetition for two servers: at the same time, both busy for about equally long, and each alone."""
    tokens, slots = effort.output_tokens, [cost.slots for cost in costs]
    few = max(4, tokens // 4)

    def both(name: str, first: Group, second: Group, *, fitted: bool = True) -> Burst:
        """As many calls of the first as take as long as the second."""
        longest_s = duration_s(Burst("", (second._replace(server=0),)), [costs[1]])
        one_s = duration_s(Burst("", (first,)), [costs[0]])
        return Burst(name, (first._replace(calls=max(1, round(longest_s / one_s)) * first.calls), second), fitted)

    every = Group(slots[1], SHORT_TOKENS, tokens, server=1)
    lone = Group(slots[0], SHORT_TOKENS, tokens)
    return (
        both("both generate", lone, every),
        both("one reads", Group(slots[0], 160, few), every),
        both("the other reads", lone, Group(slots[1], 160, few, server=1)),
        Burst("one alone", (lone, Group(slots[0], 160, few))),
        Burst("the other alone", (every,)),
        both(
            "all sorts",
            Group(slots[0], 96, tokens // 2),
            Group(slots[1] + 1, 120, tokens * 3 // 4, server=1),
            fitted=False,
        ),
    )


def speed_of(calls: Sequence[Observed]) -> Speed:
    """Read the speed off single calls."""
    steps = [c.decode_s / (c.output_tokens - 1) for c in calls if c.decode_s and c.output_tokens > 1]
    prefills = [c.prefill_s / c.prompt_tokens for c in calls if c.prefill_s]
    step_s = median(steps) if steps else median(c.wall_s / c.output_tokens for c in calls)
    return Speed(step_s, median(prefills) if prefills else 0.0)


def expected_s(bursts: Sequence[Burst], slots: int, speed: Speed) -> float:
    """Return about how long the bursts take, before anything is fitted."""
    steps = (0.0, *(speed.step_s * (1 + SHARING * n) for n in range(slots)))
    costs = StepCosts(steps, ((1, speed.prefill_s_per_token),))
    return sum(duration_s(burst, [costs]) for burst in bursts)


def duration_s(burst: Burst, costs: Sequence[StepCosts]) -> float:
    """Return how long a burst takes on servers with these costs that do not slow each other."""
    calls = [
        Observed("", 0, group.server, group.at_s, group.prompt_tokens, group.output_tokens, None, None, 1.0)
        for group in burst.groups
        for _ in range(group.calls)
    ]
    return max(call.sent_s + made.wall_s for call, made in zip(calls, replay(costs, calls), strict=True))


def pipelines_of(burst: Burst) -> tuple[Pipeline, ...]:
    """Return the burst for the engine: a pipeline of one node for every group."""
    return tuple(
        Pipeline(
            str(number),
            "batch",
            Graph((Node("call", "agent", (), (), width=group.calls, agent="calibration"),)),
            Listed((group.at_s,)),
            jobs=1,
        )
        for number, group in enumerate(burst.groups)
    )
