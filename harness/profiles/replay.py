"""Run observed calls again on server models: what would have been measured, had these been the servers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from harness.core.levers import AS_MADE, Levers
from harness.core.machine import Machine
from harness.core.server_model import ServerModel
from harness.core.server_request import NEVER_S, Request
from harness.core.step_costs import StepCosts

__all__ = ["Observed", "Predicted", "replay"]


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
    after: int = -1  # place in its burst of the call whose answer it waited for; -1: it waited for none
    seat: int = -1  # the slot that it was in; -1: not known
    levers: Levers = AS_MADE  # of its server, where they are not those of the others
    pace: int = -1  # of which recording: a client that takes every token may slow its server
    left: tuple[tuple[int, int], ...] = ()  # what its burst found in the slots: (slot, tokens that were not saved)


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
    fresh = [_server(cost, number, calls) for number, cost in enumerate(costs)]
    machine = Machine(fresh, dict.fromkeys(range(2, len(fresh) + 1), stretch)) if len(fresh) > 1 else None
    servers = machine.servers if machine else tuple(fresh)
    requests = [Request(i, c.prompt_tokens, c.output_tokens, c.sent_s) for i, c in enumerate(calls)]
    unit = machine or fresh[0]
    coming = [(c.sent_s + costs[c.server].before_s, i) for i, c in enumerate(calls) if c.after < 0]
    heapify(coming)
    followers: dict[int, list[int]] = defaultdict(list)
    for i, call in enumerate(calls):
        if call.after >= 0:
            followers[call.after].append(i)
    while True:
        at_s, i = coming[0] if coming else (NEVER_S, -1)
        ended = unit.run(at_s)
        for request in ended:
            for follower in followers.pop(request.call, ()):
                call, before = calls[follower], calls[request.call]
                assert request.end_s is not None
                came_s = request.end_s + costs[before.server].after_s
                sent_s = requests[follower].sent_s = came_s + call.sent_s - before.sent_s - before.wall_s
                heappush(coming, (max(came_s, sent_s) + costs[call.server].before_s, follower))
        if ended:
            continue
        if at_s == NEVER_S:
            break
        heappop(coming)
        servers[calls[i].server].submit(requests[i], at_s)
    predictions = []
    for call, request in zip(calls, requests, strict=True):
        prompt_s, first_s, end_s = request.prompt_s, request.first_token_s, request.end_s
        assert prompt_s is not None and first_s is not None and end_s is not None
        wall_s = end_s + costs[call.server].after_s - request.sent_s
        predictions.append(Predicted(first_s - prompt_s, end_s - first_s, wall_s))
    return predictions


def _server(costs: StepCosts, number: int, calls: Sequence[Observed]) -> ServerModel:
    mine = {i: call for i, call in enumerate(calls) if call.server == number}
    seats = {i: call.seat for i, call in mine.items() if call.seat >= 0}
    return ServerModel(costs, seats=seats, left=next((call.left for call in mine.values()), ()))
