"""Calls that no agent is named for, told apart by their place in the trace: the first, those side by side, the last.

Calls that overlap are in one place. Places are numbered where there are as many of them wherever such calls were made:
then the second is always the second. Where their number differs, and where a tool comes back between them, they are
one agent that calls again, and the loop is recovered as of any agent.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from harness.imports.steps import Trace, TraceStep

__all__ = ["parted"]

Label = tuple[str, str, str]
_SAME_S = 5e-4
_MOST_PLACES = 12  # more of them are a loop


def parted(traces: Sequence[Trace]) -> list[Trace]:
    """Return traces of one application with a name for each place of calls without one."""
    by_part = _numbered(traces, lambda step: step.owner)
    return _numbered(by_part, lambda step: "all" if step.nameless else "")


def _numbered(traces: Sequence[Trace], whose: Callable[[TraceStep], str]) -> list[Trace]:
    """Number the places of calls with the same label within what `whose` says; "" leaves a call alone."""
    places: dict[Label, list[list[list[int]]]] = defaultdict(list)  # of each group, its places as indices of steps
    where: list[dict[Label, list[list[list[int]]]]] = []
    again: set[Label] = set()
    for trace in traces:
        groups: dict[tuple[Label, str], list[int]] = defaultdict(list)
        for i, step in enumerate(trace.steps):
            if step.label[0] == "agent" and (group := whose(step)):
                groups[step.label, group].append(i)
        here: dict[Label, list[list[list[int]]]] = defaultdict(list)
        for (label, _), members in groups.items():
            layers = _layers(trace.steps, members)
            here[label].append(layers)
            places[label].append(layers)
            if _tool_comes_back(trace.steps, members):
                again.add(label)
        where.append(here)
    split = {
        label
        for label, groups_of in places.items()
        if label not in again
        and len({len(layers) for layers in groups_of}) == 1
        and 1 < len(groups_of[0]) <= _MOST_PLACES
    }
    if not split:
        return list(traces)
    return [_renamed(trace, here, split) for trace, here in zip(traces, where, strict=True)]


def _renamed(trace: Trace, here: dict[Label, list[list[list[int]]]], split: Iterable[Label]) -> Trace:
    steps = list(trace.steps)
    for label in split:
        for layers in here.get(label, ()):
            for number, layer in enumerate(layers, start=1):
                for i in layer:
                    kind, name, _ = label
                    steps[i] = steps[i]._replace(label=(kind, f"{name}-{number}", ""), nameless=False)
    return trace._replace(steps=tuple(steps))


def _layers(steps: Sequence[TraceStep], members: Sequence[int]) -> list[list[int]]:
    """Split calls, in the order of their starts, at the instants at which none of them is in flight."""
    layers: list[list[int]] = []
    start_s = end_s = float("-inf")
    for i in members:
        step = steps[i]
        if step.start_s >= end_s - _SAME_S and step.start_s - start_s > _SAME_S:
            layers.append([])
            start_s = step.start_s
        layers[-1].append(i)
        end_s = max(end_s, step.end_s)
    return layers


def _tool_comes_back(steps: Sequence[TraceStep], members: Sequence[int]) -> bool:
    """Tell whether a tool runs more than once between calls."""
    between = Counter(step.label for step in steps[members[0] : members[-1]] if step.label[0] == "tool")
    return any(n > 1 for n in between.values())
