"""Two servers that share an accelerator, calibrated side by side: simulated ones, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import VirtualLoop
from measure.test_calibrate_accelerator import COSTS
from measure.virtual_bursts import QUICK, Virtual
from quiet import Quiet
from servers.asgi import AppTransport

from harness.core.step_costs import PassCosts
from harness.drivers.chat import Chat
from harness.measure import calibrate as measuring
from harness.measure import side_by_side as pairing
from harness.measure.calibrate import ToCalibrate, calibrate
from harness.measure.experiment import pair_experiment
from harness.measure.sender import Endpoint
from harness.measure.side_by_side import no_room_on_device
from harness.profiles.compile import compile_costs
from harness.profiles.fit import fit_contention, held_out
from harness.profiles.load import dump_profile, load_profile
from harness.profiles.schema import Profile
from harness.servers.distance import Distant
from harness.servers.front.app import create_app
from harness.servers.simulated import contention, emulation, profile_of
from harness.servers.simulated_engine import SimulatedConfig, SimulatedEngine
from harness.servers.spec import RunningServer
from harness.workload.schema import OllamaServer, SimulatedServer

RunVirtual = Callable[[Callable[[VirtualLoop], Any]], Any]

FACTOR = 1.625
ONE = COSTS._replace(decode_s=COSTS.decode_s[:2], passes=PassCosts((0.0, 0.004), (0.0, 0.0), 1024))
PLAYED = """
version: 1
name: gpu
origin: assumed
source: made up
date: null
machine: none
accelerator: NVIDIA L4
engine: none
model: none
slots:
  1: {step_s: {1: 0.0033}, prefill_s_per_token: 0.00008, prompt_step_s: 0.009, prefill_batch_tokens: 512,
      context_s_per_token: 0, mixed_factor: 1, before_s: 0.0025, after_s: 0.0015}
  4: {step_s: {1: 0.0033, 2: 0.0039, 3: 0.0045, 4: 0.0052}, prefill_s_per_token: 0.00008, prompt_step_s: 0.009,
      prefill_batch_tokens: 512, context_s_per_token: 0, mixed_factor: 1, before_s: 0.0025, after_s: 0.0015}
contention: {2: 1.625}
memory: {model_bytes: 4000000000, slot_bytes: 268435456, context_tokens: 2048}
"""


def test_a_factor_comes_back_where_slots_and_their_contents_matter() -> None:
    """As on a GPU: passes by which slots are busy, and copies of what earlier bursts left, also the other server's."""
    costs = [ONE, COSTS]
    seen = asyncio.run(pair_experiment(Virtual(costs, stretch=FACTOR), costs, QUICK, Quiet(), name="both"))
    assert {call.seat for call in seen.observed if call.server == 1} == {0, 1, 2, 3}  # known from the first burst on
    found = fit_contention(seen.fitted, costs, [costs, costs])
    assert found.factor == pytest.approx(FACTOR, rel=1e-6)
    assert all(one == pytest.approx(FACTOR, rel=0.01) for one in found.replicates)
    errors = sorted(held_out(seen.held_out, costs, found.factor))
    assert errors[len(errors) // 2] < 0.01
    assert max(held_out(seen.held_out, costs)) > 0.3  # without it they would be far off


def simulated_spec(slots: int) -> SimulatedServer:
    return SimulatedServer(kind="simulated", profile="gpu.yaml", slots=slots)


def wanted(*slots: int, half: bool = False) -> list[ToCalibrate]:
    full = [ToCalibrate(f"s{n}", simulated_spec(n)) for n in slots]
    return full + [ToCalibrate(f"h{n}", simulated_spec(n).halved(), half=True) for n in slots if half]


@pytest.fixture
def on_virtual_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_virtual: RunVirtual) -> Callable[..., Profile]:
    """Return a calibration of simulated servers: the whole stack from ChatOllama to their front, in virtual time."""
    (tmp_path / "gpu.yaml").write_text(PLAYED, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    started: list[str] = []

    vram = {"share": 1.0}

    def endpoints(specs: Mapping[str, SimulatedServer]) -> dict[str, Endpoint]:
        loop = asyncio.get_running_loop()
        made, engines = {}, []
        for name, spec in specs.items():
            config, details = emulation(name, spec, tmp_path)
            engine = SimulatedEngine(SimulatedConfig.from_json(config["engine"]))
            engines.append(engine)
            costs = SimulatedConfig.from_json(config["engine"]).costs
            app = Distant(create_app(engine, lambda: round(loop.time() * 1e9)), costs.before_s, costs.after_s)
            chat = Chat("http://front:80", engine.model.name, loop.time, transport=AppTransport(app))
            on_device = round((engine.model.vram_bytes or 0) * vram["share"])
            details |= {"size_bytes": engine.model.memory_bytes or 0, "size_vram_bytes": on_device}
            server = RunningServer(
                name, "simulated", "http://front:80", engine.model.name, spec.slots, True, engine.version, True, True,
                details, emulated=True,
            )  # fmt: skip
            made[name] = Endpoint(server, chat, None, 300.0, {engine.model.name: chat})
        if (stretch := contention(profile_of(simulated_spec(1), tmp_path), len(specs))) is not None:
            SimulatedEngine.share(engines, stretch)
        return made

    @asynccontextmanager
    async def simulated(specs: Mapping[str, SimulatedServer], **_: Any) -> AsyncIterator[dict[str, Endpoint]]:
        started.append("+".join(specs))
        yield endpoints(specs)

    @asynccontextmanager
    async def opened(
        name: str, spec: SimulatedServer, _: Any, played: Mapping[str, Endpoint] | None = None
    ) -> AsyncIterator[Endpoint]:
        one = (played or endpoints({name: spec}))[name]
        started.append(name)
        yield one
        await one.chat.close()

    for module in (measuring, pairing):
        monkeypatch.setattr(module, "opened", opened)
    monkeypatch.setattr(pairing, "simulated", simulated)
    monkeypatch.setattr(measuring, "find_accelerators", lambda: ())

    def run(servers: list[ToCalibrate], *, pair: bool | None, share: float = 1.0) -> Profile:
        started.clear()
        vram["share"] = share
        profile: Profile = run_virtual(lambda _: calibrate("made", servers, QUICK, Quiet(), pair=pair, machine="any"))
        (tmp_path / "made.yaml").write_text(dump_profile(profile), encoding="utf-8")
        assert load_profile(str(tmp_path / "made.yaml")) == profile
        full = [one.name for one in servers if not one.half]
        both = (full[0], full[-1] if len(full) > 1 else f"{full[0]}-again")
        together = [] if pair is False or share < 1 else ["+".join(both), *both]
        assert started == full + together
        return profile

    return run


@pytest.mark.parametrize("pair", [None, True])
def test_two_simulated_servers_show_the_factor_of_their_profile(
    on_virtual_time: Callable[..., Profile], pair: bool | None
) -> None:
    profile = on_virtual_time(wanted(1, 4, half=bool(pair)), pair=pair)
    assert profile.accelerator == "NVIDIA L4" and profile.half is None
    assert profile.contention is not None and profile.contention["2"] == pytest.approx(FACTOR, rel=0.01)
    assert profile.contention_replicates is not None and len(profile.contention_replicates["2"]) == 20
    assert set(profile.slots) == {"1", "4"}
    (note,) = profile.notes
    assert note.startswith("Contention is that of servers with 1 slot and 4 slots that share the device, both busy")
    assert profile.held_out is not None and profile.held_out.median_error < 0.01
    assert compile_costs(profile, 4).costs.decode_s == pytest.approx(COSTS.decode_s, rel=0.01)


def test_one_setting_is_measured_beside_itself(on_virtual_time: Callable[..., Profile]) -> None:
    profile = on_virtual_time(wanted(4), pair=True)
    assert profile.contention is not None and profile.contention["2"] == pytest.approx(FACTOR, rel=0.01)


def test_without_a_pair_there_is_no_contention(on_virtual_time: Callable[..., Profile]) -> None:
    profile = on_virtual_time(wanted(1, 4), pair=False)
    assert profile.contention is None and profile.notes == ()


@pytest.mark.parametrize("pair", [None, True])
def test_where_layers_are_on_the_cpu_that_is_noted_first_and_no_pair_is_measured(
    on_virtual_time: Callable[..., Profile], pair: bool | None
) -> None:
    profile = on_virtual_time(wanted(1, 4), pair=pair, share=0.6)
    first, second = profile.notes[-2:]
    assert first.startswith("1 slot: layers on the CPU: 40 % of the model did not fit")
    assert second.startswith("4 slots: layers on the CPU: 40 % of the model did not fit")
    asked = ("Two servers side by side were not measured: with the most slots a part of the model was on the CPU.",)
    assert profile.notes[:-2] == (asked if pair else ())
    assert profile.contention is None and profile.accelerator is None


def on_gpu(vram: int, size: int = 100, *, emulated: bool = False) -> RunningServer:
    details: dict[str, str | int | float] = {"size_bytes": size, "size_vram_bytes": vram}
    return RunningServer("s", "ollama", "http://h:1", "m", 1, True, "v", False, False, details, emulated=emulated)


def test_where_an_accelerator_has_room_for_both() -> None:
    both = [on_gpu(100), on_gpu(300, 300)]
    assert no_room_on_device(both, 400, asked=False) == ""
    assert no_room_on_device(both, 399, asked=True) == "they take 400 B together, and 399 B of the accelerator is free"
    unknown = "how much of the accelerator is free is not known (--pair tries it)"
    assert no_room_on_device(both, None, asked=False) == unknown
    assert no_room_on_device(both, None, asked=True) == ""
    spilled = [on_gpu(100), on_gpu(100, 300)]
    assert no_room_on_device(spilled, 10**9, asked=True).startswith("with the most slots a part of the model was on")
    assert no_room_on_device([on_gpu(1, 1, emulated=True)] * 2, None, asked=False) == ""  # nothing is held there


def test_a_pair_of_which_one_spills_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fitted while it was alone; beside the other one there was less room than the tools had said."""

    @asynccontextmanager
    async def opened(name: str, *_: Any, **__: Any) -> AsyncIterator[Endpoint]:
        server = on_gpu(100 if name == "one" else 60)._replace(name=name)
        yield Endpoint(server, None, None, 1.0, {})  # type: ignore[arg-type]  # nothing is sent

    monkeypatch.setattr(pairing, "opened", opened)
    specs = {name: OllamaServer(kind="ollama", model="m") for name in ("one", "two")}
    found = asyncio.run(pairing.side_by_side(specs, [COSTS, COSTS], [], QUICK, Quiet()))
    assert found == "beside the other one, 40 % of two's model was on the CPU"
