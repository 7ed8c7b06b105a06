"""`slotwise serve`: an Ollama-compatible server with N slots, in the foreground."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from harness.app.options import ServeOptions
from harness.cli.conclude import INTERRUPTED
from harness.cli.options import assume_option, extrapolate_option, model_option, numbers, profile_option

if TYPE_CHECKING:
    from harness.app.serve import RunningServer

__all__ = ["serve"]


def serve(
    model: Annotated[
        str | None, model_option("A built-in model's name, or the path of a GGUF file; default: smollm2-135m.")
    ] = None,
    slots: Annotated[int, typer.Option(min=1, max=64, help="Calls that it serves at the same time.")] = 1,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0: open to other machines.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 11435,
    context_tokens: Annotated[int, typer.Option(min=256, help="Context of one slot, in tokens.")] = 2048,
    batch_tokens: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Most prompt tokens in one engine step; default: 512.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, max=512, help="Engine threads; default: every core.")] = None,
    profile: Annotated[
        str | None, profile_option("Simulate the machine of this profile; no model runs.", metavar="NAME|FILE")
    ] = None,
    speed_up: Annotated[float | None, typer.Option(help="Simulated: divide all its times by this.")] = None,
    assume: Annotated[
        list[str] | None,
        assume_option("Simulated: a value that the profile lacks; repeatable.", metavar="KEY=VALUE"),
    ] = None,
    extrapolate: Annotated[bool, extrapolate_option("Simulated: extrapolate slots that the profile lacks.")] = False,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FAULT=SHARE", help="Simulated: 503, delay, cut, malformed or hang, such as cut=0.05 (repeatable)."
        ),
    ] = None,
    fault_seed: Annotated[int | None, typer.Option(help="Simulated: seed of the faults.")] = None,
    fault_delay_s: Annotated[float | None, typer.Option(help="Simulated: how long `delay` delays a call.")] = None,
) -> None:
    """Serve a model with N slots to any Ollama client, until Ctrl-C: the embedded engine, or a simulation."""
    options = ServeOptions(
        slots=slots,
        context_tokens=context_tokens,
        host=host,
        port=port,
        model=model,
        batch_tokens=batch_tokens,
        threads=threads,
        profile=profile,
        speed_up=speed_up,
        assume=numbers("--assume", assume, "prefill_s_per_token=0.002", "NAME") or None,
        extrapolate=extrapolate or None,
        faults=numbers("--fault", fault, "503=0.1", "NAME") or None,
        fault_seed=fault_seed,
        fault_delay_s=fault_delay_s,
    )
    from harness.app.serve import serve as until_told
    from harness.report.progress import progress_for

    with progress_for(sys.stderr) as progress:
        was_up = until_told(options, lambda server: _say(server, options), progress)
    if not was_up:
        raise typer.Exit(INTERRUPTED)
    typer.echo("ended")


def _say(server: RunningServer, options: ServeOptions) -> None:
    """Tell where the server is, and how to reach it."""
    from harness.units import count

    typer.echo(
        f"{server.model} at {server.url}: {count(options.slots, 'slot')} of "
        f"{server.details['context_tokens']} tokens ({server.version})"
    )
    address = server.url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
    typer.echo(f"Point a client at it:  OLLAMA_HOST={address}  or  ChatOllama(base_url={address!r})")
    if options.host not in ("127.0.0.1", "::1", "localhost"):
        typer.echo("Anyone who can reach this machine can use it: there is no password.")
    for key, about in (("assumed", "Not from the profile"), ("faults", "Injected faults")):
        if key in server.details:
            typer.echo(f"{about}: {server.details[key]}")
    typer.echo("Ctrl-C ends it.")
