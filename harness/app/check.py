"""Check a workload, and say what it asks for. Runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from harness.app.options import Changes
from harness.app.workload import Written, load
from harness.recommend.memory import RunnerNeed
from harness.workload import diagrams
from harness.workload.contexts import asks_of_runners
from harness.workload.describe import Description, describe
from harness.workload.load import Loaded
from harness.workload.schema import json_schema

__all__ = ["Checked", "check", "diagram", "workload_schema"]


class Checked(NamedTuple):
    """A workload without mistakes, and what it asks for."""

    loaded: Loaded
    description: Description
    runners: tuple[RunnerNeed, ...] = ()  # of servers whose agents ask for contexts or keep-alives, or of all


def check(file: Path | Written, changes: Changes = Changes(), profiles: Sequence[str] = ()) -> Checked:
    """Load a workload and describe it: its graphs, their width, span and work, its candidates and servers.

    Args:
        file: the workload.
        changes: what is to be different in it, and the policies that it may name.
        profiles: of the machine, as `harness.app.options.Assumptions` has them: they know what runners take.

    Raises:
        WorkloadError: what is wrong in the file, a line for each mistake.
        PolicyError, UserError: a policies file, a change or a profile that cannot be used.
    """
    loaded = load(file, changes)
    return Checked(loaded, describe(loaded), _runners(loaded, profiles))


def _runners(loaded: Loaded, profiles: Sequence[str]) -> tuple[RunnerNeed, ...]:
    """Return what runners take; what finds that out is imported only where somebody asks."""
    if not profiles and not any(asks_of_runners(agent) for agent in loaded.agents.values()):
        return ()
    from harness.app.prediction import profiles_of
    from harness.recommend.runners import runners_needed

    return runners_needed(loaded, profiles_of(profiles, loaded.path.parent, loaded) if profiles else None)


def diagram(loaded: Loaded, form: Literal["mermaid", "dot"]) -> str:
    """Return the graphs of a workload as a Mermaid flowchart, or in DOT for Graphviz."""
    return {"mermaid": diagrams.mermaid, "dot": diagrams.dot}[form](loaded.graphs.items())


def workload_schema() -> dict[str, Any]:
    """Return the JSON Schema of workload files, for editors."""
    return json_schema()
