"""Outputs of benchmarks in the forms in which llama.cpp and Slotwise print them, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.app.estimate import EstimateOptions, estimated
from harness.errors import UserError
from harness.estimate.bench import Bench, read_bench
from harness.estimate.given import Given

SPACED = """ggml_cuda_init: found 1 CUDA devices:
| model                          |       size |     params | backend    | ngl | test       |              t/s |
| ------------------------------ | ---------: | ---------: | ---------- | --: | ---------- | ---------------: |
| llama 8B Q4_K - Medium         |   4.58 GiB |     8.03 B | CUDA       |  10 | tg 128     |     13.45 ± 0.93 |
| llama 8B Q4_K - Medium         |   4.58 GiB |     8.03 B | CUDA       |  99 | pp 512     |  9068.80 ± 93.24 |
| llama 8B Q4_K - Medium         |   4.58 GiB |     8.03 B | CUDA       |  99 | tg 128     |    131.42 ± 0.59 |
| llama 8B Q4_K - Medium         |   4.58 GiB |     8.03 B | CUDA       |  99 | tg128 @ d512 |  500.00 ± 0.59 |

build: 8cf427ff (5163)
"""
HEADS = ("build_commit", "model_type", "model_size", "model_n_params", "n_prompt", "n_gen", "n_depth", "avg_ts")
ROWS = (
    ("8cf427ff", "llama 8B, (Q4_K)", "4912898304", "8030261248", "512", "0", "0", "9068.800000"),
    ("8cf427ff", "llama 8B, (Q4_K)", "4912898304", "8030261248", "0", "128", "0", "131.420000"),
)
CSV = ",".join(HEADS) + "\n" + "".join(",".join(f'"{one}"' for one in row) + "\n" for row in ROWS)
SQL = "CREATE TABLE IF NOT EXISTS llama_bench (\n  build_commit TEXT\n);\n\n" + "".join(
    f"INSERT INTO llama_bench ({', '.join(HEADS)}) VALUES ({', '.join(repr(one) for one in row)});\n" for row in ROWS
)
JSON = [
    {name: one if name in ("build_commit", "model_type") else float(one) for name, one in zip(HEADS, row, strict=True)}
    for row in ROWS
]
LINES = "".join(json.dumps(row) + "\n" for row in JSON)
SAME = Bench(Given(131.42, {}, 9068.8), "llama 8B, (Q4_K)", 8030261248, 4912898304)


@pytest.mark.parametrize("text", [CSV, SQL, json.dumps(JSON), LINES], ids=["csv", "sql", "json", "lines"])
def test_every_form_of_llama_bench_says_the_same(text: str, tmp_path: Path) -> None:
    file = tmp_path / "named.txt"
    file.write_text(text, encoding="utf-8")
    assert read_bench(file) == SAME
    file.write_text(text, encoding="utf-16")  # as PowerShell writes what it redirects
    assert read_bench(file) == SAME


def test_the_fastest_row_counts_and_none_with_text_before_it(tmp_path: Path) -> None:
    file = tmp_path / "bench"
    file.write_text(SPACED, encoding="utf-8")
    found = read_bench(file)
    assert found.given == Given(131.42, {}, 9068.8)
    assert [found.parameters, found.model_bytes] == pytest.approx([8.03e9, 4.58 * 2**30])


def test_one_line_of_json_lines_is_a_row(tmp_path: Path) -> None:
    file = tmp_path / "bench"
    file.write_text('{"pp": 512, "tg": 128, "pl": 4, "speed_pp": 9000.5, "speed_tg": 365.5}\n')
    assert read_bench(file).given == Given(None, {4: 365.5}, 9000.5)


def rung(n: int, rate: float | None) -> dict[str, object]:
    return {"concurrent": n, "wall_s": 3.0, "aggregate_tokens_per_s": 1.0, "per_call_tokens_per_s": rate}


def probe(*rungs: dict[str, object], slots: int | None = 4, origin: str = "measured") -> dict[str, object]:
    return {"label": "http://here", "slots_asked": None, "slots_found": slots, "rows": rungs, "origin": origin}


def test_a_probe_gives_the_rungs_that_its_slots_ran_at_once(tmp_path: Path) -> None:
    file = tmp_path / "probe.json"
    ladder = probe(rung(1, 128.0), rung(2, 110.0), rung(4, 90.0), rung(8, 88.0), rung(3, None))
    file.write_text(json.dumps([ladder], indent=2))
    assert read_bench(file) == Bench(Given(128.0, {2: 220.0, 4: 360.0}, None))
    for wrong, said in (
        ([ladder, ladder], "expected a probe of one server, found http://here, http://here"),
        ([probe(rung(1, 10.0), origin="emulated")], "expected a measured probe, found an emulated one"),
        ([probe(rung(1, None))], "expected what llama-bench"),
        ([probe("no rung")], "expected what llama-bench"),  # type: ignore[arg-type]
    ):
        file.write_text(json.dumps(wrong))
        with pytest.raises(UserError, match=said):
            read_bench(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            SPACED.replace("4.58 GiB |     8.03 B | CUDA       |  10", "638 MiB | 1.10 B | CUDA | 10"),
            r"it is of a model with 1\.1 billion parameters",
        ),
        (SPACED.replace("4.58 GiB", "14.96 GiB"), r"it is of a model with a file of 16\.1 GB \(llama 8B Q4_K - Medi"),
        (SPACED.replace("131.42", "431.42"), r"--bench .*: decode: 431\.42 tokens a second cannot be: .* 205 at most$"),
        (json.dumps([{"model_type": name, "n_prompt": 0, "n_gen": 1, "avg_ts": 5} for name in ("a\nb", "c" * 99)]),
         r"expected one model, found a b, c{40}; keep the rows of one$"),
        (SPACED.replace("8B Q4_K - Medium         |   4.58 GiB |     8.03 B | CUDA ", "1B | 4 GiB | 8 B | C", 1),
         r"expected one model, found llama 1B, llama 8B Q4_K - Medium; keep the rows of one"),
        ("avg_ts,n_prompt,n_gen\nnan,0,128\n", "expected what llama-bench"),
        ("avg_ts,n_prompt,n_gen\n1e9,0,128\n", "expected what llama-bench"),
        ("INSERT INTO llama_bench (avg_ts) VALUES ('", "expected what llama-bench"),
        ("model,t/s\nllama,128\n", "expected what llama-bench"),
        ("\x00" * 100, "expected what llama-bench"),
    ],
)  # fmt: skip
def test_what_is_of_something_else_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "bench"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=said) as caught:
        estimated(EstimateOptions(device="RTX 4090", bench=file))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "bench"
    with file.open("wb") as sparse:
        sparse.truncate(5 << 20)
    with pytest.raises(UserError, match="found more than 4 MB"):
        read_bench(file)
