"""The profile of a recommendation: the one that is named, one of this machine and model, or one that is made now."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from harness.content import available, cache_dir
from harness.errors import SlotwiseError, UserError
from harness.measure.machine import machine_name
from harness.measure.progress import Progress
from harness.profiles.load import dump_profile, load_profile
from harness.profiles.model_id import model_id
from harness.profiles.schema import Profile
from harness.runs.folder import write_text
from harness.servers.machine import cores
from harness.units import count, safe_url
from harness.workload.schema import ServerSpec

__all__ = ["profile_for"]

SLOTS = (1, 2, 4)
EFFORT = "quick"


def profile_for(like: ServerSpec, named: str | None, near: Path, progress: Progress, *, calibrate_it: bool) -> Profile:
    """Return the profile that is named, or one that fits the server, or where `calibrate_it` is set a new one.

    One fits that was measured on this machine, with this engine and model; of several the newest. A running server by
    URL may stand anywhere, so only what was calibrated at that address fits. What is new goes to `profiles/` in the
    user's cache, where it is found the next time.

    Raises:
        UserError: there is none, and none is to be made.
        ServerFailure: the calibration failed.
    """
    if named is not None:
        return load_profile(named, near)
    if like.simulation is not None:
        return load_profile(like.simulation.profile, near)
    here = machine_name()
    known = list(_known(like, near, progress))
    fitting = [profile for profile in known if _fits(profile, like, here)]
    if fitting:
        best = max(fitting, key=lambda profile: (profile.date or "", profile.name))
        progress.say(f"profile {best.name}: this machine, with {best.model}")
        return best
    others = "".join(
        f"; {profile.name} is of another machine ({profile.machine})" for profile in known if profile.machine != here
    )
    if not calibrate_it:
        raise UserError(
            f"no profile of this machine with {like.model}{others}: give one with --profile NAME, make one with "
            "slotwise calibrate, or leave --no-measure out, and it is made first"
        )
    progress.say(f"no profile of this machine ({here}) with {like.model}{others}: calibrating first")
    return _calibrated(like, progress)


def _known(like: ServerSpec, near: Path, progress: Progress) -> Iterator[Profile]:
    """Yield all profiles of the model that can be read."""
    for name in available("profiles", ".yaml", near):
        try:
            profile = load_profile(name, near)
        except SlotwiseError as error:  # somebody's broken file must not stand in the way of the others
            progress.say(f"profile {name} is ignored: {error}")
            continue
        if profile.model_id is not None and model_id(profile.model_id) == model_id(like.model):
            yield profile


def _fits(profile: Profile, like: ServerSpec, here: str) -> bool:
    if profile.machine != here:
        return False
    if like.running:
        return profile.name == _name(like)
    engine = like.profile_engine
    return engine is not None and profile.origin == "measured" and profile.engine.lower().startswith(engine)


def _name(like: ServerSpec) -> str:
    at = safe_url(like.address).split("//")[1] if like.address else like.kind
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{at}-{Path(like.model).stem}-{EFFORT}").strip("-._")[:63]


def _calibrated(like: ServerSpec, progress: Progress) -> Profile:
    """Calibrate quickly, and keep the profile in the user's cache."""
    # Late: langchain and scipy take a second, and mostly there is a profile.
    from harness.app.calibrate import to_calibrate
    from harness.app.loops import finished
    from harness.app.machine import others_busy
    from harness.measure.burst_design import EFFORTS
    from harness.measure.calibrate import calibrate

    slots = None if like.running else SLOTS
    servers, pair = to_calibrate(like.address or like.kind, slots, like.model, None, cores())
    busy = others_busy()
    if busy is not None:
        progress.say(f"other programs keep {busy:.1f} cores busy: a profile made now will be off by that")
    name = _name(like)
    profile = finished(calibrate(name, servers, EFFORTS[EFFORT], progress, pair=pair))
    folder = cache_dir() / "profiles"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder, f"{name}.yaml", dump_profile(profile, "Fitted by `slotwise recommend`; times in seconds."))
    except (OSError, UserError) as error:
        progress.say(f"the profile cannot be kept, so it will be made again: {error}")
    else:
        known = ", ".join(count(n, "slot") for n in profile.slot_counts)
        progress.say(f"profile {name} ({known}): kept in {folder}, and taken from there the next time")
    return profile
