"""Fit the constants of estimated profiles to published figures, and say how far they are off on devices left out.

    python benchmarks/fit_estimates.py [FOLDER] [--write]

FOLDER has `rows.csv` (single figures) and `batched.yaml` (rates over the number of sequences); left out:
`benchmarks/hardware`. `--write` replaces harness/estimate/constants.yaml, from which estimates are made.
Beside each error stands that of a trivial estimate: weights over bandwidth; two operations a parameter; n sequences
as fast as one.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from scipy.optimize import least_squares

from benchmarks.estimate_figures import Figure, read_figures, save_rate
from harness.estimate.devices import Device
from harness.estimate.formula import Constants, decode_step_s, format_class, matrix_columns

HERE = Path(__file__).parent
CONSTANTS = HERE.parent / "harness" / "estimate" / "constants.yaml"
# Before any figure is seen: an architecture is like its family within 10 % (bandwidth) and 30 % (prompts), a family
# like all within a factor of 1.5 or so. These keep a constant with few figures where the others are.
LIKE_FAMILY, LIKE_FAMILY_PROMPT, LIKE_ALL, LIKE_FORMATS = 0.1, 0.3, 0.4, 0.2
# Kernels of few devices: like those of a family where no device with them is left.
OF_FAMILY = {"metal_base": "metal", "cuda_mmq": "cuda"}
LEAST_DEVICES = 4  # of a family, for errors of its own
DESKTOP = (
    "RTX 2",
    "RTX 3",
    "RTX 4060",
    "RTX 4070",
    "RTX 4080",
    "RTX 4090",
    "RTX 5060",
    "RTX 5070",
    "RTX 5080",
    "RTX 5090",
    "Apple",
)
COMMON = {"q4_0", "q4_k_m", "q5_k_m", "q6_k", "q8_0", "f16"}


class Fit(NamedTuple):
    """Constants by family; factors by family and architecture, and by class of number formats."""

    bandwidth: dict[str, float]
    layer_s: dict[str, float]
    by_architecture: dict[str, float]
    prompt: dict[str, float]
    prompt_by_architecture: dict[str, float]
    prompt_by_format: dict[str, float]
    batch: dict[str, float]  # by kernels for several sequences
    wide: dict[str, float]

    def constants(self, device: Device, quant: str) -> Constants:
        """Return what the formula needs of a device and a number format."""
        family, kind = device.family, _architecture(device)
        return Constants(
            bandwidth=_of(self.bandwidth, family) * self.by_architecture.get(kind, 1.0),
            layer_s=_of(self.layer_s, family),
            batch=self.k(device.several),
            wide=_of(self.wide, family),
            prompt=_of(self.prompt, family)
            * self.prompt_by_architecture.get(kind, 1.0)
            * self.prompt_by_format.get(format_class(quant), 1.0),
            tile=matrix_columns(family),
        )

    def k(self, several: str) -> float:
        """Return the constant of kernels for several sequences; their family's, or the middle of all, if unknown."""
        if several not in self.batch:
            several = OF_FAMILY.get(several, several)
        return _of({name: k for name, k in self.batch.items() if name not in OF_FAMILY or name == several}, several)

    def step_s(self, one: Figure) -> float:
        """Return the seconds of a step; of several sequences, beginning with the measured step of one."""
        whole = self._formula(one, one.sequences)
        return whole if one.sequences == 1 else one.alone_s + whole - self._formula(one, 1)

    def _formula(self, one: Figure, sequences: int) -> float:
        return decode_step_s(
            sequences, weight_bytes=one.weight_bytes, active_share=one.share, experts=one.experts,
            active_experts=one.active_experts, parameters=one.parameters, layers=one.layers,
            bandwidth=one.device.bandwidth, vector=one.device.vector, flops=one.device.flops,
            by=self.constants(one.device, one.quant),
        )  # fmt: skip

    def prompt_s(self, one: Figure) -> float:
        """Return the seconds of a prompt token."""
        return 2 * one.parameters / (self.constants(one.device, one.quant).prompt * one.device.flops)


def _architecture(device: Device) -> str:
    return f"{device.family}/{device.architecture}"


def _of(constants: dict[str, float], family: str) -> float:
    """Return the constant of a family, or the middle of all."""
    return constants[family] if family in constants else float(np.exp(np.mean(np.log(list(constants.values())))))


def _weights(figures: Sequence[Figure]) -> np.ndarray:
    """A device with many figures counts as much as one with few would, or nearly so."""
    number = Counter(one.device.name for one in figures)
    return np.array([1 / np.sqrt(number[one.device.name]) for one in figures])


def fit(figures: Sequence[Figure]) -> Fit:
    """Fit all constants."""
    e, c, by_architecture = _fit_decode([one for one in figures if one.what == "decode"])
    prompt, prompt_by, formats = _fit_prompt([one for one in figures if one.what == "prompt"])
    batch = _fit_shares([one for one in figures if one.what == "batch"], _vectors, lambda one: one.device.several)
    wide = _fit_shares([one for one in figures if one.what == "wide"], _matrices, lambda one: one.device.family)
    return Fit(e, c, by_architecture, prompt, prompt_by, formats, batch, wide)


def _index(names: Iterable[str]) -> dict[str, int]:
    return {name: i for i, name in enumerate(sorted(set(names)))}


def _fit_decode(figures: Sequence[Figure]) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    family, kind = _index(one.device.family for one in figures), _index(_architecture(one.device) for one in figures)
    f = np.array([family[one.device.family] for one in figures])
    a = np.array([kind[_architecture(one.device)] for one in figures])
    x = np.array([one.weight_bytes / one.device.bandwidth for one in figures])
    layers = np.array([one.layers for one in figures])
    seen = np.log([one.seconds for one in figures])
    weights, n = _weights(figures), len(family)

    def off(p: np.ndarray) -> np.ndarray:
        e, c, more = p[:n], p[n : 2 * n], p[2 * n :]
        error = np.log(x / np.exp(e[f] + more[a]) + layers * np.exp(c[f])) - seen
        like_all = np.concatenate([(e - np.log(0.8)) / LIKE_ALL, (c - np.log(7e-5)) / (2 * LIKE_ALL)])
        return np.concatenate([weights * error / 0.1, more / LIKE_FAMILY, like_all])

    start = np.concatenate([np.full(n, np.log(0.8)), np.full(n, np.log(7e-5)), np.zeros(len(kind))])
    p = least_squares(off, start, loss="soft_l1", f_scale=1.0).x
    return (
        {name: float(np.exp(p[i])) for name, i in family.items()},
        {name: float(np.exp(p[n + i])) for name, i in family.items()},
        {name: float(np.exp(p[2 * n + i])) for name, i in kind.items()},
    )


def _fit_prompt(figures: Sequence[Figure]) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    family, kind = _index(one.device.family for one in figures), _index(_architecture(one.device) for one in figures)
    formats = _index(format_class(one.quant) for one in figures)
    f = np.array([family[one.device.family] for one in figures])
    a = np.array([kind[_architecture(one.device)] for one in figures])
    q = np.array([formats[format_class(one.quant)] for one in figures])
    x = np.log([2 * one.parameters / one.device.flops for one in figures])
    seen = np.log([one.seconds for one in figures])
    weights, n, m = _weights(figures), len(family), len(family) + len(kind)

    def off(p: np.ndarray) -> np.ndarray:
        error = x - p[:n][f] - p[n:m][a] - p[m:][q] - seen
        like = [p[n:m] / LIKE_FAMILY_PROMPT, p[m:] / LIKE_FORMATS, (p[:n] - np.log(0.35)) / (2 * LIKE_ALL)]
        return np.concatenate([weights * error / 0.15, *like])

    start = np.concatenate([np.full(n, np.log(0.35)), np.zeros(len(kind) + len(formats))])
    p = least_squares(off, start, loss="soft_l1").x
    return (
        {name: float(np.exp(p[i])) for name, i in family.items()},
        {name: float(np.exp(p[n + i])) for name, i in kind.items()},
        {name: float(np.exp(p[m + i])) for name, i in formats.items()},
    )


def _vectors(one: Figure) -> float:
    """Return the seconds of a step's further sequences at the whole FP32 rate."""
    return (one.sequences - 1) * 2 * one.parameters / one.device.vector


def _matrices(one: Figure) -> float:
    """Return the seconds of a step's matrices at the whole FP16 rate."""
    tile = matrix_columns(one.device.family)
    return -(-one.sequences // tile) * tile * 2 * one.parameters / one.device.flops


def _fit_shares(
    figures: Sequence[Figure], most: Callable[[Figure], float], kernels: Callable[[Figure], str]
) -> dict[str, float]:
    """Fit what share of a rate steps of several sequences get, over the step of one."""
    names = _index(kernels(one) for one in figures)
    f = np.array([names[kernels(one)] for one in figures])
    alone, seen = np.array([one.alone_s for one in figures]), np.log([one.seconds for one in figures])
    x = np.array([most(one) for one in figures])
    weights = _weights(figures)

    def off(p: np.ndarray) -> np.ndarray:
        like_all = (p - np.log(0.3)) / (2 * LIKE_ALL)
        return np.concatenate([weights * (np.log(alone + x / np.exp(p[f])) - seen) / 0.15, like_all])

    p = least_squares(off, np.full(len(names), np.log(0.3)), loss="soft_l1").x
    return {name: float(np.exp(p[i])) for name, i in names.items()}


class Error(NamedTuple):
    """Of one figure, on a fit without its device; logarithms of predicted over measured."""

    figure: Figure
    error: float
    trivial: float


def _alone(one: Figure) -> float:
    return one.weight_bytes * one.share / one.device.bandwidth


ESTIMATES: dict[str, tuple[Callable[[Fit, Figure], float], Callable[[Figure], float]]] = {
    "decode": (Fit.step_s, _alone),
    "prompt": (Fit.prompt_s, lambda one: 2 * one.parameters / one.device.flops),
    "batch": (Fit.step_s, lambda one: one.alone_s),
    "wide": (Fit.step_s, lambda one: one.alone_s),
}
ESTIMATES |= {f"{what} of experts": both for what, both in ESTIMATES.items()}


def _kernels(one: Figure) -> str:
    """Return what errors are grouped by."""
    return one.device.several if one.what.startswith("batch") else one.device.family


def left_out(figures: Sequence[Figure]) -> list[Error]:
    """Return the error of each figure on a fit without its device."""
    found = []
    for device in sorted({one.device.name for one in figures}):
        made = fit([one for one in figures if one.device.name != device])
        for one in figures:
            if one.device.name == device:
                estimate, trivial = ESTIMATES[one.what]
                found.append(
                    Error(
                        one, float(np.log(estimate(made, one) / one.seconds)), float(np.log(trivial(one) / one.seconds))
                    )
                )
    return found


def quality(errors: Sequence[Error]) -> dict[str, dict[str, float]]:
    """Return medians and 90th percentiles by what is estimated, and by family where it has enough devices.

    Kernels of few devices (`OF_FAMILY`) have errors of their own, made with the constant of their family: what is to
    be expected of a chip that is like them, and not known to be.
    """
    found = {}
    for what in ESTIMATES:
        these = [one for one in errors if one.figure.what == what]
        groups = {"other": [one for one in these if _kernels(one.figure) not in OF_FAMILY]}
        for family in sorted({_kernels(one.figure) for one in these}):
            groups[family] = [one for one in these if _kernels(one.figure) == family]
        for name, group in groups.items():
            number = len({one.figure.device.name for one in group})
            if group and (name == "other" or name in OF_FAMILY or number >= LEAST_DEVICES):
                found[f"{what}/{name}"] = _quality([one.error for one in group], number)
    found["batch_at/other"] = _with_one_point(errors)
    return found


def _quality(off: Sequence[float], number: int) -> dict[str, float]:
    size = np.abs(off)
    return {
        "rows": len(off), "devices": number,
        "median": round(float(np.median(size)), 3), "ninety": round(float(np.quantile(size, 0.9)), 3),
    }  # fmt: skip


def _with_one_point(errors: Sequence[Error]) -> dict[str, float]:
    """Return how far steps of 2 and of 8 sequences are off where that of 4 is known: a line through 1 and 4."""
    curves: dict[tuple[str, float, str, float], dict[int, Figure]] = {}
    for one in (error.figure for error in errors if error.figure.what == "batch"):
        curves.setdefault((one.device.name, one.parameters, one.quant, one.alone_s), {})[one.sequences] = one
    off, names = [], set()
    for (name, *_, alone_s), curve in curves.items():
        if 4 in curve:
            for n in {2, 8} & curve.keys():
                line_s = alone_s + (curve[4].seconds - alone_s) * (n - 1) / 3
                off.append(float(np.log(line_s / curve[n].seconds)))
                names.add(name)
    return _quality(off, len(names))


def coverage(errors: Sequence[Error], known: dict[str, dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Return, by what is estimated, the share of held-out figures within the 90 % interval, and its median half width.

    The interval of a device is made of the errors of the *other* devices; kernels of one device are left out.
    """
    found = {}
    for what in ESTIMATES:
        these = [one for one in errors if one.figure.what == what and _kernels(one.figure) not in OF_FAMILY]
        inside, width = [], []
        for one in these:
            family, name = _kernels(one.figure), one.figure.device.name
            group = [o for o in these if _kernels(o.figure) == family and o.figure.device.name != name]
            if f"{what}/{family}" not in known or len({o.figure.device.name for o in group}) < LEAST_DEVICES - 1:
                group = [o for o in these if o.figure.device.name != name]
            if not group:
                continue
            half = float(np.quantile(np.abs([o.error for o in group]), 0.9))
            inside.append(abs(one.error) <= half)
            width.append(half)
        if inside:
            found[what] = float(np.mean(inside)), float(np.median(width))
    return found


def _line(name: str, errors: Sequence[Error]) -> str:
    if not errors:
        return f"{name:<44} no figures"
    size, trivial = np.abs([one.error for one in errors]), np.abs([one.trivial for one in errors])
    number = len({one.figure.device.name for one in errors})
    return (
        f"{name:<44} {len(errors):>4} {number:>7}   {100 * np.median(size):5.1f} / {100 * np.quantile(size, 0.9):5.1f}"
        f"     {100 * np.median(trivial):5.1f} / {100 * np.quantile(trivial, 0.9):5.1f}"
    )


def report(errors: Sequence[Error]) -> str:
    """Return the table of errors on devices left out."""
    lines = [f"{'median / 90th percentile, %':<44} rows devices        here        trivial"]
    for what in ESTIMATES:
        these = [one for one in errors if one.figure.what == what]
        lines.append(_line(what, these))
        if "experts" not in what:
            lines.append(_line(f"{what}, Q4 to F16 on GeForce RTX and Apple", [
                one for one in these if one.figure.device.name.startswith(DESKTOP) and one.figure.quant in COMMON
            ]))  # fmt: skip
        for family in sorted({_kernels(one.figure) for one in these}):
            lines.append(_line(f"{what}, {family}", [one for one in these if _kernels(one.figure) == family]))
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    """Fit, print, and write where that is asked for."""
    folder = next((Path(one) for one in arguments if not one.startswith("--")), HERE / "hardware")
    figures = read_figures(folder)
    made, errors = fit(figures), left_out(figures)
    known = quality(errors)
    print(report(errors))
    print("\n90 % intervals, made of the other devices' errors")
    for what, (share, half) in coverage(errors, known).items():
        print(
            f"  {what:<18} hold {100 * share:.0f} % of held-out figures; median width +{100 * (np.exp(half) - 1):.0f} %"
        )
    without = [one for one in figures if not one.device.name.startswith("H100")]
    print("\nCUDA with and without the H100 PCIe rows:")
    for name, these in (("with", made), ("without", fit(without))):
        e, c, k, p = (one["cuda"] for one in (these.bandwidth, these.layer_s, these.batch, these.prompt))
        print(f"  {name:<8} e {e:.3f}  c {1e6 * c:.1f} us  k {k:.3f}  p {p:.3f}")
    rate, sd = save_rate(folder)
    print(f"\nA slot is saved at {rate / 1e9:.2f} GB/s; standard deviation of its logarithm between machines {sd:.2f}")
    if "--write" in arguments:
        CONSTANTS.write_text(written(made, known, (rate, sd)), encoding="utf-8")
        print(f"\nwrote {CONSTANTS}")


def written(made: Fit, known: dict[str, dict[str, float]], saved: tuple[float, float]) -> str:
    """Return constants.yaml."""
    families: dict[str, dict[str, float]] = {}
    for family in (*sorted(made.bandwidth), "other"):
        families[family] = {
            "bandwidth": _rounded(_of(made.bandwidth, family)), "layer_s": _rounded(_of(made.layer_s, family)),
            "batch": _rounded(made.k(family)), "wide": _rounded(_of(made.wide, family)),
            "prompt": _rounded(_of(made.prompt, family)),
        }  # fmt: skip
    e, p = made.by_architecture, made.prompt_by_architecture
    kinds = {
        name: {"bandwidth": _rounded(e.get(name, 1.0)), "prompt": _rounded(p.get(name, 1.0))}
        for name in sorted({*e, *p})
    }
    head = "# Written by `python benchmarks/fit_estimates.py --write`; harness/estimate/formula.py says what each is.\n"
    return head + yaml.safe_dump(
        {
            "families": families,
            "architectures": kinds,
            "several": {name: {"batch": _rounded(made.k(name))} for name in OF_FAMILY},
            "formats": {name: {"prompt": _rounded(factor)} for name, factor in made.prompt_by_format.items()},
            "saving": {"other": {"bytes_s": _rounded(saved[0]), "sd": round(saved[1], 2)}},
            "quality": known,
        },
        sort_keys=False,
        width=120,
        default_flow_style=None,
    )


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


if __name__ == "__main__":
    main(sys.argv[1:])
