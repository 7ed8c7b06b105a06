"""Orders: who goes first of the calls that wait for a server.

An order is a function of a ready call to a sort key, smallest first; equal keys are first come, first served. It sees
what the harness really knows: expectations written in the workload, and what has already happened. Never how long a
call will take, nor what is left of one in flight.
To add one: write the function, its docstring being its definition and source, and name it in the dict; where its key
grows while a call waits, name it in `MOVING` too (it must never shrink).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from harness.core.events import Call
from harness.core.plan import ServerQueue
from harness.core.records import Path

__all__ = ["MOVING", "SCHEDULING", "Asks", "Order", "Owner"]


class Asks(Protocol):
    """What an order may know of a call's node."""

    path: Path
    priority: int
    length: float  # expected output tokens of one call, as a share of the most in the workload; 1 where nobody said
    ahead: float  # its expected remaining path, as a share of the longest in the workload


class Owner(Protocol):
    """What an order may know of a call's job."""

    due_s: float
    served_s: float  # sum of the seconds that its calls were in flight, of those that have ended


Order = Callable[[Call, Asks, Owner, ServerQueue], Any]


def _fifo(call: Call, node: Asks, job: Owner, queue: ServerQueue) -> float:
    """The call that became ready first."""
    return call[7]


def _interactive_first(call: Call, node: Asks, job: Owner, queue: ServerQueue) -> float:
    """Interactive calls overtake waiting batch calls, unless one of those has waited `ageing_s` longer.

    Ageing as a head start keeps the key constant, so the queue is a heap and never re-sorted.
    """
    return call[7] - (queue.ageing_s if node.path == "interactive" else 0.0)


def _oldest_job_first(call: Call, node: Asks, job: Owner, queue: ServerQueue) -> tuple[float, int, int]:
    """A call of the job that was due first; of jobs due together the file's first pipeline, then the lower number.

    First come, first served by job instead of by call, so that jobs are finished and not all begun: program-level FCFS,
    the baseline of Luo et al., "Autellix: an efficient serving engine for LLM agents as general programs" (2025).
    """
    return job.due_s, call[1], call[2]


def _least_served_first(call: Call, node: Asks, job: Owner, queue: ServerQueue) -> float:
    """A call of the job that has had least service so far: the seconds in flight of its calls that have ended.

    Least attained service (foreground-background; Kleinrock, "Queueing Systems" II, 1976) by job: PLAS in Luo et al.,
    "Autellix" (2025), without its discrete levels. Needs no knowledge of lengths. Ageing: a second of waiting makes up
    for a second of service (Autellix promotes by that ratio); without it users who keep coming starve every long job.
    """
    return call[7] + job.served_s


def _shortest_first(call: Call, node: Asks, job: Owner, queue: ServerQueue) -> float:
    """The call with the fewest expected output tokens (of its agent; not as drawn).

    Shortest expected job first (Conway, Maxwell and Miller, "Theory of Scheduling", 1967). Ageing as a head start: a
    call of no tokens has `ageing_s` before the longest of the workload, one of half as many half of that.
    """
    return call[7] + queue.ageing_s * node.length


def _critical_path_first(call: Call, node: Asks, job: Owner, queue: ServerQueue) -> float:
    """The call with the longest expected path to the end of its job, itself included (`harness.core.paths`).

    List scheduling by upward rank (HEFT: Topcuoglu, Hariri and Wu, 2002). Ageing as a head start: the longest
    path of the workload is worth `ageing_s` of waiting, half of it half as much, so that nobody is overtaken by a call
    that became ready `ageing_s` later, and chats, whose paths are short, do not starve.
    """
    return call[7] - queue.ageing_s * node.ahead


SCHEDULING: dict[str, Order] = {
    "fifo": _fifo,
    "interactive-first": _interactive_first,
    "oldest-job-first": _oldest_job_first,
    "least-served-first": _least_served_first,
    "shortest-first": _shortest_first,
    "critical-path-first": _critical_path_first,
}

MOVING = frozenset({"least-served-first"})
