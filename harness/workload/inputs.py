"""The items that nodes fan out over: text files, written lists, made-up documents."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.content import check_inside
from harness.core.sizes import Distribution
from harness.errors import WorkloadError
from harness.workload.mistakes import Mistakes, found
from harness.workload.prompts import estimate_tokens
from harness.workload.schema import FileInput, Input, ListInput, SyntheticInput, distribution, is_fixed
from harness.workload.source import Loc, read_text

__all__ = [
    "Inputs",
    "document",
    "expected_tokens",
    "fixed_inputs",
    "job_key",
    "job_sizes",
    "made_up",
    "synthetic",
    "varies",
]

MAX_ITEMS = 10_000
KEPT = 256  # jobs whose made-up documents are kept
MAX_INPUT_BYTES = 16 * 1024 * 1024

# Frequent short words, most of them one token of any tokenizer: n words and stops make about n tokens.
_TEXT = (
    "the a one two some each any its our this that old new red blue dry wet warm cold low high long "
    "soft tall deep wide tree leaf root seed rain sun moon wind hill lake river field road stone bird "
    "fish fox goat horse boat house door wall roof barn tool rope wheel bread salt milk corn rice soup "
    "tea day night week year hour song book page word line is was has had can may will did grew fell "
    "made took gave held kept saw found left came went ran sat fed cut dug set and but or so then when "
    "while near over under on in by at for with from to up off out now here there once again "
)
_WORDS = tuple(_TEXT.split())


def synthetic(seed: int, repeat: int, name: str, count: int, tokens: int | Distribution) -> tuple[str, ...]:
    """Make up `count` documents of about `tokens` tokens: the same for equal arguments, on every machine."""
    sizes = [
        tokens if isinstance(tokens, int) else int(tokens.draw(seed, repeat, "inputs", name, i, "tokens"))
        for i in range(count)
    ]
    return tuple(document(f"{seed}/{repeat}/{name}/{i}", max(1, n)) for i, n in enumerate(sizes))


def made_up(seed: int, repeat: int, name: str, spec: SyntheticInput) -> tuple[str, ...]:
    """Return the documents of a synthetic input in one repeat."""
    return synthetic(seed, repeat, name, spec.synthetic.count, distribution(spec.synthetic.tokens, whole=True))


def job_key(job: int, session: int) -> int:
    """Return whose documents a call reads: those of its conversation (0 and more), else of its job (below 0)."""
    return session if session >= 0 else -1 - job


class Inputs:
    """The items of every input in one repeat.

    Where the sizes of a made-up input vary, every job has documents of its own (a conversation: for all of its turns),
    or all requests of a trial would be equally long. Everything else is the same for all jobs of a repeat.

    Args:
        seed, repeat: keys of the draws.
        specs: the inputs as they are written.
        items: of inputs that are no made-up ones.
    """

    def __init__(
        self, seed: int, repeat: int, specs: Mapping[str, Input], items: Mapping[str, tuple[str, ...]]
    ) -> None:
        self._seed, self._repeat = seed, repeat
        self._items = {name: items[name] for name, spec in specs.items() if not isinstance(spec, SyntheticInput)}
        self._varying: dict[str, SyntheticInput] = {}
        for name, spec in specs.items():
            if isinstance(spec, SyntheticInput):
                if varies(spec):
                    self._varying[name] = spec
                else:
                    self._items[name] = items[name] if repeat == 0 else made_up(seed, repeat, name, spec)
        self._drawn: dict[tuple[str, str, int], tuple[str, ...]] = {}

    def items(self, name: str, pipeline: str, who: int) -> tuple[str, ...]:
        """Return the items that a job reads.

        Args:
            name: of the input.
            pipeline: in the keys of its draws (`Pipeline.drawn_by`).
            who: the job or conversation (`job_key`).
        """
        spec = self._varying.get(name)
        if spec is None:
            return self._items[name]
        key = (name, pipeline, who)
        if key not in self._drawn:
            if len(self._drawn) >= KEPT:  # they can be made up again
                del self._drawn[next(iter(self._drawn))]
            sizes = self.sizes(name, pipeline, who)
            self._drawn[key] = tuple(
                document(f"{self._seed}/{self._repeat}/{name}/{pipeline}/{who}/{i}", size)
                for i, size in enumerate(sizes)
            )
        return self._drawn[key]

    def varies(self, name: str) -> bool:
        """Tell whether the sizes of an input's documents vary."""
        return name in self._varying

    def sizes(self, name: str, pipeline: str, who: int) -> tuple[int, ...]:
        """Return the tokens of these items, of an input whose sizes vary."""
        return job_sizes(self._varying[name], name, self._seed, self._repeat, pipeline, who)


def varies(spec: Input) -> bool:
    """Tell whether the documents of an input have different sizes from draw to draw."""
    return isinstance(spec, SyntheticInput) and not is_fixed(spec.synthetic.tokens)


def expected_tokens(spec: Input, items: Sequence[str]) -> tuple[int, ...]:
    """Return about how many tokens each item has, before anything is drawn: the mean where sizes vary."""
    if isinstance(spec, SyntheticInput) and varies(spec):
        return (round(distribution(spec.synthetic.tokens, whole=True).mean),) * spec.synthetic.count
    return tuple(estimate_tokens(item) for item in items)


def job_sizes(spec: SyntheticInput, name: str, seed: int, repeat: int, pipeline: str, who: int) -> tuple[int, ...]:
    """Draw the tokens of each document that a job reads of an input whose sizes vary."""
    tokens = distribution(spec.synthetic.tokens, whole=True)
    key = (repeat, "inputs", name, pipeline, who)
    return tuple(max(1, int(tokens.draw(seed, *key, i, "tokens"))) for i in range(spec.synthetic.count))


def document(key: str, tokens: int) -> str:
    """Make up a text of about so many tokens: the same for the same key, on every machine."""
    return _document(random.Random(key), tokens)


def _document(draw: random.Random, tokens: int) -> str:
    words: list[str] = []
    spent = 0
    while spent < tokens:
        n = min(draw.randint(6, 13), tokens - spent)
        words += draw.choices(_WORDS, k=max(1, n - 1))
        words[-1] += "."
        spent += max(1, n - 1) + 1
    return " ".join(words)


def fixed_inputs(inputs: Mapping[str, Input], folder: Path, mistakes: Mistakes) -> dict[str, tuple[str, ...]]:
    """Return the items of every input that is the same in each repeat; what is wrong goes into `mistakes`."""
    result: dict[str, tuple[str, ...]] = {}
    for name, spec in inputs.items():
        if isinstance(spec, ListInput):
            result[name] = spec.list
            if not spec.list:
                mistakes.add(("inputs", name, "list"), f'input "{name}" has no items, so nothing fans out over it')
        elif isinstance(spec, FileInput):
            result[name] = _read_files(spec.files, folder, mistakes, ("inputs", name, "files"))
    return result


def _read_files(glob: str, folder: Path, mistakes: Mistakes, loc: Loc) -> tuple[str, ...]:
    if Path(glob).is_absolute() or glob.startswith(("~", "\\")):
        mistakes.add(loc, f"expected a path below the workload's folder, found {found(glob)}")
        return ()
    if ".." in Path(glob).parts:
        mistakes.add(loc, f"expected a path that stays in the workload's folder, found {found(glob)}")
        return ()
    try:
        paths = sorted((path for path in folder.glob(glob) if path.is_file()), key=lambda path: path.as_posix())
    except (ValueError, NotImplementedError, OSError) as error:
        mistakes.add(loc, f"expected a path or a pattern such as data/*.md, found {found(glob)} ({error})")
        return ()
    if not paths:
        mistakes.add(loc, f"no file matches {found(glob)} in the folder {folder}")
    if len(paths) > MAX_ITEMS:
        mistakes.add(loc, f"expected at most {MAX_ITEMS} files, found {len(paths)}")
        return ()
    items: list[str] = []
    left = MAX_INPUT_BYTES
    for path in paths:
        try:
            check_inside(path, folder)
            text = read_text(path, left)
        except WorkloadError as error:
            mistakes.add_at(error.where, error.message)
            continue
        left -= len(text.encode())
        if not text.strip():
            mistakes.add_at(str(path), f'the file is empty; input "{loc[1]}" needs text in each')
        items.append(text.replace("\r\n", "\n").strip())
    return tuple(items)
