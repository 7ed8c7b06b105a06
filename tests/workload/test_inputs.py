"""Items: files in the order of their names, made-up text from the seed."""

from __future__ import annotations

from pathlib import Path

from harness.workload.inputs import fixed_inputs, synthetic
from harness.workload.mistakes import Mistakes
from harness.workload.prompts import estimate_tokens
from harness.workload.schema import FileInput, Input, ListInput
from harness.workload.source import Source


def test_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name, text in (("b.md", " two\n"), ("a.md", "one\r\nline\n"), ("c.txt", "three")):
        (tmp_path / name).write_bytes(text.encode())
    (tmp_path / "d.md").mkdir()
    mistakes = Mistakes(Source("f", {}, {}, {}))
    inputs: dict[str, Input] = {"docs": FileInput(files="*.md"), "tags": ListInput(list=("x", "y"))}
    assert fixed_inputs(inputs, tmp_path, mistakes) == {"docs": ("one\nline", "two"), "tags": ("x", "y")}
    mistakes.raise_if_any()


def test_synthetic_is_the_same_everywhere() -> None:
    """A golden text: a change of it would make old runs and new ones differ."""
    assert synthetic(7, 0, "documents", 2, 10) == (
        "may sun to corn will went long over off.",
        "that seed came cut any. road boat lake.",
    )


def test_synthetic_differs_by_everything_it_is_drawn_from() -> None:
    texts = {
        synthetic(seed, repeat, name, 3, 40)[i]
        for seed in (0, 1)
        for repeat in (0, 1)
        for name in ("a", "b")
        for i in range(3)
    }
    assert len(texts) == 24


def test_synthetic_has_about_the_tokens_asked_for() -> None:
    for tokens in (1, 2, 7, 50, 400):
        (text,) = synthetic(1, 0, "x", 1, tokens)
        words_and_stops = len(text.split()) + text.count(".")
        assert tokens <= words_and_stops <= tokens + 1
    assert 0.9 < sum(map(estimate_tokens, synthetic(1, 0, "x", 20, 200))) / 4000 < 1.1
