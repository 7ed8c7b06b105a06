"""What calls need and slots do not have: no candidate that loses jobs is chosen, and settings have enough context."""

from __future__ import annotations

from pathlib import Path

import pytest
from predict.emulated import PROFILE
from predict.test_same_refusals import PAGES, TALK, loaded_of

from harness.analysis.analyse import analyse
from harness.analysis.facts import FilledSlots
from harness.analysis.model import Analysis
from harness.analysis.needs import needed_contexts
from harness.core.context import CallNeed
from harness.core.records import CallRecord
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.runs.folder import RunFolder, read_run
from harness.units import percent
from harness.wording.said import said
from harness.wording.warnings import warnings_of
from harness.workload.longest import needs_of

TWO = PAGES.replace("batched: {", "short: {placement: small, concurrency: serial}\n  batched: {").replace(
    "servers:\n", "servers:\n  small: {kind: simulated, profile: epyc-2core, slots: 1, context_tokens: 256}\n"
)


def analysed(folder: Path, text: str, *, context: int = 512, tokens: int = 100) -> Analysis:
    loaded = loaded_of(folder, text, context=context, tokens=tokens)
    return analyse(predict(loaded, load_profile(PROFILE), repeats=2, extrapolate=True).run)


def test_one_candidate_that_loses_jobs_is_no_answer(tmp_path: Path) -> None:
    found = analysed(tmp_path, TALK, context=256)
    (path,) = found.paths
    assert (path.standing, path.chosen, path.passed_over) == ("all fail", None, ("alone",))
    assert (found.choice.kind, found.choice.candidate, found.choice.settings) == ("none", None, ())
    first, why = said(found).choice
    failed = percent(found.candidates[0].pipelines[0].jobs_failed / 32)
    assert first == f'No candidate can do this work as given: jobs of support fail under "alone" ({failed}).'
    (use,) = found.candidates[0].servers
    assert use.need is not None
    assert why == (
        f'A call of "reply" in support needs about {use.need.tokens} tokens, and a slot of four has 256: set '
        f"context_tokens to {use.need.enough} or more, or shorten prompts and answers."
    )
    assert said(found).paths[0].headline == (
        "Interactive path (support): jobs fail under every candidate, so none can be chosen."
    )


def test_the_context_that_is_named_is_enough(tmp_path: Path) -> None:
    (use,) = analysed(tmp_path, TALK, context=256).candidates[0].servers
    assert use.need is not None
    again = analysed(tmp_path, TALK, context=use.need.enough)
    assert again.choice.candidate == "alone"
    assert again.candidates[0].servers[0].need is None


def test_of_several_that_lose_jobs_the_fewest_are_named(tmp_path: Path) -> None:
    found = analysed(tmp_path, TWO, tokens=1500)
    first, *why = said(found).choice
    assert first == "No candidate can do this work as given: jobs of ask fail under each of them."
    assert len(why) == 2  # a server each
    works = analysed(tmp_path, TWO, tokens=400)
    assert works.paths[0].passed_over == ("short",)
    assert works.choice.candidate == "batched"


def test_timeouts_say_what_to_change(tmp_path: Path) -> None:
    found = analysed(tmp_path, PAGES.replace("name: overflow\n", "name: overflow\ntimeout_s: 0.5\n"))
    assert found.choice.kind == "none"
    assert said(found).choice[1:] == (
        "Calls took longer than timeout_s: allow more, or send the servers less work at once.",
    )


@pytest.mark.parametrize(
    ("size", "about"),
    [
        ("[20, 900]", "up to about"),
        ("{lognormal: {median: 60, sigma: 0.8}}", "(sizes without a bound at their 99.9th percentile) about"),
    ],
)
def test_settings_have_the_context_of_the_longest_possible_call_and_say_so(
    size: str, about: str, tmp_path: Path
) -> None:
    """The few draws that were simulated were shorter."""
    text = PAGES.replace("output_tokens: 40", f"output_tokens: {size}").replace("jobs: 8", "jobs: 2")
    found = analysed(tmp_path, text, context=512)
    (settings,) = found.choice.settings
    (use,) = found.candidates[0].servers
    assert use.need is not None
    assert use.need.tokens > 512
    assert f"OLLAMA_CONTEXT_LENGTH={use.need.enough} " in settings.shell[0]
    assert settings.remarks[0] == (
        f'four: give each slot {use.need.enough} tokens of context, not the 512 used here: a call of "long" in ask '
        f"needs {about} {use.need.tokens} tokens. Each slot then takes more memory; whether that fits was not checked."
    )


def test_what_is_enough_is_printed_as_it_was_used(tmp_path: Path) -> None:
    (settings,) = analysed(tmp_path, PAGES, context=768).choice.settings
    assert "OLLAMA_CONTEXT_LENGTH=768 " in settings.shell[0]


def test_of_a_running_server_whose_context_the_file_does_not_tell_none_is_printed(tmp_path: Path) -> None:
    running = "{kind: ollama, model: m, slots: 4, url: 'http://127.0.0.1:9'}"
    found = analysed(tmp_path, PAGES.replace("SERVER", running), tokens=9000)
    (use,) = found.candidates[0].servers
    assert (use.context_tokens, use.need) == (0, None)
    assert found.choice.settings[0].shell == ("OLLAMA_HOST=127.0.0.1:9 OLLAMA_NUM_PARALLEL=4 ollama serve",)


def test_what_was_seen_goes_before_an_estimate_unless_sizes_vary_or_calls_failed(tmp_path: Path) -> None:
    run = predict(loaded_of(tmp_path, PAGES), load_profile(PROFILE), repeats=1, extrapolate=True).run
    calls = [call for call in run.calls if call.node == "long"]
    prompt = calls[0].reply.prompt_tokens
    assert prompt is not None

    def needed(need: CallNeed, calls: list[CallRecord]) -> dict[str, CallNeed]:
        return needed_contexts([need], calls, {"four": 200})

    estimate = CallNeed("ask", "long", 1000, 40)
    assert needed(estimate, calls) == ({} if prompt + 40 <= 200 else {"four": estimate._replace(prompt_tokens=prompt)})
    assert needed(estimate._replace(how_sure="largest"), calls)["four"].tokens == 1040
    failed = calls[0]._replace(reply=calls[0].reply._replace(outcome="error", prompt_tokens=None))
    assert needed(estimate, [*calls[1:], failed])["four"].tokens == 1040
    other = CallNeed("ask", "never ran", 1000, 40)  # may go wherever its pipeline does
    assert needed(other, calls)["four"] == other
    assert needed_contexts([other], calls, {"four": 0}) == {}  # the slot's context is not known


def test_needs_are_kept_with_a_run(tmp_path: Path) -> None:
    loaded = loaded_of(tmp_path, TALK)
    run = predict(loaded, load_profile(PROFILE), repeats=1, extrapolate=True).run
    assert run.needs == needs_of(loaded)
    assert [(need.pipeline, need.node, need.how_sure) for need in run.needs] == [("support", "reply", "fixed")]
    (tmp_path / "run").mkdir()
    with RunFolder(tmp_path / "run") as folder:
        folder.write_header(run)
    assert read_run(folder.path).needs == run.needs


def test_answers_that_fill_a_slot_are_named_with_what_would_be_enough(tmp_path: Path) -> None:
    found = analysed(tmp_path, PAGES.replace("output_tokens: 40", "output_tokens: 480"), context=512)
    (use,) = found.candidates[0].servers
    assert use.need is not None
    (notice,) = [notice for notice in found.notices if isinstance(notice, FilledSlots)]
    assert (notice.server, notice.context_tokens, notice.enough_tokens) == ("four", 512, use.need.enough)
    assert (notice.filled, notice.answers) == (16, 32)  # one of the two nodes: 8 jobs, twice
    brief = f"16 of 32 answers were truncated: a slot of four has 512 tokens, they need {use.need.enough}."
    assert brief in warnings_of(found)
    assert not any("stopped before the requested length" in warning for warning in warnings_of(found))
    again = analysed(tmp_path, PAGES.replace("output_tokens: 40", "output_tokens: 480"), context=use.need.enough)
    assert not any(isinstance(notice, FilledSlots) for notice in again.notices)


@pytest.mark.parametrize(("kind", "lacks"), [("ollama", False), ("llamacpp", True)])
def test_a_call_that_says_its_context_needs_none_of_a_server_that_heeds_it(
    kind: str, lacks: bool, tmp_path: Path
) -> None:
    text = PAGES.replace("output_tokens: 40", "output_tokens: 480, num_ctx: 2048")
    server = f"{{kind: {kind}, model: smollm2-135m, slots: 4, context_tokens: 512}}"
    loaded = loaded_of(tmp_path, text.replace("SERVER", server))
    given = None if lacks else {"load_s": 0.5}
    found = analyse(predict(loaded, load_profile(PROFILE), repeats=1, extrapolate=True, given=given).run)
    assert (found.candidates[0].servers[0].need is not None) is lacks
    assert any(isinstance(notice, FilledSlots) for notice in found.notices) is lacks
