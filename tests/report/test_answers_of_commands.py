"""The first screens of probe, sweep, score and compare: what to do, on what it rests, and figures of their own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from analysis.scenarios import scenario, steady
from analysis.test_between import WOBBLE, made, run
from analysis.test_sweep import rows, sweep
from report.test_answer import part_of, screen
from report.test_levels_report import FOUR, ONE

from harness.analysis.analyse import analyse
from harness.analysis.between import compare_runs
from harness.analysis.levels import Level, Levels
from harness.predict.score import Score, ScoreRow
from harness.report.answer import MOST_LINES
from harness.report.score_answer import score_answer
from harness.wording.answer import WIDTH, Answer
from harness.wording.between_answer import between_answer
from harness.wording.levels_answer import levels_answer
from harness.wording.sweep_answer import sweep_answer

RATES = zip(ONE.rows, (25.0, 37.5, 38.0), strict=True)
GAINS = ONE._replace(
    rows=tuple(row._replace(aggregate_tokens_per_s=rate) for row, rate in RATES),
    slots_found=4,
    model="m",
    engine="Ollama 0.33",
)


def scored() -> Answer:
    analysis = analyse(scenario({"serial": steady(16), "batched": steady(12, noise=WOBBLE)}))
    found = (
        ScoreRow("serial", "digest", "pipeline time", 16.4, 16.0, 0.01),
        ScoreRow("batched", "digest", "pipeline time", 11.4, 12.0, 0.06),
    )
    score = Score(found, (("digest", "serial", "batched", 0.08),))
    return score_answer(score, analysis, "laptop", "as observed", "batched", "slotwise report DIR")


def compared_runs(*others: tuple[float, float]) -> Answer:
    before = made(run())
    after = [made(run(*times, WOBBLE)) for times in others]
    found = [compare_runs(before, now, ("a", f"b{n}")) for n, now in enumerate(after)]
    return between_answer(found, [before, *after])


ANSWERS: dict[str, tuple[Callable[[], Answer], str]] = {
    "probe": (lambda: levels_answer([GAINS], "CPU, 2 cores"), "Send calls batched, at most 2 calls at once (4 slots)."),
    "probe, nothing gained": (lambda: levels_answer([ONE]), "Send calls serially, one call at a time (1 slot)."),
    "probe of two": (
        lambda: levels_answer([ONE, FOUR]),
        'Use "second", send calls batched, at most 4 calls at once (2 slots).',
    ),
    "sweep": (lambda: sweep_answer([sweep(rows(100, 140, 141, 142))]), "Run batched: 2 slots (OLLAMA_NUM_PARALLEL=2)."),
    "sweep that still rises": (
        lambda: sweep_answer([sweep(rows(100, 140, 200), ended="most")]),
        "For now, run batched: 4 slots (OLLAMA_NUM_PARALLEL=4).",
    ),
    "sweep of two": (
        lambda: sweep_answer([sweep(rows(100, 101, 102)), sweep(rows(50, 90, 91, 90), model="other")]),
        "Run m with 1 slot, other with 2 slots.",
    ),
    "score": (scored, "The prediction was off by 3.7 % (median of 2 times), 5.0 % at worst."),
    "compare": (lambda: compared_runs((17.6, 11.0)), "Mixed: 1 of 6 slower, 1 of 6 faster."),
    "compare, equal": (lambda: compared_runs((16.0, 13.0)), "Equal within 5 %."),
    "compare of three": (lambda: compared_runs((17.6, 13.0), (17.6, 13.0)), "Worse: 2 of 12 slower."),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_it_fits_a_screen_and_says_first_what_to_do(name: str) -> None:
    made_by, headline = ANSWERS[name]
    lines = screen(made_by())
    assert len(lines) <= MOST_LINES and max(map(len, lines)) <= WIDTH
    after = [line for line in lines if not line.startswith("! ")]
    assert after[0].startswith(headline)
    assert "measured" in after[1]
    assert [line for line in lines if line.startswith("How sure   ")]
    assert lines[-1].startswith("Details") or lines[-2].startswith("Details")


def row_of(lines: list[str], label: str) -> list[str]:
    (line,) = (line for line in lines if line[2:].startswith(label))
    return line[2 + len(label) :].split()


def test_a_probe_marks_the_level_beyond_which_nothing_is_gained() -> None:
    lines = screen(levels_answer([GAINS]))
    assert row_of(lines, "2 calls at once") == ["37.5", "26.5", "2.00", "s"]
    assert [line[2:9] for line in lines if line.startswith("→ ")] == ["2 calls"]
    assert part_of(lines, "Why").startswith("2 at once reach 37.5 tok/s in all, 50 % more than 1.")
    assert "limit = asyncio.Semaphore(2)" in part_of(lines, "Do this")


VLLM = GAINS._replace(url="http://gpu:8000/v1", slots_asked=None, slots_found=64, slots_at_least=True)


def at_levels(*rates: tuple[int, float]) -> Levels:
    return VLLM._replace(rows=tuple(Level(n, 1.0, rate, None, None, 0) for n, rate in rates))


def test_a_probe_says_where_throughput_still_rises_and_how_to_go_on_with_that_server() -> None:
    lines = screen(levels_answer([at_levels((1, 25.0), (2, 45.0), (4, 100.0))], "CPU, 2 cores"))
    assert "4.0x as much as 1. Throughput still rises at 4, the most that was tried." in part_of(lines, "Why")
    assert "slotwise sweep --server http://gpu:8000/v1 --model m" in part_of(lines, "Do this")
    assert not any("CPU" in line for line in lines)  # it is elsewhere
    assert [word for line in lines for word in line.split() if word in ("request", "turn")] == []  # of no row


def test_a_probe_does_not_send_on_where_nothing_could_rise() -> None:
    four = at_levels((1, 25.0), (2, 45.0), (4, 100.0))._replace(slots_found=4, slots_at_least=False)
    for one in (four, at_levels((1, 25.0), (2, 45.0), (4, 45.5))):
        lines = screen(levels_answer([one]))
        assert "slotwise sweep" not in " ".join(lines) and "still rises" not in " ".join(lines)


def test_a_sweep_is_not_named_where_it_tries_no_more() -> None:
    lines = screen(levels_answer([at_levels((64, 1000.0), (128, 1200.0))]))
    assert "still rises at 128" in part_of(lines, "Why") and "slotwise sweep" not in " ".join(lines)


def test_slots_of_a_server_that_is_started_are_tried_with_its_engine_and_model() -> None:
    more = at_levels((1, 25.0), (4, 100.0))._replace(url="", kind="ollama", slots_found=2, slots_at_least=False)
    assert "slotwise sweep --engine ollama --model m" in part_of(screen(levels_answer([more])), "Do this")


def test_one_level_compares_nothing() -> None:
    lines = screen(levels_answer([at_levels((1, 25.0))]))
    assert "Only one level was measured: add --levels 1,2,4,8." in lines
    assert part_of(lines, "Why") == "One call at a time reaches 25.0 tok/s."
    assert not [line for line in lines if line.startswith(("→", "Do this"))]


def test_levels_that_do_not_begin_at_one_are_compared_with_the_lowest() -> None:
    lines = screen(levels_answer([at_levels((64, 1220.0), (128, 1230.0))]))
    assert lines[1] == "Send calls batched, at most 64 calls at once (at least 64 slots)."
    assert "64 calls at once reach 1220 tok/s, and more at once gain nothing." in part_of(lines, "Why")


def test_two_servers_are_held_against_each_other_and_other_slots_are_a_warning() -> None:
    lines = screen(levels_answer([ONE, FOUR]))
    assert lines[0] == "! second has 2 slots, not the 4 requested."
    assert '"second" reaches 46 % more than "everyday".' in part_of(lines, "Why")
    same = FOUR._replace(rows=ONE.rows)
    assert screen(levels_answer([ONE, same]))[1].startswith('Use "everyday", send calls serially')


def test_a_sweep_prints_the_setting_that_it_marks() -> None:
    lines = screen(sweep_answer([sweep(rows(100, 140, 141, 142))]))
    assert row_of(lines, "2 slots")[:2] == ["140", "70.0"]
    assert [line[2:9] for line in lines if line.startswith("→ ")] == ["2 slots"]
    assert part_of(lines, "Do this") == "OLLAMA_NUM_PARALLEL=2 OLLAMA_CONTEXT_LENGTH=2048 ollama serve"


def test_a_score_names_its_worst_figure_and_whether_both_recommend_the_same() -> None:
    lines = screen(scored())
    assert row_of(lines, "batched, digest job") == ["11.4", "s", "12.0", "s", "-5.0", "%", "±6.0", "%"]
    assert 'The worst is digest under "batched": predicted 5.0 % too fast.' in part_of(lines, "Why")
    assert part_of(lines, "Do this").endswith("The prediction recommends the same.")
    assert part_of(lines, "How sure").startswith("1 of 2 errors are within the noise of the run")


def test_a_comparison_puts_what_changed_first() -> None:
    lines = screen(compared_runs((17.6, 13.0)))
    assert lines[0] == "Worse: serial (batch) slower."
    assert row_of(lines, "serial, batch") == ["16.0", "s", "17.6", "s", "+10.0", "%", "slower"]
    assert [line[2:15] for line in lines if line.startswith("→ ")] == ["serial, batch"]
