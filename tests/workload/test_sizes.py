"""Sizes in a workload: every form compiles, every mistake is one sentence, files are read once."""

from __future__ import annotations

from pathlib import Path

import pytest
from workload.mistaken import keys, keys_of

from harness.core.sizes import Distribution
from harness.errors import WorkloadError
from harness.workload.inputs import job_key
from harness.workload.load import load_workload
from harness.workload.numbers import MAX_NUMBERS
from harness.workload.schema import AgentSpec, distribution
from harness.workload.schema.sizes import Amount

HEAD = """\
version: 1
name: w
pipelines:
  p:
    path: batch
    jobs: 1
    nodes:
      a: {agent: {prompt: "Hi", output_tokens: %s}}
      t: {tool: {delay_s: %s}}
"""

FORMS = {
    "40": Distribution("fixed", (40,)),
    "[20, 80]": Distribution("uniform", (20, 80)),
    "{lognormal: {median: 60, sigma: 0.5, max: 99}}": Distribution("lognormal", (60, 0.5), most=99),
    "{gamma: {mean: 60, cv: 0.5}}": Distribution("gamma", (60, 0.5)),
    "{exponential: {mean: 2}}": Distribution("exponential", (2,)),
    "{empirical: [12, 40]}": Distribution("empirical", (12, 40)),
    "{empirical: lengths.txt}": Distribution("empirical", (12, 40.5, 3)),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str, tmp_path: Path) -> None:
    (tmp_path / "lengths.txt").write_text("# tokens\n12\n\n40.5  # long\n3\n")
    path = tmp_path / "w.yaml"
    path.write_text(HEAD % (form, form))
    loaded = load_workload(path)
    nodes = {node.name: node for node in loaded.pipelines[0].graph.nodes}
    expected = FORMS[form]
    plain = expected.kind == "fixed"
    assert nodes["a"].output_tokens == (None if plain else expected._replace(whole=True))
    assert nodes["t"].delay == (None if plain else expected)
    assert nodes["a"].expected_output_tokens == round(expected.mean)
    # what is recorded of the workload needs no file
    agent = loaded.workload.pipelines["p"].nodes["a"].agent
    assert isinstance(agent, AgentSpec)
    again = type(loaded.workload).model_validate(loaded.workload.to_plain())
    kept = again.pipelines["p"].nodes["a"].agent
    assert isinstance(kept, AgentSpec)
    assert distribution(kept.output_tokens) == distribution(agent.output_tokens) == expected


FORMS_ALLOWED = f"expected a number, a range [low, high] or a mapping with one of {keys(keys_of(Amount))}"
AT = "w.yaml:8:48: pipelines.p.nodes.a.agent.output_tokens"
MISTAKES = {
    '"48"': f'{AT}: {FORMS_ALLOWED}, found "48"',
    "null": f"{AT}: {FORMS_ALLOWED}, found nothing",
    "{lognormla: {median: 3}}": f'{AT}: {FORMS_ALLOWED}, found `lognormla`; did you mean "lognormal"?',
    "{gamma: {mean: 1, cv: 1}, exponential: {mean: 1}}": f"{AT}: {FORMS_ALLOWED}, found `gamma`, `exponential`",
    "true": f"{AT}: expected a whole number, found true",
    "1.5": f"{AT}: expected a whole number, found 1.5",
    "0": f"{AT}: expected more than 0, found 0",
    "[3, 1]": f"{AT}: expected a range [low, high], found 3 above 1",
    "[1, 2, 3]": f"{AT}: expected a range [low, high], found a list of 3",
    "{empirical: []}": "w.yaml:8:60: pipelines.p.nodes.a.agent.output_tokens.empirical: "
    "expected at least one value, found none",
    "{empirical: no.txt}": "w.yaml:8:60: pipelines.p.nodes.a.agent.output_tokens.empirical: no.txt: no such file",
    "{empirical: bad.txt}": "w.yaml:8:60: pipelines.p.nodes.a.agent.output_tokens.empirical: "
    'bad.txt:2:1: expected a number of 0 or more, found "x"',
    "{empirical: none.txt}": "w.yaml:8:60: pipelines.p.nodes.a.agent.output_tokens.empirical: "
    "none.txt: expected numbers, one a line, found none",
    "{empirical: many.txt}": "w.yaml:8:60: pipelines.p.nodes.a.agent.output_tokens.empirical: "
    f"many.txt:{MAX_NUMBERS + 1}:1: expected at most {MAX_NUMBERS} numbers, found more",
    "{empirical: ../x.txt}": "w.yaml:8:60: pipelines.p.nodes.a.agent.output_tokens.empirical: "
    "../x.txt: expected a path that stays in the workload's folder",
    "{empirical: link.txt}": "w.yaml:8:60: pipelines.p.nodes.a.agent.output_tokens.empirical: "
    "link.txt: leads out of .; copy the file there",
}


@pytest.mark.parametrize("form", MISTAKES)
def test_mistakes(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (tmp_path / "secret.txt").write_text("1\n")
    Path("link.txt").symlink_to(tmp_path / "secret.txt")
    Path("bad.txt").write_text("1\nx\n")
    Path("none.txt").write_text("# nothing\n")
    Path("many.txt").write_text("1\n" * (MAX_NUMBERS + 1))
    Path("w.yaml").write_text(HEAD % (form, "1"))
    with pytest.raises(WorkloadError) as caught:
        load_workload(Path("w.yaml"))
    assert str(caught.value) == MISTAKES[form]


def test_synthetic_documents_of_varying_size(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(HEAD % ("5", "1") + "inputs: {d: {synthetic: {count: 40, tokens: [20, 60]}}}\n")
    loaded = load_workload(path)
    inputs = loaded.inputs_for(0)
    words = [len(text.split()) for text in inputs.items("d", "p", -1)]
    assert len(set(words)) > 10
    assert 10 < min(words) < 30 < max(words) <= 60
    # Every job has documents of its own, in every repeat; a conversation keeps its own.
    drawn = [inputs.sizes("d", "p", -1), inputs.sizes("d", "p", -2), loaded.inputs_for(1).sizes("d", "p", -1)]
    assert len(set(drawn)) == 3
    assert inputs.sizes("d", "p", job_key(4, session=2)) == inputs.sizes("d", "p", job_key(7, session=2))
    texts = inputs.items("d", "p", -2)
    assert [abs(len(text.replace(".", " .").split()) - size) <= 1 for text, size in zip(texts, drawn[1], strict=True)]
