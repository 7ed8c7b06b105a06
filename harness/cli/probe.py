"""`slotwise probe`: how many slots a server really has, and what calls at the same time gain on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["probe"]


def probe(
    servers: Annotated[
        list[str],
        typer.Argument(
            metavar="SERVER...",
            help="One or two: a URL of a running server, or KIND:SLOTS to start one "
            "(llamacpp:4, ollama:4), optionally NAME=... before it.",
            show_default=False,
        ),
    ],
    model: Annotated[str | None, typer.Option(help="Model name, or the path of a GGUF file.")] = None,
    tokens: Annotated[int, typer.Option(min=2, max=4096, help="Output tokens of every call.")] = 100,
    rungs: Annotated[str, typer.Option(help="How many calls at once, comma-separated.")] = "1,2,4,8",
    rounds: Annotated[int, typer.Option(min=1, max=50, help="Measure every rung so often; medians are shown.")] = 1,
    chart: Annotated[Path | None, typer.Option(help="Write the chart to this SVG file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON instead.")] = False,
) -> None:
    """Find a server's real slots from outside, and its ladder: 1, 2, 4, 8 equal calls at once."""
    from harness.cli.probing import probe_servers

    probe_servers(tuple(servers), model, tokens=tokens, rungs=rungs, rounds=rounds, chart=chart, as_json=as_json)
