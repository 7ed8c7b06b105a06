"""What a prediction has to say of itself: notes that are kept with its run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.profiles.fitted_range import OutOfRange
from harness.profiles.resample import Source
from harness.profiles.schema import DRIFT_BOUND, Profile
from harness.runs.model import Note
from harness.units import count, percent
from harness.wording.estimates import make_sure
from harness.wording.profiles import misfit, typical_error_text

__all__ = [
    "HELD_OUT",
    "about_profile",
    "about_resampling",
    "about_score",
    "assumed",
    "cannot_end",
    "extrapolated_prompts",
    "held_out_fact",
    "lengths_measured",
    "too_large_to_resample",
    "unpredicted",
]

HELD_OUT = "held-out error"  # the fact of a predicted run's machine


def about_profile(profile: Profile, last: Mapping[str, Any] | None, machines: Sequence[str] = ()) -> tuple[Note, ...]:
    """Say on which profile it was predicted, and its held-out error.

    Args:
        profile: of the machine.
        last: what the last scoring on it found, as `harness.predict.history` keeps it.
        machines: that the workload names and this profile is given for; none = it is for all others.
    """
    whose = f" for {'machine' if len(machines) == 1 else 'machines'} {', '.join(machines)}" if machines else ""
    where = f'Predicted on profile "{profile.name}"{whose} ({profile.machine}; {profile.origin}).'
    held = profile.held_out
    notes = []
    if held is not None:
        where += (
            f" Held-out error: {percent(held.median_error)} (median of {held.calls} calls), "
            f"{percent(held.worst_error)} at worst."
        )
    drifted = [
        f"{setting.drift:+.0%} with {count(int(slots), 'slot')}"
        for family in (profile.slots, profile.half or {})
        for slots, setting in family.items()
        if setting.drift is not None and abs(setting.drift) > DRIFT_BOUND
    ]
    if drifted:
        where_drifted = ", ".join(drifted)
        text = f"The machine changed speed while the profile was made ({where_drifted}): expect errors of that size."
        notes.append(Note("drift", text))
    if text := misfit(profile):
        notes.append(Note("memory", text))
    notes += about_score(last)
    if profile.origin == "estimated":
        where += f" {make_sure(profile.model_id or profile.model)}"
    elif held is None and last is None:
        where += " Its error is not known: `slotwise score` measures it."
    return (Note("profile", where), *notes)


def held_out_fact(profiles: Sequence[Profile]) -> dict[str, str]:
    """Return the worst of the profiles' errors on calls that they were not fitted to, as a fact of the machine."""
    if len(profiles) == 1 and profiles[0].origin == "estimated" and (off := typical_error_text(profiles[0])):
        return {HELD_OUT: f"{off} (medians, by kind of figure)"}
    known = [profile.held_out for profile in profiles if profile.held_out is not None]
    if len(known) < len(profiles):
        return {}
    worst = max(known, key=lambda held: held.median_error)
    return {HELD_OUT: f"{percent(worst.median_error)} (median of {worst.calls}), {percent(worst.worst_error)} at worst"}


def about_score(last: Mapping[str, Any] | None) -> tuple[Note, ...]:
    """Say what the last scoring on a profile, or on several together, found; nothing where there was none."""
    if not last or last.get("median_error") is None:
        return ()
    text = (
        f"Last scored against a real run of {last['workload']} ({last['measured_at']}): times off by "
        f"{percent(last['median_error'])} (median of {last['cells']}), {percent(last['worst_error'])} at worst."
    )
    return (Note("score", text),)


def assumed(notes: Iterable[str]) -> tuple[Note, ...]:
    """Say what is taken for granted: sentences without their full stop."""
    return tuple(Note("assumed", f"Assumed: {note}.") for note in notes)


def extrapolated_prompts(found: Iterable[OutOfRange]) -> tuple[Note, ...]:
    """Say that prompts are far longer than those of the calibration, and what that means."""
    return tuple(
        Note(
            "out of range",
            f'Prompts have up to {out.longest} tokens, but profile "{out.profile}" was fitted to prompts from '
            f"{out.shortest_fitted} to {out.longest_fitted}: what reading them costs is extrapolated. How far "
            "apart the fits of its slot settings lie there is taken for chance, which widens the intervals over the "
            "profile.",
        )
        for out in found
    )


def unpredicted(refused: Mapping[str, str]) -> tuple[Note, ...]:
    """Say which candidates are not predicted, and why."""
    return tuple(Note("unpredicted", f'"{name}" is not predicted: {reason}.') for name, reason in refused.items())


def lengths_measured(run: object) -> Note:
    """Say that calls are as long as they were in a measured run."""
    return Note("lengths", f"Lengths of prompts and answers are those measured in {run}.")


def too_large_to_resample() -> Note:
    """Say that the uncertainty of the profile is left out."""
    text = (
        "The uncertainty of the profile is left out, as this simulation is large: --resamples 20 shows it, more "
        "repeats do too."
    )
    return Note("not resampled", text)


def about_resampling(
    source: Source, profiles: int, draws: int, several: bool = False, *, estimated: bool = False
) -> Note:
    """Say where the uncertainty of the profile comes from; of several that they err independently of each other."""
    if estimated and source != "unknown":
        text = "The uncertainty is that of estimates for machines that were left out of the fit"
        return Note("resampled", f"{text} ({profiles} profiles drawn from it, {count(draws, 'draw')} each).")
    each = f"{profiles} of {'each' if several else 'them'}, {count(draws, 'draw')} each"
    if several and source != "unknown":
        each += "; the errors of different profiles are independent, servers with one profile share its error"
    match source:
        case "unknown":
            return Note("not resampled", "The uncertainty of the profile is not known: intervals are over draws alone.")
        case "standard errors":
            text = (
                "The profile keeps no resampled calibrations: its uncertainty is drawn from the standard errors of its "
                f"values as if they were independent ({each})."
            )
            return Note("standard errors", text)
        case _:
            return Note("resampled", f"The uncertainty of the profile is that of resampled calibrations ({each}).")


def cannot_end(times: Mapping[str, int], profiles: int) -> tuple[Note, ...]:
    """Say which candidates cannot end under some of the resampled profiles; `times`: under how many."""
    return tuple(
        Note(
            "endless",
            f'Under {n} of {profiles} resampled profiles "{name}" cannot end: its load is at the edge of what the '
            "servers sustain.",
        )
        for name, n in times.items()
        if n
    )
