"""Whatever graph there is and whatever happened: what is imported is a workload that can be checked and simulated."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from imports.orders import all_orders

from harness.imports.draft import END, Draft, Names, PipelineDraft, walk
from harness.imports.read import Read
from harness.imports.spans import SpansFound
from harness.imports.steps import Trace, TraceStep, Troubles
from harness.imports.structure import Vertex, structure
from harness.imports.traces import draft_traces
from harness.imports.write import write
from harness.workload.load import Loaded, load_workload


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Vertex]:
    """Any directed graph: edges always taken and edges chosen, back edges, several ways out."""
    names = [f"n{i}" for i in range(draw(st.integers(1, 7)))]
    target = st.sampled_from([*names, END])
    vertices = {}
    for name in names:
        always = tuple(draw(st.lists(target, max_size=2, unique=True)))
        choice = {f"way{i}": to for i, to in enumerate(draw(st.lists(target, max_size=3)))}
        vertices[name] = Vertex(name, draw(st.sampled_from(["agent", "agent", "tool"])), name, always, choice)
    vertices["n0"] = vertices["n0"]._replace(kind="agent")
    return vertices


def placed(draft: Draft) -> Loaded:
    with tempfile.TemporaryDirectory() as folder:
        write(draft, Path(folder) / "out.yaml")
        return load_workload(Path(folder) / "out.yaml")


@settings(max_examples=50, deadline=None)
@given(graphs())
def test_any_graph_becomes_a_workload_that_ends(vertices: dict[str, Vertex]) -> None:
    reached, now = set(), ["n0"]
    while now:
        name = now.pop()
        if name not in reached:
            reached.add(name)
            now += vertices[name].targets
    flow = structure({name: v for name, v in vertices.items() if name in reached}, ["n0"], Names())
    steps = list(walk(flow))
    assert {step.target for step in steps if step.kind == "agent"} == {
        n for n in reached if vertices[n].kind == "agent"
    }
    draft = Draft(
        name="g",
        description="",
        head=(),
        pipelines={"p": PipelineDraft({"path": "batch", "jobs": 3}, flow)},
        agents={step.target: ({"prompt": "x", "output_tokens": 1}, ()) for step in steps if step.kind == "agent"},
        inputs={},
        servers={},
    )
    assert len(all_orders(placed(draft))) == 3


@st.composite
def traces(draw: st.DrawFn) -> list[Trace]:
    """Any steps at any time: nothing that an application would do."""
    result = []
    for n in range(draw(st.integers(1, 6))):
        steps = []
        for _ in range(draw(st.integers(1, 8))):
            kind, name = draw(
                st.sampled_from([("agent", "a"), ("agent", "b"), ("agent", "c"), ("tool", "t"), ("tool", "a")])
            )
            start_s = draw(st.integers(0, 8)) / 2
            end_s = start_s + draw(st.integers(0, 6)) / 2
            steps.append(TraceStep((kind, name, ""), start_s, end_s, False, "m", 10, 5))
        steps.append(TraceStep(("agent", "z", ""), 20, 21, False))
        steps.sort(key=lambda step: (step.start_s, step.end_s))
        result.append(Trace("root", n * 10**10, n * 10**10 + 1, "", 0, tuple(steps)))
    return result


@settings(max_examples=50, deadline=None)
@given(traces())
def test_any_traces_become_a_workload_that_ends(made: list[Trace]) -> None:
    found = SpansFound()
    found.resource({})
    loaded = placed(draft_traces(Read(tuple(made), found, Troubles()), "spans.jsonl", "back"))
    assert len(all_orders(loaded)) == len(made)
