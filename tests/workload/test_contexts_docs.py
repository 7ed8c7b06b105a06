"""What docs/reference/language/models.md shows of contexts and keep-alives of single agents is what is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.app.check import check
from harness.app.options import Assumptions, SimulateOptions
from harness.app.settings import settings_text
from harness.app.simulate import Simulated, simulate
from harness.report.answer import answer_lines
from harness.report.workload import workload_lines
from harness.wording.run_answer import run_answer

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "language" / "models.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```(text runners|text loads|text printed)\n(.*?)^```$", PAGE, re.M | re.S))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (text,) = (text for text in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S) if "two-contexts" in text)
    found = tmp_path_factory.mktemp("docs") / "two-contexts.yaml"
    found.write_text(text, encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def simulated(path: Path) -> Simulated:
    assumptions = Assumptions(profiles=("epyc-2core",), assume={"load_s": 2.0}, resamples=0)
    return simulate(path, SimulateOptions(assumptions=assumptions, repeats=5))


def test_what_the_runners_take(path: Path) -> None:
    assert BLOCKS["text runners"] in "\n".join(workload_lines(*check(path, profiles=["epyc-2core"]))) + "\n"


def test_what_the_loads_cost(simulated: Simulated) -> None:
    shown = "\n".join(line.plain for line in answer_lines(run_answer(simulated.analysis)))
    assert BLOCKS["text loads"] in shown


def test_the_code_that_is_printed(simulated: Simulated) -> None:
    assert BLOCKS["text printed"] in settings_text(simulated.analysis, "langchain")
