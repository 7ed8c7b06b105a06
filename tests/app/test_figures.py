"""Figures of a design: those of a simulation of the same text, and of the text as it was turned."""

from __future__ import annotations

import pytest

from harness.app.figures import DesignFigures, DesignMachine, DesignOptions, figures, with_turned
from harness.app.options import Assumptions, SimulateOptions
from harness.app.simulate import simulate
from harness.app.workload import Written
from harness.content import shipped
from harness.errors import UserError
from harness.report.summary import summary
from harness.workload.dials import Turned

PATH = shipped() / "workloads/chat-only.yaml"
WRITTEN = Written(PATH, PATH.read_text(encoding="utf-8"))
NOTHING = Turned()
ON = DesignMachine(profiles=("epyc-2core",))


def first(written: Written, turned: Turned = NOTHING) -> DesignFigures:
    return figures(written, DesignOptions(machine=ON, turned=turned, stage="preliminary"))


def test_the_first_figures_are_those_of_five_repeats_of_the_same_draws() -> None:
    found = first(WRITTEN)
    same = simulate(
        WRITTEN, SimulateOptions(assumptions=Assumptions(profiles=ON.profiles, resamples=0), repeats=5)
    ).analysis
    assert [(one.name, one.makespan) for one in found.candidates] == [
        (one.name, one.makespan) for one in same.candidates
    ]
    assert found.summary is None
    assert found.profiles == (("epyc-2core", "measured"),)


def test_turned_figures_are_those_of_the_text_that_is_written_of_them() -> None:
    turned = Turned(answers=2.0)
    changed = with_turned(WRITTEN, turned)
    one, other = first(WRITTEN, turned), first(changed)
    assert one == other
    assert one.candidates != first(WRITTEN).candidates


def test_a_candidate_that_cannot_be_predicted_says_why() -> None:
    path = shipped() / "workloads/research-digest.yaml"
    text = path.read_text(encoding="utf-8").replace(
        "slots: 4, context_tokens: 1024, threads: half", "slots: 3, threads: half"
    )
    assert "slots: 3" in text
    found = first(Written(path, text))
    why = {one.name: one.why_not for one in found.candidates}
    assert why["serial"] == why["batched"] == ""
    assert "3" in why["split"] and "extrapolate" in why["split"]


def test_a_device_is_estimated_and_says_so(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path))
    machine = DesignMachine(device="RTX 4090", model="llama3.1:8b")
    found = figures(WRITTEN, DesignOptions(machine=machine, stage="preliminary", extrapolate=True))
    assert found.origin == "estimated"
    assert [origin for _, origin in found.profiles] == ["estimated"]


def test_a_machine_is_one_or_the_other() -> None:
    with pytest.raises(UserError, match="a profile or a device, found both"):
        figures(WRITTEN, DesignOptions(machine=DesignMachine(profiles=("epyc-2core",), device="RTX 4090")))
    with pytest.raises(UserError, match="a model goes with a device"):
        figures(WRITTEN, DesignOptions(machine=DesignMachine(model="llama3.1:8b")))


@pytest.mark.parametrize("repeats", [200])
def test_final_figures_have_the_summary_of_a_simulation(repeats: int) -> None:
    found = figures(WRITTEN, DesignOptions(machine=ON))
    same = summary(simulate(WRITTEN, SimulateOptions(assumptions=Assumptions(profiles=ON.profiles))).analysis)
    assert found.summary is not None
    assert {**found.summary, "run": None} == {**same, "run": None}
    assert found.repeats == repeats
