"""What `slotwise calibrate` does, apart from its options."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

from rich.console import Console

from harness.cli.probing import DEFAULT_MODEL, server_of
from harness.errors import UserError, did_you_mean
from harness.measure.burst_design import EFFORTS
from harness.measure.calibrate import Wanted, calibrate
from harness.profiles.load import dump_profile
from harness.report.calibration import calibration_report
from harness.report.progress import progress_for
from harness.report.text import plain
from harness.servers.machine import busy_cores, cores
from harness.units import safe_url
from harness.workload.schema import ENGINES

__all__ = ["calibrate_server", "wanted_of"]

DEFAULT_SLOTS = "1,4"
MOST_SLOTS = 64
BUSY_CORES = 0.3  # more than this is somebody else's work, and would be fitted with ours
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def calibrate_server(
    server: str,
    slots: str | None,
    model: str | None,
    *,
    name: str | None,
    out: Path | None,
    quick: bool,
    thorough: bool,
    pair: bool | None,
    machine: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Calibrate, write the profile, show it. Nothing is written before all of it is there."""
    if quick and thorough:
        raise UserError("expected at most one of --quick and --thorough")
    wanted, both = wanted_of(server, slots, model, pair, cores())
    name = name or (out.stem if out is not None else _name(server, model))
    if not NAME.fullmatch(name):
        raise UserError(f'--name: expected letters, digits, "-", "_" and ".", found "{name}"')
    path = out or Path("profiles") / f"{name}.yaml"
    _check_writable(path, force)
    effort = EFFORTS["quick" if quick else "thorough" if thorough else "default"]
    with progress_for(sys.stderr) as progress:
        busy = busy_cores()
        if busy is not None and busy > BUSY_CORES:
            progress.say(f"{busy:.1f} cores are busy with something else: a profile made now will be wrong by that")
        try:
            profile = asyncio.run(calibrate(name, wanted, effort, progress, pair=both, machine=machine))
        except KeyboardInterrupt:
            progress.say("interrupted: servers stopped, nothing written")
            raise
    said = {key: plain(getattr(profile, key)) for key in ("machine", "engine", "model")}  # by servers, for one
    profile = profile.model_copy(update=said)
    comment = "Fitted by `slotwise calibrate`; times in seconds. docs/calibration.md says how, and what each key means."
    _write(path, dump_profile(profile, comment))
    if as_json:
        print(json.dumps({"path": str(path), "profile": profile.model_dump(mode="json")}, indent=2))
    else:
        Console(highlight=False).print(calibration_report(profile, str(path)))


def wanted_of(
    server: str, slots: str | None, model: str | None, pair: bool | None, n_cores: int
) -> tuple[list[Wanted], bool]:
    """Read the command line into the servers to calibrate, and whether two are measured side by side.

    Raises:
        UserError: what is asked for cannot be.
    """
    if server.startswith(("http://", "https://")):
        if slots is not None:
            raise UserError(f"{safe_url(server)}: a running server has the slots that it has; leave --slots out")
        if pair:
            raise UserError(f"{safe_url(server)}: --pair starts two servers; it goes with {' and '.join(ENGINES)}")
        name, spec = server_of(server, model)
        return [Wanted(name, spec)], False
    if server not in ENGINES:
        kind, colon, number = server.partition(":")
        if kind in ENGINES and colon:
            raise UserError(f'expected {kind} alone, found "{server}"; do: slotwise calibrate {kind} --slots {number}')
        raise UserError(f'expected {", ".join(ENGINES)} or a URL, found "{server}"{did_you_mean(server, ENGINES)}')
    try:
        counts = sorted({int(word) for word in (slots or DEFAULT_SLOTS).split(",")})
    except ValueError:
        counts = []
    if not counts or counts[0] < 1 or counts[-1] > MOST_SLOTS:
        raise UserError(f'--slots: expected numbers from 1 to {MOST_SLOTS}, such as 1,4, found "{slots}"')
    able = len(counts) > 1 and n_cores > 1
    if pair and not able:
        why = "the machine has one core" if n_cores < 2 else "it needs two slot counts, such as --slots 1,4"
        raise UserError(f"--pair: {why}")
    both = (ENGINES[server].embedded and able) if pair is None else pair
    wanted = [Wanted(*server_of(f"{server}:{n}", model)) for n in counts]
    if both:
        for one in (wanted[0], wanted[-1]):
            wanted.append(Wanted(f"{one.name}-half", one.spec.halved(), half=True))
    return wanted, both


def _name(server: str, model: str | None) -> str:
    kind = server if server in ENGINES else safe_url(server).split("//")[1]
    text = f"{kind}-{Path(model).stem if model else DEFAULT_MODEL}"
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:63]


def _check_writable(path: Path, force: bool) -> None:
    """Before anything is measured: where will it go?"""
    if path.suffix not in (".yaml", ".yml"):
        raise UserError(f"{path}: expected the name of a .yaml file")
    if path.exists() and not force:
        raise UserError(f"{path} exists already; choose another --name or --out, or overwrite it with --force")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path.parent}: the folder cannot be made: {error.strerror}") from error


def _write(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise UserError(f"{path}: the profile cannot be written: {error.strerror}") from error
