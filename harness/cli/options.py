"""Options that several commands have, each declared once; and values that are typed as text. Nothing heavy is here.

An option that says the same everywhere is a type. One that each command says in its own words is a function of them.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.errors import UserError
from harness.units import read_seconds, read_server, read_size, safe_url

__all__ = [
    "PROFILES",
    "Assume",
    "Engine",
    "Extrapolate",
    "FailOnRun",
    "Force",
    "Full",
    "Json",
    "Junit",
    "Model",
    "Policies",
    "Prices",
    "Quiet",
    "Repeats",
    "Resamples",
    "Scale",
    "Seed",
    "Servers",
    "again",
    "assume_option",
    "engine_option",
    "extrapolate_option",
    "fail_on_option",
    "force_option",
    "json_option",
    "lever_option",
    "lever_values",
    "memory_bytes",
    "model_option",
    "numbers",
    "only_option",
    "out_option",
    "output_option",
    "profile_option",
    "repeats_option",
    "server_option",
    "server_urls",
    "settings_option",
    "time_s",
    "typed",
    "whole_numbers",
]


def _declared(*flags: str) -> Callable[..., Any]:
    """Return what declares an option of these flags in a command's own words."""
    return lambda about, **more: typer.Option(*flags, help=about, **more)


# What is run.
only_option = _declared("--only")
Scale = Annotated[int, typer.Option("--scale", min=1, help="Multiply the number of jobs of every pipeline.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of all random draws.")]
Policies = Annotated[
    Path | None,
    typer.Option(
        "--policies",
        metavar="FILE",
        help="Python file with your own policies. It is executed.",
        show_default=False,
    ),
]

# On which servers.
engine_option = _declared("--engine")
model_option = _declared("--model")
server_option = _declared("--server")
lever_option = _declared("--lever")
Engine = Annotated[str | None, engine_option('"ollama": managed Ollama for the embedded engine.', metavar="ENGINE")]
Model = Annotated[str | None, model_option("Use this model instead of the workload's.", metavar="NAME")]
Servers = Annotated[
    list[str] | None,
    server_option("Measure on this running server; with a name, in that server's place.", metavar="[NAME=]URL"),
]

# On which profile.
profile_option = _declared("--profile")
PROFILES = "Profile of the machine: a name or a file; several by name are compared, or as MACHINE=NAME, MODEL=NAME."
assume_option = _declared("--assume")
extrapolate_option = _declared("--extrapolate")
Assume = Annotated[list[str] | None, assume_option("A value that the profile lacks.", metavar="KEY=NUMBER")]
Prices = Annotated[
    list[str] | None,
    typer.Option("--price", metavar="NAME=NUMBER", help="What a machine costs, in any currency; repeatable."),
]
device_option = _declared("--device")
quant_option = _declared("--quant")
Devices = Annotated[
    list[str] | None,
    device_option("Estimate the profile of this machine, with --model; several are compared.", metavar="NAME"),
]
Quant = Annotated[str | None, quant_option("With --device: number format of the model's weights.")]
Extrapolate = Annotated[bool, extrapolate_option("Extrapolate slot settings that the profile lacks.")]
Resamples = Annotated[
    int | None,
    typer.Option("--resamples", min=0, max=1000, help="Resampled profiles, for the uncertainty: 20, or 0 for none."),
]

# How often.
repeats_option = _declared("--repeats")
Repeats = Annotated[int | None, repeats_option("Measured repeats of each candidate.", min=1)]

# What comes out.
json_option = _declared("--json")
fail_on_option = _declared("--fail-on")
FailOnRun = Annotated[
    list[str] | None,
    fail_on_option(
        'Exit with 1 on missed "goals", on "failures", or unless this holds: "chat.p95_s<2"; repeatable.',
        metavar="WHAT",
    ),
]
Junit = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", help="Also write JUnit XML for CI to this file.")
]
force_option = _declared("--force")
out_option = _declared("--out")
output_option = _declared("-o", "--out")
settings_option = _declared("--settings")
Full = Annotated[bool, typer.Option("--full", help="Print the whole report, not only the answer.")]
Force = Annotated[bool, force_option("Overwrite existing files.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the answer alone: no progress, no hints.")]
Json = Annotated[bool, json_option("Print JSON.")]


# --- values -----------------------------------------------------------------------------------------------------------


def typed() -> str:
    """Return the command line as it was typed; it may have credentials in it."""
    return shlex.join(["slotwise", *sys.argv[1:]])


def again() -> str:
    """Return the command line as it was typed, less what changes how its answer is shown, and without credentials."""
    words, kept = iter(sys.argv[1:]), []
    for word in words:
        if word in ("--settings", "--out", "-o", "--fail-on", "--junit"):
            next(words, "")
        elif word not in ("--full", "--json", "--quiet", "-q"):
            kept.append(word)
    return safe_url(shlex.join(["slotwise", *kept]))


def numbers(flag: str, pairs: Iterable[str] | None, example: str, what: str = "KEY") -> dict[str, float]:
    """Read KEY=NUMBER pairs; UserError where one is none."""
    values = {}
    for pair in pairs or ():
        key, _, number = pair.partition("=")
        try:
            values[key] = float(number)
        except ValueError:
            raise UserError(f'{flag}: expected {what}=NUMBER, such as {example}, found "{pair}"') from None
    return values


def whole_numbers(flag: str, text: str, expected: str) -> tuple[int, ...]:
    """Read numbers between commas; UserError where one is none."""
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise UserError(f'{flag}: expected numbers {expected}, found "{text}"') from None


def server_urls(pairs: Iterable[str] | None) -> dict[str, str]:
    """Read NAME=URL pairs, or one URL alone, which is of "": every server; UserError where one is none."""
    urls = {}
    given = list(pairs or ())
    for pair in given:
        name, url = read_server(pair)
        if not url:
            raise UserError(
                "--server: expected a URL, such as http://127.0.0.1:11434, or NAME=URL, such as "
                f'four-slot=http://127.0.0.1:11434, found "{safe_url(pair)}"'
            )
        urls[name] = url
    if "" in urls and len(given) > 1:
        raise UserError("--server: a URL without a name stands for every server; give it alone, or a name to each URL")
    return urls


def lever_values(pairs: Iterable[str] | None) -> dict[str, str]:
    """Read NAME=VALUE pairs; UserError where one is none, or a lever is given twice."""
    values: dict[str, str] = {}
    for pair in pairs or ():
        name, separator, value = (part.strip() for part in pair.partition("="))
        if not (name and separator and value):
            raise UserError(f'--lever: expected NAME=VALUE, such as ram_cache=off, found "{pair}"')
        if values.setdefault(name, value) != value:
            raise UserError(f'--lever {name}: given twice, as "{values[name]}" and as "{value}"; give one')
    return values


def time_s(flag: str, text: str) -> float:
    """Read a time such as 90s, 5m or 1h; UserError where it is none."""
    found = read_seconds(text)
    if found is None or found == 0:
        raise UserError(f'{flag}: expected a time such as 90s, 5m or 1h, found "{text}"')
    return found


def memory_bytes(text: str | None) -> int | None:
    """Read a size such as 8GB; UserError where it is none."""
    found = None if text is None else read_size(text)
    if text is not None and found is None:
        raise UserError(f'--memory: expected a size such as 8GB or 512MB, found "{text}"')
    return found
