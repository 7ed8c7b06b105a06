"""A run in a notebook: as a data frame, and as a few lines of HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from harness.errors import UserError
from harness.runs.rows import COLUMNS, call_rows
from harness.units import count, safe_text

if TYPE_CHECKING:
    from harness.runs.model import Run

__all__ = ["frame", "frame_of", "html"]


def frame(run: Run, library: Literal["pandas", "polars"] | None = None) -> Any:
    """Return the calls as a data frame of the library asked for, or of the first one that is installed.

    Raises UserError where there is none: neither is a dependency.
    """
    return frame_of([{name: row[name] for name in COLUMNS} for row in call_rows(run)], library, COLUMNS)


def frame_of(
    rows: Sequence[Mapping[str, Any]], library: Literal["pandas", "polars"] | None = None, columns: Sequence[str] = ()
) -> Any:
    """Return rows as a data frame; `columns` are those of no rows.

    Raises UserError where neither library is installed.
    """
    for name in (library,) if library else ("pandas", "polars"):
        try:
            module = import_module(name)
        except ImportError:
            continue
        names = columns or tuple(rows[0] if rows else ())
        return module.DataFrame({name: [_cell(name, row[name]) for row in rows] for name in names})
    wanted = library or "pandas or polars"
    raise UserError(
        f"to_frame: {wanted} is not installed; install it (pip install 'slotwise[notebook]' brings pandas), or use "
        "`slotwise export RUN --as csv`"
    )


def _cell(name: str, value: Any) -> Any:
    """Seconds and rates are floats, also where they are whole: polars takes no mixture."""
    return float(value) if name.endswith("_s") and value is not None else value


def html(run: Run) -> str:
    """Return the run in a few lines of HTML. Everything that comes from outside is escaped."""
    rows = [
        ("workload", run.workload.name),
        ("origin", run.origin + (", partial" if run.partial else "")),
        ("started", run.started_at),
        ("machine", str(run.machine.get("cpu", "not known"))),
        *(("server", _server(server)) for server in run.servers),
        ("candidates", ", ".join(run.candidates)),
        (
            "records",
            f"{count(len(run.trials), 'trial')}, {count(len(run.jobs), 'job')}, {count(len(run.calls), 'call')}",
        ),
        *(("note", note.text) for note in run.notes),
    ]
    cells = "".join(f"<tr><th>{title}</th><td>{escape(safe_text(text))}</td></tr>" for title, text in rows)
    return f"<table><caption>{escape(safe_text(run.name))}</caption>{cells}</table>"


def _server(server: Any) -> str:
    more = "at least " if server.slots_at_least else ""
    slots = "not probed" if server.slots_found is None else f"{more}{count(server.slots_found, 'slot')} found"
    return f"{server.name}: {server.kind} {server.version}, {server.model}, {slots}"
