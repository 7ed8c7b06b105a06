"""What `slotwise sweep` prints: a table for each model, what it says, and several models side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.analysis.sweep import Sweep, SweepRow, saturation
from harness.report.answer import print_answer
from harness.report.summary import to_plain
from harness.report.text import plain
from harness.units import count, percent, seconds, size
from harness.wording.sweep_answer import sweep_answer
from harness.wording.sweeps import signed, sweep_sentences

__all__ = ["print_sweeps", "sweep_report", "sweeps_plain"]

_SIDE_BY_SIDE = 4  # models in one table: more do not fit into 80 columns
_LONGEST_NAME = 16


def print_sweeps(sweeps: Sequence[Sweep], machine: str, console: Console, *, full: bool = False) -> None:
    """Print the answer of a sweep, and where `full` its tables."""
    print_answer(sweep_answer(sweeps, machine), console)
    if full:
        console.print()
        console.print(sweep_report(sweeps))


def sweep_report(sweeps: Sequence[Sweep]) -> Group:
    """Return the whole answer; it fits 80 columns."""
    parts: list[RenderableType] = []
    for sweep in sweeps:
        parts += [_head(sweep), _table(sweep)]
        parts += [Text(plain(f"- {sentence}")) for sentence in sweep_sentences(sweep)]
        parts.append("")
    with_figures = [sweep for sweep in sweeps if sweep.measured]
    if len(with_figures) > 1:
        parts.append(Text("Side by side: tokens per second in all, * where it saturates", style="bold"))
        for start in range(0, len(with_figures), _SIDE_BY_SIDE):
            parts += [_side_by_side(with_figures[start : start + _SIDE_BY_SIDE]), ""]
    parts.append(Text("Below each number its 95 % interval over the rounds.", style="dim"))
    return Group(*parts)


def sweeps_plain(sweeps: Sequence[Sweep]) -> list[dict[str, Any]]:
    """Return the answer for `--json`."""
    plain_sweeps = []
    for sweep in sweeps:
        flat = saturation(sweep)
        said = {
            "saturates_at": flat and flat.slots,
            "memory_slots": sweep.memory_slots,
            "sentences": sweep_sentences(sweep),
        }
        plain_sweeps.append({**to_plain(sweep), **{key: to_plain(value) for key, value in said.items()}})
    return plain_sweeps


def _head(sweep: Sweep) -> Text:
    head = Text(plain(sweep.model), style="bold")
    facts = [sweep.engine] if sweep.engine else []
    if sweep.context_tokens is not None:
        facts.append(f"{sweep.context_tokens} tokens a slot")
    if sweep.measured:
        facts.append(f"{sweep.origin}, {count(len(sweep.measured[0].rounds), 'round')}")
    return head.append(plain(f"  {'; '.join(facts)}"), style="not bold")


def _table(sweep: Sweep) -> Table:
    accelerated = any(row.accelerated for row in sweep.rows)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 0, 0, 1))
    table.add_column("slots" if sweep.varied == "slots" else "calls\nat once", justify="right", no_wrap=True)
    columns = ["all\ntok/s", "gain over\nrow above", "each\ntok/s", "first\ntoken"]
    if sweep.varied == "slots":
        columns += ["memory\npredicted", "memory,\non accel." if accelerated else "memory\nfound"]
    lines: list[list[str]] = []
    for row in sweep.rows:
        cells = [_throughput(row), _gain(row), _number(row.per_call_tokens_per_s)]
        cells.append("-" if row.first_token_s is None else seconds(row.first_token_s))
        if sweep.varied == "slots":
            cells += [_size(row.needed_bytes), _found(row)]
        lines.append([str(row.slots), *cells])
    kept = [n for n in range(len(columns)) if any(line[n + 1] != "-" for line in lines)]
    for n in kept:
        table.add_column(columns[n], justify="right", no_wrap=True)
    for line in lines:
        table.add_row(line[0], *(line[n + 1] for n in kept))
    return table


def _side_by_side(sweeps: Sequence[Sweep]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
    table.add_column("slots" if all(s.varied == "slots" for s in sweeps) else "calls\nat once", justify="right")
    for sweep in sweeps:
        name = plain(sweep.model)
        title = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
        table.add_column(Text(title), justify="right", no_wrap=True)
    for slots in sorted({row.slots for sweep in sweeps for row in sweep.rows}):
        cells = [str(slots)]
        for sweep in sweeps:
            row = next((row for row in sweep.rows if row.slots == slots), None)
            mark = " *" if row is not None and row == saturation(sweep) else "  "
            cells.append(f"{_number(row.throughput.value if row and row.throughput else None)}{mark}")
        table.add_row(*cells)
    memory = ["memory"]
    for sweep in sweeps:
        bound = ">=" if sweep.footprint is not None and sweep.footprint.slides else "<="
        memory.append("-  " if sweep.memory_slots is None else f"{bound} {sweep.memory_slots}  ")
    table.add_section()
    table.add_row(*memory)
    return table


def _throughput(row: SweepRow) -> str:
    found = row.throughput
    if found is None:
        return "-"
    between = " to ".join(_number(end) for end in found.interval) if found.interval else ""
    return f"{_number(found.value)}\n{between}".rstrip()


def _gain(row: SweepRow) -> str:
    gain = row.gain
    if gain is None:
        return "-"
    if gain.low is None or gain.high is None:
        return signed(gain.ratio)
    return f"{signed(gain.ratio)}\n{signed(gain.low).removesuffix(' %')} to {signed(gain.high)}"


def _found(row: SweepRow) -> str:
    """What the processes hold; on an accelerator what the server says, since its memory is none of theirs."""
    if row.accelerated:
        return f"{_size(row.size_bytes)}\n{percent(row.accelerated)}"
    return _size(row.rss_bytes)


def _size(n_bytes: int | None) -> str:
    return "-" if n_bytes is None else size(n_bytes)


def _number(value: float | None) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:.1f}" if value < 999.95 else f"{value:.0f}"
