"""The shipped tables as rows of plain values, for listings."""

from __future__ import annotations

from typing import Any

from harness.estimate.devices import devices
from harness.estimate.models import models

__all__ = ["device_rows", "model_rows"]


def device_rows() -> list[dict[str, Any]]:
    """Return what is known of each device."""
    return [
        {
            "name": one.name,
            "family": one.family,
            "bandwidth_gb_s": one.bandwidth / 1e9,
            "fp16_tflops": one.flops / 1e12,
            "fp32_tflops": one.vector / 1e12,
            "memory_bytes": one.memory_bytes,
            "source": one.source,
        }
        for one in devices()
    ]


def model_rows() -> list[dict[str, Any]]:
    """Return what is known of each model."""
    return [
        {
            "name": one.name,
            "parameters": one.parameters,
            "active_parameters": one.active,
            "layers": one.layers,
            "width": one.width,
            "heads": one.heads,
            "kv_heads": one.kv_heads,
            "kv_bytes_per_token": one.kv_bytes_per_token,
            "quant": one.quant,
            "bytes": round(one.bytes_in(one.quant)),
            "source": one.source,
        }
        for one in models()
    ]
