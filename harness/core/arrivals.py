"""Who starts when: open and closed loops, `while` and `after`, as counts. It knows no clock either."""

from __future__ import annotations

from harness.core.events import Arrive
from harness.core.graph import Pipeline

__all__ = ["Arrivals"]


class _State:
    """How far one pipeline is."""

    __slots__ = ("base_s", "ended", "running", "started", "stopped")

    def __init__(self) -> None:
        self.base_s = 0.0  # when it was opened: arrivals count from here
        self.started = 0
        self.running = 0
        self.stopped = False  # the pipeline it runs beside has ended: nothing new starts
        self.ended = False


class Arrivals:
    """The arrivals of all pipelines of one trial."""

    def __init__(self, pipelines: tuple[Pipeline, ...]) -> None:
        for pipeline in pipelines:
            if pipeline.jobs is None and not pipeline.arrival.users and not pipeline.arrival.every_s:
                raise ValueError(f"pipeline {pipeline.name!r} has no end: jobs, users or every_s > 0 is needed")
        self._pipelines = pipelines
        self._states = tuple(_State() for _ in pipelines)
        self._left = len(pipelines)

    @property
    def finished(self) -> bool:
        """Whether every pipeline has ended."""
        return self._left == 0

    def open(self, now_s: float) -> list[Arrive]:
        """Return the first arrivals of every pipeline that waits for no other."""
        return [a for index, p in enumerate(self._pipelines) if p.after is None for a in self._open(index, now_s)]

    def admit(self, event: Arrive, now_s: float) -> tuple[list[tuple[int, float]], Arrive | None]:
        """Return the jobs (number, due_s) that start now, and the next arrival to wait for.

        Everything else that is due by now starts in the same batch: simultaneous arrivals are one event, and a late
        event does not delay those behind it.
        """
        state, pipeline = self._states[event.pipeline], self._pipelines[event.pipeline]
        admitted: list[tuple[int, float]] = []
        following: Arrive | None = event
        while following is not None and following.due_s <= now_s and self._may_start(event.pipeline):
            admitted.append((state.started, following.due_s))
            state.started += 1
            state.running += 1
            due_s = None if pipeline.arrival.users else self._due_s(event.pipeline, state.started)
            following = None if due_s is None else Arrive(event.pipeline, event.user, due_s)
        return admitted, following if self._may_start(event.pipeline) else None

    def ended(self, pipeline: int, user: int, now_s: float) -> list[Arrive]:
        """Note that a job of `pipeline` ended; return the arrivals that follow from it."""
        state, arrival = self._states[pipeline], self._pipelines[pipeline].arrival
        state.running -= 1
        arrivals: list[Arrive] = []
        if arrival.users and self._may_start(pipeline):
            arrivals.append(Arrive(pipeline, user, now_s + arrival.think_s))
        return arrivals + self._close(pipeline, now_s)

    def _may_start(self, pipeline: int) -> bool:
        state, jobs = self._states[pipeline], self._pipelines[pipeline].jobs
        return not state.stopped and (jobs is None or state.started < jobs)

    def _due_s(self, pipeline: int, number: int) -> float | None:
        """When job `number` of an open loop is intended to start; None when there is no such job."""
        arrival, base_s = self._pipelines[pipeline].arrival, self._states[pipeline].base_s
        if arrival.every_s is not None:
            return base_s + number * arrival.every_s
        return base_s + arrival.due_s[number] if number < len(arrival.due_s) else None

    def _open(self, pipeline: int, now_s: float) -> list[Arrive]:
        self._states[pipeline].base_s = now_s
        spec = self._pipelines[pipeline]
        if spec.arrival.users:
            users = spec.arrival.users if spec.jobs is None else min(spec.arrival.users, spec.jobs)
            return [Arrive(pipeline, user, now_s) for user in range(users)]
        due_s = self._due_s(pipeline, 0)
        return [] if due_s is None else [Arrive(pipeline, 0, due_s)]

    def _close(self, pipeline: int, now_s: float) -> list[Arrive]:
        """End the pipeline if nothing of it can come any more, and tell those that waited for that."""
        state = self._states[pipeline]
        if state.ended or state.running or self._may_start(pipeline):
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
