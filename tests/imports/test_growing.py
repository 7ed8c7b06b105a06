"""Traces of an agent that calls tools, whose prompts grow from call to call: they import as such, with all they did."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from predict.paper import PROFILE

from harness.imports.growth import Grown, grown
from harness.imports.steps import TraceStep
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.workload.load import load_workload

pytest.importorskip("opentelemetry.sdk", reason="the OpenTelemetry SDK is not installed (pip install --group dev)")
from imports.apps import App, recovered
from imports.test_traces import checked, steps

# A piece of text is a token, and the chat template adds ten to a prompt and to each exchange, as traces count it.
TEXT = (
    "text: {tokens_per_piece: 1, tokens_per_long_letter: 0, template_tokens: 10, system_template_tokens: 10,\n"
    "  turn_template_tokens: 10, held_out: {calls: 1, median_error: 0, worst_error: 0}}\n"
)


def calls(*tokens: tuple[int, int]) -> list[TraceStep]:
    return [TraceStep(("agent", "a", ""), i, i + 1, False, "m", *each) for i, each in enumerate(tokens)]


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        (
            [calls((100, 20), (150, 20), (190, 20))],
            Grown((90,), (20, 10), 10 / 9),
        ),  # the first is in two prompts, the second in one
        ([calls((100, 20), (150, 20)), calls((60, 5), (80, 5))], Grown((90, 50), (20, 5))),
        ([calls((100, 20), (120, 20))], Grown((90,), (1,), 1)),  # nothing but the answer
        ([calls((100, 20), (110, 20))], None),  # it does not hold what was answered
        ([calls((100, 20), (100, 20))], None),
        ([calls((100, 20))], None),
    ],
)
def test_prompts_grow_where_each_holds_the_call_before(runs: list[list[TraceStep]], expected: Grown | None) -> None:
    found = grown(runs)
    assert (found and found[:2]) == (expected and expected[:2])
    if found and expected:
        assert found.factor == pytest.approx(expected.factor)


def test_calls_without_counts_are_not_known_to_grow() -> None:
    first, second = calls((100, 20), (150, 20))
    assert grown([[first, second._replace(input_tokens=None)]]) is None


def coder(passes: tuple[int, ...]) -> tuple[App, int, int]:
    """Return traces of a coding agent, and the tokens of all of its prompts and answers."""
    app, prompts, answers = App(), 0, 0
    for job, count in enumerate(passes):
        at_s, tokens = 100.0 * job, 600
        root = app.root(at_s, at_s + 4 * count)
        for number in range(count):
            app.call("coder", at_s, at_s + 2, root, (tokens, 40))
            prompts, answers = prompts + tokens, answers + 40
            if number + 1 < count:
                app.tool("run", at_s + 2.1, at_s + 2.6, root)
            at_s, tokens = at_s + 3, tokens + 40 + 160
    return app, prompts, answers


def test_an_agent_whose_prompts_grow_imports_as_one(tmp_path: Path) -> None:
    passes = (3, 4, 5, 4)
    app, prompts, answers = coder(passes)
    draft, _ = recovered(app, tmp_path)
    loaded = checked(draft, tmp_path)
    found = steps(draft)
    assert found["coder"].keys["grows"] == {"by": 150}  # what a tool gave, without the chat template around it
    assert found["coder"].keys["branch"] == {"run": 0.75, "end": 0.25}  # a tool after each call but the last
    assert found["coder-loop"].keys["repeat"] == {"passes": {"empirical": [3, 4, 5, 4]}}
    assert draft.inputs["coder-text"]["synthetic"]["tokens"] == 590
    assert draft.servers["one-slot"]["context_tokens"] >= 1400 + 40

    (tmp_path / "p.yaml").write_text(PROFILE + TEXT, encoding="utf-8")
    only = load_workload(tmp_path / "back.yaml")
    only = only._replace(plans=loaded.plans[:1])
    run = predict(only, load_profile(str(tmp_path / "p.yaml")), repeats=100, extrapolate=True).run
    jobs: dict[tuple[int, int], list[tuple[int | None, int | None]]] = {}
    for call in run.calls:
        jobs.setdefault((call.repeat, call.job), []).append((call.reply.prompt_tokens, call.reply.output_tokens))
    assert all(job == [(600 + 200 * number, 40) for number in range(len(job))] for job in jobs.values())
    drawn = [len(job) for job in jobs.values()]
    assert [drawn.count(n) / len(drawn) for n in (3, 4, 5)] == pytest.approx([0.25, 0.5, 0.25], abs=0.06)
    assert len(drawn) == 400 and (prompts, answers) == (2400 + 2 * 3600 + 5000, 16 * 40)
    tools_s = sum(delay.end_s - delay.start_s for delay in run.delays)
    assert tools_s == pytest.approx(0.5 * sum(count - 1 for count in drawn), rel=0.1)


def test_the_prompts_of_a_recorded_number_of_passes_are_those_recorded(tmp_path: Path) -> None:
    """Nothing is drawn where all traces have as many passes: then it is exact."""
    app, prompts, answers = coder((4, 4))
    draft, _ = recovered(app, tmp_path)
    loaded = checked(draft, tmp_path)
    (tmp_path / "p.yaml").write_text(PROFILE + TEXT, encoding="utf-8")
    only = loaded._replace(plans=loaded.plans[:1])
    run = predict(only, load_profile(str(tmp_path / "p.yaml")), repeats=1, extrapolate=True).run
    assert [call.reply.prompt_tokens for call in run.calls] == [600, 800, 1000, 1200] * 2
    assert sum(call.reply.prompt_tokens or 0 for call in run.calls) == prompts
    assert sum(call.reply.output_tokens or 0 for call in run.calls) == answers


class Seen:
    """What was recorded of one agent, over all traces."""

    def __init__(self) -> None:
        self.calls = self.prompts = self.answers = 0

    def add(self, prompt: int, answer: int) -> None:
        self.calls, self.prompts, self.answers = self.calls + 1, self.prompts + prompt, self.answers + answer


def loop(
    app: App, at_s: float, root: Any, agent: str, draw: random.Random, seen: dict[str, Seen], helper: str = ""
) -> float:
    """Trace one conversation of an agent with its tool, and with a helper where it has one; return when it ends."""
    prompt, passes = draw.randint(200, 900), draw.randint(3, 7)
    for number in range(passes):
        answer = draw.randint(10, 120)
        app.call(agent, at_s, at_s + 2, root, (prompt, answer))
        seen.setdefault(agent, Seen()).add(prompt, answer)
        at_s += 2.5
        if number + 1 < passes:
            # The first result is the longest, as where a file is read before it is changed.
            prompt += answer + 10 + draw.randint(20, 400) * (3 if number == 0 else 1)
            if helper and draw.random() < 0.5:
                at_s = loop(app, at_s, root, helper, draw, seen)
            else:
                app.tool(f"{agent}-tool", at_s, at_s + 0.5, root)
                at_s += 1
    return at_s


@pytest.mark.parametrize("helper", ["", "helper"], ids=["alone", "with a sub-agent"])
@pytest.mark.parametrize("seed", range(3))
def test_imported_work_is_recorded_work(seed: int, helper: str, tmp_path: Path) -> None:
    """Whatever a tool loop did: simulated, it makes as many calls, and they have as many tokens, within 1 %.

    How many passes there are is drawn, so jobs are weighed until each number of passes is as frequent as recorded.
    """
    draw, app, seen = random.Random(seed), App(), dict[str, Seen]()
    passes: list[int] = []
    jobs = draw.randint(8, 16)
    for job in range(jobs):
        before = seen["coder"].calls if seen else 0
        root = app.root(1000.0 * job, 1000.0 * job + 900)
        loop(app, 1000.0 * job, root, "coder", draw, seen, helper)
        passes.append(seen["coder"].calls - before)
    draft, _ = recovered(app, tmp_path)
    loaded = checked(draft, tmp_path)
    (tmp_path / "p.yaml").write_text(PROFILE + TEXT, encoding="utf-8")
    only = loaded._replace(plans=loaded.plans[:1])
    run = predict(only, load_profile(str(tmp_path / "p.yaml")), repeats=3000 // jobs, extrapolate=True).run
    simulated: dict[tuple[int, int], dict[str, Seen]] = {}
    for call in run.calls:
        found = simulated.setdefault((call.repeat, call.job), {}).setdefault(call.agent, Seen())
        found.add(call.reply.prompt_tokens or 0, call.reply.output_tokens or 0)
    drawn = Counter(found["coder"].calls for found in simulated.values())
    weights = {n: passes.count(n) / drawn[n] for n in drawn}
    for agent, expected in seen.items():
        for what in ("calls", "prompts", "answers"):
            total = sum(
                weights[found["coder"].calls] * getattr(found[agent], what)
                for found in simulated.values()
                if agent in found
            )
            assert total == pytest.approx(getattr(expected, what), rel=0.01), (agent, what)
