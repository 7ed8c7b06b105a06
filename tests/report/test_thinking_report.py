"""Where agents think, every form of a report says when that began, and what it took."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from predict.paper import PROFILE
from rich.console import Console

from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.report.files import write_report
from harness.report.summary import read_analysis, summary_text
from harness.report.terminal import print_report
from harness.runs.model import Run
from harness.workload.load import load_workload

WORKLOAD = """
version: 1
name: paper
pipelines:
  chat: {path: interactive, jobs: 3, arrival: {closed: 1}, nodes: {reply: {agent: thinker}}}
  plain: {path: interactive, after: chat, jobs: 3, arrival: {closed: 1}, nodes: {reply: {agent: quick}}}
agents:
  thinker: {prompt: "0123456789abcdef", output_tokens: 4, think: true, thinking_tokens: 8}
  quick: {prompt: "0123456789abcdef", output_tokens: 4}
servers:
  one: {kind: llamacpp, slots: 1}
compare:
  serial: {placement: one, concurrency: serial}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("thinking")
    (folder / "p.yaml").write_text(PROFILE, encoding="utf-8")
    (folder / "w.yaml").write_text(WORKLOAD, encoding="utf-8")
    return predict(load_workload(folder / "w.yaml"), load_profile(str(folder / "p.yaml")), repeats=2).run


@pytest.fixture(scope="module")
def analysis(run: Run) -> Analysis:
    return analyse(run)


def test_the_terminal_says_both(analysis: Analysis) -> None:
    out = io.StringIO()
    print_report(analysis, Console(file=out, width=80), full=True)
    text = " ".join(out.getvalue().split())
    assert text.count("first thought") == 2  # a column of one pipeline, and a sentence
    assert "first thought after 31 ms" in text and "first token after 1.03 s" in text
    assert "thinking 1.00 s, decode 375 ms, prefill 31 ms" in text


def test_the_files_say_both(run: Run, analysis: Analysis, tmp_path: Path) -> None:
    write_report(tmp_path, analysis, run)
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| chat: first token | chat: first thought |" in " ".join(markdown.split())
    assert "plain: first thought" not in markdown
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "chat: first thought" in page and "plain: first thought" not in page
    chat, plain = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["candidates"][0]["pipelines"]
    assert chat["first_thought"]["value"] == pytest.approx(1 / 32)
    assert chat["first_token"]["value"] == pytest.approx(33 / 32)
    assert chat["job_parts"]["thinking_s"] == pytest.approx(1.0)
    assert plain["first_thought"] is None and plain["job_parts"]["thinking_s"] == 0


def test_a_summary_from_before_is_read(analysis: Analysis) -> None:
    older = json.loads(summary_text(analysis))
    for candidate in older["candidates"]:
        for pipeline in candidate["pipelines"]:
            del pipeline["first_thought"], pipeline["call_parts"]["thinking_s"], pipeline["job_parts"]["thinking_s"]
    found = read_analysis(json.dumps(older).encode(), "summary.json")
    assert found.candidates[0].pipelines[0].first_thought is None
    assert found.candidates[0].pipelines[0].job_parts.thinking_s == 0
