"""Several machines in one command: what `simulate` and `recommend --no-measure` do with several `--profile`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.app.options import MachinesOptions, RecommendOptions, SimulateOptions
from harness.cli.options import numbers, typed
from harness.errors import UserError
from harness.units import safe_url

__all__ = ["compare_and_show", "of_one_machine", "several_machines", "with_devices"]


def with_devices(
    profiles: Sequence[str] | None,
    price: Sequence[str] | None,
    devices: Sequence[str] | None,
    model: str | None,
    quant: str | None,
) -> tuple[list[str], list[str]]:
    """Return the profiles and prices with those of devices that are estimated; a price may name the device.

    Raises:
        UserError: an unknown device or model, or --quant without a device.
    """
    named, prices = list(profiles or ()), list(price or ())
    if not devices:
        if quant is not None:
            raise UserError("--quant goes with --device")
        return named, prices
    from harness.app.estimate import device_name, device_profiles

    for at, pair in enumerate(prices):
        name, sign, number = pair.rpartition("=")
        if device_name(name) in map(device_name, devices):
            prices[at] = f"{device_name(name)}{sign}{number}"
    return [*named, *device_profiles(devices, model, quant)], prices


def several_machines(profiles: Sequence[str] | None, price: Sequence[str] | None) -> bool:
    """Tell whether several profiles are named that are each for everything: then machines are compared.

    Raises:
        UserError: prices are given and no machines are compared.
    """
    several = len(profiles or ()) > 1 and not any("=" in text for text in profiles or ())
    if price and not several:
        raise UserError("--price: expected two or more machines to compare, each a --profile NAME or a --device NAME")
    return several


def of_one_machine(options: Sequence[str], profiles: Sequence[str] | None) -> None:
    """Refuse options that are about one machine where several are compared.

    Raises:
        UserError: there is such an option.
    """
    if not options:
        return
    names = [Path(name).stem if name.endswith((".yaml", ".yml")) else name for name in profiles or ()]
    what = " and ".join(options)
    raise UserError(
        f"{what}: expected one machine, found {len(names)} to compare ({', '.join(names)}). Name one of them alone "
        f"(--profile or --device), or leave {what} out to compare them"
    )


def compare_and_show(
    file: Path,
    each: SimulateOptions | RecommendOptions,
    price: Sequence[str] | None,
    *,
    out: Path | None,
    as_json: bool,
    quiet: bool = False,
) -> None:
    """Compare the machines whose profiles the assumptions of `each` name, and print the answer."""
    prices = numbers("--price", price, '"h100-8b=25000"', "NAME")
    for name, number in prices.items():
        if not 0 <= number < float("inf"):
            raise UserError(f"--price {name}: expected 0 or more, found {number:g}")
    options = MachinesOptions(profiles=each.assumptions.profiles, each=each, prices=prices)
    from harness.app.machines import compare_machines, keep_machines
    from harness.report.machines import machines_text, print_machines
    from harness.report.progress import progress_for

    with progress_for(sys.stderr, quiet=quiet) as progress:
        found = compare_machines(file, options, progress)
    if as_json:
        print(machines_text(found), end="")
    else:
        from rich.console import Console

        print_machines(found, Console(highlight=False))
    if out is not None:
        folder = keep_machines(found, out, safe_url(typed()))
        if not quiet:
            print(f"\nReport: {folder / 'report.html'}", file=sys.stderr)
