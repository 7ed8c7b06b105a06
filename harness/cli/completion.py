"""`slotwise completion`: what makes a shell complete commands, options and their values."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

__all__ = ["completion"]


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="The shell.", show_default=False)],
) -> None:
    """Print a script with which a shell completes commands, options and values. It starts no Python itself."""
    from typer.main import get_command

    from harness.cli.app import command_line
    from harness.cli.shells import SCRIPTS, places

    print(SCRIPTS[shell](places(get_command(command_line()))), end="")
