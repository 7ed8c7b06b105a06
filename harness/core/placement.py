"""Placement policies: which of several servers a call goes to.

A policy is a value (`Placement`) around a function that says to which of its servers a call may still go. Of these it
takes the one with most free slots when it is dispatched. To add one: write its function, its docstring being its
definition and source, and put it into the dict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from harness.core.concurrency import QueueView
from harness.core.policy import BUILT_IN, PolicySource, made

__all__ = ["PLACEMENT", "Placement"]

S = TypeVar("S", bound=QueueView)


@dataclass(frozen=True, repr=False)
class Placement:
    """All that is known of one placement policy.

    Its contract: `choose` returns one or more of the queues that it was given.
    """

    # (the queues of all its servers, that on which the conversation settled or None) -> those that may take the call.
    choose: Callable[[tuple[Any, ...], Any], Sequence[Any]]
    settles: bool = False  # a conversation settles on the server of its first call, which `choose` is then told
    for_reused_prefixes: bool = False  # does something only where conversations find their prefix in a server's cache
    says: str = ""  # where calls go, as a clause
    # How the code that is printed chooses; "": it prints a limit for each server, and which to ask is left to the user.
    code: Literal["", "most free", "settled"] = ""
    name: str = ""
    about: str = ""
    source: PolicySource = BUILT_IN

    def __repr__(self) -> str:
        return f"Placement({self.name!r})"


def _least_loaded(queues: tuple[S, ...], home: S | None) -> tuple[S, ...]:
    """The server with the most free slots when the call is dispatched; of those with equally many the first named.

    With all slots taken the call waits for whichever server is first to have one: a central queue, as opposed to
    least connections or join-the-shortest-queue, which choose at arrival (Harchol-Balter, "Performance Modeling and
    Design of Computer Systems", 2013, ch. 24). Where a concurrency policy lets more calls go than there are slots, the
    fewest beyond.
    """
    return queues


def _affinity(queues: tuple[S, ...], home: S | None) -> tuple[S, ...]:
    """A conversation's first call goes where `least-loaded` sends it, all others of it to the same server.

    That is where its prompt cache is. A conversation is a session, or a job that is no turn of one. Session affinity
    ("sticky sessions") of load balancers; for calls of one agent program Luo et al., "Autellix" (2025), section on
    data locality.
    """
    return queues if home is None else (home,)


WRITTEN = {
    "least-loaded": Placement(
        _least_loaded,
        code="most free",
        says="each call goes to the server with the most free slots; if none has any, it waits in one queue for all",
    ),
    "affinity": Placement(
        _affinity,
        settles=True,
        for_reused_prefixes=True,
        code="settled",
        says=("the first call of a conversation goes to the server with the most free slots, the rest to the same one"),
    ),
}
PLACEMENT = {name: made(Placement, "choose", name, policy) for name, policy in WRITTEN.items()}
