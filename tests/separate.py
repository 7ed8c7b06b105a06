"""A shipped profile as it was fitted, each slot setting by itself, and calibrations whose truth is known."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from measure.virtual_bursts import Virtual
from quiet import Quiet

from harness.core.step_costs import StepCosts
from harness.measure.burst_design import EFFORTS, levels
from harness.measure.experiment import Setting, experiments
from harness.profiles.fit import fit_setting, setting_of
from harness.profiles.schema import Profile, Row
from harness.workload.mistakes import validate
from harness.workload.source import parse_yaml

SHIPPED = Path(__file__).parents[1] / "profiles"


def separate(name: str) -> Profile:
    """Return a shipped profile without what slot settings share."""
    path = SHIPPED / f"{name}.yaml"
    return validate(Profile, parse_yaml(path.read_text(encoding="utf-8"), str(path)))


def calibrated(truth: Mapping[int, StepCosts], seed: int, *, noise: float = 0.02) -> Profile:
    """Calibrate servers of these slots in turns, quickly, on segments with noise, each fitted by itself."""
    settings = [
        Setting(f"s{slots}", Virtual([costs], noise_sd=noise, seed=100 * seed + slots), slots, 2048)
        for slots, costs in truth.items()
    ]
    found, rows = {}, []
    for slots, seen in zip(truth, asyncio.run(experiments(settings, EFFORTS["quick"], Quiet())), strict=True):
        fit = fit_setting(seen.fitted, levels(slots), 512, label=f"s{slots}")
        found[str(slots)] = setting_of(fit, batch_tokens=512, threads=None, drift=seen.drift, errors=())
        for burst in seen.bursts:
            if len(burst.groups) == 1:
                calls = [call for call in seen.observed if call.burst == burst.name]
                rows.append(
                    Row(
                        slots=slots,
                        concurrent=burst.calls,
                        prompt_tokens=burst.groups[0].prompt_tokens,
                        output_tokens=burst.groups[0].output_tokens,
                        wall_s=calls[0].wall_s,
                        fitted=burst.fitted,
                        repetitions=len(calls) // burst.calls,
                    )
                )
    return Profile(
        version=1,
        name="virtual",
        origin="assumed",
        source="a test",
        date=None,
        machine="virtual",
        engine="virtual",
        model="any",
        slots=found,
        contention=None,
        in_turns=True,
        rows=tuple(rows),
    )
