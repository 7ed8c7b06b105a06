"""Traces made by the real OpenTelemetry SDK: what an application did is recovered from its spans."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.imports.account import ImportLoss, loss_line
from harness.imports.draft import Draft, DraftStep, walk
from harness.imports.made import made_of
from harness.imports.read import read_traces
from harness.imports.traces import draft_traces
from harness.imports.write import questions, write
from harness.workload.load import Loaded, load_workload

pytest.importorskip("opentelemetry.sdk", reason="the OpenTelemetry SDK is not installed (pip install --group dev)")
from imports.apps import App, otlp, recovered, saved


def checked(draft: Draft, folder: Path) -> Loaded:
    write(draft, folder / "back.yaml", force=True)
    return load_workload(folder / "back.yaml")


def steps(draft: Draft, pipeline: str = "support") -> dict[str, DraftStep]:
    """Return the steps by their names; one within a loop does not hide its namesake outside."""
    return {step.name: step for step in reversed(list(walk(draft.pipelines[pipeline].flow)))}


def edges(loaded: Loaded, pipeline: str = "support") -> set[tuple[str, str]]:
    return set(loaded.graphs[pipeline].edges)


def test_a_sequence_with_a_tool(tmp_path: Path) -> None:
    app = App()
    for job in range(4):
        at_s = 10.0 * job
        root = app.root(at_s, at_s + 5)
        app.call("plan", at_s, at_s + 1, root, (100 + job, 20))
        app.tool("search", at_s + 1, at_s + 1.5 + job, root)
        app.call("answer", at_s + 1.5 + job, at_s + 5, root)
    draft, _ = recovered(app, tmp_path)
    loaded = checked(draft, tmp_path)
    assert edges(loaded) == {("plan", "search"), ("search", "answer")}
    assert steps(draft)["search"].delay_s == {"empirical": [0.5, 1.5, 2.5, 3.5]}
    assert draft.inputs["plan-text"]["synthetic"]["tokens"] == {"empirical": [100, 101, 102, 103]}
    assert draft.agents["plan"][0]["output_tokens"] == 20
    assert draft.pipelines["support"].keys["arrival"] == {"at_s": [0, 10, 20, 30]}
    assert any("model: small" in note.text for note in draft.agents["plan"][1])
    assert any("no two of these traces overlap" in text for text in questions(draft))


def test_a_diamond_whose_sides_differ(tmp_path: Path) -> None:
    """One side is sometimes the slower and sometimes the faster: no order between them is left."""
    app = App()
    for job, (cost_s, risk_s) in enumerate([(1, 3), (3, 1), (2, 2)]):
        at_s = 10.0 * job
        root = app.root(at_s, at_s + 5)
        app.call("plan", at_s, at_s + 1, root)
        app.call("cost", at_s + 1, at_s + 1 + cost_s, root)
        app.call("risk", at_s + 1, at_s + 1 + risk_s, root)
        joined_s = at_s + 1 + max(cost_s, risk_s)
        app.call("edit", joined_s, joined_s + 1, root)
    loaded = checked(recovered(app, tmp_path)[0], tmp_path)
    assert edges(loaded) == {("plan", "cost"), ("plan", "risk"), ("cost", "edit"), ("risk", "edit")}


def test_a_branch_by_its_frequencies(tmp_path: Path) -> None:
    app = App()
    for job, way in enumerate(["billing"] * 6 + ["technical"] * 3 + [""]):
        at_s = 10.0 * job
        root = app.root(at_s, at_s + 5)
        app.call("triage", at_s, at_s + 1, root)
        if way:
            app.call(way, at_s + 1, at_s + 2, root)
        app.call("answer", at_s + 2, at_s + 3, root)
    draft, _ = recovered(app, tmp_path)
    assert steps(draft)["triage"].keys["branch"] == {"billing": 0.6, "technical": 0.3, "answer": 0.1}
    assert set(steps(draft)["answer"].after) == {"triage.answer", "billing", "technical"}
    checked(draft, tmp_path)


def test_a_choice_that_no_agent_makes(tmp_path: Path) -> None:
    """After a join, after a tool and at the start a node that takes no time stands for the choice."""
    app = App()
    for job in range(8):
        at_s = 10.0 * job
        root = app.root(at_s, at_s + 9)
        if job % 2:
            app.call("first", at_s, at_s + 1, root)
        app.call("a", at_s + 1, at_s + 2 + job % 3, root)
        app.call("b", at_s + 1, at_s + 2 + job % 2, root)
        if job % 4 == 0:
            app.call("extra", at_s + 4, at_s + 5, root)
        app.tool("store", at_s + 5, at_s + 6, root)
        if job < 2:
            app.call("mail", at_s + 6, at_s + 7, root)
    draft, _ = recovered(app, tmp_path)
    found = steps(draft)
    branches = {name: step.keys["branch"] for name, step in found.items() if "branch" in step.keys}
    assert sorted(max(shares.values()) for shares in branches.values()) == [0.5, 0.75, 0.75]
    assert all(found[name].kind == "tool" and found[name].delay_s == 0 for name in branches)
    checked(draft, tmp_path)


def test_a_fan_out_of_one_width_and_of_several(tmp_path: Path) -> None:
    for widths in ((3, 3, 3), (2, 3, 5)):
        app = App()
        for job, width in enumerate(widths):
            at_s = 10.0 * job
            root = app.root(at_s, at_s + 5)
            app.call("plan", at_s, at_s + 1, root)
            for item in range(width):
                app.call("work", at_s + 1, at_s + 2 + item / 10, root)
            app.call("merge", at_s + 3, at_s + 4, root)
        draft, _ = recovered(app, tmp_path)
        loaded = checked(draft, tmp_path)
        work = loaded.graphs["support"].nodes["work"]
        assert edges(loaded) == {("plan", "work"), ("work", "merge")}
        assert work["width"] == max(widths)
        if len(set(widths)) > 1:
            assert work["over_node"] == "plan"
            assert steps(draft)["work"].keys["items"] == {"count": {"empirical": [2, 3, 5]}, "max": 5}


def test_an_agent_that_calls_a_tool_until_it_is_done(tmp_path: Path) -> None:
    app = App()
    rounds = [0, 1, 1, 2, 3, 0, 1, 2]
    for job, n in enumerate(rounds):
        at_s = 20.0 * job
        root = app.root(at_s, at_s + 19)
        app.call("agent", at_s, at_s + 1, root)
        for turn in range(n):
            app.tool("search", at_s + 1 + 2 * turn, at_s + 2 + 2 * turn, root)
            app.call("agent", at_s + 2 + 2 * turn, at_s + 3 + 2 * turn, root)
        app.call("write", at_s + 10, at_s + 11, root)
    draft, _ = recovered(app, tmp_path)
    found = steps(draft)
    assert found["agent"].keys["branch"] == {"agent-loop": 0.75, "write": 0.25}
    assert found["agent-loop"].keys["repeat"] == {"passes": {"empirical": [1, 1, 2, 3, 1, 2]}}
    assert [step.name for step in found["agent-loop"].body] == ["search", "agent"]
    checked(draft, tmp_path)


def test_a_loop_whose_end_is_a_chance(tmp_path: Path) -> None:
    """Fifty loops or more whose passes a chance explains get that chance, with as many passes as were seen."""
    app = App()
    passes = [1] * 32 + [2] * 16 + [3] * 8 + [4] * 8  # a half ends each time, the last ones all
    for job, n in enumerate(passes):
        at_s = 100.0 * job
        root = app.root(at_s, at_s + 99)
        for turn in range(n):
            app.call("write", at_s + 2 * turn, at_s + 2 * turn + 1, root)
            app.call("check", at_s + 2 * turn + 1, at_s + 2 * turn + 2, root)
    draft, _ = recovered(app, tmp_path)
    repeat = steps(draft)["write-loop"].keys["repeat"]
    assert repeat == {"max": 4, "until": {"p": pytest.approx(0.5), "node": "check"}}
    assert made_of(checked(draft, tmp_path)).calls == pytest.approx(2 * sum(passes))


def test_a_loop_that_always_makes_as_many_passes(tmp_path: Path) -> None:
    app = App()
    for job in range(3):
        root = app.root(20.0 * job, 20.0 * job + 9)
        for turn in range(3):
            app.call("polish", 20.0 * job + turn, 20.0 * job + turn + 1, root)
    draft, _ = recovered(app, tmp_path)
    assert steps(draft)["polish"].keys["repeat"] == {"max": 3}
    checked(draft, tmp_path)


def test_a_loop_within_a_loop(tmp_path: Path) -> None:
    app = App()
    draw = random.Random(3)
    for job in range(12):
        at_s = base_s = 100.0 * job
        root = app.root(base_s, base_s + 99)
        for _ in range(draw.randint(1, 3)):
            app.call("plan", at_s, at_s + 1, root)
            at_s += 1
            for _ in range(draw.randint(1, 4)):
                app.call("try", at_s, at_s + 1, root)
                at_s += 1
    draft, _ = recovered(app, tmp_path)
    loaded = checked(draft, tmp_path)
    assert list(loaded.graphs["support"]) == [
        "plan-loop/plan", "plan-loop/try", "plan-loop/try/until", "plan-loop/until",
    ]  # fmt: skip


def test_retries_are_no_loop(tmp_path: Path) -> None:
    app = App()
    for job in range(4):
        at_s = 10.0 * job
        root = app.root(at_s, at_s + 9)
        if job < 2:
            app.call("ask", at_s, at_s + 1, root, error=True)
        app.call("ask", at_s + 1.5, at_s + 2, root)
    draft, _ = recovered(app, tmp_path)
    assert steps(draft)["ask"].keys == {"retry": {"times": 1, "backoff_s": 0.5}}
    checked(draft, tmp_path)


def test_traces_that_failed_are_left_out_and_counted(tmp_path: Path) -> None:
    app = App()
    for job in range(3):
        root = app.root(10.0 * job, 10.0 * job + 9)
        app.call("ask", 10.0 * job, 10.0 * job + 1, root, error=job == 1)
    draft, read = recovered(app, tmp_path)
    assert read.warnings() == ["1 trace left out: a call failed for good"]
    assert draft.pipelines["support"].keys["jobs"] == 2
    (loss,) = draft.account.lost
    assert loss == ImportLoss("in traces that are left out: a call failed for good", 1, 100, 20)
    assert loss_line(loss) in [note.text for note in draft.head]


def test_sizes_are_fitted_or_kept_as_they_are(tmp_path: Path) -> None:
    app = App()
    draw = random.Random(1)
    for job in range(400):
        root = app.root(10.0 * job, 10.0 * job + 9)
        sizes = (round(draw.lognormvariate(6, 0.5)), draw.choice([10, 500]))
        app.call("ask", 10.0 * job, 10.0 * job + 1, root, sizes)
    draft, _ = recovered(app, tmp_path)
    fitted = draft.inputs["ask-text"]["synthetic"]["tokens"]["lognormal"]
    assert fitted["median"] == pytest.approx(403.4, rel=0.05) and fitted["sigma"] == pytest.approx(0.5, rel=0.1)
    assert draft.agents["ask"][0]["output_tokens"] == {"empirical": "back-data/ask-answer-tokens.txt"}
    assert sorted(set(draft.files["back-data/ask-answer-tokens.txt"].split())) == ["10", "500"]
    # Every ten seconds: no Poisson, so the times themselves.
    assert draft.pipelines["support"].keys["arrival"] == {"trace": "back-data/support-arrivals.csv"}


def test_poisson_arrivals(tmp_path: Path) -> None:
    app = App()
    draw = random.Random(5)
    at_s = 0.0
    for _ in range(300):
        at_s += draw.expovariate(0.25)
        root = app.root(at_s, at_s + 9)
        app.call("ask", at_s, at_s + 9, root)
    draft, _ = recovered(app, tmp_path)
    assert draft.pipelines["support"].keys["arrival"]["poisson_per_s"] == pytest.approx(0.25, rel=0.15)


def test_old_names_of_attributes(tmp_path: Path) -> None:
    def traced(**names: str) -> Draft:
        app = App()
        root = app.root(0, 5)
        for agent in ("plan", "write"):
            inner = app.span(f"invoke_agent {agent}", 0, 5, root, gen_ai__operation__name="invoke_agent")
            at_s = 0 if agent == "plan" else 2
            values = {"operation": "chat", "model": "small", "input": 70, "output": 7}
            app.span("x", at_s, at_s + 1, inner, **dict[str, Any]({name: values[key] for key, name in names.items()}))
        return recovered(app, tmp_path)[0]

    new = {"operation": "gen_ai.operation.name", "model": "gen_ai.request.model"}
    variants = [
        {**new, "input": "gen_ai.usage.input_tokens", "output": "gen_ai.usage.output_tokens"},
        {**new, "input": "gen_ai.usage.prompt_tokens", "output": "gen_ai.usage.completion_tokens"},
        {"operation": "llm.request.type", "model": "llm.request.model", "input": "llm.usage.prompt_tokens",
         "output": "llm.usage.completion_tokens"},
    ]  # fmt: skip
    drafts = [traced(**names) for names in variants]
    assert drafts[0] == drafts[1] == drafts[2]
    assert list(drafts[0].agents) == ["plan", "write"]
    assert drafts[0].inputs["plan-text"] == {"synthetic": {"count": 1, "tokens": 70}}


def test_a_call_that_two_instrumentations_saw_is_one(tmp_path: Path) -> None:
    app = App()
    root = app.root(0, 5)
    outer = app.span("chat framework", 0, 2, root, gen_ai__operation__name="chat", gen_ai__agent__name="ask")
    app.call("ask", 0.1, 1.9, outer)
    draft, read = recovered(app, tmp_path)
    assert list(steps(draft)) == ["ask"]
    assert "1 model call traced by two instrumentations, counted once" in read.warnings()


# What is wrong with traces


def test_missing_parents_are_counted_and_used(tmp_path: Path) -> None:
    app = App()
    root = app.root(0, 5)
    app.call("a", 0, 1, root)
    app.call("b", 1, 2, root)
    path = saved([app], tmp_path)
    request = json.loads(path.read_text())
    spans = request["resourceSpans"][0]["scopeSpans"][0]["spans"]
    request["resourceSpans"][0]["scopeSpans"][0]["spans"] = [span for span in spans if "parentSpanId" in span]
    path.write_text(json.dumps(request))
    read = read_traces(path)
    assert read.warnings() == [
        "2 spans in 1 trace with a parent that is not in the file; each was read as the start of its trace"
    ]
    draft = draft_traces(read, "spans.jsonl", "back")
    assert set(checked(draft, tmp_path).graphs["back"].edges) == {("a", "b")}


def test_a_skewed_clock_is_repaired_and_said(tmp_path: Path) -> None:
    """The service that answers has a clock that is an hour late; its spans still lie within those that asked."""
    front, back = App(host="front"), App(host="back")
    for job in range(3):
        at_s = 10.0 * job
        root = front.root(at_s, at_s + 6)
        front.call("a", at_s, at_s + 1, root)
        asked = front.span("ask service", at_s + 1, at_s + 4, root)
        span = back.call("b", at_s - 3600, at_s - 3600 + 2, asked)
        assert span.get_span_context().trace_id == root.get_span_context().trace_id
        front.call("c", at_s + 4, at_s + 6, root)
    read = read_traces(saved([front, back], tmp_path))
    assert read.warnings() == [
        "clock skew: 3 spans outside the parent by up to 60 min 02 s, moved into it (allowed: 1 ms)"
    ]
    b = next(step for step in read.traces[0].steps if step.label[1] == "b")
    assert (b.start_s, b.end_s) == (1.5, 3.5)  # in the middle of what asked
    assert edges(checked(draft_traces(read, "spans.jsonl", "back"), tmp_path)) == {("a", "b"), ("b", "c")}


def mended(app: App, folder: Path, change: Callable[[list[dict[str, Any]]], None]) -> Path:
    request = otlp(app.spans())
    change(request["resourceSpans"][0]["scopeSpans"][0]["spans"])
    path = folder / "spans.json"
    path.write_text(json.dumps(request, indent=1))
    return path


def test_times_and_parents_that_make_no_sense(tmp_path: Path) -> None:
    app = App()
    for job in range(3):
        root = app.root(10.0 * job, 10.0 * job + 5)
        app.call("a", 10.0 * job, 10.0 * job + 1, root)

    def change(spans: list[dict[str, Any]]) -> None:
        traces: dict[str, list[dict[str, Any]]] = {}
        for span in spans:
            traces.setdefault(span["traceId"], []).append(span)
        one, two, _ = traces.values()
        one[0]["endTimeUnixNano"] = "5"
        two[0]["parentSpanId"], two[1]["parentSpanId"] = two[1]["spanId"], two[0]["spanId"]
        spans.append({**spans[-1]})
        spans.append({"traceId": "", "spanId": "x", "startTimeUnixNano": "1", "endTimeUnixNano": "2"})
        spans.append({"traceId": "a", "spanId": "x", "startTimeUnixNano": "soon", "endTimeUnixNano": "2"})

    assert read_traces(mended(app, tmp_path, change)).warnings() == [
        "2 spans without ids or times left out",
        "1 span twice in the file, counted once",
        "1 trace left out: a span ends before it starts",
        "1 trace left out: spans are each other's parents",
    ]


def test_no_model_call_at_all(tmp_path: Path) -> None:
    app = App()
    app.span("GET /", 0, 1)
    with pytest.raises(UserError) as caught:
        read_traces(saved([app], tmp_path))
    assert "found 1 span and none that can be used (1 trace: no model call in it)" in str(caught.value)


def test_conversations_and_several_applications(tmp_path: Path) -> None:
    app = App()
    for job in range(6):
        root = app.root(10.0 * job, 10.0 * job + 15, "chat" if job % 2 else "batch")
        app.call("a", 10.0 * job, 10.0 * job + 15, root, gen_ai__conversation__id=f"c{job % 2}")
    draft, _ = recovered(app, tmp_path)
    assert list(draft.pipelines) == ["batch", "chat"]
    assert sum("1 conversation with 3 traces on average" in text for text in questions(draft)) == 2
    checked(draft, tmp_path)


def test_a_loop_that_is_too_long_is_cut_and_named(tmp_path: Path) -> None:
    app = App()
    root = app.root(0, 3000)
    for turn in range(1200):
        app.call("poll", 2.0 * turn, 2.0 * turn + 1, root)
    draft, _ = recovered(app, tmp_path)
    assert steps(draft)["poll"].keys["repeat"] == {"max": 1000}
    (loss,) = draft.account.lost
    assert loss[1:] == (200, 20_000, 4000, 0, 0) and "beyond the first 1,000" in loss.why
