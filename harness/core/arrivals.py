"""Who starts when: open and closed loops, `while` and `after`, as counts. It knows no clock either."""

from __future__ import annotations

from typing import NamedTuple

from harness.core.events import Arrive
from harness.core.graph import Pipeline

__all__ = ["Admitted", "Arrivals"]


NEVER = 1 << 62  # more jobs than any pipeline ever starts


class Admitted(NamedTuple):
    """A job that starts now."""

    number: int
    due_s: float
    user: int  # to be handed to `ended`
    session: int = -1  # its conversation; -1 = none
    turn: int = 0


class _State:
    """How far one pipeline is."""

    __slots__ = ("base_s", "due_s", "ended", "every_s", "jobs", "running", "started", "stopped", "users")

    def __init__(self, pipeline: Pipeline) -> None:
        self.jobs = NEVER if pipeline.jobs is None else pipeline.jobs
        self.users = pipeline.arrival.users
        self.every_s = pipeline.arrival.every_s
        self.due_s = pipeline.arrival.due_s
        self.base_s = 0.0  # when it was opened: arrivals count from here
        self.started = 0
        self.running = 0
        self.stopped = False  # the pipeline it runs beside has ended: nothing new starts
        self.ended = False

    def due(self, number: int) -> float | None:
        """When job `number` of an open loop is intended to start; None when there is no such job."""
        if number < len(self.due_s):
            return self.base_s + self.due_s[number]
        if self.every_s is None or self.users:
            return None
        return self.base_s + number * self.every_s


class Arrivals:
    """The arrivals of all pipelines of one trial."""

    def __init__(self, pipelines: tuple[Pipeline, ...]) -> None:
        for pipeline in pipelines:
            if pipeline.jobs is None and not pipeline.arrival.users and not pipeline.arrival.every_s:
                raise ValueError(f"pipeline {pipeline.name!r} has no end: jobs, users or every_s > 0 is needed")
        self._pipelines = pipelines
        self._states = tuple(_State(pipeline) for pipeline in pipelines)
        self._left = len(pipelines)

    @property
    def finished(self) -> bool:
        """Whether every pipeline has ended."""
        return self._left == 0

    def counts(self) -> list[tuple[int, int]]:
        """Return for every pipeline how many jobs have started, and how many of those have ended."""
        return [(state.started, state.started - state.running) for state in self._states]

    def open(self, now_s: float) -> list[Arrive]:
        """Return the first arrivals of every pipeline that waits for no other."""
        return [a for index, p in enumerate(self._pipelines) if p.after is None for a in self._open(index, now_s)]

    def admit(self, event: Arrive, now_s: float) -> tuple[list[Admitted], Arrive | None]:
        """Return the jobs that start now, and the next arrival to wait for.

        Everything else that is due by now starts in the same batch: simultaneous arrivals are one event, and a late
        event does not delay those behind it.
        """
        pipeline, user, due_s = event
        state = self._states[pipeline]
        admitted: list[Admitted] = []
        following_s: float | None = due_s
        if not state.stopped:
            first = number = state.started
            while following_s is not None and following_s <= now_s and number < state.jobs:
                admitted.append(tuple.__new__(Admitted, (number, following_s, user, -1, 0)))
                number += 1
                following_s = state.due(number)
            state.running += number - first
            state.started = number
            if following_s is not None and number < state.jobs:
                return admitted, tuple.__new__(Arrive, (pipeline, user, following_s))
        return admitted, None

    def ended(self, pipeline: int, user: int, now_s: float) -> list[Arrive]:
        """Note that a job of `pipeline` ended; return the arrivals that follow from it."""
        state = self._states[pipeline]
        state.running -= 1
        if state.started < state.jobs and not state.stopped:
            if not state.users:
                return []
            return [Arrive(pipeline, user, now_s + self._pipelines[pipeline].arrival.think_s)]
        return self._close(pipeline, now_s)

    def _open(self, pipeline: int, now_s: float) -> list[Arrive]:
        self._states[pipeline].base_s = now_s
        spec = self._pipelines[pipeline]
        if spec.arrival.users:
            users = spec.arrival.users if spec.jobs is None else min(spec.arrival.users, spec.jobs)
            return [Arrive(pipeline, user, now_s) for user in range(users)]
        due_s = self._states[pipeline].due(0)
        return [] if due_s is None else [Arrive(pipeline, 0, due_s)]

    def _close(self, pipeline: int, now_s: float) -> list[Arrive]:
        """End the pipeline if nothing of it can come any more, and tell those that waited for that."""
        state = self._states[pipeline]
        if state.ended or state.running or (state.started < state.jobs and not state.stopped):
            return []
        state.ended = True
        self._left -= 1
        arrivals: list[Arrive] = []
        for index, other in enumerate(self._pipelines):
            if other.until == pipeline:
                self._states[index].stopped = True
                arrivals += self._close(index, now_s)
            if other.after == pipeline:
                arrivals += self._open(index, now_s)
        return arrivals
