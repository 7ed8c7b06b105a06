"""What to do, of an answer: the commands that start the servers, and where the code of the limits is."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from harness.analysis.model import Analysis
from harness.core.levers import risks_said
from harness.units import count
from harness.wording.answer import AnswerLine
from harness.wording.figures import listed

__all__ = ["CODE_FOLLOWS", "file_of", "to_do"]

CODE_FOLLOWS = ". Code that does it:"
_MOST_COMMANDS = 2  # servers whose commands are shown


def to_do(analysis: Analysis, name: str, again: str) -> Iterator[AnswerLine]:
    """Yield the commands of the servers, and the code that holds the limit; `again` prints more of it."""
    settings = next((one for one in analysis.choice.settings if one.candidate == name), None)
    if settings is None:
        return
    servers = analysis.by_name[name].servers
    if len(settings.shell) > _MOST_COMMANDS or _shared(analysis, name):
        yield AnswerLine(f"The commands of the {len(servers)} servers:")
        yield AnswerLine(f"{again} --settings serve", code=True)
    else:
        for number, line in enumerate(settings.shell):
            if len(settings.shell) > 1:
                yield AnswerLine(_whose(analysis, name, number, line))
            if line.startswith("# "):  # a server that is not started by a command of ours
                yield AnswerLine(f"{line[2:]}.")
            else:
                yield AnswerLine(line.partition("  # ")[0], code=True)
    yield from map(AnswerLine, dict.fromkeys(risk for use in servers for risk in risks_said(use.levers)))
    if any(use.limit is not None and (use.slots > 1 or use.key is not None or use.limit > 1) for use in servers):
        yield AnswerLine(f"In your program, {_limits(analysis, name)}{CODE_FOLLOWS}")
        yield AnswerLine(f"{again} --settings asyncio", code=True)


def _shared(analysis: Analysis, name: str) -> bool:
    """Tell whether servers have the same pipelines: their commands differ in the address alone."""
    candidate = analysis.by_name[name]
    served = [[one.pipeline for one in candidate.pipelines if use.server in one.servers] for use in candidate.servers]
    return any(mine and mine in served[:number] for number, mine in enumerate(served))


def _limits(analysis: Analysis, name: str) -> str:
    """Say how many calls the program may have in flight."""
    candidate = analysis.by_name[name]
    uses = [use for use in candidate.servers if use.limit is not None]
    if len(uses) == 1 or len({use.limit for use in uses}) == 1:
        each = " on each server" if len(uses) > 1 else ""
        return f"at most {count(uses[0].limit or 0, 'call')} at once{each}"
    pairs = (
        (summary.pipeline, use.limit)
        for use in uses
        for summary in candidate.pipelines
        if use.server in summary.servers
    )
    return f"calls at once: {', '.join(f'{pipeline} {limit}' for pipeline, limit in pairs)}"


def _whose(analysis: Analysis, name: str, number: int, line: str) -> str:
    """Say what a server is for, and where it listens, by the command that starts it."""
    candidate = analysis.by_name[name]
    use = candidate.servers[number]
    mine = [summary.pipeline for summary in candidate.pipelines if use.server in summary.servers]
    address = next((word.partition("=")[2] for word in line.split() if word.startswith("OLLAMA_HOST=")), "")
    on = f" on {use.machine}" if use.machine else ""
    address = address or use.url or "127.0.0.1:11434"
    return f"For {listed(mine) if mine else use.server}{on}, at {address}:"


def file_of(command: str) -> str:
    """Return the workload's file as it was typed, or FILE."""
    try:
        words = shlex.split(command)
    except ValueError:
        return "FILE"
    return next((shlex.quote(word) for word in words if word.endswith((".yaml", ".yml"))), "FILE")
