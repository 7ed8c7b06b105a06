"""What is said of candidates and machines on an estimate: an answer where it decides, and where it does not, that."""

from __future__ import annotations

from pathlib import Path

import pytest
from report.chromium import CHROMIUM, chromium

from harness.app.estimate import EstimateOptions, estimated
from harness.app.machines import compare_machines
from harness.app.options import Assumptions, Changes, MachinesOptions, RecommendOptions, SimulateOptions
from harness.app.recommend import recommend
from harness.app.simulate import simulate
from harness.app.workload import Written
from harness.cli.app import _main
from harness.content import shipped
from harness.profiles.load import dump_profile
from harness.report.answer import answer_markdown
from harness.report.machines_html import machines_html
from harness.report.profiles import print_profile
from harness.wording.machines_answer import machines_answer
from harness.wording.run_answer import run_answer

PANEL = shipped() / "workloads" / "review-panel.yaml"  # on one slot, or on four
LLAMA = Changes(model="llama3.1:8b")
OPEN = "Not resolvable on an estimate whether"
ASK = Written(
    Path("ask.yaml"),
    "version: 1\nname: ask\npipelines:\n  ask: {path: interactive, jobs: 2, arrival: {closed: 1, think_s: 1}, "
    "goal: {p50_s: GOAL}, nodes: {reply: {agent: chat}}}\ncompare: {plain: serial}\n",
)


def profile_in(folder: Path, device: str) -> str:
    path = folder / f"{device.lower().replace(' ', '-')}.yaml"
    path.write_text(dump_profile(estimated(EstimateOptions(device=device, name=path.stem)), "x"), encoding="utf-8")
    return str(path)


# Four calls at once gain 1.4 to 2.5 times on an RTX 4090; on a base Apple chip nobody knows whether they gain at all.
@pytest.mark.parametrize(("device", "resolved"), [("RTX 4090", True), ("Apple M1", False)])
def test_candidates_are_resolved_where_the_resampled_profiles_decide(
    device: str, resolved: bool, tmp_path: Path
) -> None:
    assumptions = Assumptions(profiles=(profile_in(tmp_path, device),))
    analysis = simulate(PANEL, SimulateOptions(changes=LLAMA, assumptions=assumptions, repeats=10)).analysis
    answer = run_answer(analysis)
    said = "\n".join(answer_markdown(answer))
    assert (OPEN not in said) is resolved
    assert answer.headline.startswith("Run batched" if resolved else "For now, run serially")
    assert "slotwise probe http://127.0.0.1:11434 --model llama3.1:8b" in said
    assert "such estimates were off by" in said


def test_a_search_says_so_too(tmp_path: Path) -> None:
    assumptions = Assumptions(profiles=(profile_in(tmp_path, "Apple M1"),), resamples=20)
    options = RecommendOptions(
        changes=LLAMA, assumptions=assumptions, measure=False, seeds=2, workers=1, max_slots=4
    )  # fmt: skip
    found = recommend(PANEL, options).recommendation
    assert OPEN in "\n".join(answer_markdown(run_answer(found.analysis)))


def compared(tmp_path: Path, goal: str, *devices: str) -> MachinesOptions:
    profiles = tuple(profile_in(tmp_path, device) for device in devices)
    return MachinesOptions(profiles=profiles, each=SimulateOptions(changes=LLAMA, repeats=6))


def test_machines_are_resolved_where_intervals_do_not_reach_over_the_goal(tmp_path: Path) -> None:
    options = compared(tmp_path, "", "RTX 4090", "Apple M1")
    found = compare_machines(ASK._replace(text=ASK.text.replace("GOAL", "1.5")), options)
    assert [one.carries for one in found.machines] == ["yes", "not certain"]
    said = "\n".join(answer_markdown(machines_answer(found)))
    assert f"{OPEN} apple-m1 meets every goal" in said
    found = compare_machines(ASK._replace(text=ASK.text.replace("GOAL", "20")), options)
    assert OPEN not in "\n".join(answer_markdown(machines_answer(found)))


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH: the page was not seen in a browser")
def test_the_page_of_machines_fits_a_phone_and_asks_for_nothing(tmp_path: Path) -> None:
    options = compared(tmp_path, "", "RTX 4090", "Apple M1")
    found = compare_machines(ASK._replace(text=ASK.text.replace("GOAL", "1.5")), options)
    file = tmp_path / "page.html"
    file.write_text(machines_html(found, "slotwise simulate"), encoding="utf-8")
    with chromium(tmp_path / "browser") as page:
        for width in (400, 1600):
            page.size(width, 800)
            page.open(file)
            assert page.run("document.documentElement.scrollWidth") <= width
            assert page.run("document.querySelectorAll('.chart svg path').length") > 3
        asked = {about["request"]["url"] for method, about in page.events if method == "Network.requestWillBeSent"}
        assert asked == {file.as_uri()}
        said = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        assert not [event for event in page.events if event[0] in said]


def test_a_model_that_does_not_fit_is_said_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    path = tmp_path / "small.yaml"
    profile = estimated(EstimateOptions(device="RTX 3060 12GB", model="llama3.3:70b", name="small"))
    path.write_text(dump_profile(profile, "x"), encoding="utf-8")
    print_profile(profile, Console(highlight=False, width=200))
    assert "! The model does not fit: 43.2 GB of weights, 12 GiB of memory." in capsys.readouterr().out
    (tmp_path / "ask.yaml").write_text(ASK.text.replace("GOAL", "1.5"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    both = ["--profile", str(path), "--model", "llama3.3:70b"]
    monkeypatch.setattr("sys.argv", ["slotwise", "simulate", "ask.yaml", *both, "--repeats", "5"])
    assert _main() == 0
    assert "The model does not fit: 43.2 GB of weights" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["slotwise", "recommend", "ask.yaml", "--no-measure", *both])
    assert _main() == 2
    assert 'and 12 GiB the machine of profile "small" has' in capsys.readouterr().err
