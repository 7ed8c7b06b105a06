"""Run a program with a recording front between it and its model server, and make a workload of what it sent."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from harness.app.import_ import Imported, written
from harness.app.options import ImportOptions, RecordOptions
from harness.app.web import quiet_server, serve_quietly
from harness.errors import ServerFailure, UserError
from harness.gateway.recorder import Exchange, RecordingApp
from harness.gateway.upstream import HttpUpstream, UpstreamError
from harness.imports.draft import Names
from harness.imports.recorded_draft import draft_recording
from harness.imports.recording import CallRecording, RecordedCall, keep_recording, read_recording
from harness.imports.said import said
from harness.imports.write import check_target
from harness.measure.progress import SILENT, Progress
from harness.servers.access import Access
from harness.servers.child import listen
from harness.servers.launch import launched
from harness.servers.ollama_api import normal_url
from harness.units import count, safe_url
from harness.workload.schema import LlamaCppServer, ServerSpec, SimulatedServer

__all__ = ["RecordedProgram", "import_recording", "record", "surroundings"]

HERE = "127.0.0.1"
ANSWER_S = 10.0
GRACE_S = 2  # for calls in flight, when the program has ended
CONTEXT_TOKENS = 8192
STDIN, STDERR = 0, 2  # descriptors: what the program prints is no result of ours
PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class RecordedProgram(NamedTuple):
    """What became of a program and of its recording. `imported` is None where it called no model and failed itself."""

    exit_code: int  # the program's; 128 and its number where a signal ended it
    calls: int
    imported: Imported | None


def record(command: Sequence[str], options: RecordOptions, progress: Progress = SILENT) -> RecordedProgram:
    """Run a program to its end, recorded, and write the workload of its calls.

    Args:
        command: the program and its arguments.
        options: the server behind, how jobs are parted, and where the workload goes.
        progress: is told where the program's calls go.

    Raises:
        UserError: there is no such program, it called no model though it succeeded, or nothing can be written.
        ServerFailure: no server answers.
    """
    name = Path(command[0]).name
    scripts = [word for word in command[1:] if Path(word).suffix and not word.startswith("-")]
    stem = Path(scripts[0]).stem if scripts and name.startswith(("python", "node", "ruby", "uv")) else Path(name).stem
    target = options.out or Path(f"{Names()(stem, 'recorded')}.yaml")
    check_target(target, force=options.force)  # before anything runs
    if options.keep is not None and options.keep.exists() and not options.force:
        raise UserError(f"{options.keep} exists already; name another file with --keep, or overwrite it with --force")
    recording = CallRecording(texts=options.texts)
    exit_code = asyncio.run(_recorded(command, options, recording, progress))
    calls = recording.calls()
    if options.keep is not None and calls:
        keep_recording(options.keep, calls)
        progress.say(f"Kept {count(len(calls), 'call')} in {options.keep}.")
    if not calls:
        if exit_code:
            return RecordedProgram(exit_code, 0, None)
        raise UserError(
            f"{name} called no model through the recording front. It has to take its server's address from OLLAMA_HOST "
            "(Ollama's clients do) or OPENAI_BASE_URL (OpenAI's do); an address in its code has to be replaced by these"
        )
    beyond = [f"{count(recording.beyond, 'call')} more than can be kept were left out"] if recording.beyond else []
    try:
        imported = _imported(calls, " ".join((name, *command[1:]))[:80], target, options, beyond)
    except UserError as error:
        if not exit_code:
            raise
        progress.say(str(error))  # the program itself failed: that is its answer
        imported = None
    return RecordedProgram(exit_code, len(calls), imported)


def import_recording(file: Path, options: RecordOptions) -> Imported:
    """Make a workload of a recording that was kept. Raises UserError where it cannot be read or written."""
    target = options.out or Path(f"{Names()(file.stem, 'recorded')}.yaml")
    check_target(target, force=options.force)
    return _imported(read_recording(file), file.name, target, options, [])


def _imported(
    calls: Sequence[RecordedCall], source: str, target: Path, options: RecordOptions, noticed: list[str]
) -> Imported:
    draft = draft_recording(calls, source, Names()(target.stem, "recorded"), options.idle_s)
    return written(draft, target, ImportOptions(out=options.out, force=options.force), noticed)


def surroundings(url: str, around: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program whose calls are to go to `url`: the variables that clients look at."""
    own = dict(around)
    own |= dict.fromkeys(("OLLAMA_HOST", "OLLAMA_BASE_URL", "OLLAMA_API_BASE", "OLLAMA_URL"), url)
    own |= dict.fromkeys(("OPENAI_BASE_URL", "OPENAI_API_BASE"), f"{url}/v1")
    own.setdefault("OPENAI_API_KEY", "none")  # clients refuse to start without one
    for name in ("NO_PROXY", "no_proxy"):  # a proxy for the web is no way to this machine
        own[name] = ",".join(filter(None, (around.get(name, ""), HERE, "localhost")))
    return own


async def _recorded(
    command: Sequence[str], options: RecordOptions, recording: CallRecording, progress: Progress
) -> int:
    async with _server(options, progress) as (upstream, model):
        started_s = time.monotonic()

        def keep(exchange: Exchange) -> None:
            recording.add(
                said(exchange.path, exchange.asked, exchange.answer),
                round(exchange.start_s - started_s, 6),
                round(exchange.end_s - started_s, 6),
                job=exchange.job,
                input_tokens=exchange.input_tokens,
                output_tokens=exchange.output_tokens,
                pieces=exchange.pieces,
                failed=exchange.failed,
            )

        with listen(HERE, 0) as listener:
            app = RecordingApp(upstream, keep, time.monotonic, Access(HERE), answers_as=model)
            server = quiet_server(app, GRACE_S)
            serving = asyncio.create_task(serve_quietly(server, listener))
            try:
                while not server.started:  # it says so to nobody
                    if serving.done():
                        serving.result()
                    await asyncio.sleep(0.001)
                url = f"http://{HERE}:{listener.getsockname()[1]}"
                progress.say(f"CallRecording: OLLAMA_HOST={url} leads to {upstream.url}.")
                return await _run(command, surroundings(url, os.environ), options)
            finally:
                server.should_exit = True
                with suppress(asyncio.CancelledError):
                    await serving
                upstream.close()


@asynccontextmanager
async def _server(options: RecordOptions, progress: Progress) -> AsyncIterator[tuple[HttpUpstream, str]]:
    """Yield the way to the server: one that runs, or one of ours that is stopped afterwards, and its only model."""
    spec: ServerSpec
    if options.upstream is not None and (options.model or options.profile):
        raise UserError("--upstream names a running server, --model and --profile start one; give one of them")
    if options.model and options.profile:
        raise UserError("--model starts the embedded engine, --profile a simulated server; give one of them")
    if options.profile is not None:
        spec = SimulatedServer(
            kind="simulated",
            profile=options.profile,
            slots=options.slots,
            context_tokens=CONTEXT_TOKENS,
            extrapolate=True,
        )
    elif options.model is not None:
        spec = LlamaCppServer(kind="llamacpp", model=options.model, slots=options.slots, context_tokens=CONTEXT_TOKENS)
    else:
        yield await _running(options), ""
        return
    async with launched("record", spec, say=progress.say, progress=progress.download) as up:
        yield HttpUpstream(up.server.url), up.server.model


async def _running(options: RecordOptions) -> HttpUpstream:
    named = options.upstream or os.environ.get("OLLAMA_HOST", "").replace("0.0.0.0", HERE) or f"{HERE}:11434"  # noqa: S104
    url = normal_url("--upstream" if options.upstream else "OLLAMA_HOST", named)
    upstream = HttpUpstream(url)
    try:
        async with asyncio.timeout(ANSWER_S):
            answer = await upstream.send("GET", "/api/version", [])
            await answer.close()
    except (UpstreamError, TimeoutError):
        raise ServerFailure(
            f"nothing answers at {safe_url(url)}: start Ollama (`ollama serve`; https://ollama.com/download), name "
            "another server with --upstream, or record against a simulated one with --profile epyc-2core"
        ) from None
    return upstream


async def _run(command: Sequence[str], environment: dict[str, str], options: RecordOptions) -> int:
    """Run the program to its end, signals passed on; return its exit code."""
    loop = asyncio.get_running_loop()
    try:
        program = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=STDERR if options.quiet_stdout else None
        )
    except OSError as error:
        raise UserError(f"{command[0]} cannot be run: {(error.strerror or str(error)).lower()}") from None

    def pass_on(number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            program.send_signal(number)

    for number in PASSED_ON:
        loop.add_signal_handler(number, pass_on, number)
    # Ctrl-C in a terminal reaches the program by itself, as it is in the same group of processes.
    loop.add_signal_handler(signal.SIGINT, (lambda: None) if _at_terminal() else lambda: pass_on(signal.SIGINT))
    try:
        code = await program.wait()
    finally:
        for number in (*PASSED_ON, signal.SIGINT):
            loop.remove_signal_handler(number)
        if program.returncode is None:
            program.kill()
            await program.wait()
    return code if code >= 0 else 128 - code


def _at_terminal() -> bool:
    """Tell whether this process is in the foreground of a terminal."""
    try:
        return os.tcgetpgrp(STDIN) == os.getpgrp()
    except (OSError, ValueError):
        return False
