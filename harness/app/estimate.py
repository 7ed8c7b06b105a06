"""Estimate a profile of a machine that nobody has measured, from its figures and those of a model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.app.calibrate import Calibrated, check_profile_name, check_writable, write_profile
from harness.app.loops import finished
from harness.content import cache_dir
from harness.errors import UserError
from harness.estimate.bench import read_bench
from harness.estimate.devices import Device, custom_device, find_device
from harness.estimate.estimate import check_known, estimate_profile
from harness.estimate.given import Given
from harness.estimate.models import ModelShape, find_model, shape_of, shape_told
from harness.estimate.tables import device_rows, model_rows
from harness.profiles.schema import Profile
from harness.servers.gguf import read_gguf
from harness.servers.ollama_show import MOST_BYTES, show_model
from harness.units import size

__all__ = ["EstimateOptions", "device_name", "device_profiles", "device_rows", "estimated", "model_rows", "new_profile"]

MOST_CONTEXT = 10_000_000  # tokens
APART = 1.3  # a benchmark's model and the one that is asked for, as file sizes and parameters are counted differently
COMMENT = "Estimated by `slotwise profile new`: nothing was measured; seconds. docs/explanation/estimates.md."


@dataclass(frozen=True, kw_only=True)
class EstimateOptions:
    """Of `new_profile`."""

    device: str | None = None  # its name in the table; of another device only what to call it
    model: str = "llama3.1:8b"  # Ollama's name of one of the table, or the path of a GGUF file
    quant: str | None = (
        None  # number format of the weights; left out: as the model is usually published, or as the file
    )
    model_from: str | None = None  # URL of an Ollama that has the model, or a file with what its /api/show answered
    slots: tuple[int, ...] = (1, 2, 4, 8)
    context_tokens: int = 4096  # of a slot
    bandwidth_gb_s: float | None = None  # these three: of a device that is not in the table
    fp16_tflops: float | None = None
    memory_bytes: int | None = None
    decode: float | None = None  # tokens a second, measured there: of one sequence alone
    decode_at: Mapping[int, float] = field(default_factory=dict)  # of several together, by how many
    prefill: float | None = None  # of a prompt
    bench: Path | None = None  # what llama-bench, llama-batched-bench or `slotwise probe --json` printed
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
        ServerFailure: the server that has the model does not answer.
    """
    device = _device(options)
    if not 1 <= options.context_tokens <= MOST_CONTEXT:
        raise UserError(f"--context: expected 1 to {MOST_CONTEXT} tokens, found {options.context_tokens}")
    model, file_bytes, quant = _model(options)
    known = Given(options.decode, options.decode_at, options.prefill)
    if options.bench is not None:
        known = known.over(_benchmarked(options.bench, device, model, file_bytes or model.bytes_in(quant)))
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


def _benchmarked(path: Path, device: Device, model: ModelShape, weight_bytes: float) -> Given:
    """Read a benchmark; UserError where it is of another model, or has a figure that this device cannot have."""
    found = read_bench(path)
    for what, theirs, ours in (
        (f"{(found.parameters or 0) / 1e9:.2g} billion parameters", found.parameters, model.parameters),
        (f"a file of {size(round(found.model_bytes or 0))}", found.model_bytes, weight_bytes),
    ):
        if theirs is not None and not 1 / APART < theirs / ours < APART:
            said = size(round(ours)) if theirs is found.model_bytes else f"{ours / 1e9:.2g} billion"
            whose = f" ({found.model})" if found.model else ""
            raise UserError(f"--bench {path}: it is of a model with {what}{whose}; {model.name} has {said} here")
    check_known(device, model, weight_bytes, found.given, f"--bench {path}: ")
    return found.given


def _model(options: EstimateOptions) -> tuple[ModelShape, float | None, str]:
    """Return the model's shape, the bytes of its file where these are known, and its number format."""
    if options.model_from is not None:
        return _told(options, options.model_from)
    if not options.model.lower().endswith(".gguf"):
        model = find_model(options.model)
        return model, None, options.quant or model.quant
    path = Path(options.model)
    header = read_gguf(path)
    shape = shape_of(path.stem, header.metadata, float(header.parameters), f"the header of {path.name}")
    if options.quant is not None and options.quant.lower() != header.quantization.lower():
        raise UserError(f"--quant: {path} is {header.quantization or 'of an unknown number format'}; leave --quant out")
    return shape, float(header.file_bytes), header.quantization or "?"


def _told(options: EstimateOptions, where: str) -> tuple[ModelShape, float | None, str]:
    """Return what an Ollama tells of a model; in another number format than it has there, without its file's size."""
    file_bytes: int | None = None
    if where.startswith(("http://", "https://")):
        shown = finished(show_model(where, options.model))
        file_bytes = shown.file_bytes
        shape, told = shape_told(options.model, shown.answer)
    else:
        shape, told = shape_told(options.model, _answer_in(Path(where)))
    quant = (options.quant or told).lower()
    if not quant:
        raise UserError(f"{options.model}: its number format is not told; give it with --quant")
    return shape, float(file_bytes) if file_bytes is not None and quant == told else None, quant


def _answer_in(path: Path) -> object:
    """Return the JSON in a file; None where it is none."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UserError(
            f"--model-from {path}: expected the URL of an Ollama, such as http://127.0.0.1:11434, or a file with what "
            f"its /api/show answered; the file cannot be read ({error.strerror or error})"
        ) from None
    try:
        return json.loads(data) if len(data) <= MOST_BYTES else None
    except (ValueError, RecursionError):
        return None


def _name(device: Device, model: ModelShape, quant: str) -> str:
    return _plain(f"{device.name}-{model.name}-{quant}")


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-._")[:63]
