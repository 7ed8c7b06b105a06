"""`slotwise import`: a workload from what people already have: a LangGraph, a CrewAI project, traces, a program."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from harness.app.options import GraphImportOptions, ImportOptions
from harness.cli.help import Command, Commands
from harness.cli.options import Force, Json, Quiet, model_option, numbers, output_option, profile_option
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.app.import_ import Imported

__all__ = ["app"]

app = typer.Typer(
    cls=Commands,
    help="Make a workload of a LangGraph, a CrewAI project, traces, or a program that runs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

MOST_ITEMS = 1000  # of a node, on the command line

Out = Annotated[Path | None, output_option("File to write; default: NAME.yaml in this folder.", show_default=False)]


@app.command(cls=Command)
def langgraph(
    graphs: Annotated[
        list[str],
        typer.Argument(
            metavar="MODULE:GRAPH...",
            help="LangGraphs: my_app.agent:graph, agent.py:graph, notes.ipynb:graph, langgraph.json.",
        ),
    ],
    items: Annotated[
        list[str] | None,
        typer.Option("--items", metavar="NODE=N", help="How many items a node has, such as section=8; repeatable."),
    ] = None,
    interactive: Annotated[
        list[str] | None,
        typer.Option("--interactive", metavar="GRAPH", help="A graph for whose jobs a person waits; repeatable."),
    ] = None,
    python: Annotated[
        Path | None,
        typer.Option("--python", metavar="PATH", help="Read the graphs in another environment: its python."),
    ] = None,
    out: Out = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Turn LangGraphs into a workload. Importing their modules executes the modules' code."""
    from harness.app.import_ import import_langgraph
    from harness.report.progress import lines_for

    options = GraphImportOptions(
        out=out,
        force=force,
        items=_items(items or ()),
        interactive=tuple(interactive or ()),
        python=python,
    )
    _show(import_langgraph(graphs, options, lines_for(sys.stderr, quiet=quiet)), as_json)


@app.command(cls=Command)
def traces(
    file: Annotated[
        Path,
        typer.Argument(help="Spans or rows of calls, as JSON or CSV, packed with gzip or not.", show_default=False),
    ],
    out: Out = None,
    force: Force = False,
    as_json: Json = False,
    times: Annotated[
        Literal["s", "ms", "us", "ns"] | None,
        typer.Option("--times", help="Unit of the times of rows, where their form does not say it."),
    ] = None,
) -> None:
    """Recover a workload from traces: graph, sizes, tool times, branches, loops, arrivals."""
    from harness.app.import_ import import_traces

    _show(import_traces(file, ImportOptions(out=out, force=force, times=times or "")), as_json)


def _items(pairs: Sequence[str]) -> tuple[tuple[str, int], ...]:
    found = numbers("--items", pairs, "section=8", "NODE")
    for node, value in found.items():
        if value != int(value) or not 1 <= value <= MOST_ITEMS:
            raise UserError(f"--items {node}: expected a whole number from 1 to {MOST_ITEMS}, found {value:g}")
    return tuple((node, int(value)) for node, value in found.items())


@app.command(cls=Command)
def crewai(
    folder: Annotated[
        Path, typer.Argument(help="A CrewAI project, with config/agents.yaml and tasks.yaml.", show_default=False)
    ],
    out: Out = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Turn the crews of a CrewAI project into a workload. Its code is read, and not executed."""
    from harness.app.import_ import import_crewai

    _show(import_crewai(folder, ImportOptions(out=out, force=force)), as_json)


@app.command(cls=Command)
def record(
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- COMMAND [ARGS]...", help="A program that calls models.", show_default=False),
    ] = None,
    upstream: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The server behind; default: OLLAMA_HOST, or http://127.0.0.1:11434."),
    ] = None,
    model: Annotated[str | None, model_option("The embedded engine with this model instead.")] = None,
    profile: Annotated[str | None, profile_option("A simulated server instead.", metavar="NAME|FILE")] = None,
    slots: Annotated[int, typer.Option(min=1, max=64, help="Slots of these two.")] = 4,
    idle: Annotated[
        float, typer.Option(min=0, metavar="S", help="A new job begins where no call was in flight for S seconds.")
    ] = 5.0,
    keep: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep the recording itself, as JSON lines without texts.")
    ] = None,
    texts: Annotated[bool, typer.Option("--texts", help="Show and keep how prompts begin.")] = False,
    from_file: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Import a recording that was kept; nothing runs.")
    ] = None,
    out: Out = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Run a program, and make a workload of the calls that it sends to OLLAMA_HOST or OPENAI_BASE_URL."""
    from harness.app.options import RecordOptions
    from harness.app.record import import_recording
    from harness.app.record import record as recorded
    from harness.report.progress import lines_for

    options = RecordOptions(
        upstream=upstream, model=model, profile=profile, slots=slots, idle_s=idle, keep=keep, texts=texts,
        quiet_stdout=as_json, out=out, force=force,
    )  # fmt: skip
    if bool(command) == (from_file is not None):
        raise UserError("expected a program to run (slotwise import record -- COMMAND), or a recording (--from FILE)")
    if from_file is not None:
        _show(import_recording(from_file, options), as_json)
        return
    assert command
    found = recorded(command, options, lines_for(sys.stderr, quiet=quiet))
    if found.imported is not None:
        _show(found.imported, as_json)
    if found.exit_code:
        print(f"slotwise: {command[0]} ended with exit code {found.exit_code}", file=sys.stderr)
    raise typer.Exit(found.exit_code)


def _show(imported: Imported, as_json: bool) -> None:
    """Print what was recovered, and what is left open."""
    from harness.report.imported import imported_plain, print_imported

    workload, files, draft, noticed, questions = imported
    if as_json:
        import json

        print(json.dumps(imported_plain(draft, workload, files, noticed, questions), indent=2))
        return
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 80)
    print_imported(draft, workload, files, noticed, questions, console)
