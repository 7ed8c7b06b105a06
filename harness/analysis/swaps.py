"""What models that make room for each other cost: how many calls waited for a load, and how long."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import median
from typing import NamedTuple

from harness.analysis.timesplit import is_load_event
from harness.core.records import PREDICTED, CallRecord
from harness.runs.model import Baseline

__all__ = ["Swaps", "swaps_of"]


class Swaps(NamedTuple):
    """The loads on one server that serves several models, under one candidate."""

    server: str
    models: int  # that calls asked for
    calls: int  # that ended well
    waited: int  # of these, for their model to be loaded, the drain of another one before it included
    median_s: float  # of those that waited; 0 where none did
    total_s: float


def swaps_of(calls: Iterable[CallRecord], baselines: Mapping[str, Baseline | None]) -> tuple[Swaps, ...]:
    """Return the loads of every server on which these calls asked for more than one model.

    A predicted call tells its load exactly; of a measured one it is what `is_load_event` takes for one.
    """
    by_server: dict[str, list[CallRecord]] = defaultdict(list)
    for call in calls:
        if call.outcome == "ok":
            by_server[call.server].append(call)
    found = []
    for server in sorted(by_server):
        mine = by_server[server]
        models = len({call.model for call in mine})
        waits = [
            call.reply.load_s or 0.0
            for call in mine
            if (
                (call.reply.load_s or 0.0) > 0
                if call.origin in PREDICTED
                else is_load_event(call, baselines.get(server))
            )
        ]
        if models > 1 or (waits and mine[0].origin in PREDICTED):  # of one model: another num_ctx, or a keep_alive
            middle_s = median(waits) if waits else 0.0
            found.append(Swaps(server, models, len(mine), len(waits), middle_s, math.fsum(waits)))
    return tuple(found)
