"""Devices that models run on, with the figures of their makers: `devices.yaml`, which names the source of each."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import yaml

from harness.errors import UserError, did_you_mean

__all__ = ["Device", "custom_device", "devices", "find_device"]

GIB = 2**30
# FP16 over FP32 rate of a device given by its figures: of half of the table's it is 4, of Apple's chips 1.
USUAL_RATIO = 4.0
_COMPUTER = re.compile(
    r"\b(mac ?book ?(pro|air)?|mac ?mini|mac ?studio|mac ?pro|i ?mac|desktop|gpu|graphics( card)?|\d+ ?gi?b)\b"
)
_MOST_NAMED = 6


class Device(NamedTuple):
    """What a step's time is made of."""

    name: str
    family: str  # of kernels: cuda, cuda_pascal, metal, rocm, vulkan_intel, cpu; "" = not known
    architecture: str  # "ada", "m2"; "" = not known
    bandwidth: float  # of its memory, bytes a second
    flops: float  # of FP16, dense, a second: of its matrix units where it has any
    vector: float  # of FP32, a second, without matrix units
    memory_bytes: int
    source: str
    several: str = ""  # kernels of steps of several sequences: those of the family, or others that `devices.yaml` says


@cache
def devices() -> tuple[Device, ...]:
    """Return all devices of the table, in its order."""
    data = yaml.safe_load((files(__package__) / "devices.yaml").read_text(encoding="utf-8"))
    return tuple(
        Device(
            name=one["name"],
            family=one["family"],
            architecture=one["arch"],
            bandwidth=one["memory_bandwidth_gb_s"] * 1e9,
            flops=one["fp16_tflops"] * 1e12,
            vector=one["fp32_tflops"] * 1e12,
            memory_bytes=round(one["memory_gib"] * GIB),
            source=f"devices.yaml ({', '.join(dict.fromkeys(map(str, one['sources'].values())))})",
            several=one.get("several", one["family"]),
        )
        for one in data["devices"]
        if one.get("fp16_tflops")  # without it nothing can be said of prompts
    )


def find_device(name: str) -> Device:
    """Return a device by its name; case, spaces, signs and the maker's name do not matter.

    Nor do the computer that it is in and its memory: "Mac mini M4 Pro 24 GB" is the Apple M4 Pro.

    Raises:
        UserError: there is none of that name.
    """
    for wanted in dict.fromkeys((_key(name), _chip(name))):  # as it stands first: a name may have its memory in it
        for one in devices():
            if wanted in (_key(one.name), _key(re.sub(r"\(.*\)", "", one.name))):
                return one
    begun = [one for one in devices() if wanted and _key(one.name).startswith(wanted)]
    if len({one.architecture for one in begun}) == 1 and len(begun) == 1:
        return begun[0]
    names = [one.name for one in devices()]
    alike = begun or _alike(name)
    several = f"; it could be {', '.join(one.name for one in alike)}" if alike else ""
    raise UserError(
        f'--device: no device "{name}" in the table{several or did_you_mean(name, names)} (slotwise profile devices '
        "lists them). For another one give its figures: --bandwidth GB/S --fp16-tflops N --memory SIZE"
    )


def custom_device(name: str, bandwidth_gb_s: float, fp16_tflops: float, memory_bytes: int) -> Device:
    """Return a device that is not in the table.

    Raises:
        UserError: a figure that no device has.
    """
    for option, value, least, most in (
        ("--bandwidth", bandwidth_gb_s, 5, 20_000),
        ("--fp16-tflops", fp16_tflops, 0.05, 10_000),
        ("--memory", memory_bytes / 1e9, 1, 2_000),
    ):
        if not least <= value <= most:
            raise UserError(f"{option}: expected {least:g} to {most:g}, found {value:g}")
    flops = fp16_tflops * 1e12
    source = f"given by hand; of its FP32 rate, 1/{USUAL_RATIO:g} of that of FP16 is assumed"
    return Device(name, "", "", bandwidth_gb_s * 1e9, flops, flops / USUAL_RATIO, memory_bytes, source)


def _chip(name: str) -> str:
    """Return the key of what is left of a name without the computer and the memory."""
    return _key(_COMPUTER.sub(" ", name.lower()))


def _alike(name: str) -> list[Device]:
    """Return the devices, few enough to name, that share the number of their model and most other words with a name."""
    asked = set(re.findall(r"[a-z0-9]+", name.lower()))

    def shared(one: Device) -> int:
        words = set(re.findall(r"[a-z0-9]+", one.name.lower())) & asked
        return len(words) if any(re.search(r"\d", word) for word in words) else 0

    most = max(map(shared, devices()))
    found = [one for one in devices() if most and shared(one) == most]
    return found if len(found) <= _MOST_NAMED else []


def _key(name: str) -> str:
    text = re.sub(r"[^a-z0-9]", "", name.lower())
    for maker in ("nvidia", "geforce", "amd", "radeon", "intel", "apple"):
        text = text.replace(maker, "")
    return text
