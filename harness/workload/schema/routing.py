"""The candidates that are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Discriminator, Field, PositiveInt, Tag, model_validator

from harness.errors import did_you_mean
from harness.workload.schema.base import FrozenDict, Name, Seconds, Spec, Table, mistake, shape

__all__ = [
    "Affinity",
    "Candidate",
    "ConcurrencyName",
    "LeastLoaded",
    "PlacementName",
    "Routing",
    "SchedulingName",
    "Where",
]

# A pipeline, or a node of one: `digest`, `digest.merge`, in a sub-pipeline `digest.refine/critic`.
_NAME = "[A-Za-z][A-Za-z0-9_-]{0,62}"
Placed = Annotated[str, Field(pattern=rf"^{_NAME}(\.{_NAME}(/{_NAME})*)?$")]
ConcurrencyName = Literal["serial", "window", "waves", "unbounded", "reserve"]
SchedulingName = Literal[
    "fifo", "interactive-first", "oldest-job-first", "least-served-first", "shortest-first", "critical-path-first"
]
PlacementName = Literal["least-loaded", "affinity"]
_PLACES: tuple[PlacementName, ...] = ("least-loaded", "affinity")


class _Several(Spec):
    """Several servers, any of which may take a call."""

    def choice(self) -> tuple[PlacementName, tuple[str, ...]]:
        """Return how one is chosen, and the servers."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _each_once(self) -> _Several:
        how, names = self.choice()
        if len(names) < 2:
            raise mistake(f'expected at least two servers, found "{names[0]}"; write the one without {how}', how, 0)
        for i, name in enumerate(names):
            if name in names[:i]:
                raise mistake(f'server "{name}" stands twice', how, i)
        return self


class LeastLoaded(_Several):
    """The server with most free slots when the call is dispatched."""

    least_loaded: tuple[Name, ...] = Field(
        alias="least-loaded",
        min_length=1,
        description="Servers; a call goes to the one with most free slots when it is dispatched.",
        examples=[["left", "right"]],
    )

    def choice(self) -> tuple[PlacementName, tuple[str, ...]]:
        """Return how one is chosen, and the servers."""
        return "least-loaded", self.least_loaded


class Affinity(_Several):
    """The server that the conversation began on."""

    affinity: tuple[Name, ...] = Field(
        min_length=1,
        description="Servers; a conversation begins on the least loaded and stays there.",
        examples=[["left", "right"]],
    )

    def choice(self) -> tuple[PlacementName, tuple[str, ...]]:
        """Return how one is chosen, and the servers."""
        return "affinity", self.affinity


def _where(value: Any) -> str | None:
    """Choose the form by what was written: a pipeline may be called `affinity`, but no pipeline is placed on a list."""
    if isinstance(value, str):
        return "<text>"
    if isinstance(value, BaseModel):
        return f"<{value.choice()[0]}>" if isinstance(value, _Several) else None
    if isinstance(value, Mapping) and len(value) == 1:
        (key,) = value
        return f"<{key}>" if key in _PLACES else None
    return None


def _place(value: Any) -> str | None:
    if not isinstance(value, Mapping):
        return _where(value)
    for key, of in value.items():
        if len(value) == 1 and isinstance(of, (list, tuple)) and (key in _PLACES or did_you_mean(str(key), _PLACES)):
            return _where(value)
    return "<mapping>"


Where = Annotated[
    Annotated[Name, Tag("<text>")]
    | Annotated[LeastLoaded, Tag("<least-loaded>")]
    | Annotated[Affinity, Tag("<affinity>")],
    Discriminator(
        _where,
        custom_error_type="one_key_of",
        custom_error_message="expected {instead}a mapping with exactly one of {keys}",
        custom_error_context=FrozenDict({"keys": "`least-loaded`, `affinity`", "instead": "a server's name or "}),
    ),
]
Place = Annotated[
    Annotated[Name, Tag("<text>")]
    | Annotated[LeastLoaded, Tag("<least-loaded>")]
    | Annotated[Affinity, Tag("<affinity>")]
    | Annotated[Annotated[Mapping[Placed, Where], AfterValidator(FrozenDict)], Tag("<mapping>")],
    Discriminator(
        _place,
        custom_error_type="one_key_of",
        custom_error_message="expected {instead}a mapping with exactly one of {keys}",
        custom_error_context=FrozenDict(
            {
                "keys": "`least-loaded`, `affinity`",
                "instead": "a server's name, a server per pipeline or node (digest: four-slot, digest.merge: one-slot) "
                "or ",
            }
        ),
    ),
]


class Routing(Spec):
    """Where calls go (`placement`), how many at once (`concurrency`), who goes first (`scheduling`)."""

    placement: Place | None = Field(
        default=None,
        description=(
            "A server, or a server per PIPELINE or PIPELINE.NODE; instead of one server `least-loaded` or `affinity` "
            "with several. Left out: the server with most slots."
        ),
        examples=[
            "four-slot",
            {"digest": "four-slot", "digest.merge": "one-slot"},
            {"least-loaded": ["left", "right"]},
            {"digest": {"least-loaded": ["left", "right"]}, "chat": {"affinity": ["left", "right"]}},
        ],
    )
    concurrency: Annotated[
        Annotated[ConcurrencyName, Tag("<text>")] | Annotated[Table[ConcurrencyName], Tag("<mapping>")],
        shape("a concurrency policy", "one per server (four-slot: window)"),
    ] = Field(
        default="window",
        description="A concurrency policy, or one per server; servers left out: window.",
        examples=["window", {"four-slot": "window", "one-slot": "serial"}],
    )
    scheduling: Annotated[
        Annotated[SchedulingName, Tag("<text>")] | Annotated[Table[SchedulingName], Tag("<mapping>")],
        shape("a scheduling policy", "one per server (four-slot: fifo)"),
    ] = Field(
        default="fifo",
        description="A scheduling policy, or one per server; servers left out: fifo.",
        examples=["interactive-first"],
    )
    limit: PositiveInt | None = Field(
        default=None, description="`window`, `reserve`: instead of the server's slots.", examples=[3]
    )
    max_wait_s: Seconds = Field(
        default=1.0, description="`waves`: start when the oldest call has waited this long.", examples=[0.5]
    )
    ageing_s: Seconds = Field(
        default=30.0,
        description=(
            "`interactive-first`: a batch call that waited this much longer goes first. `shortest-first`, "
            "`critical-path-first`: what the longest call or path of the workload is worth in seconds of waiting."
        ),
        examples=[20],
    )
    reserve: PositiveInt = Field(
        default=1, description="`reserve`: slots that batch calls leave to interactive ones.", examples=[1]
    )


Candidate = Annotated[
    Annotated[ConcurrencyName, Tag("<text>")] | Annotated[Routing, Tag("<mapping>")],
    shape("a concurrency policy", "a routing (placement: ..., concurrency: ..., scheduling: ...)"),
]
