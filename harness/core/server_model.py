"""The server model: slots, a FIFO queue, continuous batching. It reads no clock; time comes in as `now_s`.

The rules are those of llama.cpp's server loop, which Ollama runs too:

1. Tasks are looked at only between steps. A call that came before a step starts can be in it; the queue
   is FIFO; a call takes the free slot with the lowest number (but see 5 and 6).
2. A step generates one token for every generating slot and then takes prompt tokens, slot by slot in slot order,
   until the batch is full. It costs what `step_costs` says, whichever calls are in it (but see 6).
3. The first token is there at the end of the step that processed the prompt's last token; the others follow, one a
   step. A slot is free after the last.
4. A cancelled call leaves the queue at once, a slot at the next step boundary. A `REFUSED` one ends as it gets one.
5. A slot keeps what was last in it. A turn of a conversation takes the free slot that holds more than a tenth of its
   prompt, and reads only the rest, at least one token. From the first turn on, every other call takes the slot that was
   free longest, and so evicts what is there.
6. Where costs tell passes apart (`harness.core.passes`) or know a RAM cache, which slot a call takes matters: it is
   chosen as the engine does from the first call on, and saving what slots hold stops everybody (`harness.core.slots`).
7. The queue may stand in front of the engine, as Ollama's does (`harness.core.server_line`).

Between changes of the batch k steps are one *segment* of a closed form (`harness.core.segments`), so cost grows with
calls and not with tokens. It ends at a completion or the end of a prompt, and an arrival that finds a free slot cuts
it at the next step boundary. `max_steps=1` walks step by step by the same rules. A step whose passes cost more than
the next one's is a segment of its own; so is a wait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import Final

from harness.core.batch import take_prompts
from harness.core.context import REFUSED
from harness.core.passes import Passes
from harness.core.segments import answers_begin, boundary
from harness.core.server_line import ServerLine
from harness.core.server_request import NEVER_S, Request
from harness.core.slots import SlotContents
from harness.core.step_costs import Prefill, StepCosts

__all__ = ["ServerModel"]

UNLIMITED: Final = 1 << 62


class ServerModel:
    """One server. `now_s` never decreases; at one instant, `advance` comes before `submit` and `cancel`.

    Args:
        costs: of the steps; their number is the number of slots.
        max_steps: end a segment after this many steps; 1 = step by step.
        noise: a factor on the cost of segment number i (0, 1, ...), drawn once a segment; None = none.
        seats, left: for a replay: the slots that calls were seen in, and what was there before (`SlotContents`).
    """

    # fmt: off
    __slots__ = (
        "_batch_tokens", "_begin_s", "_cancels", "_context", "_context_s", "_costs", "_decode_s", "_end_s", "_ends",
        "_first_s", "_free", "_growth_s", "_idle", "_line", "_many", "_max_steps", "_noise", "_now_s", "_numbered",
        "_passes", "_pieces", "_planned", "_prefill", "_prompts", "_refused", "_saving", "_segments", "_serial",
        "_shape", "_slots", "_step", "_steps", "_thinking", "_waiting",
    )
    # fmt: on

    def __init__(
        self,
        costs: StepCosts,
        *,
        max_steps: int | None = None,
        noise: Callable[[int], float] | None = None,
        seats: Mapping[int, int] | None = None,
        left: Sequence[tuple[int, int]] = (),
    ) -> None:
        costs.check()
        self._costs = costs
        self._decode_s, self._context_s = costs.decode_s, costs.context_s_per_token
        self._batch_tokens = costs.batch_tokens
        self._prefill = Prefill(costs.prefill)
        self._max_steps = UNLIMITED if max_steps is None else max_steps
        self._noise, self._segments = noise, 0
        self._line = ServerLine(costs.handover_s, costs.tokenize_s_per_token)
        self._refused: list[Request] = []  # looked at, to end at once
        self._many = costs.slots
        self._free = list(range(self._many))  # a heap of slot numbers
        self._prompts: list[Request] = []  # slots whose prompt is not done, in slot order
        self._ends: list[tuple[int, int, Request]] = []  # generating slots: (step after which it ends, serial, request)
        self._thinking: list[tuple[int, int, Request]] = []  # the same, of the step with its first token of the answer
        self._serial = self._step = 0  # steps made so far in which somebody generated
        self._context = 0  # tokens of context of all generating slots
        self._cancels: list[Request] = []  # to be let go at the next boundary
        self._slots: SlotContents | None = None  # None while it does not matter which slot a call takes
        self._passes = None if costs.passes is None else Passes(costs, self._prefill)
        self._numbered = costs.passes is not None or costs.ram_cache is not None
        if self._numbered:
            unified = costs.passes is not None and costs.passes.unified
            self._slots = SlotContents(costs.slots, costs.ram_cache, last_first=True, unified=unified, seats=seats)
            self._slots.leave(left)
        # The segment under way: `steps` steps from begin_s, the first of first_s, each next one growth_s longer.
        self._now_s = 0.0  # the last boundary, or when an idle server was woken
        self._planned, self._idle, self._steps = False, False, 0  # idle: it is known that nothing is under way
        self._begin_s = self._first_s = self._growth_s = 0.0
        self._end_s = NEVER_S
        self._pieces: list[tuple[Request, int]] = []  # the prompt tokens in it
        self._shape: list[tuple[int, int]] = []  # tokens by slot, where passes are told apart
        # A segment without a step: what is in the slots is saved, or nothing is under way until a call comes.
        self._saving = self._waiting = False

    @property
    def slots(self) -> int:
        """How many calls it generates at the same time."""
        return self._many

    @property
    def busy(self) -> bool:
        """Whether any slot is taken, or will be at the next boundary."""
        return len(self._free) < self._many or bool(self._line.calls or self._line.called)

    @property
    def waiting(self) -> int:
        """How many calls stand in the queue."""
        return self._line.waiting

    @property
    def left(self) -> tuple[tuple[int, int], ...]:
        """What is in the slots where that matters to the next call, as the argument `left` takes it."""
        return self._slots.left if self._numbered and self._slots is not None else ()

    def forget(self) -> None:
        """Lose what is in its slots: its model was unloaded."""
        if self._slots:
            self._slots.forget()

    def tokens_of(self, request: Request) -> int:
        """Return how many tokens of it had been generated at the last boundary."""
        if request.first_token_s is None:
            return 0
        ends = (step for step, _, other in self._ends if other is request)
        return request.output_tokens - max(0, next(ends, self._step) - self._step)

    def steps_by(self, now_s: float) -> tuple[int, float]:
        """Return how many steps of the segment under way have ended by `now_s`, and when the next one will.

        Each is a token of every generating slot. `now_s` is not before the last `advance`. Idle: (0, infinity).
        """
        if not self._planned:
            self._plan()
            if not self._planned:
                return 0, NEVER_S
        ended = 0
        if now_s >= self._end_s:
            ended = self._steps
        elif self._steps > 1 and now_s > self._begin_s:
            ended, end_s = boundary(self._begin_s, self._first_s, self._growth_s, now_s)
            if end_s > now_s:
                ended -= 1
        if ended + 1 >= self._steps:
            return max(0, self._steps - 1), self._end_s
        return ended, self._begin_s + (ended + 1) * self._first_s + self._growth_s * ((ended + 1) * ended // 2)

    def submit(self, request: Request, now_s: float) -> None:
        """Put a call in the queue."""
        request.queued_s = now_s
        self._idle = False
        if self._line.delays:
            there_s = self._line.put(request, now_s, len(self._free))
        else:
            self._line.calls.append(request)
            there_s = now_s if self._free else NEVER_S
        if request.thread is not None and self._slots is None:
            self._slots = SlotContents(self._costs.slots)
            self._slots.remember([*self._prompts, *(end[2] for end in self._ends)])
        if self._planned:
            if there_s < NEVER_S:
                self._cut(there_s)
        elif now_s > self._now_s:
            self._now_s = now_s  # it was idle

    def cancel(self, request: Request, now_s: float) -> bool:
        """Give a call up. True: it is gone at once. False: `advance` returns it at the next step boundary."""
        request.cancelled = True
        self._idle = False
        if request.slot < 0:  # in the queue, which skips it
            request.end_s = now_s
            if self._waiting:
                self._cut(now_s)
            return True
        self._cancels.append(request)
        if self._planned:
            self._cut(now_s)
        if self._planned:
            return False
        self._let_go(now_s, [])
        return True

    def next_s(self) -> float:
        """Return when the segment under way ends; infinity where nothing is under way."""
        if not self._planned and not self._idle:
            self._plan()
        return self._end_s

    def run(self, until_s: float) -> list[Request]:
        """Go on to the first boundary at which somebody ends, or else to `until_s`; return who ended, if anybody did.

        For a caller who knows that nothing will be submitted or cancelled before `until_s`.
        """
        ended: list[Request] = []
        while True:
            if not self._planned and not self._idle:
                self._plan()
            end_s = self._end_s
            if end_s > until_s or end_s == NEVER_S:
                return ended
            self._finish(ended)
            if ended:
                return ended

    def advance(self, now_s: float) -> list[Request]:
        """Go on to `now_s`; return the calls that ended by then. The step that begins there can still be joined."""
        ended: list[Request] = []
        while True:
            if not self._planned and not self._idle and now_s > self._now_s:
                self._plan()
            if not self._planned or self._end_s > now_s:
                return ended
            self._finish(ended)

    def _plan(self) -> None:
        """Look at the tasks and begin a segment at the boundary. At the same instant it may be done again."""
        line, free, prompts = self._line, self._free, self._prompts
        while free and (line.calls or line.called):
            request = line.take(self._now_s, len(free)) if line.delays else line.calls.popleft()
            if request is None:
                break
            if request.cancelled:
                continue
            if request.output_tokens == REFUSED:
                request.end_s = self._now_s
                self._refused.append(request)
                continue
            prompts.append(request)
            if self._slots is None:
                request.slot = heappop(free)
            elif wait_s := self._slots.take(request, free):
                self._saving = True
                self._pause(self._now_s + wait_s * self._factor())
                return
        if self._refused:  # a segment without a step, at whose end they end
            self._pause(self._now_s)
            return
        generating = len(self._ends)
        if prompts:
            first_s = cost_s = self._prompt_step_s(generating)
            growth_s = 0.0
            self._steps = 1
        elif generating:
            steps = min(self._ends[0][0] - self._step, self._max_steps)
            if self._passes is None:
                first_s = self._decode_s[generating]
            else:
                first_s, steady = self._run_s(self._passes)
                steps = steps if steady else 1
            first_s += self._context_s * self._context
            growth_s = self._context_s * generating
            self._steps = steps
            cost_s = steps * first_s + growth_s * (steps * (steps - 1) // 2)
        else:
            self._end_s, self._idle = NEVER_S, True
            if line.delays and (come_s := line.comes_s()) < NEVER_S:
                self._waiting, self._idle = True, False
                self._pause(come_s)
            return
        if self._noise is not None:
            factor = self._factor()
            first_s, growth_s, cost_s = first_s * factor, growth_s * factor, cost_s * factor
        self._first_s, self._growth_s = first_s, growth_s
        self._begin_s = begin_s = self._now_s
        self._end_s, self._planned = begin_s + cost_s, True
        if line.delays and self._steps > 1 and (come_s := line.comes_s()) < NEVER_S:
            self._cut(come_s)

    def _pause(self, end_s: float) -> None:
        """Begin a segment without a step."""
        self._begin_s, self._end_s = self._now_s, end_s
        self._first_s, self._growth_s, self._steps, self._planned = 0.0, 0.0, 0, True

    def _factor(self) -> float:
        """Return the noise of the next segment."""
        if self._noise is None:
            return 1.0
        self._segments += 1
        return self._noise(self._segments - 1)

    def _run_s(self, passes: Passes) -> tuple[float, bool]:
        """Return what the next step costs, in which everybody generates, without context; all that follow cost it?"""
        slots = sorted(end[2].slot for end in self._ends)
        self._shape = [(slot, 1) for slot in slots]
        return passes.run_s(slots)

    def _prompt_step_s(self, generating: int) -> float:
        """Fill the batch of the next step with prompt tokens; return what the step costs."""
        costs, pieces = self._costs, self._pieces
        total, attention = take_prompts(self._prompts, pieces, self._batch_tokens - generating, self._now_s)
        if self._passes is not None:
            slots = sorted(end[2].slot for end in self._ends)
            self._shape = [(slot, 1) for slot in slots] + [(request.slot, tokens) for request, tokens in pieces]
            step_s = self._passes.step_s(self._shape)
            return step_s + costs.prompt_context_s * attention + self._context_s * self._context
        prompt_s = self._prefill[total]
        if costs.prompt_context_s:
            prompt_s += costs.prompt_context_s * attention
        if not generating:
            return costs.prompt_step_s + prompt_s
        return self._decode_s[generating] + self._context_s * self._context + prompt_s * costs.mixed_factor

    def _finish(self, ended: list[Request]) -> None:
        """End the segment: give out its tokens, free the slots that are done."""
        now_s = self._now_s = self._end_s
        self._planned = False
        if self._numbered or self._line.delays:
            self._saving = self._waiting = False
            if self._passes is not None and self._steps:
                self._passes.done(self._shape, self._steps)
        ends = self._ends
        if ends:
            steps = self._steps
            self._step = step = self._step + steps
            self._context += steps * len(ends)
            if self._thinking:
                answers_begin(self._thinking, step, steps, self._begin_s, self._first_s, self._growth_s, now_s)
            while ends and ends[0][0] <= step:
                self._end(heappop(ends)[2], now_s, ended)
        if self._pieces:
            for request, tokens in self._pieces:
                request.prompt_done += tokens
                if request.prompt_done == request.prompt_tokens:
                    self._prompts.remove(request)
                    request.first_token_s = now_s
                    self._context += request.prompt_tokens + 1
                    if request.output_tokens == 1:
                        self._end(request, now_s, ended)
                    else:
                        self._serial += 1
                        heappush(ends, (self._step + request.output_tokens - 1, self._serial, request))
                        if 0 < request.thinking_tokens < request.output_tokens:
                            heappush(self._thinking, (self._step + request.thinking_tokens, self._serial, request))
            self._pieces.clear()
        if self._refused:
            ended += [request for request in self._refused if not request.cancelled]
            self._refused.clear()
        if self._cancels:
            self._let_go(now_s, ended)

    def _end(self, request: Request, now_s: float, ended: list[Request]) -> None:
        request.end_s = now_s
        self._context -= request.prompt_tokens + request.output_tokens
        heappush(self._free, request.slot)
        if self._slots is not None:
            self._slots.released(request)
        ended.append(request)

    def _let_go(self, now_s: float, ended: list[Request]) -> None:
        """At a boundary: free the slots of cancelled calls. One that has ended with this step has ended."""
        for request in self._cancels:
            if request.end_s is not None:
                request.cancelled = False
                continue
            if request.first_token_s is None:
                self._prompts.remove(request)
                request.output_tokens = 0
            else:
                request.output_tokens = self.tokens_of(request)
                self._context -= request.prompt_tokens + request.output_tokens
                self._ends = [end for end in self._ends if end[2] is not request]
                heapify(self._ends)
            request.end_s = now_s
            heappush(self._free, request.slot)
            if self._slots is not None:
                self._slots.released(request)
            ended.append(request)
        self._cancels.clear()

    def _cut(self, now_s: float) -> None:
        """End the segment at the first step boundary that is not before `now_s`: there the tasks are looked at."""
        if self._saving:
            return
        if self._waiting:
            self._end_s = min(self._end_s, max(now_s, self._begin_s))
            return
        if now_s <= self._begin_s:  # the step that begins now can still be joined
            self._planned = False
            for request, _ in self._pieces:
                if request.prompt_done == request.cached_tokens:
                    request.prompt_s = None  # another may take its place in the step
            self._pieces.clear()
            return
        if self._steps == 1 or now_s >= self._end_s:
            return
        steps, end_s = boundary(self._begin_s, self._first_s, self._growth_s, now_s)
        if steps < self._steps:
            self._steps = steps
            self._end_s = end_s
