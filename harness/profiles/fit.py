"""Fit the costs of a server to bursts that it served: the server model, run on the very same bursts, has to give back
the times that were measured. Pure functions; docs/explanation/calibration.md describes the method.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, pairwise
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from harness.core.draws import uniform
from harness.core.levers import with_levers
from harness.core.step_costs import StepCosts
from harness.profiles.bursts import bursts_of, clusters_of, equal_calls, joined, measured_times, replayed_times
from harness.profiles.gaps import Steps
from harness.profiles.replay import Observed, replay
from harness.profiles.schema import HeldOut, SlotSetting, rounded
from harness.profiles.signs import passes_differ, saving_costs
from harness.profiles.solve import Solution, Vector, solve
from harness.profiles.values import EXTRAS, LEAST_S, PASS_BY_PASS, costs_of, null_of, scale_of, start_of

__all__ = [
    "REPLICATES",
    "Contention",
    "Fit",
    "fit_contention",
    "fit_setting",
    "gap_of",
    "held_out",
    "noise_of",
    "resample_weights",
    "setting_of",
    "summary",
]

REPLICATES = 20  # resampled calibrations that a profile keeps

RESOLVED = 2.0  # standard errors: a value nearer to what costs nothing is left there
UNKNOWN_BATCH_TOKENS = 512  # Ollama's
NOISE_FREEDOM = 3  # with fewer repetitions beyond the first of each cell, noise is not known
PER_DIFFERENCE = 1 / (math.sqrt(2) * 0.6744897501960817)  # standard deviation by median |difference| of two normals


class Fit(NamedTuple):
    """The fitted costs of one server. `errors` are standard errors, by name as in `values`."""

    costs: StepCosts
    values: Mapping[str, float]
    errors: Mapping[str, float]
    unresolved: tuple[str, ...]  # of `NULLS`: the data do not tell them from what costs nothing
    noise: float | None
    knots: tuple[int, ...]  # numbers of generating slots whose step time was fitted; others are interpolated
    replicates: tuple[Replicate, ...]
    paces: Mapping[str, float] = {}  # of each recording, as pace.0: how much slower its steps were than those here


class Replicate(NamedTuple):
    """What a resampled calibration gives: the values that were fitted, and the costs that they make."""

    values: Mapping[str, float]
    costs: StepCosts


class Contention(NamedTuple):
    """The factor on every step while both of two servers are busy."""

    factor: float
    error: float
    replicates: tuple[float, ...] = ()


def fit_setting(
    observed: Sequence[Observed],
    knots: Sequence[int],
    batch_tokens: int | None = None,
    *,
    label: str = "",
    steps: Steps | None = None,
    known: Mapping[str, float] | None = None,
) -> Fit:
    """Fit one server's costs.

    The overhead of a call is known as a whole: what lies before the server's queue and what after its last token cannot
    be distinguished from outside. The load time that the server tells lies before; the rest is put half on either side.

    Args:
        observed: calls on one server alone, among them single calls (bursts of one) of at least two prompt lengths.
        knots: numbers of generating slots, from 1 to all, that the bursts reach.
        batch_tokens: of the server; None = not known.
        label: of the server; resampled calibrations of different ones are independent.
        steps: what steps cost, where the times between tokens have shown it (`harness.profiles.gaps`); they are not
            fitted again, but at which pace each recording went on the whole is, and is left out.
        known: values that another slot setting of the same machine has shown.

    Raises:
        ValueError: there are no single calls to begin with.
    """
    bursts = bursts_of(observed)
    plain = dict.fromkeys(EXTRAS, 0.0)
    found = [_fit(observed, knots, batch_tokens, label, None, plain, passes=False)]
    if steps is not None or passes_differ(bursts):
        found.append(_fit(observed, knots, batch_tokens, label, steps, known or {}, passes=True))
    elif saving_costs(bursts):
        found.append(_fit(observed, knots, batch_tokens, label, None, known or {}, passes=False))
    return min(found, key=lambda one: one.loss).fit


class _Found(NamedTuple):
    fit: Fit
    loss: float  # Bayesian information criterion, in errors of a Laplace distribution: the bursts are the observations


def _fit(
    observed: Sequence[Observed],
    knots: Sequence[int],
    batch_tokens: int | None,
    label: str,
    steps: Steps | None,
    known: Mapping[str, float],
    *,
    passes: bool,
) -> _Found:
    bursts = [joined(burst) for burst in bursts_of(observed)]
    clusters = clusters_of(bursts)
    slots, batch = max(knots), batch_tokens or UNKNOWN_BATCH_TOKENS
    if passes and steps is not None:
        knots = sorted(int(name.partition(".")[2]) for name in steps.values if name.startswith("step_s."))
    elif passes:
        knots = [n for n in knots if n in (1, slots) or _side_by_side(bursts, n)]
    saving = not {"save_s", "save_s_per_token"} <= set(known)  # else which slot a call takes may not matter
    start = start_of(bursts, knots, passes=passes)
    load_s = min(start["overhead_s"], median(call.load_s for call in observed))
    measured = measured_times(bursts)
    fixed: dict[str, float] = dict(PASS_BY_PASS) if passes else {} if slots > 1 else {"mixed_factor": 1.0}
    fixed |= known
    if passes and slots == 1:
        fixed["settle_s.1"] = 0.0
    if passes and steps is not None:
        fixed |= steps.values
        start |= steps.values
        start |= {f"pace.{pace}": 1.0 for pace in {call.pace for call in observed} if pace >= 0}
    given = set(fixed)
    while True:
        names = tuple(name for name in start if name not in fixed)

        def costs_by(values: Vector, names: tuple[str, ...] = names) -> StepCosts:
            known = {**fixed, **dict(zip(names, values.tolist(), strict=True))}
            return costs_of(known, slots, batch, load_s, passes=passes, saving=saving)

        def times_by(
            values: Vector, names: tuple[str, ...] = names, costs_by: Callable[[Vector], StepCosts] = costs_by
        ) -> Vector:
            costs, paces = costs_by(values), dict(zip(names, values.tolist(), strict=True))
            return replayed_times(bursts, lambda burst: [_as_recorded(costs, burst[0], paces)], 1.0)

        solution = solve(
            times_by,
            measured,
            np.array([start[name] for name in names]),
            np.array([scale_of(name, start) for name in names]),
            np.array([LEAST_S if name.startswith("step_s.") else 0.0 for name in names]),
            clusters,
            resample_weights(max(clusters) + 1, label),
        )
        values = {name: float(value) for name, value in zip(names, solution.values, strict=True)}
        errors = {name: float(error) for name, error in zip(names, solution.errors, strict=True)}
        signals = {
            name: abs(value - null) / max(errors[name], 1e-9 * scale_of(name, start))
            for name, value in values.items()
            if (null := null_of(name)) is not None
        }
        least = min(signals, key=signals.__getitem__, default=None)
        if least is None or signals[least] >= RESOLVED:
            break
        null = null_of(least)
        assert null is not None
        fixed[least] = null
        start |= values
    costs = costs_of({**fixed, **values}, slots, batch, load_s, passes=passes)
    unresolved = tuple(name for name in fixed if name not in given)
    kept = [name for name in names if not name.startswith("pace.")]
    replicates = []
    for i, row in enumerate(solution.replicates):
        drawn = dict(zip(names, row.tolist(), strict=True))
        told = {name: drawn[name] for name in kept}
        if passes and steps is not None:
            told |= {name: found[i] for name, found in steps.replicates.items()}
        replicates.append(Replicate(told, costs_of({**fixed, **told}, slots, batch, load_s, passes=passes)))
    if passes and steps is not None:
        errors |= steps.errors
    paces = {name: value for name, value in values.items() if name.startswith("pace.")}
    values = {name: value for name, value in (values | fixed).items() if name not in paces}
    misses = np.abs(times_by(solution.values) / np.maximum(measured, 1e-9) - 1)
    n = len(bursts)
    loss = 2 * n * math.log(max(float(misses.mean()), 1e-9)) + len(names) * math.log(n)
    errors = {name: error for name, error in errors.items() if name in values}
    fit = Fit(costs, values, errors, unresolved, noise_of(observed), tuple(sorted(knots)), tuple(replicates), paces)
    return _Found(fit, loss)


def _as_recorded(costs: StepCosts, call: Observed, paces: Mapping[str, float]) -> StepCosts:
    """Return the costs as they were when this was recorded: with its levers, at its pace."""
    costs = with_levers(costs, call.levers)
    pace = paces.get(f"pace.{call.pace}", 1.0)
    return costs if pace == 1.0 else costs._replace(decode_s=tuple(pace * s for s in costs.decode_s))


def _side_by_side(bursts: Sequence[Sequence[Observed]], calls: int) -> bool:
    """Tell whether so many calls at once were in neighbouring slots, once at least; True where seats are not known."""
    seats = [sorted(call.seat for call in burst) for burst in bursts if len(burst) == calls]
    return any(seat[0] < 0 or seat == list(range(seat[0], seat[0] + calls)) for seat in seats)


def fit_contention(
    observed: Sequence[Observed], costs: Sequence[StepCosts], replicates: Sequence[Sequence[StepCosts]] = ()
) -> Contention:
    """Fit how much longer every step takes while both servers are busy than where one of them is alone.

    Also fitted, and left out: the machine's speed by then, beside that at which the costs were found.

    Args:
        observed: calls with `server` 0 or 1, in bursts for both at the same time and in bursts for either alone.
        costs: of these servers, each fitted while it was alone.
        replicates: of these costs; each gives a replicate of the factor, with the bursts resampled.
    """
    bursts = [joined(burst) for burst in bursts_of(observed)]
    unchanged, clusters = np.array([1.0, 1.0]), clusters_of(bursts)

    def solution_with(costs: Sequence[StepCosts], start: Vector, resample: Vector | None = None) -> Solution:
        return solve(
            lambda values: replayed_times(bursts, lambda burst: costs, float(values[0])) * values[1],
            measured_times(bursts),
            start,
            unchanged,
            0.5 * unchanged,
            clusters,
            resample,
        )

    solution = solution_with(costs, unchanged)
    weights = resample_weights(max(clusters) + 1, "contention")
    found = [
        float(solution_with(drawn, solution.values, weights[i : i + 1]).replicates[0, 0])
        for i, drawn in enumerate(replicates)
    ]
    return Contention(float(solution.values[0]), float(solution.errors[0]), tuple(found))


def held_out(
    observed: Sequence[Observed],
    costs: Sequence[StepCosts],
    stretch: float = 1.0,
    paces: Mapping[str, float] | None = None,
) -> tuple[float, ...]:
    """Return |predicted / measured - 1| of the wall-clock time of every call; equal calls sent at once by rank.

    Args:
        observed: calls that were not fitted.
        costs: of the servers.
        stretch: the factor of contention.
        paces: of recordings (`Fit.paces`).
    """
    errors: list[float] = []
    for burst in bursts_of(observed):
        predictions = replay([_as_recorded(cost, burst[0], paces or {}) for cost in costs], burst, stretch)
        for indices in equal_calls(burst):
            measured_s = sorted(burst[i].wall_s for i in indices)
            predicted_s = sorted(predictions[i].wall_s for i in indices)
            errors += [abs(p / m - 1) for p, m in zip(predicted_s, measured_s, strict=True)]
    return tuple(errors)


def noise_of(observed: Sequence[Observed]) -> float | None:
    """Return the relative standard deviation of a segment, from single calls: their prefill and decoding is one each.

    Robust: from the median difference between two repetitions of one burst (sd = 1.048 of it, on normal noise), so that
    neither a hiccup nor an imperfect fit is noise. None: too few repetitions.
    """
    cells: dict[tuple[str, int, int, str], list[float]] = defaultdict(list)
    for burst in bursts_of(observed):
        if len(burst) == 1:
            call = burst[0]
            for part in ("prefill_s", "decode_s"):
                measured_s: float | None = getattr(call, part)
                if measured_s:
                    cells[call.burst, call.prompt_tokens, call.output_tokens, part].append(math.log(measured_s))
    if sum(len(logs) - 1 for logs in cells.values()) < NOISE_FREEDOM:
        return None
    differences = [abs(a - b) for logs in cells.values() for a, b in combinations(logs, 2)]
    return PER_DIFFERENCE * median(differences)


def gap_of(observed: Sequence[Observed]) -> float | None:
    """Return the median time between two calls in a server's queue that were started at one instant.

    When a call came in is its end less the time that the server says it had it, so they must not end together: the
    client hears of one end after the other. None: the server does not tell, or no burst has two calls.
    """
    gaps: list[float] = []
    for burst in bursts_of(observed):
        came_s = sorted(call.sent_s + call.wall_s - call.total_s for call in burst if call.total_s is not None)
        gaps += [later - earlier for earlier, later in pairwise(came_s)]
    return max(0.0, median(gaps)) if gaps else None


def setting_of(
    fit: Fit,
    *,
    batch_tokens: int | None,
    threads: int | None,
    drift: float | None,
    errors: Sequence[float],
    gap_s: float | None = None,
) -> SlotSetting:
    """Write a fit as the slot setting of a profile, to six digits.

    Args:
        fit: the fit.
        batch_tokens, threads: as far as they are known.
        drift: of the reference call.
        errors: on held-out calls.
        gap_s: between calls that were sent together.
    """
    costs, values = fit.costs, fit.values
    standard = {
        name: rounded(error / values[name], 2)
        for name, error in fit.errors.items()
        if values[name] > 0 and error < float("inf")
    }
    extras: dict[str, Any] = {
        name: rounded(values[name]) for name in ("handover_s", "tokenize_s_per_token") if values.get(name)
    }
    if costs.passes is not None:
        for key in ("changed_s", "settle_s"):
            extras[key] = {
                n.partition(".")[2]: rounded(value) for n, value in values.items() if n.startswith(f"{key}.")
            }
    if costs.ram_cache is not None:
        extras |= {
            "save_s": rounded(costs.ram_cache.save_s),
            "save_s_per_token": rounded(costs.ram_cache.s_per_token),
            "ram_cache_tokens": costs.ram_cache.tokens,
        }
    return SlotSetting(
        step_s={str(n): rounded(values[f"step_s.{n}"]) for n in fit.knots},
        prefill_s_per_token=rounded(values["prefill_s_per_token"]),
        prompt_step_s=rounded(costs.prompt_step_s),
        prompt_context_s=rounded(costs.prompt_context_s),
        prefill_batch_tokens=batch_tokens,
        context_s_per_token=rounded(costs.context_s_per_token),
        mixed_factor=rounded(costs.mixed_factor),
        before_s=rounded(costs.before_s),
        after_s=rounded(costs.after_s),
        gap_s=None if gap_s is None else rounded(gap_s, 3),
        noise=None if fit.noise is None else rounded(fit.noise, 3),
        threads=threads,
        standard_error=standard,
        replicates={
            name: tuple(rounded(replicate.values[name]) for replicate in fit.replicates)
            for name in (fit.replicates[0].values if fit.replicates else ())
        },
        drift=None if drift is None else rounded(drift, 3),
        held_out=summary(errors),
        **extras,
    )


def summary(errors: Sequence[float]) -> HeldOut | None:
    """Sum held-out errors up; None where there are none."""
    if not errors:
        return None
    return HeldOut(calls=len(errors), median_error=rounded(median(errors), 3), worst_error=rounded(max(errors), 3))


def resample_weights(bursts: int, label: str) -> Vector:
    """Draw weights of the bursts for every resampled calibration: exponential, as in the Bayesian bootstrap.

    Unlike drawing with replacement it leaves no cell of the design empty, of which a calibration repeats each only a
    few times.
    """
    drawn = [[uniform(0, label, "resample", r, burst) for burst in range(bursts)] for r in range(REPLICATES)]
    weights: Vector = -np.log1p(-np.array(drawn))
    weights /= weights.mean(axis=1, keepdims=True)
    return weights
