"""The calls that wait on several servers at once, and the conversations that have settled on one.

A call that may go to several servers waits in the queue of each of them until one takes it; the others then forget it.
So the choice falls when a call is dispatched, by slots that are really free, and no call waits for one server while
another one has a slot for it: together they are one queue with several servers. To which of them a call may still go
says its placement policy (`harness.core.placement`).
"""

from __future__ import annotations

from harness.core.events import Call
from harness.core.jobs import CallSite, Job, State
from harness.core.placement import Placement
from harness.core.policy import asked, refuse
from harness.core.routing import SelectiveQueue

__all__ = ["Offers"]

Conversation = tuple[tuple[int, ...], int, int]  # its pool's queues, its pipeline, its session (else a job below 0)


class Offers:
    """The calls that wait on several servers at once, and the conversations that have settled on one."""

    def __init__(self) -> None:
        self._on: dict[int, tuple[State, ...]] = {}  # by call: the queues in which it waits
        self._homes: dict[Conversation, State] = {}
        self._unsettled: dict[Conversation, list[int]] = {}  # calls of conversations without a home; some have gone

    def offer(self, call: Call, site: CallSite, job: Job) -> None:
        """Queue a call on every server that it may go to."""
        assert site.pool is not None
        who = _conversation(call, site)
        home = self._homes.get(who)
        states = _chosen(site.pool.policy, site.states, home)
        if home is None and site.pool.policy.settles:
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
        if site.pool.policy.settles and who not in self._homes:
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


def _chosen(policy: Placement, states: tuple[State, ...], home: State | None) -> tuple[State, ...]:
    """Return the servers to which a call may go; PolicyError where the policy breaks its contract."""
    chosen = tuple(asked(policy, policy.choose, states, home))
    if not chosen or any(state not in states for state in chosen):
        found = "others" if chosen else "none"
        refuse(policy, f"expected `choose` to return one or more of the queues that it was given, found {found}")
    return chosen


def _conversation(call: Call, site: CallSite) -> Conversation:
    assert site.pool is not None
    return site.pool.queues, call.pipeline, _alone(call.job) if call.session < 0 else call.session


def _alone(job: int) -> int:
    """Return what stands for the conversation of a job that is no turn of a session: sessions are 0 or more."""
    return -1 - job
