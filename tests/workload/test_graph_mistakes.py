"""Mistakes in a graph, its branches, loops and sub-pipelines, and the whole message that each gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from workload.mistaken import HEAD, INLINE, keys, keys_of, message, nodes, sub

from harness.workload.schema.rules import Rule

CASES = {
    "unknown agent": (
        nodes("a: {agent: sumarizer}"),
        'w.yaml:8:18: node "a" needs an agent: no agent "sumarizer"; did you mean "summarizer"?',
    ),
    "unknown node": (
        nodes(f"writer: {INLINE}}}\ncritic: {INLINE}, after: [writter]}}"),
        'w.yaml:9:65: node "critic" waits for "writter": no node "writter"; did you mean "writer"?',
    ),
    "the same node twice": (
        nodes(f"a: {INLINE}}}\nb: {INLINE}, after: [a, a]}}"),
        'w.yaml:9:63: node "b" waits for "a" twice; name it once',
    ),
    "a circle": (
        nodes(
            f"""
            start: {INLINE}}}
            a: {INLINE}, after: [start, c]}}
            b: {INLINE}, after: [a]}}
            c: {INLINE}, after: [b]}}
            """
        ),
        "w.yaml:9:52: nodes wait for each other in a circle: a -> b -> c -> a; remove one `after`",
    ),
    "a circle of one, and a node behind it": (
        nodes(f"a: {INLINE}, after: [a]}}\nb: {INLINE}, after: [a]}}"),
        "w.yaml:8:52: nodes wait for each other in a circle: a -> a; remove one `after`\n"
        'w.yaml:9:7: node "b" can never start: it comes after the circle a -> a',
    ),
    "agent and tool": (
        nodes(f"a: {INLINE}, tool: {{delay_s: 1}}}}"),
        "w.yaml:8:52: pipelines.p.nodes.a: a node has either `agent` or `tool`, found both",
    ),
    "a tool over an input": (
        nodes("a: {tool: {delay_s: 1}, over: docs}"),
        "w.yaml:8:31: pipelines.p.nodes.a: `over` goes with `agent`, not with `tool`",
    ),
    "no agent at all": (
        nodes("a: {tool: {delay_s: 1}}"),
        'w.yaml:4:3: pipeline "p" calls no model; give a node `agent` or `embed`',
    ),
    "no nodes": (
        HEAD[: HEAD.index("    nodes:")] + "    nodes: {}\n",
        "w.yaml:7:12: pipelines.p.nodes: expected at least one, found a mapping",
    ),
    "shares that do not add up": (
        nodes(f"a: {INLINE}, branch: {{x: 0.6, y: 0.3}}}}"),
        "w.yaml:8:52: pipelines.p.nodes.a: expected shares that add up to 1, found 0.6 + 0.3 = 0.9",
    ),
    "one label": (
        nodes(f"a: {INLINE}, branch: {{x: 1}}}}"),
        "w.yaml:8:52: pipelines.p.nodes.a: expected at least two labels, found 1",
    ),
    "a share above 1": (
        nodes(f"a: {INLINE}, branch: {{x: 1.5, y: 0.3}}}}"),
        "w.yaml:8:64: pipelines.p.nodes.a.branch.x: expected at most 1, found 1.5",
    ),
    "otherwise before others": (
        nodes(f"a: {INLINE}, branch: {{x: {{p: 0.5, when: {{otherwise: true}}}}, y: 0.5}}}}"),
        "w.yaml:8:61: pipelines.p.nodes.a: `otherwise` is always true, so it must be the last label",
    ),
    "a rule that is none": (
        nodes(f"a: {INLINE}, branch: {{x: {{p: 0.5, when: {{regx: y}}}}, y: 0.5}}}}"),
        f"w.yaml:8:79: pipelines.p.nodes.a.branch.x.when: expected a mapping with one of {keys(keys_of(Rule))}, "
        'found `regx`; did you mean "regex"?',
    ),
    "a pattern that cannot be read": (
        nodes(f"a: {INLINE}, branch: {{x: {{p: 0.5, when: {{regex: '(y'}}}}, y: 0.5}}}}"),
        "w.yaml:8:87: pipelines.p.nodes.a.branch.x.when.regex: expected a regular expression, found one that cannot "
        "be read: missing ), unterminated subpattern at position 0",
    ),
    "an unknown label": (
        nodes(f"a: {INLINE}, branch: {{yes: 0.5, no: 0.5}}}}\nb: {INLINE}, after: [a.yess]}}"),
        'w.yaml:9:60: node "b" waits for "a.yess": no label "yess"; did you mean "yes"?',
    ),
    "a label of a node without a branch": (
        nodes(f"a: {INLINE}}}\nb: {INLINE}, after: [a.yes]}}"),
        'w.yaml:9:60: node "b" waits for "a.yes": "a" has no branch and so no labels; write a',
    ),
    "a label beside its node": (
        nodes(f"a: {INLINE}, branch: {{x: 0.5, y: 0.5}}}}\nb: {INLINE}, after: [a, a.x]}}"),
        'w.yaml:9:63: node "b" waits for "a.x" twice; name it once',
    ),
    "a loop without a bound": (
        nodes(f"a: {INLINE}, repeat: {{until: 0.5}}}}"),
        "w.yaml:8:60: pipelines.p.nodes.a.repeat: a loop needs a bound: `max`, such as max: 3, or `passes`, such as "
        "passes: [4, 9]",
    ),
    "drawn passes without a bound": (
        nodes(f"a: {INLINE}, repeat: {{passes: {{exponential: {{mean: 3}}}}}}}}"),
        "w.yaml:8:61: pipelines.p.nodes.a.repeat: a loop needs a bound; expected `max` beside the distribution's "
        "figures, or beside `passes`",
    ),
    "drawn passes that end by chance too": (
        nodes(f"a: {INLINE}, repeat: {{max: 5, passes: [2, 4], until: 0.5}}}}"),
        "w.yaml:8:69: pipelines.p.nodes.a.repeat: `passes` and `until` do not go together: both say when the loop "
        "ends; remove one",
    ),
    "what grows outside of a loop": (
        nodes(f"a: {INLINE}, grows: {{by: 5}}}}"),
        'w.yaml:8:52: pipeline "p": node "a" grows from pass to pass, and no loop is around it; give it `repeat`, or '
        "the sub-pipeline it is in",
    ),
    "what grows without a bound": (
        nodes(f"a: {INLINE}, repeat: {{max: 3}}, grows: {{by: {{gamma: {{mean: 5, cv: 1}}}}}}}}"),
        "w.yaml:8:78: pipelines.p.nodes.a.grows: made-up text needs a bound; expected `max` beside the distribution's "
        "figures",
    ),
    "a tool that grows": (
        nodes("a: {tool: {delay_s: 1}, grows: {by: 5}}"),
        "w.yaml:8:31: pipelines.p.nodes.a: `grows` goes with `agent`, not with `tool`",
    ),
    "what grows and names the pass before": (
        nodes('a: {agent: {prompt: "{previous}", output_tokens: 1}, repeat: {max: 3}, grows: {by: 5}}'),
        'w.yaml:8:27: pipeline "p": node "a" grows and names {previous}, but its prompt is sent in the first pass '
        "alone; write {input}",
    ),
    "a loop that never repeats": (
        nodes(f"a: {INLINE}, repeat: {{max: 3, until: {{p: 0.5, when: {{otherwise: true}}}}}}}}"),
        "w.yaml:8:85: pipelines.p.nodes.a.repeat.until: `otherwise` is always true, so the loop would never repeat; "
        "expected another rule",
    ),
    "need more than there are": (
        nodes(f"a: {INLINE}}}\nb: {INLINE}, after: [a], need: 2}}"),
        "w.yaml:9:64: pipelines.p.nodes.b: expected at most 1, because `after` names 1 node, found 2",
    ),
    "enough more than there are": (
        nodes(f"a: {INLINE}, over: d, enough: 3}}") + "inputs: {d: {list: [x, y]}}\n",
        'w.yaml:8:69: node "a": expected at most 2, the number of items, found 3',
    ),
    "enough without a fan-out": (
        nodes(f"a: {INLINE}, enough: 3}}"),
        "w.yaml:8:52: pipelines.p.nodes.a: `enough` goes with `over`",
    ),
    "losers of nothing": (
        nodes(f"a: {INLINE}, losers: run}}"),
        "w.yaml:8:52: pipelines.p.nodes.a: `losers` goes with `need` or `enough`: without them there are none",
    ),
    "over and branch": (
        nodes(f"a: {INLINE}, over: d, branch: {{x: 0.5, y: 0.5}}}}") + "inputs: {d: {list: [x, y]}}\n",
        "w.yaml:8:61: pipelines.p.nodes.a: `over` and `branch` do not go together; "
        "give a node after this one the branch",
    ),
    "over a node that is not before it": (
        nodes(f"a: {INLINE}}}\nb: {INLINE}, over: a, items: {{count: 3}}}}"),
        'w.yaml:9:58: node "b" fans out: the node "a" need not be done by then; add `after: [a]`',
    ),
    "over a node without a size": (
        nodes(f"a: {INLINE}}}\nb: {INLINE}, over: a, after: [a]}}"),
        'w.yaml:9:58: node "b" fans out over what "a" answers: add `items: {count: [2, 5], max: 8}`',
    ),
    "a list without a bound": (
        nodes(f"a: {INLINE}}}\nb: {INLINE}, over: a, items: {{count: {{exponential: {{mean: 3}}}}}}, after: [a]}}"),
        'w.yaml:9:61: node "b": the list needs a bound; add `max` to `items`',
    ),
    "over a tool": (
        nodes(f"a: {INLINE}}}\nt: {{tool: {{delay_s: 1}}}}\nb: {INLINE}, over: t, items: {{count: 3}}, after: [t]}}"),
        'w.yaml:10:58: node "b" fans out: "t" is a tool; name an agent node that answers one list',
    ),
    "over a misspelt node": (
        nodes(f"plan: {INLINE}}}\nb: {INLINE}, over: plann, items: {{count: 3}}, after: [plan]}}"),
        'w.yaml:9:58: node "b" fans out: no input or node "plann"; did you mean "plan"?',
    ),
    "an unknown sub-pipeline": (
        nodes(f"a: {INLINE}}}\nb: {{pipeline: revew}}") + sub(f"c: {INLINE}}}"),
        'w.yaml:9:21: node "b" uses: no sub-pipeline "revew"; did you mean "review"?',
    ),
    "a sub-pipeline that includes itself": (
        nodes(f"a: {INLINE}}}\nb: {{pipeline: review}}") + sub(f"c: {INLINE}}}\nd: {{pipeline: review, after: [c]}}"),
        "w.yaml:14:21: a sub-pipeline includes itself: review -> review; for a loop write `repeat`",
    ),
    "until a node that is not in the body": (
        nodes("b: {pipeline: review, repeat: {max: 2, until: {p: 0.5, node: critc}}}") + sub(f"critic: {INLINE}}}"),
        'w.yaml:8:68: node "b" repeats until: sub-pipeline "review" has no node "critc"; did you mean "critic"?',
    ),
    "until nobody says so": (
        nodes("b: {pipeline: review, repeat: {max: 2, until: {p: 0.5, when: {regex: x}}}}")
        + sub(f"c: {INLINE}}}\nd: {INLINE}}}"),
        'w.yaml:8:46: node "b" repeats until: sub-pipeline "review" does not end in one call, so say whose answer: '
        "add `node`",
    ),
    "until of a single call": (
        nodes(f"a: {INLINE}, repeat: {{max: 2, until: {{p: 0.5, node: a}}}}}}"),
        'w.yaml:8:85: node "a": a loop of one call reads its own answer; remove `node`',
    ),
    "two loops that read one answer": (
        nodes("b: {pipeline: review, repeat: {max: 2, until: 0.5}}").replace("name: w", "name: w\ncontrol: model")
        + sub(f"c: {INLINE}, repeat: {{max: 2, until: 0.5}}}}"),
        'w.yaml:9:29: pipeline "p": the answer of "b/c" cannot end both "b/c" and "b"; name another `node`',
    ),
    "too many nodes by nesting": (
        nodes(f"a: {INLINE}}}\nb: {{pipeline: s0, after: [a]}}")
        + "subpipelines:\n"
        + "".join(f"  s{i}: {{nodes: {{x: {{pipeline: s{i + 1}}}, y: {{pipeline: s{i + 1}}}}}}}\n" for i in range(12))
        + f"  s12: {{nodes: {{x: {INLINE}}}}}}}\n",
        'w.yaml:4:3: pipeline "p": expected at most 1000 nodes with its sub-pipelines, found 12288',
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_message(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, expected = CASES[case]
    assert message(tmp_path, monkeypatch, text) == expected


def test_a_node_needs_to_be_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message lists every kind of node."""
    said = message(tmp_path, monkeypatch, nodes(f"a: {INLINE}}}\nb: {{after: [a]}}"))
    listed = said.removeprefix("w.yaml:9:10: pipelines.p.nodes.b: a node needs ").removesuffix(", found none of them")
    assert {"`agent`", "`tool`", "`pipeline`"} <= set(listed.replace(" or ", ", ").split(", "))
