"""Edits of a workload's graph that write its YAML: text in, text out, and nothing else of the text changes.

Each edit is made twice: in the text at the marks of its nodes, and in the plain data. Where both do not say the same
afterwards the edit is refused, so an anchor or an unusual form costs an edit and never a workload.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

from harness.errors import UserError
from harness.workload.source import Loc, parse_yaml, reads_as_text
from harness.workload.text_edits import (
    NotPossible,
    entry_at,
    with_entry_after,
    with_key,
    with_value,
    without_entry,
)

__all__ = ["add_node_after", "agent_place", "free_name", "remove_node", "set_output_tokens", "set_over", "users_of"]

ANSWER_TOKENS = 60  # of a new agent
_OF_A_FAN_OUT = ("over", "items", "enough", "losers")


def add_node_after(text: str, node: Loc, name: str, agent: str | None = None, *, told: bool = True) -> str:
    """Add a node that starts when another one is done; it stands right below it.

    Args:
        text: the workload, without mistakes.
        node: where the other one is written.
        name: of the new one.
        agent: whose name it calls. Left out: one of its own, written where the node is.
        told: an agent of its own is told what the other node answers.

    Raises:
        UserError: there is a node of that name, or this text's form does not allow it.
    """
    before = str(node[-1])
    prompt = f"Go on from this: {{{before}}}" if told else "Answer in one sentence."
    own = {"prompt": prompt, "output_tokens": ANSWER_TOKENS}

    def plain(data: Any) -> None:
        nodes = _at(data, node[:-1])
        if name in nodes:
            raise UserError(f'there is a node "{name}" already; choose another name')
        entries = list(nodes.items())
        place = list(nodes).index(before) + 1
        new: Any = {"agent": agent if agent is not None else own, "after": [before]}
        nodes.clear()
        nodes.update([*entries[:place], (name, new), *entries[place:]])

    def written(text: str) -> str:
        entry = entry_at(text, node)
        said = _word(agent) if agent is not None else _braces(own)
        key, after = _word(name), f"[{_word(before)}]"
        if entry.mapping.flow_style or getattr(entry.value, "flow_style", True):
            return with_entry_after(text, entry, f"{key}: {{agent: {said}, after: {after}}}")
        return with_entry_after(text, entry, f"{key}:", f"  agent: {said}", f"  after: {after}")

    return _edited(text, plain, written)


def set_over(text: str, node: Loc, over: str | None) -> str:
    """Make a node a fan-out over an input; None: one call again, and what goes with a fan-out is taken away, too.

    Raises:
        UserError: this text's form does not allow it.
    """

    def plain(data: Any) -> None:
        spec = _at(data, node)
        if over is None:
            if "over" not in spec:
                raise UserError(f'"{node[-1]}" is no fan-out')
            for key in _leaving(spec):
                del spec[key]
        elif "over" in spec or _first_of(spec) is None:
            spec["over"] = over
        else:  # right after the agent
            entries = [(key, value) for key, value in spec.items() if key != "agent"]
            agent = spec["agent"]
            spec.clear()
            spec.update([("agent", agent), ("over", over), *entries])

    def written(text: str) -> str:
        entry = entry_at(text, node)
        spec = _at(parse_yaml(text, "").data, node)
        if over is None:
            for key in _leaving(spec):
                text = without_entry(text, entry_at(text, (*node, key)), keep_comments=True)
            return text
        if "over" in spec:
            return with_value(text, entry_at(text, (*node, "over")), _word(over))
        if _first_of(spec) is not None:
            return with_entry_after(text, entry_at(text, (*node, "agent")), f"over: {_word(over)}")
        return with_key(text, entry.value, "over", _word(over))

    return _edited(text, plain, written)


def set_output_tokens(text: str, agent: Loc, tokens: Sequence[int]) -> str:
    """Set how many tokens an agent's answers have: a number, or the least and the most.

    Args:
        text: the workload, without mistakes.
        agent: where it is written (`agent_place`).
        tokens: one or two numbers.

    Raises:
        UserError: this text's form does not allow it.
    """
    value: Any = tokens[0] if len(tokens) == 1 else list(tokens)

    def plain(data: Any) -> None:
        _at(data, agent)["output_tokens"] = value

    def written(text: str) -> str:
        return with_value(text, entry_at(text, (*agent, "output_tokens")), json.dumps(value))

    return _edited(text, plain, written)


def remove_node(text: str, node: Loc) -> str:
    """Remove a node that no other one comes after.

    Raises:
        UserError: others come after it, it is the only one, or this text's form does not allow it.
    """

    def plain(data: Any) -> None:
        nodes = _at(data, node[:-1])
        if users := users_of(nodes, str(node[-1])):
            listed = ", ".join(f'"{name}"' for name in users)
            raise UserError(f'"{node[-1]}" cannot be deleted, as it is needed by {listed}; delete these first')
        if len(nodes) == 1:
            raise UserError(f'"{node[-1]}" cannot be deleted: a graph needs at least one node')
        del nodes[node[-1]]

    return _edited(text, plain, lambda text: without_entry(text, entry_at(text, node), keep_comments=False))


def users_of(nodes: dict[str, Any], name: str) -> list[str]:
    """Return the nodes of a graph, as plain data, that wait for a node or for its answer."""

    def needs(spec: Any) -> bool:
        after = spec.get("after") or ()
        embed = spec.get("embed") or {}
        return (
            any(str(one).partition(".")[0] == name for one in after)
            or spec.get("over") == name
            or (isinstance(embed, dict) and embed.get("texts") == name)
        )

    return [other for other, spec in nodes.items() if other != name and isinstance(spec, dict) and needs(spec)]


def agent_place(text: str, node: Loc) -> Loc | None:
    """Return where the agent of a node is written in this text; None where it is in a file of its own, or none."""
    data = parse_yaml(text, "").data
    agent = _at(data, node).get("agent")
    if isinstance(agent, dict):
        return (*node, "agent")
    return ("agents", agent) if agent in (data.get("agents") or {}) else None


def free_name(nodes: dict[str, Any], name: str = "step") -> str:
    """Return a name that no node of a graph has."""
    number = 2
    found = name
    while found in nodes:
        found, number = f"{name}-{number}", number + 1
    return found


def _edited(text: str, plain: Callable[[Any], None], written: Callable[[str], str]) -> str:
    """Make an edit in both forms and compare them."""
    wanted = copy.deepcopy(parse_yaml(text, "").data)
    plain(wanted)
    try:
        new = written(text)
        found = parse_yaml(new, "").data
    except (NotPossible, UserError):
        raise _refused(text) from None
    if json.dumps(found) != json.dumps(wanted):  # order counts
        raise _refused(text)
    return new


def _refused(text: str) -> UserError:
    aliases = " and it uses anchors (& and *)" if "&" in text and "*" in text else ""
    return UserError(f"the text is written in a form in which this cannot be changed safely{aliases}; edit the text")


def _at(data: Any, loc: Loc) -> Any:
    for step in loc:
        data = data[step]
    return data


def _first_of(spec: dict[str, Any]) -> str | None:
    """Return the agent's name where a node begins with it."""
    named = spec.get("agent")
    return named if isinstance(named, str) and next(iter(spec)) == "agent" else None


def _leaving(spec: dict[str, Any]) -> list[str]:
    """Return the keys that go when a node is no fan-out any more."""
    kept = {"losers"} if spec.get("need", "all") != "all" else set()
    return [key for key in _OF_A_FAN_OUT if key in spec and key not in kept]


def _braces(agent: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {json.dumps(value)}" for key, value in agent.items()) + "}"


def _word(name: str) -> str:
    """Return a name as YAML has it."""
    return name if reads_as_text(name) and name.replace("-", "").replace("_", "").isalnum() else json.dumps(name)
