"""What became of a user's own policies in a search: tried or not, and how the best candidate with each stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from quiet import Quiet
from recommend.workloads import UNKNOWN, both, fan, loaded_of, paper

from harness.core.policies import STANDARD
from harness.core.policy import PolicySource
from harness.core.records import Path as Side
from harness.own_policies import policies_of
from harness.predict.servers import Profiles
from harness.recommend.answer import recommend
from harness.recommend.evaluate import Problem
from harness.recommend.facts import NotTriedWhy, OwnPolicy
from harness.recommend.model import Recommendation
from harness.recommend.space import design_space
from harness.recommend.workers import in_process
from harness.report.recommendation import recommendation_text
from harness.wording.own_policies import own_line, own_text
from harness.wording.search_answer import search_answer

MINE = '''
from harness import Concurrency, Placement, Scheduling


def half(queue):
    """At most half of the slots."""
    return max(1, queue.slots // 2)


class Chats:
    """Interactive calls first."""

    for_both_paths = True

    def key(self, call, node, job, settings):
        return node.path != "interactive", call.ready_s


CONCURRENCY = {
    "half": half,
    "lone": Concurrency(lambda queue: 1, one_at_a_time=True, same_as=lambda queue: "serial", about="One."),
}
SCHEDULING = {"chats": Chats}
PLACEMENT = {"first": Placement(lambda queues, home: queues[:1], about="The first server.")}
'''


def found_of(folder: Path, text: str, *, pairs: bool = True) -> Recommendation:
    profile = paper(folder)
    if not pairs:
        profile = profile.model_copy(update={"contention": None})
    loaded = loaded_of(folder, text)._replace(policies=STANDARD.with_own(policies_of(PolicySource("mine.py", MINE))))
    space = design_space(loaded, profile)
    problem = Problem(space.loaded, Profiles(profile), None)
    return recommend(
        space, problem, profile, in_process(problem), Quiet(), memory=UNKNOWN, seeds=2, resamples=0
    ).recommendation


def test_each_is_said_with_what_became_of_it(tmp_path: Path) -> None:
    found = found_of(tmp_path, fan(6), pairs=False)
    half, lone, chats, first = found.own
    assert (half.kind, half.name, half.why_not) == ("concurrency", "half", "")
    assert half.candidates > 0 and half.best.startswith("half-on-")
    assert half.chosen == any("half-on" in name for name in found.answer)
    assert half.chosen or half.ratios[0] > 0.9
    assert lone == OwnPolicy("concurrency", "lone", why_not="idle slots")
    assert chats == OwnPolicy("scheduling", "chats", why_not="one path")
    assert first == OwnPolicy("placement", "first", why_not="no choice")
    titles = [part.title for part in search_answer(found).parts]
    assert titles[titles.index("Yours") - 1] in ("Why", "Instead") and "Do this" in titles[titles.index("Yours") :]
    yours = search_answer(found).parts[titles.index("Yours")]
    assert [line.text for line in yours.lines] == [own_line(own, found.paths) for own in found.own]
    assert '"sentence": "Your scheduling policy' in recommendation_text(found)


def test_an_order_and_a_placement_are_tried_where_they_have_an_effect(tmp_path: Path) -> None:
    half, _, chats, first = found_of(tmp_path, both(), pairs=False).own
    assert min(half.candidates, chats.candidates) > 0 and first.why_not == "no choice"
    assert len(chats.ratios) == 2 and "-chats" in chats.best
    *_, first = found_of(tmp_path, fan(3)).own
    assert first.best.startswith("2x-") and first.best.endswith("-first")


def test_a_workload_without_own_policies_says_nothing_of_them(tmp_path: Path) -> None:
    profile, loaded = paper(tmp_path), loaded_of(tmp_path, fan(3))
    space = design_space(loaded, profile)
    problem = Problem(space.loaded, Profiles(profile), None)
    found = recommend(space, problem, profile, in_process(problem), Quiet(), memory=UNKNOWN, seeds=2, resamples=0)
    assert found.recommendation.own == ()
    assert all(part.title != "Yours" for part in search_answer(found.recommendation).parts)


BATCH: tuple[Side, ...] = ("batch",)
TWO: tuple[Side, ...] = ("batch", "interactive")
TRIED = OwnPolicy("scheduling", "mine", 3, best="window-on-4-mine", ratios=(1.25, 2.0))


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (
            TRIED,
            'was tried in 3 candidates; the best, "window-on-4-mine", takes 1.25 (batch) and 2.00 '
            "(interactive) times as long as the predicted answer.",
        ),
        (
            TRIED._replace(candidates=1, misses_goal=True),
            'was tried in 1 candidate; the best, "window-on-4-mine", takes 1.25 (batch) and 2.00 '
            "(interactive) times as long as the predicted answer, and misses a goal.",
        ),
        (
            TRIED._replace(chosen=True),
            'was tried in 3 candidates, and "window-on-4-mine" is in the predicted answer.',
        ),
        (TRIED._replace(fails=True), "was tried in 3 candidates; jobs fail under all of them."),
        (TRIED._replace(ratios=()), 'was tried in 3 candidates; the best is "window-on-4-mine".'),
    ],
)
def test_the_sentence(own: OwnPolicy, said: str) -> None:
    assert own_text(own, TWO) == f'Your scheduling policy "mine" {said}'
    assert own_line(own, TWO) == f'"mine" {said}'


def test_on_one_path_it_is_not_named() -> None:
    assert "takes 1.25 times as long" in own_text(TRIED._replace(ratios=(1.25,)), BATCH)


@pytest.mark.parametrize("why", ["one path", "idle slots", "the same", "no choice", "no prefixes", "left out"])
def test_every_reason_is_a_sentence(why: NotTriedWhy) -> None:
    text = own_text(OwnPolicy("placement", "mine", why_not=why), BATCH)
    assert text.startswith('Your placement policy "mine" was not tried: ') and text.endswith(".")
