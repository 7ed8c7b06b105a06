"""From a simulated server of a workload to the orders of the process that plays it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.core.step_costs import sped_up
from harness.errors import UserError
from harness.profiles.compile import compile_costs
from harness.profiles.load import load_profile
from harness.profiles.schema import MemoryUse, Profile
from harness.servers.simulated import SimulatedConfig
from harness.workload.schema import FAULTS, SimulatedServer

__all__ = ["contention", "emulation", "profile_of"]

HOW = "in a workload these are keys of the server: `assume: {...}`, `extrapolate: true`"


def emulation(
    name: str, spec: SimulatedServer, near: Path | None = None
) -> tuple[dict[str, Any], dict[str, str | int | float]]:
    """Return the config of the child process (kind "simulated") and what is to be recorded of the server.

    Args:
        name: of the server, for messages.
        spec: of the server.
        near: the workload's folder.

    Raises:
        UserError: no such profile; or it lacks the slots or a value, and `spec` does not say what to take.
        WorkloadError: the profile has mistakes, a line each.
    """
    profile = profile_of(spec, near)
    try:
        fitted = compile_costs(
            profile, spec.slots, threads=spec.threads, given=spec.assume, extrapolate=spec.extrapolate
        )
    except UserError as error:
        raise UserError(f"{name}: {error}; {HOW}") from None
    config = SimulatedConfig(
        model_name=spec.model,
        profile=profile.name,
        costs=sped_up(fitted.costs, spec.speed_up),
        context_tokens=spec.context_tokens,
        model_bytes=profile.memory.model_bytes or 0,
        memory_bytes=_memory_bytes(profile.memory, spec),
        noise=fitted.noise,
        noise_seed=spec.fault_seed,
        noise_key=name,
    )
    details: dict[str, str | int | float] = {
        "profile": profile.name,
        "speed_up": spec.speed_up,
        "batch_tokens": fitted.costs.batch_tokens,
        "context_tokens": spec.context_tokens,
    }
    if profile.contention and (fitted.half or not profile.half):
        details["contention"] = max(int(busy) for busy in profile.contention)  # servers that slow each other as known
    if fitted.half:
        details["cores"] = "half"
    if fitted.notes:
        details["assumed"] = "; ".join(fitted.notes)
    rates = {fault: spec.faults[fault] for fault in FAULTS if spec.faults.get(fault)}
    faults = None
    if rates:
        faults = {"rates": rates, "seed": spec.fault_seed, "delay_s": spec.fault_delay_s / spec.speed_up}
        shares = ", ".join(f"{fault} {rate:g}" for fault, rate in rates.items())
        details["faults"] = f"{shares}, seed {spec.fault_seed}"
    return {"engine": config.to_json(), "faults": faults}, details


def profile_of(spec: SimulatedServer, near: Path | None = None) -> Profile:
    """Load the profile of a simulated server; see `load_profile` for errors."""
    path = None if near is None else near / spec.profile
    return load_profile(str(path) if path is not None and path.is_file() else spec.profile, near)


def contention(profile: Profile, servers: int) -> dict[int, float] | None:
    """Return the factor on every step by how many of so many servers are busy; None where nothing is known of it.

    Beyond what the profile knows the factor stays as it was; whoever runs such a candidate is told.
    """
    if not profile.contention or servers < 2:
        return None
    known = {int(busy): factor for busy, factor in profile.contention.items()}
    factors, last = {}, 1.0
    for busy in range(2, servers + 1):
        factors[busy] = last = known.get(busy, last)
    return factors


def _memory_bytes(memory: MemoryUse, spec: SimulatedServer) -> int:
    """Return weights and KV cache of all slots; 0 where the profile does not know them."""
    if memory.model_bytes is None:
        return 0
    slot_bytes = (memory.slot_bytes or 0) * spec.context_tokens / (memory.context_tokens or spec.context_tokens)
    return memory.model_bytes + round(slot_bytes * spec.slots)
