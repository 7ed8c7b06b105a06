"""`slotwise compare`: one run against another of the same work."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.app.gate import read_regression
from harness.cli.conclude import fails, says_why_to_junit
from harness.cli.options import Full, Junit, Quiet, fail_on_option, json_option, typed

__all__ = ["compare"]


@says_why_to_junit
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run folders, or names of runs in reports/; the others are compared with the first."),
    ],
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compare all of them with this: a summary.json or a run folder."),
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        fail_on_option(
            'Exit with 1 on a "regression", on one of 10 % or more: "regression=10%", or on "unresolved"; repeatable.',
            metavar="WHAT",
        ),
    ] = None,
    junit: Junit = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown instead.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write an HTML page to this file; an older one is replaced."),
    ] = None,
    full: Full = False,
    quiet: Quiet = False,
    as_json: Annotated[bool, json_option("Print JSON instead.")] = False,
) -> None:
    """Say what became faster or slower from one run to the next, per candidate and path, with intervals."""
    wanted = read_regression(fail_on or ())
    from harness.app.compare import compare as join
    from harness.app.compare import keep_page

    compared = join(runs, baseline)
    if html is not None:  # written first: it also says why runs cannot be compared
        keep_page(compared, html, typed())
        if not quiet:
            print(f"Page: {html}", file=sys.stderr)
    found = compared.found
    if as_json:
        import json

        from harness.report.between import between_plain

        print(json.dumps({"compare_version": 1, "comparisons": [between_plain(one) for one in found]}, indent=2))
    elif markdown:
        from harness.report.between import between_markdown

        print(between_markdown(found), end="")
    else:
        from rich.console import Console

        from harness.report.between import print_between

        print_between(found, [run for _, run in compared.runs], Console(highlight=False), full=full)
    from harness.app.gate import comparison_cases, keep_junit

    cases = comparison_cases(found, wanted)
    if junit is not None:
        keep_junit(junit, "compare", cases)
    raise typer.Exit(fails(cases))
