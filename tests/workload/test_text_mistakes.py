"""Mistakes in inputs and prompts, and the whole message that each gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from workload.mistaken import HEAD, INLINE, message, nodes, sub

CASES = {
    "unknown input": (
        nodes(f"a: {INLINE}, over: docs}}") + "inputs: {documents: {list: [x]}, doc: {list: [y]}}\n",
        'w.yaml:8:58: node "a" fans out: no input "docs"; did you mean "doc"?',
    ),
    "no input": (
        nodes(f"a: {INLINE}, over: docs}}"),
        'w.yaml:8:58: node "a" fans out: no input "docs"; there is none',
    ),
    "empty fan-out": (
        nodes(f"a: {INLINE}, over: docs}}") + "inputs: {docs: {list: []}}\n",
        'w.yaml:9:23: input "docs" has no items, so nothing fans out over it',
    ),
    "a pattern that matches nothing": (
        HEAD + 'inputs: {docs: {files: "data/*.md"}}\n',
        'w.yaml:9:24: no file matches "data/*.md" in the folder .',
    ),
    "a missing input file": (
        HEAD + "inputs: {docs: {files: notes.md}}\n",
        'w.yaml:9:24: no file matches "notes.md" in the folder .',
    ),
    "a path out of the folder": (
        HEAD + 'inputs: {docs: {files: "../*.md"}}\n',
        'w.yaml:9:24: expected a path that stays in the workload\'s folder, found "../*.md"',
    ),
    "an absolute path": (
        HEAD + "inputs: {docs: {files: /etc/passwd}}\n",
        'w.yaml:9:24: expected a path below the workload\'s folder, found "/etc/passwd"',
    ),
    "a template with an unknown name": (
        nodes('a: {agent: {prompt: "{documnts}", output_tokens: 5}}') + "inputs: {documents: {list: [x]}}\n",
        'w.yaml:8:27: agent "a" in node "a" of pipeline "p" names {documnts}: '
        'no input or earlier node "documnts"; did you mean "documents"?',
    ),
    "a template with a node that is no ancestor": (
        nodes(f'a: {INLINE}}}\nb: {{agent: {{prompt: "{{a}}", output_tokens: 5}}}}'),
        'w.yaml:9:27: agent "b" in node "b" of pipeline "p" names {a}: that node need not be done by then; '
        "add `after: [a]`",
    ),
    "a template with a tool": (
        nodes('a: {tool: {delay_s: 1}}\nb: {agent: {prompt: "{a}", output_tokens: 5}, after: [a]}'),
        'w.yaml:9:27: agent "b" in node "b" of pipeline "p" names {a}: that node is a tool and has no text',
    ),
    "an item without a fan-out": (
        nodes('a: {agent: {prompt: "{item}", output_tokens: 5}}'),
        'w.yaml:8:27: agent "a" in node "a" of pipeline "p" names {item}: there is an item only where the node '
        "fans out; add `over: INPUT`",
    ),
    "a template that reaches for attributes": (
        nodes('a: {agent: {prompt: "{item.__class__}", output_tokens: 5}}'),
        'w.yaml:8:27: agent "a": expected a name in braces, such as {item}, found "{item.__class__}"; '
        "for a brace itself write {{",
    ),
    "a node called as an input": (
        nodes(f"docs: {INLINE}}}") + "inputs: {docs: {list: [x]}}\n",
        'w.yaml:8:7: "docs" is an input as well, so {docs} would be ambiguous; rename the node',
    ),
    "an input called item": (
        HEAD + "inputs: {item: {list: [x]}}\n",
        'w.yaml:9:10: "item" is the item of a fan-out; rename the input',
    ),
    "too much made-up text": (
        HEAD + "inputs: {d: {synthetic: {count: 10000, tokens: 100000}}}\n",
        "w.yaml:9:25: inputs.d.synthetic: expected at most 5000000 tokens in all, found 10000 x 100000",
    ),
    "previous without a loop": (
        nodes('a: {agent: {prompt: "{previous}", output_tokens: 5}}'),
        'w.yaml:8:27: agent "a" in node "a" of pipeline "p" names {previous}: there is that only in a loop (`repeat`) '
        "or in a sub-pipeline",
    ),
    "an input that nothing comes into": (
        nodes("b: {pipeline: review}") + sub('c: {agent: {prompt: "{input}", output_tokens: 5}}'),
        'w.yaml:12:27: agent "c" in node "c" of sub-pipeline "review" names {input}: node "b" comes after nothing that '
        "has a text; add `after`",
    ),
    "a sub-pipeline that looks outside": (
        nodes(f"a: {INLINE}}}\nb: {{pipeline: review, after: [a]}}")
        + sub('c: {agent: {prompt: "{a}", output_tokens: 5}}'),
        'w.yaml:13:27: agent "c" in node "c" of sub-pipeline "review" names {a}: no input or earlier node "a"; there '
        "is: input, previous (a sub-pipeline sees its own nodes alone)",
    ),
    "made-up text without a bound": (
        HEAD + "inputs: {d: {synthetic: {count: 3, tokens: {exponential: {mean: 9}}}}}\n",
        "w.yaml:9:36: inputs.d.synthetic: made-up text needs a bound; expected `max` beside the distribution's figures",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_message(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, expected = CASES[case]
    assert message(tmp_path, monkeypatch, text) == expected
