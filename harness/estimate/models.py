"""Shapes of the models that people run most: `models.yaml`; of any other, from the header of its GGUF file."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import yaml

from harness.errors import UserError, did_you_mean

__all__ = ["ModelShape", "find_model", "models", "quantisations", "shape_of"]

KV_BYTES = 2  # of a value in the cache (f16)


class ModelShape(NamedTuple):
    """What a model's steps read and compute."""

    name: str
    parameters: float
    active: float  # that one token goes through; fewer than all where there are experts
    layers: int
    width: int
    heads: int
    kv_heads: int
    head: int  # values of a head
    feed_forward: int
    vocabulary: int
    experts: int  # 0: none
    active_experts: int
    quant: str  # that it is published in
    source: str

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of a token in the cache: keys and values of every layer, in f16."""
        return 2 * self.layers * self.kv_heads * self.head * KV_BYTES

    def bytes_in(self, quant: str) -> float:
        """Return about how large its file is in a quantisation; UserError where that is not known."""
        known = quantisations()
        if quant.lower() not in known:
            raise UserError(f'--quant: expected one of {", ".join(known)}, found "{quant}"{did_you_mean(quant, known)}')
        return self.parameters * known[quant.lower()] / 8


@cache
def _table() -> dict[str, Any]:
    found = yaml.safe_load((files(__package__) / "models.yaml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def quantisations() -> dict[str, float]:
    """Return bits of a parameter by quantisation."""
    return dict(_table()["bits"])


@cache
def models() -> tuple[ModelShape, ...]:
    """Return all models of the table, in its order."""
    return tuple(
        ModelShape(
            name=one["name"],
            parameters=round(one["parameters"] * 1e9),
            active=round(one.get("active", one["parameters"]) * 1e9),
            **{key: one[key] for key in ("layers", "width", "heads", "kv_heads", "head", "feed_forward", "vocabulary")},
            experts=one.get("experts", 0),
            active_experts=one.get("active_experts", 0),
            quant=one.get("quant", "q4_k_m"),
            source=f"config.json of {one['repository']} (recalled)",
        )
        for one in _table()["models"]
    )


def find_model(name: str) -> ModelShape:
    """Return a model by Ollama's name for it; a tag such as `-instruct-q4_K_M` does not matter.

    Raises:
        UserError: there is none of that name.
    """
    wanted = name.lower().removesuffix(":latest")
    for one in models():
        if wanted == one.name or wanted.startswith(f"{one.name}-"):
            return one
    alone = [one for one in models() if one.name.partition(":")[0] == wanted]
    if len(alone) == 1:
        return alone[0]
    names = [one.name for one in models()]
    several = f"; it could be {', '.join(one.name for one in alone)}" if alone else ""
    raise UserError(
        f'--model: no model "{name}" in the table{several or did_you_mean(wanted, names)} (slotwise profile models '
        "lists them); of any other one name its GGUF file"
    )


def shape_of(name: str, metadata: dict[str, Any], parameters: float, source: str) -> ModelShape:
    """Return the shape that the metadata of a GGUF file, or `model_info` of Ollama's /api/show, tells.

    Raises:
        UserError: it does not tell how many layers and heads there are.
    """
    family = str(metadata.get("general.architecture", ""))

    def number(key: str, default: int | None = None) -> int:
        value = metadata.get(f"{family}.{key}", default)
        if isinstance(value, list):  # by layer
            value = max(value, default=None)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 10**7:
            raise UserError(f"{name}: it does not tell {family or 'architecture'}.{key}, so no estimate is possible")
        return value

    width, heads = number("embedding_length"), number("attention.head_count")
    experts, used = number("expert_count", 0), number("expert_used_count", 0)
    forward = number("expert_feed_forward_length", number("feed_forward_length", 0))
    idle = max(0, experts - used) * 3 * width * forward * number("block_count")  # parameters of the experts that rest
    vocabulary = metadata.get(f"{family}.vocab_size", 0)
    return ModelShape(
        name=name,
        parameters=parameters,
        active=max(parameters - idle, parameters * 0.02),
        layers=number("block_count"),
        width=width,
        heads=heads,
        kv_heads=number("attention.head_count_kv", heads),
        head=number("attention.key_length", width // max(1, heads)),
        feed_forward=forward,
        vocabulary=vocabulary if isinstance(vocabulary, int) else 0,
        experts=experts,
        active_experts=used,
        quant="",
        source=source,
    )
