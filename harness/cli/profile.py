"""`slotwise profile`: the profiles of machines that there are, and what each knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.help import Command, Commands
from harness.cli.options import Json, device_option, force_option, model_option, out_option, quant_option, whole_numbers
from harness.errors import UserError
from harness.units import read_size, size

__all__ = ["app"]

app = typer.Typer(
    cls=Commands, help="Profiles of machines: list them, show what one knows, estimate a new one.", no_args_is_help=True
)


@app.command("list", cls=Command)
def list_(as_json: Json = False) -> None:
    """List the profiles that --profile NAME finds: shipped ones, and your own."""
    from harness.app.profiles import known_profiles
    from harness.report.profiles import print_profiles, profiles_plain

    found = [(one.name, one.kind, one.profile, one.mistake) for one in known_profiles()]
    if as_json:
        import json

        print(json.dumps(profiles_plain(found), indent=2))
        return
    from rich.console import Console

    print_profiles(found, Console(highlight=False))


@app.command(cls=Command)
def show(
    name: Annotated[str, typer.Argument(help="Its name, or a file.", show_default=False)], as_json: Json = False
) -> None:
    """Show what a profile knows, how sure that is, and what to measure to make it sure."""
    from harness.app.profiles import known_profile
    from harness.report.profiles import print_profile, profile_plain

    found = known_profile(name)
    assert found.profile is not None  # else it was raised
    if as_json:
        import json

        print(json.dumps(profile_plain(found.name, found.kind, found.profile), indent=2))
        return
    from rich.console import Console

    print_profile(found.profile, Console(highlight=False))


@app.command(cls=Command)
def new(
    device: Annotated[
        str | None, device_option('Its name, such as "RTX 4090"; `slotwise profile devices` lists them.')
    ] = None,
    model: Annotated[
        str, model_option("A model of `slotwise profile models`, or the path of a GGUF file.")
    ] = "llama3.1:8b",
    model_from: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Of any other model: an Ollama that has it, or a file with what its /api/show answered."
        ),
    ] = None,
    quant: Annotated[
        str | None, quant_option("Number format of the weights, such as q4_k_m; default: as usually published.")
    ] = None,
    slots: Annotated[str, typer.Option(help="Slot counts, comma-separated.")] = "1,2,4,8",
    context: Annotated[int, typer.Option(help="Tokens of context of one slot, for the memory.")] = 4096,
    bandwidth: Annotated[
        float | None, typer.Option(metavar="GB/S", help="Of a device that is not listed: of its memory.")
    ] = None,
    fp16_tflops: Annotated[
        float | None, typer.Option(metavar="N", help="The same: its dense FP16 rate in TFLOPS.")
    ] = None,
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help="The same: its memory, such as 24GB.")] = None,
    decode: Annotated[
        float | None, typer.Option(metavar="TOK/S", help="Measured there: tokens a second of one call alone.")
    ] = None,
    decode_at: Annotated[
        list[str] | None,
        typer.Option(metavar="N=TOK/S", help="Measured there: of N calls together. Repeat it for each N."),
    ] = None,
    prefill: Annotated[
        float | None, typer.Option(metavar="TOK/S", help="Measured there: prompt tokens a second.")
    ] = None,
    bench: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="What llama-bench, llama-batched-bench or `slotwise probe --json` printed there."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the profile; default: from device and model.")] = None,
    out: Annotated[Path | None, out_option("File to write; default: profiles/NAME.yaml.")] = None,
    force: Annotated[bool, force_option("Overwrite an existing file.")] = False,
    as_json: Json = False,
) -> None:
    """Estimate a profile of a machine that you do not have. Each figure that you know makes it better."""
    from harness.app.estimate import EstimateOptions, new_profile

    memory_bytes = None
    if memory is not None and (memory_bytes := read_size(memory)) is None:
        raise UserError(f'--memory: expected a size such as 24GB, found "{memory}"')
    options = EstimateOptions(
        device=device, model=model, model_from=model_from, quant=quant,
        slots=whole_numbers("--slots", slots, "such as 1,4"), context_tokens=context,
        bandwidth_gb_s=bandwidth, fp16_tflops=fp16_tflops, memory_bytes=memory_bytes,
        decode=decode, decode_at=_rates(decode_at or ()), prefill=prefill, bench=bench, name=name, out=out, force=force,
    )  # fmt: skip
    made = new_profile(options)
    from harness.report.profiles import print_profile, profile_plain

    if as_json:
        import json

        print(json.dumps(profile_plain(made.profile.name, "own", made.profile), indent=2))
        return
    from rich.console import Console

    console = Console(highlight=False)
    print_profile(made.profile, console)
    console.print(f"\nWrote {made.path}. Use it: --profile {made.profile.name}", markup=False, soft_wrap=True)


def _rates(pairs: Sequence[str]) -> dict[int, float]:
    found: dict[int, float] = {}
    for pair in pairs:
        n, _, rate = pair.partition("=")
        try:
            number, value = int(n), float(rate)
        except ValueError:
            raise UserError(f'--decode-at: expected N=TOK/S, such as 4=360, found "{pair}"') from None
        if found.setdefault(number, value) != value:
            raise UserError(f"--decode-at {number}: given twice, as {found[number]:g} and as {value:g}; give one")
    return found


@app.command(cls=Command)
def devices(as_json: Json = False) -> None:
    """List the devices that a profile can be estimated for."""
    from harness.app.estimate import device_rows
    from harness.report.profiles import print_table

    rows = device_rows()
    if as_json:
        import json

        print(json.dumps(rows, indent=2))
        return
    print_table(
        ("device", "memory", "GB/s", "FP16 TFLOPS", "kernels"),
        [
            (
                one["name"],
                size(one["memory_bytes"]),
                f"{one['bandwidth_gb_s']:g}",
                f"{one['fp16_tflops']:g}",
                one["family"],
            )
            for one in rows
        ],
    )


@app.command(cls=Command)
def models(as_json: Json = False) -> None:
    """List the models that a profile can be estimated for; of any other name its GGUF file."""
    from harness.app.estimate import model_rows
    from harness.report.profiles import print_table

    rows = model_rows()
    if as_json:
        import json

        print(json.dumps(rows, indent=2))
        return
    print_table(
        ("model", "parameters", "active", "layers", "file", "cache of a token"),
        [
            (
                one["name"], f"{one['parameters'] / 1e9:.1f}e9", f"{one['active_parameters'] / 1e9:.1f}e9",
                str(one["layers"]), f"{size(one['bytes'])} {one['quant']}", size(one["kv_bytes_per_token"]),
            )
            for one in rows
        ],
    )  # fmt: skip
