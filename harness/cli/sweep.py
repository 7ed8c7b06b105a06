"""`slotwise sweep`: how many slots survive on this machine as models and contexts grow."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["sweep"]


def sweep(
    model: Annotated[
        list[str] | None,
        typer.Option(help="Model name, or the path of a GGUF file; may be repeated.  [default: smollm2-135m]"),
    ] = None,
    engine: Annotated[str, typer.Option(help="llamacpp or ollama, started once for every slot count.")] = "llamacpp",
    context: Annotated[
        int | None, typer.Option(min=256, max=10_000_000, help="Context of one slot, in tokens.  [default: 2048]")
    ] = None,
    most: Annotated[int, typer.Option(min=1, max=64, help="Try no more slots than this.")] = 64,
    server: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A running server instead: so many calls at once, its slots as they are."),
    ] = None,
    tokens: Annotated[int, typer.Option(min=2, max=4096, help="Output tokens of every call.")] = 48,
    rounds: Annotated[int, typer.Option(min=2, max=50, help="Measure every slot count so often.")] = 5,
    threads: Annotated[int | None, typer.Option(min=1, max=512, help="Engine threads.  [default: every core]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON instead.")] = False,
) -> None:
    """Try 1, 2, 4, 8, ... slots until throughput is flat, memory is full, or the server does not start."""
    from harness.cli.sweeping import sweep_model

    code = sweep_model(
        tuple(model or ()),
        engine=engine,
        context_tokens=context,
        most=most,
        server=server,
        tokens=tokens,
        rounds=rounds,
        threads=threads,
        as_json=as_json,
    )
    raise typer.Exit(code)
