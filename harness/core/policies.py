"""The policies that a workload may name, by kind: those that come with Slotwise, and a user's own beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from harness.core.concurrency import CONCURRENCY, Concurrency
from harness.core.placement import PLACEMENT, Placement
from harness.core.policy import PolicySource
from harness.core.scheduling import SCHEDULING, Scheduling
from harness.errors import PolicyError

__all__ = ["KINDS", "STANDARD", "Policies", "PolicyKind"]


class PolicyKind(NamedTuple):
    """One kind of policy."""

    name: str  # as in a workload
    table: str  # the dict that a user's own file puts its policies into
    made_of: type[Any]
    main: str  # the field that a plain function stands for


KINDS = (
    PolicyKind("concurrency", "CONCURRENCY", Concurrency, "limit"),
    PolicyKind("scheduling", "SCHEDULING", Scheduling, "key"),
    PolicyKind("placement", "PLACEMENT", Placement, "choose"),
)


class Policies(NamedTuple):
    """Every policy by kind and name. `sources`: where those come from that do not come with Slotwise."""

    concurrency: Mapping[str, Concurrency] = CONCURRENCY
    scheduling: Mapping[str, Scheduling] = SCHEDULING
    placement: Mapping[str, Placement] = PLACEMENT
    sources: tuple[PolicySource, ...] = ()

    def with_own(self, own: Policies) -> Policies:
        """Return these and a user's own; PolicyError where a name is taken."""
        for kind in KINDS:
            mine, theirs = getattr(self, kind.name), getattr(own, kind.name)
            for name in sorted(mine.keys() & theirs.keys()):
                there = f" in {mine[name].source.where}" if mine[name].source.where else ""
                raise PolicyError(
                    f'{theirs[name].source.where}: there is a {kind.name} policy "{name}" already{there}; give yours '
                    "another name"
                )
        return Policies(
            {**self.concurrency, **own.concurrency},
            {**self.scheduling, **own.scheduling},
            {**self.placement, **own.placement},
            (*self.sources, *own.sources),
        )


STANDARD = Policies()
