"""Shapes of the models that people run most: `models.yaml`; of any other, from its GGUF file or an Ollama server."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import yaml

from harness.errors import UserError, did_you_mean

__all__ = ["ModelShape", "find_model", "models", "quantisations", "shape_of", "shape_told"]

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
    hint = did_you_mean(wanted, names if ":" in wanted else [*names, *(name.partition(":")[0] for name in names)])
    raise UserError(
        f'--model: no model "{name}" in the table{several or hint} (slotwise profile models '
        "lists them); of any other one name its GGUF file, or a server that has it: --model-from URL"
    )


def shape_of(name: str, metadata: dict[str, Any], parameters: float, source: str) -> ModelShape:
    """Return the shape that the metadata of a GGUF file, or `model_info` of Ollama's /api/show, tells.

    Raises:
        UserError: it does not tell how many layers and heads there are.
    """
    family = str(metadata.get("general.architecture", ""))

    def number(key: str, default: int | None = None, least: int = 0) -> int:
        value = metadata.get(f"{family}.{key}", default)
        if isinstance(value, list):  # by layer
            value = max((one for one in value if isinstance(one, int)), default=None)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 10**7:
            raise UserError(
                f"{name}: it does not tell {family[:40] or 'architecture'}.{key}, so no estimate is possible"
            )
        return value

    width, heads = number("embedding_length", least=1), number("attention.head_count", least=1)
    experts, used = number("expert_count", 0), number("expert_used_count", 0)
    if not 0 < used < experts:  # all of them are read for every token, or there are none
        experts = used = 0
    forward = number("expert_feed_forward_length", number("feed_forward_length", 0))
    idle = max(0, experts - used) * 3 * width * forward * number("block_count")  # parameters of the experts that rest
    vocabulary = metadata.get(f"{family}.vocab_size", 0)
    return ModelShape(
        name=name,
        parameters=parameters,
        active=max(parameters - idle, parameters * 0.02),
        layers=number("block_count", least=1),
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


def shape_told(name: str, answer: object) -> tuple[ModelShape, str]:
    """Return the shape that an answer of Ollama's /api/show tells, and the number format of its weights ("": not told).

    Raises:
        UserError: it is no such answer, or does not tell how large the model is.
    """
    told = answer if isinstance(answer, dict) else {}
    info, details = told.get("model_info"), told.get("details")
    if not isinstance(info, dict):
        raise UserError(f"{name}: expected what Ollama's /api/show answers, found no model_info in it")
    details = details if isinstance(details, dict) else {}
    parameters = info.get("general.parameter_count")
    if not isinstance(parameters, int) or isinstance(parameters, bool):
        size = re.fullmatch(r"([0-9]{1,5}(?:\.[0-9]{1,3})?)([MB])", str(details.get("parameter_size", "")))
        parameters = 0 if size is None else round(float(size[1]) * {"M": 1e6, "B": 1e9}[size[2]])
    if not 10**6 <= parameters <= 10**13:
        raise UserError(f"{name}: it does not tell general.parameter_count, so no estimate is possible")
    quant = details.get("quantization_level")
    known = isinstance(quant, str) and re.fullmatch(r"[A-Za-z0-9_]{2,20}", quant) and quant.lower() != "unknown"
    return shape_of(name, info, float(parameters), f"/api/show of {name}"), str(quant).lower() if known else ""
