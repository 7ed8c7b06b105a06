"""Check a workload, and say what it asks for. Runs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

from harness.app.options import Changes
from harness.app.workload import Written, load
from harness.workload import diagrams
from harness.workload.describe import Description, describe
from harness.workload.load import Loaded
from harness.workload.schema import json_schema

__all__ = ["Checked", "check", "diagram", "workload_schema"]


class Checked(NamedTuple):
    """A workload without mistakes, and what it asks for."""

    loaded: Loaded
    description: Description


def check(file: Path | Written, changes: Changes = Changes()) -> Checked:
    """Load a workload and describe it: its graphs, their width, span and work, its candidates and servers.

    Args:
        file: the workload.
        changes: what is to be different in it, and the policies that it may name.

    Raises:
        WorkloadError: what is wrong in the file, a line for each mistake.
        PolicyError, UserError: a policies file or a change that cannot be used.
    """
    loaded = load(file, changes)
    return Checked(loaded, describe(loaded))


def diagram(loaded: Loaded, form: Literal["mermaid", "dot"]) -> str:
    """Return the graphs of a workload as a Mermaid flowchart, or in DOT for Graphviz."""
    return {"mermaid": diagrams.mermaid, "dot": diagrams.dot}[form](loaded.graphs.items())


def workload_schema() -> dict[str, Any]:
    """Return the JSON Schema of workload files, for editors."""
    return json_schema()
