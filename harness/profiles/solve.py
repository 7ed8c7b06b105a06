"""Robust least squares on relative errors with lower bounds: Gauss-Newton steps, weighted after Huber.

The times of a server model are piecewise linear in its costs, with jumps where a call just misses a step. Gauss-Newton
is exact between jumps and takes a few steps; Huber's weights keep a call on the wrong side of one from mattering.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

__all__ = ["Solution", "solve"]

Vector = NDArray[np.float64]

STEPS = 40
DIFFERENCE = 1e-6  # of a finite difference, in units of `scale`
DONE = 1e-12
HUBER = 1.345  # in robust standard deviations: 95 % as efficient as plain least squares on normal errors
TINY = 1e-10  # a residual as small as this is rounding
RIDGE = 1e-7  # holds what the data say nothing about where it was
SHORTEST_S = 1e-3  # relative errors of shorter times count as if they were this long


class Solution(NamedTuple):
    """The values, and the standard error of each. `replicates`: a row of values for each row of `resample`."""

    values: Vector
    errors: Vector
    replicates: Vector


def solve(
    predict: Callable[[Vector], Vector],
    measured: Vector,
    start: Vector,
    scale: Vector,
    lower: Vector,
    clusters: Sequence[int],
    resample: Vector | None = None,
) -> Solution:
    """Find the values, none below `lower`, at which `predict` comes nearest to `measured`, in relative errors.

    Args:
        predict: a time for each measured one.
        measured: seconds.
        start: where to begin.
        scale: of what size a change of each value is.
        lower: bounds.
        clusters: which burst each measured time belongs to. Calls of one burst share its steps, so the standard errors
            take them for one observation (the cluster-robust "sandwich").
        resample: weights of the bursts (columns) in each resampled calibration (rows).
    """
    by = np.maximum(measured, SHORTEST_S)

    def residuals(x: Vector) -> Vector:
        return (predict(x * scale) - measured) / by

    bound = lower / scale
    x = np.maximum(start / scale, bound)
    r = residuals(x)
    jacobian = _slopes(residuals, x, r)
    for _ in range(STEPS):
        limit = max(HUBER * 1.4826 * float(np.median(np.abs(r))), TINY)
        root = np.sqrt(np.minimum(1.0, limit / np.maximum(np.abs(r), TINY)))
        rows = np.vstack([jacobian * root[:, None], RIDGE * np.eye(len(x))])
        wanted = np.concatenate([-r * root, np.zeros(len(x))])
        step = lsq_linear(rows, wanted, bounds=(np.minimum(bound - x, -1e-300), np.inf), method="bvls").x
        before = _huber(r, limit)
        for part in (1.0, 0.5, 0.25, 0.125, 1 / 16, 1 / 64):
            moved = np.maximum(x + part * step, bound)
            r_moved = residuals(moved)
            if _huber(r_moved, limit) < before:
                break
        else:
            break
        change = float(np.max(np.abs(moved - x)))
        x, r = moved, r_moved
        jacobian = _slopes(residuals, x, r)
        if change < DONE * max(1.0, float(np.max(np.abs(x)))):
            break
    number = np.asarray(clusters)
    errors, robust = _errors(jacobian, r, number)
    weights = np.empty((0, int(number.max()) + 1)) if resample is None else resample
    replicates = _replicates(jacobian, r, x, bound, weights[:, number], errors, robust)
    return Solution(x * scale, errors * scale, replicates * scale)


def _huber(r: Vector, limit: float) -> float:
    size = np.abs(r)
    return float(np.sum(np.where(size <= limit, size * size / 2, limit * (size - limit / 2))))


def _slopes(residuals: Callable[[Vector], Vector], x: Vector, r: Vector) -> Vector:
    columns = []
    for i in range(len(x)):
        aside = x.copy()
        aside[i] += DIFFERENCE
        columns.append((residuals(aside) - r) / DIFFERENCE)
    return np.stack(columns, axis=1)


def _replicates(
    jacobian: Vector, r: Vector, x: Vector, bound: Vector, weights: Vector, errors: Vector, robust: Vector
) -> Vector:
    """Return the values that a calibration with each row of weights would have given, by one Gauss-Newton step.

    One step from the solution is as good as a new fit to the order that resampling itself is (Davidson and MacKinnon
    1999), and costs nothing. Resampling repeats the robust errors only; where few bursts tell a value and its stated
    error is larger, its deviations are widened to that, which leaves all correlations as they are.
    """
    known = np.isfinite(errors)
    wider = np.where(known & (robust > 0), errors / np.maximum(robust, 1e-300), 0.0)
    huber = _weights(r)

    def step(drawn: Vector) -> Vector:
        root = np.sqrt(huber * drawn)
        rows = np.vstack([jacobian * root[:, None], RIDGE * np.eye(len(x))])
        found: Vector = np.linalg.lstsq(rows, np.concatenate([-r * root, np.zeros(len(x))]), rcond=None)[0]
        return found

    usual = step(np.ones(len(r)))  # not 0 where a value stands at its bound
    moved = [np.maximum(x + np.where(known, (step(drawn) - usual) * wider, 0.0), bound) for drawn in weights]
    return np.array(moved).reshape(len(weights), len(x))


def _weights(r: Vector) -> Vector:
    """Huber's weights."""
    limit = max(HUBER * 1.4826 * float(np.median(np.abs(r))), TINY)
    weights: Vector = np.minimum(1.0, limit / np.maximum(np.abs(r), TINY))
    return weights


def _errors(jacobian: Vector, r: Vector, clusters: NDArray[np.int_]) -> tuple[Vector, Vector]:
    """Standard errors for times of which those of one burst err together; infinite where the data say nothing.

    The larger of two, corrected for few bursts: the cluster-robust one, and that of bursts which all err by the same
    spread. The first is too small where few bursts tell a value, since these are then fitted with their errors. It is
    returned besides, not corrected.
    """
    weights = _weights(r)
    weighted = jacobian * weights[:, None]
    information = jacobian.T @ weighted
    bursts = int(clusters.max()) + 1
    few = bursts / max(bursts - jacobian.shape[1], 1)
    spread = float(np.sqrt(np.sum(weights * r * r) / np.sum(weights)))
    inverse = np.linalg.pinv(information)
    found = []
    for scores in (weighted * r[:, None], weighted * spread):
        sums = np.zeros((bursts, jacobian.shape[1]))
        np.add.at(sums, clusters, scores)
        cov = inverse @ (sums.T @ sums) @ inverse
        found.append(np.sqrt(np.maximum(np.diag(cov), 0.0)))
    robust, even = found
    errors: Vector = np.maximum(robust, even) * np.sqrt(few)
    errors[np.diag(information) < 1e-18] = np.inf
    return errors, robust
