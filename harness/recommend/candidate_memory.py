"""What the servers of one candidate take of memory on each machine, and what there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from harness.core.plan import Plan
from harness.predict.profiles import Profiles
from harness.predict.runners import asked_on
from harness.recommend.constraints import memory_of, rooms_of
from harness.recommend.memory import SPARE, Room, RunnerNeed
from harness.recommend.runners import runners_needed
from harness.units import size
from harness.wording.searches import limit_text
from harness.workload.load import Loaded
from harness.workload.machines import by_machine
from harness.workload.schema import ServerSpec

__all__ = ["MachineMemory", "memory_of_candidate"]


class MachineMemory(NamedTuple):
    """The servers of a candidate that stand on one machine. Bytes; None = not known, and `notes` say why."""

    machine: str  # as the workload names it; "": it names none
    runners: tuple[RunnerNeed, ...]  # each model with each context that is asked for
    needed_bytes: int | None  # weights and KV cache of all that is loaded at once, a tenth more for buffers
    prompts_bytes: int  # that engines may fill with earlier prompts, in main memory
    room_bytes: int | None
    room_text: str  # where that is known from, or that it is not
    fits: bool | None
    notes: tuple[str, ...] = ()


def memory_of_candidate(loaded: Loaded, profiles: Profiles, plan: Plan) -> tuple[MachineMemory, ...]:
    """Return what a candidate's servers take and what there is, machine by machine, as far as it is known.

    Raises:
        UserError: there are several profiles, and none of a model.
    """
    specs = {queue.server: loaded.servers[queue.server] for queue in plan.queues}
    used = loaded._replace(plans=(plan,), servers=specs)
    runners = runners_needed(used, profiles)
    rooms = rooms_of(used, profiles)
    embeds = {
        queue.server: tuple(dict.fromkeys(one.model for one in asked_on(loaded, plan, number).embed))
        for number, queue in enumerate(plan.queues)
    }
    return tuple(
        _on(
            machine or "",
            {name: specs[name] for name in names},
            tuple(one for one in runners if one.server in names),
            rooms.get(machine or "") or _unnamed(specs[names[0]], profiles),
            {name: embeds[name] for name in names},
        )
        for machine, names in by_machine(specs).items()
    )


def _unnamed(spec: ServerSpec, profiles: Profiles) -> Room:
    found = memory_of(spec, profiles.on(spec.machine).of(spec.model))
    return Room(found.limit_bytes, found.limit_source)


def _on(
    machine: str,
    specs: dict[str, ServerSpec],
    runners: tuple[RunnerNeed, ...],
    room: Room,
    embeds: dict[str, tuple[str, ...]],
) -> MachineMemory:
    notes, needed, known = [], 0, True
    for name, spec in specs.items():
        if spec.simulated:
            notes.append(f"{name} is simulated: it takes no memory.")
            continue
        mine = [one for one in runners if one.server == name]
        for one in mine:
            if one.weights_bytes is None:
                notes.append(f"What {one.model} takes is not known: no file of it lies here, and the profile lacks it.")
            elif one.cache_bytes is None:
                notes.append(f"The context of a slot of {name} is not known.")
        for model in embeds[name]:
            notes.append(f"What {model} takes, which embeds texts on {name}, is not known.")
        loaded = _loaded(mine, spec.load_limit)
        known = known and loaded is not None and not embeds[name]
        needed += loaded or 0
    prompts = sum(spec.prompt_cache_bytes for spec in specs.values() if not spec.running)
    if prompts:
        notes.append(f"Engines may fill up to {size(prompts)} of main memory with earlier prompts, beside it.")
    running = [name for name, spec in specs.items() if spec.running]
    if running and room.source.kind == "free":
        notes.append(f"{', '.join(running)}: runs already, so that what it holds is not in what is free.")
    total = round(needed * SPARE) if known else None
    fits = None
    if total is not None and room.limit_bytes is not None and not (running and room.source.kind == "free"):
        fits = total + (0 if room.source.accelerator else prompts) <= room.limit_bytes
    said = limit_text(room.source).replace(" (--memory)", "")
    return MachineMemory(machine, runners, total, prompts, room.limit_bytes, said, fits, tuple(dict.fromkeys(notes)))


def _loaded(runners: Sequence[RunnerNeed], most: int | None) -> int | None:
    """Return what the models of one server take that are loaded at once; of one model the largest context counts."""
    by_model: dict[str, int] = {}
    for one in runners:
        if one.weights_bytes is None or one.cache_bytes is None:
            return None
        by_model[one.model] = max(by_model.get(one.model, 0), one.weights_bytes + one.cache_bytes)
    return sum(sorted(by_model.values(), reverse=True)[:most])
