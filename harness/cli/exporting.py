"""What `slotwise export` does, apart from its options."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from harness.errors import UserError, WorkloadError, did_you_mean
from harness.runs.folder import read_run
from harness.workload import diagrams
from harness.workload.load import Loaded, load_workload

if TYPE_CHECKING:
    from harness.runs.model import Run

__all__ = ["export_graph", "export_records"]


def export_records(
    folder: Path,
    kind: Literal["otlp", "perfetto", "csv", "jsonl"],
    out: Path | None,
    force: bool,
    only: tuple[str, ...],
) -> None:
    """Write the records of a run in somebody else's format."""
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
    render: Callable[[Run, Iterable[str] | None], Iterable[str]] = {
        "otlp": otlp_lines,
        "perfetto": trace_lines,
        "csv": csv_lines,
        "jsonl": json_lines,
    }[kind]
    _write(render(run, only or None), out, force)


def export_graph(path: Path, kind: Literal["mermaid", "dot"], out: Path | None, force: bool) -> None:
    """Write the graphs of a workload file, or of the workload that a run ran."""
    loaded = load_workload(path) if path.is_file() else _loaded(path)
    render = {"mermaid": diagrams.mermaid, "dot": diagrams.dot}[kind]
    _write([render(loaded.graphs.items())], out, force)


def _loaded(folder: Path) -> Loaded:
    """Load the workload of a run."""
    try:
        return load_workload(folder / "workload.yaml")
    except WorkloadError:  # an older run, or one without its documents
        return _of_run(read_run(folder))


def _of_run(run: Run) -> Loaded:
    """Load the graphs of a run's workload. Its documents need not be there: stand-ins take their places."""
    data: dict[str, Any] = run.workload.to_plain()
    for key in ("servers", "compare"):  # not needed for the graph, and what they name may be gone
        data.pop(key, None)
    for name, spec in data.get("inputs", {}).items():
        if "files" in spec:
            users = {
                (pipeline, node)
                for pipeline, of in run.workload.pipelines.items()
                for node, written in of.nodes.items()
                if written.over == name
            }
            items = [call.item for call in run.calls if (call.pipeline, call.node) in users]
            data["inputs"][name] = {"list": ["document"] * (max(items, default=0) + 1)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "workload.yaml"
        path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
        return load_workload(path)


def _write(lines: Iterable[str], out: Path | None, force: bool) -> None:
    if out is None:
        for line in lines:
            print(line)
        return
    if os.path.lexists(out) and not force:
        raise UserError(f"{out} exists already; name another file with -o, or overwrite it with --force")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {(error.strerror or str(error)).lower()}") from None
    print(f"wrote {out}", file=sys.stderr)
