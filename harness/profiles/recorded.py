"""A profile from recordings of streamed calls: no server is asked. See docs/explanation/calibration.md."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from harness.core.levers import AS_MADE, Levers
from harness.errors import UserError
from harness.profiles.bursts import bursts_of
from harness.profiles.fit import Fit, fit_setting, held_out, resample_weights, setting_of, summary
from harness.profiles.gaps import Gap, Steps, contradicted, explained, steps_of
from harness.profiles.replay import Observed
from harness.profiles.schema import HeldOut, Row, SlotSetting, rounded
from harness.profiles.streams import Streams, read_streams
from harness.profiles.values import with_kv_bytes

__all__ = ["RecordedFit", "Recording", "fit_recordings", "ollama_batch_tokens"]

# What does not depend on how many slots there are is fitted where least else is under way: with the fewest.
SHARED = ("save_s", "save_s_per_token", "tokenize_s_per_token", "handover_s")


class Recording(NamedTuple):
    """A file, and the levers of its server where they are not those of the others."""

    path: Path
    levers: Levers = AS_MADE


class RecordedFit(NamedTuple):
    """What the recordings of one machine come to."""

    slots: Mapping[str, SlotSetting]
    held_out: HeldOut | None
    rows: tuple[Row, ...]
    calls: int
    without: int  # calls without a final line, which were left out
    explained: Mapping[int, float]  # by slots: share of the times between tokens that the busy slots explain


def ollama_batch_tokens(context_tokens: int) -> int:
    """Return the tokens in one step at most, by those of all slots' contexts together.

    The source is `generationBatchForContext` in Ollama 0.33's server/sched.go; with little memory it is less.
    """
    return 2048 if context_tokens > 32768 else 1024 if context_tokens > 4096 else 512


def fit_recordings(recordings: Sequence[Recording], context_tokens: int, kv_bytes: int | None) -> RecordedFit:
    """Fit every slot setting that was recorded.

    Args:
        recordings: one or more of each; those without levers say what the profile is of.
        context_tokens: of one slot.
        kv_bytes: of a token's keys and values; None = not known.

    Raises:
        UserError: a file cannot be read, or its calls cannot be fitted.
    """
    by_slots: dict[int, list[Streams]] = defaultdict(list)
    for recording in recordings:
        # The number of slots is in the file: its place among those of its setting is known only then.
        slots = read_streams(recording.path).slots
        by_slots[slots].append(read_streams(recording.path, recording.levers, len(by_slots[slots])))
    settings: dict[str, SlotSetting] = {}
    rows: list[Row] = []
    errors: list[float] = []
    shares: dict[int, float] = {}
    known: dict[str, float] = {}
    for slots, streams in sorted(by_slots.items()):
        tested = [call for one in streams for call in one.held_out]
        fit, share = _fit(slots, streams, ollama_batch_tokens(slots * context_tokens), known)
        known = known or {name: fit.values[name] for name in SHARED}
        fit = fit._replace(costs=with_kv_bytes(fit.costs, kv_bytes))
        shares[slots] = share
        missed = held_out(tested, [fit.costs], paces=fit.paces)
        errors += missed
        usual = [call for one in streams for call in one.fitted if call.levers == AS_MADE]
        settings[str(slots)] = setting_of(
            fit, batch_tokens=fit.costs.batch_tokens, threads=None, drift=_drift(usual), errors=missed
        )
        rows += _rows(slots, usual)
    calls = sum(len(one.fitted) + len(one.held_out) for those in by_slots.values() for one in those)
    without = sum(one.without for those in by_slots.values() for one in those)
    return RecordedFit(settings, summary(errors), tuple(rows), calls, without, shares)


def _fit(slots: int, streams: Sequence[Streams], batch_tokens: int, known: Mapping[str, float]) -> tuple[Fit, float]:
    """Return a fit, and the share of the times between tokens that the slots explain."""
    fitted = [call for one in streams for call in one.fitted]
    gaps = [gap for one in streams for gap in one.gaps]
    label = f"{slots} slots"
    try:
        wrong = contradicted(gaps, _steps(fitted, gaps, label))
        fitted = [call for call in fitted if call.repetition not in wrong]
        gaps = [gap for gap in gaps if gap.burst not in wrong]
        steps = _steps(fitted, gaps, label)
        reached = {len(burst) for burst in bursts_of(fitted)} | {1, slots}
        fit = fit_setting(
            fitted, sorted(n for n in reached if n <= slots), batch_tokens, label=label, steps=steps, known=known
        )
    except ValueError as error:
        raise UserError(f"the recordings of {slots} slots cannot be fitted: {error}") from None
    return fit, explained([gap for one in streams for gap in one.gaps], steps)


def _steps(fitted: Sequence[Observed], gaps: Sequence[Gap], label: str) -> Steps:
    places = {number: i for i, number in enumerate(dict.fromkeys(call.repetition for call in fitted))}
    numbered = [gap._replace(burst=places[gap.burst]) for gap in gaps]
    return steps_of(numbered, resample_weights(len(places), label))


def _drift(calls: Sequence[Observed]) -> float | None:
    """Return how much longer a step of the same lone call took at the end than at the beginning."""
    steps: dict[str, list[float]] = defaultdict(list)
    for burst in sorted(bursts_of(calls), key=lambda burst: burst[0].repetition):
        call = burst[0]
        if len(burst) == 1 and call.decode_s and call.output_tokens > 1:
            steps[call.burst].append(call.decode_s / (call.output_tokens - 1))
    changes = [found[-1] / found[0] - 1 for found in steps.values() if len(found) > 1]
    return median(changes) if changes else None


def _rows(slots: int, calls: Sequence[Observed]) -> list[Row]:
    """Lone calls, by scenario: which prompts and answers the profile was fitted to."""
    cells: dict[str, list[Observed]] = defaultdict(list)
    for burst in bursts_of(calls):
        if len(burst) == 1:
            cells[burst[0].burst].append(burst[0])

    return [
        Row(
            slots=slots,
            concurrent=1,
            prompt_tokens=round(median([call.prompt_tokens for call in cell])),
            output_tokens=round(median([call.output_tokens for call in cell])),
            wall_s=rounded(median([call.wall_s for call in cell])),
            fitted=True,
            repetitions=len(cell),
        )
        for cell in cells.values()
    ]
