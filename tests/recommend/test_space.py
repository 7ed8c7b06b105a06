"""The candidates: all there are, none twice, and each one that is left out said."""

from __future__ import annotations

from pathlib import Path

import pytest
from core.graphs import pool_of
from recommend.workloads import (
    M1_PROMPTS,
    MADE_UP,
    alone,
    both,
    chat,
    fan,
    loaded_of,
    on_paper,
    paper,
    talk,
    two_models,
)

from harness.core.concurrency import CONCURRENCY
from harness.core.plan import Pool
from harness.core.scheduling import SCHEDULING
from harness.errors import UserError
from harness.profiles.load import load_profile
from harness.recommend.facts import (
    DoNotFit,
    LessContext,
    MemoryNeed,
    NotInProfile,
    NotTried,
    NoTwoServers,
    OneServerForBoth,
    ShortContext,
)
from harness.recommend.several import asked_models, check_models, space_of_two
from harness.recommend.space import design_space
from harness.wording.searches import excluded_text
from harness.workload.longest import needs_of


def test_one_path_on_the_published_profile(tmp_path: Path) -> None:
    space = design_space(loaded_of(tmp_path, fan(8)), load_profile("m1-published"))
    names = [candidate.name for candidate in space.candidates]
    assert len(set(names)) == len(names)
    assert {"serial-on-1", "unbounded-on-1", "window2-on-4", "window3-on-4", "window-on-4", "waves-on-4"} <= set(names)
    assert "window8-on-4" in names  # more in flight than slots: the server's own queue
    assert "serial-on-4" not in names  # slots that nobody uses
    assert not any("interactive-first" in name for name in names)  # there is one path
    assert set(M1_PROMPTS)  # what this profile needs besides
    levers = NotTried(("ram_cache", "kv_unified", "flash_attention", "kv_type", "speculation"), "m1-published")
    assert space.left_out == (NotInProfile((2, 8), "m1-published"), NoTwoServers("contention", "m1-published"), levers)


def test_every_policy_is_tried(tmp_path: Path) -> None:
    space, _, _ = on_paper(tmp_path, both())
    queues = [queue for candidate in space.candidates for queue in candidate.plan.queues]
    assert {queue.concurrency.name for queue in queues} == set(CONCURRENCY)
    assert {queue.scheduling.name for queue in queues} == set(SCHEDULING)


def test_two_servers_are_halves_and_put_the_interactive_path_apart(tmp_path: Path) -> None:
    space, _, _ = on_paper(tmp_path, both())
    candidate = space.find("serial-on-1+window-on-4")
    assert [space.loaded.servers[queue.server].engine_threads for queue in candidate.plan.queues] == ["half", "half"]
    digest, talk = candidate.plan.placement
    assert set(digest) == {1}
    assert set(talk) == {0}


def test_two_equal_servers_take_whatever_comes(tmp_path: Path) -> None:
    """A pool of both, for every agent; a conversation is kept on one only where its prompt can be found again there."""
    for text, choices in ((fan(4), {"least-loaded"}), (talk(), {"least-loaded", "affinity"})):
        space, _, _ = on_paper(tmp_path, text)
        pooled = [c for c in space.candidates if isinstance(c.plan.placement[0][0], Pool)]
        places = {place for c in pooled for row in c.plan.placement for place in row}
        assert places & {pool_of(choice, (0, 1)) for choice in ("least-loaded", "affinity")} == {
            pool_of(choice, (0, 1)) for choice in choices
        }
        for candidate in pooled:
            one, other = candidate.plan.queues
            assert one == other._replace(server=one.server)
            assert {space.loaded.servers[queue.server].engine_threads for queue in (one, other)} == {"half"}
        assert "2x-window-on-4" in {candidate.name for candidate in pooled}


def test_without_contention_there_is_no_split_and_it_is_said(tmp_path: Path) -> None:
    space = design_space(loaded_of(tmp_path, both()), load_profile("m1-published"))
    assert all(len(candidate.plan.queues) == 1 for candidate in space.candidates)
    assert NoTwoServers("contention", "m1-published") in space.left_out


def test_simpler_is_fewer_servers_then_fewer_slots_then_the_cap(tmp_path: Path) -> None:
    space, _, _ = on_paper(tmp_path, both())
    scheduling = ["serial-on-1", "window-on-2", "window-on-4", "window3-on-4", "waves-on-4", "serial-on-1+serial-on-1"]
    ranks = [space.find(name).simplicity for name in scheduling]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == len(ranks)


def test_extrapolation_tries_powers_of_two(tmp_path: Path) -> None:
    loaded = loaded_of(tmp_path, chat())
    space = design_space(loaded, load_profile("m1-published"), extrapolate=True, max_slots=8)
    assert {queue.slots for c in space.candidates for queue in c.plan.queues} == {1, 2, 4, 8}


def test_what_does_not_fit_is_left_out_and_said(tmp_path: Path) -> None:
    loaded, profile = loaded_of(tmp_path, both()), paper(tmp_path)
    memory = MemoryNeed(1_000_000, 1000.0, 5_000_000, *MADE_UP)  # one server: 1 MB + slots x 2 MB
    space = design_space(loaded, profile, fits=memory.too_much)
    assert {candidate.slots for candidate in space.candidates} == {1}
    assert any(isinstance(item, DoNotFit) and item.why.limit_bytes == 5_000_000 for item in space.left_out)
    with pytest.raises(UserError, match="no candidate is left"):
        design_space(loaded, profile, fits=memory._replace(limit_bytes=1_000_000).too_much)


def test_two_models_have_a_server_each_and_all_ways_are_tried(tmp_path: Path) -> None:
    loaded, profiles = two_models(tmp_path)
    assert asked_models(loaded) == ("small", "large")
    space = space_of_two(loaded, profiles)
    names = [candidate.name for candidate in space.candidates]
    assert len(set(names)) == len(names)
    assert {"small:serial-on-1+large:window-on-4", "small:window2-on-4+large:serial-on-1"} <= set(names)
    for candidate in space.candidates:
        specs = [space.loaded.servers[queue.server] for queue in candidate.plan.queues]
        assert [spec.model for spec in specs] == ["small", "large"]
        assert candidate.plan.placement == ((0, 1),)
    assert space.left_out[0] == OneServerForBoth()
    with pytest.raises(UserError, match=r"two servers side by side are needed, and .* does not say how two busy"):
        space_of_two(loaded, {**profiles, "large": alone(tmp_path)})


def test_more_models_are_another_question(tmp_path: Path) -> None:
    loaded, profiles = two_models(tmp_path)
    text = (tmp_path / "workload.yaml").read_text(encoding="utf-8")
    text = text.replace("inputs:", '      last: {agent: {model: huge, prompt: "On.", output_tokens: 8}}\ninputs:')
    with pytest.raises(UserError, match=r"nodes ask for small and large and huge, .* not 3 models"):
        space_of_two(loaded_of(tmp_path, text), profiles)
    server = next(iter(loaded.servers.values()))
    running = loaded._replace(servers={"ollama": server.model_copy(update={"url": "http://127.0.0.1:9"})})
    with pytest.raises(UserError, match="not several models of a running server"):
        check_models(running)


def test_slots_are_long_enough_for_the_longest_call(tmp_path: Path) -> None:
    loaded, profile = loaded_of(tmp_path, fan(8)), paper(tmp_path)
    (own,) = {spec.context_tokens for spec in loaded.servers.values()}
    space = design_space(loaded, profile, context_tokens=2 * own)
    assert {spec.context_tokens for spec in space.loaded.servers.values()} == {2 * own}
    assert ShortContext(own, 2 * own) in space.left_out
    assert design_space(loaded, profile, context_tokens=own // 2).loaded == design_space(loaded, profile).loaded


def test_where_memory_is_short_slots_have_no_more_context_than_is_needed(tmp_path: Path) -> None:
    """There is room for one slot of the file's context: for four of a quarter of it."""
    loaded, profile = loaded_of(tmp_path, fan(8)), paper(tmp_path)
    like = next(iter(loaded.servers.values()))
    own, quarter = like.context_tokens, like.context_tokens // 4
    memory = MemoryNeed(0, 1000.0, None, *MADE_UP)
    memory = memory._replace(limit_bytes=memory.needed([like.model_copy(update={"slots": 1})]))
    space = design_space(loaded, profile, fits=memory.too_much, context_tokens=quarter)
    names = {candidate.name for candidate in space.candidates}
    assert {"serial-on-1", f"unbounded-on-4-in-{quarter}", f"2x-serial-on-1-in-{quarter}"} <= names
    assert not any("2x" in name and "-on-4" in name for name in names), "eight of a quarter are too many"
    assert len(names) == len(space.candidates)
    for candidate in space.candidates:
        servers = [space.loaded.servers[queue.server] for queue in candidate.plan.queues]
        assert memory.too_much(servers) is None
        assert {spec.context_tokens for spec in servers} == {quarter if "-in-" in candidate.name else own}
    (less,) = [item for item in space.left_out if isinstance(item, LessContext)]
    assert (less.context_tokens, less.enough, less.candidates) == (own, quarter, sum("-in-" in name for name in names))
    assert excluded_text(less).startswith(
        f"slots of {own} tokens in {less.candidates} candidates: more memory than the "
    )
    assert excluded_text(less).endswith(f"that is given (--memory); they have {quarter}, enough for the longest call")


def test_a_running_server_keeps_its_context(tmp_path: Path) -> None:
    text = fan(8).replace("model: gemma4}", "model: gemma4, url: 'http://127.0.0.1:9', slots: 4}")
    space = design_space(loaded_of(tmp_path, text), paper(tmp_path), context_tokens=65536)
    assert not any(isinstance(item, ShortContext | LessContext) for item in space.left_out)
    assert all(spec.context_tokens < 65536 for spec in space.loaded.servers.values())


def test_two_models_have_the_context_that_the_longest_call_of_each_needs(tmp_path: Path) -> None:
    _, profiles = two_models(tmp_path)
    text = (tmp_path / "workload.yaml").read_text(encoding="utf-8")
    long = loaded_of(tmp_path, text.replace('"Go on.", output_tokens: 8', '"Go on.", output_tokens: 3000'))
    space = space_of_two(long, profiles)
    (need,) = [need for need in needs_of(long) if need.node == "answer"]
    base = long.servers[space.base].context_tokens
    contexts = {spec.model: spec.context_tokens for spec in space.loaded.servers.values()}
    assert contexts == {"small": base, "large": need.enough}
    assert ShortContext(base, need.enough, "large") in space.left_out
    assert excluded_text(ShortContext(base, need.enough, "large")) == (
        f"slots of {base} tokens with large, as in the file: too short for the longest call; all have {need.enough}"
    )
