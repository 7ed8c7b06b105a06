"""Make a workload of what people already have: a LangGraph, a CrewAI project, or traces of their application."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.app.options import GraphImportOptions, ImportOptions
from harness.imports.account import loss_line
from harness.imports.draft import Draft, Names
from harness.imports.write import check_target, questions, write_balanced
from harness.measure.progress import SILENT, Progress

__all__ = ["Imported", "import_crewai", "import_langgraph", "import_traces", "written"]


class Imported(NamedTuple):
    """A workload that was written, and what it was made of."""

    workload: Path
    files: tuple[Path, ...]  # everything that was written
    draft: Draft
    noticed: tuple[str, ...]  # what the source left unclear
    questions: tuple[str, ...]  # what the source did not say, marked in the file


def import_langgraph(
    graphs: str | Sequence[str], options: GraphImportOptions = GraphImportOptions(), progress: Progress = SILENT
) -> Imported:
    """Turn LangGraphs into one workload. Importing their modules executes the modules' code.

    Args:
        graphs: MODULE:GRAPH, FILE.py:GRAPH, FILE.ipynb:GRAPH, or a langgraph.json; one or several.
        options: where the workload goes, and what the graphs do not say.
        progress: is told before code is executed.

    Raises:
        UserError: one cannot be imported, or the file cannot be written.
    """
    from harness.imports.langgraph import draft_of_read, read_graphs

    targets = [graphs] if isinstance(graphs, str) else list(graphs)
    first = targets[0]
    target = options.out or Path(f"{Names()(first.rpartition(':')[2].removesuffix('.json'), 'graph')}.yaml")
    check_target(target, force=options.force)  # before anything is executed
    where = ", ".join(dict.fromkeys(one.rpartition(":")[0] or one for one in targets))
    progress.say(f"Importing {where}: this executes its code.")
    reads = read_graphs(targets, options.python)
    return written(draft_of_read(reads, dict(options.items), options.interactive), target, options, [])


def import_traces(file: Path, options: ImportOptions = ImportOptions()) -> Imported:
    """Recover a workload from traces, or from rows of calls.

    Args:
        file: spans or rows as JSON or CSV; what it is, is seen from its content.
        options: where the workload goes, and the unit of the times of rows.

    Raises:
        UserError: it cannot be read, there is nothing in it to make a workload of, or the file cannot be written.
    """
    from harness.imports.read import read_traces
    from harness.imports.traces import draft_traces

    target = options.out or Path(f"{Names()(file.stem, 'traces')}.yaml")
    check_target(target, force=options.force)
    read = read_traces(file, options.times)
    draft = draft_traces(read, str(file), Names()(target.stem, "traces"))
    return written(draft, target, options, read.warnings())


def import_crewai(folder: Path, options: ImportOptions = ImportOptions()) -> Imported:
    """Turn the crews of a CrewAI project into a workload. Its code is read, and not executed.

    Args:
        folder: of the project.
        options: where the workload goes.

    Raises:
        UserError: there is no crew in it that can be read, or the file cannot be written.
    """
    from harness.imports.crew_draft import draft_crews
    from harness.imports.crewai import read_crews

    name = folder.resolve().name
    target = options.out or Path(f"{Names()(name, 'crew')}.yaml")
    check_target(target, force=options.force)
    return written(draft_crews(read_crews(folder), name, Names()(target.stem, "crew")), target, options, [])


def written(draft: Draft, target: Path, options: ImportOptions, noticed: list[str]) -> Imported:
    """Write a draft; UserError where it cannot be."""
    draft, files = write_balanced(draft, target, force=options.force)
    lost = map(loss_line, draft.account.lost)
    return Imported(target, tuple(files), draft, (*noticed, *lost), tuple(questions(draft)))
