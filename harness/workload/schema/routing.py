"""The candidates that are compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    PositiveInt,
    RootModel,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from harness.core.policies import STANDARD, Policies
from harness.errors import did_you_mean
from harness.workload.schema.base import FrozenDict, Name, Seconds, Spec, Table, mistake, shape

__all__ = ["Candidate", "Routing", "Several", "Where"]

# A pipeline, or a node of one: `digest`, `digest.merge`, in a sub-pipeline `digest.refine/critic`.
_NAME = "[A-Za-z][A-Za-z0-9_-]{0,62}"
Placed = Annotated[str, Field(pattern=rf"^{_NAME}(\.{_NAME}(/{_NAME})*)?$")]
_OWN = "a policy of your own comes with --policies FILE"


def _known(info: ValidationInfo) -> Policies:
    """Return the policies that may be named: those that come with Slotwise, unless the caller has more."""
    policies = (info.context or {}).get("policies")
    return policies if isinstance(policies, Policies) else STANDARD


def _named(kind: Literal["concurrency", "scheduling"]) -> AfterValidator:
    """Return what checks that a policy of that name is there."""

    def check(name: str, info: ValidationInfo) -> str:
        names = list(getattr(_known(info), kind))
        if name not in names:
            expected = ", ".join(f'"{known}"' for known in names[:-1]) + f' or "{names[-1]}"'
            hint = did_you_mean(name, names) or f"; {_OWN}"
            raise mistake(f'expected {expected}, found "{name}"{hint}')
        return name

    return AfterValidator(check)


def _names(kind: Literal["concurrency", "scheduling"]) -> WithJsonSchema:
    own = {"type": "string", "pattern": f"^{_NAME}$", "description": "A policy of your own (--policies FILE)."}
    return WithJsonSchema({"anyOf": [{"enum": list(getattr(STANDARD, kind))}, own]})


ConcurrencyName = Annotated[str, _named("concurrency"), _names("concurrency")]
SchedulingName = Annotated[str, _named("scheduling"), _names("scheduling")]


class Several(RootModel[Mapping[str, tuple[Name, ...]]]):
    """Several servers, any of which may take a call: `{least-loaded: [left, right]}`."""

    model_config = {"frozen": True}

    @property
    def policy(self) -> str:
        """The placement policy that chooses among them."""
        return next(iter(self.root))

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers, two or more."""
        return self.root[self.policy]

    @model_validator(mode="after")
    def _one_policy(self, info: ValidationInfo) -> Several:
        names = list(_known(info).placement)
        choices = ", ".join(f"`{name}`" for name in names)
        if len(self.root) != 1 or self.policy not in names:
            hint = did_you_mean(self.policy, names) or f"; {_OWN}"
            raise mistake(f"expected one of {choices} with a list of servers, found `{self.policy}`{hint}", self.policy)
        if len(self.servers) < 2:
            one = f'found "{self.servers[0]}"; write the one without {self.policy}' if self.servers else "found none"
            raise mistake(f"expected at least two servers, {one}", self.policy, *([0] if self.servers else []))
        for i, name in enumerate(self.servers):
            if name in self.servers[:i]:
                raise mistake(f'server "{name}" stands twice', self.policy, i)
        return self


def _is_several(value: Any) -> bool:
    """Tell by what was written: a pipeline may be called `affinity`, but no pipeline is placed on a list."""
    if isinstance(value, Mapping) and len(value) == 1:
        return isinstance(next(iter(value.values())), (list, tuple))
    return isinstance(value, Several)


def _where(value: Any) -> str | None:
    if isinstance(value, str):
        return "<text>"
    return "<several>" if _is_several(value) else None


def _placement(value: Any) -> str | None:
    found = _where(value)
    return "<mapping>" if found is None and isinstance(value, Mapping) else found


_SEVERAL = "one placement policy with several servers (least-loaded: [left, right])"
Where = Annotated[
    Annotated[Name, Tag("<text>")] | Annotated[Several, Tag("<several>")],
    Discriminator(_where, custom_error_type="shape", custom_error_message=f"expected a server's name or {_SEVERAL}"),
]
Placement = Annotated[
    Annotated[Name, Tag("<text>")]
    | Annotated[Several, Tag("<several>")]
    | Annotated[Annotated[Mapping[Placed, Where], AfterValidator(FrozenDict)], Tag("<mapping>")],
    Discriminator(
        _placement,
        custom_error_type="shape",
        custom_error_message="expected a server's name, one for each pipeline or node (digest: four-slot, "
        f"digest.merge: one-slot) or {_SEVERAL}",
    ),
]


class Routing(Spec):
    """Where calls go (`placement`), how many at once (`concurrency`), who goes first (`scheduling`)."""

    placement: Placement | None = Field(
        default=None,
        description=(
            "A server, or a server per PIPELINE or PIPELINE.NODE; instead of one server a placement policy "
            "(`least-loaded`, `affinity`) with several. Left out: the server with the most slots."
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
        default=None, description="`window`, `reserve`: calls in flight instead of the server's slots.", examples=[3]
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

    def concurrency_on(self, server: str) -> str:
        """Return the concurrency policy's name on a server."""
        return self.concurrency if isinstance(self.concurrency, str) else self.concurrency.get(server, "window")

    def scheduling_on(self, server: str) -> str:
        """Return the scheduling policy's name on a server."""
        return self.scheduling if isinstance(self.scheduling, str) else self.scheduling.get(server, "fifo")

    def places(self) -> Iterator[tuple[str, str | Several]]:
        """Yield what is placed where, as it is written: ("" for everything, or a pipeline or node; where)."""
        if isinstance(self.placement, Mapping):
            yield from self.placement.items()
        elif self.placement is not None:
            yield "", self.placement


Candidate = Annotated[
    Annotated[ConcurrencyName, Tag("<text>")] | Annotated[Routing, Tag("<mapping>")],
    shape("a concurrency policy", "a routing (placement: ..., concurrency: ..., scheduling: ...)"),
]
