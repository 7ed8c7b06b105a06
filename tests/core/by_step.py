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
    begins: tuple[tuple[str, int], ...] = ()  # of a call with a thread: what others begin with too, the longest first
    thinking_tokens: int = 0  # of its output, before the answer


class Seen(NamedTuple):
    """What became of it."""

    prompt_s: float | None
    first_token_s: float | None
    end_s: float | None
    cancelled: bool
    cached_tokens: int = 0
    answer_s: float | None = None  # of a call that thinks


class _Slot:
    def __init__(self, number: int) -> None:
        self.number = number
        self.prompt_left = 0
        self.prompt_done = 0
        self.generated = 0
        self.prompt_s: float | None = None
        self.first_token_s: float | None = None
        self.cached_tokens = 0
        self.answer_s: float | None = None


class _Left(NamedTuple):
    """What was last in a slot."""

    thread: int | None = None
    tokens: int = 0  # read there: the prompt, and what was generated but for the last token, which was never read
    left_s: float = -1.0
    begins: tuple[tuple[str, int], ...] = ()
    prompt_done: int = 0


def _cached(left: _Left, call: Given) -> int:
    if call.thread is None or left.thread is None:
        return 0
    if left.thread == call.thread:
        return min(left.tokens, call.prompt_tokens - 1)
    alike = [min(mine, theirs) for what, mine in call.begins for other, theirs in left.begins if what == other]
    return min(max(alike, default=0), left.prompt_done, call.prompt_tokens - 1)


def _choose(free: list[int], left: list[_Left], call: Given, threads: bool, numbered: bool) -> int:
    """llama.cpp's choice; where it makes no difference simply the first slot. Turns come first of all calls."""
    if not threads and not numbered:
        return free[0]
    best = max(free, key=lambda slot: (_cached(left[slot], call), -slot))
    if 10 * _cached(left[best], call) > call.prompt_tokens:
        return best
    if numbered and any(left[slot].left_s < 0 for slot in free):
        return max(slot for slot in free if left[slot].left_s < 0)
    return min(free, key=lambda slot: (left[slot].left_s, slot))


class _Front:
    """Who waits in front of the engine, and who is on the way to a slot."""

    def __init__(self, costs: StepCosts, calls: list[Given]) -> None:
        self.costs = costs
        self.calls = calls
        self.line: list[int] = []
        self.called: dict[int, float] = {}
        self.delays = costs.handover_s > 0 or costs.tokenize_s_per_token > 0

    def tokens_s(self, number: int) -> float:
        return self.costs.tokenize_s_per_token * self.calls[number].prompt_tokens

    def arrives(self, number: int, at_s: float, free: int) -> None:
        if self.delays and not self.line and len(self.called) < free:
            self.called[number] = at_s + self.tokens_s(number)
        else:
            self.line.append(number)

    def gives_up(self, number: int) -> bool:
        there = number in self.line or number in self.called
        self.line = [other for other in self.line if other != number]
        self.called.pop(number, None)
        return there

    def next(self, now_s: float, free: int) -> int | None:
        if not self.delays:
            return self.line.pop(0) if self.line and free else None
        while self.line and len(self.called) < free:
            number = self.line.pop(0)
            self.called[number] = now_s + self.costs.handover_s + self.tokens_s(number)
        for number, there_s in self.called.items():
            if there_s <= now_s:
                del self.called[number]
                return number
        return None


def _passes(batch: list[int], most_tokens: int) -> list[tuple[tuple[int, ...], int]]:
    """llama.cpp's split of a batch, which is the slot of every token, as its source does it: token by token."""
    used = [False] * len(batch)
    passes = []
    while not all(used):
        chosen: list[int] = []
        for i, slot in enumerate(batch):
            if not used[i] and slot not in chosen and (not chosen or slot == chosen[-1] + 1):
                chosen.append(slot)
        each = 0
        while True:
            unused = {slot: [i for i, s in enumerate(batch) if s == slot and not used[i]] for slot in chosen}
            if not all(unused.values()):
                break
            for slot in chosen:
                used[unused[slot][0]] = True
            each += 1
            if (each + 1) * len(chosen) > most_tokens:
                break
        passes.append((tuple(chosen), each))
    return passes


class _Engine:
    """What remembers the passes before."""

    def __init__(self, costs: StepCosts) -> None:
        self.costs = costs
        self.before: list[tuple[tuple[int, ...], int]] = []

    def cost_s(self, batch: list[int]) -> float:
        """Return what the passes of a step cost, without context."""
        costs, extra = self.costs, self.costs.passes
        assert extra is not None
        if not extra.unified:
            passes = _passes(batch, extra.most_tokens)
        elif len(set(batch)) == len(batch):
            passes = [((len(batch),), 1)]
        else:
            sizes = [min(extra.most_tokens, len(batch) - i) for i in range(0, len(batch), extra.most_tokens)]
            passes = [((1,), size) for size in sizes]
        cost_s = 0.0
        for one in passes:
            slots, each = one
            n = slots[0] if extra.unified else len(slots)
            if each > 1:
                cost_s += costs.prompt_step_s + _line(costs.prefill, each if extra.unified else each * n)
            elif self.before[-1:] != [one]:
                cost_s += costs.decode_s[n] + extra.changed_s[n]
            else:
                cost_s += costs.decode_s[n] + (extra.settle_s[n] if self.before[-2:] != [one, one] else 0.0)
            self.before.append(one)
        return cost_s


def reference(costs: StepCosts, calls: list[Given]) -> list[Seen]:
    """Walk every step of every call."""
    events = sorted(
        [(call.at_s, 0, i) for i, call in enumerate(calls)]
        + [(call.cancel_s, 1, i) for i, call in enumerate(calls) if call.cancel_s is not None]
    )
    seen: dict[int, Seen] = {}
    front, engine = _Front(costs, calls), _Engine(costs)
    slots: list[int | None] = [None] * costs.slots
    states = {i: _Slot(i) for i in range(len(calls))}
    left = [_Left() for _ in slots]
    unsaved: dict[int, int] = {}
    saved: list[tuple[int, _Left]] = []  # tokens, and what they are
    sizes = [0] * costs.slots  # tokens that were left in each slot
    threads = any(call.thread is not None for call in calls)
    given_up: list[int] = []
    now_s = 0.0

    def happen(until_s: float) -> None:
        while events and events[0][0] <= until_s:
            at_s, kind, number = events.pop(0)
            if kind == 0:
                front.arrives(number, at_s, slots.count(None))
            elif front.gives_up(number):
                seen[number] = Seen(None, None, at_s, True)
            elif number not in seen:
                given_up.append(number)

    def leave(index: int, number: int, tokens: int) -> None:
        # A turn that thought is found again up to there: the next one's prompt has the answer alone.
        known = min(tokens, calls[number].prompt_tokens) if calls[number].thinking_tokens else tokens
        left[index] = _Left(calls[number].thread, known, now_s, calls[number].begins, states[number].prompt_done)
        slots[index], sizes[index] = None, tokens
        if costs.ram_cache is not None and tokens:
            unsaved[index] = tokens

    def drop(thread: int | None) -> None:
        """Take what is saved of a thread out."""
        saved[:] = [entry for entry in saved if thread is None or entry[1].thread != thread]

    def back(index: int, call: Given, held: int) -> tuple[int, int]:
        """Take the best of what is saved out: its tokens, and those of the prompt in it."""
        there = sizes[index]
        share, best = (held / there if there else -1.0), None
        for entry in saved:
            found = _cached(entry[1], call)
            if 4 * found >= entry[0] and found > held and found / entry[0] > share:
                held, share, best = found, found / entry[0], entry
        if best is None:
            return 0, 0
        saved.remove(best)
        return best[0], held

    def save(taken: int) -> float:
        cache = costs.ram_cache
        assert cache is not None
        took_s = 0.0
        for index in [*({taken} & set(unsaved)), *sorted(set(unsaved) - {taken})]:
            tokens = unsaved[index]
            took_s += cache.save_s + cache.s_per_token * tokens
            drop(left[index].thread)
            saved.append((tokens, left[index]))
            if costs.passes is not None and costs.passes.unified and left[index].thread is not None:
                left[index], sizes[index] = left[index]._replace(thread=None), 0
        unsaved.clear()
        while sum(tokens for tokens, _ in saved) > cache.tokens:
            saved.pop(0)
        return took_s

    def let_go() -> None:
        for index, taken in enumerate(slots):
            if taken is not None and taken in given_up:
                state = states[taken]
                seen[taken] = Seen(
                    state.prompt_s, state.first_token_s, now_s, True, state.cached_tokens, state.answer_s
                )
                leave(index, taken, state.prompt_done + max(0, state.generated - 1))
        given_up.clear()

    while len(seen) < len(calls):
        let_go()
        happen(now_s)
        let_go()
        began_s = now_s
        while (number := front.next(now_s, slots.count(None))) is not None:
            free = [i for i, taken in enumerate(slots) if taken is None]
            numbered = costs.passes is not None or costs.ram_cache is not None
            index = _choose(free, left, calls[number], threads, numbered)
            state = states[number]
            held = _cached(left[index], calls[number])
            state.cached_tokens = held
            slots[index] = number
            wait_s = 0.0
            if costs.ram_cache is not None:
                if 10 * held > calls[number].prompt_tokens and 2 * held >= unsaved.get(index, held):
                    unsaved.pop(index, None)
                wait_s = save(index)
                if calls[number].thread is not None:
                    tokens, found = back(index, calls[number], held)
                    if tokens:
                        wait_s += costs.ram_cache.save_s + costs.ram_cache.s_per_token * tokens
                        state.cached_tokens = found
            state.prompt_done = state.cached_tokens
            state.prompt_left = calls[number].prompt_tokens - state.prompt_done
            if wait_s:
                now_s += wait_s
                break
        if now_s > began_s:
            continue
        busy = [(index, number) for index, number in enumerate(slots) if number is not None]
        if not busy and len(seen) == len(calls):
            break
        if not busy:
            now_s = min([*(event[0] for event in events[:1]), *front.called.values()])
            continue

        generating = [(index, number) for index, number in busy if not states[number].prompt_left]
        context = sum(calls[number].prompt_tokens + states[number].generated for _, number in generating)
        room = costs.batch_tokens - len(generating)
        pieces: list[tuple[int, int, int]] = []
        looked_at = 0
        for index, number in busy:
            state = states[number]
            tokens = min(state.prompt_left, room)
            if tokens:
                if state.prompt_s is None:
                    state.prompt_s = now_s
                looked_at += sum(state.prompt_done + i for i in range(tokens))
                pieces.append((index, number, tokens))
                room -= tokens
        if costs.passes is not None:
            batch = [index for index, _ in generating] + [index for index, _, n in pieces for _ in range(n)]
            cost_s = engine.cost_s(batch) + costs.prompt_context_s * looked_at
            cost_s += costs.context_s_per_token * context
        else:
            cost_s = costs.decode_s[len(generating)] + costs.context_s_per_token * context
            if pieces:
                prompt_s = _line(costs.prefill, sum(n for *_, n in pieces)) + costs.prompt_context_s * looked_at
                cost_s += prompt_s * costs.mixed_factor if generating else prompt_s + costs.prompt_step_s
        while events and events[0][0] < now_s + cost_s:
            happen(events[0][0])
        now_s += cost_s

        for _, number in generating:
            states[number].generated += 1
            if calls[number].thinking_tokens and states[number].generated == calls[number].thinking_tokens + 1:
                states[number].answer_s = now_s
        for _, number, tokens in pieces:
            states[number].prompt_left -= tokens
            states[number].prompt_done += tokens
            if not states[number].prompt_left:
                states[number].generated = 1
                states[number].first_token_s = now_s
        for index, number in busy:
            if states[number].generated == calls[number].output_tokens:
                state = states[number]
                seen[number] = Seen(
                    state.prompt_s, state.first_token_s, now_s, False, state.cached_tokens, state.answer_s
                )
                leave(index, number, state.prompt_done + state.generated - 1)
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
        else Turn(i, call.prompt_tokens, call.output_tokens, thread=call.thread, begins=call.begins)
        for i, call in enumerate(calls)
    ]
    for request, call in zip(requests, calls, strict=True):
        request.thinking_tokens = call.thinking_tokens
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
    return [Seen(r.prompt_s, r.first_token_s, r.end_s, r.cancelled, r.cached_tokens, r.answer_s) for r in requests]
