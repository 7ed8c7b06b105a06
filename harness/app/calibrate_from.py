"""A profile from recordings of streamed calls: of a machine that is not at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness import __version__
from harness.app.calibrate import Calibrated, check_profile_name, check_writable, write_profile
from harness.app.options import RecordedOptions
from harness.core.levers import Levers
from harness.errors import UserError
from harness.measure.footprint import footprint_of_file
from harness.measure.progress import SILENT, Progress
from harness.profiles.model_id import model_id
from harness.profiles.recorded import Recording, fit_recordings
from harness.profiles.schema import MemoryUse, Profile
from harness.units import count

__all__ = ["bytes_of", "calibrate_from", "recording_of"]

COMMENT = "Fitted by `slotwise calibrate --from`; times in seconds. docs/explanation/calibration.md explains each key."
KV_BYTES_MAX = 1 << 30  # no model takes more than a few megabytes
SWITCHES = {"on": True, "off": False}


def calibrate_from(
    recordings: Sequence[Recording], options: RecordedOptions, progress: Progress = SILENT
) -> Calibrated:
    """Fit a profile to recorded calls, and write it.

    Args:
        recordings: files as `harness.profiles.streams` reads them.
        options: what they are of, and where the profile goes.
        progress: is told what goes on.

    Raises:
        UserError: a file cannot be read, fitted or written.
    """
    check_profile_name(options.name)
    path = options.out or Path("profiles") / f"{options.name}.yaml"
    check_writable(path, options.force)
    progress.say(f"fitting {count(len(recordings), 'recording')}")
    found = fit_recordings(recordings, options.context_tokens, options.kv_bytes)
    if found.without:
        progress.say(f"{count(found.without, 'call')} without a final line left out")
    for slots, share in found.explained.items():
        progress.say(
            f"{count(slots, 'slot')}: {share:.0%} of the times between tokens are what the busy slots let expect"
        )
    slot_bytes = None if options.kv_bytes is None else options.kv_bytes * options.context_tokens
    profile = Profile(
        version=1,
        name=options.name,
        origin="measured",
        source=f"slotwise {__version__} calibrate --from: {count(found.calls, 'recorded call')}",
        date=options.date,
        machine=options.machine,
        engine=options.engine,
        model=options.model,
        model_id=model_id(options.model.split()[0]),
        slots=found.slots,
        contention=None,
        memory=MemoryUse(model_bytes=options.model_bytes, slot_bytes=slot_bytes, context_tokens=options.context_tokens),
        held_out=found.held_out,
        notes=() if options.note is None else (options.note,),
        rows=found.rows,
    )
    write_profile(path, profile, COMMENT)
    return Calibrated(profile, path)


def recording_of(text: str) -> Recording:
    """Read `FILE`, or `FILE:ram_cache=off,kv_unified=on` where the server had other levers.

    Raises:
        UserError: there is no such lever.
    """
    path, colon, said = text.rpartition(":")
    if not colon or "=" not in said:
        return Recording(Path(text))
    levers: dict[str, bool] = {}
    for part in said.split(","):
        name, _, value = part.partition("=")
        if name not in Levers._fields or value not in SWITCHES:
            known = " and ".join(Levers._fields)
            raise UserError(f'--from {text}: expected {known} as on or off, found "{part}"')
        levers[name] = SWITCHES[value]
    return Recording(Path(path), Levers(**levers))


def bytes_of(text: str) -> tuple[int, int | None]:
    """Read `--kv-bytes`: bytes of a token in the KV cache, or the file of a model whose header says them.

    Returns:
        The bytes of a token, and those of the file; None where there is none.

    Raises:
        UserError: it is neither, or the header does not say it.
    """
    expected = f"--kv-bytes: expected the bytes of a token, from 1 to {KV_BYTES_MAX}, or the path of a GGUF file"
    if text.isdecimal():
        if len(text) > 12 or not 1 <= int(text) <= KV_BYTES_MAX:
            raise UserError(f"{expected}, found {text[:20]}")
        return int(text), None
    path = Path(text).expanduser()
    if not path.is_file():
        raise UserError(f'{expected}, found "{text}"')
    found = footprint_of_file(path)
    if found.kv_bytes_per_token is None:
        raise UserError(f"--kv-bytes {text}: its header does not say what a token takes; give the number of bytes")
    return found.kv_bytes_per_token, found.weights_bytes
