"""Places: which of several servers a call goes to.

A call that may go to several servers waits in the queue of each of them until one takes it; the others then forget it.
So the choice falls when a call is dispatched, by slots that are really free, and no call waits for one server while
another one has a slot for it: together they are one queue with several servers.

A place says to which of its servers a call may still go. To add one: write the function, its docstring being its
definition and source, and name it in the dict.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.core.events import Call
from harness.core.jobs import CallSite, Job, State
from harness.core.routing import SelectiveQueue

__all__ = ["PLACEMENT", "Offers"]

Conversation = tuple[tuple[int, ...], int, int]  # the lanes of its pool, its pipeline, its session (else a job below 0)


class Offers:
    """The calls that wait on several servers at once, and the conversations that have settled on one."""

    def __init__(self) -> None:
        self._on: dict[int, tuple[State, ...]] = {}  # by call: the lanes on which it waits
        self._homes: dict[Conversation, State] = {}
        self._unsettled: dict[Conversation, list[int]] = {}  # calls of conversations without a home; some have gone

    def offer(self, call: Call, site: CallSite, job: Job) -> None:
        """Queue a call on every server that it may go to."""
        assert site.pool is not None
        who = _conversation(call, site)
        home = self._homes.get(who)
        states = PLACEMENT[site.pool.choice](site.states, home)
        if home is None and site.pool.choice == "affinity":
            self._unsettled.setdefault(who, []).append(call.id)
        self._on[call.id] = states
        for state in states:
            state.add(call, site, job)

    def taken(self, call: Call, site: CallSite, queue: State) -> None:
        """One of them has taken it: the others forget it, and what its conversation still has waiting follows."""
        assert site.pool is not None
        self._leave(call.id, queue)
        del self._on[call.id]
        who = _conversation(call, site)
        if site.pool.choice == "affinity" and who not in self._homes:
            self._homes[who] = queue
            for waiting in self._unsettled.pop(who):
                if waiting in self._on:
                    self._leave(waiting, queue)
                    self._on[waiting] = (queue,)

    def dropped(self, call: Call) -> None:
        """It will never start, and no queue has it any more."""
        self._on.pop(call.id, None)

    def ended(self, job: Job) -> None:
        """Forget where a job's calls went; those of a session may go on."""
        if job.session < 0:
            for site in job.sites:
                if site.pool is not None:
                    who = (site.pool.queues, job.pipeline, _alone(job.number))
                    self._homes.pop(who, None)
                    self._unsettled.pop(who, None)

    def _leave(self, call: int, queue: State) -> None:
        for other in self._on[call]:
            if other is not queue:
                assert isinstance(other, SelectiveQueue)
                other.withdraw(call)


def _conversation(call: Call, site: CallSite) -> Conversation:
    assert site.pool is not None
    return site.pool.queues, call.pipeline, _alone(call.job) if call.session < 0 else call.session


def _alone(job: int) -> int:
    """Return what stands for the conversation of a job that is no turn of a session: sessions are 0 or more."""
    return -1 - job


Choice = Callable[[tuple[State, ...], State | None], tuple[State, ...]]


def _least_loaded(states: tuple[State, ...], home: State | None) -> tuple[State, ...]:
    """The server with most free slots when the call is dispatched; of equals the first that is named.

    With all slots taken the call waits for whichever server is first to have one: a central queue, as opposed to
    least connections or join-the-shortest-queue, which choose at arrival (Harchol-Balter, "Performance Modeling and
    Design of Computer Systems", 2013, ch. 24). Where a cap lets more calls go than there are slots, the fewest beyond.
    """
    return states


def _affinity(states: tuple[State, ...], home: State | None) -> tuple[State, ...]:
    """A conversation's first call goes where `least-loaded` sends it, all others of it to the same server.

    That is where its prompt cache is. A conversation is a session, or a job that is no turn of one. Session affinity
    ("sticky sessions") of load balancers; for calls of one agent program Luo et al., "Autellix" (2025), section on
    data locality.
    """
    return states if home is None else (home,)


PLACEMENT: dict[str, Choice] = {"least-loaded": _least_loaded, "affinity": _affinity}
