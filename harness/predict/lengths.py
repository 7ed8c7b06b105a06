"""What is known of the lengths of a workload's calls before any trial, for one way of counting tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from harness.predict.counting import Counting, made_up_length
from harness.workload.inputs import Inputs, varies
from harness.workload.load import Loaded
from harness.workload.prompts import Prompt, Slot
from harness.workload.schema import SyntheticInput

__all__ = ["Lengths"]

Key = tuple[str, str]  # pipeline, node


class Lengths:
    """What is known of the lengths of a workload's calls before any trial, for one way of counting.

    Args:
        loaded: the workload.
        counting: tokens of prompts.
        embedding: the same for texts that are embedded; None = there are none.
    """

    def __init__(self, loaded: Loaded, counting: Counting, embedding: Lengths | None = None) -> None:
        self.loaded, self.counting, self.embedding = loaded, counting, embedding
        self.prompts = {key: _measured(prompt, counting) for key, prompt in loaded.prompts.items()}
        self.over = {key: loaded.node(*key).over for key in loaded.prompts}
        inputs = loaded.workload.inputs.items()
        self._made_up = {name for name, spec in inputs if isinstance(spec, SyntheticInput)}
        self.reads_made_up = {key: bool(self._made_up & self._read(key)) for key in loaded.prompts}
        drawn = {name for name, spec in inputs if varies(spec)}
        self.reads_drawn = {key: bool(drawn & self._read(key)) for key in loaded.prompts}
        sources = loaded.lists()
        self.listed = {
            (name, node): float(
                max(loaded.graphs[name].nodes[after]["mean_width"] for after in loaded.graphs[name].successors(source))
            )
            for (name, node), source in sources.items()
        }
        # Of embeddings: the texts of a request, at most.
        nodes = {(name, node): facts for name, graph in loaded.graphs.items() for node, facts in graph.nodes.items()}
        self.batch = {key: nodes[key]["batch"] or None for key in loaded.prompts}
        self._items: dict[tuple[str, int], tuple[float, ...]] = {}

    def _read(self, key: Key) -> set[str]:
        """Return the inputs that a node's prompt reads."""
        names = set(self.loaded.prompts[key].names & self.loaded.inputs.keys())
        over = self.over[key]
        return names | ({over} if over in self.loaded.inputs and over is not None else set())

    def items(self, name: str, inputs: Inputs, repeat: int) -> tuple[float, ...]:
        """Return the lengths of the items of an input whose sizes do not vary.

        Made-up text is new in each repeat; where a length is a guess all the same, that of the first stands for all.
        """
        again = self.counting.exact and name in self._made_up
        key = (name, repeat if again else 0)
        if key not in self._items:
            texts = inputs.items(name, "", 0) if again else self.loaded.inputs[name]
            made_up = name in self._made_up
            self._items[key] = tuple(
                made_up_length(self.counting, text) if made_up else self.counting.text(text) for text in texts
            )
        return self._items[key]


class _Measured(NamedTuple):
    """A prompt whose own text has been measured."""

    user: float
    user_names: tuple[str, ...]
    system: float | None
    system_names: tuple[str, ...]


def _measured(prompt: Prompt, counting: Counting) -> _Measured:
    def own(template: Sequence[str | Slot]) -> tuple[float, tuple[str, ...]]:
        names = tuple(part.name for part in template if isinstance(part, Slot))
        return sum(counting.text(part) for part in template if isinstance(part, str)), names

    user, user_names = own(prompt.template)
    system, system_names = own(prompt.system or ())
    return _Measured(user, user_names, None if prompt.system is None else system, system_names)
