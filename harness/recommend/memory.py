"""What servers take of memory, and what there is: weights and the cache of all slots, and prompts in main memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from harness.core.levers import kv_share
from harness.workload.machines import by_machine
from harness.workload.schema import ServerSpec

__all__ = ["LimitSource", "MemoryNeed", "MemorySource", "Room", "RunnerNeed", "TooMuch"]

SPARE = 1.1  # compute buffers and the process itself, beside weights and cache


class MemorySource(NamedTuple):
    """Where it is known from what a model takes; `unknown`: neither a file nor the profile says it."""

    kind: Literal["header", "profile", "unknown"]
    profile: str = ""
    model: str = ""


class LimitSource(NamedTuple):
    """Where it is known from how much memory there is."""

    kind: Literal["given", "free", "unknown", "file", "profile"]
    profile: str = ""  # `unknown`: of another machine; `profile`: that says what its machine has
    machine: str = ""  # `file`: whose `memory` the workload says
    accelerator: str = ""  # whose memory it is; "": main memory


class RunnerNeed(NamedTuple):
    """What one runner of a server takes: a model with one context. None = not known."""

    server: str
    model: str
    context_tokens: int | None  # of a slot
    slots: int
    weights_bytes: int | None
    cache_bytes: int | None  # of all its slots
    load_s: float | None


class Room(NamedTuple):
    """What memory there is on a machine, and where that is known from."""

    limit_bytes: int | None  # None = not known
    source: LimitSource


class TooMuch(NamedTuple):
    """Servers on one machine need more memory than there is."""

    limit_bytes: int
    source: LimitSource
    prompt_cache_bytes: int = 0  # of main memory that engines may fill with prompts; 0: they do not fit without them


class MemoryNeed(NamedTuple):
    """What the servers of a workload take, and what there is. Bytes; None = not known.

    A server takes its weights once and for each slot the KV cache of a whole context; a second server takes its own.
    """

    weights_bytes: int | None
    token_bytes: float | None  # of KV cache, for each token of context
    limit_bytes: int | None
    source: MemorySource
    limit_source: LimitSource
    others: Mapping[str, MemoryNeed] = {}  # of servers with another model, by its name
    rooms: Mapping[str, Room] = {}  # of machines that the workload names; what is above is of those that it does not
    kv_type: str = "f16"  # number format of the cache that `token_bytes` is of, where a server does not name another
    prompt_cache_bytes: int = 0  # of main memory that an engine may fill with prompts beside all this; 0: none
    running: bool = False  # its server: what that one's engine holds already is not in what is free
    main: Room = Room(None, LimitSource("unknown"))  # main memory, where what is above is an accelerator's
    asked_tokens: int | None = None  # the largest context that an agent asks for (num_ctx), which a server then loads

    @property
    def known(self) -> bool:
        """Whether a candidate's memory can be told."""
        return self.weights_bytes is not None and self.token_bytes is not None

    def needed(self, servers: Sequence[ServerSpec]) -> int | None:
        """Return what these servers take together: weights and KV cache, a tenth more for buffers."""
        needed = 0.0
        for spec in servers:
            mine = self.others.get(spec.model, self)
            if mine.weights_bytes is None or mine.token_bytes is None:
                return None
            share = kv_share({"kv_type": mine.kv_type, **spec.levers}) / kv_share({"kv_type": mine.kv_type})
            needed += mine.weights_bytes + spec.slots * spec.context_tokens * mine.token_bytes * share
        return round(needed * SPARE)

    def prompts(self, servers: Sequence[ServerSpec]) -> int:
        """Return what the engines of these servers may fill of main memory with earlier prompts.

        One that runs already has long begun: what it holds is not in what is free.
        """
        keep = [spec for spec in servers if spec.prompt_cache_bytes and not spec.running]
        return sum(self.others.get(spec.model, self).prompt_cache_bytes for spec in keep)

    def for_a_while(self) -> MemoryNeed:
        """Return it without earlier prompts: while servers are measured there are not many."""
        others = {model: one._replace(prompt_cache_bytes=0) for model, one in self.others.items()}
        return self._replace(prompt_cache_bytes=0, others=others)

    def too_much(self, servers: Sequence[ServerSpec]) -> TooMuch | None:
        """Return what those on one machine do not fit into together; None where they fit, or where it is not known."""
        for machine, numbers in by_machine(dict(enumerate(servers))).items():
            here = [servers[number] for number in numbers]
            if (found := self._too_much(self.room(machine), here, named=machine is not None)) is not None:
                return found
        return None

    def _too_much(self, room: Room, servers: Sequence[ServerSpec], *, named: bool) -> TooMuch | None:
        needed, prompts = self.needed(servers) or 0, self.prompts(servers)
        if not room.source.accelerator:
            return _beyond(room, needed, prompts)
        main = Room(None, LimitSource("unknown")) if named else self.main  # of named machines nobody says it
        return _beyond(room, needed, 0) or _beyond(main, 0, prompts)

    def left_beside(self, servers: int) -> int | None:
        """Return what so many servers of one model leave for the context of their slots; None where it is not known."""
        if self.limit_bytes is None or self.weights_bytes is None:
            return None
        return max(0, self.limit_bytes - round(servers * self.weights_bytes * SPARE))

    def room(self, machine: str | None) -> Room:
        """Return what there is on a machine."""
        return self.rooms.get(machine or "") or Room(self.limit_bytes, self.limit_source)


def _beyond(room: Room, needed: int, prompts: int) -> TooMuch | None:
    """Return that so many bytes, and earlier prompts, do not fit; None where they do or where it is not known."""
    if room.limit_bytes is None or needed + prompts <= room.limit_bytes:
        return None
    return TooMuch(room.limit_bytes, room.source, prompts if needed <= room.limit_bytes else 0)
