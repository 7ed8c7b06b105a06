"""Mistakes in the keys and values of a workload, and in its file, and the whole message that each gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from workload.mistaken import HEAD, INLINE, keys, message, nodes, one_of, pipelines

from harness import content
from harness.errors import WorkloadError
from harness.servers.launch import KINDS
from harness.workload.load import load_workload
from harness.workload.schema import ARRIVALS, MeasureSpec
from harness.workload.source import MAX_BYTES

CASES = {
    "unknown key": (
        HEAD + "seeds: 3\n",
        'w.yaml:9:1: unknown key "seeds"; did you mean "seed"?',
    ),
    "unknown key below": (
        HEAD.replace("jobs: 1", "jobs: 1\n    gaol: {p50_s: 1}"),
        'w.yaml:7:5: unknown key "gaol" in pipelines.p; did you mean "goal"?',
    ),
    "unknown key, nothing close": (
        HEAD + "measure: {zzz: 3}\n",
        f'w.yaml:9:11: unknown key "zzz" in measure; expected {", ".join(MeasureSpec.model_fields)}',
    ),
    "unknown key of a node": (
        nodes("a: {agent: {prompt: x, output_tokens: 5}, aftr: [b]}"),
        'w.yaml:8:49: unknown key "aftr" in pipelines.p.nodes.a; did you mean "after"?',
    ),
    "unknown key of an inline agent": (
        nodes("a: {agent: {prompt: x, output_tokens: 5, systm: y}}"),
        'w.yaml:8:48: unknown key "systm" in pipelines.p.nodes.a.agent; did you mean "system"?',
    ),
    "unknown key of a server": (
        HEAD + "servers: {s: {kind: llamacpp, slot: 4}}\n",
        'w.yaml:9:31: unknown key "slot" in servers.s; did you mean "slots"?',
    ),
    "unknown key of a candidate": (
        HEAD + "compare: {c: {cap: serial}}\n",
        'w.yaml:9:15: unknown key "cap" in compare.c; it is called `concurrency` now (slotwise migrate rewrites a '
        "workload)",
    ),
    "text for a number": (
        HEAD.replace("jobs: 1", 'jobs: "3"'),
        'w.yaml:6:11: pipelines.p.jobs: expected a whole number, found "3"',
    ),
    "fraction for a whole number": (
        HEAD.replace("jobs: 1", "jobs: 1.5"),
        "w.yaml:6:11: pipelines.p.jobs: expected a whole number, found 1.5",
    ),
    "true for a number": (
        HEAD.replace("jobs: 1", "jobs: true"),
        "w.yaml:6:11: pipelines.p.jobs: expected a whole number, found true",
    ),
    "number without end": (
        HEAD + f"seed: {'9' * 400}\n",
        f'w.yaml:9:7: seed: expected a whole number, found "{"9" * 37}..."',
    ),
    "infinity": (
        HEAD + "timeout_s: .inf\n",
        'w.yaml:9:12: timeout_s: expected a number, found ".inf"',
    ),
    "number for text": (
        HEAD + "description: 3\n",
        "w.yaml:9:14: description: expected text, found 3",
    ),
    "list for a mapping": (
        HEAD + "inputs: [a]\n",
        "w.yaml:9:9: inputs: expected a mapping, found a list",
    ),
    "braces without quotes": (
        nodes("a: {agent: {prompt: {item}, output_tokens: 5}}"),
        "w.yaml:8:27: pipelines.p.nodes.a.agent.prompt: expected text, found a mapping; "
        'text with braces needs quotes ("{item}")',
    ),
    "a name for a list": (
        nodes(f"a: {INLINE}}}\nb: {INLINE}, after: a}}"),
        'w.yaml:9:59: pipelines.p.nodes.b.after: expected a list, found "a"; write [a]',
    ),
    "missing key": (
        HEAD.replace("    path: batch\n", ""),
        'w.yaml:4:3: pipelines.p.path is missing; expected "batch" or "interactive"',
    ),
    "missing version": (
        HEAD.replace("version: 1\n", ""),
        "w.yaml:1:1: version is missing; expected 1",
    ),
    "missing output_tokens": (
        nodes("a: {agent: {prompt: x}}"),
        "w.yaml:8:11: pipelines.p.nodes.a.agent.output_tokens is missing (most tokens of one answer (num_predict))",
    ),
    "missing kind": (
        HEAD + "servers: {s: {slots: 2}}\n",
        f"w.yaml:9:11: servers.s.kind is missing; expected {one_of(KINDS)}",
    ),
    "negative number": (
        HEAD.replace("jobs: 1", "jobs: -2"),
        "w.yaml:6:11: pipelines.p.jobs: expected more than 0, found -2",
    ),
    "negative seconds": (
        nodes(f"a: {INLINE}}}\nb: {{tool: {{delay_s: -1}}}}"),
        "w.yaml:9:27: pipelines.p.nodes.b.tool.delay_s: expected 0 or more, found -1",
    ),
    "too many slots": (
        HEAD + "servers: {s: {kind: llamacpp, slots: 65}}\n",
        "w.yaml:9:38: servers.s.slots: expected at most 64, found 65",
    ),
    "wrong version": (
        HEAD.replace("version: 1", "version: 2"),
        "w.yaml:1:10: version: expected 1, found 2",
    ),
    "bad name": (
        HEAD.replace("name: w", "name: my work"),
        'w.yaml:2:7: name: expected a name of letters, digits, "-" and "_" that starts with a letter, found "my work"',
    ),
    "bad name of a node": (
        nodes(f"1a: {INLINE}}}"),
        'w.yaml:8:7: pipelines.p.nodes.1a: expected a name of letters, digits, "-" and "_" that starts with a '
        'letter, found "1a"',
    ),
    "unknown path": (
        HEAD.replace("path: batch", "path: batched"),
        'w.yaml:5:11: pipelines.p.path: expected "batch" or "interactive", found "batched"; did you mean "batch"?',
    ),
    "unknown server kind": (
        HEAD + "servers: {s: {kind: llamcpp}}\n",
        f'w.yaml:9:21: servers.s.kind: expected {one_of(KINDS)}, found "llamcpp"; did you mean "llamacpp"?',
    ),
    "bad address": (
        HEAD + "servers: {s: {kind: ollama, model: m, url: 'localhost:1'}}\n",
        'w.yaml:9:44: servers.s.url: expected an address that starts with http:// or https://, found "localhost:1"',
    ),
    "unknown arrival": (
        HEAD.replace("jobs: 1", "jobs: 1\n    arrival: {evry_s: 2}"),
        f"w.yaml:7:14: pipelines.p.arrival: expected a mapping with one of {keys(ARRIVALS)}, "
        'found `evry_s`; did you mean "every_s"?',
    ),
    "two arrivals": (
        HEAD.replace("jobs: 1", "jobs: 1\n    arrival: {every_s: 2, closed: 1}"),
        f"w.yaml:7:14: pipelines.p.arrival: expected a mapping with one of {keys(ARRIVALS)}, found `every_s`, `closed`",
    ),
    "neither jobs nor while": (
        HEAD.replace("    jobs: 1\n", ""),
        "w.yaml:5:5: pipelines.p: expected `jobs: NUMBER` or `while: PIPELINE`, found neither",
    ),
    "jobs and while": (
        HEAD.replace("jobs: 1", "jobs: 1\n    while: p"),
        "w.yaml:7:5: pipelines.p: a pipeline has either `jobs` or `while`, found both",
    ),
    "while itself": (
        HEAD.replace("jobs: 1", "while: p\n    arrival: {closed: 1}"),
        'w.yaml:6:12: pipeline "p" has while: itself; name another pipeline',
    ),
    "while of a pipeline that is not there": (
        HEAD.replace("jobs: 1", "while: digest\n    arrival: {closed: 1}"),
        'w.yaml:6:12: pipeline "p" has while: no pipeline "digest"; there is: p',
    ),
    "while without a pace": (
        HEAD.replace("jobs: 1", "while: q"),
        "w.yaml:4:3: pipelines.p: with `while` jobs need a pace without an end: expected an `arrival` with "
        "`closed`, with a rate or with `every_s` above 0, found jobs, all at once",
    ),
    "a circle of while and after": (
        pipelines(
            f"""
            a: {{path: batch, jobs: 1, after: b, nodes: {{n: {INLINE}}}}}}}
            b: {{path: batch, while: a, arrival: {{closed: 1}}, nodes: {{n: {INLINE}}}}}}}
            """
        ),
        "w.yaml:4:36: pipelines wait for each other's end in a circle: a -> b -> a",
    ),
    "jobs unlike at_s": (
        HEAD.replace("jobs: 1", "jobs: 2\n    arrival: {at_s: [0, 1, 4]}"),
        "w.yaml:6:5: pipelines.p: `arrival` lists 3 starts, so `jobs` must be 3 or left out, found 2",
    ),
    "at_s going back": (
        HEAD.replace("jobs: 1", "arrival: {at_s: [0, 4, 1]}"),
        "w.yaml:6:28: pipelines.p.arrival: at_s must not decrease, found 1 after 4",
    ),
    "goal on a batch path": (
        HEAD.replace("jobs: 1", "jobs: 1\n    goal: {p50_s: 1}"),
        "w.yaml:7:5: pipelines.p: `goal` goes with path: interactive, found path: batch",
    ),
    "several at once, in the file's order": (
        HEAD.replace("jobs: 1", "jobs: 0").replace("version: 1", "version: 3"),
        "w.yaml:1:10: version: expected 1, found 3\nw.yaml:6:11: pipelines.p.jobs: expected more than 0, found 0",
    ),
    "empty": ("", "w.yaml: the file is empty; `slotwise init` writes one to start from"),
    "only a comment": ("# todo\n", "w.yaml: the file is empty; `slotwise init` writes one to start from"),
    "an empty mapping": (
        "{}\n",
        "w.yaml:1:1: version is missing; expected 1\n"
        "w.yaml:1:1: name is missing (name of the workload; run folders are called after it)\n"
        "w.yaml:1:1: pipelines is missing (the agent graphs)",
    ),
    "a value over several lines": (
        HEAD.replace("jobs: 1", 'jobs: "a\\n\\nb"'),
        'w.yaml:6:11: pipelines.p.jobs: expected a whole number, found "a  b"',
    ),
    "a list": ("- a\n", "w.yaml:1:1: expected a mapping (version: 1, name: ...), found a list"),
    "text": ("hello\n", 'w.yaml:1:1: expected a mapping (version: 1, name: ...), found "hello"'),
}


@pytest.mark.parametrize("case", CASES)
def test_message(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, expected = CASES[case]
    assert message(tmp_path, monkeypatch, text) == expected


REPLACEMENTS = ["null", "3", "[]", "{}", "text", "'{'", "&x [*x]", "{prompt: x, output_tokens: 3}"]


def test_no_damage_to_a_file_gives_anything_but_mistakes(tmp_path: Path) -> None:
    """Every line left out, every line's value replaced: the file loads or its mistakes are listed in plain words."""
    source = content.shipped() / "workloads" / "review-panel.yaml"
    lines = [line for line in source.read_text().split("\n") if not line.startswith("#")]
    path = tmp_path / "w.yaml"
    refused = 0
    for i, line in enumerate(lines):
        value = REPLACEMENTS[i % len(REPLACEMENTS)]
        for damaged in ([], [f"{line.split(': ')[0].rstrip(':')}: {value}"]):
            path.write_text("\n".join(lines[:i] + damaged + lines[i + 1 :]))
            try:
                load_workload(path)
            except WorkloadError as error:
                refused += 1
                assert str(error).startswith(str(tmp_path)), error
                assert "Input should" not in str(error), error
    assert refused > len(lines) / 2


def test_lists_at_most_twenty_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = message(tmp_path, monkeypatch, HEAD + "".join(f"x{i}: 1\n" for i in range(24)))
    assert len(text.split("\n")) == 21
    assert text.split("\n")[-1] == "... and 4 more"


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"no\.yaml: no such file$"):
        load_workload(tmp_path / "no.yaml")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError) as caught:
        load_workload(tmp_path)
    assert str(caught.value) == f"{tmp_path}: expected a file, found a folder"


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_bytes(b"version: 1\nname: caf\xe9\n")
    with pytest.raises(WorkloadError) as caught:
        load_workload(path)
    assert str(caught.value) == f"{path}:2:10: expected UTF-8 text, found the byte 0xe9"


def test_too_large(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(WorkloadError) as caught:
        load_workload(path)
    assert str(caught.value) == f"{path}: expected at most {MAX_BYTES} bytes, found more"


def test_input_behind_a_link_out_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "note.md").symlink_to(tmp_path / "secret.txt")
    expected = "note.md: leads out of .; copy the file there"
    assert message(folder, monkeypatch, HEAD + "inputs: {docs: {files: '*.md'}}\n") == expected


def test_input_files_that_are_empty_or_not_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.md").write_bytes(b"ok\n\xff")
    (tmp_path / "b.md").write_text(" \n")
    assert message(tmp_path, monkeypatch, HEAD + "inputs: {docs: {files: '*.md'}}\n") == (
        'a.md:2:1: expected UTF-8 text, found the byte 0xff\nb.md: the file is empty; input "docs" needs text in each'
    )


def test_mistake_in_a_role_card_is_shown_in_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "agents").mkdir()
    card = "---\noutput_tokens: 5\n---\n## System\nBe kind to {nobody}.\n\n## Prompt\nOne.\nTwo: {a}\n"
    (tmp_path / "agents" / "mine.md").write_text(card)
    place = 'agent "mine" in node "b" of pipeline "p" names'
    assert message(tmp_path, monkeypatch, nodes(f"a: {INLINE}}}\nb: {{agent: mine}}")) == (
        f'agents/mine.md:5:12: {place} {{nobody}}: no input or earlier node "nobody"; there is none\n'
        f"agents/mine.md:9:6: {place} {{a}}: that node need not be done by then; add `after: [a]`"
    )
