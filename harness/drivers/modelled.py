"""Server models as a backend of the virtual driver: pace, overheads, and replies as a client would have seen them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import NamedTuple, Protocol

from harness.core.events import Call, Cancelled, Done, Event
from harness.core.machine import SharedServer
from harness.core.records import Reply
from harness.core.server_model import Request

__all__ = ["ModelledServer", "ModelledServers", "Tokens"]

NEVER_S = float("inf")

# How long a call is: (prompt tokens, output tokens). As observed (replay) or drawn (forecast).
Tokens = Callable[[Call], tuple[int, int]]


class Server(Protocol):
    """What `ServerModel` and `SharedServer` have in common."""

    def submit(self, request: Request, now_s: float) -> None: ...
    def cancel(self, request: Request, now_s: float) -> bool: ...
    def next_s(self, quiet_until_s: float = ..., /) -> float: ...
    def advance(self, now_s: float) -> list[Request]: ...
    @property
    def waiting(self) -> int: ...


class ModelledServer(NamedTuple):
    """One lane's server with what lies between it and the client."""

    model: Server
    before_s: float = 0.0  # sent until it stands in the server's queue
    after_s: float = 0.0  # a token is there until the client has it
    starts_per_s: float | None = None  # one start per 1/rate seconds; None = unpaced


class _Sent(Request):
    """A request with what the client knows of it."""

    __slots__ = ("lane", "outside")

    lane: int
    outside: bool  # paced, or on its way there or back: its server does not know it, or no more


class _Pace:
    """Lets one call go per 1/rate seconds, first come first served."""

    def __init__(self, starts_per_s: float) -> None:
        self.period_s = 1 / starts_per_s
        self.next_s = 0.0
        self.held: deque[_Sent] = deque()


class ModelledServers:
    """The servers of one candidate, a lane each.

    Args:
        lanes: the server of every lane of the plan.
        tokens: how long each call is.
    """

    def __init__(self, lanes: Sequence[ModelledServer], tokens: Tokens) -> None:
        self._lanes = tuple(lanes)
        self._models = tuple(lane.model for lane in lanes)
        self._due_s = [NEVER_S] * len(lanes)  # when each server must be looked at, unless it was touched since
        self._touched: set[int] = set()
        self._alone = self._models[0] if len(lanes) == 1 else None
        # What happens to a server that shares its machine changes the others' times too.
        self._coupled = any(isinstance(model, SharedServer) for model in self._models)
        self._direct = tuple(not lane.before_s and lane.starts_per_s is None for lane in lanes)
        self._paces = tuple(None if lane.starts_per_s is None else _Pace(lane.starts_per_s) for lane in lanes)
        self._tokens = tokens
        self._open: dict[int, _Sent] = {}
        # What happens outside the servers: (time, serial, a request on its way there or back, an event for the engine,
        # or a lane whose pace lets the next call go).
        self._later: list[tuple[float, int, _Sent | Event | int]] = []
        self._serial = 0

    def start(self, call: Call, now_s: float) -> None:
        """Send this call, or let it wait for its turn where starts are paced."""
        prompt_tokens, output_tokens = self._tokens(call)
        lane = call.lane
        sent = _Sent(call.id, prompt_tokens, output_tokens, now_s)
        sent.lane = lane
        sent.outside = not self._direct[lane]
        self._open[call.id] = sent
        if self._direct[lane]:
            self._touched.add(lane)
            self._models[lane].submit(sent, now_s)
            return
        pace = self._paces[lane]
        if pace is None:
            self._send(sent, now_s)
        elif not pace.held and now_s >= pace.next_s:
            pace.next_s = now_s + pace.period_s
            self._send(sent, now_s)
        else:
            pace.held.append(sent)
            if len(pace.held) == 1:
                self._at(pace.next_s, lane)

    def cancel(self, call_id: int, now_s: float) -> None:
        """Give a call up, wherever it is. On its way it is gone at once."""
        sent = self._open[call_id]
        self._touched.add(sent.lane)
        if sent.outside:
            sent.cancelled = True
        elif not self._models[sent.lane].cancel(sent, now_s):
            return
        del self._open[call_id]
        pace = self._paces[sent.lane]
        sent_s = None if pace and sent in pace.held else sent.sent_s
        self._at(now_s, Cancelled(call_id, Reply("cancelled", sent_s, sent.first_token_s, now_s)))

    def next_s(self, quiet_until_s: float) -> float:
        """Return when something happens on any server or on the way to one."""
        next_s = self._later[0][0] if self._later else NEVER_S
        if next_s < quiet_until_s:
            quiet_until_s = next_s
        due_s = self._due_s
        if self._alone is not None:
            at_s = due_s[0] = self._alone.next_s(quiet_until_s)
            return at_s if at_s < next_s else next_s
        if self._coupled:
            due_s[:] = [model.next_s() for model in self._models]
        else:
            touched = self._touched
            if len(touched) > 1:
                for lane in touched:
                    due_s[lane] = self._models[lane].next_s()
            for lane in touched:
                # It may run ahead until something happens elsewhere: that could bring it a call.
                due_s[lane] = NEVER_S
                due_s[lane] = self._models[lane].next_s(min(quiet_until_s, *due_s))
            touched.clear()
        for at_s in due_s:
            if at_s < next_s:
                next_s = at_s
        return next_s

    def advance(self, now_s: float) -> list[Event]:
        """Go on to `now_s`; return the calls whose answer the client has by then."""
        events: list[Event] = []
        for lane, due_s in enumerate(self._due_s):
            if due_s <= now_s:
                self._touched.add(lane)
                for request in self._models[lane].advance(now_s):
                    self._ended(request, events)  # type: ignore[arg-type]
        later = self._later
        while later and later[0][0] <= now_s:
            thing = heappop(later)[2]
            if isinstance(thing, _Sent):
                if not thing.cancelled:
                    self._arrived(thing, now_s, events)
            elif isinstance(thing, int):
                self._next_of(thing, now_s)
            else:
                events.append(thing)
        return events

    def waiting(self) -> int:
        """Return how many calls stand in the servers' queues or wait for their turn to be sent."""
        return sum(model.waiting for model in self._models) + sum(len(pace.held) for pace in self._paces if pace)

    def _ended(self, sent: _Sent, events: list[Event]) -> None:
        """A server is done with a call."""
        after_s = self._lanes[sent.lane].after_s
        if sent.cancelled:
            del self._open[sent.call]
            events.append(Cancelled(sent.call, Reply("cancelled", sent.sent_s, sent.first_token_s, sent.end_s)))
        elif after_s:
            assert sent.end_s is not None
            sent.outside = True
            self._at(sent.end_s + after_s, sent)
        else:
            del self._open[sent.call]
            events.append(Done(sent.call, _reply(sent, 0.0)))

    def _arrived(self, sent: _Sent, now_s: float, events: list[Event]) -> None:
        """A call has come to its server, or its answer to the client."""
        if sent.end_s is None:
            sent.outside = False
            self._touched.add(sent.lane)
            self._models[sent.lane].submit(sent, now_s)
        else:
            del self._open[sent.call]
            events.append(Done(sent.call, _reply(sent, self._lanes[sent.lane].after_s)))

    def _send(self, sent: _Sent, now_s: float) -> None:
        sent.sent_s = now_s
        self._at(now_s + self._lanes[sent.lane].before_s, sent)

    def _next_of(self, lane: int, now_s: float) -> None:
        """A paced lane's time has come: send the first that still wants to go."""
        pace = self._paces[lane]
        assert pace is not None
        while pace.held and pace.held[0].cancelled:
            pace.held.popleft()
        if pace.held:
            pace.next_s = now_s + pace.period_s
            self._send(pace.held.popleft(), now_s)
        if pace.held:
            self._at(pace.next_s, lane)

    def _at(self, at_s: float, thing: _Sent | Event | int) -> None:
        self._serial += 1
        heappush(self._later, (at_s, self._serial, thing))


def _reply(sent: _Sent, after_s: float) -> Reply:
    """What a client learns, on its clock; the server's durations on the server's."""
    queued_s, prompt_s, first_s, end_s = sent.queued_s, sent.prompt_s, sent.first_token_s, sent.end_s
    assert prompt_s is not None and first_s is not None and end_s is not None
    fields = (
        "ok",
        sent.sent_s,
        first_s + after_s,
        end_s + after_s,
        None,
        "length",
        sent.prompt_tokens,
        sent.output_tokens,
        end_s - queued_s,
        0.0,
        first_s - prompt_s,
        end_s - first_s,
        prompt_s - queued_s,
        sent.cached_tokens,
    )
    return tuple.__new__(Reply, fields)  # half the cost of Reply(...)
