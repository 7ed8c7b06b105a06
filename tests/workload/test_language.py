"""Branches, loops, run-time lists, k of n and sub-pipelines: what they compile to, and what is said about them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from harness.core.engine import Engine
from harness.core.flow import FlowShape, FlowWalk
from harness.core.graph import Node
from harness.core.plan import queues_of
from harness.core.records import CallRecord, Reply
from harness.core.sizes import Distribution
from harness.drivers.virtual import simulate
from harness.report.workload import workload_lines
from harness.workload.describe import describe
from harness.workload.diagrams import dot, mermaid
from harness.workload.load import Loaded, load_workload
from harness.workload.overrides import Overrides
from harness.workload.reads import Result
from harness.workload.scenarios import scenarios

TEXT = """\
version: 1
name: w
subpipelines:
  review:
    nodes:
      critic: {agent: {prompt: "{input} {previous}", output_tokens: 20}}
      editor: {agent: {prompt: "{input} {critic}", output_tokens: 30}, after: [critic]}
  route:
    nodes:
      sort: {agent: {prompt: "{input}", output_tokens: 3}, branch: {yes: 0.5, maybe: 0.25, no: 0.25}}
      act: {agent: {prompt: "{sort}", output_tokens: 10}, after: [sort.yes, sort.maybe]}
      check: {pipeline: review, after: [act], repeat: {max: 2, until: 0.5}}
pipelines:
  p:
    path: interactive
    priority: 1
    jobs: 4
    nodes:
      triage:
        agent: {prompt: "T", output_tokens: 3}
        branch:
          billing: 0.6
          technical: {p: 0.3, when: {regex: "(?i)error"}}
          other: {p: 0.1, when: {otherwise: true}}
      bill: {agent: say, after: [triage.billing]}
      tech: {agent: say, after: [triage.technical]}
      answer: {agent: say, after: [bill, tech, triage.other]}
      plan: {agent: {prompt: "{answer}", output_tokens: [20, 60]}, after: [answer]}
      work: {agent: {prompt: "{item}", output_tokens: 20}, over: plan, items: {count: [2, 5], max: 8}, after: [plan]}
      vote: {agent: {prompt: "{item}", output_tokens: 5}, over: docs, enough: 2, after: [work]}
      a: {agent: say, after: [vote]}
      b: {agent: say, after: [vote]}
      pick: {agent: {prompt: "{a}{b}", output_tokens: 5}, after: [a, b], need: any, losers: run}
      refine: {pipeline: review, after: [pick], repeat: {max: 3, until: {p: 0.4, when: {regex: DONE}, node: critic}}}
      polish: {agent: {prompt: "{input} {previous}", output_tokens: 10}, after: [refine], repeat: {max: 2}}
      sub: {pipeline: route, after: [polish], priority: 5}
      lookup: {tool: {delay_s: {exponential: {mean: 2}}}, after: [sub]}
      last:
        agent: {prompt: "{sub} {polish}", output_tokens: 9}
        after: [lookup]
        retry: {times: 2, backoff_s: 0.5}
        priority: -2
agents:
  say: {prompt: "S", output_tokens: 16}
inputs:
  docs: {list: [x, y, z]}
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    path = tmp_path / "w.yaml"
    path.write_text(TEXT)
    return load_workload(path)


def nodes(loaded: Loaded) -> dict[str, Node]:
    return {node.name: node for node in loaded.pipelines[0].graph.nodes}


def test_names_and_order(loaded: Loaded) -> None:
    graph = loaded.pipelines[0].graph.nodes
    assert [node.name for node in graph] == [
        *("triage", "bill", "tech", "answer", "plan", "work", "vote", "a", "b", "pick", "refine/critic"),
        *("refine/editor", "refine/until", "polish", "polish/until", "sub/sort", "sub/act", "sub/check/critic"),
        *("sub/check/editor", "sub/check/until", "sub/until", "lookup", "last"),
    ]
    for i, node in enumerate(graph):
        assert all(before < i for before in node.predecessors)
        for before in set(node.predecessors):
            assert graph[before].successors.count(i) == node.predecessors.count(before)


def test_branches(loaded: Loaded) -> None:
    named, graph = nodes(loaded), loaded.pipelines[0].graph.nodes
    assert (named["triage"].labels, named["triage"].shares) == (("billing", "technical", "other"), (0.6, 0.3, 0.1))
    assert (named["bill"].takes, named["tech"].takes) == ((0,), (1,))
    assert [graph[i].name for i in named["answer"].predecessors] == ["triage", "bill", "tech"]
    assert named["answer"].takes == (2, None, None)
    # either of two labels: two edges
    assert [graph[i].name for i in named["sub/act"].predecessors] == ["sub/sort", "sub/sort"]
    assert named["sub/act"].takes == (0, 1)
    # the sub-pipeline can end in two places, so a node joins them
    assert [graph[i].name for i in named["sub/until"].predecessors] == ["sub/sort", "sub/check/until"]
    assert (named["sub/until"].takes, named["sub/until"].body, named["sub/until"].end_share) == ((2, None), (), 1.0)


def test_an_edge_that_takes_every_label_takes_any(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(TEXT.replace("[sort.yes, sort.maybe]", "[sort.no, sort.yes, sort.maybe]"))
    act = nodes(load_workload(path))["sub/act"]
    assert (len(act.predecessors), act.takes) == (1, ())


def test_loops(loaded: Loaded) -> None:
    named, graph = nodes(loaded), loaded.pipelines[0].graph.nodes
    until = named["refine/until"]
    assert [graph[i].name for i in until.body] == ["refine/critic", "refine/editor"]
    assert (until.kind, until.max_iterations, until.end_share) == ("until", 3, 0.4)
    assert graph[until.decides or 0].name == "refine/critic"
    polish = named["polish/until"]
    assert ([graph[i].name for i in polish.body], polish.max_iterations) == (["polish"], 2)
    assert (polish.end_share, polish.decides) == (0.0, None)  # it always makes its two passes
    assert graph[named["sub/check/until"].decides or 0].name == "sub/check/editor"  # the only last call
    assert loaded.loops["p", "refine"].body == {"refine/critic", "refine/editor"}
    assert loaded.uses["p", "refine/critic"].loops == loaded.uses["p", "refine/editor"].loops == ("refine",)
    assert loaded.uses["p", "plan"].loops == ()


def test_lists_sizes_and_the_rest(loaded: Loaded) -> None:
    named, graph = nodes(loaded), loaded.pipelines[0].graph.nodes
    work = named["work"]
    assert (graph[work.over or 0].name, work.width) == ("plan", 8)
    assert work.items == Distribution("uniform", (2, 5), True, 8.0)
    assert (named["vote"].width, named["vote"].enough, named["vote"].losers) == (3, 2, "cancel")
    assert (named["pick"].need, named["pick"].losers) == (1, "run")
    assert (named["plan"].output_tokens, named["plan"].expected_output_tokens) == (
        Distribution("uniform", (20, 60), True),
        40,
    )
    assert (named["last"].output_tokens, named["last"].expected_output_tokens) == (None, 9)
    assert named["lookup"].delay == Distribution("exponential", (2.0,))
    assert (named["last"].retries, named["last"].backoff_s, named["last"].priority) == (2, 0.5, -2)
    assert {named[name].priority for name in ("triage", "refine/critic")} == {1}  # the pipeline's
    assert {named[name].priority for name in ("sub/sort", "sub/check/critic")} == {5}  # of the node that uses it


def test_what_templates_can_name(loaded: Loaded) -> None:
    uses = loaded.uses
    assert uses["p", "refine/critic"].names == {"input": (Result(("pick",)),)}
    assert uses["p", "sub/check/critic"].names == {"input": (Result(("sub/act",)),)}
    # what a sub-pipeline gives where it ends at a label that nobody takes: the branch's own answer
    assert uses["p", "last"].names["sub"] == (Result(("sub/check/editor",), ("sub/sort",)),)
    assert uses["p", "polish"].loops == ("polish",)


def test_expected_work_is_what_the_engine_does(tmp_path: Path) -> None:
    """The means that check prints, against 1000 jobs of the engine: 4 standard errors of the number of calls."""
    path = tmp_path / "w.yaml"
    path.write_text(TEXT)
    loaded = load_workload(path, Overrides(scale=250, seed=5))
    records: list[object] = []
    engine = Engine(loaded.pipelines, loaded.plans[1], origin="predicted", seed=5)
    simulate(engine, lambda call, now_s: Reply("ok", end_s=now_s + 1), records.append)
    made = Counter(record.job for record in records if isinstance(record, CallRecord))
    mean = sum(made.values()) / 1000
    error = (sum((n - mean) ** 2 for n in made.values()) / 1000 / 1000) ** 0.5
    assert len(made) == 1000
    expected = describe(loaded).pipelines[0].work.calls
    # both of a fan-in count in full, and a dropped one is recorded as well
    assert abs(mean - expected) < 4 * error + 0.05, (mean, expected)


def test_either_of_two_labels_is_one_live_edge(loaded: Loaded) -> None:
    """The walk over the compiled graph: `act` runs with `yes` and with `maybe`, in their shares, never with `no`."""
    graph = loaded.pipelines[0].graph
    index = {node.name: i for i, node in enumerate(graph.nodes)}
    shape = FlowShape(graph, seed=1, repeat=0, pipeline="p")
    acted = 0
    for job in range(400):
        walk = FlowWalk(shape, job)
        todo = list(walk.begin().ready)
        ran = set()
        while todo:
            ready = todo.pop()
            ran.add(ready.node)
            for _ in range(ready.width):
                step = walk.item_done(ready.node) if walk.is_running(ready.node, ready.iteration) else None
                todo += step.ready if step else ()
        acted += index["sub/act"] in ran
        assert index["last"] in ran
        assert (index["sub/act"] in ran) == (index["sub/check/critic"] in ran)
    assert abs(acted / 400 - 0.75) < 4 * (0.75 * 0.25 / 400) ** 0.5


def test_ways_a_job_can_go(loaded: Loaded) -> None:
    ways = scenarios(loaded.graphs["p"])
    assert len(ways) == 9
    assert sum(way.share for way in ways) == pytest.approx(1)
    assert sum(way.share for way in ways if "bill" in way.graph) == pytest.approx(0.6)
    assert sum(way.share for way in ways if "sub/act" in way.graph) == pytest.approx(0.75)
    assert all("last" in way.graph and "answer" in way.graph for way in ways)


def test_very_many_ways_are_sampled(tmp_path: Path) -> None:
    say = "agent: {prompt: x, output_tokens: 1}"
    text = "".join(
        f"      b{i}: {{{say}, branch: {{l: 0.2, r: 0.8}}}}\n      l{i}: {{{say}, after: [b{i}.l]}}\n"
        for i in range(12)
    )
    path = tmp_path / "w.yaml"
    path.write_text(f"version: 1\nname: w\npipelines:\n  p:\n    path: batch\n    jobs: 1\n    nodes:\n{text}")
    loaded = load_workload(path)
    ways = scenarios(loaded.graphs["p"])
    assert len(ways) == 256
    assert sum(way.share for way in ways) == pytest.approx(1)
    facts = describe(loaded).pipelines[0]
    assert facts.work.calls == pytest.approx(12 + 12 * 0.2, abs=0.4)
    assert facts.width == 24 - 12  # b_i before l_i


def test_branches_that_exclude_each_other_do_not_add_up(loaded: Loaded) -> None:
    facts = describe(loaded).pipelines[0]
    assert facts.width == 8  # the list at its longest; bill and tech never run together
    assert facts.expected


def test_losers_left_to_run_overlap_with_what_comes_after(tmp_path: Path) -> None:
    say = "agent: {prompt: x, output_tokens: 1}"
    path = tmp_path / "w.yaml"

    def width(more: str) -> int:
        path.write_text(
            "version: 1\nname: w\npipelines:\n  p:\n    path: batch\n    jobs: 1\n    nodes:\n"
            f"      a: {{{say}}}\n      b: {{{say}}}\n"
            f"      c: {{{say}, after: [a, b]{more}}}\n      d: {{{say}, after: [c]}}\n"
        )
        return describe(load_workload(path)).pipelines[0].width

    assert width("") == width(", need: any") == 2
    assert width(", need: any, losers: run") == 3  # a bound: one of a and b has ended by then
    path.write_text(
        path.read_text().replace("after: [c]", "over: docs, after: [c]") + "inputs: {docs: {list: [x, y, z]}}\n"
    )
    assert describe(load_workload(path)).pipelines[0].width == 3 + 2


def test_check_says_it_in_eighty_columns(loaded: Loaded) -> None:
    text = workload_lines(loaded, describe(loaded))
    assert all(len(line) <= 80 for line in text[1:])
    squeezed = [" ".join(line.split()) for line in text]
    for line in (
        "bill <- triage[billing]",
        "answer <- triage[other], bill, tech",
        "sub/act <- sub/sort[yes/maybe]",
        "refine/until (3x) <- refine/editor; back to refine/critic",
        "branch triage: billing 60 %, technical 30 %, other 10 %",
        "loop refine: at most 3 passes, 1.96 on average (40 % end it)",
        "loop polish: 2 passes",
        "list work: 2 to 5 items of what plan answers, at most 8",
        "need vote: 2 of its 3 calls; the others are cancelled",
        "need pick: 1 of a, b; the others are left to run",
        "sizes plan: 20 to 60 output tokens, 40 on average",
        "sizes lookup: exponential, mean 2 s, 2.00 s on average",
        "retry last: 2 more attempts, the first 500 ms after a failure",
        "first last: priority -2",
    ):
        assert line in squeezed


def test_rules_are_shown_where_the_model_decides(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(TEXT.replace("name: w\n", "name: w\ncontrol: model\n", 1))
    loaded = load_workload(path)
    facts = describe(loaded)
    words = {text.split(":")[0]: text for _, text in facts.pipelines[0].control}
    assert words["triage"] == (
        "triage: billing 60 % (begins with billing), technical 30 % (matches (?i)error), other 10 % (otherwise)"
    )
    assert words["refine"].endswith("; until refine/critic answers so: matches DONE")
    assert any("no pairs" in hint for hint in facts.hints)


def test_diagrams(loaded: Loaded) -> None:
    place = {name: f"p0n{i}" for i, name in enumerate(loaded.graphs["p"])}
    chart = mermaid(loaded.graphs.items()).split("\n")
    assert f'    {place["triage"]}{{"triage"}}' in chart
    assert f"    {place['triage']} --> |billing| {place['bill']}" in chart
    assert f"    {place['sub/sort']} --> |yes or maybe| {place['sub/act']}" in chart
    assert f"    {place['refine/until']} -. again .-> {place['refine/critic']}" in chart
    graphviz = dot(loaded.graphs.items())
    assert graphviz.startswith("digraph workload {\n") and graphviz.endswith("\n}")
    assert graphviz.count("{") == graphviz.count("}")
    assert f'    {place["triage"]} -> {place["bill"]} [label="billing"];' in graphviz
    again = '[style=dotted, constraint=false, label="again"];'
    assert f"    {place['refine/until']} -> {place['refine/critic']} {again}" in graphviz


def test_place_per_node(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(
        TEXT + "servers: {one: {kind: llamacpp}, four: {kind: llamacpp, slots: 4}, spare: {kind: llamacpp, slots: 2}}\n"
        "compare: {split: {placement: {p: four, p.refine: one, p.refine/editor: four, p.last: one}}}\n"
    )
    loaded = load_workload(path)
    (plan,) = loaded.plans
    at = {
        node.name: plan.queues[queues_of(queue)[0]].server
        for node, queue in zip(loaded.pipelines[0].graph.nodes, plan.placement[0], strict=True)
        if node.kind == "agent"
    }
    assert {name for name, server in at.items() if server == "one"} == {"refine/critic", "last"}
    assert set(at.values()) == {"one", "four"} == set(loaded.servers)


def test_resolved_workload_needs_no_role_card(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "mine.md").write_text("---\noutput_tokens: [3, 5]\n---\nSay {input}\n")
    path = tmp_path / "w.yaml"
    path.write_text(
        TEXT.replace('critic: {agent: {prompt: "{input} {previous}", output_tokens: 20}}', "critic: {agent: mine}")
    )
    resolved = load_workload(path).resolved()
    assert resolved.agents["mine"].output_tokens == (3, 5)
    assert type(resolved).model_validate(resolved.to_plain()).to_plain() == resolved.to_plain()
