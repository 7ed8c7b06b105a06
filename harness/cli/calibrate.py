"""`slotwise calibrate`: fit a profile of a server, for predictions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.app.options import CalibrateOptions, RecordedOptions
from harness.cli.options import Quiet, engine_option, force_option, json_option, model_option, out_option, whole_numbers
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.app.calibrate import Calibrated

__all__ = ["calibrate"]


def calibrate(
    server: Annotated[
        str | None,
        typer.Argument(
            metavar="SERVER",
            help="llamacpp or ollama (started once for each slot count), or the URL of a running server.",
            show_default=False,
        ),
    ] = None,
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
            help="Also measure two servers side by side: on half of the cores each, or sharing the device where the "
            "model is on an accelerator; default: yes, if there are two slot counts and, for llamacpp, two cores, or "
            "room for both on the accelerator.",
            show_default=False,
        ),
    ] = None,
    embed: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Also measure what embedding with this model costs.", show_default=False),
    ] = None,
    machine: Annotated[str | None, typer.Option(help="What to call this machine; default: its processor.")] = None,
    recorded: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Fit recorded calls instead of measuring: JSON lines of streamed calls. Repeat it for every file; "
            "FILE:ram_cache=off,kv_unified=on where the server had other levers.",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[str, engine_option("With --from: the engine and its version.")] = "ollama",
    context: Annotated[int, typer.Option(help="With --from: tokens of context of one slot.")] = 2048,
    kv_bytes: Annotated[
        str | None,
        typer.Option(
            "--kv-bytes",
            metavar="N|FILE",
            help="With --from: bytes of a token in the KV cache, or the GGUF file whose header says them (at f16).",
            show_default=False,
        ),
    ] = None,
    note: Annotated[str | None, typer.Option(help="With --from: what a reader of the profile must know.")] = None,
    date: Annotated[str | None, typer.Option(help="With --from: when it was recorded.")] = None,
    force: Annotated[bool, force_option("Overwrite an existing file.")] = False,
    quiet: Quiet = False,
    as_json: Annotated[bool, json_option("Print the profile as JSON instead.")] = False,
) -> None:
    """Measure what a server costs, step by step, and write the profile that predictions are made with."""
    if quick and thorough:
        raise UserError("expected at most one of --quick and --thorough")
    from harness.report.progress import progress_for

    if recorded:
        if server is not None:
            raise UserError("expected a server or --from, found both")
        if name is None or machine is None:
            raise UserError("--from: give --name and --machine: the recordings do not say what they are of")
        from harness.app.calibrate_from import bytes_of, calibrate_from, recording_of

        per_token, of_file = (None, None) if kv_bytes is None else bytes_of(kv_bytes)
        recorded_on = RecordedOptions(
            name=name,
            machine=machine,
            engine=engine,
            model=model or "unknown",
            context_tokens=context,
            kv_bytes=per_token,
            model_bytes=of_file,
            note=note,
            date=date,
            out=out,
            force=force,
        )
        with progress_for(sys.stderr, quiet=quiet) as progress:
            _print(calibrate_from([recording_of(text) for text in recorded], recorded_on, progress), as_json=as_json)
        return
    if server is None:
        raise UserError("expected a server (llamacpp, ollama or a URL), or recordings with --from FILE")
    options = CalibrateOptions(
        slots=None if slots is None else whole_numbers("--slots", slots, "from 1 to 64, such as 1,4"),
        model=model,
        effort="quick" if quick else "thorough" if thorough else "default",
        pair=pair,
        name=name,
        machine=machine,
        embed=embed,
        out=out,
        force=force,
    )
    from harness.app.calibrate import calibrate as fit

    with progress_for(sys.stderr, quiet=quiet) as progress:
        fitted = fit(server, options, progress)
    _print(fitted, as_json=as_json)


def _print(fitted: Calibrated, *, as_json: bool) -> None:
    profile, path = fitted
    if as_json:
        import json

        print(json.dumps({"path": str(path), "profile": profile.model_dump(mode="json")}, indent=2))
    else:
        from rich.console import Console

        from harness.report.calibration import calibration_report

        Console(highlight=False).print(calibration_report(profile, str(path)))
