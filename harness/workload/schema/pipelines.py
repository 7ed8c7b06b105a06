"""A pipeline: a graph with its arrivals and its path."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from harness.workload.schema.arrivals import ArrivalSpec, EverySpec, SessionSpec
from harness.workload.schema.base import Name, PositiveSeconds, Spec, Table, mistake
from harness.workload.schema.nodes import NodeSpec, Priority

__all__ = ["Goal", "PipelineSpec"]


class Goal(Spec):
    """What a person on an interactive path should feel; missing one is reported (and named by --fail-on)."""

    first_token_s: PositiveSeconds | None = Field(
        default=None, description="Median time to the first token.", examples=[1.0]
    )
    p50_s: PositiveSeconds | None = Field(default=None, description="Median reply time.", examples=[3])
    p95_s: PositiveSeconds | None = Field(
        default=None, description="95th percentile of the reply time (needs 100 replies).", examples=[6]
    )


class PipelineSpec(Spec):
    """A named agent graph with its arrivals and its path."""

    path: Literal["batch", "interactive"] = Field(
        description="`batch`: throughput matters; `interactive`: a person waits.", examples=["batch"]
    )
    jobs: PositiveInt | None = Field(
        default=None,
        le=100_000,
        description="How many jobs in all, turns of conversations included; `at_s` and `trace` need none.",
        examples=[3],
    )
    while_: Name | None = Field(
        default=None,
        alias="while",
        description="Keep starting jobs until that pipeline has ended.",
        examples=["digest"],
    )
    after: Name | None = Field(
        default=None,
        description="Start when that pipeline has ended; its arrival times count from there. Lengths, branches and "
        "arrivals are drawn as for that pipeline where node names agree, and the report compares the two.",
        examples=["digest"],
    )
    arrival: ArrivalSpec = Field(
        default=EverySpec(every_s=0), description="When jobs start.", examples=[{"closed": 1, "think_s": 2}]
    )
    session: SessionSpec | None = Field(
        default=None,
        description="Each arrival opens a conversation.",
        examples=[{"turns": 6, "think_s": 5, "reuse_prefix": True}],
    )
    goal: Goal | None = Field(
        default=None, description="Interactive paths: the goals.", examples=[{"first_token_s": 1.0, "p95_s": 6}]
    )
    priority: Priority = Field(
        default=0,
        description="Priority of its nodes, unless they have their own: higher goes first on a server.",
        examples=[1],
    )
    nodes: Table[NodeSpec] = Field(
        min_length=1,
        description="The graph: a node starts when all nodes in its `after` are done.",
        examples=[{"reply": {"agent": "chat"}}],
    )

    @model_validator(mode="after")
    def _bounded(self) -> PipelineSpec:
        process = self.arrival.process()
        if self.while_ is not None:
            if self.jobs is not None:
                raise mistake("a pipeline has either `jobs` or `while`, found both", "while")
            if self.after is not None:
                raise mistake("a pipeline has either `while` or `after`, found both", "after")
            if not process.endless:
                raise mistake(
                    "with `while` jobs need a pace without an end: expected an `arrival` with `closed`, with a "
                    f"rate or with `every_s` above 0, found {process.words('job', None)}",
                    "arrival",
                )
        elif process.starts is None and self.jobs is None:
            raise mistake("expected `jobs: NUMBER` or `while: PIPELINE`, found neither")
        elif process.starts is not None and self.session is None and self.jobs not in (None, process.starts):
            raise mistake(
                f"`arrival` lists {process.starts} starts, so `jobs` must be {process.starts} or left out, "
                f"found {self.jobs}",
                "jobs",
            )
        if self.goal is not None and self.path == "batch":
            raise mistake("`goal` goes with path: interactive, found path: batch", "goal")
        return self
