"""Two servers at the same time, to see what each costs the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from harness.core.device import on_accelerator, share_on_cpu
from harness.core.step_costs import StepCosts
from harness.measure.burst_design import Effort
from harness.measure.bursts import LiveBursts
from harness.measure.experiment import Experiment, pair_experiment
from harness.measure.progress import Progress
from harness.measure.session import opened
from harness.profiles.fit import Contention, fit_contention
from harness.servers.simulated import simulated
from harness.servers.spec import RunningServer
from harness.units import percent, size
from harness.workload.schema import ServerSpec

__all__ = ["no_room_on_device", "side_by_side"]


def no_room_on_device(servers: Sequence[RunningServer], free: int | None, *, asked: bool) -> str:
    """Return why servers are not to share an accelerator; "" where they are.

    Args:
        servers: as they were, each alone.
        free: bytes on the accelerator while none of them is up; None = not known.
        asked: it is asked for, so it is tried where nobody knows whether there is room.
    """
    if not all(on_accelerator(server.details) for server in servers):
        return "with the most slots a part of the model was on the CPU"
    if all(server.emulated for server in servers):
        return ""
    needed = sum(int(server.details["size_vram_bytes"]) for server in servers)
    if free is None:
        return "" if asked else "how much of the accelerator is free is not known (--pair tries it)"
    return "" if needed <= free else f"they take {size(needed)} together, and {size(free)} of the accelerator is free"


async def side_by_side(
    specs: Mapping[str, ServerSpec],
    costs: Sequence[StepCosts],
    replicates: Sequence[Sequence[StepCosts]],
    effort: Effort,
    progress: Progress,
) -> tuple[Contention, Experiment] | str:
    """Start two servers and fit how they slow each other; or return why that would mean nothing.

    Args:
        specs: of the two, by name.
        costs: of each, alone.
        replicates: the same under resampled calibrations.
        effort: how much it may cost.
        progress: is told of every step.

    Raises:
        ServerFailure: a server could not be started or a call failed.
    """
    async with AsyncExitStack() as stack:
        played = await stack.enter_async_context(simulated(specs, say=progress.say))
        endpoints = [
            await stack.enter_async_context(opened(name, spec, progress, played=played)) for name, spec in specs.items()
        ]
        for endpoint in endpoints:
            if share := share_on_cpu(endpoint.server.details):
                return f"beside the other one, {percent(share)} of {endpoint.server.name}'s model was on the CPU"
        bursts = LiveBursts(endpoints)
        await bursts.prepare()
        seen = await pair_experiment(bursts, costs, effort, progress, name="side by side")
    return fit_contention(seen.fitted, costs, replicates), seen
