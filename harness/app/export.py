"""Write a run or a graph in somebody else's format."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import yaml

from harness.app.check import diagram
from harness.app.options import Changes, ExportOptions
from harness.app.workload import load
from harness.errors import UserError, WorkloadError, did_you_mean
from harness.runs.folder import read_run
from harness.runs.model import Run
from harness.workload.load import Loaded, load_workload

__all__ = ["Format", "export", "write_lines"]

Format = Literal["otlp", "perfetto", "csv", "jsonl", "mermaid", "dot"]


def export(path: Path, form: Format, options: ExportOptions = ExportOptions()) -> Iterable[str]:
    """Return a run or a graph in another format, line by line.

    Nothing that a run's folder names is executed.

    Args:
        path: a run's folder; for a graph also a workload file.
        form: of calls "otlp" (OpenTelemetry GenAI spans), "perfetto" (trace events), "csv" or "jsonl"; of the graph
            "mermaid" or "dot".
        options: which candidates, and the policies that a workload file may name.

    Raises:
        WorkloadError, PolicyError, UserError: it cannot be read, or has no such candidate.
    """
    if options.policies is not None and path.is_dir():
        raise UserError("--policies goes with a workload file; a run's folder needs none")
    if form == "mermaid" or form == "dot":
        loaded = load(path, Changes(policies=options.policies)) if path.is_file() else _loaded(path)
        return [diagram(loaded, form)]
    return _records(path, form, options.only)


def write_lines(lines: Iterable[str], out: Path, *, force: bool = False) -> None:
    """Write lines into a file; UserError where that cannot be, or where it is there and is not to be overwritten."""
    if os.path.lexists(out) and not force:
        raise UserError(f"{out} exists already; name another file with -o, or overwrite it with --force")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {(error.strerror or str(error)).lower()}") from None


def _records(folder: Path, form: str, only: tuple[str, ...]) -> Iterable[str]:
    """Return the records of a run."""
    from harness.report.otlp import otlp_lines
    from harness.report.tables import csv_lines, json_lines
    from harness.report.trace_events import trace_lines

    if folder.is_file():
        raise UserError(f"{folder}: expected the folder of a run, found a file; a workload has no calls to export")
    run = read_run(folder)
    for name in only:
        if name not in run.candidates:
            hint = did_you_mean(name, run.candidates) or f"; there is: {', '.join(run.candidates)}"
            raise UserError(f'--only {name}: {folder} has no candidate "{name}"{hint}')
    render: dict[str, Callable[[Run, Iterable[str] | None], Iterable[str]]] = {
        "otlp": otlp_lines,
        "perfetto": trace_lines,
        "csv": csv_lines,
        "jsonl": json_lines,
    }
    return render[form](run, only or None)


def _loaded(folder: Path) -> Loaded:
    """Load the workload of a run."""
    try:
        return load_workload(folder / "workload.yaml")
    except WorkloadError:  # an older run, or one without its documents, or with policies of the user's own
        return _of_run(read_run(folder))


def _of_run(run: Run) -> Loaded:
    """Load the graphs of a run's workload. Its documents need not be there: stand-ins take their places."""
    data: dict[str, Any] = run.workload.to_plain()
    for key in ("servers", "compare"):  # not needed for the graph, and what they name may be gone
        data.pop(key, None)
    for name, written_input in data.get("inputs", {}).items():
        if "files" in written_input:
            users = {
                (pipeline, node)
                for pipeline, spec in run.workload.pipelines.items()
                for node, written in spec.nodes.items()
                if written.over == name
            }
            items = [call.item for call in run.calls if (call.pipeline, call.node) in users]
            data["inputs"][name] = {"list": ["document"] * (max(items, default=0) + 1)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "workload.yaml"
        path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
        return load_workload(path)
