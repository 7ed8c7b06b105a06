"""Servers that a file does not name have room for its longest call."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.context import enough_tokens
from harness.workload.describe import describe
from harness.workload.load import Loaded, Overrides, load_workload
from harness.workload.longest import needs_of

TEXT = """\
version: 1
name: pages
pipelines:
  ask:
    path: batch
    jobs: 2
    nodes:
      read: {agent: {prompt: "{pages}", output_tokens: OUTPUTASKED}}
inputs:
  pages: {synthetic: {count: 1, tokens: 3000}}
"""


def load(folder: Path, output: str, more: str = "", asked: str = "", changes: Overrides | None = None) -> Loaded:
    path = folder / "workload.yaml"
    text = TEXT.replace("OUTPUT", output).replace("ASKED", asked) + more
    path.write_text(text, encoding="utf-8")
    return load_workload(path, changes)


def contexts(loaded: Loaded) -> set[int]:
    return {spec.context_tokens for spec in loaded.servers.values()}


@pytest.mark.parametrize(("output", "longest"), [("200", 200), ("[200, 900]", 900)])
def test_a_slot_has_what_the_longest_call_needs(tmp_path: Path, output: str, longest: int) -> None:
    loaded = load(tmp_path, output)
    (need,) = needs_of(loaded)
    assert 3000 <= need.prompt_tokens < 3300 and need.output_tokens == longest
    context = enough_tokens(need.prompt_tokens, longest)
    assert context > 2048
    assert set(loaded.servers) == {"one-slot", "four-slot"}
    assert contexts(loaded) == {context}
    hints = describe(loaded).hints
    assert not any("raise context_tokens" in hint for hint in hints)
    assert (
        "Not in the file, added for the standard set of candidates: four-slot, one-slot, with "
        f"{context} tokens of context a slot, which the longest call needs."
    ) in hints


def test_a_server_of_the_file_keeps_its_own(tmp_path: Path) -> None:
    loaded = load(tmp_path, "200", "servers:\n  main: {kind: llamacpp, slots: 4}\n")
    assert contexts(loaded) == {2048}
    assert any("raise context_tokens to 3840" in hint for hint in describe(loaded).hints)


def test_one_that_runs_already_keeps_its_own(tmp_path: Path) -> None:
    loaded = load(tmp_path, "200", changes=Overrides(server_urls={"": "http://127.0.0.1:11434"}, model="m"))
    assert all(spec.running and "context_tokens" not in spec.model_fields_set for spec in loaded.servers.values())


def test_calls_that_say_their_context_need_none_of_the_server(tmp_path: Path) -> None:
    loaded = load(tmp_path, "200", asked=", num_ctx: 8192", changes=Overrides(engine="ollama", model="m"))
    assert contexts(loaded) == {2048}
