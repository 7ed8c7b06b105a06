"""One server with several runners, of which some are in memory at a time: Ollama's scheduler on server models.

A *runner* is a model with one context. Two agents that ask one model for different contexts (`num_ctx`) need a runner
each, and these are never in memory together. What is called a model below is a runner.

The rules are those of server/sched.go (read in 0.33, seen on 0.33):

1. A call for a model that is loaded goes to it at once. It has slots and a queue of its own, and shares the machine.
2. Any other call waits in one line, first come, first served. Only the head is looked at: a call behind it
   waits too, whatever its model.
3. The head's model is loaded if there is room, and not the same weights with another context (`needsReload`). Else
   one model is chosen to go: the one with these weights; or the first that is idle, by how long it is to be kept and
   then in `models`' order, or where none is idle, the first of all (`findRunnerToUnload`). It goes when its last call
   has ended, and not before: calls for it that come meanwhile go to it by rule 1, so a model in steady use is never
   unloaded, and the line waits as long.
4. A load takes `load_s` and slows nobody. The call that caused it starts at its end; those behind it in the line then
   start too, as long as their models are loaded.

5. The line has room for the head and `max_queue` others (OLLAMA_MAX_QUEUE). A call that finds it full is turned away at
   once, with a 503. Calls by rule 1 never are: they wait for a slot on a semaphore that has no limit. So a server with
   one model, which is loaded, never says 503. (`getRunner`: a loaded runner is handed out without the pending channel,
   else the request goes into the channel, or is `ErrMaxQueue` where it is full. Up to 0.11.4 all went through it.)

6. A call may say how long its model is kept when it has become idle (`keep_alive`); that holds from when the call is
   given to its model until the next call that says it. A model is loaded with the server's own, which is for ever here.
   One that is to be kept for 0 s goes with its last call. A call that says it to a model that rule 3 has chosen keeps
   that model for as long, and the line waits for it, or for any other model to go (`useLoadedRunner`).

What a call waits by these rules is its `load_s`, as in Ollama's `load_duration`; the wait for a slot comes after.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from harness.core.context import REFUSED
from harness.core.machine import Machine, SharedServer
from harness.core.server_model import ServerModel
from harness.core.server_request import NEVER_S, Request

__all__ = ["BUSY", "MAX_QUEUE", "ModelRequest", "ModelSwaps"]

BUSY = "server busy, please try again.  maximum pending requests exceeded"  # `ErrMaxQueue`, with two spaces
MAX_QUEUE: Final = 512  # OLLAMA_MAX_QUEUE


class ModelRequest(Request):
    """A call for one of several models."""

    __slots__ = ("asked_s", "keep_s", "load_s", "model")

    model: int  # index into the server's models
    keep_s: float | None  # how long to keep the model after it; None: it does not say
    asked_s: float  # when it came to the server
    load_s: float  # what it waited for its model; negative: it still does


class ModelSwaps:
    """One server; its surface is that of a server model. Requests are `ModelRequest`s.

    Args:
        models: fresh ones, of one machine.
        load_s: how long each takes to load.
        most_loaded: how many can be loaded at the same time; the first ones are, to begin with.
        stretch: factor on every step by the number of models that are busy at the same time, from two to `most_loaded`.
        max_queue: calls that can wait for a model behind the one whose turn it is.
        weights: of each model, which: those with the same are never loaded together. Left out: each has its own.

    Raises:
        ValueError: no room for a model, or a stretch is missing.
    """

    def __init__(
        self,
        models: Sequence[ServerModel],
        load_s: Sequence[float],
        most_loaded: int,
        stretch: Mapping[int, float] | None = None,
        *,
        max_queue: int = MAX_QUEUE,
        weights: Sequence[int] = (),
    ) -> None:
        if most_loaded < 1:
            raise ValueError(f"expected room for one model or more, found {most_loaded}")
        self._weights = tuple(weights) or tuple(range(len(models)))
        first = [self._weights.index(which) for which in dict.fromkeys(self._weights)]
        most_loaded = min(most_loaded, len(first))
        self._machine: Machine | None = None
        self._servers: tuple[ServerModel | SharedServer, ...] = tuple(models)
        if most_loaded > 1:  # else one is busy at a time
            known = dict(stretch or {})
            # No more than most_loaded are ever busy.
            known |= {n: known[most_loaded] for n in range(most_loaded + 1, len(models) + 1) if most_loaded in known}
            self._machine = Machine(models, known)
            self._servers = self._machine.servers
        self._load_s = tuple(load_s)
        self._most_loaded = most_loaded
        self._loaded = set(first[:most_loaded])
        self._keep_s = [NEVER_S] * len(models)  # of each that is loaded: how long, once it is idle
        self._goes_s: dict[int, float] = {}  # of those that are idle: when that has passed
        self._using = [0] * len(models)  # calls that each has, in its queue or in a slot
        self._line: deque[ModelRequest] = deque()
        self._max_queue = max_queue
        self._turned_away: list[Request] = []  # to end at once
        self._loading = -1  # the head's model
        self._load_end_s = NEVER_S
        self._waits = False  # the line, for a model to go

    @property
    def waiting(self) -> int:
        """How many calls wait for their model or for a slot."""
        return len(self._line) + sum(server.waiting for server in self._servers)

    @property
    def left(self) -> list[tuple[tuple[int, int], ...]]:
        """What is in the slots of each model; see `ServerModel.left`."""
        return [server.model.left if isinstance(server, SharedServer) else server.left for server in self._servers]

    @property
    def loaded(self) -> frozenset[int]:
        """The models in memory, one that is being loaded not among them."""
        return frozenset(self._loaded)

    def submit(self, request: ModelRequest, now_s: float) -> None:
        """Take a call."""
        request.asked_s = now_s
        request.load_s = -1.0
        if request.model in self._loaded:
            self._give(request, now_s)
        elif len(self._line) > self._max_queue:
            request.output_tokens, request.end_s = REFUSED, now_s
            self._turned_away.append(request)
        else:
            self._line.append(request)
            self._look(now_s)

    def cancel(self, request: ModelRequest, now_s: float) -> bool:
        """Give a call up; see `ServerModel.cancel`. A load that it caused is broken off."""
        if request.load_s >= 0:
            gone = self._servers[request.model].cancel(request, now_s)
            if gone:
                self._release(request.model, now_s)
                self._look(now_s)
            return gone
        request.cancelled = True
        request.end_s = now_s
        if request in self._turned_away:
            self._turned_away.remove(request)
            return True
        if self._line[0] is request and self._loading >= 0:
            self._loading, self._load_end_s = -1, NEVER_S
        self._line.remove(request)
        self._look(now_s)
        return True

    def next_s(self) -> float:
        """Return when something happens; infinity for never."""
        if self._turned_away:
            assert self._turned_away[0].end_s is not None
            return self._turned_away[0].end_s
        own_s = min(self._load_end_s, self._next_goes_s())
        if self._machine is not None:
            return min(own_s, self._machine.next_s())
        return min(own_s, *(server.next_s() for server in self._plain()))

    def run(self, until_s: float) -> list[Request]:
        """Go on to the first instant at which somebody ends, or else to `until_s`; return who ended, if anybody did."""
        if self._turned_away:
            turned_away, self._turned_away = self._turned_away, []
            return turned_away
        while True:
            goes_s = self._next_goes_s()
            own_s = min(self._load_end_s, goes_s)
            ended = self._run(min(until_s, own_s))
            if ended:
                now_s = ended[-1].end_s
                assert now_s is not None
                for request in ended:
                    assert isinstance(request, ModelRequest)
                    self._release(request.model, now_s)
                self._look(now_s)
                return ended
            if own_s > until_s or own_s == NEVER_S:
                return ended
            if self._load_end_s <= goes_s:
                self._load_ended()
            else:
                self._unload(next(model for model, at_s in self._goes_s.items() if at_s == goes_s))
                self._look(goes_s)

    def _run(self, until_s: float) -> list[Request]:
        if self._machine is not None:
            return self._machine.run(until_s)
        ended: list[Request] = []
        for server in self._plain():  # at most one has anything to do
            ended += server.run(until_s)
        return ended

    def _plain(self) -> list[ServerModel]:
        """Return the server models that have calls: not on a machine, so at most one."""
        return [
            server
            for server, using in zip(self._servers, self._using, strict=True)
            if using and isinstance(server, ServerModel)
        ] or [server for server in self._servers[:1] if isinstance(server, ServerModel)]

    def _give(self, request: ModelRequest, now_s: float) -> None:
        request.load_s = now_s - request.asked_s
        self._using[request.model] += 1
        self._goes_s.pop(request.model, None)
        if request.keep_s is not None:
            self._keep_s[request.model] = request.keep_s
        self._servers[request.model].submit(request, now_s)

    def _release(self, model: int, now_s: float) -> None:
        """A call of this model has ended; if it was the last one, the model's time to be kept begins."""
        self._using[model] -= 1
        if self._using[model]:
            return
        if self._keep_s[model] <= 0:
            self._unload(model)
        elif self._keep_s[model] < NEVER_S:
            self._goes_s[model] = now_s + self._keep_s[model]

    def _unload(self, model: int) -> None:
        """An idle model goes, with what is in its slots; the line looks again."""
        self._loaded.discard(model)
        self._goes_s.pop(model, None)
        self._waits = False
        server = self._servers[model]
        (server.model if isinstance(server, SharedServer) else server).forget()

    def _next_goes_s(self) -> float:
        return min(self._goes_s.values()) if self._goes_s else NEVER_S

    def _load_ended(self) -> None:
        now_s = self._load_end_s
        self._loaded.add(self._loading)
        self._keep_s[self._loading] = NEVER_S
        self._loading, self._load_end_s = -1, NEVER_S
        self._look(now_s)

    def _look(self, now_s: float) -> None:
        """Do what can be done for those in the line."""
        line = self._line
        while line and self._loading < 0 and not self._waits:
            model = line[0].model
            if model in self._loaded:
                self._give(line.popleft(), now_s)
                continue
            weights = self._weights
            chosen = next((other for other in self._loaded if weights[other] == weights[model]), None)
            if chosen is None and len(self._loaded) < self._most_loaded:
                self._loading, self._load_end_s = model, now_s + self._load_s[model]
                continue
            if chosen is None:
                chosen = min(self._loaded, key=lambda other: (self._using[other] > 0, self._keep_s[other], other))
            self._keep_s[chosen] = 0.0
            self._goes_s.pop(chosen, None)
            if self._using[chosen]:
                self._waits = True
            else:
                self._unload(chosen)
