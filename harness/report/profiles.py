"""`slotwise profile list` and `show`: profiles as tables for a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.profiles.figures import slot_figures
from harness.profiles.schema import Profile
from harness.report.summary import to_plain
from harness.report.text import plain
from harness.units import percent
from harness.wording.profiles import (
    beside,
    error_text,
    known_text,
    misfit,
    origin_text,
    to_make_sure,
    typical_error_text,
    unknown_parts,
)

__all__ = ["Listed", "print_profile", "print_profiles", "print_table", "profile_plain", "profiles_plain"]

_ABOUT = ("machine", "accelerator", "engine", "model", "model_id", "origin")
# The name of a profile, `shipped` or `own`, and the profile, or why it cannot be read.
Listed = tuple[str, str, Profile | None, str]


def print_profiles(found: Sequence[Listed], console: Console) -> None:
    """Print a row for each."""
    ascii_only = console.options.ascii_only
    table = Table(box=box.ASCII if ascii_only else box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
    for title in ("name", "machine", "model", "origin"):
        table.add_column(title, overflow="fold")
    table.add_column("slots", justify="right")
    table.add_column("median\nerror", justify="right", no_wrap=True)
    for name, kind, profile, _ in found:
        if profile is None:
            continue
        slots = ", ".join(map(str, profile.slot_counts))
        error = typical_error_text(profile) if profile.origin == "estimated" else ""
        error = error or ("-" if profile.held_out is None else percent(profile.held_out.median_error))
        origin = f"{profile.origin}, {kind}"
        table.add_row(*map(Text, map(plain, (name, profile.machine, profile.model, origin, slots, error))))
    console.print(table)
    console.print(
        Text("Error: on calls that were not fitted; of estimates on machines that were not, by kind of figure.")
    )
    for name, _, profile, mistake in found:
        if profile is None:
            console.print(Text(f"{plain(name)} cannot be read: {plain(mistake)}"))


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]], console: Console | None = None) -> None:
    """Print rows of plain texts; all columns but the first are on the right."""
    to = console or Console(highlight=False)
    style = box.ASCII if to.options.ascii_only else box.SIMPLE_HEAD
    table = Table(box=style, pad_edge=False, show_edge=False, padding=(0, 1))
    for number, title in enumerate(titles):
        table.add_column(title, overflow="fold", justify="right" if number else "left")
    for row in rows:
        table.add_row(*map(Text, map(plain, row)))
    to.print(table)


def print_profile(profile: Profile, console: Console) -> None:
    """Print what a profile knows, what it does not know, and what to measure."""
    ascii_only = console.options.ascii_only
    console.print(Text(plain(f"{profile.name}: {profile.machine}"), style="bold"))
    date = f", {profile.date}" if profile.date else ""
    for line in (f"{profile.model}; {profile.engine}", f"Origin: {origin_text(profile)}{date}", profile.source):
        console.print(Text(plain(line)))
    if profile.origin == "estimated" and (off := typical_error_text(profile)):
        console.print(Text(f"Median error on machines that were not fitted, by kind of figure: {off}"))
    else:
        console.print(Text(f"Error on calls that were not fitted: {error_text(profile.held_out)}"))
    if text := misfit(profile):
        console.print(Text(f"! {text}"))
    console.print(Text("\nWhat it knows, with 95 % intervals (tokens per second, at an empty context)", style="bold"))
    table = Table(box=box.ASCII if ascii_only else box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
    for title in ("slots", "one call", "all slots", "prompt", "call besides"):
        table.add_column(title, justify="left" if title == "slots" else "right")
    for one in slot_figures(profile):
        slots = f"{one.slots}{', half of the cores' if one.half else ''}"
        rates = [known_text(found, "tok/s") for found in (one.alone, one.together, one.prompt)]
        table.add_row(slots, *map(_below, (*rates, known_text(one.overhead, "s"))))
    console.print(table)
    for name, text in beside(profile):
        console.print(Text(f"{name:<14}{plain(text)}"))
    if lacking := unknown_parts(profile):
        console.print(Text("\nNot known", style="bold"))
        for text in lacking:
            console.print(Text(f"- {text}"))
    console.print(Text(""))
    console.print(Text(plain(to_make_sure(profile))), soft_wrap=True)


def _below(text: str) -> Text:
    """Put an interval below its figure."""
    value, _, interval = text.partition(" (")
    return Text(value).append(f"\n{interval.removesuffix(')')}" if interval else "", style="dim")


def profiles_plain(found: Sequence[Listed]) -> list[dict[str, Any]]:
    """Return the list for `--json`."""
    rows: list[dict[str, Any]] = []
    for name, kind, profile, mistake in found:
        row: dict[str, Any] = {"name": name, "kind": kind}
        if profile is None:
            rows.append({**row, "mistake": mistake})
            continue
        held = None if profile.held_out is None else profile.held_out.model_dump()
        about = {
            key: getattr(profile, key) for key in ("machine", "accelerator", "engine", "model", "model_id", "origin")
        }
        rows.append({**row, **about, "slots": list(profile.slot_counts), "held_out": held})
    return rows


def profile_plain(name: str, kind: str, profile: Profile) -> dict[str, Any]:
    """Return one for `--json`: rates in tokens per second, times in seconds."""
    (row,) = profiles_plain([(name, kind, profile, "")])
    off = typical_error_text(profile) if profile.origin == "estimated" else ""
    known = {
        "figures": to_plain(slot_figures(profile)),
        "not_known": list(unknown_parts(profile)),
        "median_error": off or None,
    }
    return {**row, "source": profile.source, "date": profile.date, **known, "to_make_sure": to_make_sure(profile)}
