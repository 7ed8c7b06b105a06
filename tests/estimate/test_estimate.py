"""Estimated profiles: the formula by hand, what the user gives, what is refused, and the intervals."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median

import pytest
import yaml

from benchmarks import fit_estimates
from benchmarks.estimate_figures import read_figures, save_rate
from benchmarks.estimate_table import table
from harness.app.estimate import EstimateOptions, estimated, new_profile
from harness.app.options import Assumptions, Changes, SimulateOptions
from harness.app.simulate import simulate
from harness.errors import UserError
from harness.estimate.bench import read_bench
from harness.estimate.devices import custom_device, devices, find_device
from harness.estimate.estimate import estimate_profile
from harness.estimate.formula import Constants, constants_for, decode_step_s, quality_of, saving
from harness.estimate.given import Given
from harness.estimate.models import find_model, models, shape_of
from harness.profiles.load import load_profile
from harness.profiles.resample import resampled

ROOT = Path(__file__).parents[2]
LLAMA = find_model("llama3.1:8b")
HALF = Constants(bandwidth=0.5, layer_s=1e-3, batch=0.1, wide=0.05, prompt=0.5)


def step(n: int, active_share: float = 1.0, experts: int = 0, active_experts: int = 0, by: Constants = HALF) -> float:
    return decode_step_s(
        n, weight_bytes=4e9, active_share=active_share, experts=experts, active_experts=active_experts,
        parameters=8e9, layers=10, bandwidth=1e12, vector=1e14, flops=4e14, by=by,
    )  # fmt: skip


def test_a_step_by_hand() -> None:
    assert step(1) == pytest.approx(4e9 / 0.5e12 + 10e-3)
    assert step(5) - step(1) == pytest.approx(4 * 16e9 / 1e13)  # vectors: a tenth of the FP32 rate


def test_more_than_eight_sequences_go_through_matrices() -> None:
    assert step(32) - step(1) == pytest.approx(32 * 16e9 / 2e13)  # a twentieth of the FP16 rate
    assert step(9) == pytest.approx(step(8))  # by matrices it would take less than with eight
    tiled = HALF._replace(tile=32)
    assert step(9, by=tiled) == step(32, by=tiled) == step(32)


def test_more_sequences_read_more_experts() -> None:
    # Of 4 experts one is used, and a quarter of the file is read; two that choose independently use 4 * (1 - (3/4)^2).
    more = step(2, 0.25, 4, 1) - step(1, 0.25, 4, 1) - 16e9 / 1e13
    assert more == pytest.approx(4e9 * 0.25 * (4 * (1 - 0.75**2) - 1) / 0.5e12)


def test_devices_are_found_however_they_are_written() -> None:
    names = {one.name for one in devices()}
    assert {"RTX 4090", "Apple M2 Ultra", "MI300X"} <= names
    for text in ("rtx4090", "NVIDIA GeForce RTX 4090", "RTX-4090"):
        assert find_device(text).name == "RTX 4090"
    for one in devices():
        assert find_device(one.name) == one
    with pytest.raises(UserError, match="it could be RTX 4090, RTX 4090 D, RTX 4090 Laptop"):
        find_device("RTX 409")
    with pytest.raises(UserError, match='did you mean "RTX 4090"'):
        find_device("4090x")
    given = custom_device("x", 1000, 100, 8 * 10**9)
    assert given.vector == given.flops / 4 and "1/4 of that of FP16 is assumed" in given.source
    for text in ("Mac mini M4 Pro", "MacBook Pro M4 Pro 24 GB", "Mac Studio (M4 Pro)", "m4 pro 48GiB"):
        assert find_device(text).name == "Apple M4 Pro", text
    with pytest.raises(UserError, match='no device "MacBook 14 inch M4 Pro" in the table; it could be Apple M4 Pro '):
        find_device("MacBook 14 inch M4 Pro")
    assert find_device("apple m4").several == "metal_base" and find_device("apple m4 pro").several == "metal"
    assert find_device("M4 Max").name == "Apple M4 Max"
    with pytest.raises(UserError, match=r"--bandwidth: expected 5 to 20000, found 1"):
        custom_device("x", 1, 10, 8 * 10**9)


def test_models_are_found_and_their_cache_is_known() -> None:
    assert LLAMA.kv_bytes_per_token == 2 * 32 * 8 * 128 * 2
    assert find_model("llama3.1:8b-instruct-q4_K_M") == LLAMA
    assert find_model("phi4").name == "phi4:14b"
    with pytest.raises(UserError, match="it could be qwen3:8b, qwen3:14b, qwen3:30b-a3b"):
        find_model("qwen3")
    with pytest.raises(UserError, match=r'did you mean "llama3\.1:8b"'):
        find_model("llama3.1:8")
    assert len(models()) >= 12 and len({one.name for one in models()}) == len(models())


def test_metadata_tell_the_same_as_the_table() -> None:
    told = {
        "general.architecture": "llama", "llama.block_count": 32, "llama.embedding_length": 4096,
        "llama.attention.head_count": 32, "llama.attention.head_count_kv": 8, "llama.feed_forward_length": 14336,
        "llama.vocab_size": 128256,
    }  # fmt: skip
    shape = shape_of("mine", told, 8.03e9, "a header")
    assert shape._replace(name="", quant="", source="") == LLAMA._replace(name="", quant="", source="")
    with pytest.raises(UserError, match=r"^mine: it does not tell llama.block_count, so no estimate is possible$"):
        shape_of("mine", told | {"llama.block_count": "many"}, 8e9, "a header")


def test_what_is_given_takes_the_place_of_the_estimate_and_is_surer() -> None:
    device = find_device("RTX 4090")
    plain = estimate_profile(device, LLAMA, "q4_k_m").slots["8"]
    given = estimate_profile(device, LLAMA, "q4_k_m", known=Given(128, {4: 360}, 6500)).slots["8"]
    assert given.step_s["1"] == pytest.approx(1 / 128, rel=1e-5)
    assert given.step_s["4"] == pytest.approx(4 / 360, rel=1e-5)
    assert given.step_s["1"] < given.step_s["2"] < given.step_s["4"] < given.step_s["8"]
    # A full pass of 512 prompt tokens reads the weights once, as a step of one call does.
    assert given.prefill_s_per_token is not None
    assert given.prompt_step_s + 512 * given.prefill_s_per_token == pytest.approx(512 / 6500, rel=1e-5)
    for name, error in given.standard_error.items():
        assert error < plain.standard_error[name] or name in ("overhead_s", "save_s_per_token")


def test_a_slot_is_saved_at_a_rate_and_apart_from_its_neighbours_it_has_its_own_pass() -> None:
    setting = estimate_profile(find_device("RTX 4090"), LLAMA, "q4_k_m").slots["4"]
    assert setting.save_s_per_token == pytest.approx(LLAMA.kv_bytes_per_token / saving().bytes_s, rel=1e-4)
    assert setting.ram_cache_tokens == 8 * 2**30 // LLAMA.kv_bytes_per_token
    assert setting.changed_s == setting.settle_s == {"1": 0.0}
    assert estimate_profile(find_device("EPYC 9654"), LLAMA, "q4_k_m").slots["4"].changed_s is None


@pytest.mark.parametrize(("total", "active"), [(5.1e9, 2.3e9), (8e9, 4.5e9)], ids=["e2b", "e4b"])
def test_the_published_m1_is_within_the_interval_of_a_base_chip(total: float, active: float) -> None:
    """Which of the two models it was is not published; the step of one call alone is, and is given."""
    known = load_profile("m1-published", ROOT / "workloads" / "x.yaml").slots["4"].step_s
    shape = LLAMA._replace(name="gemma4", parameters=total, active=active, layers=35)
    profile = estimate_profile(find_device("Apple M1"), shape, "q4_k_m", known=Given(1 / known["1"]), file_bytes=4e9)
    for n in ("2", "4"):
        values = sorted(profile.slots["4"].replicates[f"step_s.{n}"])
        assert values[1] <= known[n] <= values[-2]
    assert quality_of("batch", "metal_base").ninety > 3 * quality_of("batch", "cuda").ninety


def test_the_interval_is_that_of_devices_left_out() -> None:
    device = find_device("RTX 4090")
    profile = estimate_profile(device, LLAMA, "q4_k_m")
    found = resampled(profile, 20)
    assert found.source == "resampled calibration" and len(found.profiles) == 20
    alone = sorted(one.slots["1"].step_s["1"] for one in found.profiles)
    middle = profile.slots["1"].step_s["1"]
    # 19 of 20 are about within the 90th percentile of the error, and none has no error at all.
    assert median(alone) == pytest.approx(middle, rel=0.05)
    assert sum(abs(one / middle - 1) < quality_of("decode", "cuda").ninety * 1.1 for one in alone) in range(17, 20)
    assert all(len(set(values)) == 20 for values in profile.slots["4"].replicates.values())
    for one in found.profiles:  # a step of several takes no less than that of one
        steps = one.slots["8"].step_s
        assert steps["8"] >= steps["1"]


def test_every_device_and_model_makes_a_profile(tmp_path: Path) -> None:
    for device in devices():
        profile = estimate_profile(device, LLAMA, "q8_0", slots=(1, 4))
        assert profile.origin == "estimated" and profile.slot_counts == (1, 4)
    for model in models():
        assert estimate_profile(find_device("RTX 4090"), model, model.quant).memory.model_bytes
    assert constants_for("", "") == constants_for("other", "")


@pytest.mark.parametrize(
    ("known", "bound"),
    [
        (Given(decode=900), r"^--decode: 900 tokens a second cannot be: .* which is 205 at most$"),
        (Given(decode_at={4: 5000}), r"^--decode-at: 4 sequences with 5000 tokens .* RTX 4090 makes 821 at most$"),
        (Given(128, {4: 90}), r"^--decode-at: 4 sequences with 90 .* one alone makes 128; if each .* it is 4=360$"),
        (Given(128, {4: 600}), r"^--decode-at: 4 .* one alone makes 128, so 4 make 512 at most$"),
        (Given(decode=0), r"^--decode: 0 tokens a second cannot be: .* 205 at most$"),
        (Given(decode=float("nan")), r"^--decode: nan tokens a second cannot be: .* 205 at most$"),
        (Given(decode_at={4: float("nan")}), r"^--decode-at: 4 sequences with nan .* 821 at most$"),
        (Given(prefill=-1), r"^--prefill: -1 tokens a second cannot be: "),
        (Given(decode_at={1: 100}), r"^--decode-at: expected 2 to 64 sequences, found 1$"),
        (Given(prefill=1e6), r"^--prefill: 1e\+06 tokens a second cannot be: .* tokens at most, with 8 bit$"),
    ],
)
def test_what_cannot_be_is_refused_with_the_bound(known: Given, bound: str) -> None:
    with pytest.raises(UserError, match=bound):
        estimate_profile(find_device("RTX 4090"), LLAMA, "q4_k_m", known=known)


def test_rungs_that_are_given_bend_the_ones_between_and_bound_the_one_alone() -> None:
    device = find_device("RTX 4090")
    plain = estimate_profile(device, LLAMA, "q4_k_m").slots["8"]
    found = estimate_profile(device, LLAMA, "q4_k_m", known=Given(None, {2: 200, 8: 640})).slots["8"]
    assert [found.step_s["2"], found.step_s["8"]] == pytest.approx([0.01, 0.0125])
    assert found.step_s["2"] < found.step_s["4"] < found.step_s["8"]
    assert found.step_s["1"] == plain.step_s["1"]  # 6.7 ms, which is below the 10 ms of two
    fast = estimate_profile(device, LLAMA, "q4_k_m", known=Given(None, {2: 350})).slots["8"]
    assert fast.step_s["1"] == pytest.approx(2 / 350, rel=1e-5)  # no more than the step of two
    for slots in found, fast:
        assert all(a <= b for a, b in zip(slots.replicates["step_s.1"], slots.replicates["step_s.2"], strict=True))
    assert found.standard_error["step_s.2"] < found.standard_error["step_s.4"] < plain.standard_error["step_s.4"]


MARKDOWN = """
| model            |     size |  params | backend | ngl |  test |              t/s |
| ---------------- | -------: | ------: | ------- | --: | ----: | ---------------: |
| llama 8B Q4_K    | 4.58 GiB |  8.03 B | CUDA    |  99 | pp512 | 9056.12 ± 101.50 |
| llama 8B Q4_K    | 4.58 GiB |  8.03 B | CUDA    |  99 | tg128 |    128.30 ± 0.21 |
"""
BATCHED = """
|    PP |     TG |    B |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |      T s |    S t/s |
|-------|--------|------|--------|----------|----------|----------|----------|----------|----------|
|   512 |    128 |    1 |    640 |    0.056 |  9142.86 |    1.000 |   128.00 |    1.056 |   606.06 |
|   512 |    128 |    4 |   2560 |    0.224 |  9140.00 |    1.400 |   365.71 |    1.624 |  1576.35 |
"""


def test_benchmarks_are_read(tmp_path: Path) -> None:
    file = tmp_path / "bench"
    file.write_text(MARKDOWN, encoding="utf-8")
    assert read_bench(file).given == Given(128.3, {}, 9056.12)
    file.write_text(BATCHED, encoding="utf-8")
    assert read_bench(file).given == Given(128.0, {4: 365.71}, 9142.86)
    file.write_text(
        json.dumps([{"n_prompt": 512, "n_gen": 0, "avg_ts": 9000.5}, {"n_prompt": 0, "n_gen": 128, "avg_ts": 127}])
    )
    assert read_bench(file).given == Given(127, {}, 9000.5)
    file.write_text('{"pl": 1, "speed_tg": 128.0, "speed_pp": 9000.0}\n{"pl": 8, "speed_tg": 700.0}\nnot this\n')
    assert read_bench(file).given == Given(128.0, {8: 700.0}, 9000.0)
    for wrong in ("", "hello", "[1]", "{" * 5000, '[{"avg_ts": "many"}]', "| t/s |\n| 3 |"):
        file.write_text(wrong)
        with pytest.raises(UserError, match=r"expected what llama-bench"):
            read_bench(file)
    with pytest.raises(UserError, match="cannot be read"):
        read_bench(tmp_path / "none")


def test_a_profile_is_written_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = new_profile(EstimateOptions(device="apple m2 ultra", model="qwen3:8b"))
    assert made.path == Path("profiles/apple-m2-ultra-qwen3-8b-q4_k_m.yaml")
    assert load_profile(made.profile.name) == made.profile
    with pytest.raises(UserError, match="exists already"):
        new_profile(EstimateOptions(device="apple m2 ultra", model="qwen3:8b"))
    with pytest.raises(UserError, match="--fp16-tflops, --memory missing"):
        estimated(EstimateOptions(bandwidth_gb_s=100))
    with pytest.raises(UserError, match="expected a machine: --device NAME"):
        estimated(EstimateOptions())
    with pytest.raises(UserError, match=r'--quant: expected one of .*found "q4_k_x"; did you mean "q4_k_s"'):
        estimated(EstimateOptions(device="rtx 4090", quant="q4_k_x"))


def test_the_constants_and_the_page_are_those_that_the_fit_gives() -> None:
    figures = read_figures(ROOT / "benchmarks" / "hardware")
    made, errors = fit_estimates.fit(figures), fit_estimates.left_out(figures)
    known = fit_estimates.quality(errors)
    saved = save_rate(ROOT / "benchmarks" / "hardware")
    fresh = yaml.safe_load(fit_estimates.written(made, known, saved))
    kept = yaml.safe_load((ROOT / "harness" / "estimate" / "constants.yaml").read_text(encoding="utf-8"))
    for part in ("families", "architectures", "several", "formats", "saving"):
        for name, values in kept[part].items():
            assert fresh[part][name] == pytest.approx(values, rel=0.02), name
    assert fresh["quality"].keys() == kept["quality"].keys()
    # What docs/explanation/estimates.md promises of figures that were left out; the trivial estimate is far from it.
    assert kept["quality"]["decode/other"]["median"] < 0.07 and kept["quality"]["batch/cuda"]["median"] < 0.06
    for what, (share, _) in fit_estimates.coverage(errors, known).items():
        assert 0.80 <= share <= 0.97 or what == "wide of experts"  # 8 figures of 2 devices
    page = (ROOT / "docs" / "explanation" / "estimates.md").read_text(encoding="utf-8")
    assert table(errors) in page, "python benchmarks/estimate_table.py prints the table"


WORKLOAD = """version: 1
name: ask
inputs: {papers: {synthetic: {count: 8, tokens: 200}}}
pipelines:
  digest: {path: batch, jobs: 2, arrival: {closed: 1}, nodes: {read: {agent: chat, over: papers}}}
compare: {four: window}
"""


def test_each_figure_that_is_given_makes_a_predicted_interval_narrower(tmp_path: Path) -> None:
    (tmp_path / "ask.yaml").write_text(WORKLOAD, encoding="utf-8")

    def width(**known: object) -> float:
        out = tmp_path / "it.yaml"
        options = EstimateOptions(device="RTX 4090", out=out, force=True, slots=(1, 4), **known)  # type: ignore[arg-type]
        new_profile(options)
        found = simulate(
            tmp_path / "ask.yaml",
            SimulateOptions(
                changes=Changes(model="llama3.1:8b"), assumptions=Assumptions(profiles=(str(out),)), repeats=5
            ),
        )
        time = found.analysis.candidates[0].pipelines[0].time
        assert time is not None and time.profile_interval is not None
        return time.profile_interval[1] / time.profile_interval[0]

    figures: list[dict[str, object]] = [{}, {"decode": 128}, {"decode_at": {4: 360}}, {"prefill": 6500}]
    widths = [width(**{key: one for more in figures[:n] for key, one in more.items()}) for n in range(1, 5)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 1.2 < widths[0]
    assert len(set(widths)) == 4
