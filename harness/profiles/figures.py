"""What a profile knows of each number of slots, as rates that people know, with their intervals."""

from __future__ import annotations

import math
from typing import NamedTuple

from harness.profiles.resample import value_of
from harness.profiles.schema import Profile, SlotSetting

__all__ = ["Known", "SlotFigures", "slot_figures"]

_Z = 1.96  # of a 95 % interval over normal errors


class Known(NamedTuple):
    """A figure and its 95 % interval; the interval is None where the profile does not say how sure it is."""

    value: float
    interval: tuple[float, float] | None


class SlotFigures(NamedTuple):
    """What a server with this many slots does. None = the profile does not know it."""

    slots: int
    half: bool  # with half of the cores
    alone: Known  # tokens/s of one call
    together: Known  # tokens/s of all slots
    prompt: Known | None  # prompt tokens/s
    overhead: Known | None  # s of a call besides
    error: float | None  # median, on calls that were not fitted


def slot_figures(profile: Profile) -> tuple[SlotFigures, ...]:
    """Return what a profile knows, by its slot settings; rates are those of a context that is still empty."""
    return tuple(
        _of(int(slots), setting, half)
        for half, settings in ((False, profile.slots), (True, profile.half or {}))
        for slots, setting in sorted(settings.items(), key=lambda pair: int(pair[0]))
    )


def _of(slots: int, setting: SlotSetting, half: bool) -> SlotFigures:
    prompt, overhead = _known(setting, "prefill_s_per_token"), _known(setting, "overhead_s")
    alone, together = _known(setting, "step_s.1"), _known(setting, f"step_s.{slots}")
    assert alone is not None and together is not None  # no setting without them
    error = None if setting.held_out is None else setting.held_out.median_error
    rate = _rate(prompt, 1) if prompt is not None and prompt.value > 0 else None
    return SlotFigures(slots, half, _rate(alone, 1), _rate(together, slots), rate, overhead, error)


def _known(setting: SlotSetting, name: str) -> Known | None:
    """Return a fitted value in seconds, with the interval of its standard error, else of its resampled fits."""
    value = value_of(setting, name)
    if value is None:
        return None
    spread = setting.standard_error.get(name) or _spread(value, setting.replicates.get(name, ()))
    if not spread or value <= 0:
        return Known(value, None)
    return Known(value, (value * math.exp(-_Z * spread), value * math.exp(_Z * spread)))


def _spread(value: float, replicates: tuple[float, ...]) -> float:
    """Return the root mean square of the logarithms around the fitted value; 0 where nothing is known."""
    logs = [math.log(other / value) ** 2 for other in replicates if other > 0 and value > 0]
    return math.sqrt(math.fsum(logs) / len(logs)) if logs else 0.0


def _rate(found: Known, tokens: int) -> Known:
    ends = found.interval
    return Known(tokens / found.value, None if ends is None else (tokens / ends[1], tokens / ends[0]))
