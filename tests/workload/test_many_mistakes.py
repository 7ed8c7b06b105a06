"""A file with mistakes of different kinds: all are told at once, in the order of their lines; none that follows."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from workload.mistaken import message

from harness.errors import WorkloadError
from harness.workload.load import load_workload

MANY = """\
version: 1
name: w
colour: red
pipelines:
  digest:
    path: batch
    jobs: four
    nodes:
      part: {agent: {prompt: "About {item}.", output_tokens: 10}, over: itms}
      join: {agent: nobody, after: [part]}
      last: {agent: {prompt: "Join {part}", output_tokens: 24}, after: [joinn]}
      x: {agent: {prompt: "a", output_tokens: many}}
      y: {agent: {prompt: "a {x}", output_tokens: 3}, after: [x]}
      u: {agent: {prompt: "a", output_tokens: 3}, after: [v]}
      v: {agent: {prompt: "a", output_tokens: 3}, after: [u]}
inputs:
  items: {list: [a, b, c]}
  docs: {files: "nowhere/*.md"}
servers:
  one: {kind: llamacpp}
  four: {kind: lamacpp, slots: 4}
compare:
  serial: {placement: one, concurrency: serial}
  window: {placement: four, concurrency: windo}
  split: {placement: three, concurrency: window}
"""
GOOD = """\
version: 1
name: w
pipelines:
  digest:
    path: batch
    jobs: 4
    nodes:
      part: {agent: {prompt: "About {item}.", output_tokens: 10}, over: items}
      join: {agent: joiner, after: [part]}
      again: {pipeline: refine, after: [join], repeat: {max: 2}}
  chat:
    path: interactive
    while: digest
    arrival: {closed: 1}
    nodes: {reply: {agent: {prompt: "Hi {docs}", output_tokens: 4}}}
subpipelines:
  refine: {nodes: {write: {agent: {prompt: "Write", output_tokens: 3}}}}
agents:
  joiner: {prompt: "Join {part}", output_tokens: 12}
inputs:
  items: {list: [a, b, c]}
  docs: {synthetic: {count: 2, tokens: 10}}
servers:
  one: {kind: llamacpp}
  four: {kind: llamacpp, slots: 4}
compare:
  serial: {placement: one, concurrency: serial}
  window: {placement: {digest: four, chat: one}, concurrency: {four: window, one: serial}}
"""


def test_every_mistake_is_told_once_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = message(tmp_path, monkeypatch, MANY).split("\n")
    expected = [
        (3, 'unknown key "colour"'),
        (7, 'pipelines.digest.jobs: expected a whole number, found "four"'),
        (9, 'node "part" fans out: no input "itms"; did you mean "items"?'),
        (10, 'node "join" needs an agent: no agent "nobody"'),
        (11, 'node "last" waits for "joinn": no node "joinn"; did you mean "join"?'),
        (12, "pipelines.digest.nodes.x.agent.output_tokens: expected a number"),
        (14, "nodes wait for each other in a circle: u -> v -> u"),
        (18, 'no file matches "nowhere/*.md"'),
        (21, 'servers.four.kind: expected "llamacpp", "ollama", "openai" or "simulated", found "lamacpp"'),
        (24, 'compare.window.concurrency: expected "serial"'),
        (25, 'candidate "split" is placed: no server "three"'),
    ]
    assert len(lines) == len(expected)
    for line, (number, text) in zip(lines, expected, strict=True):
        assert line.startswith(f"w.yaml:{number}:") and text in line


@pytest.mark.parametrize(
    ("old", "new", "only"),
    [
        ("part: {agent: {prompt", "part: {agnt: {prompt", "agnt"),  # `join` waits for it, and names its text
        ("joiner: {prompt:", "joiner: {promt:", "prom"),
        ("refine: {nodes:", "refine: {node:", "node"),
        ("one: {kind: llamacpp}", "one: {kind: llama}", "servers.one.kind"),
        ("items: {list: [a, b, c]}", "items: {lst: [a, b, c]}", "inputs.items"),
        ("jobs: 4", "job: 4", "job"),
        ("after: [part]}", "after: part}", "after"),
        ("path: batch", "path: bach", "pipelines.digest.path"),
    ],
)
def test_what_follows_from_a_mistake_is_not_told(
    old: str, new: str, only: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert old in GOOD
    at = GOOD[: GOOD.index(old)].count("\n") + 1
    lines = message(tmp_path, monkeypatch, GOOD.replace(old, new)).split("\n")
    assert all(only in line for line in lines), lines
    assert {line.split(":")[1] for line in lines} <= {str(at), str(at - 3)}


def _places(data: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [place for key, item in items for place in [(*at, key), *_places(item, (*at, key))]]


def test_whatever_is_broken_it_ends_with_messages(tmp_path: Path) -> None:
    """Values of other types, missing and unknown keys, at any places together: always a WorkloadError with a place."""
    file = tmp_path / "w.yaml"
    draw = random.Random(14)
    for _ in range(150):
        data = yaml.safe_load(GOOD)
        for place in draw.sample(_places(data), 4):
            inside: Any = data
            for step in place[:-1]:
                inside = inside[step] if isinstance(inside, dict | list) and step in _keys(inside) else None
            if not isinstance(inside, dict | list) or place[-1] not in _keys(inside):
                continue
            how = draw.choice(["type", "gone", "unknown"])
            if how == "type" or isinstance(inside, list):
                inside[place[-1]] = draw.choice([-1, "zz", [], {}, {"zz": 1}, None, True, 1.5])
            elif how == "gone":
                del inside[place[-1]]
            else:
                inside["zz"] = inside.pop(place[-1])
        file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
        try:
            load_workload(file)
        except WorkloadError as error:
            assert all(str(tmp_path) in line or line.startswith("... and") for line in str(error).split("\n"))


def _keys(data: Any) -> Any:
    return data if isinstance(data, dict) else range(len(data))
