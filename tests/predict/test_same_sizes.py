"""The work that is simulated is the work that is run: of one seed, a run and a simulation have calls of equal sizes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import VirtualLoop
from core.random_workloads import workloads
from hypothesis import HealthCheck, given, seed, settings
from predict import paper
from predict.emulated import emulate, on_simulated_servers, with_embedding

from harness.core.records import CallRecord
from harness.predict.forecast import forecast
from harness.predict.servers import Profiles, modelled
from harness.predict.simulation import simulate_trial
from harness.profiles.load import load_profile
from harness.workload.load import Loaded, load_workload

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(ROOT.glob("workloads/*.yaml"))

RunVirtual = Callable[[Callable[[Any], Any]], Any]


def sizes(calls: list[CallRecord]) -> dict[tuple[str, int, str, int, int], tuple[int | None, ...]]:
    return {
        (c.pipeline, c.job, c.node, c.item, c.iteration): (
            c.reply.prompt_tokens,
            c.reply.output_tokens,
            c.reply.thinking_tokens,
        )
        for c in calls
        if c.outcome == "ok"
    }


def races(loaded: Loaded) -> set[str]:
    """Pipelines in which who comes first decides which answers are read: that is a matter of times, not of draws."""
    return {p.name for p in loaded.pipelines if any(n.need is not None or n.enough is not None for n in p.graph.nodes)}


def simulated(loaded: Loaded, plan: Any, repeat: int) -> list[CallRecord]:
    spec = next(iter(loaded.servers.values()))
    assert spec.simulation is not None
    profile = load_profile(spec.simulation.profile)
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


def starts_and_ends(calls: list[CallRecord]) -> dict[tuple[str, int, str, int, int], tuple[float, float]]:
    return {(c.pipeline, c.job, c.node, c.item, c.iteration): (c.ready_s, c.reply.end_s or 0.0) for c in calls}


def on_random_files(count: int, number: int, folder: Path, embeds: str = "", images: str = "") -> None:
    """Hold the simulation to the run, on a machine without noise.

    Who decides is drawn (`control: draws`): where the model does, a run reads answers that a simulation has not. There
    are no races (`need`, `enough`, time limits that strike): there times decide what is read.

    Times are compared too, but not where they are a matter of chance or of words: with `unbounded`, calls of one
    instant come to a server in an order of chance; and in a session with `reuse_prefix`, whether two passes of a loop
    begin alike is known from their texts alone. Of nodes that grow from pass to pass it is known.
    """
    text = paper.PROFILE.replace("contention: null", "contention: {2: 1}")
    (folder / "paper.yaml").write_text(text, encoding="utf-8")
    if images:
        (folder / images).write_bytes(b"\x89PNG\r\n\x1a\n")
    profile = with_embedding(text, embeds, folder) if embeds else str(folder / "paper.yaml")
    server = {"kind": "simulated", "profile": profile, "context_tokens": 4096}

    @seed(number)
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(plain=workloads(server, controls=("draws",), races=False, embeds=embeds, images=images))
    def each(plain: dict[str, Any]) -> None:
        file = folder / "w.yaml"
        file.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
        loaded = load_workload(file)
        reused = any(p.session is not None and p.session.reuse_prefix for p in loaded.pipelines)
        for plan in loaded.plans:
            by_chance = reused or any(queue.concurrency.name == "unbounded" for queue in plan.queues)
            kept = emulated(loaded, plan)
            calls = simulated(loaded, plan, 0)
            run, simulation = sizes(kept), sizes(calls)
            if by_chance and any(pipeline.until is not None for pipeline in loaded.pipelines):
                common = run.keys() & simulation.keys()  # a `while` ends when it ends
                run, simulation = ({key: each[key] for key in common} for each in (run, simulation))
            assert run == simulation
            if not by_chance:
                times = starts_and_ends(calls)
                assert {key: pytest.approx(time, abs=1e-6) for key, time in starts_and_ends(kept).items()} == times

    each()


def emulated(loaded: Loaded, plan: Any) -> list[CallRecord]:
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(emulate(loop, loaded, plan, 0)).calls
    finally:
        loop.close()


def test_random_workloads_have_calls_of_equal_sizes(tmp_path: Path) -> None:
    on_random_files(10, 0, tmp_path)


def test_random_workloads_with_images_have_calls_of_equal_sizes(tmp_path: Path) -> None:
    on_random_files(10, 0, tmp_path, images="a.png")


def test_random_workloads_that_embed_have_calls_of_equal_sizes(tmp_path: Path) -> None:
    on_random_files(10, 0, tmp_path, "vectors")


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(10))
@pytest.mark.parametrize("embeds", ["", "vectors"])
def test_many_random_workloads_have_calls_of_equal_sizes(chunk: int, embeds: str, tmp_path: Path) -> None:
    """Two thousand files in all."""
    on_random_files(100, 1 + chunk, tmp_path, embeds)
