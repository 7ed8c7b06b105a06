"""Find out how many slots servers really have, and what calls at the same time gain on them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from harness.analysis.ladder import Ladder
from harness.app.options import ProbeOptions
from harness.app.servers import server_named
from harness.errors import UserError
from harness.measure.probe import measure_ladder
from harness.measure.progress import SILENT, Progress
from harness.measure.session import opened
from harness.workload.schema import ServerSpec

__all__ = ["probe"]

MOST_SERVERS = 2
MOST_AT_ONCE = 128


def probe(servers: Sequence[str], options: ProbeOptions = ProbeOptions(), progress: Progress = SILENT) -> list[Ladder]:
    """Measure a ladder of each server: equal calls, 1, 2, 4, 8 at once.

    Args:
        servers: one or two, each the URL of a running one, or KIND:SLOTS of one to be started; NAME=... before it names
            it.
        options: the model, and how it is measured.
        progress: is told what goes on.

    Raises:
        UserError: a server or a setting that cannot be.
        ServerFailure: a server could not be started or reached.
    """
    if len(servers) > MOST_SERVERS:
        raise UserError(f"expected one or two servers, found {len(servers)}")
    specs = dict(server_named(text, options.model) for text in servers)
    if len(specs) < len(servers):
        raise UserError("both servers have the same name; name them apart: everyday=URL other=ollama:4")
    rungs = tuple(sorted(set(options.rungs)))
    if not rungs or rungs[0] < 1 or rungs[-1] > MOST_AT_ONCE:
        found = ",".join(map(str, options.rungs))
        raise UserError(f'--rungs: expected numbers from 1 to {MOST_AT_ONCE}, such as 1,2,4,8, found "{found}"')
    return asyncio.run(_measure(specs, progress, rungs, options.tokens, options.rounds))


async def _measure(
    specs: dict[str, ServerSpec], progress: Progress, rungs: tuple[int, ...], tokens: int, rounds: int
) -> list[Ladder]:
    """One server after the other, so that neither disturbs the other."""
    ladders = []
    for name, spec in specs.items():
        async with opened(name, spec, progress) as endpoint:
            ladders.append(await measure_ladder(endpoint, progress, rungs=rungs, tokens=tokens, rounds=rounds))
    return ladders
