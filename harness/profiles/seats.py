"""Which slot each observed call was in, and what bursts leave to those after them.

The log of a managed Ollama says which slot a call has. Elsewhere the rule tells, where every call is observed: a call
takes the slot that was left first (`harness.core.slots`). Calls that ended in one step left their slots in the order of
their numbers, and how many tokens are in each is known. So a replay of a burst begins with what was really there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from harness.profiles.bursts import bursts_of
from harness.profiles.replay import Observed

__all__ = ["seated"]

SAME_STEP = 0.75  # of a step: calls that ended within it ended together


class _Ended(NamedTuple):
    """An answer that is complete."""

    at_s: float
    slot: int
    tokens: int


def seated(observed: Sequence[Observed], slots: int, step_s: float) -> list[Observed]:
    """Return the calls with their seats, where they have none yet, and with what their bursts found in the slots.

    Args:
        observed: every call of one server since nobody had been in its slots, or since all had been filled in one step;
            the bursts in the order of their repetitions. The server was idle between them.
        slots: of the server.
        step_s: about what a step takes.
    """
    order = list(range(slots - 1, -1, -1))  # who is next: of slots that nobody was in yet the last
    unsaved = dict.fromkeys(range(slots), 0)
    found: list[Observed] = []
    for burst in sorted(bursts_of(observed), key=lambda calls: calls[0].repetition):
        left = tuple((slot, unsaved[slot]) for slot in order)
        ends: list[_Ended] = []
        seats: dict[int, int] = {}
        for i in sorted(range(len(burst)), key=lambda i: (burst[i].sent_s, i)):
            at_s = burst[i].sent_s
            if not order:  # it waited
                at_s = max(at_s, min(end.at_s for end in ends))
            for step in _ended(ends, at_s, SAME_STEP * step_s):
                _leave(step, order, unsaved)
            told = burst[i].seat if burst[i].seat < slots else -1
            if told >= 0 and told not in order:  # the client saw the end of the call before late
                _leave([ends.pop(next(n for n, end in enumerate(ends) if end.slot == told))], order, unsaved)
            slot = seats[i] = told if told >= 0 else order[0]
            order.remove(slot)
            for idle in (slot, *order):
                unsaved[idle] = 0
            ends.append(
                _Ended(burst[i].sent_s + burst[i].wall_s, slot, burst[i].prompt_tokens + burst[i].output_tokens - 1)
            )
        for step in _ended(ends, float("inf"), SAME_STEP * step_s):
            _leave(step, order, unsaved)
        found += [call._replace(seat=seats[i], left=left) for i, call in enumerate(burst)]
    return found


def _ended(ends: list[_Ended], until_s: float, together_s: float) -> Iterator[list[_Ended]]:
    """Yield those that have ended by then, step by step; they are no longer among `ends`."""
    while ends and (first_s := min(end.at_s for end in ends)) <= until_s:
        step = [end for end in ends if end.at_s <= first_s + together_s]
        for end in step:
            ends.remove(end)
        yield step


def _leave(step: Sequence[_Ended], order: list[int], unsaved: dict[int, int]) -> None:
    """Free the slots of calls that ended together."""
    for end in sorted(step, key=lambda end: end.slot):
        order.append(end.slot)
        unsaved[end.slot] = end.tokens
