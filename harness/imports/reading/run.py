"""The reading part as a program of its own, for another environment: targets in, JSON out."""

from __future__ import annotations

import json
import sys
from typing import Any

from harness.imports.reading.graph import read_graph
from harness.imports.reading.targets import TargetError, load_target, targets_in

__all__ = ["main", "read_targets"]


def read_targets(targets: list[str]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return for each graph that is named: its name, its target, and the graph as plain data.

    Raises:
        TargetError: something cannot be imported or read.
    """
    found = []
    for target in targets:
        for name, one in targets_in(target):
            graph = load_target(one)
            try:
                found.append((name, one, read_graph(graph)))
            except Exception as error:  # noqa: BLE001 - objects of any version of a library
                what = f"{type(error).__name__}: {error}"
                raise TargetError(f"{one}: its graph cannot be read: {what}") from None
    return found


def main(targets: list[str]) -> None:
    """Print what was read, or why it could not be."""
    out = sys.stdout
    try:
        print(json.dumps({"graphs": read_targets(targets)}), file=out)
    except TargetError as error:
        print(json.dumps({"error": str(error)}), file=out)
