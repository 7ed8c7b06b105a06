"""What one call in flight costs, estimated from all slot settings together.

Each setting is fitted to bursts of its own, so what a single call costs comes out a few per cent apart by chance, and a
prediction would make a gain of it. Settings of one machine, engine and model therefore share these costs, to the last
bit, unless their calibrations show a difference beyond their noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from statistics import NormalDist, fmean, variance
from typing import NamedTuple

from harness.core.draws import uniform
from harness.profiles.resample import value_of, with_values
from harness.profiles.schema import Profile, Row, SlotSetting, rounded
from harness.workload.schema import FrozenDict

__all__ = ["LEVEL", "pooled"]

LEVEL = 0.01  # chance that equal settings differ somewhere by noise alone (Bonferroni over all that is compared)
LEAST_S = 1e-9  # a step costs something
EXACT = 1e-9  # relative error below which a fit is as good as exact


class _Lone(NamedTuple):
    """A single call that a calibration was fitted to."""

    prompt_tokens: int
    output_tokens: int
    repetitions: int | None = None  # None: not known


# The parts of a single call, and how often it pays each fitted value of a part (`harness.core.step_costs`). A part is
# compared and shared as a whole, because its values are fitted against each other: one fit finds a cost for each step
# that reads a prompt where another finds one that grows with the prompt. Time is linear in the values, so a mean of
# the values is the same mean of the times.
_Part = Mapping[str, Callable[[_Lone], float]]
PROMPT: _Part = {
    "prefill_s_per_token": lambda call: call.prompt_tokens,
    "prompt_step_s": lambda call: 1,
    "prompt_context_s": lambda call: call.prompt_tokens * (call.prompt_tokens - 1) / 2,
}
ANSWER: _Part = {
    "step_s.1": lambda call: call.output_tokens - 1,
    "context_s_per_token": lambda call: (call.output_tokens - 1) * (call.prompt_tokens + call.output_tokens / 2),
}
OVERHEAD: _Part = {"overhead_s": lambda call: 1}
PARTS = (PROMPT, ANSWER, OVERHEAD)
TOGETHER = ("prompt_step_s", "overhead_s")  # calls that are sent together pay these together


class _Estimate(NamedTuple):
    """One part as one setting was fitted."""

    slots: str
    values: Mapping[str, float]
    errors: Mapping[str, float]  # standard errors, in the values' units
    resampled: tuple[Mapping[str, float], ...]  # the values under each resampled calibration
    noise: float  # relative standard deviation of the same work
    drift: float  # of the machine's speed meanwhile, relative

    def times(self, part: _Part, calls: Sequence[_Lone]) -> list[tuple[float, float]]:
        """Return the seconds of this part in each call, with their variance.

        Errors that a fit of a few repetitions finds for itself are too small now and then: a call is taken to be known
        no better than from its own repetitions.
        """
        found = []
        for call in calls:
            often = {name: share(call) for name, share in part.items()}
            time_s = sum(often[name] * value for name, value in self.values.items())
            if self.resampled:
                spread = variance(sum(often[name] * value for name, value in one.items()) for one in self.resampled)
            else:
                spread = sum((often[name] * error) ** 2 for name, error in self.errors.items())
            least = self.noise / math.sqrt(call.repetitions) if call.repetitions else EXACT
            found.append((time_s, max(spread, (least * time_s) ** 2)))
        return found


def pooled(profile: Profile) -> Profile:
    """Return the profile with the costs of a single call shared by the slot settings that do not differ in them.

    A Wald test for each part of a call (prompt, answer, overhead), each pair of settings and each single call of the
    calibration: the difference of the fitted times is held against their errors, from the resampled calibrations or
    else the standard errors, and, unless the two were measured in turns, the drift of the machine's speed.
    Settings of which no two differ take their mean, weighted by precision, and the step times of several busy slots
    change so that bursts take as long as before. So do their resampled calibrations, place
    by place: they are equal under each of them too. Without single calls in `rows`, or where a value has no error,
    nothing says what is noise, and the settings stay as they are. What was pooled before comes back unchanged.

    Args:
        profile: whose settings were fitted one by one. Servers with half of the cores are compared among themselves.
    """
    families: dict[str, Mapping[str, SlotSetting]] = {"slots": profile.slots} | (
        {"half": profile.half} if profile.half else {}
    )
    changed = {}
    for family, settings in families.items():
        lone = [row for row in profile.rows if row.fitted and row.concurrent == 1 and row.half == (family == "half")]
        calls = list(
            dict.fromkeys(
                _Lone(row.prompt_tokens, row.output_tokens, row.repetitions) for row in lone if row.prompt_tokens
            )
        )
        groups = [
            (part, weights)
            for part in PARTS
            for weights in (_groups(part, settings, calls, drifts=not profile.in_turns) if calls else ())
        ]
        shared = dict(settings)
        for part, weights in groups:
            shared |= _shared(part, weights, shared)
        if shared != settings:
            rows = [row for row in profile.rows if row.fitted and row.concurrent > 1 and row.half == (family == "half")]
            changed[family] = FrozenDict(
                {
                    slots: _with_bursts(settings[slots], one, [row for row in rows if str(row.slots) == slots])
                    for slots, one in shared.items()
                }
            )
    return profile.model_copy(update=changed) if changed else profile


def _groups(
    part: _Part, settings: Mapping[str, SlotSetting], calls: Sequence[_Lone], *, drifts: bool
) -> list[dict[str, float]]:
    """Return the groups of two settings or more that do not differ in a part: the weight of each by its slots."""
    known = [one for slots in sorted(settings, key=int) if (one := _estimate(part, slots, settings[slots])) is not None]
    pairs = list(combinations(known, 2))
    if any(a.values == b.values for a, b in pairs):
        return []  # no two fits agree to the last digit: these were pooled
    times = {one.slots: one.times(part, calls) for one in known}
    beyond = NormalDist().inv_cdf(1 - LEVEL / (2 * len(PARTS) * max(1, len(pairs)) * len(calls)))

    def differ(a: _Estimate, b: _Estimate) -> bool:
        apart = math.hypot(a.drift, b.drift) if drifts else 0.0
        return any(
            abs(a_s - b_s) > beyond * math.sqrt(a_spread + b_spread + (apart * (a_s + b_s) / 2) ** 2)
            for (a_s, a_spread), (b_s, b_spread) in zip(times[a.slots], times[b.slots], strict=True)
        )

    groups: list[list[_Estimate]] = []
    for one in known:
        alike = next((group for group in groups if not any(differ(one, other) for other in group)), None)
        if alike is None:
            groups.append([one])
        else:
            alike.append(one)
    return [_weights({one.slots: settings[one.slots] for one in group}) for group in groups if len(group) > 1]


def _weights(group: Mapping[str, SlotSetting]) -> dict[str, float]:
    """Return the precision of each fit, in sum 1: all are fitted to the same single calls, so their noise tells it.

    The standard errors do not: of values that are fitted against each other they hang on how many a fit kept.
    """
    noises = {slots: one.noise for slots, one in group.items() if one.noise}
    precision = {slots: 1 / noises[slots] ** 2 if len(noises) == len(group) else 1.0 for slots in group}
    return {slots: value / sum(precision.values()) for slots, value in precision.items()}


def _drawn(weights: Mapping[str, float], i: int) -> list[float]:
    """Return weights as in a resampled calibration: a fit counts more or less by chance, as its bursts do.

    So the replicates hold how far the fits lie apart too, which is more than their errors for prompts that are longer
    than all that were measured.
    """
    drawn = [-weight * math.log1p(-uniform(0, "one call", slots, i)) for slots, weight in weights.items()]
    return [weight / math.fsum(drawn) for weight in drawn]


def _estimate(part: _Part, slots: str, setting: SlotSetting) -> _Estimate | None:
    """Return a part as it was fitted; None where a value or its error is not known."""
    values: dict[str, float] = {}
    for name in part:
        value = value_of(setting, name)
        if value is None or (value and name not in setting.standard_error and name not in setting.replicates):
            return None
        values[name] = value
    errors = {name: setting.standard_error.get(name, 0.0) * value for name, value in values.items()}
    times = max((len(setting.replicates.get(name, ())) for name in part), default=0)
    resampled = tuple({name: _value(setting, name, i) for name in part} for i in range(times))
    return _Estimate(slots, values, errors, resampled if times > 1 else (), setting.noise or 0.0, setting.drift or 0.0)


def _shared(part: _Part, weights: Mapping[str, float], settings: Mapping[str, SlotSetting]) -> dict[str, SlotSetting]:
    """Return the settings of a group with the mean of what they have of a part.

    Its standard error is that of the weighted mean, or that by which the fits lie apart where it is larger ("internal"
    and "external" error: Birge 1932).
    """
    group = [(settings[slots], weight) for slots, weight in weights.items()]
    kept = min(_kept(one.replicates) for one, _ in group)
    drawn = [_drawn(weights, i) for i in range(kept)]

    def mean(values: Iterable[float], by: Iterable[float] = tuple(weights.values())) -> float:
        return rounded(sum(weight * value for weight, value in zip(by, values, strict=True)))

    values = {name: mean(_value(one, name, None) for one, _ in group) for name in part}
    errors, resampled = {}, {}
    for name, value in values.items():
        known = [one.standard_error.get(name, 0.0) * _value(one, name, None) for one, _ in group]
        if value and any(known):
            squares = math.fsum(weight * (_value(one, name, None) - value) ** 2 for one, weight in group)
            error = math.hypot(*(weight * error for (_, weight), error in zip(group, known, strict=True)))
            errors[name] = rounded(max(error, math.sqrt(squares / (len(group) - 1))) / value, 2)
        if any(name in one.replicates for one, _ in group):
            resampled[name] = tuple(mean((_value(one, name, i) for one, _ in group), by) for i, by in enumerate(drawn))
    besides: dict[str, float] = {}
    if part is OVERHEAD:
        besides = {
            "before_s": mean(one.before_s or 0.0 for one, _ in group),
            "after_s": mean(one.after_s or 0.0 for one, _ in group),
        }
    noises = [one.noise for one, _ in group if one.noise is not None]
    if part is ANSWER and noises:
        besides = {"noise": rounded(math.sqrt(fmean(noise * noise for noise in noises)), 3)}
    return {
        slots: with_values(settings[slots], values).model_copy(
            update={
                "standard_error": FrozenDict({**settings[slots].standard_error, **errors}),
                "replicates": FrozenDict({**settings[slots].replicates, **resampled}),
                **besides,
            }
        )
        for slots in weights
    }


def _with_bursts(was: SlotSetting, now: SlotSetting, rows: Sequence[Row]) -> SlotSetting:
    """Return a setting whose bursts take as long as before, though what a single call costs has changed.

    What calls at once take was measured on this setting alone: where prompts, contexts and overheads now cost more, a
    step of several busy slots costs so much less, as it would in one fit of all settings.

    Args:
        was, now: the setting with single costs of its own, and with those that it shares.
        rows: bursts that it was fitted to.
    """
    steps_s: dict[str, list[float]] = {}  # as fitted, then under each resampled calibration
    for row in rows:
        name = f"step_s.{row.concurrent}"
        if value_of(was, name) is None or row.prompt_tokens is None or row.output_tokens < 2:
            continue
        call = _Lone(row.prompt_tokens, row.output_tokens)
        often = {
            key: share(call) * (1 if key in TOGETHER else row.concurrent)
            for key, share in {**PROMPT, **ANSWER, **OVERHEAD}.items()
            if key != "step_s.1"
        }
        steps_s[name] = []
        for i in (None, *range(_kept(was.replicates))):
            less_s = sum(times * (_value(was, key, i) - _value(now, key, i)) for key, times in often.items())
            steps_s[name].append(rounded(max(LEAST_S, _value(was, name, i) + less_s / (row.output_tokens - 1))))
    resampled = {name: tuple(values[1:]) for name, values in steps_s.items() if name in was.replicates}
    return with_values(now, {name: values[0] for name, values in steps_s.items()}).model_copy(
        update={"replicates": FrozenDict({**now.replicates, **resampled})}
    )


def _value(setting: SlotSetting, name: str, i: int | None) -> float:
    """Return a fitted value, or that of a resampled calibration; one that is not known costs nothing."""
    if i is not None and name in setting.replicates:
        return setting.replicates[name][i]
    return value_of(setting, name) or 0.0


def _kept(replicates: Mapping[str, Sequence[float]]) -> int:
    return max(map(len, replicates.values()), default=0)
