"""The candidates that are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveInt, Tag

from harness.workload.schema.base import FrozenDict, Name, Seconds, Spec, Table, shape

__all__ = ["Candidate", "CapName", "OrderName", "Routing"]

# A pipeline, or a node of one: `digest`, `digest.merge`, in a sub-pipeline `digest.refine/critic`.
_NAME = "[A-Za-z][A-Za-z0-9_-]{0,62}"
Placed = Annotated[str, Field(pattern=rf"^{_NAME}(\.{_NAME}(/{_NAME})*)?$")]
CapName = Literal["serial", "window", "waves", "unbounded"]
OrderName = Literal["fifo", "interactive-first"]


class Routing(Spec):
    """Where calls go (`place`), how many are in flight (`cap`), who goes first (`order`)."""

    place: (
        Annotated[
            Annotated[Name, Tag("<text>")]
            | Annotated[Annotated[Mapping[Placed, Name], AfterValidator(FrozenDict)], Tag("<mapping>")],
            shape("a server's name", "a server per pipeline or node (digest: four-slot, digest.merge: one-slot)"),
        ]
        | None
    ) = Field(
        default=None,
        description="A server, or a server per PIPELINE or PIPELINE.NODE; left out: the server with most slots.",
        examples=["four-slot", {"digest": "four-slot", "digest.merge": "one-slot"}],
    )
    cap: Annotated[
        Annotated[CapName, Tag("<text>")] | Annotated[Table[CapName], Tag("<mapping>")],
        shape("a cap", "a cap per server (four-slot: window)"),
    ] = Field(
        default="window",
        description="A cap, or a cap per server; servers left out: window.",
        examples=["window", {"four-slot": "window", "one-slot": "serial"}],
    )
    order: Annotated[
        Annotated[OrderName, Tag("<text>")] | Annotated[Table[OrderName], Tag("<mapping>")],
        shape("an order", "an order per server (four-slot: fifo)"),
    ] = Field(
        default="fifo",
        description="An order, or an order per server; servers left out: fifo.",
        examples=["interactive-first"],
    )
    max_in_flight: PositiveInt | None = Field(
        default=None, description="`window`: instead of the server's slots.", examples=[3]
    )
    max_wait_s: Seconds = Field(
        default=1.0, description="`waves`: start when the oldest call has waited this long.", examples=[0.5]
    )
    ageing_s: Seconds = Field(
        default=30.0,
        description="`interactive-first`: a batch call that waited this much longer goes first.",
        examples=[20],
    )


Candidate = Annotated[
    Annotated[CapName, Tag("<text>")] | Annotated[Routing, Tag("<mapping>")],
    shape("a cap", "a routing (place: ..., cap: ..., order: ...)"),
]
