"""Edits by hand: the text loads again, comments stay, and only what was meant changes."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.app.edit import DesignEdit, edit_text, node_facts
from harness.app.init import starting_points
from harness.app.workload import Written, load
from harness.errors import UserError
from harness.workload.source import parse_yaml

BLOCK = """\
version: 1
name: block  # the name

# what happens
pipelines:
  digest:
    path: batch
    jobs: 1
    nodes:
      summarize:  # one call per note
        agent: reader
        over: notes  # all of them
        # the end of it
      merge:
        agent:
          prompt: |
            Put together:
            {summarize}
          output_tokens:
            - 20
            - 40
        after: [summarize]
      # nothing comes after it

agents:
  reader: {prompt: "Summarise.", output_tokens: 20}  # short
  other:
    output_tokens: 30   # words
    prompt: >-
      Say it
      again.

inputs:
  notes: {list: [a, b, c]}
  more: {list: [d]}
"""
BRACES = """\
version: 1
name: braces
pipelines: {one: {path: batch, jobs: 1, nodes: {
  first: {agent: reader},  # begins
  second: {agent: reader, after: [first]},  # goes on
  third: {agent: reader, after: [second], over: notes}  # ends
}}}
agents: {reader: {prompt: "Read.", output_tokens: [5, 9]}}
inputs: {notes: {list: [a, b]}}
"""


def edited(text: str, kind: Any, pipeline: str, node: str, **more: Any) -> str:
    return edit_text(Written(Path("w.yaml"), text), DesignEdit(kind=kind, pipeline=pipeline, node=node, **more)).text


def lines_changed(before: str, after: str) -> tuple[list[str], list[str]]:
    """Return the lines that are gone, and those that came."""
    old, new = before.split("\n"), after.split("\n")
    while old and new and old[0] == new[0]:
        old, new = old[1:], new[1:]
    while old and new and old[-1] == new[-1]:
        old, new = old[:-1], new[:-1]
    return old, new


@pytest.mark.parametrize(
    ("edit", "gone", "came"),
    [
        (
            {"kind": "add-after", "pipeline": "digest", "node": "summarize", "name": "check", "agent": "other"},
            [],
            ["      check:", "        agent: other", "        after: [summarize]"],
        ),
        (
            {"kind": "add-after", "pipeline": "digest", "node": "merge", "name": "last"},
            [],
            [
                "      last:",
                '        agent: {prompt: "Go on from this: {merge}", output_tokens: 60}',
                "        after: [merge]",
            ],
        ),
        (
            {"kind": "fan-out", "pipeline": "digest", "node": "summarize", "over": "more"},
            ["        over: notes  # all of them"],
            ["        over: more  # all of them"],
        ),
        (
            {"kind": "one-call", "pipeline": "digest", "node": "summarize"},
            ["        over: notes  # all of them"],
            ["        # all of them"],
        ),
        ({"kind": "fan-out", "pipeline": "digest", "node": "merge", "over": "more"}, [], ["        over: more"]),
        (
            {"kind": "tokens", "pipeline": "digest", "node": "summarize", "tokens": (7,)},
            ['  reader: {prompt: "Summarise.", output_tokens: 20}  # short'],
            ['  reader: {prompt: "Summarise.", output_tokens: 7}  # short'],
        ),
        (
            {"kind": "tokens", "pipeline": "digest", "node": "merge", "tokens": (7, 9)},
            ["            - 20", "            - 40"],
            ["            [7, 9]"],
        ),
    ],
)
def test_in_a_block(edit: dict[str, Any], gone: list[str], came: list[str]) -> None:
    for end in ("\n", "\r\n"):
        text = BLOCK.replace("\n", end)
        found = edited(text, **edit)
        assert lines_changed(text, found) == ([one + end[:-1] for one in gone], [one + end[:-1] for one in came])


def test_a_deleted_node_takes_its_lines_with_it() -> None:
    gone, came = lines_changed(BLOCK, edited(BLOCK, "delete", "digest", "merge"))
    assert (gone[0], gone[-1], len(gone), came) == ("      merge:", "        after: [summarize]", 9, [])


def test_in_braces() -> None:
    found = edited(BRACES, "add-after", "one", "first", name="new", agent="reader")
    assert "first: {agent: reader}, new: {agent: reader, after: [first]},  # begins" in found
    found = edited(BRACES, "delete", "one", "third")
    assert "after: [first]}  # goes on\n}}}" in found or "after: [first]},  # goes on\n" in found
    assert "third" not in found
    assert "after: [second]}  # ends" in edited(BRACES, "one-call", "one", "third")
    assert "first: {agent: reader, over: notes},  # begins" in edited(BRACES, "fan-out", "one", "first", over="notes")
    assert "output_tokens: [6, 8]}}" in edited(BRACES, "tokens", "one", "first", tokens=(6, 8))


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ({"kind": "delete", "node": "first"}, '"first" cannot be deleted, as it is needed by "second"'),
        ({"kind": "add-after", "node": "first", "name": "third"}, 'there is a node "third" already'),
        ({"kind": "add-after", "node": "first", "name": "a b"}, "not done, as it would be a mistake"),
        ({"kind": "add-after", "node": "first", "name": "x", "agent": "nobody"}, "not done, as it would be a mistake"),
        ({"kind": "fan-out", "node": "first", "over": "nothing"}, "not done, as it would be a mistake"),
        ({"kind": "one-call", "node": "first"}, '"first" is no fan-out'),
        ({"kind": "tokens", "node": "first", "tokens": (9, 5)}, "not done, as it would be a mistake"),
        ({"kind": "delete", "node": "frist"}, 'no node "frist" in "one"; did you mean "first"?'),
    ],
)
def test_what_is_refused(edit: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=re.escape(says)):
        edited(BRACES, pipeline="one", **edit)


def test_anchors_are_left_alone() -> None:
    text = BRACES.replace("[5, 9]}", "&n [5, 9]}, other: {prompt: More, output_tokens: *n}")
    load(Written(Path("w.yaml"), text))
    with pytest.raises(UserError, match="uses anchors"):
        edited(text, "tokens", "one", "first", tokens=(3,))
    assert "*n" in edited(text, "one-call", "one", "third")


def test_an_agent_in_a_file_is_changed_there() -> None:
    path = starting_points()["chat-only"]
    written = Written(path, path.read_text(encoding="utf-8"))
    with pytest.raises(UserError, match=r'the agent "chat" is in the file \S*agents/chat.md: change `output_tokens`'):
        edit_text(written, DesignEdit(kind="tokens", pipeline="chat", node="reply", tokens=(5,)))
    facts = node_facts(written, "chat", "reply")
    assert facts.card.endswith("chat.md")
    assert (facts.kind, facts.agent, facts.tokens, facts.needed_by, facts.free_name) == (
        "agent",
        "chat",
        (),
        (),
        "step",
    )


def without(data: Any, at: tuple[str, ...]) -> str:
    """Return data as JSON, in its order, without what is at a place."""
    copy = json.loads(json.dumps(data))
    here = copy
    for step in at[:-1]:
        here = here.get(step, {})
    here.pop(at[-1], None)
    return json.dumps(copy)


def comments(text: str) -> list[str]:
    return re.findall(r"(?:^|(?<=\s))#.*", text, re.M)


def one_edit(random_: random.Random, written: Written) -> DesignEdit:
    pipeline, node = random_.choice(list(load(written).written))
    facts = node_facts(written, pipeline, node)
    kinds: dict[str, Callable[[], dict[str, Any]]] = {
        "add-after": lambda: {"name": facts.free_name, "agent": random_.choice([None, *facts.agents])},
        "fan-out": lambda: {"over": random_.choice(facts.inputs or ("none",))},
        "one-call": dict,
        "tokens": lambda: {"tokens": random_.choice([(24,), (8, 40)])},
        "delete": dict,
    }
    kind: Any = random_.choice(list(kinds))
    return DesignEdit(kind=kind, pipeline=pipeline, node=node, **kinds[kind]())


@pytest.mark.parametrize("name", starting_points())
def test_random_edits_of_what_is_shipped(name: str) -> None:
    """Five edits in a row; each changes what it names, and a comment goes only with its node."""
    path = starting_points()[name]
    written = Written(path, path.read_text(encoding="utf-8"))
    random_ = random.Random(name)
    done = 0
    for _ in range(20):
        if done == 5:
            break
        edit = one_edit(random_, written)
        at = load(written).written[edit.pipeline, edit.node]
        before = parse_yaml(written.text, "").data
        try:
            after = edit_text(written, edit)
        except UserError as error:
            assert "safely" not in str(error), (edit, str(error))
            continue
        done += 1
        changed = written._replace(text=after.text)
        load(changed)
        data = parse_yaml(after.text, "").data
        agent = before[at[0]][at[1]]["nodes"][at[3]].get("agent")
        places: dict[str, tuple[Any, ...]] = {
            "add-after": (*at[:-1], edit.name),
            "tokens": ("agents", agent) if isinstance(agent, str) else (*at, "agent"),
        }
        place = places.get(edit.kind, at)
        assert without(data, place) == without(before, place), edit
        gone = [one for one in comments(written.text) if one not in comments(after.text)]
        assert not gone or (edit.kind == "delete" and len(gone) <= 2), (edit, gone)
        old, new = lines_changed(written.text, after.text)
        assert max(len(old), len(new)) <= 12, edit
        written = changed
    assert done
