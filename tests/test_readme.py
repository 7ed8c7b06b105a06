"""Every command of README.md and of the tutorials is typed, against simulated servers and a fake Ollama.

What a reader has and the tests have not is put in its place: the address, the model, the folders of runs, the program.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import processes
import pytest
from fake_ollama import on_the_path
from served import served

from harness.cli.app import _main

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", ROOT / "docs" / "tutorial" / "on-a-gpu.md")
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.M | re.S)
FILE = re.compile(r"^```yaml (\S+)\n(.*?)^```$", re.M | re.S)
URL = "http://127.0.0.1:11434"
QUICK = ["--repeats", "1", "--warmup", "0"]

GRAPH = """
from typing import TypedDict
from langchain_ollama import ChatOllama
from langgraph.graph import END, START, StateGraph

class State(TypedDict):
    text: str

def write(state: State):
    return {"text": ChatOllama(model="llama3.2").invoke(state["text"]).content}

builder = StateGraph(State)
builder.add_node("write", write)
builder.add_edge(START, "write")
builder.add_edge("write", END)
graph = builder.compile()
"""
PROGRAM = """
import os
from ollama import Client
Client(os.environ["OLLAMA_HOST"]).generate(model="epyc-2core", prompt="Hello", options={"num_predict": 5})
"""
SPAN = (
    '{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": '
    '"b7ad6b7169203331", "name": "chat m", "startTimeUnixNano": "1000000000", "endTimeUnixNano": "2000000000", '
    '"attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}, {"key": '
    '"gen_ai.request.model", "value": {"stringValue": "m"}}, {"key": "gen_ai.usage.input_tokens", "value": '
    '{"intValue": "10"}}, {"key": "gen_ai.usage.output_tokens", "value": {"intValue": "5"}}]}]}]}]}'
)
CREW = {
    "agents.yaml": "writer:\n  role: Writer\n  goal: Write\n  backstory: You write.\n",
    "tasks.yaml": "write:\n  description: Write about it.\n  expected_output: A page.\n  agent: writer\n",
}


def _commands(page: Path) -> list[list[str]]:
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [shlex.split(line) for block in blocks for line in block.splitlines() if line.startswith("slotwise ")]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served("epyc-2core", 4) as found:
        yield found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_works(
    page: Path,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("langgraph.graph", reason="LangGraph is not installed (pip install --group dev)")
    monkeypatch.chdir(tmp_path)
    on_the_path(tmp_path, monkeypatch)
    monkeypatch.setenv("OLLAMA_HOST", url)
    for folder in ("workloads", "agents"):
        shutil.copytree(ROOT / folder, folder)
    for name, text in FILE.findall(page.read_text(encoding="utf-8")):
        Path(name).write_text(text, encoding="utf-8")
    Path("my_module.py").write_text(GRAPH)
    Path("my_program.py").write_text(PROGRAM)
    Path("traces.json").write_text(SPAN)
    for name, text in CREW.items():
        Path("my-crew/config").mkdir(parents=True, exist_ok=True)
        Path("my-crew/config", name).write_text(text)
    typed = []
    for words in _commands(page):
        typed.append(words[1])
        changed = _here(words, url)
        if words[1] == "serve":
            _serves(changed, tmp_path)
            continue
        monkeypatch.setattr("sys.argv", changed)
        code = _main()
        out, err = capsys.readouterr()
        expected = {0, 1} if "--fail-on" in words else {0}
        assert code in expected, (changed, out, err)
        if "--json" in words:
            Path("baseline.json").write_text(out, encoding="utf-8")
    assert {"run", "simulate", "recommend"} <= set(typed)


def _here(words: list[str], url: str) -> list[str]:
    """Return a command with what is here in place of what a reader has."""
    runs = sorted(path for path in Path("reports").glob("*-*") if path.is_dir())
    digests = [str(path) for path in runs if path.name.startswith("research-digest")]
    model = "mine" if words[1] == "run" and "--engine" in words else "epyc-2core"
    own = {
        "llama3.2": model,
        "reports/DIR": (digests or [""])[-1],
        "reports/BEFORE": (digests or [""])[0],
        "reports/AFTER": (digests or [""])[-1],
        "python": sys.executable,
    }
    found = [own.get(word, word).replace(URL, url) for word in words]
    if words[1] == "run":
        found = [word for word in found if word not in ("--until", "resolved", "--at-most", "10m")]
        if not {"--engine", "--server"} & set(words):
            found += ["--model", "epyc-2core", "--server", url]
        found += [] if "--repeats" in words else QUICK
    if words[1] == "recommend":
        found += ["--workers", "1", "--seeds", "2"]
    if words[1] == "apply":
        found += ["--as", "systemd", "--dry-run", "--to", "override.conf"]
    if words[1] == "compare" and "--baseline" in words:
        chats = [str(path) for path in runs if path.name.startswith("chat-only")]
        found[2] = chats[-1]
    return found


def _serves(words: list[str], folder: Path) -> None:
    command = [sys.executable, "-u", "-m", "harness", *words[1:], "--port", "0"]
    with processes.started(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            said = []
            for line in iter(process.stdout.readline, ""):
                said.append(line)
                if "Ctrl-C" in line:
                    break
            else:
                raise AssertionError("".join(said))
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
