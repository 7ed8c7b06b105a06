"""The search where servers stand on several machines: one on each at most, memory by machine, the bound by machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from recommend.workloads import MADE_UP, PROFILE, alone, both, chat, loaded_of, paper

from harness.app.options import Assumptions, RecommendOptions
from harness.app.recommend import recommend
from harness.core.plan import Pool
from harness.errors import UserError
from harness.predict.servers import Profiles
from harness.profiles.load import load_profile
from harness.profiles.schema import Profile
from harness.recommend.bounds import bounds
from harness.recommend.constraints import rooms_of
from harness.recommend.evaluate import Evaluator, Problem
from harness.recommend.facts import (
    FixedSlots,
    LimitSource,
    MemoryNeed,
    MoreMachines,
    NoTwoServers,
    OneEach,
    OtherModel,
    Room,
    SameMachines,
    TooMuch,
)
from harness.recommend.several import space_of_two
from harness.recommend.space import Space, design_space
from harness.workload.load import Loaded
from harness.workload.schema import OllamaServer

LINE = "  ollama: {kind: ollama, model: gemma4}"


def on(text: str, *servers: str) -> str:
    """The workload on these servers, each `NAME: keys`."""
    lines = [
        f"  {name}: {{kind: ollama, model: gemma4, {keys}}}" for name, _, keys in (s.partition(": ") for s in servers)
    ]
    return text.replace(LINE, "\n".join(lines))


def two_gpus(text: str) -> str:
    return on(text, "left: slots: 4, machine: gpu0", "right: slots: 4, machine: gpu1")


def names(space: Space) -> list[str]:
    return [candidate.name for candidate in space.candidates]


def machines_of(space: Space, name: str) -> list[str | None]:
    return [space.loaded.servers[queue.server].machine for queue in space.find(name).plan.queues]


def test_each_machine_has_one_server(tmp_path: Path) -> None:
    loaded = loaded_of(tmp_path, two_gpus(both()))
    space = design_space(loaded, alone(tmp_path))  # a profile without contention: none is needed
    assert len(set(names(space))) == len(space.candidates)
    for candidate in space.candidates:
        machines = machines_of(space, candidate.name)
        assert len(set(machines)) == len(machines)
        assert {space.loaded.servers[queue.server].engine_threads for queue in candidate.plan.queues} == {None}
    assert machines_of(space, "serial-on-1-at-gpu0") == ["gpu0"]
    assert machines_of(space, "2x-window-on-4") == ["gpu0", "gpu1"]
    assert machines_of(space, "serial-on-1-at-gpu0+window-on-4-at-gpu1") == ["gpu0", "gpu1"]
    apart = space.find("serial-on-1-at-gpu0+window-on-4-at-gpu1").plan
    assert {loaded.pipelines[i].path: place[0] for i, place in enumerate(apart.placement)} == {
        "interactive": 0,
        "batch": 1,
    }
    assert OneEach(("gpu0", "gpu1")) in space.left_out
    assert SameMachines(("gpu1",), "gpu0") in space.left_out
    assert not any(isinstance(item, NoTwoServers) for item in space.left_out)
    assert not any("-at-gpu1" in name.partition("+")[0] for name in names(space))  # nothing new: it is like gpu0


def test_machines_that_differ_are_looked_at_both_ways(tmp_path: Path) -> None:
    text = f"{two_gpus(both())}machines: {{gpu0: {{memory: 80GB}}, gpu1: {{memory: 24GB}}}}\n"
    space = design_space(loaded_of(tmp_path, text), paper(tmp_path))
    found = set(names(space))
    assert {"serial-on-1-at-gpu0", "serial-on-1-at-gpu1"} <= found
    assert {"serial-on-1-at-gpu0+window-on-4-at-gpu1", "serial-on-1-at-gpu1+window-on-4-at-gpu0"} <= found
    assert not any(isinstance(item, SameMachines) for item in space.left_out)


def test_running_servers_keep_their_slots_and_are_pooled(tmp_path: Path) -> None:
    servers = [
        f'g{n}: slots: {slots}, url: "http://127.0.0.1:{n}", machine: gpu{n}' for n, slots in enumerate((2, 2, 4))
    ]
    space = design_space(loaded_of(tmp_path, on(both(), *servers)), paper(tmp_path))
    assert set(space.loaded.servers) == {"g0", "g1", "g2"}
    pool = space.find("3x-window-on-2+window-on-4").plan
    assert [(queue.server, queue.slots) for queue in pool.queues] == [("g0", 2), ("g1", 2), ("g2", 4)]
    assert all(isinstance(place, Pool) for places in pool.placement for place in places)
    reverse = space.find("2x-window-on-2+window-on-4+serial-on-2-at-gpu0").plan
    assert {queue.server for queue in reverse.queues} == {"g0", "g1", "g2"}
    assert FixedSlots(2) in space.left_out
    assert SameMachines(("gpu1",), "gpu0") in space.left_out
    assert not any(isinstance(item, OneEach) for item in space.left_out)


def test_a_machine_with_another_model_is_left_out_and_said(tmp_path: Path) -> None:
    text = on(chat(), "left: slots: 4, machine: gpu0", "right: slots: 2, machine: gpu1").replace(
        "gemma4, slots: 2", "embed, slots: 2"
    )
    text += "compare: {a: {placement: left}, b: {placement: right}}\n"
    space = design_space(loaded_of(tmp_path, text), paper(tmp_path))
    assert {spec.machine for spec in space.loaded.servers.values()} == {"gpu0"}
    assert "serial-on-1" in names(space)  # one machine is left: named as ever


def used(text: str) -> str:
    """Every server with a candidate of its own, so that none is dropped."""
    return f"{text}compare: {{a: {{placement: left}}, b: {{placement: right}}}}\n"


def test_other_models_beside_two_machines(tmp_path: Path) -> None:
    servers = ("left: slots: 4, machine: gpu0", "right: slots: 4, machine: gpu1", "third: slots: 1, machine: gpu2")
    text = on(chat(), *servers).replace("gemma4, slots: 1", "embed, slots: 1")
    text += "compare: {a: {placement: left}, b: {placement: right}, c: {placement: third}}\n"
    space = design_space(loaded_of(tmp_path, text), paper(tmp_path))
    assert OtherModel(("gpu2",), "gemma4") in space.left_out


def test_two_servers_on_two_machines_do_not_slow_each_other(tmp_path: Path) -> None:
    """What the interactive path takes beside a batch elsewhere is what it takes where it has a machine alone."""
    loaded, profile = loaded_of(tmp_path, used(two_gpus(both()))), alone(tmp_path)
    space = design_space(loaded, profile)
    evaluator = Evaluator(Problem(space.loaded, Profiles(profile)))
    chat_at = next(i for i, pipeline in enumerate(loaded.pipelines) if pipeline.path == "interactive")
    times = {
        evaluator.evaluate(space.find(f"serial-on-1-at-gpu0+{batch}-at-gpu1").number, 0).time_s[chat_at]
        for batch in ("serial-on-1", "window-on-4", "unbounded-on-4")
    }
    assert len(times) == 1


# --- memory -----------------------------------------------------------------------------------------------------------

SPEC = OllamaServer(kind="ollama", model="gemma4", slots=1, context_tokens=1000)


def at(machine: str | None) -> OllamaServer:
    return SPEC.model_copy(update={"machine": machine})


def test_memory_counts_by_machine() -> None:
    need = MemoryNeed(1_000_000, 0.0, 1_500_000, *MADE_UP)  # 1.1 MB a server
    assert need.too_much([at(None), at(None)]) == TooMuch(1_500_000, LimitSource("given"))
    assert need.too_much([at("gpu0"), at("gpu1"), at(None)]) is None
    assert need.too_much([at("gpu0"), at("gpu1"), at("gpu1")]) == TooMuch(1_500_000, LimitSource("given"))
    small = Room(1_000_000, LimitSource("file", machine="gpu1"))
    rooms = need._replace(rooms={"gpu1": small, "gpu2": Room(None, LimitSource("unknown", "paper"))})
    assert rooms.too_much([at("gpu0"), at("gpu1")]) == TooMuch(1_000_000, small.source)
    assert rooms.too_much([at("gpu2")] * 9) is None


def test_memory_of_machines_is_what_the_file_says_else_what_is_given(tmp_path: Path) -> None:
    loaded = loaded_of(tmp_path, f"{used(two_gpus(both()))}machines: {{gpu0: {{memory: 80GB}}, gpu1: {{}}}}\n")
    profiles = Profiles(paper(tmp_path))
    told = Room(80_000_000_000, LimitSource("file", machine="gpu0"))
    assert rooms_of(loaded, profiles) == {"gpu0": told, "gpu1": Room(None, LimitSource("unknown", "paper"))}
    assert rooms_of(loaded, profiles, 5)["gpu1"] == Room(5, LimitSource("given"))
    assert rooms_of(loaded_of(tmp_path, both()), profiles) == {}


def test_what_fits_one_machine_alone_fits_one_on_each(tmp_path: Path) -> None:
    loaded, profile = loaded_of(tmp_path, two_gpus(both())), paper(tmp_path)
    need = MemoryNeed(1_000_000, 0.0, 1_500_000, *MADE_UP)
    space = design_space(loaded, profile, fits=need.too_much)
    assert "2x-window-on-4" in names(space)
    one = loaded_of(tmp_path, both())
    assert all(
        len(candidate.plan.queues) == 1 for candidate in design_space(one, profile, fits=need.too_much).candidates
    )


# --- the whole --------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "paper.yaml").write_text(PROFILE, encoding="utf-8")
    return tmp_path


OPTIONS = RecommendOptions(
    assumptions=Assumptions(profiles=("paper.yaml",), resamples=0), measure=False, workers=1, seeds=2
)


def test_recommend_names_the_machine_of_each_server(folder: Path) -> None:
    (folder / "w.yaml").write_text(
        f"{two_gpus(both())}machines: {{gpu0: {{memory: 80GB}}, gpu1: {{}}}}\n", encoding="utf-8"
    )
    found = recommend(folder / "w.yaml", OPTIONS).recommendation
    assert {machine for use in found.uses for machine in use.machines} <= {"gpu0", "gpu1"}
    shell = [line for one in found.analysis.choice.settings for line in one.shell]
    assert all(" on gpu" in line for line in shell)
    assert found.memory.rooms["gpu0"].limit_bytes == 80_000_000_000


def test_a_machine_without_a_profile_is_asked_for(folder: Path) -> None:
    (folder / "w.yaml").write_text(two_gpus(both()), encoding="utf-8")
    options = replace(OPTIONS, assumptions=Assumptions(profiles=("gpu0=paper.yaml",), resamples=0))
    with pytest.raises(UserError, match="there is no profile for machine gpu1: give --profile gpu1=NAME"):
        recommend(folder / "w.yaml", options)


# --- two models -------------------------------------------------------------------------------------------------------

TWO = """
version: 1
name: two
pipelines:
  answer:
    path: batch
    jobs: 2
    nodes:
      draft: {agent: {model: small, prompt: "A draft.", output_tokens: 8}}
      final: {agent: {model: large, prompt: "An answer.", output_tokens: 8}, after: [draft]}
servers:
  left: {kind: ollama, model: small, slots: 4, machine: gpu0}
  right: {kind: ollama, model: large, slots: 4, machine: gpu1}
  third: {kind: ollama, model: large, slots: 1, machine: gpu2}
compare:
  it: {placement: {answer: left, answer.final: right}}
  other: {placement: {answer: left, answer.final: third}}
"""


def model_profile(folder: Path, name: str) -> Profile:
    path = folder / f"{name}.yaml"
    text = PROFILE.replace("name: paper", f"name: {name}").replace("contention: {2: 1.25}", "contention: null")
    path.write_text(text, encoding="utf-8")
    return load_profile(str(path))


def test_two_models_on_two_machines_have_them_to_themselves(tmp_path: Path) -> None:
    loaded: Loaded = loaded_of(tmp_path, TWO)
    profiles = {name: model_profile(tmp_path, name) for name in ("small", "large")}
    space = space_of_two(loaded, profiles)  # no contention is known, and none is needed
    for candidate in space.candidates:
        specs = [space.loaded.servers[queue.server] for queue in candidate.plan.queues]
        assert [(spec.model, spec.machine, spec.engine_threads) for spec in specs] == [
            ("small", "gpu0", None),
            ("large", "gpu1", None),
        ]
    assert MoreMachines(("gpu2",)) in space.left_out


def test_the_bound_on_work_adds_the_machines_up(tmp_path: Path) -> None:
    """Two machines do twice the work of one, whatever contention is."""
    profile = paper(tmp_path)
    spaces = [design_space(loaded_of(tmp_path, text), profile) for text in (used(two_gpus(both())), both())]
    work_s = []
    for space, name in zip(spaces, ("2x-window-on-4", "window-on-4"), strict=True):
        loaded = space.loaded._replace(plans=(space.find(name).plan,))
        servers = {queue.server: space.loaded.servers[queue.server] for queue in loaded.plans[0].queues}
        found = bounds(Problem(loaded._replace(servers=servers), Profiles(profile)), 1)
        work_s.append(found.batch_work_s or 0.0)
    assert work_s[0] == pytest.approx(work_s[1] / 2, rel=1e-12)
