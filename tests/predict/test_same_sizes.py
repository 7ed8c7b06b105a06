"""The work that is simulated is the work that is run: of one seed, a run and a simulation have calls of equal sizes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from predict.emulated import PROFILE, emulate, on_simulated_servers

from harness.core.records import CallRecord
from harness.predict.forecast import forecast
from harness.predict.servers import Profiles, modelled
from harness.predict.simulation import simulate_trial
from harness.profiles.load import load_profile
from harness.workload.load import Loaded

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(ROOT.glob("workloads/*.yaml"))

RunVirtual = Callable[[Callable[[Any], Any]], Any]


def sizes(calls: list[CallRecord]) -> dict[tuple[str, int, str, int, int], tuple[int | None, int | None]]:
    return {
        (c.pipeline, c.job, c.node, c.item, c.iteration): (c.reply.prompt_tokens, c.reply.output_tokens)
        for c in calls
        if c.outcome == "ok"
    }


def races(loaded: Loaded) -> set[str]:
    """Pipelines in which who comes first decides which answers are read: that is a matter of times, not of draws."""
    return {p.name for p in loaded.pipelines if any(n.need is not None or n.enough is not None for n in p.graph.nodes)}


def simulated(loaded: Loaded, plan: Any, repeat: int) -> list[CallRecord]:
    profile = load_profile(PROFILE)
    records: list[Any] = []
    servers = modelled(loaded, Profiles(profile, {}), plan, extrapolate=True)
    simulate_trial(loaded, servers, repeat, forecast(loaded, profile.text)(plan.name, repeat), records.append)
    return [record for record in records if isinstance(record, CallRecord)]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_run_and_a_simulation_of_one_seed_have_calls_of_equal_sizes(
    path: Path, tmp_path: Path, run_virtual: RunVirtual
) -> None:
    loaded = on_simulated_servers(path, tmp_path)
    plan = loaded.plans[-1]
    for repeat in (0, 1):
        kept = run_virtual(partial(emulate, loaded=loaded, plan=plan, repeat=repeat))
        run, simulation = sizes(kept.calls), sizes(simulated(loaded, plan, repeat))
        common = {key for key in run.keys() & simulation.keys() if key[0] not in races(loaded)}
        assert len(run.keys() & simulation.keys()) >= 0.9 * max(
            len(run), len(simulation)
        )  # a `while` ends when it ends
        assert {key: run[key] for key in common} == {key: simulation[key] for key in common}
