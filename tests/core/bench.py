"""The engine by hand: a test hands it events and reads what starts. For hand-worked schedules of any policy."""

from __future__ import annotations

from core.graphs import plan_of, queue_of

from harness.core.engine import Engine
from harness.core.events import Action, At, Cancel, Done, Event, Record, Start
from harness.core.graph import Pipeline
from harness.core.plan import Plan
from harness.core.records import CallRecord, DelayRecord, JobRecord, Reply

OK = Reply("ok")


class Bench:
    """An engine on a bench: shows what it starts, keeps what it records, hands timers back when asked.

    One server with the settings of `lane`, or those of a plan, and then what starts is shown with its server.
    """

    def __init__(
        self, *pipelines: Pipeline, timeout_s: float | None = None, plan: Plan | None = None, **queue: object
    ) -> None:
        self.named = plan is not None
        if plan is None:
            plan = plan_of("bench", (queue_of("one", **{"slots": 2, **queue}),), pipelines)  # type: ignore[arg-type]  # of several types
        self.engine = Engine(pipelines, plan, origin="predicted", timeout_s=timeout_s)
        self.records: list[CallRecord | JobRecord | DelayRecord] = []
        self.agenda: list[At] = []
        self.cancels: list[int] = []
        self.take(self.engine.begin())

    def take(self, actions: list[Action]) -> list[str]:
        started = []
        for action in actions:
            match action:
                case Start(call):
                    p = self.engine.pipelines[call.pipeline]
                    server = f" on {self.engine.plan.queues[call.queue].server}" if self.named else ""
                    started.append(f"{p.name}{call.job}.{p.graph.nodes[call.node].name}{call.item}#{call.id}{server}")
                case At():
                    self.agenda.append(action)
                case Cancel(call):
                    self.cancels.append(call)
                case Record(record):
                    self.records.append(record)
        return started

    def due(self, now_s: float) -> list[str]:
        """Hand back everything that is due at `now_s`."""
        events: list[Event] = [at.event for at in self.agenda if at.at_s <= now_s]
        self.agenda = [at for at in self.agenda if at.at_s > now_s]
        return self.take(self.engine.handle(events, now_s))

    def done(self, now_s: float, *calls: int, reply: Reply = OK) -> list[str]:
        return self.take(self.engine.handle([Done(c, reply) for c in calls], now_s))

    def finished(self) -> bool:
        return self.engine.finished

    @property
    def jobs(self) -> list[JobRecord]:
        return [r for r in self.records if isinstance(r, JobRecord)]

    @property
    def calls(self) -> list[CallRecord]:
        return [r for r in self.records if isinstance(r, CallRecord)]
