"""Who is in which slot, which one a call takes, and what the RAM cache keeps: llama.cpp's rules.

The rules are those of `get_available_slot` and `process_single_task` in tools/server/server-context.cpp, and of
`server_prompt_cache` in tools/server/server-task.cpp (b10488):

1. A turn of a conversation takes the free slot that holds more than a tenth of its prompt, the most of all: what it
   goes on with, or what both begin with, such as a system message that agents share. Every other call takes the slot
   that was free longest; of slots that nobody was in yet the engine takes the last. A server is rarely new when a
   trial begins, so these hold what all prompts of the trial begin with, where that is known (`Turn.usual`).
2. Before that, with a RAM cache: what the slot holds is saved there, unless the call is a turn that goes on with at
   least half of it. A call gets back from the cache what has more of its prompt than the slot does, in proportion to
   what is saved too, and at least a quarter of that; it is in the cache no longer then (`server_prompt_cache::load`).
3. After that, with a RAM cache: whatever the other idle slots hold is saved too, each once (`--cache-idle-slots`, also
   without unified KV since PR 24190). With a unified KV cache these slots are empty then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from typing import Final

from harness.core.server_request import Request, held_tokens, left_s
from harness.core.step_costs import RamCache

__all__ = ["SIMILAR", "SlotContents"]

SIMILAR: Final = 0.1  # llama.cpp's slot-prompt-similarity: less of a prompt than this is not worth a certain slot
WORTH: Final = 0.25  # what is saved is brought back only where at least this much of it is wanted
KEEP: Final = 0.5  # a slot of which a turn keeps at least this much is not saved first


class SlotContents:
    """What is in the slots of one server.

    Args:
        number: of slots.
        ram_cache: None = there is none.
        last_first: of slots that nobody was in yet, the last one is taken, as the engine does; else the first.
        unified: the KV cache: a slot whose content was saved is empty.
        seats: where a call was seen to be, by its number; it goes there if it can.
    """

    __slots__ = (
        "_last",
        "_last_first",
        "_left",
        "_ram_cache",
        "_saved",
        "_saved_tokens",
        "_seats",
        "_unified",
        "_unsaved",
        "_untouched",
    )

    def __init__(
        self,
        number: int,
        ram_cache: RamCache | None = None,
        *,
        last_first: bool = False,
        unified: bool = False,
        seats: Mapping[int, int] | None = None,
    ) -> None:
        self._seats = seats
        self._last: list[Request | None] = [None] * number
        self._left: dict[int, tuple[float, int]] = {}  # of slots without a last call: their rank, see `_rank`
        self._last_first = last_first
        self._unified = unified
        self._untouched = set(range(number))  # what is in them was there before the trial: `Turn.usual` of a prompt
        self._ram_cache = ram_cache
        self._unsaved: dict[int, int] = {}  # idle slots with something that is not in the RAM cache: how many tokens
        # What is in the cache: (tokens, whose prompt and answer), the oldest first.
        self._saved: deque[tuple[int, Request | None]] = deque()
        self._saved_tokens = 0

    def forget(self) -> None:
        """Lose all of it: nothing is in any slot."""
        self._untouched.clear()
        self._last = [None] * len(self._last)
        for kept in (self._left, self._unsaved, self._saved):
            kept.clear()
        self._saved_tokens = 0

    def remember(self, requests: Sequence[Request]) -> None:
        """Note who is in a slot already."""
        for request in requests:
            self._last[request.slot] = request
            self._untouched.discard(request.slot)

    def leave(self, left: Sequence[tuple[int, int]]) -> None:
        """Note what calls before all others have left: (slot, tokens that are not saved), the first one first."""
        for number, (slot, tokens) in enumerate(left):
            self._left[slot] = (-1.0, number)
            if tokens and self._ram_cache is not None:
                self._unsaved[slot] = tokens

    @property
    def left(self) -> tuple[tuple[int, int], ...]:
        """What is in the slots, as `leave` takes it."""
        return tuple((slot, self._unsaved.get(slot, 0)) for slot in sorted(range(len(self._last)), key=self._rank))

    def released(self, request: Request) -> None:
        """Note that a call has ended."""
        if self._ram_cache is not None and request.prompt_done:
            self._unsaved[request.slot] = _content(request)

    def take(self, request: Request, free: list[int]) -> float:
        """Put a call into one of the free slots, and take that off them; return for how long everybody waits."""
        last = self._last
        slot, held = -1, SIMILAR * request.prompt_tokens
        if request.thread is not None:
            for number in free:
                tokens = float(self._held(number, request))
                if tokens > held or (tokens == held and number < slot):
                    slot, held = number, tokens
        similar = slot >= 0
        if self._seats and (seat := self._seats.get(request.call, -1)) in free:
            slot = seat
        elif not similar:
            slot = min(free, key=self._rank)
        if request.thread is not None:
            # A thread means that it has the slots of `Turn`, which the type does not say.
            request.cached_tokens = request.prompt_done = self._held(slot, request)  # type: ignore[misc]
        free.remove(slot)
        self._untouched.discard(slot)
        wait_s = 0.0
        if self._ram_cache is not None:
            if similar and request.cached_tokens >= KEEP * (self._unsaved.get(slot) or request.cached_tokens):
                self._unsaved.pop(slot, None)  # it goes on from there
            wait_s = self._save(self._ram_cache, slot)
            if request.thread is not None:
                wait_s += self._fetch(request, self._ram_cache, last[slot])
        last[slot] = request
        request.slot = slot
        return wait_s

    def _held(self, slot: int, request: Request) -> int:
        """Return how many tokens of a prompt a slot holds."""
        if slot in self._untouched:
            return min(request.usual, request.prompt_tokens - 1)
        return held_tokens(self._last[slot], request)

    def _rank(self, slot: int) -> tuple[float, int]:
        """What was left first comes first; at one instant slots are left in the order of their numbers."""
        last = self._last[slot]
        if last is None and slot in self._left:
            return self._left[slot]
        return left_s(last), -slot if last is None and self._last_first else slot

    def _save(self, cache: RamCache, taken: int) -> float:
        """Save everything that is idle: what is in the slot that is taken, then the others by their numbers."""
        wait_s = 0.0
        for slot in sorted(self._unsaved, key=lambda slot: (slot != taken, slot)):
            tokens = self._unsaved[slot]
            wait_s += cache.save_s + cache.s_per_token * tokens
            request = self._last[slot]
            if request is not None and request.thread is not None:
                self._drop(request.thread)
            self._saved.append((tokens, request))
            self._saved_tokens += tokens
            if self._unified and request is not None and request.thread is not None:
                self._left[slot] = (left_s(request), slot)
                self._last[slot] = None
        self._unsaved.clear()
        while self._saved_tokens > cache.tokens and self._saved:
            self._saved_tokens -= self._saved.popleft()[0]
        return wait_s

    def _fetch(self, request: Request, cache: RamCache, last: Request | None) -> float:
        """Bring back what is saved of a prompt: more of it than its slot holds, and a larger part of what is saved."""
        held, kept = request.cached_tokens, -1.0 if last is None else request.cached_tokens / max(1, _content(last))
        best: tuple[int, Request | None] | None = None
        for entry in self._saved:
            tokens = held_tokens(entry[1], request)
            if tokens > held and tokens / entry[0] >= WORTH and tokens / entry[0] > kept:
                held, kept, best = tokens, tokens / entry[0], entry
        if best is None:
            return 0.0
        self._saved.remove(best)
        self._saved_tokens -= best[0]
        request.cached_tokens = request.prompt_done = held  # type: ignore[misc]
        return cache.save_s + cache.s_per_token * best[0]

    def _drop(self, thread: Hashable) -> None:
        """Take what is saved of a thread out: there is more of it now."""
        for entry in self._saved:
            if entry[1] is not None and entry[1].thread == thread:
                self._saved.remove(entry)
                self._saved_tokens -= entry[0]
                return


def _content(request: Request) -> int:
    """Return how many tokens a call has left in its slot; the last one that it generated was never read."""
    return request.prompt_done + (0 if request.first_token_s is None else request.output_tokens - 1)
