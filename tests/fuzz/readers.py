"""Every reader of Slotwise, in one dict: `make test` tries each with a few inputs, `make fuzz` with any number."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from analysis import records as make
from fuzz.reader import Reader, Seed
from fuzz.requests import REQUESTS, read_answer, to_front, to_gateway, to_simulated
from imports.forms import FORMS

from harness.analysis.analyse import analyse
from harness.analysis.summaries import read_summary
from harness.errors import UserError
from harness.estimate.bench import read_bench
from harness.imports.crewai import read_crews
from harness.imports.read import read_traces
from harness.imports.traces import draft_traces
from harness.imports.write import write_balanced
from harness.predict.history import last_score
from harness.predict.score import ScoreRow
from harness.profiles.load import load_profile
from harness.report.score_file import read_score
from harness.report.summary import read_analysis, summary_text
from harness.runs.folder import RunFolder, read_run
from harness.runs.index import find_runs
from harness.servers.gguf import read_gguf
from harness.wording.predictions import about_score
from harness.workload.agents import read_card
from harness.workload.arrival_file import read_arrivals
from harness.workload.load import load_workload

__all__ = ["READERS"]

V = TypeVar("V")
ROOT = Path(__file__).parent.parent.parent


def _kept(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def _shipped(folder: str, pattern: str, form: str) -> list[Seed]:
    return [Seed(path.read_bytes(), form) for path in sorted((ROOT / folder).glob(pattern))]


# --- files of a user ---


def _workload(data: bytes, folder: Path) -> object:
    if not (folder / "data").exists():
        shutil.copytree(ROOT / "workloads" / "data", folder / "data")
    return load_workload(_kept(folder, "w.yaml", data))


def _profile(data: bytes, folder: Path) -> object:
    return load_profile(str(_kept(folder, "p.yaml", data)))


def _card(data: bytes, folder: Path) -> object:
    return read_card(_kept(folder, "card.md", data))


def _arrivals(data: bytes, folder: Path) -> object:
    name = "a.jsonl" if data.lstrip()[:1] == b"{" else "a.csv"
    _kept(folder, name, data)
    return read_arrivals(name, folder)


def _arrival_seeds() -> list[Seed]:
    rows = [{"timestamp": at, "input_length": 5, "output_length": 2} for at in (0, 500, 1500)]
    return [
        Seed(b"time_s,user\n0,a\n0.5,b\n2,c\n", "csv"),
        Seed(b"0\n1.5\n3\n", "csv"),
        Seed(b"arrived_at\n2026-01-01T00:00:00Z\n2026-01-01T00:00:01.5+00:00\n", "csv"),
        Seed("\n".join(map(json.dumps, rows)).encode(), "json lines"),
        Seed(b'{"due_s": 0}\n{"due_s": 0.25, "x": [1]}\n', "json lines"),
    ]


def _bench(data: bytes, folder: Path) -> object:
    return read_bench(_kept(folder, "bench.txt", data))


def _bench_seeds() -> list[Seed]:
    rows = [
        {
            "model_type": "llama 1B",
            "model_size": 10**9,
            "model_n_params": 10**9,
            "n_prompt": 512,
            "n_gen": 0,
            "avg_ts": 900.5,
        },
        {
            "model_type": "llama 1B",
            "model_size": 10**9,
            "model_n_params": 10**9,
            "n_prompt": 0,
            "n_gen": 128,
            "avg_ts": 55.25,
        },
    ]
    columns = ",".join(rows[0]) + "\n" + "".join(",".join(map(str, row.values())) + "\n" for row in rows)
    table = (
        "| model | size | params | backend | threads | test | t/s |\n| --- | --: | --: | --- | --: | --: | --: |\n"
        "| llama 1B Q4 | 1.00 GiB | 1.00 B | CPU | 4 | pp512 | 900.50 ± 1.00 |\n"
        "| llama 1B Q4 | 1.00 GiB | 1.00 B | CPU | 4 | tg128 | 55.25 ± 0.10 |\n"
    )
    batched = (
        "|    PP |     TG |    B |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |      T s |    S t/s |\n"
        "|-------|--------|------|--------|----------|----------|----------|----------|----------|----------|\n"
        "|   128 |    128 |    1 |    256 |    0.124 |  1029.93 |    3.097 |    41.33 |    3.221 |    79.47 |\n"
        "|   128 |    128 |    4 |   1024 |    0.470 |  1089.36 |    6.100 |    83.93 |    6.570 |   155.86 |\n"
    )
    sql = (
        "CREATE TABLE IF NOT EXISTS test (a TEXT);\nINSERT INTO test (model_type, n_prompt, n_gen, avg_ts) "
        "VALUES ('llama 1B', '512', '0', '900.5');\n"
    )
    lines = "\n".join(
        json.dumps(
            {"pp": 128, "tg": 128, "pl": pl, "speed_pp": 1000.0, "speed_tg": 40.0 * pl, "t_pp": 0.1, "t_tg": 3.0}
        )
        for pl in (1, 2, 4)
    )
    probe = {
        "server": "a",
        "slots_found": 2,
        "rows": [{"concurrent": n, "per_call_tokens_per_s": 40.0} for n in (1, 2)],
    }
    return [
        Seed(json.dumps(rows).encode(), "json"),
        Seed("\n".join(map(json.dumps, rows)).encode(), "json lines"),
        Seed(columns.encode(), "csv"),
        Seed(table.encode()),
        Seed(batched.encode()),
        Seed(sql.encode()),
        Seed(lines.encode(), "json lines"),
        Seed(json.dumps(probe).encode(), "json"),
    ]


def _crew(data: bytes, folder: Path) -> object:
    """Read a CrewAI project; the first line says which of its files this is."""
    name, _, content = data.partition(b"\n")
    found = {**CREW, name.decode("latin-1"): content}
    for known in CREW:
        _kept(folder, known, found[known])
    return read_crews(folder)


CREW = {
    "agents.yaml": b'researcher: {role: "{topic} researcher", goal: Find, backstory: Knows}\n'
    b"writer: {role: Writer, goal: Write, backstory: Wrote books., llm: ollama/llama3.2}\n",
    "tasks.yaml": b'research: {description: "Read {topic}", expected_output: Ten points, agent: researcher}\n'
    b"write: {description: Write it, expected_output: A page, agent: writer, context: [research], "
    b"async_execution: true}\n",
    "crew.py": b"from crewai import Agent, Crew, LLM, Process, Task\n@CrewBase\nclass News:\n"
    b"    local = LLM(model='ollama/qwen3:0.6b', temperature=0.7, max_tokens=200)\n"
    b"    @agent\n    def researcher(self):\n"
    b"        return Agent(config=self.agents_config['researcher'], llm=self.local)\n"
    b"    @task\n    def research(self):\n        return Task(config=self.tasks_config['research'], max_iter=3)\n"
    b"    @task\n    def write(self):\n"
    b"        return Task(config=self.tasks_config['write'], context=[self.research()])\n"
    b"    @crew\n    def crew(self):\n"
    b"        return Crew(agents=self.agents, tasks=self.tasks, process=Process.sequential)\n",
}


def _crew_seeds() -> list[Seed]:
    forms = ("named yaml", "named yaml", "")
    return [Seed(f"{name}\n".encode() + CREW[name], form) for name, form in zip(CREW, forms, strict=True)]


# --- traces ---


def _traces(data: bytes, folder: Path) -> object:
    return draft_traces(read_traces(_kept(folder, "spans", data)), "spans", "back")


def _imported(data: bytes, folder: Path) -> object:
    return write_balanced(_traces(data, folder), folder / "w.yaml", force=True)  # type: ignore[arg-type]  # a draft


def _trace_seeds() -> list[Seed]:
    seeds = []
    for form, _ in FORMS.values():
        made = form()
        data = made if isinstance(made, bytes) else made.encode()
        seeds.append(Seed(data, _form_of(data)))
    return seeds


def _form_of(data: bytes) -> str:
    if data[:1] not in b"{[":
        return "csv" if data[:1].isascii() and data[:2] != b"\x1f\x8b" else ""
    try:
        json.loads(data)
        return "json"
    except ValueError:
        pass
    try:
        for line in data.decode().splitlines():
            json.loads(line)
    except ValueError:
        return ""  # objects one after the other, over several lines
    return "json lines"


# --- what Slotwise wrote ---


def _run_into(folder: Path) -> Path:
    with RunFolder.create(folder, "w", datetime(2026, 7, 1, 12)) as run:
        run.write_header(make.run(partial=False))
        run.add_records(make.run(calls=(make.call(job=0), make.call(job=1))))
    (run.path / "summary.json").write_text("{}")
    return run.path


def _run(data: bytes, folder: Path) -> object:
    """Read a run folder; the first line says which of its files this is."""
    path = folder / "run"
    if not path.exists():
        shutil.move(_run_into(folder / "made"), path)
    name, _, content = data.partition(b"\n")
    target = next((one for one in path.iterdir() if one.name.encode() == name), path / "calls.jsonl")
    whole = target.read_bytes()
    try:
        target.write_bytes(content)
        rows, total = find_runs(folder)
        assert total == len(rows) == 1, "a folder that is not listed"
        return analyse(read_run(path))
    finally:
        target.write_bytes(whole)


def _run_seeds() -> list[Seed]:
    forms = {".jsonl": "named json lines", ".json": "named json", ".yaml": "named yaml"}
    with TemporaryDirectory() as made:
        files = sorted(path for path in _run_into(Path(made)).iterdir() if path.suffix in forms)
        return [Seed(path.name.encode() + b"\n" + path.read_bytes(), forms[path.suffix]) for path in files]


def _summary(data: bytes, _: Path) -> object:
    """Read a summary.json in both ways: as an analysis, and for a comparison."""
    found = read_analysis(data, "summary.json")
    return found, read_summary(json.loads(data), "summary.json")


def _compared(data: bytes, _: Path) -> object:
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError):
        raise UserError("as the command says it") from None
    return read_summary(plain, "summary.json")


def _summary_seeds() -> list[Seed]:
    return [Seed(summary_text(analyse(make.run(calls=(make.call(job=0), make.call(job=1))))).encode(), "json")]


def _found(value: V | None) -> V:
    """Count what is passed over in silence as an error."""
    if value is None:
        raise UserError("passed over")
    return value


def _score(data: bytes, folder: Path) -> object:
    _kept(folder, "score.json", data)
    return [row.error for row in _found(read_score(folder)).rows]


def _score_seeds() -> list[Seed]:
    rows = [
        ScoreRow("c", "p", "pipeline time", predicted=2.5, measured=2.0, noise=None)._asdict(),
        ScoreRow("c", "", "throughput", predicted=90.0, measured=80.5, noise=0.1)._asdict(),
    ]
    score = {"score_version": 1, "profile": "p", "lengths": "forecast", "notes": ["n"], "rows": rows}
    return [Seed(json.dumps(score).encode(), "json")]


def _kept_seeds() -> list[Seed]:
    entry = {
        "profile": "p", "workload": "w", "digest": "d", "measured_at": "2026-07-01T12:00:00Z", "lengths": "forecast",
        "cells": 4, "median_error": 0.05, "worst_error": 0.2,
    }  # fmt: skip
    lines = [{**entry, "profile": "q"}, entry, {**entry, "median_error": None, "worst_error": None}]
    return [Seed("\n".join(map(json.dumps, found)).encode(), "json lines") for found in (lines, lines[:2], lines[1:2])]


def _scores(data: bytes, folder: Path) -> object:
    before = os.environ.get("SLOTWISE_CACHE")
    os.environ["SLOTWISE_CACHE"] = str(folder)
    try:
        _kept(folder, "scores.jsonl", data)
        return about_score(_found(last_score("p")))
    finally:
        del os.environ["SLOTWISE_CACHE"]
        if before is not None:
            os.environ["SLOTWISE_CACHE"] = before


# --- models and servers ---


def _gguf(data: bytes, folder: Path) -> object:
    return read_gguf(_kept(folder, "m.gguf", data))


def _gguf_seeds() -> list[Seed]:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    facts: dict[str, bytes] = {
        "general.architecture": struct.pack("<I", 8) + text("llama"),
        "general.name": struct.pack("<I", 8) + text("m"),
        "general.file_type": struct.pack("<II", 4, 7),
        "general.alignment": struct.pack("<II", 4, 32),
        "llama.context_length": struct.pack("<II", 4, 2048),
        "llama.block_count": struct.pack("<II", 4, 8),
        "llama.embedding_length": struct.pack("<II", 4, 64),
        "llama.attention.head_count": struct.pack("<II", 4, 4),
        "llama.attention.head_count_kv": struct.pack("<IIQII", 9, 4, 2, 1, 2),
        "llama.attention.key_length": struct.pack("<If", 6, 16.0),
        "tokenizer.chat_template": struct.pack("<I", 8) + text("{{ messages }}"),
        "tokenizer.ggml.tokens": struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b"),
        "yes": struct.pack("<I?", 7, True),
    }
    data = b"GGUF" + struct.pack("<IQQ", 3, 1, len(facts)) + b"".join(text(key) + value for key, value in facts.items())
    data += text("w") + struct.pack("<IQQIQ", 2, 4, 4, 0, 0)
    return [Seed(data + bytes(256))]


def _requests() -> list[Seed]:
    return [Seed(one, "request") for one in REQUESTS]


def _answers() -> Sequence[Seed]:
    return [
        Seed(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"),
        Seed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n3;x=y\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"),
        Seed(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\nRetry-After: 1\r\nConnection: close\r\n\r\n{}"),
        Seed(b"HTTP/1.0 204 No Content\r\nSet-Cookie: a=b\r\n folded\r\n\r\n"),
    ]


READERS: dict[str, Reader] = {
    "workload": Reader(_workload, lambda: _shipped("workloads", "*.yaml", "yaml"), share=2.2, examples=40),
    "profile": Reader(_profile, lambda: _shipped("profiles", "*.yaml", "yaml"), share=2.2, examples=25),
    "agent card": Reader(_card, lambda: _shipped("agents", "*.md", "card"), share=6),
    "arrivals": Reader(_arrivals, _arrival_seeds, share=20),
    "benchmark": Reader(_bench, _bench_seeds, share=22),
    "CrewAI": Reader(_crew, _crew_seeds, share=2.2),
    "traces": Reader(_traces, _trace_seeds, share=4, examples=50),
    "traces to a workload": Reader(_imported, _trace_seeds, share=2.2, examples=10),
    "run folder": Reader(_run, _run_seeds, share=2.2),
    "summary": Reader(_summary, _summary_seeds, share=2.2),
    "summary to compare": Reader(_compared, _summary_seeds, share=6),
    "score": Reader(_score, _score_seeds, share=22),
    "scores kept": Reader(_scores, _kept_seeds, share=20),
    "model file": Reader(_gguf, _gguf_seeds, share=33),
    "front": Reader(to_front, _requests, share=10, examples=60),
    "simulated server": Reader(to_simulated, _requests, share=10, examples=60),
    "gateway": Reader(to_gateway, _requests, share=8, examples=60),
    "answer to the gateway": Reader(read_answer, _answers, share=36),
}
