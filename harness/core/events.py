"""What drivers tell the engine (events) and what the engine tells them to do (actions)."""

from __future__ import annotations

from typing import NamedTuple

from harness.core.records import CallRecord, DelayRecord, JobRecord, Reply

__all__ = [
    "Action",
    "Arrive",
    "Ask",
    "At",
    "BranchDecision",
    "Call",
    "Cancel",
    "Cancelled",
    "Done",
    "Event",
    "Leave",
    "Outside",
    "Reach",
    "Record",
    "Start",
    "Timer",
    "rank",
]


class Call(NamedTuple):
    """One attempt at one request to a model; the numbers are indices into the engine's pipelines and plan."""

    id: int  # serial number within the trial
    pipeline: int
    job: int
    node: int
    item: int
    attempt: int
    queue: int
    ready_s: float
    iteration: int = 0  # how often its node has run before in this job
    session: int = -1  # the conversation that its job is a turn of; -1 = none
    passes: tuple[int, ...] = ()  # that have ended in this job, of each loop around its node, the outermost first


class BranchDecision(NamedTuple):
    """What the workload's rules found in an answer, where the model decides; None leaves a decision to the draws."""

    branch: int | None = None  # the label taken
    stop: bool | None = None  # this pass of the loop is the last
    items: int | None = None  # how long the list is
    error: str | None = None  # no rule matched, or there was no list: fails the job


# --- events ---


class Done(NamedTuple):
    """A call has ended by itself, well or badly: the reply says which."""

    call: int
    reply: Reply
    decision: BranchDecision | None = None


class Cancelled(NamedTuple):
    """A call that the engine cancelled has really let go of the server."""

    call: int
    reply: Reply


class Timer(NamedTuple):
    """A time that the engine asked for has come."""

    id: int


class Arrive(NamedTuple):
    """A job is to start. `due_s` is when it was intended to, however late the event is handled.

    `user` says whose: a user of a closed loop; in an open one a conversation whose next turn it is, or -1 to open one.
    """

    pipeline: int
    user: int
    due_s: float


class Ask(NamedTuple):
    """A request from outside: a job is to start, with a number that is higher than that of every one before."""

    job: int
    pipeline: int
    due_s: float
    session: int = -1  # the conversation that it belongs to; -1 = none


class Leave(NamedTuple):
    """The client of a job has gone: what waits of it is dropped. What is in flight the driver gives up itself."""

    job: int


class Reach(NamedTuple):
    """A server cannot be reached any more, or can be again (`up`). Until then nothing starts on it."""

    queue: int
    up: bool


Outside = Ask | Leave | Reach  # only where jobs come from outside: see `harness.core.open_engine`
Event = Done | Cancelled | Timer | Arrive | Ask | Leave | Reach

_RANKS: dict[type, int] = {Done: 0, Cancelled: 1, Timer: 2, Arrive: 3, Ask: 4, Reach: 5, Leave: 6}


def rank(event: Event) -> tuple[int, int, int]:
    """Order the events of one instant: done, cancelled, timer, arrive, then by id; then what changes outside.

    A call that ended at the very moment of its timeout has ended: the timer comes later and finds nothing to do.
    """
    # The first field of every event is its id.
    return (_RANKS[event.__class__], event[0], event.user if isinstance(event, Arrive) else 0)


# --- actions ---


class Start(NamedTuple):
    """Send this call now. The driver answers with exactly one `Done`, or `Cancelled` after a `Cancel`."""

    call: Call


class Cancel(NamedTuple):
    """Give this call up; its slot counts as busy until `Cancelled` (or a late `Done`) says otherwise."""

    call: int


class At(NamedTuple):
    """Hand `event` back at `at_s`, not before."""

    at_s: float
    event: Timer | Arrive


class Record(NamedTuple):
    """Something has ended for good: keep this."""

    record: CallRecord | JobRecord | DelayRecord


Action = Start | Cancel | At | Record
