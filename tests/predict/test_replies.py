"""The reply is the same in a prediction, in its analysis, in the search and in a run; checked by hand on paper."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from predict.emulated import emulate, on_simulated_servers
from predict.paper import PROFILE
from predict.test_same_sizes import sizes

from harness.analysis.analyse import analyse
from harness.analysis.measures import figure_key, figures_by_repeat
from harness.core.records import CallRecord, JobRecord
from harness.predict.forecast import forecast
from harness.predict.servers import Profiles, modelled
from harness.predict.simulation import predict, simulate_trial
from harness.profiles.load import load_profile
from harness.recommend.bounds import bounds
from harness.recommend.evaluate import Evaluator, Problem
from harness.workload.load import Loaded, load_workload

WORKLOAD = """
version: 1
name: webui
pipelines:
  chat:
    path: interactive
    jobs: 3
    arrival: {closed: 1, think_s: 5}
    goal: {first_token_s: 0.5}
    nodes:
      reply: {agent: {prompt: "TEXT", output_tokens: 5}ANSWERS}
      title: {agent: {prompt: "TEXT", output_tokens: 3}, after: [reply]}
servers:
  one: {kind: llamacpp, slots: 1}
compare:
  serial: {placement: one, concurrency: serial}
""".replace("TEXT", "0123456789abcdef" * 4)

# A prompt of 64 characters is 16 tokens: 1/8 s, and the first token. Then 4 more steps for 5 tokens, 2 for 3.
READ_S, REPLY_S, TITLE_S = 0.125, 0.125 + 4 * 0.125, 0.125 + 2 * 0.125


def on_paper(folder: Path, answers: str) -> tuple[Loaded, Any]:
    (folder / "w.yaml").write_text(WORKLOAD.replace("ANSWERS", answers), encoding="utf-8")
    (folder / "dyadic.yaml").write_text(PROFILE, encoding="utf-8")
    return load_workload(folder / "w.yaml"), load_profile(str(folder / "dyadic.yaml"))


@pytest.mark.parametrize(
    ("answers", "time_s", "first_s", "state", "steps"),
    [
        (", answers: true", REPLY_S, READ_S, "met", ["reply"]),
        ("", REPLY_S + TITLE_S, REPLY_S + READ_S, "missed", ["reply", "title"]),
    ],
)
def test_times_by_hand(
    answers: str, time_s: float, first_s: float, state: str, steps: list[str], tmp_path: Path
) -> None:
    loaded, profile = on_paper(tmp_path, answers)
    run = predict(loaded, profile, repeats=2).run
    (candidate,) = analyse(run).candidates
    (summary,) = candidate.pipelines
    assert summary.time is not None and summary.first_token is not None and summary.median_path is not None
    assert summary.time.value == pytest.approx(time_s) and summary.first_token.value == pytest.approx(first_s)
    assert [(goal.goal, goal.state) for goal in summary.goals] == [("first_token_s", state)]
    assert [step.node for step in summary.median_path.steps] == steps
    assert summary.median_path.parts.total_s == pytest.approx(time_s)
    # The next request comes 5 s after the reply; the last title ends the trial.
    assert {trial.makespan_s for trial in run.trials} == {2 * (time_s + 5) + REPLY_S + TITLE_S}

    problem = Problem(loaded, Profiles(profile, {}))
    found = Evaluator(problem).evaluate(0, 0)
    expected = figures_by_repeat(run)
    assert found.time_s[0] == expected[figure_key("serial", "chat", "time")][0] == time_s
    assert found.first_token_s[0] == expected[figure_key("serial", "chat", "first_token")][0] == first_s
    assert bounds(problem, 2).span_s[0] == pytest.approx(time_s)


SESSION = """
version: 1
name: talk
seed: 3
pipelines:
  chat:
    path: interactive
    jobs: 12
    arrival: {closed: 2, think_s: 0.5}
    session: {turns: 3, think_s: 0.1}
    nodes:
      reply: {agent: {prompt: "Tell me more.", output_tokens: 40}, answers: true}
      title: {agent: {prompt: "A title for {reply}", output_tokens: 12}, after: [reply]}
servers:
  one: {kind: llamacpp, slots: 4}
compare:
  a: {placement: one}
"""


def test_a_run_and_a_simulation_agree(tmp_path: Path, run_virtual: Callable[[Callable[[Any], Any]], Any]) -> None:
    (tmp_path / "talk.yaml").write_text(SESSION, encoding="utf-8")
    (tmp_path / "made").mkdir()
    loaded = on_simulated_servers(tmp_path / "talk.yaml", tmp_path / "made")
    kept = run_virtual(partial(emulate, loaded=loaded, plan=loaded.plans[0], repeat=0))
    profile = load_profile("epyc-2core")
    records: list[Any] = []
    servers = modelled(loaded, Profiles(profile, {}), loaded.plans[0], extrapolate=True)
    simulate_trial(loaded, servers, 0, forecast(loaded, profile.text)(loaded.plans[0].name, 0), records.append)
    simulation = {record.job: record for record in records if isinstance(record, JobRecord)}
    run = {record.job: record for record in kept.jobs}
    assert run.keys() == simulation.keys() and len(run) == 12
    for number, record in run.items():
        assert record.outcome == "ok" and record.replied_s is not None and record.replied_s < record.end_s
        # Small differences add up over the turns; who waits for whom is the same.
        assert record.pipeline_time_s == pytest.approx(simulation[number].pipeline_time_s, rel=0.1)
        assert record.due_s == pytest.approx(simulation[number].due_s, rel=0.1)
    # The next turn begins while the title of the one before is being made, and its prompt holds that one's answer.
    by_turn = {(record.session, record.turn): record for record in kept.jobs}
    assert by_turn[0, 1].due_s < by_turn[0, 0].end_s
    read = sizes(kept.calls)
    assert read == sizes([record for record in records if isinstance(record, CallRecord)])
    assert len({read["chat", by_turn[0, turn].job, "reply", 0, 0] for turn in range(3)}) == 3
