"""A profile from recordings of streamed calls, made by a server model whose costs are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from servers.conftest import gguf_bytes

from harness.app.calibrate_from import bytes_of, calibrate_from, recording_of
from harness.app.options import RecordedOptions
from harness.core.levers import Levers
from harness.core.server_model import ServerModel
from harness.core.server_request import Request
from harness.core.step_costs import PassCosts, RamCache, StepCosts
from harness.errors import UserError
from harness.profiles.compile import compile_costs
from harness.profiles.gaps import Gap, contradicted, explained, runs_of, steps_of
from harness.profiles.load import load_profile
from harness.profiles.recorded import Recording, ollama_batch_tokens
from harness.profiles.seats import seated
from harness.profiles.streams import read_streams

__all__ = ["gguf_bytes"]

COSTS = StepCosts(
    decode_s=(0.0, 0.0033, 0.0039, 0.00455, 0.0052),
    prefill=((1, 8e-5),),
    prompt_step_s=0.009,
    batch_tokens=1024,
    before_s=0.0025,
    after_s=0.0015,
    passes=PassCosts((0.0, 0.0012, 0.0022, 0.0022, 0.0022), (0.0, 0.0027, 0.0053, 0.0053, 0.0053), 1024),
    ram_cache=RamCache(0.0, 1.1e-4, 65536),
)
OF = RecordedOptions(name="recorded", machine="a server model", context_tokens=2048, kv_bytes=131072)


def record(costs: StepCosts, path: Path, bursts: list[tuple[str, list[tuple[float, int, int]]]]) -> Path:
    """Write what a client would have seen: each call of each burst (sent_s, prompt and output tokens)."""
    model = ServerModel(costs, max_steps=1)
    lines: list[dict[str, Any]] = []
    now_s = 0.0
    for scenario, calls in bursts:
        begin_s = now_s + 0.05
        requests = [Request(i, prompt, output) for i, (_, prompt, output) in enumerate(calls)]
        sent = [begin_s + at_s for at_s, _, _ in calls]
        came: dict[int, list[float]] = {i: [] for i in range(len(calls))}
        coming = sorted(range(len(calls)), key=lambda i: (sent[i], i))
        while any(request.end_s is None for request in requests):
            at_s = sent[coming[0]] + costs.before_s if coming else float("inf")
            step_s = min(model.next_s(), at_s)
            model.advance(step_s)
            for i, request in enumerate(requests):
                told = request.output_tokens if request.end_s is not None else model.tokens_of(request)
                if request.first_token_s is not None:
                    came[i] += [step_s + costs.after_s] * (told - len(came[i]))
            while coming and sent[coming[0]] + costs.before_s <= step_s:
                i = coming.pop(0)
                model.submit(requests[i], step_s)
        for i, request in enumerate(requests):
            assert request.prompt_s is not None and request.first_token_s is not None and request.end_s is not None
            now_s = max(now_s, request.end_s + costs.after_s)
            lines.append(
                {
                    "scenario": scenario,
                    "slots": costs.slots,
                    "sent_s": sent[i],
                    "end_s": request.end_s + costs.after_s,
                    "chunks_s": came[i],
                    "prompt_eval_count": request.prompt_tokens,
                    "prompt_eval_duration": round((request.first_token_s - request.prompt_s) * 1e9),
                    "eval_count": request.output_tokens,
                    "eval_duration": round((request.end_s - request.first_token_s) * 1e9),
                    "total_duration": round((request.end_s - sent[i]) * 1e9),
                    "load_duration": 1000000,
                }
            )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def bursts(slots: int) -> list[tuple[str, list[tuple[float, int, int]]]]:
    """Lone calls, several at once, prompts beside a long answer, and calls of all sizes, as a recorder sends them."""
    found: list[tuple[str, list[tuple[float, int, int]]]] = [("warm", [(0.0, 36, 20)])]
    for _ in range(3):
        found += [(f"together-{n}", [(0.0, 36, 120)] * n) for n in range(1, slots + 1)]
        found += [(f"lone-prompt-{n}", [(0.0, n, 16)]) for n in (64, 256, 1000)]
    for n in (32, 128, 512):
        found.append((f"beside-{n}", [(0.0, 36, 300), *((0.2 + 0.25 * i, n, 16) for i in range(4))]))
    sizes = [(0.0, 90, 48), (0.03, 40, 4), (0.11, 300, 16), (0.2, 120, 100), (0.31, 50, 30), (0.33, 200, 60)]
    return [*found, ("window-40", sizes)]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("recordings")
    one = COSTS._replace(
        decode_s=COSTS.decode_s[:2],
        passes=PassCosts((0.0, 0.0012), (0.0, 0.0027), 512),
        batch_tokens=512,
    )
    return record(one, folder / "one.jsonl", bursts(1)), record(COSTS, folder / "four.jsonl", bursts(4))


def test_known_costs_come_back(recordings: tuple[Path, Path], tmp_path: Path) -> None:
    options = RecordedOptions(**{**vars(OF), "out": tmp_path / "recorded.yaml"})
    profile, path = calibrate_from([Recording(one) for one in recordings], options)
    assert load_profile(str(path)).name == "recorded"
    assert profile.origin == "measured" and profile.slot_counts == (1, 4)
    assert profile.held_out is not None and profile.held_out.worst_error < 0.02
    found = compile_costs(profile, 4).costs
    assert found.passes is not None and found.ram_cache is not None and COSTS.passes is not None
    assert found.decode_s == pytest.approx(COSTS.decode_s, rel=0.005)
    assert found.passes.changed_s == pytest.approx(COSTS.passes.changed_s, rel=0.02)
    # Where answers are no shorter than sixteen tokens this one is nearly the same as a recording's pace.
    assert found.passes.settle_s[1] == pytest.approx(0.0027, rel=0.25)
    assert found.ram_cache.s_per_token == pytest.approx(1.1e-4, rel=0.02)
    assert found.ram_cache.tokens == 65536  # 8 GiB of 128 KiB
    assert found.prompt_step_s == pytest.approx(0.009, rel=0.02)
    assert found.prefill[0][1] == pytest.approx(8e-5, rel=0.02)
    assert profile.slots["4"].drift == pytest.approx(0, abs=1e-6)


def test_the_seats_are_those_of_the_server(recordings: tuple[Path, Path]) -> None:
    """Of four slots the last is taken first; three at once then find 3, 2 and 0 first, which are no neighbours."""
    streams = read_streams(recordings[1])
    seats: dict[tuple[int, str], list[int]] = {}
    for call in streams.fitted:
        seats.setdefault((call.repetition, call.burst), []).append(call.seat)
    found = list(seats.values())
    assert found[0] == [2]  # after the warm call on 3
    assert found[1] == [1, 0]
    assert found[2] == [3, 2, 0]
    assert sorted(found[3]) == [0, 1, 2, 3]


def test_gaps_tell_steps_by_which_slots_are_busy(recordings: tuple[Path, Path]) -> None:
    streams = read_streams(recordings[1])
    places = {number: i for i, number in enumerate(sorted({gap.burst for gap in streams.gaps}))}
    gaps = [gap._replace(burst=places[gap.burst]) for gap in streams.gaps]
    steps = steps_of(gaps, np.ones((2, len(places))))
    assert steps.values["step_s.1"] == pytest.approx(0.0033)
    assert steps.values["step_s.4"] == pytest.approx(0.0052)
    assert steps.values["changed_s.1"] == pytest.approx(0.0012, rel=0.01)
    assert explained(gaps, steps) > 0.98
    assert not contradicted(gaps, steps)
    wrong = [*gaps, *(Gap(len(places), (2,), 0.009) for _ in range(30))]
    assert contradicted(wrong, steps) == {len(places)}


def test_runs_are_those_of_consecutive_numbers() -> None:
    assert runs_of([3, 2, 0]) == (1, 2)
    assert runs_of([0, 1, 2, 3]) == (4,)
    assert runs_of([5, 1, 3]) == (1, 1, 1)
    assert runs_of([]) == ()


def test_calls_that_wait_take_the_slot_that_is_left_first(recordings: tuple[Path, Path]) -> None:
    calls = [call._replace(seat=-1, left=()) for call in read_streams(recordings[0]).fitted]
    assert {call.seat for call in seated(calls, 1, 0.003)} == {0}


def test_the_batch_is_ollamas() -> None:
    assert [ollama_batch_tokens(n) for n in (2048, 4096, 8192, 32768, 65536)] == [512, 512, 1024, 1024, 2048]


def test_levers_are_read_from_the_command_line() -> None:
    assert recording_of("a/b.jsonl") == Recording(Path("a/b.jsonl"))
    found = recording_of("a.jsonl:ram_cache=off,kv_unified=on")
    assert found == Recording(Path("a.jsonl"), Levers(ram_cache=False, kv_unified=True))
    with pytest.raises(UserError, match="expected ram_cache and kv_unified as on or off"):
        recording_of("a.jsonl:threads=4")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected calls of one slot setting, found no call"),
        ("{", "line 1: expected a JSON object"),
        ("[1]", 'expected an object with "scenario"'),
        ('{"scenario": "x", "chunks_s": [], "eval_count": 3}', "expected a number for slots, found None"),
        ('{"scenario": "x", "eval_count": 3}', "expected a list for chunks_s"),
    ],
)
def test_a_file_that_is_no_recording_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_streams(path)


def test_calls_without_a_final_line_are_left_out_and_counted(recordings: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    cut = {"scenario": "together-1", "slots": 1, "sent_s": 0.0, "end_s": 0.1, "chunks_s": [0.1], "eval_count": None}
    path.write_text(json.dumps(cut) + "\n" + recordings[0].read_text(encoding="utf-8"), encoding="utf-8")
    assert read_streams(path).without == 1
    assert len(read_streams(path).fitted) == len(read_streams(recordings[0]).fitted)


def test_bytes_of_a_token_are_a_number_or_those_of_a_file(tmp_path: Path, gguf_bytes: Callable[..., bytes]) -> None:
    assert bytes_of("131072") == (131072, None)
    path = tmp_path / "m.gguf"
    heads = {"llama.block_count": 2, "llama.attention.head_count": 1, "llama.embedding_length": 8}
    path.write_bytes(gguf_bytes({"general.architecture": "llama", **heads}, {"a": (8, 8)}) + bytes(512))
    assert bytes_of(str(path)) == (2 * 2 * (8 + 8), path.stat().st_size)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "0",
            r"^--kv-bytes: expected the bytes of a token, from 1 to 1073741824, or the path of a GGUF .*, found 0$",
        ),
        ("9" * 5000, r"GGUF file, found 99999999999999999999$"),
        ("-5", r'GGUF file, found "-5"$'),
        ("128k", r'GGUF file, found "128k"$'),
        ("no-model.gguf", r"no-model.gguf: not a GGUF file"),
        ("silent.gguf", r"silent.gguf: its header does not say what a token takes; give the number of bytes$"),
    ],
)
def test_bytes_that_are_neither_are_refused(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gguf_bytes: Callable[..., bytes]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "no-model.gguf").write_text("no model")
    (tmp_path / "silent.gguf").write_bytes(gguf_bytes({"general.architecture": "llama"}, {"a": (8, 8)}) + bytes(512))
    with pytest.raises(UserError, match=message):
        bytes_of(text)
