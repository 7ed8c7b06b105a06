"""How long a step takes, by what it reads and computes. The one formula; its constants are fitted (`constants.yaml`).

A step in which n sequences get a token each reads the weights once and computes for each sequence:

    W / (e * B)  +  layers * c  +  (n - 1) * 2 * P / (k * F)

with W bytes of weights, B bytes a second of memory bandwidth, P parameters that a token goes through, F operations a
second in FP16. e, c and k are constants of a family of kernels (docs/estimates.md); e is also that of an architecture.
Where a model has experts, more sequences read more of them: of x experts, u of which are used by a token, n sequences
read x * (1 - (1 - u/x)^n) on average if they choose independently. A token of a prompt takes 2 * P / (p * F).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import NamedTuple

import yaml

__all__ = ["Constants", "Quality", "constants_for", "decode_step_s", "prompt_token_s", "quality_of"]

OTHER = "other"  # the family of devices of which nothing is known


class Constants(NamedTuple):
    """Of a family of kernels on an architecture."""

    bandwidth: float  # e: share of the memory's bandwidth
    layer_s: float  # c
    batch: float  # k: share of the FP16 rate that further sequences get
    prompt: float  # p: share of the FP16 rate that prompts get


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


@cache
def _fitted() -> dict[str, dict[str, dict[str, float]]]:
    found = yaml.safe_load((files(__package__) / "constants.yaml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def constants_for(family: str, architecture: str) -> Constants:
    """Return the constants of a device's kernels; those of an unknown family are the middle of all."""
    fitted = _fitted()
    own = fitted["families"].get(family, fitted["families"][OTHER])
    more = fitted["architectures"].get(f"{family}/{architecture}", {"bandwidth": 1.0, "prompt": 1.0})
    return Constants(own["bandwidth"] * more["bandwidth"], own["layer_s"], own["batch"], own["prompt"] * more["prompt"])


def quality_of(what: str, family: str) -> Quality:
    """Return how good `decode`, `prompt` or `batch` was on devices left out, of a family if enough are known of it."""
    known = _fitted()["quality"]
    found = known.get(f"{what}/{family}", known[f"{what}/{OTHER}"])
    return Quality(round(found["rows"]), round(found["devices"]), found["median"], found["ninety"])


def decode_step_s(
    sequences: int,
    *,
    weight_bytes: float,
    active_share: float,
    experts: int,
    active_experts: int,
    parameters: float,
    layers: int,
    bandwidth: float,
    flops: float,
    by: Constants,
) -> float:
    """Return the seconds of a step in which so many sequences get a token each.

    Args:
        weight_bytes: of the whole file; `active_share` of it is read for one token.
        parameters: that one token goes through.
        bandwidth: bytes a second. `flops`: operations a second.
    """
    read = weight_bytes * active_share
    if experts and sequences > 1:
        rest = weight_bytes * (1 - active_share) / (experts - active_experts)  # of one expert that rests
        read += rest * (experts * (1 - (1 - active_experts / experts) ** sequences) - active_experts)
    computed = (sequences - 1) * 2 * parameters / (by.batch * flops)
    return read / (by.bandwidth * bandwidth) + layers * by.layer_s + computed


def prompt_token_s(parameters: float, flops: float, by: Constants) -> float:
    """Return the seconds of a prompt token in a full batch."""
    return 2 * parameters / (by.prompt * flops)
