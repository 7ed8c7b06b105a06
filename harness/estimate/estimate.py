"""An estimated profile: a device, a model and the formula; intervals from devices that were left out of the fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, hypot
from statistics import NormalDist
from typing import Any

from harness import units
from harness.core.levers import RAM_CACHE_BYTES
from harness.errors import UserError
from harness.estimate.devices import Device
from harness.estimate.formula import (
    MOST_VECTORS,
    Constants,
    constants_for,
    decode_step_s,
    prompt_token_s,
    quality_of,
    saving,
)
from harness.estimate.given import Given
from harness.estimate.models import ModelShape
from harness.profiles.model_id import model_id
from harness.profiles.schema import Profile, rounded

__all__ = ["MOST_SLOTS", "check_known", "estimate_profile"]

MOST_SLOTS = 32
REPLICATES = 20
BATCH_TOKENS = 512  # llama.cpp's micro-batch
# What a call costs beside its steps: HTTP and the client, about as in the shipped CPU profile. It is not the device's
# doing, and known within a factor of about two.
BEFORE_S, AFTER_S, OVERHEAD_SD = 0.002, 0.002, 0.5
NOISE = 0.03  # of a stretch of steps, between the shipped profiles' 0.02 and 0.04
NOTHING = Given()
MOST_SEQUENCES = 64  # of a figure that is given
# Several may make a little less than one: a published M1 makes 21.7 tokens a second alone, and 19.8 with two calls.
SLACK = 0.15
GIVEN_SD = 0.03  # of a figure that the user measured: how far two runs of one benchmark differ


def estimate_profile(
    device: Device,
    model: ModelShape,
    quant: str,
    *,
    slots: Sequence[int] = (1, 2, 4, 8),
    known: Given = NOTHING,
    name: str = "estimate",
    context_tokens: int = 4096,
    file_bytes: float | None = None,
    by: Constants | None = None,
) -> Profile:
    """Return the profile of a server with this model on this device.

    Args:
        device, model: what the formula knows of them.
        quant: number format of the weights, such as q4_k_m.
        slots: numbers of slots that the profile has.
        known: figures in tokens a second that were measured there; each takes the place of an estimate.
        name: of the profile.
        context_tokens: of a slot, for the memory.
        file_bytes: of the model's file; None: by parameters and quantisation.
        by: constants of the formula; None: those that were fitted.

    Raises:
        UserError: a figure or a number of slots that cannot be.
    """
    counts = sorted(set(slots))
    if not counts or counts[0] < 1 or counts[-1] > MOST_SLOTS:
        raise UserError(
            f"--slots: expected numbers from 1 to {MOST_SLOTS}, found {','.join(map(str, slots)) or 'none'}"
        )
    weight_bytes = file_bytes if file_bytes is not None else model.bytes_in(quant)
    by = by or constants_for(device.family, device.architecture, device.several, quant)
    steps = _Steps(device, model, weight_bytes, by, known, counts[-1])
    return Profile.model_validate(
        {
            "version": 1,
            "name": name,
            "origin": "estimated",
            "source": f"slotwise profile new: {steps.said()}; {device.name}: {device.source}; {model.source}",
            "date": None,
            "machine": device.name,
            "accelerator": None if device.family == "cpu" else device.name,
            "engine": "ollama or llama.cpp",
            "model": f"{model.name} {quant.upper()}",
            "model_id": model_id(model.name),
            "slots": {str(n): steps.setting(n) for n in counts},
            "contention": None,
            "memory": {
                "model_bytes": round(weight_bytes),
                "slot_bytes": model.kv_bytes_per_token * context_tokens,
                "context_tokens": context_tokens,
                "machine_bytes": device.memory_bytes,
            },
            "notes": [
                f"Overheads of a call ({BEFORE_S} s before, {AFTER_S} s after) and noise ({NOISE}) are assumed.",
                f"A slot's content is saved at {saving().bytes_s / 1e9:.1f} GB/s, as in public logs of other machines.",
                "What changing between passes of a step costs is not known; nothing is taken for it.",
            ],
        }
    )


class _Steps:
    """Seconds of steps, and by how much they may be off."""

    def __init__(
        self, device: Device, model: ModelShape, weight_bytes: float, by: Constants, known: Given, most: int
    ) -> None:
        check_known(device, model, weight_bytes, known)
        self._device, self._model, self._bytes, self._by, self._known = device, model, weight_bytes, by, known
        self._share = model.active / model.parameters
        estimated = {n: self._estimated(n) for n in range(1, max(most, *known.decode_at, 1) + 1)}
        given_s = {n: n / rate for n, rate in known.decode_at.items()}
        # A step of several takes no less than that of one, so one that was measured bounds the estimate of one.
        alone_s = min([estimated[1], *given_s.values()]) if known.decode is None else 1 / known.decode
        more = " of experts" if model.experts else ""
        self.decode_sd = quality_of(f"decode{more}", device.family).sd if known.decode is None else GIVEN_SD
        ratios = {n: step_s / estimated[1] for n, step_s in estimated.items()}
        self.batch_sd = quality_of(f"batch{more}", device.several).sd
        self.wide_sd = quality_of(f"wide{more}", device.family).sd
        if given_s:
            ratios = _through(ratios, {n: step_s / alone_s for n, step_s in given_s.items()})
            self.batch_sd = quality_of("batch_at", device.family).sd
            if max(given_s) > MOST_VECTORS:
                self.wide_sd = self.batch_sd
        self.step_s = {n: alone_s * ratio for n, ratio in ratios.items()}
        estimate_s = prompt_token_s(model.active, device.flops, by)
        self.prompt_s = estimate_s if known.prefill is None else 1 / known.prefill
        self.prompt_sd = quality_of(f"prompt{more}", device.family).sd if known.prefill is None else GIVEN_SD
        self.save_s = model.kv_bytes_per_token / saving().bytes_s
        self.context_s = model.kv_bytes_per_token / (by.bandwidth * device.bandwidth)

    def said(self) -> str:
        """Say what was estimated and what was given."""
        given = {
            "decode": self._known.decode is not None,
            "decode of several": bool(self._known.decode_at),
            "prefill": self._known.prefill is not None,
        }
        measured = [what for what, there in given.items() if there]
        return f"estimated, but for what was given: {', '.join(measured)}" if measured else "estimated"

    def setting(self, slots: int) -> dict[str, Any]:
        """Return what a server with so many slots costs, as a profile has it."""
        step_s = {n: rounded(self.step_s[n]) for n in range(1, slots + 1)}
        return {
            "step_s": {str(n): value for n, value in step_s.items()},
            "prefill_s_per_token": rounded(self._prompt_s(self.prompt_s)),
            "prompt_step_s": step_s[1],
            "prefill_batch_tokens": max(BATCH_TOKENS, slots + 1),
            "context_s_per_token": rounded(self.context_s),
            "mixed_factor": 1.0,
            "before_s": BEFORE_S,
            "after_s": AFTER_S,
            # Slots that are no neighbours get passes of their own.
            **({"changed_s": {"1": 0.0}, "settle_s": {"1": 0.0}} if slots > 1 and self._device.family != "cpu" else {}),
            "save_s": 0.0,
            "save_s_per_token": rounded(self.save_s),
            "ram_cache_tokens": max(1, RAM_CACHE_BYTES // max(1, self._model.kv_bytes_per_token)),
            "noise": NOISE,
            "standard_error": {
                **{f"step_s.{n}": rounded(self._sd(n), 2) for n in step_s},
                "prefill_s_per_token": rounded(self.prompt_sd, 2),
                "prompt_step_s": rounded(self.decode_sd, 2),
                "save_s_per_token": saving().sd,
                "overhead_s": OVERHEAD_SD,
            },
            "replicates": self._replicates(step_s),
        }

    def _replicates(self, step_s: Mapping[int, float]) -> dict[str, list[float]]:
        """Return the values under errors that hold for all of a device: of decode, of several sequences, of prompts.

        Each error takes every twentieth of a normal distribution once; the orders are unlike each other. A step of
        several is as far off as the one that it was taken from: that of one, or the nearest that was given.
        """
        z = [NormalDist().inv_cdf((i + 0.5) / REPLICATES) for i in range(REPLICATES)]
        several = [z[(7 * i + 3) % REPLICATES] for i in range(REPLICATES)]
        given = [exp(GIVEN_SD * z[(3 * i + 7) % REPLICATES]) for i in range(REPLICATES)]
        prompt = [exp(self.prompt_sd * z[(11 * i + 5) % REPLICATES]) for i in range(REPLICATES)]
        overhead = [exp(OVERHEAD_SD * z[(13 * i + 1) % REPLICATES]) for i in range(REPLICATES)]
        alone = [step_s[1] * exp(self.decode_sd * one) for one in z]
        for n in self._known.decode_at if self._known.decode is None else ():  # bounds that of one
            alone = [min(one, self.step_s[n] * factor) for one, factor in zip(alone, given, strict=True)]
        found = {}
        for n, value in step_s.items():
            if n == 1:
                values = alone
            elif n in self._known.decode_at:
                values = [value * factor for factor in given]
            elif self._known.decode_at:
                values = [value * given[i] * exp(self._spread(n) * several[i]) for i in range(REPLICATES)]
            else:
                values = [alone[i] * value / step_s[1] * exp(self._spread(n) * several[i]) for i in range(REPLICATES)]
            found[f"step_s.{n}"] = [rounded(max(values[i], alone[i])) for i in range(REPLICATES)]
        found["prefill_s_per_token"] = [rounded(self._prompt_s(self.prompt_s * factor)) for factor in prompt]
        found["prompt_step_s"] = [found["step_s.1"][i] for i in range(REPLICATES)]
        found["save_s_per_token"] = [
            rounded(self.save_s * exp(saving().sd * z[(17 * i + 9) % REPLICATES])) for i in range(REPLICATES)
        ]
        found["overhead_s"] = [rounded((BEFORE_S + AFTER_S) * factor) for factor in overhead]
        return found

    def _prompt_s(self, whole_s: float) -> float:
        """Return what a prompt token adds to a pass, from what it takes in a full one: its weights are read once."""
        return max(whole_s - self.step_s[1] / BATCH_TOKENS, whole_s / 2)

    def _sd(self, sequences: int) -> float:
        """Return the standard deviation of the logarithm of a step."""
        if sequences == 1:
            return self.decode_sd
        if sequences in self._known.decode_at:
            return GIVEN_SD
        return hypot(GIVEN_SD if self._known.decode_at else self.decode_sd, self._spread(sequences))

    def _spread(self, sequences: int) -> float:
        """Return the same of a step of several, against the one that it was taken from."""
        return self.batch_sd if sequences <= MOST_VECTORS else self.wide_sd

    def _estimated(self, sequences: int) -> float:
        model = self._model
        return decode_step_s(
            sequences,
            weight_bytes=self._bytes,
            active_share=self._share,
            experts=model.experts,
            active_experts=model.active_experts,
            parameters=model.active,
            layers=model.layers,
            bandwidth=self._device.bandwidth,
            vector=self._device.vector,
            flops=self._device.flops,
            by=self._by,
        )


def _through(ratios: Mapping[int, float], given: Mapping[int, float]) -> dict[int, float]:
    """Bend the steps of several sequences, over that of one, so that they go through the given ones.

    Between two that are known, that of one among them, the growth is shared out as it was; beyond the last it is scaled
    as up to there.
    """
    known = {1: 1.0, **given}
    last = max(known)
    scale = max(0.0, known[last] - 1) / max(ratios[last] - 1, 1e-9)
    found = {}
    for n, ratio in ratios.items():
        below = max(m for m in known if m <= n)
        above = min((m for m in known if m > n), default=0)
        if n in known or not above:
            found[n] = known.get(n, 1 + (ratio - 1) * scale)
        else:
            part = (ratio - ratios[below]) / max(ratios[above] - ratios[below], 1e-9)
            found[n] = known[below] + part * (known[above] - known[below])
    return found


def check_known(device: Device, model: ModelShape, weight_bytes: float, known: Given, where: str = "--") -> None:
    """Refuse figures that the device cannot have.

    Args:
        device, model, weight_bytes: what bounds them.
        known: the figures.
        where: they come from, before the name of each.

    Raises:
        UserError: one that cannot be, with its bound.
    """
    read = weight_bytes * model.active / model.parameters
    bound = device.bandwidth / read
    if known.decode is not None and not 0 < known.decode <= bound:
        raise UserError(
            f"{where}decode: {known.decode:g} tokens a second cannot be: each reads {units.size(round(read))}, and "
            f"{device.name} reads {units.size(round(device.bandwidth))} a second, which is {bound:.0f} at most"
        )
    for n, rate in known.decode_at.items():
        if not 1 < n <= MOST_SEQUENCES:
            raise UserError(f"{where}decode-at: expected 2 to {MOST_SEQUENCES} sequences, found {n}")
        if not 0 < rate <= bound * n:
            raise UserError(
                f"{where}decode-at: {n} sequences with {rate:g} tokens a second cannot be: a step reads "
                f"{units.size(round(read))}, so {device.name} makes {bound * n:.0f} at most"
            )
        if known.decode is not None:
            _check_beside(n, rate, known.decode, where)
    most = device.flops / (2 * model.active)
    if known.prefill is not None and not 0 < known.prefill <= 2 * most:  # int8 is twice as fast as FP16
        raise UserError(
            f"{where}prefill: {known.prefill:g} tokens a second cannot be: each takes {2 * model.active:.3g} "
            f"operations, and {device.name} does {device.flops:.3g} a second in FP16: "
            f"{2 * most:.0f} tokens at most, with 8 bit"
        )


def _check_beside(n: int, rate: float, alone: float, where: str) -> None:
    """Refuse a rate of several that does not go with that of one; figures of two runs may differ a little."""
    if rate < (1 - SLACK) * alone:
        raise UserError(
            f"{where}decode-at: {n} sequences with {rate:g} tokens a second together cannot be: one alone makes "
            f"{alone:g}; if each of them makes {rate:g}, it is {n}={n * rate:g}"
        )
    if rate > (1 + GIVEN_SD) ** 2 * n * alone:
        raise UserError(
            f"{where}decode-at: {n} sequences with {rate:g} tokens a second cannot be: one alone makes {alone:g}, so "
            f"{n} make {n * alone:g} at most"
        )
