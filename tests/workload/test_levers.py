"""Levers of a server in a workload."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from workload.mistaken import HEAD, message

from harness.core.levers import LEVERS
from harness.workload.load import load_workload

PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "levers.md"

LINES = HEAD + "servers:\n  o: {kind: ollama, model: m"


def test_they_are_kept_as_words_and_written_so_that_they_read_back(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(LINES + ", levers: {ram_cache: off, kv_unified: true, kv_type: q8_0}}\n", encoding="utf-8")
    loaded = load_workload(path)
    asked = {"ram_cache": "off", "kv_unified": "on", "kv_type": "q8_0"}
    assert loaded.servers["o"].levers == asked
    assert loaded.resolved().servers["o"].levers == asked


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("levers: {ram_cach: off}", 'w.yaml:10:40: servers.o.levers: no lever "ram_cach"; did you mean "ram_cache"?'),
        ("levers: {ram_cache: 3}", 'w.yaml:10:40: servers.o.levers: ram_cache: expected on or off, found "3"'),
        (
            "levers: {threads: 3}",
            'w.yaml:10:40: servers.o.levers: no lever "threads"; `threads` is a key of the server itself',
        ),
        ("levers: off", 'w.yaml:10:39: servers.o.levers: expected a mapping, found "off"'),
        (
            'url: "http://h:1", levers: {ram_cache: off}',
            "w.yaml:10:3: servers.o.ollama: levers are variables of the server's process, and this one runs already "
            "(`url`): start it with them, or leave `url` out",
        ),
        (
            "levers: {speculation: small.gguf}",
            "w.yaml:10:3: servers.o.ollama: speculation: Ollama takes no file for it; expected ngram or off, or use "
            "the embedded engine (kind: llamacpp)",
        ),
        (
            "levers: {micro_batch: 256}",
            "w.yaml:10:3: servers.o.ollama: micro_batch: Ollama has no variable for it, its micro-batch is as large as "
            "`batch_tokens`: set that, or use the embedded engine (kind: llamacpp)",
        ),
    ],
)
def test_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, expected: str) -> None:
    assert message(tmp_path, monkeypatch, f"{LINES}, {more}}}\n") == expected


def test_a_micro_batch_is_at_most_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = HEAD + "servers:\n  o: {kind: llamacpp, batch_tokens: 256, levers: {micro_batch: 512}}\n"
    assert message(tmp_path, monkeypatch, text) == (
        "w.yaml:10:3: servers.o.llamacpp: micro_batch: expected at most the 256 of `batch_tokens`"
    )


def test_servers_that_differ_in_a_lever_do_not_stand_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    one = "  one: {kind: ollama, model: m, slots: 1}\n"
    path.write_text(LINES + ", slots: 4, levers: {ram_cache: off}}\n" + one, encoding="utf-8")
    loaded = load_workload(path)  # the standard set: serial on one slot, the others on four
    serial = next(plan for plan in loaded.plans if plan.name == "serial")
    spec = loaded.servers[serial.queues[0].server]
    assert (spec.slots, spec.levers) == (1, {"ram_cache": "off"})


def test_the_page_says_what_the_code_knows(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name, lever in LEVERS.items():
        _, about, values, given, since, usual = _first_row(text, name)
        assert lever.about.lower().startswith(about.lower().split(",")[0].split(";")[0])
        assert values == (", ".join(f"`{value}`" for value in lever.values) or "a number") + (
            " or a GGUF file (.gguf)" if lever.takes_file else ""
        )
        assert all(key in given for variables in lever.variables.values() for key in variables)
        assert since.strip() == lever.since
        assert usual.startswith(lever.usual)
    examples = re.findall(r"^```yaml\n(.*?)^```$", text, re.M | re.S)
    found = []
    for example in examples:
        (tmp_path / "w.yaml").write_text(example, encoding="utf-8")
        found += [spec.levers for spec in load_workload(tmp_path / "w.yaml").servers.values()]
    assert found == [{}, {"ram_cache": "off"}, {}, {"speculation": "ngram"}]


def _first_row(text: str, name: str) -> list[str]:
    """Return the cells of a lever in the first table of the page."""
    line = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
