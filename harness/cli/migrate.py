"""`slotwise migrate`: workloads with old names of keys, rewritten in place."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.errors import UserError

__all__ = ["migrate"]


def migrate(
    paths: Annotated[list[Path], typer.Argument(help="Workload files, or folders of them.", show_default=False)],
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 1 if something would be renamed.")
    ] = False,
) -> None:
    """Rename the keys of an older Slotwise in workload files. Comments and layout stay."""
    from harness.app.migrate import migrate as rewrite

    done = rewrite(paths, check=check)
    for one in done:
        if not one.failed:
            typer.echo(one.said)
    if errors := [one.said for one in done if one.failed]:
        raise UserError("\n".join(errors))
    if check and (old := sum(bool(one.changes) for one in done)):
        from harness.units import count

        print(f"slotwise: {count(old, 'file')} would be changed; slotwise migrate renames the keys", file=sys.stderr)
        raise typer.Exit(1)
