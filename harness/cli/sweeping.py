"""What `slotwise sweep` does, apart from its options."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from functools import partial

from rich.console import Console

from harness.analysis.sweep import Sweep, saturation
from harness.cli.probing import DEFAULT_MODEL
from harness.errors import ServerFailure, SlotwiseError, UserError, did_you_mean
from harness.measure.machine import machine_facts
from harness.measure.progress import Progress
from harness.measure.sweep import ToSweep, check_memory, footprint_of, sweep_calls, sweep_slots
from harness.report.progress import progress_for
from harness.report.summary import to_plain
from harness.report.sweep import sweep_report
from harness.servers.machine import busy_cores, memory
from harness.units import safe_url
from harness.wording.sweeps import sweep_sentences
from harness.workload.schema import ENGINES

__all__ = ["sweep_model"]

INTERRUPTED = 130
BUSY_CORES = 0.3
CONTEXT_TOKENS = 2048


def sweep_model(
    models: Sequence[str] = (),
    *,
    engine: str = "llamacpp",
    context_tokens: int | None = None,
    most: int = 64,
    server: str | None = None,
    tokens: int = 48,
    rounds: int = 5,
    threads: int | None = None,
    as_json: bool = False,
) -> int:
    """Sweep slot counts for each model, show what was found, and return the exit code.

    Ctrl-C shows what there is and returns 130. Mistakes and servers that give no figure at all are raised.
    """
    wanted = _wanted(models, engine, context_tokens, most, server, tokens, rounds, threads)
    found: dict[str, Sweep] = {}
    failure: SlotwiseError | None = None
    code = 0
    with progress_for(sys.stderr) as progress:
        busy = busy_cores() if server is None else None
        if busy is not None and busy > BUSY_CORES:
            progress.say(f"{busy:.1f} cores are busy with something else: throughput will be too low by that")
        # A polite kill is a Ctrl-C: stop the server, show what was measured.
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            asyncio.run(_sweep(wanted, server, progress, found))
        except KeyboardInterrupt:
            progress.say("interrupted: the server is stopped, what was measured is shown")
            code = INTERRUPTED
        except SlotwiseError as error:
            failure = error
        finally:
            signal.signal(signal.SIGTERM, before)
    sweeps = [sweep for sweep in found.values() if sweep.rows]
    if any(sweep.measured for sweep in sweeps):
        _show(sweeps, as_json)
    elif failure is None and sweeps and not code:
        failure = ServerFailure("\n".join(f"{s.model}: {s.rows[-1].failure}" for s in sweeps))
    if failure is not None:
        raise failure
    return code


def _wanted(
    models: Sequence[str],
    engine: str,
    context_tokens: int | None,
    most: int,
    server: str | None,
    tokens: int,
    rounds: int,
    threads: int | None,
) -> list[ToSweep]:
    if engine not in ENGINES:
        raise UserError(f'--engine: expected {" or ".join(ENGINES)}, found "{engine}"{did_you_mean(engine, ENGINES)}')
    if server is not None:
        if not server.startswith(("http://", "https://")):
            raise UserError(f'--server: expected a URL such as http://127.0.0.1:11434, found "{safe_url(server)}"')
        if not models:
            raise UserError(f"{safe_url(server)}: which model? Name one that the server has with --model")
        if context_tokens is not None or threads is not None:
            given = "context" if context_tokens is not None else "threads"
            raise UserError(f"{safe_url(server)}: a running server has the {given} that it has; leave --{given} out")
    if ENGINES[engine].model_fields["model"].is_required() and not models:
        raise UserError(f"--engine {engine}: which model? Name one with --model")
    return [
        ToSweep(
            model,
            engine,
            context_tokens or CONTEXT_TOKENS,
            most,
            tokens,
            rounds,
            threads,
        )
        for model in dict.fromkeys(models or (DEFAULT_MODEL,))
    ]


async def _sweep(wanted: Sequence[ToSweep], server: str | None, progress: Progress, found: dict[str, Sweep]) -> None:
    """One model after the other; all that can be told from their files is told before anything is started."""
    if server is not None:
        for one in wanted:
            await sweep_calls(one, server, progress, partial(found.__setitem__, one.model))
        return
    footprints = [await footprint_of(one, progress) for one in wanted]
    available = memory().available_bytes
    for one, footprint in zip(wanted, footprints, strict=True):
        check_memory(one, footprint, available)
    for one, footprint in zip(wanted, footprints, strict=True):
        await sweep_slots(one, footprint, progress, partial(found.__setitem__, one.model))


def _show(sweeps: Sequence[Sweep], as_json: bool) -> None:
    if not as_json:
        Console(highlight=False).print(sweep_report(sweeps))
        return
    plain = []
    for sweep in sweeps:
        flat = saturation(sweep)
        said = {
            "saturates_at": flat and flat.slots,
            "memory_slots": sweep.memory_slots,
            "sentences": sweep_sentences(sweep),
        }
        plain.append({**to_plain(sweep), **{key: to_plain(value) for key, value in said.items()}})
    print(json.dumps({"machine": machine_facts(), "sweeps": plain}, indent=2, allow_nan=False))
