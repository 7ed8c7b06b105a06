"""What the command line changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.arrival_processes import Every
from harness.errors import UserError
from harness.workload.load import Loaded, Overrides, load_workload
from harness.workload.schema import LlamaCppServer, OllamaServer

TEXT = """\
version: 1
name: w
pipelines:
  a: {path: batch, jobs: 3, nodes: {n: {agent: {prompt: "{d}", output_tokens: 5}}}}
  b: {path: batch, arrival: {at_s: [0, 1]}, nodes: {n: {agent: {prompt: x, output_tokens: 5, model: smollm2-135m}}}}
inputs: {d: {synthetic: {count: 1, tokens: 9}}}
servers:
  four: {kind: llamacpp, slots: 4, context_tokens: 512, threads: 2}
"""


def load(tmp_path: Path, overrides: Overrides) -> Loaded:
    path = tmp_path / "w.yaml"
    path.write_text(TEXT)
    return load_workload(path, overrides)


def test_nothing_asked_changes_nothing(tmp_path: Path) -> None:
    loaded = load(tmp_path, Overrides())
    assert loaded.workload.servers["four"] == LlamaCppServer(kind="llamacpp", slots=4, context_tokens=512, threads=2)
    assert loaded.plans == load_workload(tmp_path / "w.yaml").plans


def test_engine_and_model(tmp_path: Path) -> None:
    loaded = load(tmp_path, Overrides(engine="ollama", model="llama3.2:1b"))
    expected = OllamaServer(kind="ollama", model="llama3.2:1b", slots=4, context_tokens=512, threads=2)
    assert loaded.servers["four"] == expected
    assert loaded.servers["one-slot"] == expected.model_copy(update={"slots": 1})  # the derived one as well
    assert loaded.agents["b", "n"].model == "smollm2-135m"


def test_engine_keeps_the_model_where_none_is_asked(tmp_path: Path) -> None:
    assert load(tmp_path, Overrides(engine="ollama")).servers["four"].model == "smollm2-135m"


def test_urls_of_named_and_of_derived_servers(tmp_path: Path) -> None:
    urls = {"four": "http://a:1"}
    loaded = load(tmp_path, Overrides(server_urls=urls))
    four = loaded.servers["four"]
    assert isinstance(four, OllamaServer)
    assert (four.url, four.slots, four.model, four.context_tokens) == ("http://a:1", 4, "smollm2-135m", 512)
    loaded = load(tmp_path, Overrides(server_urls={"one-slot": "http://b:2"}))
    one = loaded.servers["one-slot"]
    assert isinstance(one, OllamaServer)
    assert (one.url, one.slots) == ("http://b:2", 1)


def test_numbers(tmp_path: Path) -> None:
    loaded = load(tmp_path, Overrides(repeats=2, warmup=0, scale=2.5, seed=99))
    assert loaded.workload.measure.model_dump() == {"repeats": 2, "warmup": 0}
    assert [pipeline.jobs for pipeline in loaded.pipelines] == [8, 2]  # at_s is not scaled
    assert loaded.pipelines[0].arrival == Every(0)
    assert loaded.workload.seed == 99
    assert loaded.inputs != load(tmp_path, Overrides()).inputs
    assert load(tmp_path, Overrides(scale=0.01)).pipelines[0].jobs == 1


def test_only_keeps_the_candidates_and_their_servers(tmp_path: Path) -> None:
    loaded = load(tmp_path, Overrides(only=("window",)))
    assert [plan.name for plan in loaded.plans] == ["window"]
    assert list(loaded.servers) == ["four"]
    assert loaded.derived == ()


REFUSED = [
    (
        Overrides(engine="olama"),
        '--engine: expected "llamacpp" or "ollama", found "olama"; did you mean "ollama"?',
    ),
    (Overrides(server_urls={"for": "http://a"}), '--server: no server "for"; did you mean "four"?'),
    (Overrides(server_urls={"zz": "http://a"}), '--server: no server "zz"; there is: four, one-slot'),
    (
        Overrides(server_urls={"four": "a:1"}),
        '--server four: expected an address such as http://127.0.0.1:11434, found "a:1"',
    ),
    (Overrides(only=("wave",)), '--only: no candidate "wave"; did you mean "waves"?'),
    (Overrides(repeats=0), "--repeats: expected 1 to 1000, found 0"),
    (Overrides(warmup=-1), "--warmup: expected 0 to 20, found -1"),
    (Overrides(scale=0), "--scale: expected more than 0, up to 10000, found 0"),
]


@pytest.mark.parametrize(("overrides", "expected"), REFUSED)
def test_refused(tmp_path: Path, overrides: Overrides, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path, overrides)
    assert str(caught.value) == expected
