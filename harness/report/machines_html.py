"""report.html of a comparison of machines: the answer, a chart of each pipeline, and every figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.analysis.machines import MachineComparison, MachineResult
from harness.report import drawing
from harness.report.page import page
from harness.units import count, size
from harness.wording.machines_answer import carries_text, first_token_text, machines_answer, time_text, what_of

if TYPE_CHECKING:
    from harness.report.chart_style import Layout

__all__ = ["machines_html"]


def machines_html(found: MachineComparison, command: str = "") -> str:
    """Return the page; `command` is the one that made it, "" where that is not known."""

    def charts(layout: Layout) -> Mapping[str, Any]:
        from harness.report.machines_chart import machines_charts

        return machines_charts(found, layout)

    drawings = drawing.drawn([charts])
    pipelines = list(dict.fromkeys((t.pipeline, t.path) for one in found.machines for t in one.times))
    answer = machines_answer(found)
    return page(
        "machines.html.j2",
        drawings.made,
        {
            "time": time_text,
            "first_token": first_token_text,
            "what": what_of,
            "carries": carries_text,
            "size": lambda n: "–" if n is None else size(n),
        },
        title=f"{found.workload} on {count(len(found.machines), 'machine')}",
        description=found.description,
        origin=" and ".join(dict.fromkeys(map(_origin, found.machines))),
        answer=answer,
        machines=found.ranked,
        best=found.best,
        pipelines=pipelines,
        with_first_token={t.pipeline for one in found.machines for t in one.times if t.first_token},
        priced=any(one.price is not None for one in found.machines),
        command=command,
        lacking_charts=drawings.lacking,
    )


def _origin(one: MachineResult) -> str:
    return "estimated" if one.origin == "estimated" else "predicted"
