"""`slotwise runs`: which runs are there?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["runs"]


def runs(
    folder: Annotated[Path, typer.Argument(help="The folder that holds the runs.")] = Path("reports"),
    name: Annotated[str | None, typer.Option(help="Part of the name of the run or of its workload.")] = None,
    machine: Annotated[str | None, typer.Option(help="Part of the processor's name.")] = None,
    model: Annotated[str | None, typer.Option(help="Part of a model's name.")] = None,
    origin: Annotated[
        Literal["measured", "emulated", "predicted"] | None, typer.Option(help="How its numbers came about.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Begun since: 2026-11-01, 2026-11-01T09:30, or 12h, 7d, 4w ago.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=0, help="The latest so many: 30, as JSON all; 0 for all.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all that the index knows as JSON.")] = False,
) -> None:
    """List the runs of a folder, the latest first."""
    from harness.cli.listing import list_runs, moment
    from harness.runs.index import Filters

    wanted = Filters(name, machine, model, origin, None if since is None else moment(since))
    list_runs(folder, wanted, limit, as_json=as_json)
