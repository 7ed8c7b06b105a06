"""Without --profile: one of this machine and model is found, else made, kept and found the next time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from quiet import Quiet
from recommend.workloads import fan, paper

from harness.app.profile import profile_for
from harness.cli.app import _main
from harness.content import cache_dir
from harness.core.step_costs import StepCosts
from harness.errors import ServerFailure, UserError
from harness.measure import calibrate as measuring
from harness.measure.machine import machine_name
from harness.profiles.load import dump_profile, load_profile
from harness.profiles.schema import Profile
from harness.servers.fronts import child
from harness.servers.simulated_engine import SimulatedConfig
from harness.workload.schema import LlamaCppServer, OllamaServer

COSTS = StepCosts(decode_s=(0.0, 0.004, 0.005), prefill=((1, 1e-5),))
LIKE = LlamaCppServer(kind="llamacpp", slots=4)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def url() -> Iterator[str]:
    """A simulated server in a process of its own; clients take it for a running Ollama."""
    config = {"engine": SimulatedConfig("sim", "test", COSTS, 2048).to_json(), "faults": None}
    server = child("sim", "simulated", config)
    with asyncio.Runner() as runner:
        ready = runner.run(server.__aenter__())
        try:
            yield ready["url"]
        finally:
            runner.run(server.__aexit__(None, None, None))


def kept(profile: Profile, **changes: object) -> Profile:
    """Put a profile into the user's cache."""
    changed = profile.model_copy(
        update={"machine": machine_name(), "model_id": "smollm2-135m", "engine": "xllamacpp 1", "origin": "measured"}
        | changes
    )
    to = cache_dir() / "profiles"
    to.mkdir(parents=True, exist_ok=True)
    (to / f"{changed.name}.yaml").write_text(dump_profile(changed), encoding="utf-8")
    return changed


def test_nothing_but_the_workload_is_needed(
    folder: Path, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = fan(4, 8).replace("model: gemma4}", f"model: sim, slots: 2, url: '{url}'}}")
    (folder / "workload.yaml").write_text(text, encoding="utf-8")
    command = ["slotwise", "recommend", "workload.yaml", "--workers", "1", "--seeds", "2", "--resamples", "0", "--json"]
    monkeypatch.setattr("sys.argv", [*command, "--budget", "1s"])
    assert _main() == 0, capsys.readouterr().err
    first = capsys.readouterr()
    assert f"no profile of this machine ({machine_name()}) with sim" in first.err
    assert "calibrating first" in first.err
    assert "1 server setting: about" in first.err  # how long it takes, before it begins
    (file,) = (folder / "cache" / "profiles").glob("*.yaml")
    assert f"profile {file.stem} (2 slots): kept in {file.parent}, and taken from there the next time" in first.err
    said = json.loads(first.out)
    assert said["profile"] == file.stem
    assert any(note.startswith("Prediction only: a budget of 1.00 s is too short") for note in said["notes"])
    profile = load_profile(file.stem)  # by its name, from the cache
    assert profile.origin == "assumed"  # fitted to a simulation
    assert profile.machine == machine_name()
    assert not list(folder.glob("profiles"))

    monkeypatch.setattr("sys.argv", [*command, "--no-measure"])
    assert _main() == 0, capsys.readouterr().err
    second = capsys.readouterr()
    assert f"profile {file.stem}: this machine, with sim" in second.err
    assert "calibrating" not in second.err
    assert json.loads(second.out)["answer"] == said["answer"]


def test_of_several_the_newest_fits(folder: Path) -> None:
    base = paper(folder)
    kept(base, name="old", date="2026-01-01")
    kept(base, name="new", date="2026-02-01")
    kept(base, name="other-model", date="2026-03-01", model_id="gemma3-270m")
    kept(base, name="other-machine", date="2026-03-01", machine="another one")
    kept(base, name="other-engine", date="2026-03-01", engine="ollama 0.33")
    kept(base, name="of-a-simulation", date="2026-03-01", origin="assumed")
    said = Quiet()
    assert profile_for(LIKE, None, folder, said, calibrate_it=False).name == "new"
    assert said.said == [f"profile new: this machine, with {base.model}"]


def test_another_machines_is_not_taken_but_named(folder: Path) -> None:
    kept(paper(folder), name="theirs", machine="a faster one")
    with pytest.raises(
        UserError, match=r"no profile of this machine with smollm2-135m; .*theirs is of another machine"
    ):
        profile_for(LIKE, None, folder, Quiet(), calibrate_it=False)
    assert profile_for(LIKE, "theirs", folder, Quiet(), calibrate_it=False).machine == "a faster one"  # where asked for


def test_a_running_servers_profile_is_that_of_its_address(folder: Path) -> None:
    kept(paper(folder), name="llamacpp-smollm2-135m-quick")
    mine = kept(paper(folder), name="127.0.0.1-11434-smollm2-135m-quick", engine="ollama 0.33")
    like = OllamaServer(kind="ollama", model="smollm2-135m", url="http://127.0.0.1:11434")
    assert profile_for(like, None, folder, Quiet(), calibrate_it=False).name == mine.name
    with pytest.raises(UserError, match="no profile of this machine"):
        profile_for(like.model_copy(update={"url": "http://10.0.0.9:11434"}), None, folder, Quiet(), calibrate_it=False)


def test_a_broken_profile_of_somebodys_is_named_and_left_out(folder: Path) -> None:
    mine = kept(paper(folder), name="mine")
    (cache_dir() / "profiles" / "broken.yaml").write_text("version: 1\nname: [", encoding="utf-8")
    said = Quiet()
    assert profile_for(LIKE, None, folder, said, calibrate_it=False).name == mine.name
    assert any(line.startswith("profile broken is ignored:") for line in said.said)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ServerFailure("it died")])
def test_a_calibration_that_ends_early_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    async def fails(*arguments: object, **options: object) -> Profile:
        raise error

    monkeypatch.setattr(measuring, "calibrate", fails)
    with pytest.raises(type(error)):
        profile_for(LIKE, None, folder, Quiet(), calibrate_it=True)
    assert not (cache_dir() / "profiles").exists()
