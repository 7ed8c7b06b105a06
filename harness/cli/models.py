"""`slotwise models`: the built-in models, and fetching them."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.help import Command, Commands

__all__ = ["app", "list_models", "pull"]

app = typer.Typer(cls=Commands, help="List the built-in models, or fetch one.", invoke_without_command=True)


@app.callback()
def list_models(
    context: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the built-in models: name, size, licence, and where each one lies once fetched."""
    if context.invoked_subcommand is not None:
        return
    from harness import units
    from harness.servers import models

    rows = [
        {
            "name": name,
            "description": model.description,
            "size_bytes": model.file_bytes,
            "licence": model.licence,
            "path": str(path) if (path := models.fetched(name)) else None,
        }
        for name, model in models.BUILTIN.items()
    ]
    if json:
        import json as json_module

        typer.echo(json_module.dumps(rows, indent=2))
        return
    for row in rows:
        where = row["path"] or f"not fetched: slotwise models pull {row['name']}"
        typer.echo(f"{row['name']}  {units.size(float(str(row['size_bytes'])))}, {row['licence']}")
        typer.echo(f"  {row['description']}")
        typer.echo(f"  {where}")
    typer.echo("Any GGUF file works as a model too: give its path.")


@app.command(cls=Command)
def pull(name: Annotated[str, typer.Argument(help="A built-in model, e.g. smollm2-135m.")]) -> None:
    """Fetch a built-in model into the cache, once."""
    import sys

    from harness.report.progress import progress_for
    from harness.servers import models

    there = models.fetched(name) if name in models.BUILTIN else None
    if there:
        typer.echo(f"{name} is there: {there}")
        return
    with progress_for(sys.stderr) as progress:
        path = models.pull(name, say=progress.say, progress=progress.download)
    typer.echo(f"{name}: {path}")
