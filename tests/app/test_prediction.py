"""Which profile is for which server: by machine, by model, by both, and what the workload says itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from predict.paper import PROFILE

from harness.app.options import Assumptions, ScoreOptions, SimulateOptions
from harness.app.prediction import profiles_of
from harness.app.score import score
from harness.app.simulate import simulate
from harness.errors import UserError
from harness.predict.servers import Profiles
from harness.workload.load import Loaded, load_workload

WORKLOAD = """
version: 1
name: three
pipelines:
  p: {path: batch, jobs: 1, nodes: {n: {agent: {prompt: x, output_tokens: 3}}}}
servers:
  a: {kind: ollama, model: none, url: "http://127.0.0.1:1", machine: gpu0}
  b: {kind: ollama, model: none, url: "http://127.0.0.1:2", machine: gpu1}
  c: {kind: ollama, model: none, url: "http://127.0.0.1:3"}
compare:
  a: {placement: a, concurrency: serial}
  b: {placement: b, concurrency: serial}
  c: {placement: c, concurrency: serial}
"""
SAYS = "machines: {gpu0: {profile: two}, gpu1: {}}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "profiles").mkdir()
    for name in ("one", "two", "three"):
        text = PROFILE.replace("name: dyadic", f"name: {name}")
        (tmp_path / f"profiles/{name}.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def load(folder: Path, text: str = WORKLOAD) -> Loaded:
    (folder / "w.yaml").write_text(text, encoding="utf-8")
    return load_workload(folder / "w.yaml")


def names(profiles: Profiles) -> dict[str | None, str]:
    return {machine: profiles.on(machine).first.name for machine in (None, "gpu0", "gpu1")}


@pytest.mark.parametrize(
    ("named", "says", "expected"),
    [
        (("one",), "", ("one", "one", "one")),
        (("gpu0=two", "one"), "", ("one", "two", "one")),
        (("one", "gpu0=two", "gpu1=three"), "", ("one", "two", "three")),
        (("one",), SAYS, ("one", "two", "one")),
        (("gpu0=three", "one"), SAYS, ("one", "three", "one")),
        (("none=one", "gpu1:none=three", "gpu0=two"), "", ("one", "two", "three")),
    ],
)
def test_a_machine_has_its_own_else_that_of_the_rest(
    folder: Path, named: tuple[str, ...], says: str, expected: tuple[str, ...]
) -> None:
    profiles = profiles_of(named, folder, load(folder, WORKLOAD + says))
    assert tuple(names(profiles).values()) == expected
    assert profiles.on("gpu1").of("none").name == expected[2]


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ((), "there is no profile for machines gpu0, gpu1: give --profile gpu0=NAME --profile gpu1=NAME, or one"),
        (("gpu0=one", "gpu1=two"), "there is no profile for the servers that name no machine"),
        (("gpu0=one",), r"no profile for machine gpu1: give --profile gpu1=NAME, or one for all that have none"),
        (("one", "two"), 'several go by model or by machine, such as .* --profile gpu0=NAME, found "two"'),
        (("gpu0=one", "gpu0=two", "three"), 'two profiles for machine "gpu0"; give one'),
        (("gpu0:none=one", "gpu0:none=two"), 'two profiles for model "none" on machine "gpu0"; give one'),
        (("one", "none=two"), 'several go by model or by machine, such as .* --profile gpu0=NAME, found "none=two"'),
        (("gpu0=",), 'several go by model or by machine, .*found "gpu0="'),
        (("gpu2=one",), '--profile gpu2=one: no machine or model "gpu2" in the workload; did you mean "gpu1"'),
        (("gpu0:other=one",), 'no model "other" in the workload; there is none'),
        (("gpu0=nobody", "one"), 'no profile "nobody"'),
    ],
)
def test_mistakes(folder: Path, named: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        profiles_of(named, folder, load(folder))


def test_a_profile_for_nobody(folder: Path) -> None:
    text = WORKLOAD.replace('url: "http://127.0.0.1:3"', 'url: "http://127.0.0.1:3", machine: gpu1')
    loaded = load(folder, text)
    assert names(profiles_of(("gpu0=one", "gpu1=two"), folder, loaded)) == {None: "one", "gpu0": "one", "gpu1": "two"}
    with pytest.raises(UserError, match="--profile three: every server stands on a machine with a profile of its own"):
        profiles_of(("gpu0=one", "gpu1=two", "three"), folder, loaded)


def test_only_those_count_that_a_candidate_uses(folder: Path) -> None:
    loaded = load(folder)
    only = loaded._replace(servers={"a": loaded.servers["a"]}, plans=loaded.plans[:1])
    assert profiles_of(("gpu0=two",), folder, only).on("gpu0").first.name == "two"


def test_what_simulated_servers_play_is_their_machines_profile(folder: Path) -> None:
    text = WORKLOAD.replace('kind: ollama, model: none, url: "http://127.0.0.1:1"', "kind: simulated, profile: two")
    profiles = profiles_of(("one",), folder, load(folder, text))
    assert names(profiles) == {None: "one", "gpu0": "two", "gpu1": "one"}


def test_simulate_takes_them(folder: Path) -> None:
    load(folder, WORKLOAD + SAYS)
    options = SimulateOptions(assumptions=Assumptions(profiles=("one", "gpu1=three"), resamples=0), repeats=1)
    found = simulate(folder / "w.yaml", options)
    assert {profile.name for profile in found.profiles.all} == {"one", "two", "three"}
    notes = [note.text for note in found.run.notes if note.kind == "profile"]
    assert [note.partition(" (")[0] for note in notes] == [
        'Predicted on profile "one"',
        'Predicted on profile "three" for machine gpu1',
        'Predicted on profile "two" for machine gpu0',
    ]


SIMULATED = """
version: 1
name: emulated
pipelines:
  p: {path: batch, jobs: 1, nodes: {n: {agent: {prompt: x, output_tokens: 3}}}}
servers:
  a: {kind: simulated, profile: one, machine: gpu0, speed_up: 20}
  b: {kind: simulated, profile: two, machine: gpu1, speed_up: 20}
compare: {both: {placement: {least-loaded: [a, b]}, concurrency: serial}}
measure: {repeats: 1, warmup: 0}
"""


def test_score_takes_them_and_runs_of_two_machines_are_kept_as_such(folder: Path) -> None:
    """Emulated on two machines of which the profile does not know the contention: nothing has to be known of it."""
    load(folder, SIMULATED)
    found = score(folder / "w.yaml", ScoreOptions(assumptions=Assumptions(), out=folder / "out"))
    assert found.score is not None
    assert found.profile == "one + two"
    run = found.measured.run
    assert {server.name: server.details["machine"] for server in run.servers} == {"a": "gpu0", "b": "gpu1"}
    assert not [note for note in run.notes if note.kind == "contention"]
    assert run.workload.servers["b"].machine == "gpu1"
