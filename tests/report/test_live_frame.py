"""Frames of the live view at given states: they say what is known, fit, and need no colour."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from harness.report.live_frame import Frame, JobsRow, ServerRow, draw

SPLIT = Frame(
    number=5,
    total=18,
    title="split, repeat 2",
    done=0.25,
    elapsed_s=62.4,
    left_s=187.0,
    servers=(ServerRow("one-slot", 1, 1, 3), ServerRow("four-slot", 4, 3, 0)),
    pipelines=(JobsRow("digest", 6, 4, 8), JobsRow("chat", 4, 3, None)),
    calls=28,
    failed=1,
    tokens_per_s=41.23,
)

WIDE = """\
Trial 5 of 18: split, repeat 2                      1 min 02 s, about 3 min left
━━━━━━━━━━━━━━━━━━━━────────────────────────────────────────────────────────────
  one-slot   ■     1 in flight of 1 slot, 3 waiting
  four-slot  ■■■□  3 in flight of 4 slots, 0 waiting
  digest     4 of 8 jobs done, 2 under way
  chat       3 jobs done, 1 under way
  28 calls done, 1 failed, 41.2 tok/s (answers that have ended)
  ■ a slot that should be busy: the router counts calls, it sees no slots"""


def lines(frame: Frame, width: int, *, ascii_only: bool = False) -> list[str]:
    found = draw(frame, width, ascii_only=ascii_only).plain.split("\n")
    assert max(cell_len(line) for line in found) <= width
    return found


def test_eighty_columns() -> None:
    assert lines(SPLIT, 80) == WIDE.split("\n")


def test_forty_columns_in_ascii() -> None:
    assert lines(SPLIT, 40, ascii_only=True) == [
        "Trial 5 of 18                 3 min left",
        "==========------------------------------",
        "  one-slot   #     1 of 1, 3 waiting",
        "  four-slot  ###.  3 of 4, 0 waiting",
        "  digest     4 of 8 jobs done",
        "  chat       3 jobs done, 1 under way",
        "  28 calls done, 1 failed, 41.2 tok/s",
        "  # busy, as far as calls are counted",
    ]


@pytest.mark.parametrize("width", range(12, 132, 7))
def test_every_width(width: int) -> None:
    long = SPLIT._replace(
        title="a-candidate-with-quite-a-long-name-as-names-may-be, repeat 12",
        servers=(ServerRow("a-server-with-a-name-of-some-length-too", 64, 200, 12345),),
        waiting_anywhere=7,
        pipelines=(JobsRow("日本語のパイプライン", 100, 99, 100),),
        download=(10**7, 10**8),
    )
    lines(long, width)
    lines(long, width, ascii_only=True)


def test_more_calls_than_slots_are_said_as_what_they_are() -> None:
    """Unbounded: what is beyond the slots waits in the server's own queue, which the router does not see."""
    flood = SPLIT._replace(servers=(ServerRow("four-slot", 4, 9, 0),))
    assert "  four-slot  ■■■■  9 in flight, 5 more than slots, 0 waiting" in lines(flood, 80)


def test_many_slots_are_drawn_to_scale_and_one_call_is_seen() -> None:
    many = SPLIT._replace(servers=(ServerRow("big", 64, 1, 0), ServerRow("full", 64, 64, 0)))
    found = lines(many, 80)
    assert f"  big     ■{'□' * 15}  1 in flight of 64 slots, 0 waiting" in found
    assert f"  full    {'■' * 16}  64 in flight of 64 slots, 0 waiting" in found


def test_calls_that_may_go_to_several_servers_are_counted_once() -> None:
    found = lines(SPLIT._replace(waiting_anywhere=2), 80)
    assert "  one-slot   ■     1 in flight of 1 slot" in found
    assert "  2 calls waiting, each for any server it may go to" in found


def test_a_bound_is_called_one_and_a_part_is_named() -> None:
    until = SPLIT._replace(total=None, at_most=True, left_s=33.0)
    assert lines(until, 80)[0].startswith("Trial 5: split, repeat 2  ")
    assert lines(until, 80)[0].endswith(" 1 min 02 s, at most 35 s left")
    part = SPLIT._replace(noun="burst", left_of="llamacpp-4")
    assert lines(part, 80)[0].startswith("Burst 5 of 18: ")
    assert lines(part, 80)[0].endswith(", about 3 min left for llamacpp-4")


def test_names_are_text() -> None:
    """Whoever names a server or a candidate cannot move the cursor, colour anything or break a line."""
    evil = SPLIT._replace(
        title="\x1b[31m[bold]x\r\n[/]", servers=(ServerRow("[red]\x1b[2J\x07s", 1, 0, 0),), left_of="\x9b31m"
    )
    text = draw(evil, 80)
    assert not {"\x1b", "\x07", "\r", "\x9b"} & set(text.plain)
    assert text.plain.split("\n")[0].startswith("Trial 5 of 18: [31m[bold]x  [/]")
    assert "[red][2Js" in text.plain


def test_nothing_is_drawn_before_anything_is_known() -> None:
    assert draw(Frame(), 80).plain == ""
    assert lines(Frame(download=(25_000_000, 100_000_000)), 40) == [
        "fetching the model: 25.0 MB of 100.0 MB",
        "━" * 10 + "─" * 30,
    ]


def test_a_gateway_has_no_end_and_says_what_calls_waited() -> None:
    frame = Frame(
        servers=(ServerRow("http://127.0.0.1:11434", 4, 2, 7),),
        pipelines=(JobsRow("interactive", 3, 2, None, "call", 0.25), JobsRow("batch", 2, 1, None, "call")),
        calls=3,
    )
    assert lines(frame, 100) == [
        "  http://127.0.0.1:11434  ■■□□  2 in flight of 4 slots, 7 waiting",
        "  interactive             2 calls done, 1 under way, waited 250 ms (median of the last ones)",
        "  batch                   1 call done, 1 under way",
        "  3 calls done",
        "  ■ a slot that should be busy: the router counts calls, it sees no slots",
    ]
