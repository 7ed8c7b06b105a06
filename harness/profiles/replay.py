"""Run observed calls again on server models: what would have been measured, had these been the servers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from harness.core.machine import Machine
from harness.core.server_model import ServerModel
from harness.core.server_request import Request
from harness.core.step_costs import StepCosts

__all__ = ["Observed", "Predicted", "replay"]

NEVER_S = float("inf")


class Observed(NamedTuple):
    """One call of a burst, as its client saw it. Durations in seconds."""

    burst: str
    repetition: int
    server: int  # which of the servers that were calibrated together
    sent_s: float  # since the beginning of its burst
    prompt_tokens: int
    output_tokens: int
    prefill_s: float | None
    decode_s: float | None
    wall_s: float
    load_s: float = 0.0
    group: int = 0  # calls of one group were sent at the same time
    total_s: float | None = None  # as the server tells: from its looking at the request until the end


class Predicted(NamedTuple):
    """The durations of one call on the models."""

    prefill_s: float
    decode_s: float
    wall_s: float


def replay(costs: Sequence[StepCosts], calls: Sequence[Observed], stretch: float = 1.0) -> list[Predicted]:
    """Send the calls of one burst at the times at which they were sent; return what each takes, in the same order.

    Args:
        costs: of each server.
        calls: of one repetition of one burst.
        stretch: factor on every step while two servers are busy.
    """
    fresh = [ServerModel(cost) for cost in costs]
    machine = Machine(fresh, dict.fromkeys(range(2, len(fresh) + 1), stretch)) if len(fresh) > 1 else None
    servers = machine.servers if machine else tuple(fresh)
    requests = [Request(i, c.prompt_tokens, c.output_tokens, c.sent_s) for i, c in enumerate(calls)]
    order = sorted(range(len(calls)), key=lambda i: (calls[i].sent_s + costs[calls[i].server].before_s, i))
    for i in order:
        server, at_s = servers[calls[i].server], calls[i].sent_s + costs[calls[i].server].before_s
        server.advance(at_s)
        server.submit(requests[i], at_s)
    for unit in [machine] if machine else fresh:
        while unit.run(NEVER_S):
            pass
    predictions = []
    for call, request in zip(calls, requests, strict=True):
        prompt_s, first_s, end_s = request.prompt_s, request.first_token_s, request.end_s
        assert prompt_s is not None and first_s is not None and end_s is not None
        wall_s = end_s + costs[call.server].after_s - call.sent_s
        predictions.append(Predicted(first_s - prompt_s, end_s - first_s, wall_s))
    return predictions
