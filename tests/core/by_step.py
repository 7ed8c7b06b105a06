"""The server's rules once more, one step at a time and as plainly as possible: the oracle of the server model."""

from __future__ import annotations

from typing import NamedTuple

from harness.core.server_model import Request, ServerModel
from harness.core.step_costs import StepCosts


class Given(NamedTuple):
    """One call: when it comes, how long it is, when it is given up."""

    at_s: float
    prompt_tokens: int
    output_tokens: int
    cancel_s: float | None = None


class Seen(NamedTuple):
    """What became of it."""

    prompt_s: float | None
    first_token_s: float | None
    end_s: float | None
    cancelled: bool


class _Slot:
    def __init__(self, number: int) -> None:
        self.number = number
        self.prompt_left = 0
        self.prompt_done = 0
        self.generated = 0
        self.prompt_s: float | None = None
        self.first_token_s: float | None = None


def reference(costs: StepCosts, calls: list[Given]) -> list[Seen]:
    """Walk every step of every call."""
    order = sorted(range(len(calls)), key=lambda i: (calls[i].at_s, i))
    seen: dict[int, Seen] = {}
    queue: list[int] = []
    slots: list[int | None] = [None] * costs.slots
    states = {i: _Slot(i) for i in order}
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
                    seen[taken] = Seen(states[taken].prompt_s, states[taken].first_token_s, now_s, True)
                    slots[index] = None
        for index, taken in enumerate(slots):
            if taken is None and queue:
                slots[index] = queue.pop(0)
                states[slots[index]].prompt_left = calls[slots[index]].prompt_tokens  # type: ignore[index]
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
                seen[number] = Seen(states[number].prompt_s, states[number].first_token_s, now_s, False)
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
    requests = [Request(i, call.prompt_tokens, call.output_tokens) for i, call in enumerate(calls)]
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
    return [Seen(r.prompt_s, r.first_token_s, r.end_s, r.cancelled) for r in requests]
