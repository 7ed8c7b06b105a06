"""Find out how many slots servers really have, and what calls at the same time gain on them."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.levels import Levels
from harness.app.loops import finished
from harness.app.options import ProbeOptions
from harness.app.servers import server_named
from harness.errors import UserError
from harness.measure.probe import measure_levels
from harness.measure.progress import SILENT, Progress
from harness.measure.session import opened
from harness.workload.schema import ServerSpec

__all__ = ["probe"]

MOST_SERVERS = 2
MOST_AT_ONCE = 128


def probe(servers: Sequence[str], options: ProbeOptions = ProbeOptions(), progress: Progress = SILENT) -> list[Levels]:
    """Measure each server at several concurrency levels: 1, 2, 4, 8 equal calls at once.

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
        raise UserError("both servers have the same name; give each its own: everyday=URL other=ollama:4")
    levels = tuple(sorted(set(options.levels)))
    if not levels or levels[0] < 1 or levels[-1] > MOST_AT_ONCE:
        found = ",".join(map(str, options.levels))
        raise UserError(f'--levels: expected numbers from 1 to {MOST_AT_ONCE}, such as 1,2,4,8, found "{found}"')
    return finished(_measure(specs, progress, levels, options.tokens, options.rounds))


async def _measure(
    specs: dict[str, ServerSpec], progress: Progress, levels: tuple[int, ...], tokens: int, rounds: int
) -> list[Levels]:
    """One server after the other, so that neither disturbs the other."""
    found = []
    for name, spec in specs.items():
        async with opened(name, spec, progress) as endpoint:
            found.append(await measure_levels(endpoint, progress, levels=levels, tokens=tokens, rounds=rounds))
    return found
