"""One run against another: what may be compared, how, and what is said of it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from analysis.scenarios import FIVE, scenario, steady, with_goal

from harness.analysis.analyse import analyse
from harness.analysis.between import Between, compare_runs
from harness.analysis.statistics import compare
from harness.analysis.summaries import Summary, read_summary
from harness.app.gate import comparison_cases, read_regression
from harness.core.plan import Plan
from harness.errors import UserError
from harness.report.between import between_markdown, between_plain, between_report
from harness.report.junit import reasons
from harness.report.summary import summary
from harness.runs.model import Note, Run
from harness.wording.between_answer import between_answer
from harness.wording.comparisons import compared

WORK = {"pipelines": "p1", "agents": "a1", "inputs": "i1", "control": "c1"}
WOBBLE = (0.0, 0.002, -0.002, 0.001, -0.001)


def made(run: Run, **changes: Any) -> Summary:
    return read_summary(summary(analyse(run._replace(**{"work": WORK, **changes}))), "x")


def run(serial: float = 16.0, batched: float = 13.0, noise: tuple[float, ...] = (0.0,) * 5) -> Run:
    times = {"serial": steady(serial, noise=noise), "batched": steady(batched, noise=noise)}
    return scenario(times, {"serial": steady(2.0), "batched": steady(1.0)})


def verdicts(found: Between) -> dict[tuple[str, str], str]:
    return {(row.candidate, row.what): row.verdict for row in found.rows}


def test_slower_and_faster_are_told_apart_per_candidate_and_path() -> None:
    found = compare_runs(made(run()), made(run(17.6, 11.0, WOBBLE)), ("a", "b"))
    assert verdicts(found) == {
        ("serial", "batch"): "slower",
        ("serial", "interactive"): "equal",
        ("serial", "first token"): "equal",
        ("batched", "batch"): "faster",
        ("batched", "interactive"): "equal",
        ("batched", "first token"): "equal",
    }
    assert found.verdict == "mixed"
    assert compared(found).sentence == (
        "b is better than a in some respects and worse in others: serial (batch) is slower; batched (batch) is faster."
    )
    assert found.unpaired is None


def test_paired_is_the_comparison_of_verdicts_over_all_rows() -> None:
    found = compare_runs(made(run()), made(run(17.6, noise=WOBBLE)), ("a", "b"))
    was = dict(enumerate(steady(16.0)))
    now = dict(enumerate(steady(17.6, noise=WOBBLE)))
    assert found.rows[0].comparison == compare("b", now, "a", was, comparisons=6)


def test_a_run_against_itself_is_equal() -> None:
    found = compare_runs(made(run()), made(run()), ("a", "b"))
    assert (found.verdict, found.changed, found.notices) == ("equal", (), ())


def test_other_draws_are_not_paired_and_it_is_said() -> None:
    other = run()._replace(workload=run().workload.model_copy(update={"seed": 8}))
    found = compare_runs(made(run()), made(other), ("a", "b"))
    assert found.unpaired is not None
    assert "their seeds differ (7 and 8)" in compared(found).method and "Welch" in compared(found).method
    assert "seed was 7, now 8" in compared(found).changed


def test_other_work_is_refused_by_its_parts() -> None:
    with pytest.raises(UserError, match=r"their agents and inputs\. A baseline holds for one .*'chat\.p95_s<2'"):
        compare_runs(made(run()), made(run(), work={**WORK, "agents": "a2", "inputs": "i2"}), ("a", "b"))


def test_an_older_run_is_compared_by_name_and_it_is_said() -> None:
    found = compare_runs(made(run(), work={}), made(run()), ("a", "b"))
    assert found.unpaired is not None
    assert "does not record its work" in compared(found).notices[0]


def test_nothing_in_common_is_refused() -> None:
    one = scenario({"serial": steady(16.0)}, {"serial": steady(2.0)})
    other = scenario({"batched": steady(16.0)}, {"batched": steady(2.0)})
    with pytest.raises(UserError, match=r"no candidate in common \(serial there, batched here\)"):
        compare_runs(made(one), made(other), ("a", "b"))


def test_a_candidate_that_only_one_has_is_named() -> None:
    one = scenario({"serial": steady(16.0)}, {"serial": steady(2.0)})
    found = compare_runs(made(run()), made(one), ("a", "b"))
    assert compared(found).notices == ("Not compared, because only one run has them (before): batched.",)
    found = compare_runs(made(one), made(run()), ("a", "b"))
    assert compared(found).notices == ("Not compared, because only one run has them (now): batched.",)
    plan = Plan("split", (), ())
    both = made(one._replace(plans=(plan,)))
    assert compared(compare_runs(both, both, ("a", "b"))).notices == (
        "Not compared, because neither run has results of them: split.",
    )


def test_one_repeat_resolves_nothing() -> None:
    single = scenario({"serial": [20.0]}, {"serial": [2.0]})
    found = compare_runs(made(run()), made(single), ("a", "b"))
    assert set(verdicts(found).values()) == {"one repeat"}
    answer = between_answer([found], [])
    assert answer.headline == "Not decided: b has one complete repeat, which decides nothing."
    (do,) = (part.lines for part in answer.parts if part.title == "Do this")
    assert do[0].text == "Run b with more repeats: slotwise run FILE --repeats N."
    for row in found.rows:  # both times are of that repeat, and not of all that only one run has
        assert row.before_s and row.now_s and row.comparison
        assert row.now_s / row.before_s == pytest.approx(row.comparison.ratio)
    assert found.rows[0].now_s == pytest.approx(20.0) and found.rows[0].before_s == pytest.approx(16.0 * FIVE[0])
    assert found.verdict == "not resolvable"
    said = compared(found)
    assert (
        said.sentence == "Whether b is faster or slower than a is not decided: a verdict needs two or more complete "
        "repeats in both, and a has 5 and b has 1."
    )


def test_what_is_not_decided_is_said_with_its_interval_and_can_fail() -> None:
    noisy = made(run(20.0, 13.0, (0.6, -0.4, 0.5, -0.3, 0.2)))
    found = compare_runs(made(run()), noisy, ("a", "b"))
    assert found.verdict == "not resolvable"
    headline = between_answer([found], []).headline
    assert re.fullmatch(r"Not decided: 2 of 4, serial \(batch\) \+\d+ %, between \d+ % less and \d+ % more\.", headline)
    for wanted, fails in ((read_regression(["regression"]), 0), (read_regression(["unresolved"]), 2)):
        cases = comparison_cases([found], wanted)
        assert len(reasons(cases)) == fails and sum(bool(case.skipped) for case in cases) == 2


def test_a_candidate_that_is_missing_now_is_not_decided() -> None:
    one = scenario({"serial": steady(16.0)}, {"serial": steady(2.0)})
    found = compare_runs(made(run()), made(one), ("a", "b"))
    assert not reasons(comparison_cases([found], read_regression(["regression"])))
    assert reasons(comparison_cases([found], read_regression(["unresolved"]))) == [
        "not decided: batched is missing in b, and a has it"
    ]


def test_jobs_that_begin_to_fail_are_a_regression() -> None:
    whole = run()
    broken = whole._replace(
        jobs=tuple(job._replace(outcome="error") if not n else job for n, job in enumerate(whole.jobs))
    )
    found = compare_runs(made(whole), made(broken), ("a", "b"))
    assert verdicts(found)["serial", "batch"] == "now fails"
    assert found.verdict == "regression"
    assert compared(found).notices == ("b: serial: 1 of 25 jobs failed; it is excluded from all times below.",)
    assert compare_runs(made(broken), made(whole), ("a", "b")).verdict == "improvement"


def test_what_changed_is_listed() -> None:
    before = run()
    servers = (before.servers[0]._replace(version="llama.cpp b2", slots_found=3), before.servers[1])
    machine = {**before.machine, "cpu": "Another", "packages": {"networkx": "3.7", "new": "1"}}
    found = compare_runs(made(before), made(before._replace(servers=servers, machine=machine)), ("a", "b"))
    assert compared(found).changed[:5] == (
        "cpu was A quiet processor, now Another",
        "networkx was 3.6, now 3.7",
        "new was not there, now 1",
        "one-slot: version was llama.cpp b1, now llama.cpp b2",
        "one-slot: slots found was 1, now 3",
    )
    assert compared(found).changed[5].startswith('"serial" was one-slot: 1 slots, serial, fifo, now one-slot: 3 slots')


def test_what_only_one_of_them_says_of_itself_is_said() -> None:
    whole = run()
    cut = whole._replace(
        trials=tuple(trial for trial in whole.trials if trial.repeat < 3),
        partial=True,
        notes=(Note("run", "Busy. Very."),),
    )
    found = compare_runs(made(cut), made(whole, notes=(Note("run", "A quiet note."),)), ("a", "b"))
    assert compared(found).notices == (
        "a: Partial: complete repeats are serial 3 of 5, batched 3 of 5.",
        "a: 4 trials were interrupted; excluded from all figures.",
        "a: Busy.",
        "b: A quiet note.",
    )
    assert {row.comparison.n for row in found.rows if row.comparison} == {3}
    both = compare_runs(made(cut), made(cut), ("a", "b"))
    begun = [notice[:10] for notice in compared(both).notices]
    assert begun == ["a: Partial", "a: 4 trial", "b: Partial", "b: 4 trial"]


def test_what_is_different_stands_above_the_numbers() -> None:
    newer = run()._replace(servers=tuple(server._replace(version="b2") for server in run().servers))
    text = between_markdown([compare_runs(made(run()), made(newer), ("a", "b"))])
    assert text.index("What else is different") < text.index("| candidate |")
    assert "one-slot, four-slot: version was llama.cpp b1, now b2" in text


def test_of_many_differences_an_answer_says_the_first_and_the_page_all() -> None:
    before, now = run(), run()
    servers = tuple(server._replace(kind="ollama", version="ollama 0.33.0") for server in now.servers)
    machine = now.machine | {f"fact_{number}": number for number in range(30)}
    found = compare_runs(made(before), made(now._replace(servers=servers, machine=machine)), ("a", "b"))
    texts = compared(found).changed
    assert "one-slot, four-slot: kind was llamacpp, now ollama" in texts and len(texts) == 32
    (why,) = next(part for part in between_answer([found], []).parts if part.title == "Why").lines
    assert re.search(r"fact 0 was not there, now 0; .*; and \d+ more \(--full\)\.$", why.text) and len(why.text) < 330


def test_other_origins_are_said() -> None:
    found = compare_runs(made(run()), made(run(), origin="emulated", notes=(Note("run", "Said."),)), ("a", "b"))
    assert compared(found).notices == ("a is measured and b is emulated: not a like-for-like comparison.", "b: Said.")


def test_a_prediction_has_neither_machine_nor_notes_to_compare() -> None:
    facts = {"machine": {"profile": "toy"}, "notes": (Note("assumed", "Assumed: much."),)}
    found = compare_runs(made(run()), made(run(), origin="predicted", **facts), ("a", "b"))
    assert compared(found).changed == ()
    assert compared(found).notices == (
        "a is measured and b is predicted: not a like-for-like comparison. The ratios show the error of the "
        "prediction; `slotwise score` shows it for every figure.",
    )
    between_two = compare_runs(made(run(), origin="predicted"), made(run(), origin="predicted", **facts), ("a", "b"))
    said = compared(between_two)
    assert said.notices == ("b: Assumed: much.",) and "profile was not there, now toy" in said.changed


def later_first_tokens(measured: Run, by_repeat: tuple[float, ...]) -> Run:
    """The same run with first tokens that come so much later, by repeat."""
    calls = tuple(
        call._replace(reply=call.reply._replace(first_token_s=call.reply.first_token_s + by_repeat[call.repeat]))
        if call.reply.first_token_s is not None
        else call
        for call in measured.calls
    )
    return measured._replace(calls=calls)


def test_a_first_token_that_comes_later_is_a_regression() -> None:
    found = compare_runs(made(run()), made(later_first_tokens(run(), (0.5,) * 5)), ("a", "b"))
    assert found.verdict == "regression"
    assert {key: verdict for key, verdict in verdicts(found).items() if verdict != "equal"} == {
        ("serial", "first token"): "slower",
        ("batched", "first token"): "slower",
    }
    assert compared(found).sentence == ("b is worse than a: serial (first token) and batched (first token) are slower.")
    (first,) = (row for row in found.rows if (row.candidate, row.what) == ("serial", "first token"))
    assert first.before_s == pytest.approx(0.5, rel=0.01) and first.now_s == pytest.approx(1.0, rel=0.01)
    reasons_ = reasons(comparison_cases([found], read_regression(["regression"])))
    assert len(reasons_) == 2 and reasons_[0].startswith("regression: serial (first token) takes ")


def test_a_first_token_that_is_not_decided_leaves_open_only_itself() -> None:
    found = compare_runs(made(run()), made(later_first_tokens(run(), (0.2, -0.2, 0.15, -0.1, 0.0))), ("a", "b"))
    assert found.verdict == "equal"
    assert compared(found).sentence.startswith(
        "b and a are equal within 5 % in their times: serial (first token) is not decided ("
    )
    answer = between_answer([found], [])
    assert answer.headline == "Equal within 5 % in all times; first tokens are not decided."
    assert not reasons(comparison_cases([found], read_regression(["unresolved"])))


def test_an_older_summary_has_no_first_tokens_by_repeat() -> None:
    older = summary(analyse(run()._replace(work=WORK)))
    for candidate in older["candidates"]:
        for pipeline in candidate["pipelines"]:
            del pipeline["first_token_by_repeat"]
    found = compare_runs(read_summary(older, "x"), made(run()), ("a", "b"))
    assert {row.what for row in found.rows} == {"batch", "interactive"}


def test_what_each_run_recommends_and_which_goals_it_meets_is_said() -> None:
    alike = {"serial": steady(1.0), "batched": steady(1.0)}
    before = scenario({"serial": steady(10.0), "batched": steady(13.0)}, alike, spec=with_goal(p50_s=1.5))
    chats = {"serial": steady(2.0), "batched": steady(1.0)}
    now = scenario({"serial": steady(16.0), "batched": steady(13.0)}, chats, spec=with_goal(p50_s=0.5))
    found = compare_runs(made(before), made(now), ("a", "b"))
    assert compared(found).answers == (
        'The recommendation changed from "serial" to "batched".',
        "Goal, median reply of chat: met before (1.00 s, wanted 1.50 s), missed now (1.00 s, wanted 500 ms).",
    )
    assert compared(compare_runs(made(before), made(before), ("a", "b"))).answers == (
        'The recommendation is the same: "serial".',
        "Goal, median reply of chat within 1.50 s: met before (1.00 s), met now (1.00 s).",
    )
    without = made(before._replace(workload=run().workload))
    assert compared(compare_runs(without, made(before), ("a", "b"))).answers[1] == (
        "Goal, median reply of chat: none before, met now (1.00 s, wanted 1.50 s)."
    )
    (said,) = (part for part in between_answer([found], []).parts if part.title == "Each run")
    assert tuple(line.text for line in said.lines) == compared(found).answers
    plain = between_plain(found)["answers"]
    assert [(one["run"], one["recommended"], one["goals"][0]["state"]) for one in plain] == [
        ("a", "serial", "met"),
        ("b", "batched", "missed"),
    ]


def busy(measured: Run) -> Run:
    return measured._replace(trials=tuple(trial._replace(other_cores=1.5) for trial in measured.trials))


def test_a_busy_machine_is_a_warning_that_names_its_run() -> None:
    one = compare_runs(made(busy(run())), made(run()), ("a", "b"))
    assert between_answer([one], []).warnings == ("a: the machine was busy, so times are too long.",)
    assert compared(one).notices[0].startswith("a: 10 of 10 trials ran while other programs kept up to 1.5 cores busy")
    both = compare_runs(made(busy(run())), made(busy(run())), ("a", "b"))
    assert between_answer([both], []).warnings == ("Both runs: the machine was busy, so times are too long.",)


def test_what_makes_times_wrong_is_said_before_what_is_missing() -> None:
    cut = run()._replace(trials=tuple(trial for trial in run().trials if trial.repeat < 3), partial=True)
    found = compare_runs(made(cut), made(busy(run())), ("a", "b"))
    assert [text[:14] for text in between_answer([found], []).warnings] == [
        "b: the machine",
        "a: Partial: co",
        "a: 4 trials we",
    ]


def test_runs_of_different_length_are_compared_over_what_both_have() -> None:
    shorter = scenario(
        {"serial": steady(16.0)[:3], "batched": steady(13.0)[:3]},
        {"serial": steady(2.0)[:3], "batched": steady(1.0)[:3]},
    )
    found = compare_runs(made(run()), made(shorter._replace(options={"repeats": 3})), ("a", "b"))
    assert {row.repeats for row in found.rows} == {(5, 3)}
    assert compared(found).method.startswith(
        "Paired by repeat, over the 3 that both runs have: both runs had the same random draws."
    )
    assert found.verdict == "equal"


@pytest.mark.parametrize("plain", [[], {}, {"summary_version": 2}, {"summary_version": 1, "run": {}, "candidates": 3}])
def test_what_is_no_summary_is_a_users_mistake(plain: object) -> None:
    with pytest.raises(UserError, match=r"base\.json: expected a summary\.json that Slotwise wrote"):
        read_summary(plain, "base.json")


def test_names_are_shown_as_text() -> None:
    from rich.console import Console

    found = compare_runs(made(run()), made(run()), ("a", "<script>[red]\x1b[31m"))
    console = Console(width=80, record=True, file=None, highlight=False)
    with console.capture() as captured:
        console.print(between_report([found]))
    assert "\x1b[31m" not in captured.get() and "[red]" in captured.get()
    text = between_markdown([found])
    assert "<script>" not in text and "\\<script\\>" in text
    assert all(len(line) <= 80 for line in captured.get().splitlines())
    assert FIVE
