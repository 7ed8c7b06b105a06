"""What the logs of servers say of calls that were just made there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from harness.core.records import CallRecord
from harness.measure.sender import Endpoint
from harness.servers.engine_log import Asked, EngineLog, Served, which_served

__all__ = ["forget", "served_there", "told"]

LATE_S = 0.5  # a line may come after the answer that it is about; not much later
LOOK_S = 0.02


def forget(endpoints: Iterable[Endpoint]) -> None:
    """Pass over what is in the logs so far: calls of others."""
    for endpoint in endpoints:
        if endpoint.log is not None:
            endpoint.log.served()


async def told(records: Sequence[CallRecord], logs: Mapping[str, EngineLog]) -> list[tuple[CallRecord, Served]]:
    """Return the calls of which the log of their server tells the slot, with what it tells.

    Args:
        records: every call since `forget`, whatever became of it.
        logs: by server.
    """
    found: list[tuple[CallRecord, Served]] = []
    by_server = groupby(sorted(records, key=lambda record: record.server), key=lambda record: record.server)
    for server, group in by_server:
        if server not in logs:
            continue
        mine = [(record, asked) for record in group if (asked := _asked(record)) is not None]
        served = await served_there(logs[server], len(mine))
        which = which_served([asked for _, asked in mine], served)
        found += [(record, one) for (record, _), one in zip(mine, which, strict=True) if one is not None]
    return found


def _asked(record: CallRecord) -> Asked | None:
    reply = record.reply
    if reply.prompt_tokens is None or reply.output_tokens is None or reply.end_s is None:
        return None
    return Asked(reply.prompt_tokens, reply.output_tokens, reply.end_s)


async def served_there(log: EngineLog, calls: int) -> list[Served]:
    """Return what the log has, as soon as it has so many calls; what it has by then where they do not come."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + (0 if log.silent else LATE_S)
    served = log.served()
    while len(served) < calls and loop.time() < until_s:
        await asyncio.sleep(LOOK_S)
        served += log.served()
    log.silent = bool(calls) and not served  # an engine that words its lines otherwise is not waited for every time
    return served
