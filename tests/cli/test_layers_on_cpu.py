"""A server whose model does not fit onto its accelerator: seen as it starts, and said before every answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_ollama import FakeOllama

from harness.cli.app import _main
from harness.runs.folder import read_run

STARTED = "layers on the CPU: 40% of its model did not fit onto the accelerator"
SAID = "Layers on the CPU: 40 % of"


def test_a_run_says_it_first(run: Callable[..., Any], server: FakeOllama) -> None:
    server.size_vram = 60
    code, out, err = run("--repeats", "2")
    assert code == 0, err
    assert f"s: {STARTED} beside the cache of 2 slots" in err
    first = out.lstrip("! ").splitlines()[0]
    assert first.startswith(f"{SAID} s's model")
    (folder,) = (path for path in Path("reports").iterdir() if path.is_dir())
    assert read_run(folder).servers[0].details["size_vram_bytes"] == 60


@pytest.mark.parametrize(
    "command",
    [
        ("probe", "URL", "--tokens", "4", "--levels", "1,2"),
        ("sweep", "--server", "URL", "--model", "m", "--rounds", "2", "--tokens", "4", "--most", "2"),
    ],
)
def test_so_do_a_probe_and_a_sweep(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with FakeOllama(size_vram=60, duration=lambda user: 0.002).listening() as url:
        monkeypatch.setattr("sys.argv", ["slotwise", *(url if word == "URL" else word for word in command)])
        assert _main() == 0
    out, err = capsys.readouterr()
    assert STARTED in err
    assert out.lstrip("! ").startswith(SAID)
