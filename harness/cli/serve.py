"""`slotwise serve`: an Ollama-compatible server with N slots, in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.errors import UserError

if TYPE_CHECKING:
    from harness.workload.schema import ServerSpec

__all__ = ["serve"]

EMBEDDED = "the embedded engine"
SIMULATED = "a simulated server (--profile)"


def serve(
    model: Annotated[
        str | None, typer.Option(help="A built-in model's name, or the path of a GGUF file; default: smollm2-135m.")
    ] = None,
    slots: Annotated[int, typer.Option(min=1, max=64, help="Calls it generates at the same time.")] = 1,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets everybody in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 11435,
    context_tokens: Annotated[int, typer.Option(min=256, help="Context of one slot, in tokens.")] = 2048,
    batch_tokens: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Prompt tokens of one engine step; default: 512.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, max=512, help="Engine threads; default: every core.")] = None,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Simulate this machine instead: nothing is computed.")
    ] = None,
    speed_up: Annotated[float | None, typer.Option(help="Simulated: divide all its times by this.")] = None,
    assume: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Simulated: a value that the profile does not know (may be repeated)."),
    ] = None,
    extrapolate: Annotated[
        bool, typer.Option("--extrapolate", help="Simulated: derive slots that the profile lacks from the nearest.")
    ] = False,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FAULT=SHARE", help="Simulated: 503, delay, cut, malformed or hang, such as cut=0.05 (repeatable)."
        ),
    ] = None,
    fault_seed: Annotated[int | None, typer.Option(help="Simulated: seed of which calls meet a fault.")] = None,
    fault_delay_s: Annotated[float | None, typer.Option(help="Simulated: how long `delay` holds a call up.")] = None,
) -> None:
    """Serve a model with N slots to any Ollama client, until Ctrl-C: the embedded engine, or a simulation."""
    import asyncio
    import sys

    from harness import units
    from harness.report.progress import progress_for
    from harness.servers.launch import launched

    embedded = {"model": model, "batch_tokens": batch_tokens, "threads": threads}
    simulated = {
        "speed_up": speed_up,
        "assume": _numbers("assume", assume, "prefill_s_per_token=0.002"),
        "extrapolate": extrapolate or None,
        "faults": _numbers("fault", fault, "503=0.1"),
        "fault_seed": fault_seed,
        "fault_delay_s": fault_delay_s,
    }
    spec = _spec(profile, {"slots": slots, "context_tokens": context_tokens}, embedded, simulated)

    async def until_told() -> None:
        import signal

        told = asyncio.Event()
        loop = asyncio.get_running_loop()
        with progress_for(sys.stderr) as progress:
            # from the first moment: a Ctrl-C while the model loads ends it as cleanly as one later
            starting = asyncio.current_task()
            assert starting is not None
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, starting.cancel)
            async with launched(
                "serve", spec, say=progress.say, progress=progress.download, host=host, port=port
            ) as up:
                server = up.server
                for number in (signal.SIGINT, signal.SIGTERM):
                    loop.add_signal_handler(number, told.set)
                typer.echo(
                    f"{server.model} at {server.url}: {units.count(slots, 'slot')} of "
                    f"{server.details['context_tokens']} tokens ({server.version})"
                )
                address = server.url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
                typer.echo(f"Point a client at it:  OLLAMA_HOST={address}  or  ChatOllama(base_url={address!r})")
                if host not in ("127.0.0.1", "::1", "localhost"):
                    typer.echo("Everybody who reaches this machine can use it: there is no password.")
                for key, about in (("assumed", "Not from the profile"), ("faults", "Faults on purpose")):
                    if key in server.details:
                        typer.echo(f"{about}: {server.details[key]}")
                typer.echo("Ctrl-C ends it.")
                await _ended(told, server.url)
        typer.echo("ended")

    try:
        asyncio.run(until_told())
    except asyncio.CancelledError:
        raise typer.Exit(130) from None


def _spec(
    profile: str | None, shared: dict[str, Any], embedded: dict[str, Any], simulated: dict[str, Any]
) -> ServerSpec:
    """Return the server asked for; UserError for options of the other kind, or values that make no sense."""
    from pydantic import ValidationError

    from harness.workload.schema import LlamaCppServer, SimulatedServer

    stray = embedded if profile is not None else simulated
    for name, value in stray.items():
        if value is not None:
            flag = f"--{'fault' if name == 'faults' else name}".replace("_", "-")
            raise UserError(f"{flag} goes with {SIMULATED if profile is None else EMBEDDED}; leave it out")
    try:
        if profile is None:
            given = {key: value for key, value in embedded.items() if value is not None}
            return LlamaCppServer(kind="llamacpp", **shared, **given)
        given = {key: value for key, value in simulated.items() if value is not None}
        return SimulatedServer(kind="simulated", profile=profile, **shared, **given)
    except ValidationError as error:
        (detail, *_) = error.errors(include_url=False)
        where = ".".join(str(step) for step in detail["loc"])
        raise UserError(f"{where}: {detail['msg']}" if where else detail["msg"]) from None


def _numbers(flag: str, pairs: list[str] | None, example: str) -> dict[str, float] | None:
    """Read NAME=NUMBER options; None where there is none."""
    numbers = {}
    for pair in pairs or ():
        name, _, value = pair.partition("=")
        try:
            numbers[name] = float(value)
        except ValueError:
            raise UserError(f'--{flag}: expected NAME=NUMBER, such as {example}, found "{pair}"') from None
    return numbers or None


async def _ended(told: object, url: str) -> None:
    """Wait for the signal; a server that dies by itself is a failure, not an end."""
    import asyncio

    import httpx

    from harness.errors import ServerFailure

    assert isinstance(told, asyncio.Event)
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
        while True:
            try:
                async with asyncio.timeout(5):
                    await told.wait()
                return
            except TimeoutError:
                pass
            try:
                await client.get("/api/version")
            except httpx.TimeoutException:
                continue  # the machine is busy; only a refused connection means that it is gone
            except httpx.TransportError:
                raise ServerFailure(f"serve: the server at {url} has ended by itself") from None
