"""One running server in the place of every server of a workload: `--server URL`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.workload.load import Loaded, Overrides, load_workload
from harness.workload.overrides import EVERY
from harness.workload.schema import OllamaServer, OpenAiServer

URL = "http://h:1"
PIPELINES = """\
version: 1
name: w
pipelines:
  a: {path: batch, jobs: 3, nodes: {n: {agent: {prompt: x, output_tokens: 5}}}}
  b: {path: interactive, jobs: 2, arrival: {closed: 1}, nodes: {n: {agent: {prompt: x, output_tokens: 5}}}}
"""
SERVERS = """\
servers:
  one: {kind: ollama, model: m, slots: 1}
  eight: {kind: ollama, model: m, slots: 8}
"""
COMPARE = """\
compare:
  serial: {placement: one, concurrency: serial}
  narrow: {placement: one, concurrency: window}
  wide: {placement: eight, concurrency: window}
  waves: {placement: one, concurrency: waves}
  flood: {placement: one, concurrency: unbounded}
  again: {placement: eight, concurrency: unbounded}
  split: {placement: {a: eight, b: one}, concurrency: window}
"""


def load(folder: Path, text: str, **more: Any) -> Loaded:
    path = folder / "w.yaml"
    path.write_text(text, encoding="utf-8")
    return load_workload(path, Overrides(server_urls={EVERY: URL})._replace(**more))


def sent(loaded: Loaded) -> dict[str, tuple[str, int | None]]:
    """Return by candidate its server and how many calls it sends there at once."""
    return {plan.name: (queue.server, queue.most) for plan in loaded.plans for queue in plan.queues}


def test_candidates_keep_their_calls_at_once(tmp_path: Path) -> None:
    loaded = load(tmp_path, PIPELINES + SERVERS + COMPARE)
    assert sent(loaded) == {
        "serial": ("eight", 1),
        "narrow": ("eight", 1),
        "wide": ("eight", 8),
        "waves": ("eight", 1),
        "flood": ("eight", None),
    }
    assert loaded.skipped == {
        "again": 'is the same as "flood" on one server',
        "split": "needs 2 servers at once: one, eight",
    }
    (server,) = loaded.servers.values()
    assert isinstance(server, OllamaServer)
    assert (server.url, server.slots, "slots" in server.model_fields_set) == (URL, 8, False)
    assert loaded.models == {"eight": ("m",)}


@pytest.mark.parametrize("servers", ["", "servers:\n  four-slot: {kind: llamacpp, slots: 4}\n"])
def test_the_standard_set(tmp_path: Path, servers: str) -> None:
    loaded = load(tmp_path, PIPELINES + servers)
    at = "four-slot"
    windows = dict.fromkeys(("window", "interactive-first", "waves"), (at, 4))
    assert sent(loaded) == {"serial": (at, 1), **windows, "unbounded": (at, None)}
    assert loaded.skipped == {"split": "needs 2 servers at once"}
    assert loaded.servers[at].address == URL


def test_a_server_that_speaks_openai(tmp_path: Path) -> None:
    found = {"openai_urls": {EVERY: f"{URL}/v1"}, "server_models": {EVERY: "other"}}
    loaded = load(tmp_path, PIPELINES + SERVERS + COMPARE, **found)
    (server,) = loaded.servers.values()
    assert isinstance(server, OpenAiServer)
    assert (server.url, server.model) == (f"{URL}/v1", "other")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"text": PIPELINES + SERVERS.replace("model: m, slots: 1", "model: k, slots: 1") + COMPARE},
            "--server: the workload asks for several models (k, m), so one address cannot stand for every server; "
            "name each: --server NAME=URL",
        ),
        (
            {"only": ("split",)},
            '--server: no candidate can be measured on one server ("split" needs 2 servers at once: one, eight); '
            "name each: --server NAME=URL",
        ),
        (
            {"server_urls": {EVERY: "h:1"}},
            '--server: expected an address such as http://127.0.0.1:11434, found "h:1"',
        ),
    ],
)
def test_refused(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    text = str(change.pop("text", PIPELINES + SERVERS + COMPARE))
    with pytest.raises(UserError) as caught:
        load(tmp_path, text, **change)
    assert str(caught.value) == expected
