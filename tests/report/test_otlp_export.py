"""A run as spans: what a span says, and that the same graph comes back from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from harness.content import shipped
from harness.imports.read import read_traces
from harness.imports.traces import draft_traces
from harness.imports.write import write
from harness.predict.simulation import forecast, predict
from harness.profiles.load import load_profile
from harness.report.otlp import otlp_lines
from harness.runs.model import Run
from harness.workload.load import Loaded, Overrides, load_workload

SHIPPED = sorted((shipped() / "workloads").glob("*.yaml"))
# Traces hold an order in time and no dependencies. Where calls of fixed length always end in the same order, an edge
# that is not there looks like one that is (see import.md); losers and several models are not in it either, and the
# shipped profile knows no cost of embeddings.
NOT_IN_TRACES = {"best-of-three", "map-reduce", "rag", "supersteps", "two-model-cascade"}
TELLING = [path for path in SHIPPED if path.stem not in NOT_IN_TRACES]

LANGUAGE = """
version: 1
name: language
subpipelines:
  review:
    nodes:
      critic: {agent: a}
      editor: {agent: a, after: [critic]}
pipelines:
  support:
    path: interactive
    arrival: {every_s: 7}
    jobs: 10
    nodes:
      triage: {agent: a, branch: {billing: 0.5, technical: 0.3, other: 0.2}}
      bill: {agent: a, after: [triage.billing]}
      tech: {agent: a, after: [triage.technical]}
      answer: {agent: a, after: [bill, tech, triage.other]}
      plan: {agent: a, after: [answer]}
      work: {agent: a, over: plan, items: {count: [2, 5], max: 8}, after: [plan]}
      refine: {pipeline: review, after: [work], repeat: {max: 4, until: {p: 0.4, node: critic}}}
      polish: {agent: a, after: [refine], repeat: {max: 3, until: 0.5}}
      lookup: {tool: {delay_s: {lognormal: {median: 0.4, sigma: 0.6}}}, after: [polish]}
      last: {agent: a, after: [lookup]}
agents:
  a: {prompt: "{topic}", output_tokens: 20}
inputs:
  topic: {synthetic: {count: 1, tokens: 60}}
servers:
  four-slot: {kind: llamacpp, slots: 4}
compare:
  window: {placement: four-slot}
seed: 3
"""


def simulated(path: Path, repeats: int = 2) -> tuple[Loaded, Run]:
    loaded = load_workload(path)
    only = loaded.plans[-1].name
    loaded = load_workload(path, Overrides(only=(only,)))
    profile = load_profile("epyc-2core", path.parent)
    return loaded, predict(loaded, profile, repeats=repeats, tokens_of=forecast(loaded, None), extrapolate=True).run


def back(run: Run, folder: Path) -> Loaded:
    """Export the run, import the spans, and load what that gives."""
    path = folder / "spans.jsonl"
    path.write_text("".join(f"{line}\n" for line in otlp_lines(run)))
    draft = draft_traces(read_traces(path), str(path), "back")
    write(draft, folder / "back.yaml")
    return load_workload(folder / "back.yaml")


def shape(graph: Any) -> Any:
    """Return what has to come back: kinds and widths, without names."""
    bare: Any = nx.DiGraph()
    for name, node in graph.nodes.items():
        kind = (node["kind"], node["over"] is not None, len(node["labels"]), node["max_iterations"])
        bare.add_node(name, kind=kind)
    bare.add_edges_from(graph.edges)
    return bare


def same(a: Any, b: Any) -> bool:
    return bool(nx.is_isomorphic(shape(a), shape(b), node_match=lambda x, y: x["kind"] == y["kind"]))


@pytest.mark.parametrize("path", TELLING, ids=lambda path: path.stem)
def test_the_graphs_of_shipped_workloads_come_back(path: Path, tmp_path: Path) -> None:
    loaded, run = simulated(path)
    found = back(run, tmp_path)
    assert set(found.graphs) == set(loaded.graphs)
    for name, graph in loaded.graphs.items():
        # A fan-out of one looks like a call, so the kinds of nodes are compared where it is none.
        wide = any(node["over"] and node["width"] == 1 for node in graph.nodes.values())
        assert nx.is_isomorphic(graph, found.graphs[name]) if wide else same(graph, found.graphs[name]), (
            sorted(graph.edges),
            sorted(found.graphs[name].edges),
        )


def test_the_whole_language_comes_back(tmp_path: Path) -> None:
    (tmp_path / "language.yaml").write_text(LANGUAGE)
    loaded, run = simulated(tmp_path / "language.yaml", repeats=40)
    found = back(run, tmp_path)
    assert same(loaded.graphs["support"], found.graphs["support"])
    nodes = found.graphs["support"].nodes
    assert nodes["work"]["over_node"] == "plan"
    assert dict(zip(nodes["triage"]["labels"], nodes["triage"]["shares"], strict=True)) == pytest.approx(
        {"bill": 0.5, "tech": 0.3, "answer": 0.2}, abs=0.08
    )
    until = {name: node["end_share"] for name, node in nodes.items() if node["kind"] == "until"}
    assert sorted(until.values()) == pytest.approx([0.4, 0.5], abs=0.08)


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    return {pair["key"]: next(iter(pair["value"].values())) for pair in span["attributes"]}


def test_what_a_span_says(tmp_path: Path) -> None:
    _, run = simulated(next(path for path in SHIPPED if path.stem == "review-panel"), repeats=1)
    run = run._replace(started_at="2026-11-22T10:00:00.500000+00:00")
    (line,) = otlp_lines(run)
    (group,) = json.loads(line)["resourceSpans"]
    assert attributes(group["resource"])["slotwise.origin"] == "predicted"
    spans = group["scopeSpans"][0]["spans"]
    assert len(spans) == len(run.jobs) + len(run.calls) + len(run.delays)
    assert len({span["spanId"] for span in spans}) == len(spans)
    ids = {span["spanId"]: span for span in spans}
    roots = [span for span in spans if "parentSpanId" not in span]
    assert len(roots) == len(run.jobs) == len({span["traceId"] for span in spans})
    assert all(ids[s["parentSpanId"]]["traceId"] == s["traceId"] for s in spans if "parentSpanId" in s)
    call = run.calls[0]
    span = next(s for s in spans if attributes(s).get("slotwise.node") == call.node)
    assert span["name"] == f"chat {call.model}".strip()
    said = attributes(span)
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.agent.name"] == call.agent
    assert said["gen_ai.usage.output_tokens"] == str(call.reply.output_tokens)
    base_ns = 1795341600500000000
    assert span["startTimeUnixNano"] == str(base_ns + round(call.ready_s * 1e9))
    assert call.reply.end_s is not None
    assert span["endTimeUnixNano"] == str(base_ns + round(call.reply.end_s * 1e9))


REPLY = """
version: 1
name: titled
pipelines:
  chat:
    path: interactive
    jobs: 2
    arrival: {closed: 1, think_s: 5}
    nodes:
      reply: {agent: {prompt: "A question.", output_tokens: 20}, answers: true}
      title: {agent: {prompt: "A title: {reply}", output_tokens: 20}, after: [reply]}
servers:
  one: {kind: llamacpp, slots: 1}
compare:
  a: {placement: one}
"""


def test_spans_say_which_call_was_the_reply_and_when_it_was_there(tmp_path: Path) -> None:
    (tmp_path / "titled.yaml").write_text(REPLY, encoding="utf-8")
    _, run = simulated(tmp_path / "titled.yaml", repeats=1)
    (line,) = otlp_lines(run)
    spans = json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    calls = [attributes(span) for span in spans if span["name"].startswith("chat")]
    assert [(said["slotwise.node"], said.get("slotwise.answers")) for said in calls] == 2 * [
        ("reply", True),
        ("title", None),
    ]
    for span, job in zip([span for span in spans if "parentSpanId" not in span], run.jobs, strict=True):
        assert attributes(span)["slotwise.reply_s"] == job.pipeline_time_s
        (replied,) = span["events"]
        assert replied["name"] == "slotwise.replied"
        assert int(span["startTimeUnixNano"]) < int(replied["timeUnixNano"]) < int(span["endTimeUnixNano"])


def test_failures_are_errors_and_losers_are_none(tmp_path: Path) -> None:
    _, run = simulated(next(path for path in SHIPPED if path.stem == "review-panel"), repeats=1)
    failed, lost, *rest = run.calls
    calls = (
        failed._replace(reply=failed.reply._replace(outcome="timeout", error="no answer in 3 s")),
        lost._replace(reply=lost.reply._replace(outcome="cancelled", error="no longer needed")),
        *rest,
    )
    (line,) = otlp_lines(run._replace(calls=calls))
    spans = json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    errors = [span for span in spans if span.get("status")]
    assert [span["status"] for span in errors] == [{"code": 2, "message": "no answer in 3 s"}]
    assert attributes(errors[0])["error.type"] == "timeout"
    assert [attributes(span)["slotwise.outcome"] for span in spans if "slotwise.outcome" in attributes(span)].count(
        "cancelled"
    ) == 1


def test_a_job_that_was_cut_off_has_no_root(tmp_path: Path) -> None:
    _, run = simulated(next(path for path in SHIPPED if path.stem == "review-panel"), repeats=1)
    (line,) = otlp_lines(run._replace(jobs=()))
    spans = json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert not any("parentSpanId" in span for span in spans)
