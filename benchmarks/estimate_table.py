"""The table of docs/explanation/estimates.md: errors on devices that were left out, beside those of a trivial estimate.

python benchmarks/estimate_table.py
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.estimate_figures import Figure, read_figures
from benchmarks.fit_estimates import COMMON, DESKTOP, OF_FAMILY, Error, coverage, left_out, quality

Test = Callable[[Figure], bool]


def _common(what: str) -> Test:
    return lambda one: one.what == what and one.device.name.startswith(DESKTOP) and one.quant in COMMON


def _kind(what: str, *kernels: str) -> Test:
    def test(one: Figure) -> bool:
        return one.what == what and (one.device.several in kernels if kernels else one.device.several not in OF_FAMILY)

    return test


# What the table has, in its order; the last entry is the kind of interval.
ROWS: tuple[tuple[str, Test, str], ...] = (
    ("a token alone", lambda one: one.what == "decode", "decode"),
    ("the same, Q4 to F16 on GeForce RTX and Apple", _common("decode"), ""),
    ("a prompt token", lambda one: one.what == "prompt", "prompt"),
    ("the same, Q4 to F16 on GeForce RTX and Apple", _common("prompt"), ""),
    ("a step of 2 to 8 calls, from that of one", _kind("batch"), "batch"),
    ("the same on CUDA", _kind("batch", "cuda"), ""),
    ("the same on ROCm", _kind("batch", "rocm"), ""),
    ("the same on Metal, Pro to Ultra", _kind("batch", "metal"), ""),
    ("the same on a base Apple chip, as if it were a larger one", _kind("batch", "metal_base"), ""),
    ("the same on Jetson Orin, as if it were a card", _kind("batch", "cuda_mmq"), ""),
    ("a step of 16 or 32 calls", lambda one: one.what == "wide", "wide"),
    ("models with experts: a token alone", lambda one: one.what == "decode of experts", "decode of experts"),
    ("models with experts: a prompt token", lambda one: one.what == "prompt of experts", ""),
    ("models with experts: a step of 2 to 8", lambda one: one.what == "batch of experts", "batch of experts"),
    ("models with experts: a step of 16 or 32", lambda one: one.what == "wide of experts", "wide of experts"),
)


def table(errors: Sequence[Error]) -> str:
    """Return the table in Markdown."""
    held = coverage(errors, quality(errors))
    lines = [
        "| | figures | devices | here | trivial | 90 % intervals hold | median width |",
        "|---|---|---|---|---|---|---|",
    ]
    for label, test, kind in ROWS:
        these = [one for one in errors if test(one.figure)]
        number = len({one.figure.device.name for one in these})
        here, trivial = (_pair([getattr(one, name) for one in these]) for name in ("error", "trivial"))
        share = f"{100 * held[kind][0]:.0f} % | +{100 * (np.exp(held[kind][1]) - 1):.0f} %" if kind else " | "
        lines.append(f"| {label} | {len(these)} | {number} | {here} | {trivial} | {share} |")
    return "\n".join(lines)


def _pair(values: Sequence[float]) -> str:
    size = 100 * np.abs(values)
    return f"{_short(float(np.median(size)))} / {_short(float(np.quantile(size, 0.9)))}"


def _short(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


if __name__ == "__main__":
    print(table(left_out(read_figures(Path(__file__).parent / "hardware"))))
