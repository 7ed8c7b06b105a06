"""`slotwise calibrate`: fit a profile of a server, for predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["calibrate"]


def calibrate(
    server: Annotated[
        str,
        typer.Argument(
            metavar="SERVER",
            help="llamacpp or ollama (started once for every slot count), or the URL of a running server.",
            show_default=False,
        ),
    ],
    slots: Annotated[
        str | None, typer.Option(help="Slot counts, comma-separated; a URL has its own.  [default: 1,4]")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model name, or the path of a GGUF file.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the profile; default: from server and model.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; default: profiles/NAME.yaml.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="About 20 s for each slot count instead of a minute.")] = False,
    thorough: Annotated[bool, typer.Option("--thorough", help="About 5 min for each slot count.")] = False,
    pair: Annotated[
        bool | None,
        typer.Option(
            "--pair/--no-pair",
            help="Also servers with half of the cores, alone and side by side; "
            "default: where llamacpp has two slot counts and the machine two cores.",
            show_default=False,
        ),
    ] = None,
    machine: Annotated[str | None, typer.Option(help="What to call this machine; default: its processor.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the profile as JSON instead.")] = False,
) -> None:
    """Measure what a server costs, step by step, and write the profile that predictions are made with."""
    from harness.cli.calibrating import calibrate_server

    calibrate_server(
        server,
        slots,
        model,
        name=name,
        out=out,
        quick=quick,
        thorough=thorough,
        pair=pair,
        machine=machine,
        force=force,
        as_json=as_json,
    )
