"""`slotwise calibrate`: fit a profile of a server, for predictions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.app.options import CalibrateOptions
from harness.cli.options import force_option, json_option, model_option, out_option, whole_numbers
from harness.errors import UserError

__all__ = ["calibrate"]


def calibrate(
    server: Annotated[
        str,
        typer.Argument(
            metavar="SERVER",
            help="llamacpp or ollama (started once for each slot count), or the URL of a running server.",
            show_default=False,
        ),
    ],
    slots: Annotated[
        str | None, typer.Option(help="Slot counts, comma-separated; not with a URL.  [default: 1,4]")
    ] = None,
    model: Annotated[str | None, model_option("Model name, or the path of a GGUF file.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the profile; default: from server and model.")] = None,
    out: Annotated[Path | None, out_option("File to write; default: profiles/NAME.yaml.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Take about 20 s for each slot count instead of a minute.")
    ] = False,
    thorough: Annotated[bool, typer.Option("--thorough", help="Take about 5 min for each slot count.")] = False,
    pair: Annotated[
        bool | None,
        typer.Option(
            "--pair/--no-pair",
            help="Also measure servers with half of the cores, alone and side by side; "
            "default: yes, if llamacpp has two slot counts and the machine two cores.",
            show_default=False,
        ),
    ] = None,
    machine: Annotated[str | None, typer.Option(help="What to call this machine; default: its processor.")] = None,
    force: Annotated[bool, force_option("Overwrite an existing file.")] = False,
    as_json: Annotated[bool, json_option("Print the profile as JSON instead.")] = False,
) -> None:
    """Measure what a server costs, step by step, and write the profile that predictions are made with."""
    if quick and thorough:
        raise UserError("expected at most one of --quick and --thorough")
    options = CalibrateOptions(
        slots=None if slots is None else whole_numbers("--slots", slots, "from 1 to 64, such as 1,4"),
        model=model,
        effort="quick" if quick else "thorough" if thorough else "default",
        pair=pair,
        name=name,
        machine=machine,
        out=out,
        force=force,
    )
    from harness.app.calibrate import calibrate as fit
    from harness.report.progress import progress_for

    with progress_for(sys.stderr) as progress:
        profile, path = fit(server, options, progress)
    if as_json:
        import json

        print(json.dumps({"path": str(path), "profile": profile.model_dump(mode="json")}, indent=2))
    else:
        from rich.console import Console

        from harness.report.calibration import calibration_report

        Console(highlight=False).print(calibration_report(profile, str(path)))
