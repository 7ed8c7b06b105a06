"""One server with several models: against a clock that ticks, and by hand."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.context import REFUSED
from harness.core.model_swaps import MAX_QUEUE, ModelRequest, ModelSwaps
from harness.core.server_model import ServerModel
from harness.core.step_costs import StepCosts

NEVER_S = float("inf")


class Given(NamedTuple):
    """One call; times and lengths in ticks, which are steps."""

    at: int
    model: int
    tokens: int
    cancel: int | None = None


class Seen(NamedTuple):
    """What became of it."""

    load: float | None
    end: float | None
    cancelled: bool


def costs(slots: int) -> StepCosts:
    """A step takes 1 s, whatever is in it; the first token comes out of the first, so n tokens take n s."""
    return StepCosts(decode_s=(0.0, *(1.0,) * slots), prompt_step_s=1.0)


def run(calls: list[Given], slots: list[int], load_s: list[float], most: int, stretch: float = 1.0) -> list[Seen]:
    """Drive the server as the virtual driver does."""
    models = [ServerModel(costs(n)) for n in slots]
    server = ModelSwaps(models, load_s, most, dict.fromkeys(range(2, len(slots) + 1), stretch))
    requests = []
    for i, one in enumerate(calls):
        request = ModelRequest(i, 1, one.tokens)
        request.model, request.keep_s = one.model, None
        request.load_s = -1.0
        requests.append(request)
    events = [(one.at, 1, i) for i, one in enumerate(calls)]
    events += [(one.cancel, 0, i) for i, one in enumerate(calls) if one.cancel is not None]
    events.sort()
    while True:
        at_s = events[0][0] if events else NEVER_S
        while True:  # a run ends at the call that ends first
            if server.next_s() > at_s or server.next_s() == NEVER_S:
                break
            server.run(at_s)
        if not events:
            break
        while events and events[0][0] == at_s:
            _, kind, i = events.pop(0)
            if kind:
                server.submit(requests[i], float(at_s))
            elif requests[i].end_s is None:
                server.cancel(requests[i], float(at_s))
    assert server.waiting == 0
    return [Seen(None if r.load_s < 0 else r.load_s, r.end_s, r.cancelled) for r in requests]


class _Running:
    def __init__(self, call: int, steps: int) -> None:
        self.call = call
        self.steps = steps


def reference(calls: list[Given], slots: list[int], load: list[int], most: int) -> list[Seen]:
    """The same rules, tick by tick and with every list looked through each time."""
    loaded = list(range(min(most, len(slots))))
    queues: list[list[int]] = [[] for _ in slots]
    running: list[list[_Running]] = [[] for _ in slots]
    line: list[int] = []
    loads: dict[int, float] = {}
    ends: dict[int, float] = {}
    given_up: set[int] = set()
    loading: tuple[int, int] | None = None  # model, tick at which it is there
    going: int | None = None
    for tick in range(10_000):
        # the step that ends now
        for batch in running:
            for one in batch:
                one.steps -= 1
                if one.steps == 0:
                    ends[one.call] = tick
        for model in range(len(slots)):
            running[model] = [one for one in running[model] if one.steps > 0]
        first = True
        while True:
            busy = [bool(queues[m] or running[m]) for m in range(len(slots))]
            if going is not None and not busy[going]:
                loaded.remove(going)
                going = None
            moved = False
            if (
                first
            ):  # what happens at one instant: ends, the load, then the line, then who is given up, then who comes
                first = False
                if loading is not None and loading[1] == tick:
                    loaded.append(loading[0])
                    loading = None
                moved = True
            if line and loading is None and going is None:
                model = calls[line[0]].model
                if model in loaded:
                    call = line.pop(0)
                    loads[call] = tick - calls[call].at
                    queues[model].append(call)
                elif len(loaded) < min(most, len(slots)):
                    loading = (model, tick + load[model])
                else:
                    idle = sorted(m for m in loaded if not busy[m])
                    if idle:
                        loaded.remove(idle[0])
                    else:
                        going = min(loaded)
                moved = True
            if moved:
                continue
            pending = [i for i, one in enumerate(calls) if one.cancel == tick and i in line]
            if pending:
                if pending[0] == line[0]:
                    loading = None
                line.remove(pending[0])
                given_up.add(pending[0])
                ends[pending[0]] = tick
                continue
            coming = [
                i
                for i, one in enumerate(calls)
                if one.at == tick and i not in loads and i not in line and i not in ends
            ]
            if not coming:
                break
            call = coming[0]
            if calls[call].model in loaded:
                loads[call] = 0
                queues[calls[call].model].append(call)
            else:
                line.append(call)
        # the step that begins now
        for model, batch in enumerate(running):
            while queues[model] and len(batch) < slots[model]:
                call = queues[model].pop(0)
                batch.append(_Running(call, calls[call].tokens))
        if len(ends) == len(calls):
            return [Seen(loads.get(i), ends.get(i), i in given_up) for i in range(len(calls))]
    raise AssertionError("it never ends")


@st.composite
def traces(draw: st.DrawFn) -> tuple[list[Given], list[int], list[int], int]:
    n = draw(st.integers(2, 3))
    slots = draw(st.lists(st.integers(1, 3), min_size=n, max_size=n))
    load = draw(st.lists(st.integers(1, 9), min_size=n, max_size=n))
    one = st.tuples(st.integers(0, 40), st.integers(0, n - 1), st.integers(1, 12))
    calls = [Given(*each) for each in sorted(draw(st.lists(one, min_size=1, max_size=14)))]
    return calls, slots, load, draw(st.integers(1, n))


@settings(max_examples=150, deadline=None)
@given(traces())
def test_against_a_clock_that_ticks(trace: tuple[list[Given], list[int], list[int], int]) -> None:
    calls, slots, load, most = trace
    assert run(calls, slots, [float(s) for s in load], most) == reference(calls, slots, load, most)


@settings(max_examples=100, deadline=None)
@given(traces(), st.lists(st.integers(1, 30), min_size=14, max_size=14))
def test_given_up_while_in_the_line(trace: tuple[list[Given], list[int], list[int], int], after: list[int]) -> None:
    """Only those that still wait for their model are given up, so that the reference needs no boundaries."""
    calls, slots, load, most = trace
    waits = reference(calls, slots, load, most)
    calls = [
        one._replace(cancel=one.at + late) if (seen.load or 0) > late and i % 2 else one
        for i, (one, seen, late) in enumerate(zip(calls, waits, after, strict=False))
    ]
    # Giving one up brings those behind it forward: look again who is still in the line by then.
    while True:
        seen = reference(calls, slots, load, most)
        wrong = [i for i, one in enumerate(calls) if one.cancel is not None and not seen[i].cancelled]
        if not wrong:
            break
        calls = [one._replace(cancel=None) if i in wrong else one for i, one in enumerate(calls)]
    assert run(calls, slots, [float(s) for s in load], most) == seen


def test_by_hand_one_at_a_time() -> None:
    """Model 1 is loaded when the call of 0 has ended; a call of 0 that comes meanwhile waits behind it."""
    seen = run([Given(0, 0, 10), Given(2, 1, 5), Given(11, 0, 2)], [2, 2], [3.0, 4.0], 1)
    # 0 ends at 10; 1 is loaded at 14 and ends at 19; then 0 is loaded at 22
    assert seen == [Seen(0.0, 10.0, False), Seen(12.0, 19.0, False), Seen(11.0, 24.0, False)]


def test_a_model_in_steady_use_is_never_unloaded() -> None:
    steady = [Given(4 * i, 0, 5) for i in range(20)]  # each is there when the next comes
    seen = run([*steady, Given(1, 1, 2)], [2, 2], [3.0, 4.0], 1)
    assert [one.load for one in seen[:-1]] == [0.0] * 20
    last_end = max(one.end or 0 for one in seen[:-1])
    assert seen[-1].load == last_end + 4 - 1


def test_the_head_holds_up_those_behind_it() -> None:
    """A third model waits for room although a call of the second, behind it, could run: it is not looked at."""
    calls = [Given(0, 0, 20), Given(0, 1, 3), Given(1, 2, 2), Given(6, 1, 2)]
    seen = run(calls, [1, 1, 1], [1.0, 1.0, 2.0], 2)
    # None is idle at 1, so the first is to go, though the second ends long before it. At 6 the second is loaded still.
    assert seen[3].load == 0.0
    assert seen[2].load == 20 + 2 - 1


def test_both_loaded_slow_each_other() -> None:
    seen = run([Given(0, 0, 4), Given(0, 1, 4)], [1, 1], [1.0, 1.0], 2, stretch=1.5)
    assert seen == [Seen(0.0, 6.0, False), Seen(0.0, 6.0, False)]


def test_a_load_is_broken_off_with_its_call() -> None:
    seen = run([Given(0, 1, 3, cancel=2), Given(1, 0, 2)], [1, 1], [5.0, 9.0], 1)
    # at 0 the first model goes, at 2 the load of the second is broken off, and the first comes back
    assert seen == [Seen(None, 2.0, True), Seen(6.0, 9.0, False)]


def test_room_for_one_or_more() -> None:
    with pytest.raises(ValueError, match="room for one model"):
        ModelSwaps([ServerModel(costs(1))], [1.0], 0)
    with pytest.raises(ValueError, match="contention of 2"):
        ModelSwaps([ServerModel(costs(1)), ServerModel(costs(1))], [1.0, 1.0], 2)


def asked(number: int, model: int) -> ModelRequest:
    request = ModelRequest(number, 1, 1)
    request.model, request.keep_s = model, None
    return request


def test_a_line_for_a_model_that_is_full_turns_calls_away_and_a_loaded_model_none() -> None:
    server = ModelSwaps([ServerModel(costs(1)), ServerModel(costs(1))], [10.0, 10.0], 1, max_queue=2)
    waits = [asked(number, 1) for number in range(3)]  # the head, which is loaded for, and two behind it
    away, loaded = [asked(3, 1), asked(4, 1)], [asked(number, 0) for number in range(5, 5 + MAX_QUEUE + 10)]
    server.submit(loaded[0], 0.0)  # the model in memory is busy, so the head waits for it to be done
    for request in (*waits, *away, *loaded[1:]):
        server.submit(request, 0.0)
    assert server.next_s() == 0.0
    assert server.run(0.0) == away
    assert [(request.output_tokens, request.end_s, request.load_s) for request in away] == [(REFUSED, 0.0, -1.0)] * 2
    gone = asked(9999, 1)
    server.submit(gone, 0.0)
    assert server.cancel(gone, 0.0)
    assert server.run(0.0) == []
