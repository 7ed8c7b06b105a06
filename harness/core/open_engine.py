"""The engine where jobs come from outside, one by one: clients may go before they are served, servers go and come back.

It is the engine of runs and simulations, with three more events (`Ask`, `Leave`, `Reach`). It goes on for ever, so it
keeps nothing of a job that has ended; of conversations it keeps where the last ones settled (`harness.core.offers`).
"""

from __future__ import annotations

from harness.core.engine import Engine
from harness.core.events import Ask, Leave, Outside
from harness.core.jobs import Job
from harness.core.walk import Shape

__all__ = ["GONE", "OpenEngine"]

GONE = "the client has gone"  # the error of a call that was dropped for that


class OpenEngine(Engine):
    """An engine whose pipelines have the arrivals `Requests`, and a graph in which every node waits for all before."""

    def _ask(self, event: Ask) -> None:
        pipeline = event.pipeline
        shape, sites = self._shapes[pipeline], self._sites[pipeline]
        assert isinstance(shape, Shape)
        job = Job(pipeline, self._arrivals.came(event), self._now_s, shape, sites)
        for node in shape.sources:
            self._node_ready(job, sites[node], 0, sites[node].width)

    def _outside(self, event: Outside) -> None:
        if isinstance(event, Ask):
            self._ask(event)
        elif isinstance(event, Leave):
            self._leave(event.job)
        else:
            self._offers.reach(self._queues[event.queue], self._queues, up=event.up)

    def _leave(self, number: int) -> None:
        """Drop what waits of a job; with nothing in flight it has ended. One that has ended already is left alone."""
        waiting = (item[3] for queue in self._queues for item in queue.waiting())
        job = next((job for job in waiting if job.number == number), None)
        if job is None:
            return
        job.outcome = "cancelled"
        self._drop(job, None, GONE)
        if not job.in_flight:
            self._job_ended(job)
