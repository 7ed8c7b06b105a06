"""Candidates: what `compare` resolves to, the standard set, and the servers that it adds."""

from __future__ import annotations

from typing import Any

from core.graphs import pool_of, queue_of

from harness.core.arrival_processes import Listed
from harness.core.graph import Graph, Node, Pipeline
from harness.core.plan import Plan, queues_of
from harness.workload import candidates
from harness.workload.candidates import Plans
from harness.workload.schema import LlamaCppServer, OllamaServer, Workload

AGENT = {"prompt": "x", "output_tokens": 1}


def workload(paths: dict[str, str], **keys: Any) -> Workload:
    pipelines = {name: {"path": path, "jobs": 1, "nodes": {"n": {"agent": AGENT}}} for name, path in paths.items()}
    return Workload.model_validate({"version": 1, "name": "w", "pipelines": pipelines, **keys})


def plans(loaded: Workload, **models: dict[str, str]) -> Plans:
    """Resolve, with pipelines of one node that names no model, or of the nodes given with their models."""
    pipelines = [
        Pipeline(name, spec.path, graph(models.get(name, {"n": ""})), Listed(()), 1)
        for name, spec in loaded.pipelines.items()
    ]
    return candidates.plans(loaded, pipelines)


def graph(models: dict[str, str]) -> Graph:
    return Graph(tuple(Node(name, "agent", (), (), model=model) for name, model in models.items()))


BOTH = {"digest": "batch", "chat": "interactive"}
SERVERS = {
    "one": {"kind": "llamacpp", "slots": 1},
    "four": {"kind": "llamacpp", "slots": 4},
    "six": {"kind": "llamacpp", "slots": 6},
}


def test_a_word_is_that_cap_on_the_server_with_most_slots() -> None:
    found = plans(workload(BOTH, servers=SERVERS, compare={"c": "unbounded"}))
    assert found.plans == (Plan("c", (queue_of("six", 6, concurrency="unbounded"),), ((0,), (0,))),)
    assert list(found.servers) == ["six"]
    assert found.derived == ()


def test_place_per_pipeline_and_cap_per_server() -> None:
    compare = {
        "c": {
            "placement": {"chat": "one"},
            "concurrency": {"one": "serial"},
            "scheduling": {"six": "interactive-first"},
            "limit": 3,
        }
    }
    found = plans(workload(BOTH, servers=SERVERS, compare=compare))
    one = queue_of("one", 1, concurrency="serial", limit=3)
    six = queue_of("six", 6, concurrency="window", scheduling="interactive-first", limit=3)
    assert found.plans == (Plan("c", (one, six), ((1,), (0,))),)


def test_standard_set_of_both_paths() -> None:
    found = plans(workload(BOTH, servers={"one": SERVERS["one"], "six": SERVERS["six"]}))
    assert found.plans == (
        Plan("serial", (queue_of("one", 1, concurrency="serial"),), ((0,), (0,))),
        Plan("window", (queue_of("six", 6, concurrency="window"),), ((0,), (0,))),
        Plan("interactive-first", (queue_of("six", 6, "window", "interactive-first"),), ((0,), (0,))),
        Plan("waves", (queue_of("six", 6, concurrency="waves"),), ((0,), (0,))),
        Plan("unbounded", (queue_of("six", 6, concurrency="unbounded"),), ((0,), (0,))),
        Plan(
            "split",
            (queue_of("one-half", 1, concurrency="serial"), queue_of("six-half", 6, concurrency="window")),
            ((1,), (0,)),
        ),
    )
    assert found.derived == ("one-half", "six-half")  # side by side, each with half of the cores
    assert found.servers["six-half"] == found.servers["six"].model_copy(update={"threads": "half"})


def test_neither_split_nor_an_order_on_one_path() -> None:
    assert [plan.name for plan in plans(workload({"digest": "batch"}, servers=SERVERS)).plans] == [
        "serial",
        "window",
        "waves",
        "unbounded",
    ]


def test_a_one_slot_twin_is_added() -> None:
    found = plans(workload(BOTH, servers={"big": {"kind": "llamacpp", "slots": 3, "context_tokens": 777}}))
    assert found.servers == {
        "big": LlamaCppServer(kind="llamacpp", slots=3, context_tokens=777),
        "one-slot": LlamaCppServer(kind="llamacpp", slots=1, context_tokens=777),
        "one-slot-half": LlamaCppServer(kind="llamacpp", slots=1, context_tokens=777, threads="half"),
        "big-half": LlamaCppServer(kind="llamacpp", slots=3, context_tokens=777, threads="half"),
    }
    assert found.derived == ("one-slot", "one-slot-half", "big-half")


def test_a_four_slot_twin_is_added_where_the_file_has_one_slot() -> None:
    found = plans(workload(BOTH, servers={"only": {"kind": "ollama", "model": "m"}}))
    slots = {name: spec.slots for name, spec in found.servers.items()}
    assert slots == {"only": 1, "four-slot": 4, "only-half": 1, "four-slot-half": 4}
    assert found.derived == ("four-slot", "only-half", "four-slot-half")
    assert found.plans[0] == Plan("serial", (queue_of("only", 1, concurrency="serial"),), ((0,), (0,)))


def test_a_twin_takes_no_name_that_is_there() -> None:
    servers = {"one-slot": {"kind": "llamacpp", "slots": 2}, "one-slot-half": {"kind": "llamacpp", "slots": 2}}
    found = plans(workload(BOTH, servers=servers))
    assert found.derived == ("one-slot-2", "one-slot-2-half", "one-slot-half-2")


def test_no_servers_is_the_embedded_engine() -> None:
    found = plans(workload({"chat": "interactive"}))
    assert {name: (spec.kind, spec.slots) for name, spec in found.servers.items()} == {
        "four-slot": ("llamacpp", 4),
        "one-slot": ("llamacpp", 1),
    }


def test_a_running_server_has_no_twin() -> None:
    spec = {"kind": "ollama", "model": "m", "slots": 4, "url": "http://127.0.0.1:11434"}
    found = plans(workload(BOTH, servers={"mine": spec}))
    assert found.servers == {"mine": OllamaServer.model_validate(spec)}
    assert [(plan.name, plan.queues[0].concurrency.name) for plan in found.plans] == [
        ("serial", "serial"),
        ("window", "window"),
        ("interactive-first", "window"),
        ("waves", "waves"),
        ("unbounded", "unbounded"),
    ]


# --- several models -----------------------------------------------------------------------------------------

TWO = {
    "small": {"kind": "llamacpp", "slots": 2, "model": "s.gguf"},
    "large": {"kind": "llamacpp", "slots": 1, "model": "l.gguf"},
}
CASCADE = {"draft": "", "answer": "l.gguf"}


def where(found: Plans, name: str) -> list[list[str]]:
    """Return the servers of the nodes of every pipeline under a candidate."""
    plan = next(plan for plan in found.plans if plan.name == name)
    return [[plan.queues[queues_of(at)[0]].server for at in place] for place in plan.placement]


def test_a_node_goes_to_the_server_that_has_its_model() -> None:
    compare: dict[str, Any] = {"c": {"placement": {"digest": "small"}}, "d": "serial"}
    found = plans(workload({"digest": "batch"}, servers=TWO, compare=compare), digest=CASCADE)
    assert where(found, "c") == where(found, "d") == [["small", "large"]]
    assert found.models == {"small": ("s.gguf",), "large": ("l.gguf",)}


def test_of_several_that_have_it_the_one_most_like_the_placed_one() -> None:
    servers = TWO | {"large-2": TWO["large"] | {"slots": 2}, "large-4": TWO["large"] | {"slots": 4}}
    compare: dict[str, Any] = {"c": {"placement": "small"}}
    assert where(plans(workload({"digest": "batch"}, servers=servers, compare=compare), digest=CASCADE), "c") == [
        ["small", "large-2"]
    ]


def test_the_standard_set_has_a_like_of_each_on_half_of_the_cores() -> None:
    found = plans(workload({"digest": "batch"}, servers=TWO), digest=CASCADE)
    assert where(found, "window") == [["small-half", "large-two-slot-half"]]
    assert where(found, "serial") == [["one-slot-half", "large-half"]]
    half = found.servers["large-half"]
    assert isinstance(half, LlamaCppServer)
    assert (half.model, half.slots, half.threads) == ("l.gguf", 1, "half")


def test_one_ollama_serves_them_all() -> None:
    servers = {"o": {"kind": "ollama", "model": "a", "slots": 2}}
    compare: dict[str, Any] = {"c": "window"}
    found = plans(
        workload({"digest": "batch"}, servers=servers, compare=compare), digest={"x": "b", "y": "", "z": "a:latest"}
    )
    assert where(found, "c") == [["o", "o", "o"]]
    assert found.models == {"o": ("a", "b")}  # its own first


def test_its_own_model_is_not_loaded_where_nobody_asks_for_it() -> None:
    servers = {"o": {"kind": "ollama", "model": "a"}}
    found = plans(workload({"digest": "batch"}, servers=servers, compare={"c": "window"}), digest={"x": "b", "y": "c"})
    assert found.models == {"o": ("b", "c")}


def test_a_model_that_no_server_has() -> None:
    found = plans(workload({"digest": "batch"}, servers=TWO, compare={"c": "window"}), digest={"x": "zzz"})
    assert [lacking.sentence() for lacking in found.lacking] == [
        'node "x" of pipeline "digest" asks for model "zzz", and candidate "c" finds it on no server ("small" has '
        's.gguf, "large" has l.gguf); place it on a server with that model, or use kind: ollama, which can serve '
        "several"
    ]


def test_a_node_that_is_placed_itself_goes_nowhere_else() -> None:
    compare: dict[str, Any] = {"c": {"placement": {"digest": "small", "digest.answer": "small"}}}
    found = plans(workload({"digest": "batch"}, servers=TWO, compare=compare), digest=CASCADE)
    assert [(lacking.node, lacking.model) for lacking in found.lacking] == [("answer", "l.gguf")]


# --- several servers ----------------------------------------------------------------------------------------


def test_least_loaded_and_affinity_are_pools_of_lanes() -> None:
    place = {"digest": {"least-loaded": ["six", "one"]}, "chat": {"affinity": ["one", "four"]}}
    compare = {"c": {"placement": place, "concurrency": {"six": "reserve"}, "reserve": 2}}
    found = plans(workload(BOTH, servers=SERVERS, compare=compare))
    queues = (
        queue_of("one", 1, reserve=2),
        queue_of("four", 4, reserve=2),
        queue_of("six", 6, "reserve", reserve=2),
    )
    assert found.plans == (Plan("c", queues, ((pool_of("least-loaded", (2, 0)),), (pool_of("affinity", (0, 1)),))),)
    assert set(found.servers) == {"one", "four", "six"}


def test_a_pool_for_everything() -> None:
    compare = {"c": {"placement": {"least-loaded": ["one", "four"]}}}
    (plan,) = plans(workload(BOTH, servers=SERVERS, compare=compare)).plans
    assert plan.placement == ((pool_of("least-loaded", (0, 1)),),) * 2


def test_a_pipeline_may_be_called_as_a_choice_is() -> None:
    paths = {"affinity": "batch", "least-loaded": "batch"}
    compare: dict[str, Any] = {"c": {"placement": {"affinity": "one"}}, "d": {"placement": {"least-loaded": "one"}}}
    found = plans(workload(paths, servers=SERVERS, compare=compare))
    assert where(found, "c") == [["one"], ["six"]]
    assert where(found, "d") == [["six"], ["one"]]


def test_of_several_servers_those_count_that_have_the_model() -> None:
    servers = TWO | {"large-2": TWO["large"]}
    compare: dict[str, Any] = {"c": {"placement": {"least-loaded": ["small", "large", "large-2"]}}}
    nodes = {"digest": {"draft": "", "short": "s.gguf", "answer": "l.gguf"}}
    (plan,) = plans(workload({"digest": "batch"}, servers=servers, compare=compare), **nodes).plans
    assert plan.placement == ((pool_of("least-loaded", (0, 1, 2)), 0, pool_of("least-loaded", (1, 2))),)


def test_where_none_of_several_has_the_model_another_server_has_it() -> None:
    servers = TWO | {"small-2": TWO["small"]}
    compare: dict[str, Any] = {"c": {"placement": {"digest": {"least-loaded": ["small", "small-2"]}}}}
    found = plans(workload({"digest": "batch"}, servers=servers, compare=compare), digest={"answer": "l.gguf"})
    assert where(found, "c") == [["large"]]
    compare = {"c": {"placement": {"digest.answer": {"least-loaded": ["small", "small-2"]}}}}
    found = plans(workload({"digest": "batch"}, servers=servers, compare=compare), digest={"answer": "l.gguf"})
    assert [lacking.node for lacking in found.lacking] == ["answer"]


def test_a_choice_survives_being_written_down() -> None:
    place = {"digest": {"least-loaded": ["six", "one"]}, "chat": "four"}
    some = workload(
        BOTH, servers=SERVERS, compare={"c": {"placement": place}, "d": {"placement": {"affinity": ["one", "six"]}}}
    )
    assert Workload.model_validate(some.model_dump(mode="json", by_alias=True, exclude_none=True)) == some
