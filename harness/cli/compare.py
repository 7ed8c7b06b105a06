"""`slotwise compare`: one run against another of the same work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["compare"]


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run folders, or names of runs in reports/; the first is what the others are held to."),
    ],
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Hold all of them to this one: a kept summary.json, or a run folder."),
    ] = None,
    fail_on: Annotated[list[str] | None, typer.Option(help='Exit with 1 on a "regression".')] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown instead.")] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write one HTML page, too; an older one is replaced.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Say what became faster or slower from one run to the next, per candidate and path, with intervals."""
    from harness.cli.comparing import compare_folders

    raise typer.Exit(
        compare_folders(runs, baseline, tuple(fail_on or ()), markdown=markdown, html=html, as_json=as_json)
    )
