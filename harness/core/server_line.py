"""Calls that wait for a slot, first come, first served, and the way from there to the engine.

Ollama's queue stands in front of the engine (a semaphore with a permit for each slot, server/sched.go and
llm/llama_server.go in 0.33): a call that waited is sent on when another has ended, and its prompt is made tokens then.
Where that takes no time the queue is the engine's own.
"""

from __future__ import annotations

from collections import deque

from harness.core.server_request import NEVER_S, Request

__all__ = ["ServerLine"]


class ServerLine:
    """The queue of one server.

    Args:
        handover_s: a slot is free until a call that waited for it is there.
        tokenize_s_per_token: of its prompt; of every call.
    """

    __slots__ = ("_handover_s", "_tokenize_s", "called", "calls", "delays")

    def __init__(self, handover_s: float = 0.0, tokenize_s_per_token: float = 0.0) -> None:
        self._handover_s = handover_s
        self._tokenize_s = tokenize_s_per_token
        self.delays = bool(handover_s or tokenize_s_per_token)  # else only `calls` is used
        self.calls: deque[Request] = deque()
        self.called: list[tuple[float, Request]] = []  # on their way to a slot that is free: when they are there

    @property
    def waiting(self) -> int:
        """How many calls stand in it."""
        return sum(not request.cancelled for request in self.calls) + sum(not r.cancelled for _, r in self.called)

    def put(self, request: Request, now_s: float, free: int) -> float:
        """Put a call in where there are `delays`; return when it can have a free slot, infinity where it must wait."""
        self._purge()
        if self.calls or len(self.called) >= free:
            self.calls.append(request)
            return NEVER_S
        there_s = now_s + self._tokenize_s * request.prompt_tokens
        self.called.append((there_s, request))
        return there_s

    def take(self, now_s: float, free: int) -> Request | None:
        """Return the next call that is there for a free slot, at a step boundary, where there are `delays`."""
        self._purge()
        while self.calls and len(self.called) < free:
            request = self.calls.popleft()
            there_s = now_s + self._handover_s + self._tokenize_s * request.prompt_tokens
            self.called.append((there_s, request))
        for number, (there_s, request) in enumerate(self.called):
            if there_s <= now_s:
                del self.called[number]
                return request
        return None

    def comes_s(self) -> float:
        """Return when the next call will be there."""
        return min((there_s for there_s, request in self.called if not request.cancelled), default=NEVER_S)

    def _purge(self) -> None:
        """Forget who was given up."""
        if any(request.cancelled for _, request in self.called):
            self.called = [one for one in self.called if not one[1].cancelled]
        if any(request.cancelled for request in self.calls):
            self.calls = deque(request for request in self.calls if not request.cancelled)
