"""Servers behind our own front, in a process of their own: the parent's side (`child.py` is the other)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from harness.errors import ServerFailure, UserError
from harness.servers.access import OWN_MACHINE, Access
from harness.servers.process import Started, last_lines, log_text, our_python, start, stop
from harness.servers.spec import RunningServer
from harness.units import seconds

__all__ = ["child", "children", "our_server"]

READY_S = 600.0  # a model of many gigabytes comes from a slow disk; a dead process is noticed at once


@asynccontextmanager
async def child(
    name: str, kind: str, config: dict[str, Any], *, access: Access = OWN_MACHINE, port: int = 0
) -> AsyncIterator[dict[str, Any]]:
    """Yield what a front with that engine in a process of its own says of itself (harness/servers/child.py)."""
    async with children(name, kind, [config], access=access, port=port) as (ready,):
        yield ready


@asynccontextmanager
async def children(
    name: str,
    kind: str,
    configs: Sequence[dict[str, Any]],
    *,
    among: Mapping[int, float] | None = None,
    access: Access = OWN_MACHINE,
    port: int = 0,
) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield what several fronts in one process say of themselves, in order; the first takes the port.

    `access`: the address that they listen on, and who is let in. `among`: how these slow each other, see
    `harness.servers.simulated.contention`.
    """
    orders = json.dumps(
        {
            "kind": kind,
            "configs": list(configs),
            "contention": among and dict(among),
            "access": [access.bound, sorted(access.hosts), sorted(access.origins)],
            "port": port,
        }
    )
    started = start(our_python("harness.servers.child"), first_line=orders.encode())
    try:
        yield await _ready(name, started)
    finally:
        stop(started)


async def _ready(name: str, started: Started) -> list[dict[str, Any]]:
    assert started.process.stdout is not None
    # the thread ends when the process does, and `stop` sees to that
    reading = asyncio.get_running_loop().run_in_executor(None, started.process.stdout.readline)
    try:
        line = await asyncio.wait_for(asyncio.shield(reading), READY_S)
    except TimeoutError:
        raise ServerFailure(f"{name}: not ready after {seconds(READY_S)}") from None
    if not line:
        status = started.process.wait()
        how = f"signal {-status}" if status < 0 else f"exit code {status}"
        said = last_lines(log_text(started)) or "  (no output)"
        raise ServerFailure(f"{name}: the engine's process ended before it was ready ({how}); its last output:\n{said}")
    answer: list[dict[str, Any]] | dict[str, Any] = json.loads(line)
    if isinstance(answer, dict):
        kind = UserError if answer["exit_code"] == UserError.exit_code else ServerFailure
        raise kind(f"{name}: {answer['error']}")
    return answer


def our_server(
    name: str, kind: str, slots: int, ready: dict[str, Any], details: dict[str, str | int | float], *, emulated: bool
) -> RunningServer:
    """Return a server behind our own front, by what it said of itself."""
    return RunningServer(
        name=name,
        kind=kind,
        url=ready["url"],
        model=ready["model"],
        slots_asked=slots,
        managed=True,
        version=ready["version"],
        exact_queue=True,
        can_pin_output=True,
        details=details,
        emulated=emulated,
    )
