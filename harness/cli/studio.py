"""`slotwise studio`: design a pipeline in the browser, simulated while it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import profile_option

__all__ = ["studio"]


def studio(
    file: Annotated[
        Path | None, typer.Argument(help="The workload, a YAML file; it may be a new one.", show_default=False)
    ] = None,
    profile: Annotated[
        list[str] | None,
        profile_option("Profile of the machine to begin with; several as MODEL=NAME.", metavar="[WHAT=]NAME"),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address, and open no browser.")] = False,
) -> None:
    """Design a pipeline in the browser, and see what it costs while you write. Only this machine can reach it."""
    from harness.studio.serve import StudioOptions
    from harness.studio.serve import studio as until_told

    options = StudioOptions(file=file, profiles=tuple(profile or ()), port=port, browser=not no_browser)
    until_told(options, _say)
    typer.echo("ended")


def _say(url: str) -> None:
    typer.echo(f"The workbench: {url}")
    typer.echo("Anyone on this machine who has this address can use it. Ctrl-C ends it.")
