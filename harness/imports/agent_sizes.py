"""What was measured of one agent, as its keys in the file: sizes of prompts, answers and thinking, and its model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from harness.imports.account import ImportLoss
from harness.imports.draft import DraftNote, ask, note
from harness.imports.fit import SizeFit, fit
from harness.imports.steps import TraceStep

__all__ = ["MAX_PROMPT_TOKENS", "AgentDraft", "SeenAgent"]

MAX_PROMPT_TOKENS = 100_000  # of the made-up text of one call, as the language allows
_GUESSED = {"prompt": 300, "answer": 100}
_TOO_LONG = f"of texts with more than {MAX_PROMPT_TOKENS:,} tokens, the most that made-up text can have"
_UNCOUNTED = "guessed for calls whose tokens are not counted: as long as others of the same agent"


class AgentDraft(NamedTuple):
    """An agent as it stands in the file, the made-up texts that it reads, and what of it is otherwise than it was."""

    spec: dict[str, Any]
    notes: tuple[DraftNote, ...]
    inputs: dict[str, Any]
    largest_call: float  # tokens
    lost: tuple[ImportLoss, ...]


class SeenAgent:
    """All calls of one agent. `fan`: they run over the items of a list."""

    def __init__(self, name: str, fan: bool) -> None:
        self.name, self.fan = name, fan
        self.texts: dict[int, str] = {} if fan else {1: f"{name}-text"}  # inputs by their number of items
        self.input_tokens: list[int] = []  # of one that grows in a loop, of the first pass
        self.output_tokens: list[int] = []
        self.thinking_tokens: list[int] = []  # of every call, 0 where it did not think
        self.models: Counter[str] = Counter()
        self._most_input_tokens = 0
        self._read = self._found_again = 0  # prompt tokens of all calls, and how many of these a cache had
        self._calls = self._prompts = 0  # calls, and how many of these have a prompt that was counted
        self._grown = False

    def add(self, steps: Sequence[TraceStep], *, grows: bool) -> None:
        """Add calls; where they grow in a loop, `first` has the sizes of their prompts."""
        self._grown = self._grown or grows
        for step in steps:
            self._calls += 1
            self._read += step.input_tokens or 0
            self._found_again += step.cached_tokens
            self._most_input_tokens = max(self._most_input_tokens, step.input_tokens or 0)
            if step.input_tokens:
                self._prompts += 1
                if not grows:
                    self.input_tokens.append(step.input_tokens)
            if step.output_tokens:
                self.output_tokens.append(step.output_tokens)
            self.thinking_tokens.append(step.thinking_tokens)
            if step.model:
                self.models[step.model] += 1

    def text(self, items: int) -> str:
        """Return the input that a fan-out of so many calls runs over."""
        if items not in self.texts:
            self.texts[items] = f"{self.name}-text-of-{items}" if self.texts else f"{self.name}-text"
        return self.texts[items]

    def draft(self, written: Callable[[SizeFit, str], Any]) -> AgentDraft:
        """Return its keys; `written` puts a distribution into the file, or into a file of its own of that name."""
        name, notes = self.name, list[DraftNote]()
        sizes: dict[str, Any] = {}
        means: dict[str, float] = {}
        uncounted: list[str] = []
        for key, values in (("prompt", self.input_tokens), ("answer", self.output_tokens)):
            if values:
                capped = [min(value, MAX_PROMPT_TOKENS) for value in values]
                fitted = fit(capped, whole=True)
                sizes[key], means[key] = written(fitted, f"{name}-{key}-tokens"), fmean(capped)
                notes.append(note(f"{key} tokens: {fitted.words}"))
            else:
                sizes[key] = means[key] = _GUESSED[key]
                uncounted.append(key)
        if uncounted:
            text = f"how many {' and '.join(uncounted)} tokens has {name}? The traces count none."
            notes.append(ask(text, " and ".join(str(sizes[key]) for key in uncounted)))
        spec: dict[str, Any] = {"prompt": "", "output_tokens": sizes["answer"]}
        if any(self.thinking_tokens):
            thought = [min(max(1, value), MAX_PROMPT_TOKENS) for value in self.thinking_tokens]
            fitted = fit(thought, whole=True)
            spec |= {"think": True, "thinking_tokens": written(fitted, f"{name}-thinking-tokens")}
            notes.append(note(f"thinking tokens, which are not in the answer: {fitted.words}"))
        if self._found_again and self._read:
            share = min(1.0, self._found_again / self._read)
            notes.append(note(f"{share:.0%} of its prompt tokens were found again in a prompt cache; they count"))
        if models := [model for model, _ in self.models.most_common()]:
            notes.append(note(f"model: {', '.join(models)}"))
        spec["prompt"] = "{item}" if self.fan else f"{{{name}-text}}"
        return AgentDraft(
            spec,
            tuple(notes),
            {text: {"synthetic": {"count": items, "tokens": sizes["prompt"]}} for items, text in self.texts.items()},
            (self._most_input_tokens or 300)
            + max(self.output_tokens, default=100)
            + max(self.thinking_tokens, default=0),
            tuple(self._lost(means)),
        )

    def _lost(self, means: dict[str, float]) -> Iterator[ImportLoss]:
        """Yield what is written of its tokens otherwise than it was counted."""
        without = (0 if self._grown else self._calls - self._prompts, self._calls - len(self.output_tokens))
        if any(without):
            added_in, added_out = (n * means[key] for n, key in zip(without, ("prompt", "answer"), strict=True))
            yield ImportLoss(_UNCOUNTED, 0, -added_in, -added_out)
        over_in, over_out = (
            sum(max(0, value - MAX_PROMPT_TOKENS) for value in values)
            for values in (self.input_tokens, [*self.output_tokens, *self.thinking_tokens])
        )
        if over_in or over_out:
            yield ImportLoss(_TOO_LONG, 0, over_in, over_out)
