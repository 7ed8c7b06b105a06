"""Candidates: what `compare` resolves to, the standard set, and the servers that it adds."""

from __future__ import annotations

from typing import Any

from harness.core.plan import Lane, Plan
from harness.workload.candidates import plans
from harness.workload.schema import LlamaCppServer, OllamaServer, Workload

AGENT = {"prompt": "x", "output_tokens": 1}


def workload(paths: dict[str, str], **keys: Any) -> Workload:
    pipelines = {name: {"path": path, "jobs": 1, "nodes": {"n": {"agent": AGENT}}} for name, path in paths.items()}
    return Workload.model_validate({"version": 1, "name": "w", "pipelines": pipelines, **keys})


BOTH = {"digest": "batch", "chat": "interactive"}
SERVERS = {
    "one": {"kind": "llamacpp", "slots": 1},
    "four": {"kind": "llamacpp", "slots": 4},
    "six": {"kind": "llamacpp", "slots": 6},
}


def test_a_word_is_that_cap_on_the_server_with_most_slots() -> None:
    found = plans(workload(BOTH, servers=SERVERS, compare={"c": "unbounded"}))
    assert found.plans == (Plan("c", (Lane("six", 6, cap="unbounded"),), ((0,), (0,))),)
    assert list(found.servers) == ["six"]
    assert found.derived == ()


def test_place_per_pipeline_and_cap_per_server() -> None:
    compare = {
        "c": {
            "place": {"chat": "one"},
            "cap": {"one": "serial"},
            "order": {"six": "interactive-first"},
            "max_in_flight": 3,
        }
    }
    found = plans(workload(BOTH, servers=SERVERS, compare=compare))
    one = Lane("one", 1, cap="serial", max_in_flight=3)
    six = Lane("six", 6, cap="window", order="interactive-first", max_in_flight=3)
    assert found.plans == (Plan("c", (one, six), ((1,), (0,))),)


def test_standard_set_of_both_paths() -> None:
    found = plans(workload(BOTH, servers={"one": SERVERS["one"], "six": SERVERS["six"]}))
    assert found.plans == (
        Plan("serial", (Lane("one", 1, cap="serial"),), ((0,), (0,))),
        Plan("window", (Lane("six", 6, cap="window"),), ((0,), (0,))),
        Plan("waves", (Lane("six", 6, cap="waves"),), ((0,), (0,))),
        Plan("unbounded", (Lane("six", 6, cap="unbounded"),), ((0,), (0,))),
        Plan("split", (Lane("one-half", 1, cap="serial"), Lane("six-half", 6, cap="window")), ((1,), (0,))),
    )
    assert found.derived == ("one-half", "six-half")  # side by side, each with half of the cores
    assert found.servers["six-half"] == found.servers["six"].model_copy(update={"threads": "half"})


def test_no_split_on_one_path() -> None:
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
    assert found.plans[0] == Plan("serial", (Lane("only", 1, cap="serial"),), ((0,), (0,)))


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
    assert [(plan.name, plan.lanes[0].cap) for plan in found.plans] == [
        ("serial", "serial"),
        ("window", "window"),
        ("waves", "waves"),
        ("unbounded", "unbounded"),
    ]
