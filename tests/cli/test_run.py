"""`slotwise run` against servers that misbehave, on real sockets: a line, the right exit code, nothing lost."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.analyse import analyse
from harness.cli.app import _main
from harness.cli.running import _named
from harness.errors import UserError
from harness.runs.folder import RunFolder, read_run

SECRET = "s3cret"

WORKLOAD = """
version: 1
name: tiny
pipelines:
  digest:
    path: batch
    jobs: 1
    nodes:
      part: {agent: {prompt: "About {item}.", output_tokens: 4}, over: items}
      join: {agent: {prompt: "Join {part}", output_tokens: 4}, after: [part]}
  chat:
    path: interactive
    jobs: 2
    arrival: {closed: 1}
    goal: {first_token_s: 0.000001}
    nodes:
      reply: {agent: {prompt: "Hello", output_tokens: 2}}
inputs:
  items: {list: [a, b]}
servers:
  s: {kind: ollama, model: m, slots: 2, url: "URL"}
compare:
  serial: {place: s, cap: serial}
  both: {place: s, cap: window}
measure: {repeats: 2, warmup: 0}
timeout_s: 5
"""


class Server(ThreadingHTTPServer):
    """An Ollama of a few lines. `misbehave(n)` is asked for every chat; it returns a status and a body, or None."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.chats = 0
        self.misbehave: Callable[[int], tuple[int, bytes] | None] = lambda n: None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up has closed its end: nothing to tell."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        answers: dict[str, Any] = {
            "/api/version": {"version": "0"},
            "/api/tags": {"models": [{"name": "m", "model": "m"}]},
            "/api/ps": {"models": [{"name": "m", "model": "m", "size": 1, "size_vram": 1, "context_length": 512}]},
        }
        self.answer(200, json.dumps(answers[self.path.partition("?")[0]]).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.chats += 1
        odd = self.server.misbehave(self.server.chats)
        if odd is not None:
            self.answer(*odd)
            return
        final = {"model": "m", "created_at": "x", "done": True, "done_reason": "length", "total_duration": 5_000_000}
        final |= {"load_duration": 10, "prompt_eval_count": 9, "prompt_eval_duration": 1_000_000}
        final |= {"eval_count": body["options"]["num_predict"], "eval_duration": 2_000_000}
        self.answer(200, json.dumps({**final, "message": {"role": "assistant", "content": "ok"}}).encode())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def run(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.chdir(tmp_path)

    def run(*more: str, timeout_s: float = 5) -> tuple[int, str, str]:
        text = WORKLOAD.replace("URL", server.url).replace("timeout_s: 5", f"timeout_s: {timeout_s}")
        Path("w.yaml").write_text(text, encoding="utf-8")
        monkeypatch.setattr("sys.argv", ["slotwise", "run", "w.yaml", *more])
        code = _main()
        return code, *capsys.readouterr()

    return run


def folders() -> list[Path]:
    return sorted(Path("reports").iterdir()) if Path("reports").exists() else []


def test_a_running_server_is_measured_and_its_slots_are_not_believed(run: Callable[..., Any], server: Server) -> None:
    code, out, _ = run()
    assert code == 0
    assert "Verdict" in out
    found = read_run(folders()[0])
    assert (found.servers[0].slots_asked, found.servers[0].baseline is not None) == (2, True)
    assert {call.outcome for call in found.calls} == {"ok"}
    # resolved: the folder needs no other file, and the calls in flight are those of the plan
    assert analyse(found).candidates[1].servers[0].in_flight == 2


def test_secrets_reach_no_file_and_no_terminal(run: Callable[..., Any], server: Server) -> None:
    secret_url = server.url.replace("//", f"//me:{SECRET}@")
    code, out, err = run("--server", f"s={secret_url}", "--model", "m")
    assert code == 0, err
    assert SECRET not in out + err
    for file in folders()[0].rglob("*"):
        assert file.is_dir() or SECRET.encode() not in file.read_bytes(), file


def test_a_servers_words_are_shown_as_text(run: Callable[..., Any], server: Server) -> None:
    words = b'{"error": "\\u001b[31m see https://u:' + SECRET.encode() + b"@h/x?key=" + SECRET.encode() + b'"}'
    server.misbehave = lambda n: (500, words)
    code, out, err = run()
    assert code == 3
    assert "\x1b" not in out + err and SECRET not in out + err
    assert "see https://h/x" in err
    assert folders() == []  # nothing was measured: nothing is kept


def test_failures_are_records_and_the_rest_is_kept(run: Callable[..., Any], server: Server) -> None:
    began: list[int] = []

    def misbehave(n: int) -> tuple[int, bytes] | None:
        if folders() and (folders()[0] / "trials.jsonl").exists() and (folders()[0] / "trials.jsonl").stat().st_size:
            began.append(n)
        return (503, b'{"error": "server busy"}') if len(began) == 1 else None

    server.misbehave = misbehave
    code, out, _ = run("--fail-on", "failures")
    assert code == 1
    outcomes = [call.outcome for call in read_run(folders()[0]).calls]
    assert outcomes.count("rejected") == 1 and outcomes.count("ok") > 5
    assert "Notes" in out


def test_a_full_disk_in_the_middle_is_a_line(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    written: list[Any] = []

    def add_call(self: RunFolder, record: Any) -> None:
        if len(written) == 3:
            raise UserError("reports: the run folder cannot be written: No space left on device")
        written.append(record)

    monkeypatch.setattr(RunFolder, "add_call", add_call)
    code, _, err = run()
    assert code == 2
    assert err.splitlines()[-1].startswith("slotwise: reports: the run folder cannot be written")


def test_a_missed_goal_fails_where_it_is_asked_to(run: Callable[..., Any], server: Server) -> None:
    code, _, _ = run("--fail-on", "goals")
    analysis = analyse(read_run(folders()[0]))
    assert code == int(_named(("goals",), analysis))
    undecided = analysis._replace(choice=analysis.choice._replace(candidate=None))
    every = all(any(g.state == "missed" for p in c.pipelines for g in p.goals) for c in analysis.candidates)
    assert every and code == 1 and _named(("goals",), undecided)


def test_a_server_that_never_answers_is_given_up(run: Callable[..., Any], server: Server) -> None:
    gate = threading.Event()

    def misbehave(n: int) -> tuple[int, bytes] | None:
        if n > 12:  # after warming up and counting slots
            gate.wait(60)
        return None

    server.misbehave = misbehave
    code, _, err = run("--repeats", "1", timeout_s=0.2)
    gate.set()
    assert code == 3
    assert "no answer within" in err
