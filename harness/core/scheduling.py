"""Scheduling policies: who goes first of the calls that wait for a server.

A policy is a value (`Scheduling`) around a function of a ready call to a sort key, smallest first; equal keys are first
come, first served. It sees what the harness really knows: expectations written in the workload, what has already
happened, and the time. Never how long a call will take, nor what is left of one in flight.
To add one: write its function, its docstring being its definition and source, and put it into the dict.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from harness.core.events import Call
from harness.core.policy import BUILT_IN, PolicySource, made, seen_as
from harness.core.records import Path

__all__ = ["FIFO", "SCHEDULING", "JobView", "KeyCode", "NodeView", "Scheduling", "SchedulingSettings"]


class NodeView(Protocol):
    """What a policy may know of a call's node."""

    path: Path
    priority: int
    length: float  # expected output tokens of one call, as a share of the most in the workload; 1 where nobody said
    ahead: float  # its expected remaining path in tokens, as a share of the longest in the workload
    name: str  # as in its graph; in a sub-pipeline NODE/INNER
    agent: str  # its name; "" where texts are embedded
    prompt_tokens: int | None  # of one call, estimated from its text; None: not known
    output_tokens: int | None  # expected of one call, thinking included; None where nobody said


class JobView(Protocol):
    """What a policy may know of a call's job."""

    due_s: float
    served_s: float  # sum of the seconds that its calls were in flight, of those that have ended


class SchedulingSettings(Protocol):
    """What a policy may know of a candidate's settings."""

    @property
    def ageing_s(self) -> float:
        """The candidate's `ageing_s`: the head start, in seconds, that the policy gives."""


seen_as(Call, "call", ("ready_s", "attempt", "item", "iteration", "session"))


class KeyCode(NamedTuple):
    """A key as code to copy: a function's parameters, what its docstring says, and the expression that it returns.

    `NOW` in the expression is the event loop's time, `AGEING_S` the seconds of the head start.
    """

    parameters: str
    about: str
    value: str

    def ageing(self, ageing_s: float) -> KeyCode:
        """Return it with the seconds of the head start filled in."""
        return KeyCode(self.parameters, *(text.replace("AGEING_S", f"{ageing_s:g}") for text in self[1:]))


OWN_KEY = KeyCode("key", "The lowest key goes first.", "key")  # of a policy that does not say how its own is made


@dataclass(frozen=True, repr=False)
class Scheduling:
    """All that is known of one scheduling policy."""

    # (call, its node, its job, the server's settings) -> a sort key; keys of one server must compare with each other.
    # One that takes `now_s` too (the trial's time in seconds) is asked again for all that waits before each start.
    key: Callable[..., Any]
    says: str = ""  # who goes first, as a clause: "interactive calls overtake waiting batch calls"
    grows: bool = True  # the key may grow while a call waits (it must never shrink): it is put right at the front
    reads: tuple[str, ...] = ("length", "ahead", "served_s")  # of what it may know, what takes work to keep
    settings: tuple[str, ...] = ()  # of a candidate's settings those that it reads: ageing_s
    for_both_paths: bool = False  # does something only where batch and interactive calls share a server
    needs_jobs: bool = False  # orders by what only a workload says: lengths, or which calls are of one job
    code: KeyCode | None = OWN_KEY  # None: a plain semaphore does it
    name: str = ""
    about: str = ""
    source: PolicySource = BUILT_IN

    def __repr__(self) -> str:
        return f"Scheduling({self.name!r})"

    @cached_property
    def timed(self) -> bool:
        """Whether its key takes the time: it may then shrink as well as grow."""
        try:
            return "now_s" in inspect.signature(self.key).parameters
        except (TypeError, ValueError):  # of something built in nothing is known
            return False

    @property
    def first_come(self) -> bool:
        """Whether a plain semaphore, first come, first served, does the same."""
        return self.code is None


def _fifo(call: Call, node: NodeView, job: JobView, settings: SchedulingSettings) -> float:
    """The call that became ready first."""
    return call[7]


def _interactive_first(call: Call, node: NodeView, job: JobView, settings: SchedulingSettings) -> float:
    """Interactive calls overtake waiting batch calls, unless one of those has waited `ageing_s` longer.

    Ageing as a head start keeps the key constant, so the queue is a heap and never re-sorted.
    """
    return call[7] - (settings.ageing_s if node.path == "interactive" else 0.0)


def _oldest_job_first(call: Call, node: NodeView, job: JobView, settings: SchedulingSettings) -> tuple[float, int, int]:
    """A call of the job that was due first; of jobs due together the file's first pipeline, then the lower number.

    First come, first served by job instead of by call, so that jobs are finished and not all begun: program-level FCFS,
    the baseline of Luo et al., "Autellix: an efficient serving engine for LLM agents as general programs" (2025).
    """
    return job.due_s, call[1], call[2]


def _least_served_first(call: Call, node: NodeView, job: JobView, settings: SchedulingSettings) -> float:
    """A call of the job that has had least service so far: the seconds in flight of its calls that have ended.

    Least attained service (foreground-background; Kleinrock, "Queueing Systems" II, 1976) by job: PLAS in Luo et al.,
    "Autellix" (2025), without its discrete levels. Needs no knowledge of lengths. Ageing: a second of waiting makes up
    for a second of service (Autellix promotes by that ratio); without it users who keep coming starve every long job.
    """
    return call[7] + job.served_s


def _shortest_first(call: Call, node: NodeView, job: JobView, settings: SchedulingSettings) -> float:
    """The call with the fewest expected output tokens (of its agent; not as drawn).

    Shortest expected job first (Conway, Maxwell and Miller, "Theory of Scheduling", 1967). Ageing as a head start: a
    call of no tokens has `ageing_s` before the longest of the workload, one of half as many half of that.
    """
    return call[7] + settings.ageing_s * node.length


def _critical_path_first(call: Call, node: NodeView, job: JobView, settings: SchedulingSettings) -> float:
    """The call with the longest expected path to the end of its job, itself included (`harness.core.paths`).

    List scheduling by upward rank (HEFT: Topcuoglu, Hariri and Wu, 2002). Ageing as a head start: the longest
    path of the workload is worth `ageing_s` of waiting, half of it half as much, so that nobody is overtaken by a call
    that became ready `ageing_s` later, and chats, whose paths are short, do not starve.
    """
    return call[7] - settings.ageing_s * node.ahead


WRITTEN = {
    "fifo": Scheduling(
        _fifo, says="calls go in the order in which they became ready", grows=False, reads=(), code=None
    ),
    "interactive-first": Scheduling(
        _interactive_first,
        says="interactive calls overtake waiting batch calls",
        grows=False,
        reads=(),
        settings=("ageing_s",),
        for_both_paths=True,
        code=KeyCode(
            "interactive",
            "Interactive calls overtake waiting batch calls, unless one of those has waited AGEING_S s longer.",
            "NOW - (AGEING_S if interactive else 0)",
        ),
    ),
    "oldest-job-first": Scheduling(
        _oldest_job_first,
        needs_jobs=True,
        says="calls of the job that began first go first",
        grows=False,
        reads=(),
        code=KeyCode(
            "job_began_s",
            "Calls of the job that began first go first; give each the loop's time at which its job began.",
            "job_began_s",
        ),
    ),
    "least-served-first": Scheduling(
        _least_served_first,
        needs_jobs=True,
        says="calls of the job that has been served least go first",
        grows=True,
        reads=("served_s",),
        code=KeyCode(
            "job_served_s",
            "Calls of the job that has been served least go first; give each the seconds of its job's ended calls.",
            "NOW + job_served_s",
        ),
    ),
    "shortest-first": Scheduling(
        _shortest_first,
        needs_jobs=True,
        says="calls with the fewest tokens to generate go first",
        grows=False,
        reads=("length",),
        settings=("ageing_s",),
        code=KeyCode(
            "tokens, longest",
            "Calls with the fewest tokens to generate go first; one of none is AGEING_S s before the longest of all.",
            "NOW + AGEING_S * tokens / longest",
        ),
    ),
    "critical-path-first": Scheduling(
        _critical_path_first,
        needs_jobs=True,
        says="calls with the longest path to the end of their job go first",
        grows=False,
        reads=("ahead",),
        settings=("ageing_s",),
        code=KeyCode(
            "tokens_ahead, longest",
            "Calls with the most tokens to the end of their job go first; the longest path of all is worth AGEING_S s.",
            "NOW - AGEING_S * tokens_ahead / longest",
        ),
    ),
}
SCHEDULING = {name: made(Scheduling, "key", name, policy) for name, policy in WRITTEN.items()}
FIFO = SCHEDULING["fifo"]
