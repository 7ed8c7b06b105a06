"""`slotwise models`: the built-in models, and fetching them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from harness.cli.help import Command, Commands
from harness.cli.options import Json, Quiet

__all__ = ["app", "list_models", "pull"]

app = typer.Typer(cls=Commands, help="List the built-in models, or fetch one.", invoke_without_command=True)


@app.callback()
def list_models(
    context: typer.Context,
    json: Json = False,
) -> None:
    """List the built-in models: name, size, licence, and where each one lies once fetched."""
    if context.invoked_subcommand is not None:
        return
    from harness.app.models import built_in
    from harness.units import size

    rows = built_in()
    if json:
        import json as json_module

        plain = [row._asdict() | {"path": str(row.path) if row.path else None} for row in rows]
        typer.echo(json_module.dumps(plain, indent=2))
        return
    for row in rows:
        where = row.path or f"not fetched: slotwise models pull {row.name}"
        typer.echo(f"{row.name}  {size(float(row.size_bytes))}, {row.licence}")
        typer.echo(f"  {row.description}")
        typer.echo(f"  {where}")
    typer.echo("Any GGUF file works as a model too: give its path.")


@app.command(cls=Command)
def pull(
    name: Annotated[str, typer.Argument(help="A built-in model, e.g. smollm2-135m.")], quiet: Quiet = False
) -> None:
    """Fetch a built-in model into the cache, once."""
    from harness.app.models import pull as fetch
    from harness.report.progress import progress_for

    with progress_for(sys.stderr, quiet=quiet) as progress:
        fetched = fetch(name, progress)
    typer.echo(f"{name} is there: {fetched.path}" if fetched.was_there else f"{name}: {fetched.path}")
