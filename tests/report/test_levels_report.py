"""Concurrency levels of two servers side by side."""

from __future__ import annotations

import io
from xml.etree import ElementTree

from rich.console import Console

from harness.analysis.levels import Level, Levels
from harness.report.chart_style import to_svg
from harness.report.charts import levels_chart
from harness.report.levels import levels_report

ONE = Levels("everyday", None, 1, tuple(Level(n, 4.0 * n, 25.0, 26.5, 2.0 * (n - 1), 0) for n in (1, 2, 4)), "measured")
FOUR = Levels("second", 4, 2, (Level(1, 5.0, 20.0, 21.0, None, 0), Level(4, 11.0, 36.4, None, 0.5, 3)), "measured")


def printed(*found: Levels) -> str:
    file = io.StringIO()
    Console(file=file, width=80, color_system=None).print(levels_report(found))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def test_one_server() -> None:
    assert printed(ONE) == (
        "everyday  slots: 1 found (measured)\n"
        "\n"
        "  calls     wall     all    each    queue\n"
        "at once    clock   tok/s   tok/s     wait\n"
        "─────────────────────────────────────────\n"
        "      1   4.00 s    25.0    26.5      0 s\n"
        "      2   8.00 s    25.0    26.5   2.00 s\n"
        "      4   16.0 s    25.0    26.5   6.00 s"
    )


def test_two_servers_side_by_side_with_what_is_missing_and_short() -> None:
    assert printed(ONE, FOUR) == (
        "A: everyday  slots: 1 found (measured)\n"
        "B: second  slots: 2 found, 4 requested (measured)  not what was requested\n"
        "\n"
        "            wall     wall     all     all    each    each    queue    queue\n"
        "  calls    clock    clock   tok/s   tok/s   tok/s   tok/s     wait     wait\n"
        "at once        A        B       A       B       A       B        A        B\n"
        "───────────────────────────────────────────────────────────────────────────\n"
        "      1   4.00 s   5.00 s    25.0    20.0    26.5    21.0      0 s        -\n"
        "      2   8.00 s        -    25.0       -    26.5       -   2.00 s        -\n"
        "      4   16.0 s   11.0 s    25.0    36.4    26.5       -   6.00 s   500 ms\n"
        "second: 3 answers stopped before the requested length; rates count the tokens\n"
        "generated."
    )


def test_one_chart_with_both() -> None:
    words = " ".join(e.text or "" for e in ElementTree.fromstring(to_svg(levels_chart([ONE, FOUR]))).iter())
    for word in (
        "Aggregate throughput (measured)",
        "Wall-clock",
        "everyday (1 slot)",
        "second (2 slots)",
        "calls at once",
    ):
        assert word in words
