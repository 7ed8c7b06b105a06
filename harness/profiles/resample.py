"""Profiles as they might have come out: what a prediction runs on to show how much the calibration itself is worth."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, log1p, sqrt
from statistics import NormalDist
from typing import Literal, NamedTuple

from harness.core.draws import uniform
from harness.profiles.schema import TABLES, Profile, SlotSetting
from harness.workload.schema import FrozenDict

__all__ = ["Resampled", "Source", "resampled", "value_of", "with_values"]

PROMPT_COSTS = ("prefill_s_per_token", "prompt_step_s", "prompt_context_s")  # fitted together, so exchanged together
Source = Literal["resampled calibration", "standard errors", "unknown"]


class Resampled(NamedTuple):
    """Profiles as likely as the one that they were made from."""

    source: Source
    profiles: tuple[Profile, ...]  # none where the source is unknown


def resampled(
    profile: Profile, wanted: int, seed: int = 0, *, exchange_prompts: bool = False, which: str = ""
) -> Resampled:
    """Return up to `wanted` profiles: the resampled calibrations that it keeps, else draws from its standard errors.

    Values drawn from standard errors are log-normal and independent, which those of one fit are not: what depends on
    several of them is then shown as less certain than it is, or as more.

    Args:
        profile: to be resampled.
        wanted: how many.
        seed: of the draws.
        exchange_prompts: every slot setting takes the prompt costs of any setting with the same threads. What reading
            a prompt costs does not depend on the number of slots, so each setting has measured the same; far outside
            the prompts that were measured, how far the settings lie apart is how little is known.
        which: of several profiles that are drawn independently of each other; "" = the first.
    """
    key = (which,) if which else ()
    found = _resampled(profile, wanted, seed, key)
    if not exchange_prompts:
        return found
    return Resampled(found.source, tuple(_exchanged(one, seed, key, i) for i, one in enumerate(found.profiles)))


def _resampled(profile: Profile, wanted: int, seed: int, key: tuple[str, ...]) -> Resampled:
    settings = [*profile.slots.values(), *(profile.half or {}).values()]
    if all(setting.replicates for setting in settings):
        kept = min(len(values) for setting in settings for values in setting.replicates.values())
        return Resampled("resampled calibration", tuple(_kept(profile, i) for i in range(min(wanted, kept))))
    if any(setting.standard_error or setting.replicates for setting in settings):
        return Resampled("standard errors", tuple(_drawn(profile, seed, key, i) for i in range(wanted)))
    return Resampled("unknown", ())


def _kept(profile: Profile, i: int) -> Profile:
    changed = {
        family: {
            slots: with_values(setting, {name: values[i] for name, values in setting.replicates.items()})
            for slots, setting in settings.items()
        }
        for family, settings in _families(profile).items()
    }
    known = {busy: factors[i] for busy, factors in (profile.contention_replicates or {}).items() if i < len(factors)}
    contention = {**profile.contention, **known} if profile.contention is not None else None
    return profile.model_copy(update={**changed, "contention": contention})


def _drawn(profile: Profile, seed: int, which: tuple[str, ...], i: int) -> Profile:
    normal = NormalDist()

    def factor(error: float, *key: int | str) -> float:
        sd = sqrt(log1p(error * error))  # of the logarithm
        return exp(sd * normal.inv_cdf(max(uniform(seed, *which, *key, "profile", i), 1e-12)))

    changed = {
        family: {
            slots: with_values(
                setting,
                {
                    name: value * factor(error, family, _first(settings, slots, name), name)
                    for name, error in setting.standard_error.items()
                    if (value := value_of(setting, name)) is not None
                },
            )
            for slots, setting in settings.items()
        }
        for family, settings in _families(profile).items()
    }
    return profile.model_copy(update=changed)


def _first(settings: Mapping[str, SlotSetting], slots: str, name: str) -> str:
    """Return the first setting that shares a value: one estimate (`harness.profiles.one_call`), so it is drawn once."""
    known = value_of(settings[slots], name), settings[slots].standard_error.get(name)
    return next(
        other
        for other in sorted(settings, key=int)
        if (value_of(settings[other], name), settings[other].standard_error.get(name)) == known
    )


def _exchanged(profile: Profile, seed: int, which: tuple[str, ...], i: int) -> Profile:
    changed: dict[str, dict[str, SlotSetting]] = {}
    for family, settings in _families(profile).items():
        known = [setting for setting in settings.values() if setting.prefill_s_per_token is not None]
        changed[family] = {
            slots: setting
            if setting not in known
            else setting.model_copy(
                update={
                    key: getattr(known[int(uniform(seed, *which, family, slots, "prompts", i) * len(known))], key)
                    for key in PROMPT_COSTS
                }
            )
            for slots, setting in settings.items()
        }
    return profile.model_copy(update=changed)


def _families(profile: Profile) -> dict[str, Mapping[str, SlotSetting]]:
    return {"slots": profile.slots} | ({"half": profile.half} if profile.half else {})


def value_of(setting: SlotSetting, name: str) -> float | None:
    """Return what a setting knows under the name of a fitted value: of a table as step_s.4, or one of `FITTED`."""
    key, dot, number = name.partition(".")
    if dot:
        table: Mapping[str, float] | None = getattr(setting, key)
        return None if table is None else table.get(number)
    if name == "overhead_s":
        return None if setting.before_s is None or setting.after_s is None else setting.before_s + setting.after_s
    value: float | None = getattr(setting, name, None)
    return value


def with_values(setting: SlotSetting, values: Mapping[str, float]) -> SlotSetting:
    """Return the setting with other fitted values; an overhead is split as it was."""
    changed: dict[str, object] = {name: value for name, value in values.items() if "." not in name}
    for key in TABLES:
        told = {name.partition(".")[2]: value for name, value in values.items() if name.startswith(f"{key}.")}
        if told:
            changed[key] = FrozenDict({**(getattr(setting, key) or {}), **told})
    overhead_s = values.get("overhead_s")
    if overhead_s is not None:
        del changed["overhead_s"]
        known_s = value_of(setting, "overhead_s")
        share = (setting.before_s or 0.0) / known_s if known_s else 0.5
        changed |= {"before_s": overhead_s * share, "after_s": overhead_s * (1 - share)}
    return setting.model_copy(update=changed)
