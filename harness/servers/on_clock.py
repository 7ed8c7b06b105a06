"""A server model on the event loop's clock: it is advanced when something happens, and wakes up by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from harness.core.machine import Machine, SharedServer
from harness.core.server_model import ServerModel
from harness.core.server_request import NEVER_S

__all__ = ["OnClock"]


class OnClock:
    """What plays a server model; its times are the loop's."""

    def __init__(self, model: ServerModel) -> None:
        self._model = model
        self._server: ServerModel | SharedServer = model
        self._beside: tuple[OnClock, ...] = ()  # on the same machine
        self._timer: asyncio.TimerHandle | None = None

    @staticmethod
    def on_one_machine(players: Sequence[OnClock], stretch: Mapping[int, float]) -> None:
        """Put fresh ones on one machine, where they slow each other; see `harness.core.machine.Machine`."""
        machine = Machine([player._model for player in players], stretch)
        for player, server in zip(players, machine.servers, strict=True):
            player._server = server
            player._beside = tuple(other for other in players if other is not player)

    def _advance(self, now_s: float) -> None:
        """Let the model go on to now, and tell those who wait for what it did."""
        raise NotImplementedError

    def _due_s(self, now_s: float) -> float:
        """Return when something will have happened that somebody waits for."""
        return self._next_s()

    def _next_s(self) -> float:
        """Return when something happens here; what happens beside it wakes its own player, which sets all alarms."""
        if isinstance(self._server, SharedServer):
            return self._server.machine.real_s(self._model.next_s())
        return self._server.next_s()

    def _changed(self, loop: asyncio.AbstractEventLoop, now_s: float) -> None:
        """Set the alarms again: what happens here changes the pace of every server on the machine."""
        for other in self._beside:
            other._advance(now_s)
        for player in (self, *self._beside):
            player._arm(loop, now_s)

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now_s = loop.time()
        self._advance(now_s)
        self._changed(loop, now_s)

    def _arm(self, loop: asyncio.AbstractEventLoop, now_s: float) -> None:
        at_s = self._due_s(now_s)
        if self._timer is not None:
            if self._timer.when() == at_s:
                return
            self._timer.cancel()
        self._timer = None if at_s == NEVER_S else loop.call_at(at_s, self._wake, loop)
