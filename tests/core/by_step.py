"""The oracle of the server model: its rules again, one step at a time and as plainly as possible.

Use it where the server model or its driver must be right for any work; hand-worked times are better where they fit.
"""

from __future__ import annotations

from typing import NamedTuple

from harness.core.server_model import ServerModel
from harness.core.server_request import Request, Turn
from harness.core.step_costs import StepCosts


class Given(NamedTuple):
    """One call: when it comes, how long it is, when it is given up."""

    at_s: float
    prompt_tokens: int
    output_tokens: int
    cancel_s: float | None = None
    thread: int | None = None  # whose prompt its own goes on with


class Seen(NamedTuple):
    """What became of it."""

    prompt_s: float | None
    first_token_s: float | None
    end_s: float | None
    cancelled: bool
    cached_tokens: int = 0


class _Slot:
    def __init__(self, number: int) -> None:
        self.number = number
        self.prompt_left = 0
        self.prompt_done = 0
        self.generated = 0
        self.prompt_s: float | None = None
        self.first_token_s: float | None = None
        self.cached_tokens = 0


class _Left(NamedTuple):
    """What was last in a slot."""

    thread: int | None = None
    tokens: int = 0  # read there: the prompt, and what was generated but for the last token, which was never read
    left_s: float = -1.0


def _cached(left: _Left, call: Given) -> int:
    if call.thread is None or left.thread != call.thread:
        return 0
    return min(left.tokens, call.prompt_tokens - 1)


def _choose(free: list[int], left: list[_Left], call: Given, threads: bool) -> int:
    """llama.cpp's choice; without conversations simply the first slot. Turns, if any, come first of all calls."""
    if not threads:
        return free[0]
    best = max(free, key=lambda slot: (_cached(left[slot], call), -slot))
    if 10 * _cached(left[best], call) > call.prompt_tokens:
        return best
    return min(free, key=lambda slot: (left[slot].left_s, slot))


def reference(costs: StepCosts, calls: list[Given]) -> list[Seen]:
    """Walk every step of every call."""
    order = sorted(range(len(calls)), key=lambda i: (calls[i].at_s, i))
    seen: dict[int, Seen] = {}
    queue: list[int] = []
    slots: list[int | None] = [None] * costs.slots
    states = {i: _Slot(i) for i in order}
    left = [_Left() for _ in slots]
    threads = any(call.thread is not None for call in calls)
    now_s = 0.0
    while len(seen) < len(calls):
        while order and calls[order[0]].at_s <= now_s:
            queue.append(order.pop(0))
        for number in list(queue):
            cancel_s = calls[number].cancel_s
            if cancel_s is not None and cancel_s <= now_s:
                queue.remove(number)
                seen[number] = Seen(None, None, cancel_s, True)
        for index, taken in enumerate(slots):
            if taken is not None:
                cancel_s = calls[taken].cancel_s
                if cancel_s is not None and cancel_s <= now_s:
                    state = states[taken]
                    seen[taken] = Seen(state.prompt_s, state.first_token_s, now_s, True, state.cached_tokens)
                    left[index] = _Left(calls[taken].thread, state.prompt_done + max(0, state.generated - 1), now_s)
                    slots[index] = None
        while queue and None in slots:
            number = queue.pop(0)
            index = _choose([i for i, taken in enumerate(slots) if taken is None], left, calls[number], threads)
            slots[index] = number
            state = states[number]
            state.cached_tokens = state.prompt_done = _cached(left[index], calls[number])
            state.prompt_left = calls[number].prompt_tokens - state.prompt_done
        busy = [(index, number) for index, number in enumerate(slots) if number is not None]
        if not busy:
            if not order:
                break
            now_s = calls[order[0]].at_s
            continue

        generating = [number for _, number in busy if not states[number].prompt_left]
        context = sum(calls[number].prompt_tokens + states[number].generated for number in generating)
        room = costs.batch_tokens - len(generating)
        pieces: list[tuple[int, int]] = []
        looked_at = 0
        for _, number in busy:
            state = states[number]
            tokens = min(state.prompt_left, room)
            if tokens:
                if state.prompt_s is None:
                    state.prompt_s = now_s
                looked_at += sum(state.prompt_done + i for i in range(tokens))
                pieces.append((number, tokens))
                room -= tokens
        cost_s = costs.decode_s[len(generating)] + costs.context_s_per_token * context
        if pieces:
            prompt_s = _line(costs.prefill, sum(n for _, n in pieces)) + costs.prompt_context_s * looked_at
            cost_s += prompt_s * costs.mixed_factor if generating else prompt_s + costs.prompt_step_s
        now_s += cost_s

        for number in generating:
            states[number].generated += 1
        for number, tokens in pieces:
            states[number].prompt_left -= tokens
            states[number].prompt_done += tokens
            if not states[number].prompt_left:
                states[number].generated = 1
                states[number].first_token_s = now_s
        for index, number in busy:
            if states[number].generated == calls[number].output_tokens:
                state = states[number]
                seen[number] = Seen(state.prompt_s, state.first_token_s, now_s, False, state.cached_tokens)
                left[index] = _Left(calls[number].thread, state.prompt_done + state.generated - 1, now_s)
                slots[index] = None
    return [seen[i] for i in range(len(calls))]


def _line(table: tuple[tuple[int, float], ...], tokens: int) -> float:
    points = [(0, 0.0), *table]
    if len(points) > 2:
        while len(points) > 2 and tokens > points[1][0]:
            points.pop(0)
    (x0, y0), (x1, y1) = points[0], points[1]
    return y0 + (y1 - y0) / (x1 - x0) * (tokens - x0)


def by_model(model: ServerModel, calls: list[Given]) -> list[Seen]:
    """Feed the same calls to the server model, as a driver would."""
    requests = [
        Request(i, call.prompt_tokens, call.output_tokens)
        if call.thread is None
        else Turn(i, call.prompt_tokens, call.output_tokens, thread=call.thread)
        for i, call in enumerate(calls)
    ]
    events = [(call.at_s, 0, i) for i, call in enumerate(calls)]
    events += [(call.cancel_s, 1, i) for i, call in enumerate(calls) if call.cancel_s is not None]
    events.sort()
    while True:
        now_s = min(model.next_s(), events[0][0] if events else float("inf"))
        if now_s == float("inf"):
            break
        model.advance(now_s)
        while events and events[0][0] == now_s:
            _, kind, number = events.pop(0)
            if kind == 0:
                model.submit(requests[number], now_s)
            elif requests[number].end_s is None:
                model.cancel(requests[number], now_s)
    return [Seen(r.prompt_s, r.first_token_s, r.end_s, r.cancelled, r.cached_tokens) for r in requests]
