"""Servers that share a machine: while several are busy, every step of each takes longer.

The stretch is the same for all that are busy, so it is a change of clock: the servers live in *work time*, which runs
at 1 / stretch of the real rate. A segment ends at an event of any of them; there the stretch may change.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Final

from harness.core.server_model import ServerModel
from harness.core.server_request import NEVER_S, Request

__all__ = ["Machine", "SharedServer"]

ROUNDING_S: Final = 1e-9  # a step that ends now has ended, though the way to work time and back loses a bit
ASK: Final = -NEVER_S  # in place of a time: a server was touched, and is asked when that matters


class Machine:
    """Several server models on one machine.

    Args:
        models: fresh ones.
        stretch: factor on every step by the number of busy servers, from two to `len(models)`; one alone has 1.

    Raises:
        ValueError: a factor is missing, or not above 0.
    """

    def __init__(self, models: Sequence[ServerModel], stretch: Mapping[int, float]) -> None:
        missing = [n for n in range(2, len(models) + 1) if n not in stretch]
        if missing:
            raise ValueError(f"the contention of {missing[0]} busy servers on one machine is not known")
        if any(factor <= 0 for factor in stretch.values()):
            raise ValueError(f"expected contention factors above 0, found {dict(stretch)!r}")
        self._stretches = (1.0, 1.0, *(stretch[n] for n in range(2, len(models) + 1)))
        # Where the stretch changed: work time and real time there, and the stretch since. The past is needed as well:
        # a request is dated when it has ended.
        self._work_s = [0.0]
        self._real_s = [0.0]
        self._rates = [1.0]
        self.servers = tuple(SharedServer(self, model, number) for number, model in enumerate(models))
        # By the number of the server. What an untouched one does next, and whether it is busy, does not change.
        self._due_s = [ASK] * len(models)  # work time of its next event
        self._unsure = list(range(len(models)))  # touched since they were last seen busy or not
        self._is_busy = [False] * len(models)
        self._busy = 0
        self._kept: set[int] = set()  # servers with calls that ended when a call came or went

    def next_s(self) -> float:
        """Return when something happens on any of the servers."""
        return self.real_s(self._next_work_s())

    def run(self, until_s: float) -> list[Request]:
        """Go on to the first event at which somebody ends, or else to `until_s`; return who ended, if anybody did."""
        ended: list[Request] = []
        if self._kept:
            for number in sorted(self._kept):  # those who ended at the very instant at which a call came or went
                server = self.servers[number]
                ended += server.ended
                server.ended = []
            self._kept.clear()
        while (work_s := self._work_until(ended[0].end_s if ended else until_s)) is not None:
            ended += [request for _, request in self._step(work_s)]
        return ended

    def advance(self, now_s: float) -> None:
        """Go on to `now_s`, event by event; who ended is kept with its server."""
        while (work_s := self._work_until(now_s)) is not None:
            for server, request in self._step(work_s):
                server.ended.append(request)
                self._kept.add(server.number)

    def _work_until(self, until_s: float | None) -> float | None:
        """Return the work time of the next event, where that is not after `until_s`."""
        work_s = self._next_work_s()
        assert until_s is not None  # who has ended has a time
        return None if work_s == NEVER_S or self.real_s(work_s) > until_s else work_s

    def forget(self, number: int) -> None:
        """Note that the calls that were kept with a server are taken from there."""
        self._kept.discard(number)

    def _next_work_s(self) -> float:
        """Return the work time of the next event; servers plan their next segment when they are asked."""
        due_s = self._due_s
        while (work_s := min(due_s)) == ASK:
            number = due_s.index(ASK)
            due_s[number] = self.servers[number].model.next_s()
            self._unsure.append(number)
        return work_s

    def _step(self, work_s: float) -> list[tuple[SharedServer, Request]]:
        """Go on to one event."""
        ended: list[tuple[SharedServer, Request]] = []
        for number, due_s in enumerate(self._due_s):
            if due_s <= work_s:
                server = self.servers[number]
                for request in server.model.advance(work_s):
                    self.date(request)
                    ended.append((server, request))
                self._due_s[number] = ASK
                self._unsure.append(number)
        self._look(work_s)
        return ended

    def work_s(self, now_s: float) -> float:
        """Return the work time at `now_s`, which must not lie before the last event."""
        return max(self._work_s[-1], self._work_s[-1] + (now_s - self._real_s[-1]) / self._rates[-1])

    def real_s(self, work_s: float) -> float:
        """Return the real time at a work time; of a future one: as long as nothing changes."""
        index = -1 if work_s >= self._work_s[-1] else bisect_right(self._work_s, work_s) - 1
        return self._real_s[index] + (work_s - self._work_s[index]) * self._rates[index]

    def date(self, request: Request) -> None:
        """Turn a request's work times into real ones."""
        request.queued_s = self.real_s(request.queued_s)
        if request.prompt_s is not None:
            request.prompt_s = self.real_s(request.prompt_s)
        if request.first_token_s is not None:
            request.first_token_s = self.real_s(request.first_token_s)
        if request.answer_s is not None:
            request.answer_s = self.real_s(request.answer_s)
        if request.end_s is not None:
            request.end_s = self.real_s(request.end_s)

    def look(self, number: int, now_s: float) -> None:
        """Note that a server was touched at `now_s`: it may be busy now, or may be no more."""
        self._due_s[number] = ASK
        self._unsure.append(number)
        self._look(self.work_s(now_s), now_s)

    def _look(self, work_s: float, now_s: float | None = None) -> None:
        for number in self._unsure:
            is_busy = self.servers[number].model.busy
            if is_busy != self._is_busy[number]:
                self._is_busy[number] = is_busy
                self._busy += 1 if is_busy else -1
        self._unsure.clear()
        busy = self._busy
        stretch = self._stretches[busy]
        if stretch == self._rates[-1] and (busy or len(self._rates) == 1):
            return
        real_s = self.real_s(work_s) if now_s is None else now_s
        if not busy:
            self._work_s, self._real_s, self._rates = [], [], []  # nobody is left who could ask for the past
        self._work_s.append(work_s)
        self._real_s.append(real_s)
        self._rates.append(stretch)


class SharedServer:
    """One server of a machine, with the surface of a server model."""

    def __init__(self, machine: Machine, model: ServerModel, number: int) -> None:
        self.machine = machine
        self.model = model
        self.number = number  # on its machine
        self.ended: list[Request] = []

    @property
    def waiting(self) -> int:
        """How many calls stand in its queue."""
        return self.model.waiting

    def tokens_of(self, request: Request) -> int:
        """Return how many tokens of it had been generated at the last boundary."""
        return self.model.tokens_of(request)

    def steps_by(self, now_s: float) -> tuple[int, float]:
        """Return how many steps of the segment under way have ended, and when the next will; see `ServerModel`."""
        ended, work_s = self.model.steps_by(self.machine.work_s(now_s) + ROUNDING_S)
        return ended, self.machine.real_s(work_s)

    def submit(self, request: Request, now_s: float) -> None:
        """Put a call in the queue."""
        self.machine.advance(now_s)
        self.model.submit(request, self.machine.work_s(now_s))
        self.machine.look(self.number, now_s)

    def cancel(self, request: Request, now_s: float) -> bool:
        """Give a call up; see `ServerModel.cancel`."""
        self.machine.advance(now_s)
        gone = self.model.cancel(request, self.machine.work_s(now_s))
        if gone:
            self.machine.date(request)
        self.machine.look(self.number, now_s)
        return gone

    def next_s(self) -> float:
        """Return when something happens, here or on a server beside it."""
        return self.machine.next_s()

    def advance(self, now_s: float) -> list[Request]:
        """Go on to `now_s`; return the calls of this server that ended by then."""
        self.machine.advance(now_s)
        ended, self.ended = self.ended, []
        self.machine.forget(self.number)
        return ended
