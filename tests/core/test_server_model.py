"""The server model against a step-by-step walk of the same rules, and by hand."""

from __future__ import annotations

import pytest
from core.by_step import Given, Seen, by_model, reference
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.core.server_model import ServerModel
from harness.core.server_request import Request, Turn
from harness.core.slots import SlotContents
from harness.core.step_costs import PassCosts, RamCache, StepCosts, prefill_s

APART_S = 1.2345e-7
UNIT_S = 1 / 512  # sums of multiples of it are exact in floats


@st.composite
def dyadic_costs(draw: st.DrawFn) -> StepCosts:
    slots = draw(st.integers(1, 5))
    steps = draw(st.lists(st.integers(1, 40), min_size=slots, max_size=slots))
    prefill = draw(st.sampled_from([((1, UNIT_S),), ((1, 0.0),), ((8, 16 * UNIT_S), (16, 24 * UNIT_S))]))
    return StepCosts(
        decode_s=(0.0, *(s * UNIT_S for s in steps)),
        prefill=prefill,
        prompt_step_s=draw(st.sampled_from([0.0, 3 * UNIT_S])),
        prompt_context_s=draw(st.sampled_from([0.0, UNIT_S / 64])),
        context_s_per_token=draw(st.sampled_from([0.0, UNIT_S, UNIT_S / 16])),
        mixed_factor=draw(st.sampled_from([1.0, 1.5])),
        batch_tokens=draw(st.sampled_from([slots + 1, 16, 512])),
    )


@st.composite
def calls(draw: st.DrawFn, times: st.SearchStrategy[float]) -> list[Given]:
    made = []
    for _ in range(draw(st.integers(1, 12))):
        at_s = draw(times)
        cancel_s = draw(st.sampled_from([None, None, None, 0.0, 0.125, 1.0]))
        given_up_s = None if cancel_s is None else at_s + cancel_s
        thinking = draw(st.sampled_from([0, 0, 1, 7, 30]))
        prompt, output = draw(st.integers(1, 40)), draw(st.integers(1, 60))
        made.append(Given(at_s, prompt, output, given_up_s, thinking_tokens=thinking))
    return made


DYADIC_TIMES = st.integers(0, 2000).map(lambda n: n / 1024)


@settings(max_examples=150, deadline=None)
@given(dyadic_costs(), calls(DYADIC_TIMES), st.sampled_from([None, None, 1, 3]))
def test_jumps_equal_single_steps(costs: StepCosts, batch: list[Given], max_steps: int | None) -> None:
    """Exactly, ties included, whatever the batch, whichever call is cancelled."""
    assert by_model(ServerModel(costs, max_steps=max_steps), batch) == reference(costs, batch)


@settings(max_examples=150, deadline=None)
@given(st.data(), dyadic_costs(), calls(DYADIC_TIMES), st.sampled_from([None, None, 1, 3]))
def test_jumps_equal_single_steps_with_conversations(
    data: st.DataObject, costs: StepCosts, batch: list[Given], max_steps: int | None
) -> None:
    """Three conversations and calls of none: which slot, what it holds, and what is left to read."""
    threads = st.sampled_from([None, 0, 0, 1, 2])
    begins = st.sampled_from([(), (("x", 2),), (("x", 2), ("z", 1)), (("y", 3), ("z", 1))])
    drawn = (call._replace(thread=data.draw(threads), begins=data.draw(begins)) for call in batch)
    batch = [Given(0.0, 5, 3, None, 0), *drawn]
    assert by_model(ServerModel(costs, max_steps=max_steps), batch) == reference(costs, batch)


@st.composite
def pass_by_pass(draw: st.DrawFn) -> StepCosts:
    """Costs of an engine whose passes are told apart, with or without a RAM cache and a queue in front of it."""
    costs = draw(dyadic_costs())

    def table() -> tuple[float, ...]:
        steps = draw(st.lists(st.integers(0, 40), min_size=costs.slots, max_size=costs.slots))
        return (0.0, *(s * UNIT_S for s in steps))

    passes = PassCosts(table(), table(), draw(st.sampled_from([1, 8, 512])), draw(st.booleans()))
    cache = RamCache(draw(st.sampled_from([0.0, UNIT_S])), UNIT_S / 4, draw(st.sampled_from([0, 60, 1000])))
    return costs._replace(
        passes=draw(st.sampled_from([passes, passes, None])),
        ram_cache=draw(st.sampled_from([None, cache])),
        handover_s=draw(st.sampled_from([0.0, 5 * UNIT_S])),
        tokenize_s_per_token=draw(st.sampled_from([0.0, UNIT_S / 8])),
    )


@settings(max_examples=300, deadline=None)
@given(st.data(), pass_by_pass(), calls(DYADIC_TIMES), st.sampled_from([None, None, 1, 3]), st.booleans())
def test_jumps_equal_single_steps_pass_by_pass(
    data: st.DataObject, costs: StepCosts, batch: list[Given], max_steps: int | None, turns: bool
) -> None:
    """Which slot, what it costs to take it, and how the busy slots share passes: exactly."""
    # A call given up at the very moment at which one comes: which is first, an engine leaves to chance.
    assume(not {call.at_s for call in batch} & {call.cancel_s for call in batch})
    if turns:
        threads = st.sampled_from([None, 0, 0, 1, 2])
        begins = st.sampled_from([(), (("x", 2),), (("x", 2), ("z", 1)), (("y", 3), ("z", 1))])
        drawn = (call._replace(thread=data.draw(threads), begins=data.draw(begins)) for call in batch)
        batch = [Given(0.0, 5, 3, None, 0), *drawn]
    assert by_model(ServerModel(costs, max_steps=max_steps), batch) == reference(costs, batch)


@settings(max_examples=200, deadline=None)
@given(dyadic_costs(), calls(st.floats(0, 2)), st.floats(0.3, 1.7))
def test_jumps_equal_single_steps_for_any_numbers(costs: StepCosts, batch: list[Given], factor: float) -> None:
    costs = costs._replace(decode_s=tuple(s * factor for s in costs.decode_s))
    # Nothing happens at the very end of a step, where the last bit decides; the tests above hold ties.
    batch = [
        call._replace(
            at_s=call.at_s + APART_S * i,
            cancel_s=None if call.cancel_s is None else call.cancel_s + APART_S * (i + 0.5),
        )
        for i, call in enumerate(batch, start=1)
    ]
    for mine, other in zip(by_model(ServerModel(costs), batch), reference(costs, batch), strict=True):
        assert mine.cancelled == other.cancelled
        assert mine[:3] == pytest.approx(other[:3], abs=1e-9)


COSTS = StepCosts(decode_s=(0.0, 1.0, 1.5), prefill=((1, 0.25),), batch_tokens=8)


def test_a_call_alone() -> None:
    """Four prompt tokens take a second; then the first token is there, and two more follow."""
    assert by_model(ServerModel(COSTS), [Given(2.0, 4, 3)]) == [Seen(2.0, 3.0, 5.0, False)]


def test_an_answer_begins_after_the_thinking_in_the_middle_of_a_segment() -> None:
    """Prompt 1 s, then a token a second: the fourth of five tokens is the first one of the answer."""
    (seen,) = by_model(ServerModel(COSTS), [Given(0.0, 4, 5, thinking_tokens=3)])
    assert seen == Seen(0.0, 1.0, 5.0, False, 0, 4.0)
    (cut,) = by_model(ServerModel(COSTS), [Given(0.0, 4, 5, thinking_tokens=5)])
    assert cut == Seen(0.0, 1.0, 5.0, False, 0, None)


def test_a_turn_that_thought_is_found_up_to_its_thinking() -> None:
    """The second prompt has the first one and its answer, and not what was thought between: 20 tokens are found."""
    costs = COSTS._replace(batch_tokens=64)
    talk = [Given(0.0, 20, 10, None, 1, thinking_tokens=4), Given(60.0, 40, 1, None, 1)]
    assert by_model(ServerModel(costs), talk)[1].cached_tokens == 20
    assert by_model(ServerModel(costs), [talk[0]._replace(thinking_tokens=0), talk[1]])[1].cached_tokens == 29


def test_a_prompt_that_is_pushed_out_of_a_step_has_not_begun_in_it() -> None:
    """At 2 s begins the step that takes B's prompt up; at that instant A is given up, and C, in A's slot, fills it."""
    model = ServerModel(COSTS)
    a, b, c = Request(0, 4, 10), Request(1, 8, 2), Request(2, 8, 2)
    model.submit(a, 0.0)
    model.advance(2.0)
    model.submit(b, 2.0)
    model.submit(c, 2.0)
    assert model.next_s() == 2.0
    model.advance(2.0)
    model.next_s()  # looks at the tasks: B is in the step
    assert model.cancel(a, 2.0)
    while (at_s := model.next_s()) < float("inf"):
        model.advance(at_s)
    assert (c.prompt_s, c.first_token_s) == (2.0, 4.0)
    assert (b.prompt_s, b.first_token_s) == (4.0, 7.0)  # 7 tokens beside C's second one, then its last


def test_a_prompt_delays_the_slot_that_generates() -> None:
    """The second comes within a step, is looked at at its end, and its prompt stretches the next one."""
    one, two = by_model(ServerModel(COSTS), [Given(0.0, 4, 5), Given(1.5, 4, 2)])
    assert two == Seen(2.0, 4.0, 5.5, False)  # the mixed step takes 1 + 1 s, the next one of two slots 1.5 s
    assert one == Seen(0.0, 1.0, 6.5, False)


def test_a_full_batch_makes_the_last_slot_wait() -> None:
    """Eight tokens fit: the prompt of slot 1 gets what slot 0 left, and its clock starts when it is first reached."""
    one, two = by_model(ServerModel(COSTS), [Given(0.0, 8, 1), Given(0.0, 4, 1)])
    assert one == Seen(0.0, 2.0, 2.0, False)
    assert two == Seen(2.0, 3.0, 3.0, False)


def test_who_comes_at_a_boundary_joins_the_step_that_begins_there() -> None:
    one, two = by_model(ServerModel(COSTS), [Given(0.0, 4, 9), Given(3.0, 4, 1)])
    assert two.prompt_s == 3.0
    assert one.end_s == 10.0


def test_who_comes_at_the_instant_of_a_step_that_has_just_begun_joins_it_too() -> None:
    """Two batches of one instant: the model was asked for its next event between them."""
    model = ServerModel(COSTS)
    requests = [Request(0, 4, 1), Request(1, 2, 1)]
    for request in requests:
        model.submit(request, 0.0)
        assert model.next_s() > 0.0
    assert [(r.call, r.end_s) for r in model.advance(9.0)] == [(0, 1.5), (1, 1.5)]


def test_a_cancelled_call_keeps_its_slot_until_the_step_ends() -> None:
    """The third, queued, gets the slot then; the second leaves the queue at once."""
    costs = COSTS._replace(decode_s=(0.0, 1.0))
    batch = [Given(0.0, 4, 9, 2.5), Given(0.25, 4, 9, 0.5), Given(0.5, 4, 1)]
    assert by_model(ServerModel(costs), batch) == [
        Seen(0.0, 1.0, 3.0, True),
        Seen(None, None, 0.5, True),
        Seen(3.0, 4.0, 4.0, False),
    ]


def test_a_cancelled_call_whose_last_step_it_was_has_ended() -> None:
    assert by_model(ServerModel(COSTS), [Given(0.0, 4, 2, 1.5)]) == [Seen(0.0, 1.0, 2.0, False)]


def test_what_prompts_begin_with_alike_is_read_once() -> None:
    """Five of eight tokens are shared. Of a prompt that goes on, all is found; of what another shares, nothing."""
    first, other = Given(0.0, 8, 2, None, 1, (("x", 5),)), Given(5.0, 8, 2, None, 2, (("x", 5),))
    stranger, again = Given(10.0, 8, 2, None, 3, (("y", 5),)), Given(15.0, 10, 2, None, 3, (("y", 5),))
    one_slot = ServerModel(COSTS._replace(decode_s=(0.0, 1.0)))
    assert [seen.cached_tokens for seen in by_model(one_slot, [first, other, stranger, again])] == [0, 5, 0, 9]


def test_what_was_not_read_to_its_end_holds_less() -> None:
    """Batches of eight tokens, two seconds each: given up after the first of them."""
    given_up, after = Given(0.0, 20, 2, 1.0, 1, (("x", 12),)), Given(5.0, 20, 2, None, 2, (("x", 12),))
    one_slot = ServerModel(COSTS._replace(decode_s=(0.0, 1.0)))
    assert [seen.cached_tokens for seen in by_model(one_slot, [given_up, after])] == [0, 8]


def test_a_turn_reads_only_what_its_slot_does_not_hold() -> None:
    """The first turn leaves 4 + 3 - 1 tokens behind: its last one was never read. Two of eight are left to read."""
    turns = [Given(0.0, 4, 3, None, 1), Given(5.0, 8, 2, None, 1)]
    assert by_model(ServerModel(COSTS), turns) == [Seen(0.0, 1.0, 3.0, False, 0), Seen(5.0, 5.5, 6.5, False, 6)]


def test_at_least_one_token_of_a_prompt_is_read() -> None:
    again = [Given(0.0, 4, 3, None, 1), Given(5.0, 4, 1, None, 1)]
    assert by_model(ServerModel(COSTS), again)[1] == Seen(5.0, 5.25, 5.25, False, 3)


def test_any_other_call_in_its_slot_evicts_a_conversation() -> None:
    one_slot = ServerModel(COSTS._replace(decode_s=(0.0, 1.0)))
    turns = [Given(0.0, 4, 3, None, 1), Given(4.0, 4, 1), Given(6.0, 8, 1, None, 1)]
    assert [seen.cached_tokens for seen in by_model(one_slot, turns)] == [0, 0, 0]
    # With a second slot the other call goes where nothing was, and the conversation stays.
    assert [seen.cached_tokens for seen in by_model(ServerModel(COSTS), turns)] == [0, 0, 6]


def test_other_calls_take_the_slot_that_was_free_longest() -> None:
    costs = COSTS._replace(decode_s=(0.0, 1.0, 1.0, 1.0), batch_tokens=64)
    a, b, c = (Given(at_s, 8, 1, None, thread) for thread, at_s in ((1, 0.0), (2, 3.0), (3, 6.0)))
    other = Given(9.0, 4, 1)  # evicts the first conversation
    back = [Given(at_s, 10, 1, None, thread) for thread, at_s in ((3, 20.0), (2, 23.0), (1, 26.0))]
    assert [seen.cached_tokens for seen in by_model(ServerModel(costs), [a, b, c, other, *back])][4:] == [8, 8, 0]


def test_a_tenth_of_a_prompt_is_not_worth_a_certain_slot() -> None:
    costs = COSTS._replace(batch_tokens=512)
    first = [Given(0.0, 8, 1, None, 1), Given(5.0, 4, 1)]  # in slots 0 and 1
    later = Given(9.0, 81, 1, None, 1)
    assert by_model(ServerModel(costs), [*first, later])[2].cached_tokens == 8  # but it was free longest
    busy = [Given(0.0, 8, 1, None, 1), Given(5.0, 4, 1), Given(8.0, 8, 1, None, 1), later._replace(at_s=20.0)]
    assert by_model(ServerModel(costs), busy)[3].cached_tokens == 0  # slot 1 was free longer
    assert by_model(ServerModel(costs), [*busy[:3], Given(20.0, 79, 1, None, 1)])[3].cached_tokens == 8


def test_cost_grows_with_calls_and_not_with_tokens() -> None:
    model = ServerModel(COSTS._replace(context_s_per_token=1e-6))
    model.submit(Request(0, 1, 1_000_000), 0.0)
    moments = 0
    while model.next_s() < float("inf"):
        model.advance(model.next_s())
        moments += 1
    assert moments == 2  # the end of the prompt, and the end


def test_tokens_of_a_call_under_way() -> None:
    model = ServerModel(COSTS, max_steps=1)
    request = Request(0, 4, 3)
    model.submit(request, 0.0)
    seen = []
    while model.next_s() < float("inf"):
        now_s = model.next_s()
        model.advance(now_s)
        seen.append((now_s, model.tokens_of(request)))
    assert seen == [(1.0, 1), (2.0, 2), (3.0, 3)]


@settings(max_examples=200, deadline=None)
@given(dyadic_costs(), st.integers(1, 40), st.integers(2, 40), st.integers(0, 2000))
def test_steps_within_a_segment_end_where_single_steps_do(costs: StepCosts, prompt: int, output: int, at: int) -> None:
    """How many tokens there are at any time, and when the next one comes, without ending the segment."""
    now_s = at / 1024
    jumping, walking = ServerModel(costs), ServerModel(costs, max_steps=1)
    asked = [Request(0, prompt, output), Request(0, prompt, output)]
    for model, request in zip((jumping, walking), asked, strict=True):
        model.submit(request, 0.0)
        model.advance(now_s)
    steps, next_s = jumping.steps_by(now_s)
    assert jumping.tokens_of(asked[0]) + steps == walking.tokens_of(asked[1])
    assert next_s == walking.next_s()


def test_noise_is_drawn_once_a_segment() -> None:
    factors = {0: 2.0, 1: 0.5}
    model = ServerModel(COSTS, noise=factors.__getitem__)
    assert by_model(model, [Given(0.0, 4, 5)]) == [Seen(0.0, 2.0, 4.0, False)]


def test_a_table_of_prompt_costs_goes_on_past_its_end() -> None:
    table = ((10, 1.0), (20, 1.5))
    assert [prefill_s(table, n) for n in (5, 10, 15, 20, 40)] == [0.5, 1.0, 1.25, 1.5, 2.5]


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        (StepCosts((0.0,)), "at least one generating slot"),
        (StepCosts((0.5, 1.0)), "no cost where nobody generates"),
        (StepCosts((0.0, 1.0, 1.0), batch_tokens=2), "room for a prompt beside 2 slots, found 2 tokens"),
        (StepCosts((0.0, -1.0)), "0 s or more, found -1.0"),
        (StepCosts((0.0, 1.0), prefill=((4, 1.0), (2, 2.0))), "a rising table"),
    ],
)
def test_impossible_costs_are_refused(costs: StepCosts, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ServerModel(costs)


def test_a_call_without_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^expected at least one prompt and one output token, found 0, 5$"):
        Request(0, 0, 5)


def test_what_two_agents_share_comes_back_from_the_ram_cache() -> None:
    """Two handbooks of 40 tokens take turns on one slot: each is read once, and then brought back."""
    calls = [Given(100.0 * i, 50, 2, thread=i, begins=((f"handbook {i % 2}", 40), ("opening", 3))) for i in range(5)]

    def found(ram_cache: RamCache | None) -> list[int]:
        costs = StepCosts((0.0, 1.0), ((1, 0.25),), batch_tokens=512, ram_cache=ram_cache)
        return [seen.cached_tokens for seen in by_model(ServerModel(costs), calls)]

    assert found(None) == [0, 3, 3, 3, 3]  # the slot holds the other handbook
    assert found(RamCache(0.0, 0.0, 1000)) == [0, 3, 40, 40, 40]
    assert found(RamCache(0.0, 0.0, 60)) == [0, 3, 3, 3, 3]  # there is room for one, which is in the slot


def test_a_slot_has_what_is_usual_from_before_until_it_is_lost() -> None:
    slots = SlotContents(1)
    first, second, third = (Turn(n, 50, 2, thread=n, usual=4) for n in range(3))
    for request in (first, second):
        slots.take(request, [0])
    assert [first.cached_tokens, second.cached_tokens] == [4, 0]  # the other one is in the slot of the first
    slots.forget()
    slots.take(third, [0])
    assert third.cached_tokens == 0


def test_little_of_what_is_saved_is_not_brought_back() -> None:
    """A quarter of an entry has to be wanted (llama.cpp's server_prompt_cache::load)."""
    long, other = Given(0.0, 400, 2, thread=0, begins=(("rules", 90),)), Given(1000.0, 300, 2, thread=1)
    wants = Given(2000.0, 100, 2, thread=2, begins=(("rules", 90),))
    costs = StepCosts((0.0, 1.0), ((1, 0.25),), batch_tokens=512, ram_cache=RamCache(0.0, 0.0, 10_000))
    assert by_model(ServerModel(costs), [long, other, wants])[2].cached_tokens == 0  # 90 of 401
    shorter = long._replace(prompt_tokens=350)
    assert by_model(ServerModel(costs), [shorter, other, wants])[2].cached_tokens == 90  # 90 of 351
