"""Change a workload's graph by hand: what is known of a node, and the text with an edit in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from harness.app.workload import Written, load
from harness.content import available
from harness.errors import UserError, did_you_mean
from harness.workload.agents import find_card
from harness.workload.edits import (
    add_node_after,
    agent_place,
    free_name,
    remove_node,
    set_output_tokens,
    set_over,
    users_of,
)
from harness.workload.lines import LineRange, lines_of
from harness.workload.load import Loaded
from harness.workload.source import Loc, parse_yaml

__all__ = ["DesignEdit", "EditedText", "NodeFacts", "edit_text", "node_facts"]

EditKind = Literal["add-after", "fan-out", "one-call", "tokens", "delete"]


@dataclass(frozen=True, kw_only=True)
class DesignEdit:
    """One edit of a node."""

    kind: EditKind
    pipeline: str
    node: str  # one of a sub-pipeline: refine/critic
    name: str = ""  # add-after: of the new node
    agent: str | None = None  # add-after: whose name it calls; None: an agent of its own
    over: str = ""  # fan-out: the input
    tokens: tuple[int, ...] = ()  # tokens: a number, or the least and the most


class EditedText(NamedTuple):
    """The text with the edit in it, and where that is; None: the lines are gone."""

    text: str
    lines: LineRange | None


class NodeFacts(NamedTuple):
    """What an edit of a node can begin with."""

    kind: str  # agent, tool, embed or pipeline
    agent: str  # its name; "" = it has none, or one of its own
    card: str  # the file that the agent is in; "" = it is in the text, or there is none
    shared_by: int  # nodes that call this agent
    tokens: tuple[int, ...]  # a number, or the least and the most; () = none, or a distribution
    over: str  # "" = no fan-out
    needed_by: tuple[str, ...]  # nodes that come after it
    inputs: tuple[str, ...]
    agents: tuple[str, ...]
    free_name: str  # for a node after it


def node_facts(written: Written, pipeline: str, node: str) -> NodeFacts:
    """Return what is known of a node.

    Raises:
        WorkloadError, UserError: the workload has mistakes, or no such node.
    """
    loaded = load(written)
    at = _place(loaded, pipeline, node)
    data = parse_yaml(written.text, str(written.path)).data
    nodes = _at(data, at[:-1])
    spec = nodes[at[-1]]
    named = spec.get("agent")
    agent = named if isinstance(named, str) else ""
    where = agent_place(written.text, at)
    tokens = _at(data, where).get("output_tokens") if where is not None else None
    graphs = [one["nodes"] for part in ("pipelines", "subpipelines") for one in (data.get(part) or {}).values()]
    return NodeFacts(
        kind=next((key for key in ("agent", "tool", "embed", "pipeline") if key in spec), ""),
        agent=agent,
        card=_card(written, agent) if agent and where is None else "",
        shared_by=sum(one.get("agent") == agent for graph in graphs for one in graph.values()) if agent else 1,
        tokens=_numbers(tokens),
        over=spec.get("over") or "",
        needed_by=tuple(users_of(nodes, str(at[-1]))),
        inputs=tuple(data.get("inputs") or ()),
        agents=tuple(sorted({*(data.get("agents") or ()), *available("agents", ".md", written.path.parent)})),
        free_name=free_name(nodes),
    )


def edit_text(written: Written, edit: DesignEdit) -> EditedText:
    """Make one edit. The text loads afterwards, and everything that is not meant stays as it is.

    Raises:
        WorkloadError: the workload has mistakes already.
        UserError: the edit cannot be made, or would be a mistake.
    """
    at = _place(load(written), edit.pipeline, edit.node)
    text, shown = _made(written, at, edit)
    mistake = _mistake(written, text)
    if mistake and edit.kind == "add-after" and edit.agent is None:  # some nodes answer no text
        text = add_node_after(written.text, at, edit.name, told=False)
        mistake = _mistake(written, text)
    if mistake:
        raise UserError(f"not done, as it would be a mistake: {mistake}")
    return EditedText(text, lines_of(parse_yaml(text, str(written.path)), text, shown))


def _mistake(written: Written, text: str) -> str:
    """Return the first mistake of a text, without its place, which is in no text that anybody sees."""
    try:
        load(written._replace(text=text))
    except UserError as error:
        first = str(error).split("\n")[0]
        return re.sub(rf"^{re.escape(str(written.path))}(:\d+:\d+)?: ", "", first)
    return ""


def _made(written: Written, at: Loc, edit: DesignEdit) -> tuple[str, Loc]:
    """Return the text with the edit in it, and what is shown of it."""
    text = written.text
    if edit.kind == "add-after":
        return add_node_after(text, at, edit.name, edit.agent), (*at[:-1], edit.name)
    if edit.kind == "fan-out":
        return set_over(text, at, edit.over), at
    if edit.kind == "one-call":
        return set_over(text, at, None), at
    if edit.kind == "delete":
        return remove_node(text, at), at
    agent = agent_place(text, at)
    if agent is None:
        spec = _at(parse_yaml(text, str(written.path)).data, at)
        if not isinstance(spec.get("agent"), str):
            raise UserError(f'"{at[-1]}" calls no agent, so there are no tokens to change')
        card = _card(written, spec["agent"])
        raise UserError(f'the agent "{spec["agent"]}" is in the file {card}: change `output_tokens` there')
    return set_output_tokens(text, agent, edit.tokens), (*agent, "output_tokens")


def _place(loaded: Loaded, pipeline: str, node: str) -> Loc:
    at = loaded.written.get((pipeline, node))
    if at is None:
        names = [name for other, name in loaded.written if other == pipeline]
        raise UserError(f'no node "{node}" in "{pipeline}"{did_you_mean(node, names)}')
    return at


def _card(written: Written, agent: str) -> str:
    card = find_card(agent, written.path.parent)
    return "" if card is None else str(card.path)


def _numbers(tokens: Any) -> tuple[int, ...]:
    listed = tokens if isinstance(tokens, list) else [tokens]
    return tuple(listed) if all(type(one) is int for one in listed) else ()


def _at(data: Any, loc: Loc) -> Any:
    for step in loc:
        data = data[step]
    return data
