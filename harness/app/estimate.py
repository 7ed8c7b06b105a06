"""Estimate a profile of a machine that nobody has measured, from its figures and those of a model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.app.calibrate import Calibrated, check_profile_name, check_writable, write_profile
from harness.content import cache_dir
from harness.errors import UserError
from harness.estimate.devices import Device, custom_device, find_device
from harness.estimate.estimate import estimate_profile
from harness.estimate.given import Given, read_bench
from harness.estimate.models import ModelShape, find_model, shape_of
from harness.estimate.tables import device_rows, model_rows
from harness.profiles.schema import Profile
from harness.servers.gguf import read_gguf

__all__ = ["EstimateOptions", "device_name", "device_profiles", "device_rows", "estimated", "model_rows", "new_profile"]

COMMENT = "Estimated by `slotwise profile new`: nothing was measured. docs/estimates.md says how; times in seconds."


@dataclass(frozen=True, kw_only=True)
class EstimateOptions:
    """Of `new_profile`."""

    device: str | None = None  # its name in the table; of another device only what to call it
    model: str = "llama3.1:8b"  # Ollama's name of one of the table, or the path of a GGUF file
    quant: str | None = (
        None  # number format of the weights; left out: as the model is usually published, or as the file
    )
    slots: tuple[int, ...] = (1, 2, 4, 8)
    context_tokens: int = 4096  # of a slot
    bandwidth_gb_s: float | None = None  # these three: of a device that is not in the table
    fp16_tflops: float | None = None
    memory_bytes: int | None = None
    decode: float | None = None  # tokens a second, measured there: of one sequence alone
    decode_at: Mapping[int, float] = field(default_factory=dict)  # of several together, by how many
    prefill: float | None = None  # of a prompt
    bench: Path | None = None  # what llama-bench or llama-batched-bench printed
    name: str | None = None  # of the profile; left out: made of device and model
    out: Path | None = None  # the file to write; left out: profiles/NAME.yaml
    force: bool = False  # overwrite the file


def new_profile(options: EstimateOptions) -> Calibrated:
    """Estimate a profile and write it.

    Raises:
        UserError: an unknown device or model, a figure that cannot be, or a file that cannot be written.
    """
    profile = estimated(options)
    check_profile_name(profile.name)
    path = options.out or Path("profiles") / f"{profile.name}.yaml"
    check_writable(path, options.force)
    write_profile(path, profile, COMMENT)
    return Calibrated(profile, path)


def estimated(options: EstimateOptions) -> Profile:
    """Return an estimated profile; nothing is written.

    Raises:
        UserError: an unknown device or model, or a figure that cannot be.
    """
    device = _device(options)
    model, file_bytes, quant = _model(options)
    known = Given(options.decode, options.decode_at, options.prefill)
    if options.bench is not None:
        known = known.over(read_bench(options.bench))
    name = options.name or (options.out.stem if options.out is not None else _name(device, model, quant))
    return estimate_profile(
        device, model, quant,
        slots=options.slots, known=known, name=name, context_tokens=options.context_tokens, file_bytes=file_bytes,
    )  # fmt: skip


def device_profiles(names: Sequence[str], model: str | None, quant: str | None) -> tuple[str, ...]:
    """Estimate a profile of each device with a model, in the user's cache; return where they are.

    Raises:
        UserError: an unknown device or model, or no model.
    """
    if names and model is None:
        raise UserError("--device: an estimate needs the model, too: --model llama3.1:8b (slotwise profile models)")
    found = []
    for name in names:
        profile = estimated(EstimateOptions(device=name, model=model or "", quant=quant, name=device_name(name)))
        folder = cache_dir() / "estimates" / _plain(f"{model}-{quant or ''}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{folder}: cannot be made ({error.strerror or error}); set SLOTWISE_CACHE") from None
        write_profile(folder / f"{profile.name}.yaml", profile, COMMENT)
        found.append(str(folder / f"{profile.name}.yaml"))
    return tuple(found)


def device_name(name: str) -> str:
    """Return what an estimate of a device is called."""
    return _plain(name)


def _device(options: EstimateOptions) -> Device:
    given = (options.bandwidth_gb_s, options.fp16_tflops, options.memory_bytes)
    if all(value is None for value in given):
        if options.device is None:
            raise UserError(
                "expected a machine: --device NAME (slotwise profile devices lists them), or --bandwidth GB/S, "
                "--fp16-tflops N and --memory SIZE"
            )
        return find_device(options.device)
    bandwidth, flops, memory = given
    if bandwidth is None or flops is None or memory is None:
        missing = [
            name
            for name, value in zip(("--bandwidth", "--fp16-tflops", "--memory"), given, strict=True)
            if value is None
        ]
        raise UserError(f"a device by its figures needs all three; {', '.join(missing)} missing")
    return custom_device(options.device or "a device given by its figures", bandwidth, flops, memory)


def _model(options: EstimateOptions) -> tuple[ModelShape, float | None, str]:
    if not options.model.lower().endswith(".gguf"):
        model = find_model(options.model)
        return model, None, options.quant or model.quant
    path = Path(options.model)
    header = read_gguf(path)
    shape = shape_of(path.stem, header.metadata, float(header.parameters), f"the header of {path.name}")
    if options.quant is not None and options.quant.lower() != header.quantization.lower():
        raise UserError(f"--quant: {path} is {header.quantization or 'of an unknown number format'}; leave --quant out")
    return shape, float(header.file_bytes), header.quantization or "?"


def _name(device: Device, model: ModelShape, quant: str) -> str:
    return _plain(f"{device.name}-{model.name}-{quant}")


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-._")[:63]
