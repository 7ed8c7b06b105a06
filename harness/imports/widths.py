"""How many calls of a node ran at once, from turn to turn."""

from __future__ import annotations

from itertools import pairwise

from harness.imports.mine import MinedNode, Occurrence

__all__ = ["bins", "widths_of"]

MOST_BINS = 12  # ways of a choice; more widths than that are joined with their neighbours


def widths_of(node: MinedNode) -> list[int]:
    """Return the number of calls of each turn; of a loop or a choice 1."""
    return [max(1, len(one.steps)) for one in node.occurrences] or [1]


def bins(node: MinedNode) -> list[tuple[int, MinedNode]]:
    """Return the turns of a node by their width, narrow ones first; of too many widths, neighbours by their mean."""
    ordered = sorted(node.occurrences, key=lambda one: len(one.steps))
    if len({len(one.steps) for one in ordered}) <= MOST_BINS:
        groups = [[one for one in ordered if len(one.steps) == width] for width in sorted({*widths_of(node)})]
    else:
        ends = [round(len(ordered) * i / MOST_BINS) for i in range(MOST_BINS + 1)]
        groups = [ordered[a:b] for a, b in pairwise(ends) if a < b]
    found: dict[int, list[Occurrence]] = {}
    for group in groups:
        width = round(sum(len(one.steps) for one in group) / len(group))
        found.setdefault(width, []).extend(group)
    return [(width, node._replace(occurrences=tuple(turns))) for width, turns in sorted(found.items())]
