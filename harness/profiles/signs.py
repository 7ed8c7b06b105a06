"""Signs that a server does what only the larger model knows: fitting that takes long, and most servers show none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median

from harness.profiles.gaps import runs_of
from harness.profiles.replay import Observed

__all__ = ["passes_differ", "saving_costs"]

LEAST = 6  # lone calls
SURE = 4.0  # standard errors
APART = 1.2  # times: steps of slots apart against those of neighbours


def saving_costs(bursts: Sequence[Sequence[Observed]]) -> bool:
    """Tell whether lone calls take the longer the more was left in the slots before them."""
    points = [
        (float(sum(tokens for _, tokens in call.left)), call.wall_s - call.prefill_s - call.decode_s)
        for burst in bursts
        if len(burst) == 1
        for call in burst
        if call.left and call.prefill_s is not None and call.decode_s is not None
    ]
    if len(points) < LEAST:
        return False
    x0, y0 = fmean(x for x, _ in points), fmean(y for _, y in points)
    spread = math.fsum((x - x0) ** 2 for x, _ in points)
    if not spread:
        return False
    slope = math.fsum((x - x0) * (y - y0) for x, y in points) / spread
    rest = math.fsum((y - y0 - slope * (x - x0)) ** 2 for x, y in points) / (len(points) - 2)
    return slope > SURE * math.sqrt(rest / spread)


def passes_differ(bursts: Sequence[Sequence[Observed]]) -> bool:
    """Tell whether steps of slots apart took longer than those of as many neighbours."""
    together: list[float] = []
    apart: list[float] = []
    for burst in bursts:
        longest = max(call.output_tokens for call in burst)
        calls = [call for call in burst if call.output_tokens > longest / 2 and call.decode_s]
        if len(calls) == 2 and all(call.seat >= 0 for call in calls):
            steps = [call.decode_s / (call.output_tokens - 1) for call in calls if call.decode_s]
            (apart if len(runs_of([call.seat for call in calls])) > 1 else together).append(fmean(steps))
    return bool(together and apart) and median(apart) > APART * median(together)
