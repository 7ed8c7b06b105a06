"""The items that nodes fan out over: text files, written lists, made-up documents."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

from harness.content import check_inside
from harness.core.sizes import Distribution
from harness.errors import WorkloadError
from harness.workload.mistakes import Mistakes, found
from harness.workload.schema import FileInput, Input, ListInput, SyntheticInput, distribution
from harness.workload.source import Loc, read_text

__all__ = ["fixed_inputs", "made_up", "synthetic"]

MAX_ITEMS = 10_000
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
    return tuple(_document(random.Random(f"{seed}/{repeat}/{name}/{i}"), max(1, n)) for i, n in enumerate(sizes))


def made_up(seed: int, repeat: int, name: str, spec: SyntheticInput) -> tuple[str, ...]:
    """Return the documents of a synthetic input in one repeat."""
    return synthetic(seed, repeat, name, spec.synthetic.count, distribution(spec.synthetic.tokens, whole=True))


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
