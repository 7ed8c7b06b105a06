"""The kind `simulated`: a process that plays a profile (`simulated_engine.py`) behind our front."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from harness.core.step_costs import sped_up
from harness.errors import UserError
from harness.profiles.compile import compile_costs
from harness.profiles.embedding import embedding_of
from harness.profiles.levers import lever_notes, pulled
from harness.profiles.load import load_profile
from harness.profiles.schema import MemoryUse, Profile
from harness.servers.access import OWN_MACHINE, Access
from harness.servers.fronts import children, our_server
from harness.servers.ollama_api import load
from harness.servers.simulated_engine import SimulatedConfig, SimulatedEmbedding
from harness.servers.spec import Around, Launched, RunningServer, Say
from harness.units import count
from harness.workload.schema import FAULTS, ServerSpec, SimulatedServer

__all__ = ["contention", "emulation", "launch", "profile_of", "simulated"]

HOW = "in a workload these are keys of the server: `assume: {...}`, `extrapolate: true`"


@asynccontextmanager
async def launch(name: str, spec: SimulatedServer, around: Around) -> AsyncIterator[Launched]:
    """Start a process that plays it, unless one does already (`around.played`)."""
    async with AsyncExitStack() as stack:
        server = around.played.get(name)
        if server is None:
            alone = simulated({name: spec}, say=around.say, access=around.access, port=around.port, near=around.near)
            server = (await stack.enter_async_context(alone))[name]
        for model in around.embeds:
            try:
                embedding_of([profile_of(spec, around.near)], model, half=spec.threads == "half")
            except UserError as error:
                raise UserError(f"{name}: {error}") from None
        server = server._replace(embeds={model: model for model in around.embeds})
        yield Launched(await load(server), around.connect)


@asynccontextmanager
async def simulated(
    servers: Mapping[str, ServerSpec],
    *,
    say: Say,
    access: Access = OWN_MACHINE,
    port: int = 0,
    near: Path | None = None,
) -> AsyncIterator[dict[str, RunningServer]]:
    """Yield those of the servers that are simulated, by name, running; stopped after.

    Those with one profile stand on one machine unless they name several: one process plays those on one, and they slow
    each other as the profile says.
    """
    machines: dict[tuple[str | None, str], dict[str, SimulatedServer]] = {}
    for name, spec in servers.items():
        if isinstance(spec, SimulatedServer):
            machines.setdefault((spec.machine, spec.profile), {})[name] = spec
    running: dict[str, RunningServer] = {}
    async with AsyncExitStack() as stack:
        for specs in machines.values():
            planned = {name: emulation(name, spec, near) for name, spec in specs.items()}
            for name, spec in specs.items():
                say(
                    f"{name}: simulating {spec.model}, {count(spec.slots, 'slot')} of {spec.context_tokens} "
                    f"tokens{f', {spec.speed_up:g} times as fast' if spec.speed_up != 1 else ''}"
                )
            among = contention(profile_of(next(iter(specs.values())), near), len(specs))
            configs = [config for config, _ in planned.values()]
            started = children(", ".join(specs), "simulated", configs, among=among, access=access, port=port)
            for name, ready in zip(specs, await stack.enter_async_context(started), strict=True):
                running[name] = our_server(
                    name, specs[name].kind, specs[name].slots, ready, planned[name][1], emulated=True
                )
        yield running


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
        notes = (*fitted.notes, *lever_notes(profile, fitted.costs, spec.levers, name))
        fitted = fitted._replace(costs=pulled(profile, fitted.costs, spec.levers), notes=notes)
    except UserError as error:
        raise UserError(f"{name}: {error}; {HOW}") from None
    config = SimulatedConfig(
        model_name=spec.model,
        profile=profile.name,
        costs=sped_up(fitted.costs, spec.speed_up),
        context_tokens=spec.context_tokens,
        model_bytes=profile.memory.model_bytes or 0,
        memory_bytes=_memory_bytes(profile.memory, spec),
        kv_bytes=round((profile.memory.slot_bytes or 0) / (profile.memory.context_tokens or spec.context_tokens)),
        accelerated=profile.accelerator is not None,
        noise=fitted.noise,
        noise_seed=spec.fault_seed,
        noise_key=name,
        embedding=_embedding(profile, spec.speed_up, half=fitted.half),
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
    if profile.accelerator is not None:
        details["accelerator"] = profile.accelerator
    details |= spec.levers
    if fitted.notes:
        details["assumed"] = "; ".join(fitted.notes)
    rates = {fault: spec.faults[fault] for fault in FAULTS if spec.faults.get(fault)}
    faults = None
    if rates:
        faults = {"rates": rates, "seed": spec.fault_seed, "delay_s": spec.fault_delay_s / spec.speed_up}
        shares = ", ".join(f"{fault} {rate:g}" for fault, rate in rates.items())
        details["faults"] = f"{shares}, seed {spec.fault_seed}"
    return {"engine": config.to_json(), "faults": faults}, details


def _embedding(profile: Profile, speed_up: float, *, half: bool) -> SimulatedEmbedding | None:
    """Return the model that texts are embedded with; what a request costs beside these is our own front's."""
    known = profile.embedding
    if known is None or (known.half != half and profile.accelerator is None):
        return None
    costs = known.costs.sped_up(speed_up)
    return SimulatedEmbedding(known.model, costs.text_s, costs.token_s, known.stretch)


def profile_of(spec: SimulatedServer, near: Path | None = None) -> Profile:
    """Load the profile of a simulated server; see `load_profile` for errors."""
    path = None if near is None else near / spec.profile
    return load_profile(str(path) if path is not None and path.is_file() else spec.profile, near)


def contention(profile: Profile, servers: int) -> dict[int, float] | None:
    """Return the factor on every step by how many of this many servers are busy; None where nothing is known of it.

    Beyond what the profile knows the factor stays as it was; a note says so where such a candidate is run.
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
