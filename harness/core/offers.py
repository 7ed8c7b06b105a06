"""The calls that wait on several servers at once, and the conversations that have settled on one.

A call that may go to several servers waits in the queue of each of them until one takes it; the others then forget it.
So the choice falls when a call is dispatched, by slots that are really free, and no call waits for one server while
another one has a slot for it: together they are one queue with several servers. To which of them a call may still go
says its placement policy (`harness.core.placement`).
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.events import Call
from harness.core.jobs import CallSite, Job, State
from harness.core.placement import Placement
from harness.core.policy import asked, refuse
from harness.core.routing import SelectiveQueue

__all__ = ["Offers"]

MOST_HOMES = 1 << 16  # conversations of which it is known where they settled; beyond, the one not used longest goes
Conversation = tuple[tuple[int, ...], int, int]  # its pool's queues, its pipeline, its session (else a job below 0)


class Offers:
    """The calls that wait on several servers at once, and the conversations that have settled on one."""

    def __init__(self) -> None:
        self._on: dict[int, tuple[State, ...]] = {}  # by call: the queues in which it waits
        self._homes: dict[Conversation, State] = {}
        self._unsettled: dict[Conversation, list[int]] = {}  # calls that wait, of conversations without a home
        self._any_closed = False  # whether any server cannot be reached

    def offer(self, call: Call, site: CallSite, job: Job) -> None:
        """Queue a call on every server that it may go to."""
        assert site.pool is not None
        who = _conversation(call, site)
        home = self._homes.get(who)
        offered = site.states
        if self._any_closed:
            offered = tuple(state for state in offered if not state.closed) or offered
        states = _chosen(site.pool.policy, offered, home)
        if home is not None:
            self._homes[who] = self._homes.pop(who)  # the last to be forgotten
        elif site.pool.policy.settles:
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
            if len(self._homes) > MOST_HOMES:
                del self._homes[next(iter(self._homes))]
            for waiting in self._unsettled.pop(who, ()):
                if waiting in self._on:
                    self._leave(waiting, queue)
                    self._on[waiting] = (queue,)

    def dropped(self, call: Call, site: CallSite) -> None:
        """It will never start, and no queue has it any more."""
        if self._on.pop(call.id, None) is None:
            return
        waiting = self._unsettled.get(who := _conversation(call, site))
        if waiting is not None and call.id in waiting:
            waiting.remove(call.id)
            if not waiting:
                del self._unsettled[who]

    def reach(self, queue: State, queues: Sequence[State], *, up: bool) -> None:
        """Note whether a server can be reached, and offer everything that waits for one of several again.

        A conversation whose server is gone gets another one.
        """
        queue.reach(up=up)
        self._any_closed = any(state.closed for state in queues)
        if not up:
            self._homes = {who: home for who, home in self._homes.items() if home is not queue}
        waiting = {item[1]: item for state in queues for item in state.waiting() if item[4].pool is not None}
        for state in queues:
            state.take_out(set(waiting))
        for _, _, call, _, site in waiting.values():
            self.dropped(call, site)
        for _, (_, _, call, job, site) in sorted(waiting.items()):
            self.offer(call, site, job)

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
    if chosen is states:
        return states
    if not chosen or not {id(state) for state in states}.issuperset(map(id, chosen)):
        found = "others" if chosen else "none"
        refuse(policy, f"expected `choose` to return one or more of the queues that it was given, found {found}")
    return chosen


def _conversation(call: Call, site: CallSite) -> Conversation:
    assert site.pool is not None
    return site.pool.queues, call.pipeline, _alone(call.job) if call.session < 0 else call.session


def _alone(job: int) -> int:
    """Return what stands for the conversation of a job that is no turn of a session: sessions are 0 or more."""
    return -1 - job
