"""The standard set in words: what its names mean, and that there are more ways."""

from __future__ import annotations

from analysis.scenarios import scenario, steady

from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis
from harness.wording.run_answer import run_answer
from harness.wording.said import said
from harness.wording.standard_set import MEANINGS, meanings_text, more_ways
from harness.workload.candidates import standard_set
from harness.workload.schema import LlamaCppServer, Workload

NODE = {"n": {"agent": {"prompt": "x", "output_tokens": 1}}}
BOTH = Workload.model_validate(
    {
        "version": 1,
        "name": "w",
        "pipelines": {
            "digest": {"path": "batch", "jobs": 1, "nodes": NODE},
            "chat": {"path": "interactive", "jobs": 1, "nodes": NODE},
        },
    }
)


def of_the_set(*names: str, standard: bool = True) -> Analysis:
    """An analysis of two candidates, by these names."""
    found = analyse(scenario({"serial": steady(16), "batched": steady(13)}))
    candidates = tuple(one._replace(name=name) for one, name in zip(found.candidates, names, strict=True))
    head = found.run._replace(standard_set=standard)
    return found._replace(run=head, candidates=candidates)


def test_every_name_of_the_set_has_a_meaning() -> None:
    servers = {"four-slot": LlamaCppServer(kind="llamacpp", slots=4)}
    assert list(standard_set(BOTH, dict(servers), {})) == list(MEANINGS)


def test_what_the_names_mean_is_said_where_the_workload_names_no_candidates() -> None:
    assert meanings_text(of_the_set("window", "unbounded")) == (
        "What these names mean: window: as many calls as the server has slots, and the next as soon as one has ended; "
        "unbounded: every call at once; the server's own queue decides. 2 standard ways; slotwise recommend "
        "searches more."
    )
    assert meanings_text(of_the_set("window", "unbounded", standard=False)) == ""
    assert meanings_text(of_the_set("window", "window3-on-4")) == "", "these are of a search"


def test_an_answer_says_how_few_ways_were_tried() -> None:
    assert more_ways(of_the_set("serial", "window")) == "2 standard ways; slotwise recommend searches more"
    assert more_ways(of_the_set("serial", "window", standard=False)) == ""


def test_both_are_in_the_answer_and_the_report_of_a_workload_without_candidates() -> None:
    run = scenario({"serial": steady(16), "split": steady(13)})
    for compare, there in ((run.workload.compare, False), ({}, True)):
        found = analyse(run._replace(workload=run.workload.model_copy(update={"compare": compare})))
        table = run_answer(found).table
        assert table is not None and bool(table.note) == there
        first = said(found).method[0]
        assert first.startswith("What these names mean: serial: one call at a time; split: ") == there
