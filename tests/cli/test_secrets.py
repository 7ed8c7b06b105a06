"""No secret reaches a record, a report, an index, an export or a terminal, whatever repeats it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from fake_ollama import FakeOllama

from harness.cli.app import _main
from harness.cli.export import export
from harness.runs.folder import RunFolder, read_run
from harness.runs.index import INDEX_NAME
from harness.units import safe_text

PASSWORD, TOKEN, KEY = "s3cret-pass", "t0ken-AbC.123", "sk-live-0123456789abcdef"
SAID = (
    f"refused: Authorization: Bearer {TOKEN}; x-api-key={KEY}, api_key: '{KEY}' at "
    f'http://me:{PASSWORD}@host/x?key={KEY} {{"password": "{PASSWORD}"}} Bearer {TOKEN}'
)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"Authorization: Bearer {TOKEN}", "Authorization: ***"),
        (f'{{"authorization": "Basic {TOKEN}"}}', '{"authorization": "***"}'),
        (f"bad key {KEY}!", "bad key ***!"),
        (f"X-API-Key={KEY}; more", "X-API-Key=***; more"),
        (f"access_token: {TOKEN}", "access_token: ***"),
        (f"Bearer {TOKEN}", "Bearer ***"),
        (f"https://u:{PASSWORD}@h:1/p?token={TOKEN}", "https://h:1/p"),
    ],
)
def test_secrets_are_taken_out(said: str, shown: str) -> None:
    assert safe_text(said) == shown


@pytest.mark.parametrize(
    "said",
    [
        "503: server busy, please try again. maximum pending requests exceeded",
        "unauthorized: the bearer of bad news",
        "basic authentication is required",
        "model requires more tokens: 512 > 256",
        "task-oriented risk-averse pipeline",
    ],
)
def test_other_words_stay(said: str) -> None:
    assert safe_text(said) == said


def test_no_secret_gets_out(
    run: Callable[..., Any],
    server: FakeOllama,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", TOKEN)
    shown = ""

    def typed(*words: str) -> str:
        nonlocal shown
        monkeypatch.setattr("sys.argv", ["slotwise", *words])
        _main()
        said = capsys.readouterr()
        shown += said.out + said.err
        return said.out

    Path("reports").mkdir()
    typed("runs")  # the index is there from the beginning
    recording = iter(range(10_000))

    def misbehave(n: int) -> tuple[int, bytes] | None:
        trials = list(Path("reports").glob("*/trials.jsonl"))
        if trials and trials[0].stat().st_size and next(recording) % 2:
            return 500, json.dumps({"error": SAID}).encode()
        return None

    server.misbehave = misbehave
    code, out, err = run("--server", f"s={server.url.replace('//', f'//me:{PASSWORD}@')}", "--model", "m")
    shown += out + err
    (path,) = (entry for entry in Path("reports").iterdir() if entry.is_dir())
    assert any(call.outcome != "ok" for call in read_run(path).calls), (code, err)
    shown += read_run(path)._repr_html_()

    typed("runs")
    typed("runs", "--json")
    typed("report", str(path))
    typed("report", str(path), "--json")
    typed("compare", str(path), str(path))
    typed("compare", str(path), str(path), "--markdown")
    typed("compare", str(path), str(path), "--json")
    kinds = get_args(get_args(get_type_hints(export, include_extras=True)["format_"])[0])
    assert "otlp" in kinds
    for kind in kinds:
        assert typed("export", str(path), "--as", kind)
    typed("compare", f"http://me:{PASSWORD}@host/x", str(path))
    with RunFolder(path) as folder:
        job = read_run(path).jobs[0]
        folder.add_job(job._replace(error=SAID))

    with sqlite3.connect(Path("reports") / INDEX_NAME) as index:
        shown += "\n".join(index.iterdump())
    index.close()
    for file in Path("reports").rglob("*"):
        shown += file.read_bytes().decode("utf-8", "replace") if file.is_file() else ""
    for secret in (PASSWORD, TOKEN, KEY):
        assert secret not in shown, shown[max(0, shown.index(secret) - 300) : shown.index(secret) + 60]
