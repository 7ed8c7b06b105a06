"""`slotwise doctor`: what is there, in a line each, and what to do about what is not."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.options import Json, server_option

__all__ = ["doctor"]


def doctor(
    server: Annotated[
        list[str] | None,
        server_option("Also ask this running server, Ollama or OpenAI's API; repeatable.", metavar="URL"),
    ] = None,
    json: Json = False,
) -> None:
    """Say what this machine has for running workloads, and what to do about what is missing."""
    from harness.app.doctor import able, conclusion, examine

    findings = examine(server or ())
    if json:
        import json as json_module

        typer.echo(json_module.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        import shutil
        import textwrap

        width = max(60, shutil.get_terminal_size((80, 24)).columns)
        typer.echo(textwrap.fill(conclusion(findings), width) + "\n")
        marks = {"ok": "ok     ", "missing": "missing", "warning": "warning"}
        for finding in findings:
            text = finding.found + (f". {finding.advice}" if finding.advice else "")
            head = f"{marks[finding.state]}  {finding.what:<12} "
            typer.echo(textwrap.fill(text, width, initial_indent=head, subsequent_indent=" " * len(head)))
    if not able(findings):
        raise typer.Exit(3)
