"""What the servers of one candidate take beside what there is, counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from recommend.test_runners import write

from harness.app.prediction import profiles_of
from harness.app.workload import load
from harness.recommend import constraints, runners
from harness.recommend.candidate_memory import MachineMemory, memory_of_candidate

WEIGHTS, TOKEN = 3_000_000, 1_000  # of the profile on paper


@pytest.fixture(autouse=True)
def no_file_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (constraints, runners):
        monkeypatch.setattr(module, "header_of", lambda spec: None)


def found(path: Path, profile: str = "small") -> MachineMemory:
    """The one machine of the one candidate."""
    loaded = load(path)
    profiles = profiles_of((str(path.with_name(f"{profile}.yaml")),), path.parent, loaded)
    (one,) = memory_of_candidate(loaded, profiles, loaded.plans[0])
    return one


def with_machine(path: Path, n_bytes: int) -> Path:
    profile = path.with_name("small.yaml")
    text = profile.read_text().replace("context_tokens: 1024}", f"context_tokens: 1024, machine_bytes: {n_bytes}}}")
    profile.write_text(text)
    return path


def test_of_one_model_the_largest_context_counts(tmp_path: Path) -> None:
    one = found(write(tmp_path, "num_ctx: 8192", "exact_output: true"))
    assert [runner.context_tokens for runner in one.runners] == [1024, 8192]
    assert one.needed_bytes == round(1.1 * (WEIGHTS + 2 * 8192 * TOKEN))
    assert (one.room_bytes, one.fits) == (None, None)
    assert one.room_text == 'how much memory there is on the machine of profile "small" is not known'


@pytest.mark.parametrize(("spare", "fits"), [(0, True), (-1, False)])
def test_it_fits_to_the_byte(tmp_path: Path, spare: int, fits: bool) -> None:
    needed = round(1.1 * (WEIGHTS + 2 * 1024 * TOKEN))
    path = with_machine(write(tmp_path, "exact_output: true", "exact_output: true", "llamacpp"), needed + spare)
    path.write_text(path.read_text().replace("slots: 2,", "slots: 2, levers: {ram_cache: off},"))
    one = found(path)
    assert (one.needed_bytes, one.room_bytes, one.fits) == (needed, needed + spare, fits)
    assert one.room_text == 'the machine of profile "small" has'
    assert one.notes == ()


def test_what_a_profile_lacks_is_said_and_nothing_is_made_up(tmp_path: Path) -> None:
    path = write(tmp_path, "exact_output: true", "exact_output: true")
    profile = path.with_name("small.yaml")
    profile.write_text(profile.read_text().split("memory:")[0])
    one = found(path)
    assert (one.needed_bytes, one.fits) == (None, None)
    assert one.notes[0] == "What small takes is not known: no file of it lies here, and the profile lacks it."


def test_a_simulated_server_takes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, "exact_output: true", "exact_output: true", "simulated")
    path.write_text(path.read_text().replace("kind: simulated, model: small,", "kind: simulated, profile: small.yaml,"))
    one = found(path)
    assert one.runners == ()
    assert one.notes == ("one is simulated: it takes no memory.",)
