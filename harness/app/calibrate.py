"""Fit a profile of a server, for predictions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from harness.app.loops import finished
from harness.app.machine import others_busy
from harness.app.options import CalibrateOptions
from harness.app.servers import server_named
from harness.errors import UserError
from harness.measure import calibrate as measuring
from harness.measure.burst_design import EFFORTS
from harness.measure.calibrate import ToCalibrate
from harness.measure.progress import SILENT, Progress
from harness.profiles.load import dump_profile
from harness.profiles.schema import Profile
from harness.report.text import plain
from harness.servers.machine import cores
from harness.units import safe_url
from harness.workload.schema import ENGINES, kind_hint

__all__ = ["Calibrated", "calibrate", "check_profile_name", "check_writable", "to_calibrate", "write_profile"]

DEFAULT_SLOTS = (1, 4)
MOST_SLOTS = 64
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Calibrated(NamedTuple):
    """A profile, and the file that it was written to."""

    profile: Profile
    path: Path


def calibrate(server: str, options: CalibrateOptions = CalibrateOptions(), progress: Progress = SILENT) -> Calibrated:
    """Measure what a server costs, step by step, and write the profile that predictions are made with.

    Nothing is written before all of it is there.

    Args:
        server: a kind that is started once for every number of slots, or the URL of a running one.
        options: what is calibrated, how thoroughly, and where the profile goes.
        progress: is told what goes on.

    Raises:
        UserError: something that cannot be, or a file that cannot be written.
        ServerFailure: a server could not be started, reached or fitted.
        KeyboardInterrupt: it was interrupted; the servers are stopped and nothing is written.
    """
    servers, pair = to_calibrate(server, options.slots, options.model, options.pair, cores())
    if options.embed is not None and not servers[-1].spec.embeds:
        raise UserError(
            f"--embed: the embedded engine has no embedding models; calibrate an Ollama that has {options.embed}: "
            f"slotwise calibrate ollama --model NAME --embed {options.embed}"
        )
    out = options.out
    name = options.name or (out.stem if out is not None else _name(server, options.model or servers[0].spec.model))
    check_profile_name(name)
    path = out or Path("profiles") / f"{name}.yaml"
    check_writable(path, options.force)
    busy = others_busy()
    if busy is not None:
        progress.say(f"other programs keep {busy:.1f} cores busy: a profile made now will be off by that")
    effort = EFFORTS[options.effort]
    try:
        profile = finished(
            measuring.calibrate(
                name, servers, effort, progress, pair=pair, machine=options.machine, embed=options.embed
            )
        )
    except KeyboardInterrupt:
        progress.say("interrupted: servers stopped, nothing written")
        raise
    said = {key: plain(getattr(profile, key)) for key in ("machine", "engine", "model")}  # by servers, for one
    profile = profile.model_copy(update=said)
    comment = "Fitted by `slotwise calibrate`; times in seconds. docs/explanation/calibration.md explains each key."
    write_profile(path, profile, comment)
    return Calibrated(profile, path)


def to_calibrate(
    server: str, slots: tuple[int, ...] | None, model: str | None, pair: bool | None, n_cores: int
) -> tuple[list[ToCalibrate], bool | None]:
    """Return the servers to calibrate, and whether two are measured side by side; None: where they share a device.

    Raises:
        UserError: what is asked for cannot be.
    """
    if server.startswith(("http://", "https://")):
        if slots is not None:
            raise UserError(f"{safe_url(server)}: a running server has the slots that it has; leave --slots out")
        if pair:
            raise UserError(f"{safe_url(server)}: --pair starts two servers; it goes with {' and '.join(ENGINES)}")
        name, spec = server_named(server, model)
        return [ToCalibrate(name, spec)], False
    if server not in ENGINES:
        kind, colon, number = server.partition(":")
        if kind in ENGINES and colon:
            raise UserError(f'expected {kind} alone, found "{server}"; do: slotwise calibrate {kind} --slots {number}')
        raise UserError(f'expected {", ".join(ENGINES)} or a URL, found "{server}"{kind_hint(server)}')
    counts = sorted(set(DEFAULT_SLOTS if slots is None else slots))
    if not counts or counts[0] < 1 or counts[-1] > MOST_SLOTS:
        found = ",".join(map(str, slots or ()))
        raise UserError(f'--slots: expected numbers from 1 to {MOST_SLOTS}, such as 1,4, found "{found}"')
    able = len(counts) > 1 and n_cores > 1
    if pair and not able:
        why = "the machine has one core" if n_cores < 2 else "it needs two slot counts, such as --slots 1,4"
        raise UserError(f"--pair: {why}")
    both = pair
    if pair is None:
        both = True if ENGINES[server].embedded and able else None if len(counts) > 1 else False
    servers = [ToCalibrate(*server_named(f"{server}:{n}", model)) for n in counts]
    if both:
        for one in (servers[0], servers[-1]):
            servers.append(ToCalibrate(f"{one.name}-half", one.spec.halved(), half=True))
    return servers, both


def _name(server: str, model: str) -> str:
    kind = server if server in ENGINES else safe_url(server).split("//")[1]
    text = f"{kind}-{Path(model).stem}"
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:63]


def check_profile_name(name: str) -> None:
    """Raise UserError where a profile cannot be called that."""
    if not NAME.fullmatch(name):
        raise UserError(f'--name: expected letters, digits, "-", "_" and ".", found "{name}"')


def check_writable(path: Path, force: bool) -> None:
    """Before anything is measured: where will it go? UserError where it cannot go there."""
    if path.suffix not in (".yaml", ".yml"):
        raise UserError(f"{path}: expected the name of a .yaml file")
    if path.exists() and not force:
        raise UserError(f"{path} exists already; choose another --name or --out, or overwrite it with --force")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path.parent}: the folder cannot be made: {error.strerror}") from error


def write_profile(path: Path, profile: Profile, comment: str) -> None:
    """Write a profile; UserError where it cannot be written."""
    text = dump_profile(profile, comment)
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise UserError(f"{path}: the profile cannot be written: {error.strerror}") from error
