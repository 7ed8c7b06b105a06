"""Find out how many slots survive on this machine as models and contexts grow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from harness.analysis.sweep import Sweep
from harness.app.loops import finished, terminable
from harness.app.machine import others_busy
from harness.app.options import SweepOptions
from harness.app.servers import DEFAULT_MODEL
from harness.errors import ServerFailure, SlotwiseError, UserError
from harness.measure.machine import machine_facts
from harness.measure.progress import SILENT, Progress
from harness.measure.sweep import ToSweep, check_memory, footprint_of, sweep_calls, sweep_slots
from harness.servers.machine import memory
from harness.servers.running import server_at
from harness.units import safe_url
from harness.workload.schema import ENGINES, kind_hint

__all__ = ["Swept", "sweep"]

CONTEXT_TOKENS = 2048


class Swept(NamedTuple):
    """What was found of each model; nothing where there is no figure at all."""

    sweeps: tuple[Sweep, ...]
    machine: dict[str, Any]
    interrupted: bool  # by Ctrl-C: there would have been more
    failure: SlotwiseError | None  # what ended it early


def sweep(models: Sequence[str] = (), options: SweepOptions = SweepOptions(), progress: Progress = SILENT) -> Swept:
    """Try 1, 2, 4, 8, ... slots until throughput is flat, memory is full, or the server does not start.

    Ctrl-C, and a failure once there are figures, end it early: the result says so.

    Args:
        models: names, or paths of GGUF files; left out: the default model.
        options: the engine or the running server, and how it is measured.
        progress: is told what goes on.

    Raises:
        UserError: something that cannot be, or a model for which there is no memory.
    """
    tasks = _tasks(models, options)
    found: dict[str, Sweep] = {}
    failure: SlotwiseError | None = None
    interrupted = False
    busy = others_busy() if options.server is None else None
    if busy is not None:
        progress.say(f"other programs keep {busy:.1f} cores busy: throughput will be too low by that")
    try:
        with terminable():
            finished(_sweep(tasks, options.server, progress, found))
    except KeyboardInterrupt:
        progress.say("interrupted: the server is stopped, what was measured is shown")
        interrupted = True
    except SlotwiseError as error:
        failure = error
    sweeps = tuple(one for one in found.values() if one.rows)
    if not any(one.measured for one in sweeps):
        if failure is None and sweeps and not interrupted:
            failure = ServerFailure("\n".join(f"{one.model}: {one.rows[-1].failure}" for one in sweeps))
        sweeps = ()
    return Swept(sweeps, machine_facts(), interrupted, failure)


def _tasks(models: Sequence[str], options: SweepOptions) -> list[ToSweep]:
    engine, server = options.engine, options.server
    if engine not in ENGINES:
        raise UserError(f'--engine: expected {" or ".join(ENGINES)}, found "{engine}"{kind_hint(engine)}')
    if server is not None:
        if not server.startswith(("http://", "https://")):
            raise UserError(f'--server: expected a URL such as http://127.0.0.1:11434, found "{safe_url(server)}"')
        if options.context_tokens is not None or options.threads is not None:
            given = "context" if options.context_tokens is not None else "threads"
            raise UserError(f"{safe_url(server)}: a running server has the {given} that it has; leave --{given} out")
        models = models or (finished(server_at(server, None)).model,)
    if ENGINES[engine].model_fields["model"].is_required() and not models:
        raise UserError(f"--engine {engine}: expected a model, found none; choose one with --model")
    return [
        ToSweep(
            model,
            engine,
            options.context_tokens or CONTEXT_TOKENS,
            options.most,
            options.tokens,
            options.rounds,
            options.threads,
        )
        for model in dict.fromkeys(models or (DEFAULT_MODEL,))
    ]


async def _sweep(tasks: Sequence[ToSweep], server: str | None, progress: Progress, found: dict[str, Sweep]) -> None:
    """One model after the other; all that can be told from their files is told before anything is started."""
    if server is not None:
        for one in tasks:
            await sweep_calls(one, server, progress, partial(found.__setitem__, one.model))
        return
    footprints = [await footprint_of(one, progress) for one in tasks]
    available = memory().available_bytes
    for one, footprint in zip(tasks, footprints, strict=True):
        check_memory(one, footprint, available)
    for one, footprint in zip(tasks, footprints, strict=True):
        await sweep_slots(one, footprint, progress, partial(found.__setitem__, one.model))
