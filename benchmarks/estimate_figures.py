"""Published figures that estimates are fitted to and tested on, read from `benchmarks/hardware` or a folder like it."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from harness.estimate.devices import Device, devices
from harness.estimate.formula import MOST_VECTORS

MIXED = ("-a3b", "-a10b", "-a12b", "-a4b", "gpt-oss", "minimax", "glm-4", "e2b", "e4b", "mixtral")  # no dense models
# Models with experts of which it is known how many: billions that a token goes through, layers, experts, of them used.
EXPERTS = {
    "gpt-oss-20b": (3.6, 24, 32, 4),
    "gpt-oss-120b": (5.1, 36, 128, 4),
    "qwen3-30b-a3b": (3.3, 48, 128, 8),
    "qwen3-coder-30b-a3b": (3.3, 48, 128, 8),
}
MOST_SEQUENCES = 32
LADDERS = {"Apple M4 (16 GB)": "Apple M4"}  # whole requests on Ollama: taken where nothing of the engine alone is known


class Figure(NamedTuple):
    """One published figure of a model on a device.

    `what` is "decode" (seconds of a token alone), "prompt" (of a prompt token), "batch" (of a step of 2 to 8
    sequences) or "wide" (of more), and the same with " of experts", which nothing is fitted to.
    """

    what: str
    device: Device
    parameters: float  # that a token goes through
    weight_bytes: float  # of the whole file
    quant: str
    seconds: float
    sequences: int = 1
    alone_s: float = 0.0  # of "batch" and "wide": the measured step of one
    layers: float = 0.0
    share: float = 1.0  # of the file that a token reads
    experts: int = 0
    active_experts: int = 0


def layers_of(parameters: float) -> float:
    """Return about how many layers a dense model has: 16 at 1.2, 32 at 7 to 8, 80 at 70 billion parameters."""
    return float(32 * (parameters / 7e9) ** 0.4)


def read_figures(folder: Path) -> list[Figure]:
    """Read what the fit and its tests need."""
    known = {one.name: one for one in devices()}
    found = []
    with (folder / "rows.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            measure = row["measure"]
            what = (
                "decode" if measure in ("tg128", "tg512", "tg1024")
                else "prompt" if measure == "pp512" else ""
            )  # fmt: skip
            if not what or row["kind"] != "single" or row["device"] not in known or "vulkan" in row["backend"]:
                continue
            if row["size_gib"] and row["params_b"]:
                found += _figure(what, known[row["device"]], row, 1 / float(row["value"]), 1, 0.0)
    return found + _batched(folder, known)


def _figure(
    what: str, device: Device, row: Mapping[str, Any], seconds: float, sequences: int, alone_s: float
) -> list[Figure]:
    """Return the figure; none of a model with experts of which too little is known."""
    parameters, name = float(row["params_b"]) * 1e9, str(row["model"]).lower()
    size = float(row["size_gib"] or 0.0) * 2**30
    quant = str(row["quant"]).lower()
    if not any(part in name for part in MIXED) and str(row.get("moe", "")).lower() != "true":
        return [
            Figure(what, device, parameters, size, quant, seconds, sequences, alone_s, layers_of(parameters)),
        ]
    for model, (active, layers, experts, used) in EXPERTS.items():
        if name.startswith(model) and size:
            share = active * 1e9 / parameters
            return [
                Figure(
                    f"{what} of experts", device, active * 1e9, size, quant, seconds, sequences, alone_s, layers, share,
                    experts, used,
                )
            ]  # fmt: skip
    return []


def _batched(folder: Path, known: dict[str, Device]) -> list[Figure]:
    data = yaml.safe_load((folder / "batched.yaml").read_text(encoding="utf-8"))
    found = []
    for curve in data["curves"]:
        experts = bool(curve.get("moe")) and curve.get("family") != "vulkan" and curve["kind"] == "bb"
        if not (curve["use_in_fit"] or experts) or curve["device"] not in known or 1 not in curve["points"]:
            continue
        alone_s = 1 / curve["points"][1]
        if experts:
            found += _figure("decode", known[curve["device"]], curve, alone_s, 1, 0.0)
        for n, rate in curve["points"].items():
            if 2 <= n <= MOST_SEQUENCES:
                what = "batch" if n <= MOST_VECTORS else "wide"
                found += _figure(what, known[curve["device"]], curve, n / rate, n, alone_s)
    for ladder in data["ollama_num_parallel"]:
        if ladder["device"] in LADDERS:
            device = known[LADDERS[ladder["device"]]]
            alone_s = ladder["size_gib"] * 2**30 / (0.8 * device.bandwidth)  # only the ratio is known
            for n, more in ladder["relative_throughput"].items():
                if 2 <= n <= MOST_VECTORS:
                    found += _figure("batch", device, ladder, n / more * alone_s, n, alone_s)
    return found


def read_saves(folder: Path) -> dict[str, list[float]]:
    """Return bytes a second of saved slots, by machine."""
    found: dict[str, list[float]] = {}
    for one in yaml.safe_load((folder / "saves.yaml").read_text(encoding="utf-8"))["saves"]:
        found.setdefault(one["machine"], []).append(one["mib"] * 2**20 / (one["ms"] / 1e3))
    return found


def save_rate(folder: Path) -> tuple[float, float]:
    """Return bytes a second in the geometric mean over machines, and the standard deviation of its logarithm."""
    logs = [float(np.mean(np.log(rates))) for rates in read_saves(folder).values()]
    return float(np.exp(np.mean(logs))), float(np.std(logs, ddof=1))
