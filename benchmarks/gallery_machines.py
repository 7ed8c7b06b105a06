"""What the workloads of the gallery would do elsewhere: predictions on machines that were chosen before looking.

The H100 has a measured profile. The others are estimated, each with a model that people run on such a machine. They are
named here, were so before any of their results was seen, and every workload is shown, none left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter

from harness.analysis.arriving import ArrivingJobs
from harness.analysis.deciding import Pays, QueueGrowth, growth_of, pays_of
from harness.analysis.details import details
from harness.app.estimate import device_profiles
from harness.app.options import Assumptions, SimulateOptions
from harness.app.simulate import simulate
from harness.core.records import Origin
from harness.errors import SlotwiseError
from harness.report.summary import to_plain
from harness.wording.learned import learned

__all__ = ["HERE", "MACHINES", "Elsewhere", "Machine", "predicted", "read_predictions", "write_predictions"]

REPEATS = 40  # with other draws each time


class Machine(NamedTuple):
    """A machine to predict on: a profile of this repository, or a device of the table with a model."""

    name: str  # as people call it
    model: str
    profile: str = ""
    device: str = ""

    @property
    def arguments(self) -> str:
        """What `slotwise simulate` takes for it."""
        return f"--profile {self.profile}" if self.profile else f'--device "{self.device}" --model {self.model}'


HERE = Machine(
    "2 CPU cores", "smollm2-135m", profile="epyc-2core"
)  # predicted beside what is measured, where rates climb
MACHINES = (
    Machine("H100", "an 8B model", profile="h100-8b"),
    Machine("Apple M4 Pro", "llama3.1:8b", device="Apple M4 Pro"),
    Machine("RTX 4090", "qwen3:14b", device="RTX 4090"),
)


class Elsewhere(NamedTuple):
    """One workload on one machine. Without `why_not` it was predicted."""

    machine: str
    origin: Origin
    chosen: str | None = None
    learned: str = ""
    pays: tuple[Pays, ...] = ()
    growth: QueueGrowth | None = None
    arriving: tuple[ArrivingJobs, ...] = ()  # where the rate climbs
    why_not: str = ""


def predicted(file: Path, machine: Machine) -> Elsewhere:
    """Predict a workload on a machine, with its model and the slots that the workload asks for."""
    profiles = (machine.profile,) if machine.profile else device_profiles((machine.device,), machine.model, None)
    origin: Origin = "predicted" if machine.profile else "estimated"
    asked = SimulateOptions(assumptions=Assumptions(profiles=profiles, extrapolate=True), repeats=REPEATS)
    try:
        run, analysis, _ = simulate(file, asked)
    except SlotwiseError as error:
        return Elsewhere(machine.name, origin, why_not=" ".join(str(error).split()))
    arriving = details(run, analysis).arriving
    growth = growth_of(analysis, arriving)
    return Elsewhere(
        machine.name,
        analysis.run.origin,
        analysis.choice.candidate,
        learned(analysis, growth),
        pays_of(analysis),
        growth,
        arriving,
    )


def write_predictions(path: Path, found: Mapping[str, Sequence[Elsewhere]]) -> None:
    """Write what was predicted, by workload."""
    plain = {name: [to_plain(one) for one in some] for name, some in found.items()}
    path.write_text(json.dumps(plain, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_predictions(path: Path) -> dict[str, tuple[Elsewhere, ...]]:
    """Read what `write_predictions` wrote; empty where there is no such file."""
    return _ALL.validate_json(path.read_bytes()) if path.exists() else {}


_ALL = TypeAdapter(dict[str, tuple[Elsewhere, ...]])
