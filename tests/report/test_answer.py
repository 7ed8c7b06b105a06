"""The first screen: one recommendation with its own numbers, whatever the run, in 25 lines of 80 columns."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from analysis import records as make
from analysis.scenarios import scenario, steady, with_goal
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis
from harness.core.records import Origin
from harness.report.answer import MOST_LINES, answer_lines, answer_markdown, print_answer
from harness.report.summary import read_analysis, summary
from harness.units import seconds
from harness.wording.answer import WIDTH, Answer, AnswerLine, AnswerPart, AnswerRow, AnswerTable
from harness.wording.run_answer import run_answer

ROOT = Path(__file__).parent.parent.parent
GALLERY = sorted((ROOT / "reports/gallery").glob("*/summary.json"))
NOISE = (0.01, -0.01, 0.005, 0.0, 0.0)
WIDE = (0.1, -0.1, 0.05, -0.05, 0.0)
CHAT = {"serial": steady(3), "batched": steady(2), "split": steady(1)}
TRADE = {"serial": steady(16), "batched": steady(13), "split": steady(14.5, noise=NOISE)}


def failing() -> Analysis:
    run = scenario({"serial": steady(16), "batched": steady(13)})
    broken = run.jobs[-1]._replace(outcome="error")
    return analyse(run._replace(jobs=(*run.jobs[:-1], broken)))


def missing() -> Analysis:
    found = analyse(scenario({"serial": steady(16), "batched": steady(13)}))
    return found._replace(run=found.run._replace(missing=("split",)))


def interrupted() -> Analysis:
    """One of two repeats of "serial" is complete, and none of "batched"."""
    run = scenario({"serial": [16.0, 16.1], "batched": [13.0, 13.1]})
    trials = tuple(trial for trial in run.trials if (trial.candidate, trial.repeat) == ("serial", 0))
    return analyse(
        run._replace(trials=trials, partial=True, options={"repeats": 2}, file="w.yaml"), Path("reports/digest-1")
    )


def nothing_ended_well() -> Analysis:
    run = scenario({"serial": steady(16), "batched": steady(13)})
    return analyse(run._replace(jobs=tuple(job._replace(outcome="error") for job in run.jobs)))


ANALYSES = {
    "a clear winner": lambda: analyse(scenario({"serial": steady(16), "batched": steady(12, noise=NOISE)})),
    "serial is better": lambda: analyse(scenario({"serial": steady(10), "batched": steady(12, noise=NOISE)})),
    "no difference": lambda: analyse(scenario({"serial": steady(16), "batched": steady(15.8, noise=NOISE)})),
    "not settled": lambda: analyse(scenario({"serial": steady(16), "batched": steady(15.5, noise=WIDE)})),
    "one repeat": lambda: analyse(scenario({"serial": [16.0], "batched": [12.0]})),
    "one candidate": lambda: analyse(scenario({"serial": steady(16)})),
    "one for both paths": lambda: analyse(
        scenario({"serial": steady(16), "batched": steady(13), "split": steady(12.9, noise=NOISE)}, CHAT)
    ),
    "a compromise": lambda: analyse(scenario(TRADE, CHAT)),
    "the goal decides": lambda: analyse(scenario(TRADE, CHAT, spec=with_goal(p50_s=1.5))),
    "two goals": lambda: analyse(scenario(TRADE, CHAT, spec=with_goal(p50_s=1.5, first_token_s=1.0))),
    "no goal is met": lambda: analyse(scenario(TRADE, CHAT, spec=with_goal(p50_s=0.1))),
    "jobs fail": failing,
    "a candidate is missing": missing,
    "interrupted": interrupted,
    "nothing ended well": nothing_ended_well,
}
ENDS_WELL = sorted(set(ANALYSES) - {"nothing ended well"})


def screen(answer: Answer, *, ascii_only: bool = False) -> list[str]:
    return [line.plain for line in answer_lines(answer, ascii_only=ascii_only)]


def first_screen(name: str) -> list[str]:
    return screen(run_answer(ANALYSES[name](), "slotwise report reports/digest-20261127-120000"))


def part_of(lines: list[str], title: str) -> str:
    """Return what a part says, on one line."""
    (at,) = (number for number, line in enumerate(lines) if line.startswith(f"{title:<11}"))
    end = next((n for n in range(at + 1, len(lines)) if not lines[n].startswith(" " * 11)), len(lines))
    return " ".join(line[11:].strip() for line in lines[at:end])


@pytest.mark.parametrize("name", sorted(ANALYSES))
def test_every_answer_fits_a_screen_with_what_to_do_first(name: str) -> None:
    lines = first_screen(name)
    assert len(lines) <= MOST_LINES
    assert [line for line in lines if len(line) > WIDTH] == []
    warnings = [line for line in lines if line.startswith("! ")]
    assert lines[: len(warnings)] == warnings and len(warnings) <= 3
    headline, basis = lines[len(warnings) : len(warnings) + 2]
    if name in ENDS_WELL:
        assert re.match(r"(Run|For now, run) .*(serial|batched)", headline), headline
    assert basis.startswith("smollm2-135m · llama.cpp · A quiet processor, 2 cores · measured, ")
    assert lines[-1].startswith("Details")


@pytest.mark.parametrize("name", ENDS_WELL)
def test_the_figures_beside_a_name_are_its_own(name: str) -> None:
    analysis = ANALYSES[name]()
    check_figures(screen(run_answer(analysis)), summary(analysis))


def check_figures(lines: list[str], plain: dict) -> None:  # type: ignore[type-arg]
    """Hold the rows of a first screen against summary.json, the recommended one first."""
    start = next(number for number, line in enumerate(lines) if line.startswith("→ "))
    rows = []
    for line in lines[start:]:
        if not line.strip():
            break
        rows.append(line)
    assert [row.startswith("→ ") for row in rows] == [True] + [False] * (len(rows) - 1)
    candidates = {candidate["name"]: candidate for candidate in plain["candidates"]}
    for row in rows:
        if row.strip().endswith("--full") or "standard ways" in row:
            continue
        name = next(name for name in sorted(candidates, key=len, reverse=True) if row[2:].startswith(name))
        times = [_shown(summary) for summary in candidates[name]["pipelines"]]
        shown = re.split(r"\s{2,}", row[2:].strip())[1:]
        assert shown[0] == (times[0] or "-"), row
        assert [text for text in shown if text in times] == [text for text in times if text in shown], row
    assert rows[0][2:].startswith(plain["choice"]["candidate"])


def _shown(summary: dict) -> str | None:  # type: ignore[type-arg]
    """The time of a pipeline, or where a goal is about it the median that the goal is judged by."""
    judged = [goal["found_s"] for goal in summary["goals"] if goal["goal"] == "p50_s" and goal["found_s"]]
    return seconds(judged[0]) if judged else summary["time"] and seconds(summary["time"]["value"])


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.parent.name)
def test_the_gallery_begins_with_its_answer(path: Path) -> None:
    plain = json.loads(path.read_text(encoding="utf-8"))
    analysis = read_analysis(path.read_bytes(), str(path))
    lines = screen(run_answer(analysis))
    assert len(lines) <= MOST_LINES and max(map(len, lines)) <= WIDTH
    plain["choice"]["candidate"] = analysis.choice.candidate  # an older summary may have none
    check_figures(lines, plain)


# --- the shapes, whole ------------------------------------------------------------------------------------------------


def test_a_clear_winner() -> None:
    assert first_screen("a clear winner") == [
        "Run batched: 4 slots, at most 4 calls at once, interactive first.",
        "smollm2-135m · llama.cpp · A quiet processor, 2 cores · measured, 5 repeats",
        "",
        "                    digest  tok/s per",
        "                       job    request",
        "→ batched, 4 slots  12.0 s        9.8",
        "  serial, 1 slot    16.0 s         14",
        "",
        'Why        A digest job takes 25 % less time than with "serial": 6.50 s less',
        "           waiting, against 1.88 s more writing of answers.",
        'Instead    Nothing is faster. With "serial" a digest job takes 16.0 s instead of',
        "           12.0 s.",
        "",
        "Do this    OLLAMA_NUM_PARALLEL=4 OLLAMA_CONTEXT_LENGTH=2048 ollama serve",
        "           In your program, at most 4 calls at once. Code that does it:",
        "           slotwise report reports/digest-20261127-120000 --settings asyncio",
        "",
        'How sure   Against "serial", a digest job takes 24 to 26 % less time (95 %',
        "           intervals).",
        "           Measured with llama.cpp itself. On your Ollama:",
        "           slotwise run workloads/research-digest.yaml --engine ollama \\",
        "             --model NAME",
        "Details    slotwise report reports/digest-20261127-120000 --full",
    ]


def test_no_measurable_difference() -> None:
    lines = first_screen("no difference")
    assert lines[0] == "Run serially: 1 slot (OLLAMA_NUM_PARALLEL=1), one call at a time."
    assert part_of(lines, "Why") == 'It is equal to "batched" within 5 %, and the simplest.'


def test_not_settled_yet() -> None:
    lines = first_screen("not settled")
    assert lines[0] == "For now, run serially: 1 slot, one call at a time; nothing is measurably faster."
    assert part_of(lines, "Why") == (
        'No difference from "batched" is measurable yet, and this is the simplest of these. By the means in the '
        'table "batched" is quicker, which may be chance.'
    )
    sure = part_of(lines, "How sure")
    assert re.search(r"About 45 repeats of each would resolve this, in \d+ min: slotwise run .* --until resolved", sure)


@pytest.mark.parametrize("origin", ["measured", "predicted"])
def test_a_single_way_is_compared_with_nothing(origin: Origin) -> None:
    answer = run_answer(analyse(scenario({"serial": steady(16)}, origin=origin)))
    assert part_of(screen(answer), "Why") == f"Only one way was {origin}, so nothing was compared."
    assert not any(part.title == "Instead" for part in answer.parts)


def test_one_repeat_settles_nothing() -> None:
    lines = first_screen("one repeat")
    assert lines[1].startswith("For now, run batched")
    assert part_of(lines, "Why").startswith('"batched" was the fastest in one repeat, which settles nothing.')


def test_candidates_that_lose_jobs_are_passed_over_and_named() -> None:
    lines = first_screen("jobs fail")
    assert lines[0] == '! Failed under "batched": 1 of 10 jobs.'
    assert part_of(lines, "Why") == 'Jobs failed under "batched", so it is excluded.'


def test_what_is_missing_stands_above_the_answer() -> None:
    lines = first_screen("a candidate is missing")
    assert lines[0] == '! Missing: "split" was not measured. The answer covers the others only.'


def test_what_was_cut_is_recommended_for_now_with_what_it_rests_on() -> None:
    lines = first_screen("interrupted")
    after = [line for line in lines if not line.startswith("! ")]
    assert after[0] == "For now, run serially: 1 slot (OLLAMA_NUM_PARALLEL=1), one call at a time."
    assert after[1].endswith("measured, 1 of 2 repeats")
    assert part_of(lines, "Why").startswith('Only "serial" has a complete repeat, so nothing was compared.')
    assert "slotwise run --resume reports/digest-1" in part_of(lines, "How sure")


def test_repeats_that_differ_between_candidates_are_counted_from_the_fewest() -> None:
    run = scenario({"serial": steady(16), "batched": steady(13)})
    cut = tuple(trial for trial in run.trials if trial.candidate == "serial" or trial.repeat < 3)
    basis = run_answer(analyse(run._replace(trials=cut, partial=True))).basis
    assert basis[-1] == "measured, 3 to 5 of 5 repeats"


def test_a_compromise_names_both_costs() -> None:
    lines = first_screen("a compromise")
    assert lines[0] == "Run 2 servers: digest batched (4 slots), chat serially (1 slot)."
    assert part_of(lines, "Why").startswith("No candidate is best on both paths. This one loses least")
    assert part_of(lines, "Instead") == (
        '"batched": a digest job takes 13.0 s instead of 14.5 s, but chat replies take 2.00 s instead of 1.00 s. '
        "Choose it if digest matters more."
    )


def test_nothing_to_recommend_is_said_and_why() -> None:
    lines = first_screen("nothing ended well")
    assert any(line.startswith("No candidate can") for line in lines[:4])


# --- any answer -------------------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), min_size=1, max_size=200)
LINES = st.lists(st.builds(AnswerLine, TEXTS, st.booleans()), min_size=1, max_size=6).map(tuple)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """An answer with anything in it, as long as its headline fits."""
    columns = draw(st.lists(st.tuples(TEXTS, st.sampled_from(["job", "reply", "token"])), min_size=1, max_size=9))
    cells = st.lists(st.from_regex(r"[0-9]{1,3}(\.[0-9])? (ms|s)", fullmatch=True), min_size=len(columns),
                     max_size=len(columns)).map(tuple)  # fmt: skip
    names = draw(st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,60}", fullmatch=True), min_size=1, max_size=40))
    rows = [AnswerRow(name, f"{name}, 4 slots", number == 0, draw(cells)) for number, name in enumerate(names)]
    titles = ("Why", "Instead", "Do this", "How sure", "Details")
    return Answer(
        tuple(draw(st.lists(TEXTS, max_size=9))),
        draw(st.text("abc ,:", min_size=1, max_size=WIDTH)),
        tuple(draw(st.lists(TEXTS, min_size=1, max_size=4))),
        draw(st.none() | st.just(AnswerTable(tuple(columns), tuple(rows)))),
        tuple(AnswerPart(title, draw(LINES)[: 1 if title == "Details" else 6]) for title in titles),
    )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(answers())
def test_any_answer_fits_80_columns(answer: Answer) -> None:
    too_long = {word for part in answer.parts for line in part.lines if line.code for word in line.text.split(" ")}
    for line in screen(answer):
        assert len(line) <= WIDTH or any(word in line and len(word) > 60 for word in too_long), line


def test_a_command_is_broken_so_that_it_can_be_copied() -> None:
    command = f"slotwise report reports/{'x' * 40}-20261127-120000 --settings asyncio"
    lines = screen(Answer((), "Run.", ("m",), None, (AnswerPart("Do this", (AnswerLine(command, code=True),)),)))
    copied = "\n".join(line[11:] for line in lines[3:])
    assert copied.replace("\\\n", "").split() == command.split()


def test_it_is_the_same_without_unicode_and_in_markdown() -> None:
    answer = run_answer(ANALYSES["the goal decides"]())
    assert all(line.isascii() for line in screen(answer, ascii_only=True))
    text = "\n".join(answer_markdown(answer))
    for row in answer.table.rows if answer.table else ():
        assert f"| {' | '.join(row.cells)} |" in text


def test_markup_in_names_is_shown_as_text() -> None:
    found = analyse(scenario({"serial": steady(16), "batched": steady(13)}))
    servers = tuple(server._replace(model="[bold]m[/]\x1b[31m") for server in found.run.servers)
    out = io.StringIO()
    print_answer(run_answer(found._replace(run=found.run._replace(servers=servers))), Console(file=out, width=80))
    assert "[bold]m[/][31m" in out.getvalue() and "\x1b" not in out.getvalue()


def test_the_rate_of_a_request_is_tokens_over_the_time_of_generation() -> None:
    """Two calls of one repeat: 2 + 2 tokens after the first ones, in 1 s and 3 s."""
    run = scenario({"serial": [16.0]})
    calls = [
        make.call("merge", pipeline="digest", path="batch", candidate="serial", tokens=3, decode=1.0),
        make.call("merge", pipeline="digest", path="batch", candidate="serial", tokens=3, decode=3.0, job=1),
    ]
    (candidate,) = analyse(run._replace(calls=tuple(calls))).candidates
    assert candidate.per_request is not None and candidate.per_request.value == pytest.approx(1.0)


# --- which rows of a long table stay ----------------------------------------------------------------------------------


def long_answer(why: str, rows: int = 12) -> Answer:
    """More rows and lines than a screen has, and a reason that may name some of them."""
    names = [f"way-{number}" for number in range(rows)]
    table = AnswerTable(
        (("digest", "job"),), tuple(AnswerRow(name, f"{name}, 4 slots", name == "way-0", ("1.00 s",)) for name in names)
    )
    parts = [AnswerPart("Why", (AnswerLine(why),))]
    parts += [AnswerPart(title, (AnswerLine("A sentence."),) * 4) for title in ("Instead", "Do this", "How sure")]
    return Answer((), "Run it.", ("m",), table, tuple(parts))


def shown(answer: Answer) -> list[str]:
    return [line.strip(" →").partition(",")[0] for line in screen(answer) if ", 4 slots" in line]


def test_a_row_that_a_part_names_is_not_hidden() -> None:
    nothing = shown(long_answer("It is the simplest."))
    assert nothing == [f"way-{number}" for number in range(len(nothing))] and len(nothing) < 12
    named = shown(long_answer('It takes less than "way-7" and than "way-11".'))
    assert len(named) == len(nothing)
    assert {"way-0", "way-7", "way-11"} <= set(named) and named[0] == "way-0"
    assert named == sorted(named, key=lambda name: int(name.partition("-")[2]))


def test_rows_that_are_named_stay_before_lines_that_matter_less() -> None:
    every = " ".join(f'"way-{number}"' for number in range(1, 6))
    assert shown(long_answer(f"Not {every}.")) == [f"way-{number}" for number in range(6)]


def test_a_note_on_the_rows_stands_beside_what_is_hidden_or_alone() -> None:
    answer = long_answer("It is the simplest.")
    assert answer.table is not None
    noted = answer._replace(table=answer.table._replace(note="12 ways were tried"))
    hidden = 12 - len(shown(noted))
    assert [line for line in screen(noted) if "12 ways" in line] == [
        f"  {hidden} more candidates: --full · 12 ways were tried"
    ]
    few = answer._replace(table=answer.table._replace(note="2 ways were tried", rows=answer.table.rows[:2]))
    assert [line for line in screen(few) if "2 ways" in line] == ["  2 ways were tried"]
    assert "2 ways were tried" in answer_markdown(few)


def test_a_row_that_nobody_names_gives_way_to_what_to_do() -> None:
    answer = long_answer('It takes less than "way-7".')
    commands = AnswerPart("Do this", tuple(AnswerLine(f"command-{number}", code=True) for number in range(8)))
    full = answer._replace(parts=(answer.parts[0], commands, *answer.parts[3:]))
    lines = screen(full)
    assert len(lines) <= MOST_LINES and any("command-7" in line for line in lines)
    assert shown(full) == ["way-0", "way-1", "way-7"]


def test_a_note_gives_way_to_what_to_do() -> None:
    answer = long_answer('It takes less than "way-7".')
    assert answer.table is not None
    note = "12 ways were tried, and more than one of them could be told here"
    answer = answer._replace(table=answer.table._replace(note=note))
    for commands, there in ((7, True), (8, False)):
        part = AnswerPart("Do this", tuple(AnswerLine(f"command-{n}", code=True) for n in range(commands)))
        lines = screen(answer._replace(parts=(answer.parts[0], part, *answer.parts[3:])))
        assert len(lines) <= MOST_LINES and any(f"command-{commands - 1}" in line for line in lines)
        assert any(note in line for line in lines) == there


def test_a_name_is_not_shortened_for_one_more_column() -> None:
    name = "2x-reserve-on-4-oldest-job-first"
    rows = tuple(AnswerRow(name + end, f"{name}{end}, 4 slots", not end, ("1.00 s",) * 6) for end in ("", "-b"))
    table = AnswerTable(tuple((f"pipeline-{n}", "job") for n in range(6)), rows)
    lines = screen(Answer((), "Run it.", ("m",), table, ()))
    assert any(line.startswith(f"→ {name}") for line in lines) and any("more columns: --full" in line for line in lines)
