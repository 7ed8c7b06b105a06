"""How a candidate is run, in one clause: serially or batched, on how many slots, at most how many calls, who first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.analysis.model import CandidateSummary, ServerUse
from harness.core.levers import levers_said
from harness.core.records import Path
from harness.units import count
from harness.wording.figures import listed, server_text

__all__ = ["calls_text", "manner"]


def manner(candidate: CandidateSummary, paths: Sequence[tuple[Path, tuple[str, ...]]], most: int) -> str:
    """Return "run batched: 4 slots (OLLAMA_NUM_PARALLEL=4), at most 4 calls at once, interactive first".

    Args:
        candidate: what is run.
        paths: what runs on it, by path with the names of its pipelines.
        most: characters that there is room for; details go where they do not fit.
    """
    found = tuple(_manners(candidate, paths))
    return next((text for text in found if len(text) <= most), found[-1])


def _manners(candidate: CandidateSummary, paths: Sequence[tuple[Path, tuple[str, ...]]]) -> Iterator[str]:
    servers = candidate.servers
    if not servers:  # no call was made
        yield f'run "{candidate.name}"'
        return
    alike = len({(use.slots, use.limit, use.scheduling) for use in servers}) == 1
    if len(servers) == 1 or (candidate.pools and alike):
        use, number = servers[0], len(servers)
        which = "run" if number == 1 else f"run {number} servers side by side, each"
        for variable, order in ((True, True), (False, True), (False, False)):
            yield f"{which} {_how(use)}: {_slots(use, variable=variable)}, {_calls(use, order=order)}"
        return
    for named in (True, False):
        where = []
        for _, pipelines in paths:
            uses = candidate.uses_for(pipelines)
            names = listed(pipelines) if len(pipelines) <= 2 else f"{len(pipelines)} pipelines"
            on = [
                f" on {server_text(use.server, use.machine)} ({_slots(use)})" if named else f" ({_slots(use)})"
                for use in uses
            ]
            how = "batched" if candidate.batches(pipelines) else "serially"
            where.append(f"{names} {how}{' and'.join(on)}")
        yield f"run {count(len(servers), 'server')}: {', '.join(where)}"
    slots = listed([str(use.slots) for use in servers])
    batched = candidate.batches([pipeline for _, pipelines in paths for pipeline in pipelines])
    yield f"run {count(len(servers), 'server')}, {'batched' if batched else 'serially'}: {slots} slots"


def _how(use: ServerUse) -> str:
    return "batched" if use.slots > 1 and use.limit != 1 else "serially"


def _slots(use: ServerUse, *, variable: bool = False) -> str:
    text = ("at least " if use.slots_at_least else "") + count(use.slots, "slot")
    text += " (extrapolated)" if use.extrapolated else ""
    text = f"{text} (OLLAMA_NUM_PARALLEL={use.slots})" if variable and not use.slots_set_by else text
    return f"{text}, {levers_said(use.levers)}" if use.levers else text


def calls_text(use: ServerUse) -> str:
    """Return how many calls are sent to a server at once: "at most 4 calls at once"."""
    if use.limit is None:
        return "no limit on calls"
    if use.together:
        return f"in waves of {use.limit}"
    return f"at most {count(use.limit, 'call')} at once"


def _calls(use: ServerUse, *, order: bool) -> str:
    if use.limit is None:
        calls = "no limit on calls"
    elif use.limit == 1:
        calls = "one call at a time"
    elif use.together:
        calls = f"in waves of {use.limit}"
    else:
        calls = f"at most {use.limit} calls at once"
    kept = "" if use.batch_limit is None else f" (at most {use.batch_limit} of the batch path)"
    return f"{calls}{kept}" + (f", {use.scheduling.replace('-', ' ')}" if order and use.key is not None else "")
