"""The verdict in words, whole: a change of a word shows here and is meant or not."""

from __future__ import annotations

from analysis import records as make
from analysis.scenarios import scenario, steady, with_goal

from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis
from harness.core.records import NOT_NEEDED, Reply
from harness.wording.said import said
from harness.wording.verdicts import path_headline
from harness.workload.schema import Workload

NOISE = (0.01, -0.01, 0.005, 0.0, 0.0)
WIDE = (0.1, -0.1, 0.05, -0.05, 0.0)


def verdict_of(analysis: Analysis) -> list[str]:
    """Return everything the verdict says, in order."""
    text = said(analysis)
    return [*(line for path in text.paths for line in (path.headline, *path.sentences)), *text.choice]


def test_batched_is_clearly_better() -> None:
    found = analyse(scenario({"serial": steady(16), "batched": steady(12, noise=NOISE)}))
    assert [verdict.standing for verdict in found.paths] == ["clear"]
    assert verdict_of(found) == [
        "Batch path (digest): run batched: 4 slots (OLLAMA_NUM_PARALLEL=4), at most 4 calls at once, interactive first "
        '("batched").',
        "Pipeline time of digest: 12.0 s (11.9 s to 12.1 s); measured, 5 repeats, 95 % intervals.",
        'The fastest is "batched". "serial" takes 33 % longer (32 to 34 %).',
        'Why: a job of digest takes 3.99 s less than with "serial": 6.50 s less waiting, 1.88 s more writing '
        "of answers and 628 ms more reading of prompts (means on the critical path).",
    ]
    assert found.choice.settings[0].shell == ("OLLAMA_NUM_PARALLEL=4 OLLAMA_CONTEXT_LENGTH=2048 ollama serve",)
    assert found.choice.settings[0].code == (  # a semaphore alone is first come, first served
        "# four-slot: at most 4 calls at once, interactive first: --settings asyncio, langchain or langgraph",
    )


def test_serial_is_better() -> None:
    found = analyse(scenario({"serial": steady(10), "batched": steady(11, noise=NOISE)}))
    assert said(found).paths[0].headline == (
        'Batch path (digest): run serially: 1 slot (OLLAMA_NUM_PARALLEL=1), one call at a time ("serial").'
    )
    assert (found.choice.kind, found.choice.candidate, found.paths[0].batched) == ("one path", "serial", False)


def test_what_cannot_be_resolved_is_said_and_the_simpler_one_taken() -> None:
    found = analyse(scenario({"serial": steady(16), "batched": steady(15.5, noise=WIDE)}))
    assert verdict_of(found)[:4] == [
        'Batch path (digest): for now, run serially: 1 slot (OLLAMA_NUM_PARALLEL=1), one call at a time ("serial"); '
        "nothing is measurably faster.",
        "Pipeline time of digest: 16.0 s (15.8 s to 16.2 s); measured, 5 repeats, 95 % intervals.",
        'The fastest is "batched". "serial" shows no measurable difference (1.03 times, 0.94 to 1.14).',
        "About 45 repeats would resolve this: 24 min (--repeats 45).",
    ]
    assert (found.paths[0].fastest, found.paths[0].chosen) == ("batched", "serial")


def test_equal_within_five_percent_takes_the_simpler_one() -> None:
    found = analyse(scenario({"serial": steady(16), "batched": steady(15.8, noise=NOISE)}))
    assert found.paths[0].standing == "equivalent"
    assert said(found).paths[0].sentences[1].startswith('The fastest is "batched". "serial" is equal within 5 %')


def test_one_candidate_that_is_near_the_best_on_both_paths_serves_both() -> None:
    found = analyse(
        scenario(
            {"serial": steady(16), "batched": steady(13), "split": steady(12.9, noise=NOISE)},
            {"serial": steady(3), "batched": steady(2), "split": steady(1)},
        )
    )
    assert [verdict.chosen for verdict in found.paths] == ["batched", "split"]
    assert (found.choice.kind, found.choice.candidate) == ("both", "split")
    assert found.choice.settings[0].shell == (
        "OLLAMA_NUM_PARALLEL=1 OLLAMA_CONTEXT_LENGTH=2048 ollama serve  # one-slot",
        "OLLAMA_HOST=127.0.0.1:11435 OLLAMA_NUM_PARALLEL=4 OLLAMA_CONTEXT_LENGTH=2048 ollama serve  # four-slot",
    )
    assert found.choice.settings[0].remarks[0] == "Send digest to port 11435; chat to port 11434."


TRADE = (
    {"serial": steady(16), "batched": steady(13), "split": steady(14.5, noise=NOISE)},
    {"serial": steady(3), "batched": steady(2), "split": steady(1)},
)


def test_without_goals_it_is_the_one_whose_worst_slowdown_is_least() -> None:
    """ "batched" doubles the reply; "split" takes 12 % longer for a digest, and "serial" is slow on both."""
    found = analyse(scenario(*TRADE))
    assert [verdict.chosen for verdict in found.paths] == ["batched", "split"]
    assert (found.choice.kind, found.choice.candidate) == ("compromise", "split")
    assert said(found).paths[0].sentences[-1] == (
        'Cost on the interactive path: replies take 2.0x as long as with "split".'
    )
    assert [settings.candidate for settings in found.choice.settings] == ["split"]


def test_the_others_stand_against_the_recommended_one() -> None:
    found = analyse(scenario(*TRADE))
    serial, batched = found.choice.alternatives
    assert {path: round(c.ratio, 2) for path, c in batched.comparisons} == {"batch": 0.9, "interactive": 2.0}
    assert {path: c.relation for path, c in batched.comparisons} == {"batch": "better", "interactive": "worse"}
    assert serial.candidate == "serial" and serial.relations == {"worse"}
    assert {c.against for a in found.choice.alternatives for _, c in a.comparisons} == {"split"}


def test_goals_decide_a_trade() -> None:
    found = analyse(scenario(*TRADE, spec=with_goal(p50_s=1.5, first_token_s=1.0)))
    assert (found.choice.kind, found.choice.candidate) == ("goals", "split")
    assert said(found).paths[1].sentences[-2:] == (
        "Goal met: first token of chat within 1.00 s, found 250 ms.",
        "Goal met: median reply of chat within 1.50 s, found 1.00 s.",
    )


def test_of_those_that_meet_the_goals_and_tie_the_simplest_is_taken() -> None:
    """ "split" is 2 % faster than "batched"; both meet the goal, and "batched" has one server."""
    digest = {"serial": steady(16), "batched": steady(19.4), "split": steady(19, noise=NOISE)}
    chat = {"serial": steady(3), "batched": steady(1.2), "split": steady(1)}
    found = analyse(scenario(digest, chat, spec=with_goal(p50_s=1.5)))
    assert [verdict.chosen for verdict in found.paths] == ["serial", "split"]
    assert (found.choice.kind, found.choice.candidate) == ("goals", "batched")
    assert found.choice.tie is not None
    assert (found.choice.tie.against, found.choice.tie.relation) == ("split", "equivalent")


def test_goals_that_all_miss_decide_nothing() -> None:
    found = analyse(scenario(*TRADE, spec=with_goal(p50_s=0.5)))
    assert (found.choice.kind, found.choice.candidate) == ("compromise", "split")
    assert said(found).paths[1].sentences[-1] == "Goal missed: median reply of chat within 500 ms, found 1.00 s."


def test_a_goal_is_held_against_the_median() -> None:
    """A reply that is quick in two repeats of five and slow in three is slow: its mean, 1.25 s, is no reply's time."""
    chat = {"serial": steady(8), "batched": [0.6, 2.0, 2.0, 0.6, 2.0]}
    batch = {"serial": steady(4), "batched": steady(5)}
    found = analyse(scenario(batch, chat, spec=with_goal(p50_s=1.5)))
    goal = found.candidates[1].pipelines[1].goals[0]
    assert (goal.found_s, goal.state) == (2.0, "missed")
    assert found.choice.kind == "compromise"
    assert said(found).paths[1].sentences[-1] == (
        "Goal missed: median reply of chat within 1.50 s, found 2.00 s (median over the repeats; their mean is "
        "1.24 s), which is not certain: the interval is 882 ms to 4.54 s."
    )


def test_a_p95_goal_without_the_values_is_not_judged() -> None:
    found = analyse(scenario(*TRADE, spec=with_goal(p95_s=6)))
    assert said(found).paths[1].sentences[-1] == (
        "Goal not judged: 95th percentile of the reply of chat within 6.00 s; "
        "a 95th percentile needs 100 replies, there are 15."
    )
    enough = analyse(scenario(*TRADE, chats=20, spec=with_goal(p95_s=6)))
    assert (
        said(enough).paths[1].sentences[-1].startswith("Goal met: 95th percentile of the reply of chat within 6.00 s")
    )


def test_one_repeat_gives_no_verdict() -> None:
    found = analyse(scenario({"serial": [16.0], "batched": [12.0]}, spec=None)._replace(options={"repeats": 1}))
    assert [notice.kind for notice in found.notices] == ["one repeat"]
    assert verdict_of(found)[:4] == [
        "Batch path (digest): for now, run batched: 4 slots (OLLAMA_NUM_PARALLEL=4), at most 4 calls at once, "
        'interactive first ("batched").',
        "Pipeline time of digest: 12.0 s (one repeat: no interval); measured, 1 repeat.",
        'The fastest is "batched". "serial" takes 33 % longer.',
        "One repeat settles nothing: run at least 5.",
    ]


def test_failures_are_on_top_and_in_no_time() -> None:
    run = scenario({"serial": steady(16), "batched": steady(12, noise=NOISE)})
    broken = make.call(
        "merge",
        candidate="batched",
        repeat=0,
        pipeline="digest",
        path="batch",
        job=9,
        server="four-slot",
        outcome="error",
    )
    failed = make.job("digest", path="batch", candidate="batched", number=9, end=900.0, outcome="error")
    found = analyse(run._replace(calls=(*run.calls, broken), jobs=(*run.jobs, failed)))
    assert said(found).notices[0].text == (
        "batched: 1 of 31 calls failed (1 error; first: HTTP 500: it broke). "
        "1 of 11 jobs failed; it is excluded from all times below."
    )
    batched = found.candidates[1].pipelines[0]
    assert (batched.values, batched.jobs_failed, batched.calls_failed) == (10, 1, 1)
    assert batched.time == analyse(run).candidates[1].pipelines[0].time
    # A candidate that loses jobs is not recommended while one is there that does not.
    assert found.choice.candidate == "serial"
    assert 'Excluded, because jobs failed or none ended: "batched".' in said(found).paths[0].sentences


def test_what_was_needed_no_more_is_no_failure() -> None:
    base = scenario({"serial": steady(16), "batched": steady(12, noise=NOISE)})
    lost = base.calls[0]._replace(reply=Reply("cancelled", error=NOT_NEEDED), started_s=None)
    sent = base.calls[0]._replace(reply=Reply("cancelled", error=NOT_NEEDED))
    analysis = analyse(base._replace(calls=(*base.calls, lost, sent)))
    texts = {notice.kind: notice.text for notice in said(analysis).notices}
    assert "failures" not in texts
    assert texts["losers"] == (
        "Given up, because enough others had ended: serial 2 of 32 calls (1 cancelled on a server, 1 never sent)."
    )


def test_an_answer_that_fits_no_rule_and_a_call_that_was_tried_again_are_told() -> None:
    base = scenario({"serial": steady(16), "batched": steady(12, noise=NOISE)})
    (first, *jobs), (call, *calls) = base.jobs, base.calls
    error = 'node "sort": no label of its branch fits; ' + "expected x; " * 20 + 'found: "maybe"'
    failed = call._replace(reply=Reply("rejected", error="503: full", end_s=1.0, sent_s=0.0))
    run = base._replace(
        jobs=(first._replace(outcome="error", error=error), *jobs), calls=(failed, call._replace(attempt=1), *calls)
    )
    (text,) = [notice.text for notice in said(analyse(run)).notices if notice.kind == "failures"]
    assert "1 of 31 calls failed (1 rejected; first: 503: full), 1 of them were tried again." in text
    assert text.endswith(f"1 of 10 jobs failed; it is excluded from all times below. First of digest: {error}.")


def test_a_cost_that_is_not_known_is_not_none() -> None:
    digest = {"serial": steady(16), "batched": steady(12, noise=NOISE)}
    run = scenario(digest, {"serial": steady(3), "batched": steady(2)})
    # Under "batched" no chat ever ended well.
    jobs = [
        job._replace(outcome="timeout") if (job.candidate, job.pipeline) == ("batched", "chat") else job
        for job in run.jobs
    ]
    found = analyse(run._replace(jobs=tuple(jobs)))
    assert [verdict.chosen for verdict in found.paths] == ["batched", "serial"]
    assert said(found).paths[0].sentences[-1] == "Cost on the interactive path: not known, no job succeeded there."
    assert found.paths[1].standing == "only one"


def test_where_some_ended_well_it_is_not_said_that_none_did() -> None:
    """Two pipelines of a path of which each succeeded, in different repeats."""
    found = analyse(scenario({"serial": steady(16)}))
    nothing = found.paths[0]._replace(chosen=None, standing="no data")
    assert path_headline(found, nothing).endswith(
        ": in no repeat a job of each pipeline succeeded, so there is nothing to choose from."
    )


def test_nothing_that_ended_well_is_no_recommendation() -> None:
    run = scenario({"serial": steady(16)})
    found = analyse(run._replace(jobs=tuple(job._replace(outcome="timeout") for job in run.jobs)))
    (path,) = said(found).paths
    assert path.headline == "Batch path (digest): jobs fail under every candidate, so none can be chosen."
    assert (found.choice.kind, found.choice.candidate, found.choice.settings) == ("none", None, ())


def test_a_cut_trial_is_in_no_number() -> None:
    run = scenario({"serial": steady(16), "batched": steady(12, noise=NOISE)})
    whole = analyse(run._replace(options={"repeats": 4}, trials=tuple(t for t in run.trials if t.repeat != 4)))
    assert [notice.kind for notice in whole.notices] == ["interrupted"]
    assert said(whole).notices[0].text == "2 trials were interrupted; excluded from all figures."
    assert [candidate.repeats for candidate in whole.candidates] == [4, 4]
    assert whole.candidates[0].pipelines[0].values == 8


def test_a_partial_run_pairs_the_repeats_that_both_have() -> None:
    run = scenario({"serial": steady(16), "batched": steady(12, noise=NOISE)}, partial=True)
    some = tuple(t for t in run.trials if (t.candidate, t.repeat) != ("batched", 0))
    found = analyse(run._replace(trials=some))
    assert said(found).notices[0].text == "Partial: complete repeats are serial 5 of 5, batched 4 of 5."
    assert found.paths[0].comparisons[0].n == 4


def test_an_empty_run_is_analysed() -> None:
    found = analyse(make.run(partial=True))
    assert found.choice.kind == "none"
    assert said(found).notices[0].text == "Partial: complete repeats are serial 0 of 5, batched 0 of 5, split 0 of 5."


def test_what_the_numbers_do_not_mean_is_said() -> None:
    run = scenario({"serial": steady(16), "batched": steady(12, noise=NOISE)}, origin="emulated", notes=("a note",))
    slow = [t._replace(loop_lag_p99_s=0.05, other_cores=1.24) if t.candidate == "batched" else t for t in run.trials]
    found = analyse(
        run._replace(
            trials=tuple(slow),
            servers=(make.server("one-slot", 1), make.server("four-slot", 4, found=1)),
            output_tokens={"digest/merge": 100},
        )
    )
    assert [(notice.kind, notice.text) for notice in said(found).notices] == [
        (
            "busy machine",
            "5 of 10 trials ran while other programs kept up to 1.2 cores busy (5 of batched). An engine that spreads "
            "over all cores waits for them in every step, so those times are too long: measure again on an idle "
            "machine.",
        ),
        (
            "client",
            "The client could not always keep up: its event loop was late (batched 50 ms; 99th percentile; "
            "20 ms is the limit). The delay is part of the times.",
        ),
        ("run", "a note"),
        ("origin", "Emulated: the servers were simulated. No engine was measured."),
        ("slots", "four-slot: 4 slots requested, 1 found; its figures are for the slots found."),
        (
            "short answers",
            "20 of 60 answers stopped before the requested length. Rates count the tokens that were generated; "
            "times are those of the shorter answers.",
        ),
    ]
    # Four slots asked and one found is a serial server, whatever the workload calls it.
    assert found.candidates[1].servers[0].slots == 1
    assert found.paths[0].batched is False


def test_intervals_are_widened_for_three_candidates_and_it_is_said() -> None:
    three = {"serial": steady(16), "batched": steady(13), "split": steady(14)}
    found = analyse(scenario(three, {name: steady(1) for name in three}))
    assert {comparison.comparisons for comparison in found.paths[0].comparisons} == {2}
    assert said(found).method[-1] == (
        "2 candidates are compared with the fastest of a path, so each interval is widened to 97.5 % (Bonferroni)."
    )


def test_simplicity_decides_among_equals() -> None:
    same = {name: steady(10) for name in ("split", "batched", "serial")}
    found = analyse(scenario(same, same))
    assert [verdict.chosen for verdict in found.paths] == ["serial", "serial"]
    assert found.choice.kind == "same"


def test_a_pipeline_that_comes_after_another_is_compared_with_it() -> None:
    """Two graphs for the same work: the one candidate's ratio is clear, the other's is not resolved."""
    plain = make.workload().model_dump(by_alias=True, mode="json", exclude_unset=True)
    again = {"path": "batch", "jobs": 2, "after": "digest", "nodes": {"reply": {"agent": "chat"}}}
    plain["pipelines"]["chat"] = again
    times = {"serial": steady(8, noise=NOISE), "batched": steady(12, noise=WIDE)}
    run = scenario({"serial": steady(16), "batched": steady(12)}, times)
    second = run._replace(
        workload=Workload.model_validate(plain),
        calls=tuple(call._replace(path="batch") for call in run.calls),
        jobs=tuple(job._replace(path="batch") for job in run.jobs),
    )
    found = analyse(second)
    assert said(found).paths[0].sentences[0] == (
        "chat against digest, which ran before it on the same servers: "
        '0.50 times (0.49 to 0.51) under "serial"; '
        '1.00 times (0.88 to 1.13), no measurable difference, under "batched".'
    )
    assert said(found).choice == ('Under "serial", chat takes 0.50 times (0.49 to 0.51) as long as digest.',)
    assert [(s.candidate, s.comparison.relation) for s in found.paths[0].sequels] == [
        ("serial", "better"),
        ("batched", "unresolved"),
    ]


def test_a_mean_that_says_the_opposite_of_the_median_is_explained() -> None:
    """Of five chats three are quick and two very slow: the median is that of the quick ones."""
    run = scenario(
        {"serial": steady(16), "batched": steady(12, noise=NOISE)}, {"serial": steady(1.0), "batched": steady(2.0)}
    )
    calls, jobs = [], []
    for call in run.calls:
        slow = call.pipeline == "chat" and call.candidate == "serial" and call.job == 2
        reply = call.reply
        if slow:
            reply = reply._replace(end_s=30.0, total_s=30.0, decode_s=29.5)
        calls.append(call._replace(reply=reply))
    for job in run.jobs:
        slow = job.pipeline == "chat" and job.candidate == "serial" and job.job == 2
        jobs.append(job._replace(end_s=30.0) if slow else job)
    found = analyse(run._replace(calls=tuple(calls), jobs=tuple(jobs)))
    (why,) = [text for text in verdict_of(found) if text.startswith("Why: a reply of chat")]
    assert why.endswith("By the medians it is the other way round: a few take much longer than the others.")
    (plain,) = [text for text in verdict_of(found) if text.startswith("Why: a job of digest")]
    assert plain.endswith("(means on the critical path).")
