"""Random workload files in which every feature of the language stands within every other, as a hypothesis strategy.

What `random_graphs` is for the engine, this is for the commands: a file as somebody would write it. Small in every
number (tokens, passes, items, jobs), so that one goes through all commands in a moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from harness.core.concurrency import CONCURRENCY
from harness.core.placement import PLACEMENT
from harness.core.scheduling import SCHEDULING

__all__ = ["ARRIVALS", "workloads"]

Nodes = dict[str, dict[str, Any]]

DEPTH = 3  # sub-pipelines in sub-pipelines
MOST_CALLS = 60  # of a job, at most: a loop at its most passes, a list at its most items
ARRIVALS: Mapping[str, Any] = {
    "every_s": 0.5,
    "at_s": [0, 0.25, 0.25],
    "closed": 2,
    "poisson_per_s": 2,
    "gamma": {"per_s": 2, "cv": 2},
    "ramp": {"from_per_s": 1, "to_per_s": 4, "over_s": 2},
    "bursts": {"size": 2, "every_s": 1},
    "trace": [0, 0.5],
}
TOKENS: Sequence[Any] = (
    *(1, 3, [1, 4], {"empirical": [1, 5]}, {"exponential": {"mean": 2, "max": 6}}),
    *({"lognormal": {"median": 2, "sigma": 0.5, "max": 4}}, {"gamma": {"mean": 3, "cv": 0.5, "max": 6}}),
)
GROWTH: Sequence[Any] = (1, 20, [4, 40], {"lognormal": {"median": 10, "sigma": 0.5, "max": 40}})
DELAYS_S: Sequence[Any] = (0, 0.25, [0.1, 0.5], {"exponential": {"mean": 0.2, "max": 1}})
COUNTS: Sequence[Any] = ({"count": [0, 2]}, {"count": 2}, {"count": {"lognormal": {"median": 1, "sigma": 1}}, "max": 2})
INPUTS: Mapping[str, Any] = {
    "words": {"list": ["red", "a rather longer one, so that sizes differ"]},
    "pages": {"synthetic": {"count": 2, "tokens": [4, 30]}},
}


class _Writer:
    """Writes graphs; sub-pipelines are written before what uses them."""

    def __init__(self, draw: st.DrawFn, control: str, *, races: bool, embeds: str = "", images: str = "") -> None:
        self.draw, self.control, self.races, self.embeds, self.images = draw, control, races, embeds, images
        self.subpipelines: dict[str, dict[str, Nodes]] = {}
        self.calls: dict[str, int] = {}  # of each sub-pipeline, at most

    def one_in(self, count: int) -> bool:
        return self.draw(st.integers(1, count)) == count

    def pick(self, options: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(options))

    def graph(self, depth: int, room: int) -> tuple[Nodes, int]:
        """Write a graph of at most this many calls (and one), and say how many it has."""
        nodes: Nodes = {}
        calls = 0
        kinds = ["agent", "branch", "fan", "list", "repeat", "tool", *["pipeline"] * (4 if depth else 0)]
        kinds += ["embed", "embed"] if self.embeds else []
        for i in range(self.draw(st.integers(1, 4))):
            if i and calls >= room:
                break
            before = sorted(self.draw(st.sets(st.sampled_from(sorted(nodes)), max_size=2))) if nodes else []
            node, made = self.node(self.pick(kinds), nodes, before, depth, max(1, room - calls))
            calls += made
            if after := [edge for other in before for edge in self.edges(other, nodes[other])]:
                node["after"] = after
                self.fan_in(node, len(after))
            nodes[f"n{i}"] = node
        return nodes, calls

    def edges(self, name: str, node: Mapping[str, Any]) -> Sequence[str]:
        labels = sorted(node.get("branch", {}))
        taken = self.pick([[], *([label] for label in labels), labels])
        return [f"{name}.{label}" for label in taken] or [name]

    def fan_in(self, node: dict[str, Any], most: int) -> None:
        if self.races and most > 1 and self.one_in(3):
            node["need"] = self.pick(["any", *range(1, most + 1)])
            if self.one_in(2):
                node["losers"] = "run"

    def node(self, kind: str, nodes: Nodes, before: list[str], depth: int, room: int) -> tuple[dict[str, Any], int]:
        """Write one node, and say how many calls it makes at most."""
        if kind == "tool":
            tool: dict[str, Any] = {"tool": {"delay_s": self.pick(DELAYS_S)}}
            return tool | ({"branch": {"x": 0.5, "y": 0.5}} if self.one_in(3) else {}), 0
        if kind == "pipeline":
            return self.use(depth, room)
        if kind == "embed":
            return self.embedding(nodes, before)
        node: dict[str, Any] = {}
        calls = 1
        lists = [other for other in before if "agent" in nodes[other] and "over" not in nodes[other]]
        if kind == "branch":
            node["branch"] = {"x": 0.5, "y": {"p": 0.5, "when": {"otherwise": True}}}
        elif kind == "list" and lists:
            node |= {"over": self.pick(lists), "items": self.pick(COUNTS)}
            calls = 2
        elif kind == "fan":
            node["over"], calls = self.pick(sorted(INPUTS)), 2
        elif kind == "repeat":
            calls = self.draw(st.integers(1, 3))
            node["repeat"] = self.repeat(calls, None)
        if self.races and "over" in node and self.one_in(2):
            node["enough"] = 1 if "items" in node else self.draw(st.integers(1, 2))
            if self.one_in(2):
                node["losers"] = "run"
        if self.one_in(4):
            node["retry"] = {"times": 1, "backoff_s": self.pick([0, 0.25])}
        if self.one_in(4):
            node["timeout_s"] = self.pick([0.25, 20]) if self.races else 1000
        if self.one_in(4):
            node["priority"] = self.draw(st.integers(-1, 1))
        told = [other for other in before if self.says(nodes[other])]
        flow = ["input", "previous"] if "repeat" in node and told else []
        node["agent"] = self.agent([*told, *sorted(INPUTS), *(["item"] if "over" in node else []), *flow])
        return node, calls

    def embedding(self, nodes: Nodes, before: list[str]) -> tuple[dict[str, Any], int]:
        """Embed an input, the answers of an earlier node, or the items of a list."""
        lists = [other for other in before if "agent" in nodes[other] and "over" not in nodes[other]]
        fans = [
            other for other in before if "agent" in nodes[other] and nodes[other].get("over") in INPUTS
            if "enough" not in nodes[other]
        ]  # fmt: skip
        embed: dict[str, Any] = {"model": self.embeds, "texts": self.pick(["item", *sorted(INPUTS), *lists, *fans])}
        node: dict[str, Any] = {"embed": embed}
        if embed["texts"] == "item":
            node["over"] = self.pick([*sorted(INPUTS), *lists])
            node |= {"items": self.pick(COUNTS)} if node["over"] in lists else {}
        elif self.one_in(2):
            embed["batch"] = 1
        if self.one_in(4):
            node["priority"] = self.draw(st.integers(-1, 1))
        return node, 2

    def use(self, depth: int, room: int) -> tuple[dict[str, Any], int]:
        """Use a sub-pipeline as a node: one that is written already, or a new one."""
        passes = self.draw(st.integers(1, 3))
        name = self.pick(["", *sorted(self.subpipelines)])
        if not name or self.calls[name] * passes > room:
            inner, calls = self.graph(depth - 1, max(1, room // passes))
            name = f"s{len(self.subpipelines)}"
            self.subpipelines[name], self.calls[name] = {"nodes": inner}, calls
        node: dict[str, Any] = {"pipeline": name}
        if self.one_in(4):
            node["priority"] = self.draw(st.integers(-1, 1))
        if passes > 1:
            node["repeat"] = self.repeat(passes, name)
        return node, self.calls[name] * passes

    def says(self, node: Mapping[str, Any]) -> bool:
        """Whether a template can name a node: a tool has no text, nor what ends in one."""
        if "pipeline" not in node:
            return "agent" in node
        nodes = self.subpipelines[node["pipeline"]]["nodes"]
        awaited = {edge.partition(".")[0] for other in nodes.values() for edge in other.get("after", ())}
        return any(self.says(inner) for name, inner in nodes.items() if name not in awaited)

    def agent(self, names: Sequence[str]) -> dict[str, Any]:
        slots = [f"{{{name}}}" for name in names if self.one_in(2)]
        agent = {"prompt": f"Say {' '.join(slots)}.", "output_tokens": self.pick(TOKENS)}
        if self.one_in(4):
            agent["system"] = f"Be brief. {' '.join(slots[:1])}"
            if slots[:1] in ([], ["{words}"]) and self.one_in(2):
                agent["shares_prefix"] = True
        if self.one_in(6):
            agent["format"] = "json"
        if self.one_in(4):
            agent |= {"think": True, "thinking_tokens": self.pick(TOKENS)}
        if self.images and self.one_in(4):
            agent |= {"images": [self.images], "image_tokens": 40}
        return agent

    def repeat(self, passes: int, name: str | None) -> dict[str, Any]:
        share = self.pick([None, 0.5, "drawn"])
        if share == "drawn":
            return {"passes": self.pick([passes, [1, passes], {"gamma": {"mean": 2, "cv": 1, "max": passes}}])}
        if share is None:
            return {"max": passes}
        if self.control == "draws":
            return {"max": passes, "until": share}
        deciding = None if name is None else sorted(self.deciding(name))
        if deciding == []:
            return {"max": passes}
        rule: dict[str, Any] = {"p": share, "when": {"regex": "e"}}
        return {"max": passes, "until": rule | ({} if deciding is None else {"node": self.pick(deciding)})}

    def deciding(self, name: str) -> Iterator[str]:
        """Yield the nodes of a sub-pipeline, and of those in it, that make one call and end no other loop."""
        for inner, node in self.subpipelines[name]["nodes"].items():
            until = node.get("repeat", {}).get("until")
            if "pipeline" in node:
                taken = until["node"] if until else None
                yield from (f"{inner}/{deeper}" for deeper in self.deciding(node["pipeline"]) if deeper != taken)
            elif "agent" in node and "over" not in node and not until:
                yield inner

    def grow(self, pipelines: Mapping[str, Any]) -> None:
        """Let some agents grow from pass to pass: those that are in a loop in every use of their graph."""
        depths: dict[int, set[tuple[int, bool]]] = {}  # by id of the node: loops around it, and whether in a session
        for pipeline in pipelines.values():
            self.deepen(pipeline["nodes"], 0, "session" in pipeline, depths)
        for spec in (
            node for graph in (*pipelines.values(), *self.subpipelines.values()) for node in graph["nodes"].values()
        ):
            found = depths.get(id(spec), {(0, False)})
            able = all(depth == 1 or (depth and not session) for depth, session in found)
            if able and "agent" in spec and "{previous}" not in str(spec["agent"]) and self.one_in(2):
                spec["grows"] = {"by": self.pick(GROWTH), "reuse_prefix": self.draw(st.booleans())}

    def deepen(self, nodes: Nodes, depth: int, session: bool, depths: dict[int, set[tuple[int, bool]]]) -> None:
        """Note how many loops are around each node of a graph in this use of it."""
        for spec in nodes.values():
            inner = depth + ("repeat" in spec)
            if "pipeline" in spec:
                self.deepen(self.subpipelines[spec["pipeline"]]["nodes"], inner, session, depths)
            else:
                depths.setdefault(id(spec), set()).add((inner, session))

    # --- around the graphs ---

    def pipeline(self, others: Sequence[str]) -> dict[str, Any]:
        nodes, calls = self.graph(DEPTH, MOST_CALLS)
        if not calls:  # a pipeline calls an agent
            nodes["call"] = {"agent": self.agent([])}
        path = self.pick(["batch", "interactive"])
        kind = self.pick(sorted(ARRIVALS))
        made: dict[str, Any] = {"path": path, "arrival": {kind: ARRIVALS[kind]}}
        if kind == "closed":
            made["arrival"]["think_s"] = self.pick(DELAYS_S)
        if self.one_in(3):
            turns, reused = self.pick([2, [1, 3]]), self.draw(st.booleans())
            made["session"] = {"turns": turns, "think_s": self.pick(DELAYS_S), "reuse_prefix": reused}
        how = self.pick(["jobs", "jobs", "after", "while"] if others else ["jobs"])
        if how == "while":  # at a bounded load: what it runs beside must come to its end
            made["while"], made["arrival"] = others[0], {"closed": 1, "think_s": 2}
        elif kind not in ("at_s", "trace"):
            made["jobs"] = self.draw(st.integers(1, 3))
        if how == "after":
            made["after"] = others[0]
        if path == "interactive" and self.one_in(3):
            made["goal"] = {"first_token_s": 0.5, "p50_s": 1.5}
        if self.one_in(3):
            made["priority"] = 1
        return made | {"nodes": nodes}

    def answer(self, pipelines: Mapping[str, Any]) -> None:
        """Where somebody waits, say for which node: of those of which one answer is the reply."""
        graphs = [*pipelines.values(), *self.subpipelines.values()]
        uses = Counter(spec.get("pipeline") for graph in graphs for spec in graph["nodes"].values())
        for pipeline in pipelines.values():
            nodes = pipeline["nodes"].values()
            once = [
                spec["pipeline"]
                for spec in nodes
                if "pipeline" in spec and uses[spec["pipeline"]] == 1 and "repeat" not in spec
            ]
            inner = [spec for name in once for spec in self.subpipelines[name]["nodes"].values()]
            able = [spec for spec in (*nodes, *inner) if "agent" in spec and "over" not in spec]
            if pipeline["path"] == "interactive" and able and self.one_in(2):
                self.pick(able)["answers"] = True

    def candidate(self, pipelines: Mapping[str, Any]) -> dict[str, Any]:
        """Any policy of each kind, on one server, on both, on a pool, or each node somewhere else."""
        servers = ["one", "two"]
        pool = {self.pick(sorted(PLACEMENT)): self.pick([servers, servers[::-1]])}
        placement: Any = self.pick(["one", "two", pool, None])
        if placement is None:
            placement = {"work": self.pick([*servers, pool])}
            for node, spec in pipelines["work"]["nodes"].items():
                if ("agent" in spec or "embed" in spec or self.calls.get(spec.get("pipeline", ""))) and self.one_in(2):
                    placement[f"work.{node}"] = self.pick([*servers, pool])
        # One slot cannot be parted between the paths.
        able = [name for name in sorted(CONCURRENCY) if name != "reserve" or placement == "two"]
        concurrency, scheduling = self.pick(able), self.pick(sorted(SCHEDULING))
        made = {"placement": placement, "concurrency": concurrency, "scheduling": scheduling}
        settings = {"limit": 1 if concurrency == "window" else 2, "reserve": 1, "max_wait_s": 0.25, "ageing_s": 2.0}
        for key in (*CONCURRENCY[concurrency].settings, *SCHEDULING[scheduling].settings):
            if self.one_in(2):
                made[key] = settings[key]
        return made


@st.composite
def workloads(
    draw: st.DrawFn,
    server: Mapping[str, Any],
    *,
    controls: Sequence[str] = ("draws", "model"),
    races: bool = True,
    embeds: str = "",
    images: str = "",
) -> dict[str, Any]:
    """A workload as it stands in its file, with two candidates on servers of one and two slots.

    Args:
        server: what both servers are, but for their slots.
        controls: who decides which way a job goes, any of these.
        races: with `need`, `enough` and time limits that strike: what is read may depend on who comes first.
        images: the file that some agents are shown; "": none are.
        embeds: a model that texts are embedded with, each server on a machine of its own then; "": none.
    """
    control = draw(st.sampled_from(controls))
    writer = _Writer(draw, control, races=races, embeds=embeds, images=images)
    pipelines: dict[str, Any] = {}
    for name in ("work", "chat")[: draw(st.integers(1, 2))]:
        pipelines[name] = writer.pipeline(list(pipelines))
    writer.grow(pipelines)
    writer.answer(pipelines)
    if any("while" in pipeline for pipeline in pipelines.values()):  # or the one beside it could be overtaken for ever
        for spec in (*pipelines.values(), *_nodes(pipelines), *_nodes(writer.subpipelines)):
            spec.pop("priority", None)
    return {
        "version": 1,
        "name": "random",
        "control": control,
        "seed": draw(st.integers(0, 99)),
        "pipelines": pipelines,
        **({"subpipelines": writer.subpipelines} if writer.subpipelines else {}),
        "inputs": dict(INPUTS),
        "servers": {
            name: {**server, "slots": slots} | ({"machine": f"host-{name}"} if embeds else {})
            for name, slots in (("one", 1), ("two", 2))
        },
        "compare": {name: writer.candidate(pipelines) for name in ("first", "second")},
        "measure": {"repeats": 2, "warmup": 0},
    }


def _nodes(graphs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    return (spec for graph in graphs.values() for spec in graph["nodes"].values())
