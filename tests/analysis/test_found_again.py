"""The share of prompt tokens that servers found again: from the records of a run to what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from predict.paper import PROFILE

from harness.analysis.analyse import analyse
from harness.analysis.found_again import FoundAgain
from harness.analysis.model import Analysis
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.report.summary import read_analysis, summary, summary_text
from harness.runs.model import Run
from harness.wording.found_again import found_again_texts, with_found_again
from harness.workload.load import load_workload

WORKLOAD = """
version: 1
name: w
pipelines:
  work:
    path: batch
    arrival: {at_s: [0, 0.5]}
    nodes:
      act: {agent: {prompt: "PROMPT", output_tokens: 5}, repeat: {passes: 3}, grows: {by: 10, reuse_prefix: REUSE}}
      end: {agent: {prompt: "PROMPT", output_tokens: 5}, after: [act]}
servers:
  one: {kind: llamacpp, slots: 1}
  two: {kind: llamacpp, slots: 2}
compare:
  in-turns: {placement: one, concurrency: serial}
  side-by-side: {placement: two}
measure: {repeats: 3}
"""


def run_of(folder: Path, reuse: str = "true") -> Run:
    (folder / "p.yaml").write_text(PROFILE, encoding="utf-8")
    text = WORKLOAD.replace("PROMPT", "0123" * 16).replace("REUSE", reuse)
    (folder / "w.yaml").write_text(text, encoding="utf-8")
    return predict(load_workload(folder / "w.yaml"), load_profile(str(folder / "p.yaml")), repeats=3).run


def untold(run: Run) -> Run:
    """The same of a server that does not say what it found, as Ollama."""
    calls = [call._replace(reply=call.reply._replace(cached_tokens=None)) for call in run.calls]
    return run._replace(calls=calls)


def found(analysis: Analysis, name: str) -> FoundAgain | None:
    return analysis.by_name[name].pipelines[0].found_again


def share_of(analysis: Analysis, name: str) -> str:
    again = found(analysis, name)
    assert again is not None and again.share is not None
    return f"{100 * again.share:.0f} %"


def test_it_is_counted_over_the_calls_that_may_find_something(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    analysis = analyse(run)
    for name in ("in-turns", "side-by-side"):
        replies = [call.reply for call in run.calls if call.candidate == name and call.node == "act"]
        expected = sum(r.prompt_tokens or 0 for r in replies), sum(r.cached_tokens or 0 for r in replies)
        assert found(analysis, name) == FoundAgain(("act",), *expected)
    again = found(analysis, "side-by-side")
    assert again is not None and again.share == pytest.approx(0.6, abs=0.1)
    assert found(analysis, "in-turns") == again._replace(found_tokens=0)  # they take turns


def test_it_is_said_under_each_candidate(tmp_path: Path) -> None:
    analysis = analyse(run_of(tmp_path))
    share = share_of(analysis, "side-by-side")
    (text,) = found_again_texts(analysis, ("work",))
    assert (
        text
        == f'Of the prompt tokens of act, servers found again: {share} under "side-by-side"; none under "in-turns".'
    )
    assert text in summary(analysis)["paths"][0]["sentences"]
    mine, theirs = analysis.by_name["side-by-side"], analysis.by_name["in-turns"]
    line = f'Of the prompt tokens of act, {share} are found again, none under "in-turns".'
    assert with_found_again((), mine, theirs) == (line,)
    assert with_found_again(("It is fast.",), mine, theirs) == (f"It is fast. {line}",)
    assert with_found_again((f"Less ({share} found again).",), mine, theirs) == (f"Less ({share} found again).",)


def test_what_a_server_does_not_say_is_not_known(tmp_path: Path) -> None:
    analysis = analyse(untold(run_of(tmp_path)))
    again = found(analysis, "in-turns")
    assert again is not None and again.found_tokens is None and again.share is None
    (text,) = found_again_texts(analysis, ("work",))
    assert text == (
        'Of the prompt tokens of act, servers found again: not known under "in-turns" and "side-by-side" '
        "(the server does not say)."
    )
    assert with_found_again((), analysis.by_name["in-turns"], None) == (
        "Of the prompt tokens of act, it is not known how much is found again: the server does not say.",
    )


def test_nothing_is_said_where_nothing_may_be_kept(tmp_path: Path) -> None:
    analysis = analyse(run_of(tmp_path, reuse="false"))
    assert found(analysis, "in-turns") is None
    assert found_again_texts(analysis, ("work",)) == ()
    assert with_found_again(("It is fast.",), analysis.by_name["in-turns"], None) == ("It is fast.",)


def test_a_summary_keeps_it(tmp_path: Path) -> None:
    analysis = analyse(run_of(tmp_path))
    again = read_analysis(summary_text(analysis), "summary.json")
    assert found(again, "side-by-side") == found(analysis, "side-by-side")
