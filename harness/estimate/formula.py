"""How long a step takes, by what it reads and computes. The one formula; its constants are fitted (`constants.yaml`).

A step in which n sequences get a token each reads the weights once and computes for each sequence:

    W / (e * B)  +  layers * c  +  (n - 1) * 2 * P / (k * V)        up to 8 sequences
    W / (e * B)  +  layers * c  +       m  * 2 * P / (w * F)        above, and no less than with 8

with W bytes of weights, B bytes a second of memory bandwidth, P parameters that a token goes through, V operations a
second of the ordinary units in FP32, F of the matrix units in FP16. Up to 8 sequences llama.cpp multiplies by vectors,
one for each; above, matrices with m columns: n, on Metal 32, its tile. e, c, k and w are constants of a family of
kernels (docs/explanation/estimates.md); e is also that of an architecture. With experts, more sequences read more of
them: of x experts, u of which are used by a token, n sequences read x * (1 - (1 - u/x)^n) on average if they choose
independently. A token of a prompt takes 2 * P / (p * F); p is also that of a class of number formats.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import NamedTuple

import yaml

__all__ = [
    "MOST_VECTORS",
    "Constants",
    "Quality",
    "Saving",
    "constants_for",
    "decode_step_s",
    "format_class",
    "matrix_columns",
    "prompt_token_s",
    "quality_of",
    "saving",
]

OTHER = "other"  # the family of devices of which nothing is known
MOST_VECTORS = 8  # sequences; with more, llama.cpp takes its matrix kernels
METAL_TILE = 32  # columns of a matrix that Metal's kernel computes at least


class Constants(NamedTuple):
    """Of a family of kernels on an architecture."""

    bandwidth: float  # e: share of the memory's bandwidth
    layer_s: float  # c
    batch: float  # k: share of the FP32 rate that further sequences get
    wide: float  # w: share of the FP16 rate that more than 8 sequences get
    prompt: float  # p: share of the FP16 rate that prompts get
    tile: int = 1  # least columns of a matrix


class Quality(NamedTuple):
    """How far such a figure was off on devices that were left out of the fit: |ln(predicted / measured)|."""

    rows: int
    devices: int
    median: float
    ninety: float  # nine of ten were off by less

    @property
    def sd(self) -> float:
        """The standard deviation of a normal error with the same nine of ten."""
        return self.ninety / 1.6449


class Saving(NamedTuple):
    """How fast a server copies a slot's content into main memory."""

    bytes_s: float
    sd: float  # of the logarithm, between machines


@cache
def _fitted() -> dict[str, dict[str, dict[str, float]]]:
    found = yaml.safe_load((files(__package__) / "constants.yaml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def format_class(quant: str) -> str:
    """Return the class of a number format, by what prompts cost in it: f16, q8, few bits, or the others of about 4."""
    name = quant.lower()
    if name in ("f16", "bf16", "f32"):
        return "f16"
    return "q8" if name.startswith("q8") else "few" if name.startswith(("iq", "q2", "q3")) else "q4"


def matrix_columns(family: str) -> int:
    """Return how many columns a matrix of sequences has at least in the kernels of a family."""
    return METAL_TILE if family == "metal" else 1


def constants_for(family: str, architecture: str, several: str = "", quant: str = "q4_0") -> Constants:
    """Return the constants of a device's kernels; those of an unknown family are the middle of all.

    Args:
        family, architecture: of the device.
        several: its kernels for several sequences (`Device.several`); "" = those of the family.
        quant: number format of the weights.
    """
    fitted = _fitted()
    families = fitted["families"]
    own = families.get(family, families[OTHER])
    more = fitted["architectures"].get(f"{family}/{architecture}", {"bandwidth": 1.0, "prompt": 1.0})
    return Constants(
        bandwidth=own["bandwidth"] * more["bandwidth"],
        layer_s=own["layer_s"],
        batch=fitted["several"].get(several or family, own)["batch"],
        wide=own["wide"],
        prompt=own["prompt"] * more["prompt"] * fitted["formats"][format_class(quant)]["prompt"],
        tile=matrix_columns(family),
    )


def quality_of(what: str, family: str) -> Quality:
    """Return how good a figure was on devices left out, of a family if enough are known of it.

    Args:
        what: `decode`, `prompt`, `batch` (2 to 8 sequences), `wide` (more), and the same of models with `experts`.
        family: of kernels.
    """
    known = _fitted()["quality"]
    found = known.get(f"{what}/{family}", known[f"{what}/{OTHER}"])
    return Quality(round(found["rows"]), round(found["devices"]), found["median"], found["ninety"])


def saving() -> Saving:
    """Return how fast a slot's content is saved."""
    found = _fitted()["saving"]["other"]
    return Saving(found["bytes_s"], found["sd"])


def decode_step_s(
    sequences: int,
    *,
    weight_bytes: float,
    active_share: float,
    experts: int,
    active_experts: int,
    parameters: float,
    layers: float,
    bandwidth: float,
    vector: float,
    flops: float,
    by: Constants,
) -> float:
    """Return the seconds of a step in which so many sequences get a token each.

    Args:
        weight_bytes: of the whole file; `active_share` of it is read for one token.
        parameters: that one token goes through.
        bandwidth: bytes a second. `vector`, `flops`: operations a second in FP32 and, on matrix units, FP16.
    """

    def read_s(n: int) -> float:
        read = weight_bytes * active_share
        if experts and n > 1:
            rest = weight_bytes * (1 - active_share) / (experts - active_experts)  # of one expert that rests
            read += rest * (experts * (1 - (1 - active_experts / experts) ** n) - active_experts)
        return read / (by.bandwidth * bandwidth) + layers * by.layer_s

    further = min(sequences, MOST_VECTORS) - 1
    step_s = read_s(further + 1) + further * 2 * parameters / (by.batch * vector)
    if sequences <= MOST_VECTORS:
        return step_s
    columns = -(-sequences // by.tile) * by.tile
    return max(step_s, read_s(sequences) + columns * 2 * parameters / (by.wide * flops))


def prompt_token_s(parameters: float, flops: float, by: Constants) -> float:
    """Return the seconds of a prompt token in a full batch."""
    return 2 * parameters / (by.prompt * flops)
