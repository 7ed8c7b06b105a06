"""The log of llama.cpp's server, as Ollama passes it on (lines of b10488, taken from a real one)."""

from __future__ import annotations

from harness.servers.engine_log import Asked, EngineLog, Served, which_served

FIRST = """\
slot get_availabl: id  3 | task -1 | selected slot by LRU, t_last = -1
slot launch_slot_: id  3 | task 2 | processing task, is_child = 0
slot process_sing: id  0 | task -1 | saving idle slot to prompt cache
slot   operator(): id  3 | task 2 | new prompt, n_ctx_slot = 512, n_keep = 4, task.n_tokens = 23
slot   operator(): id  3 | task 2 | cached n_tokens = 3, memory_seq_rm [3, end)
slot   operator(): id  1 | task 5 | new prompt, n_ctx_slot = 512, n_keep = 4, task.n_tokens = 49
slot   operator(): id  1 | task 5 | cached n_tokens = 0, memory_seq_rm [0, end)
slot print_timing: id  1 | task 5 | prompt eval time =    6132.41 ms /    49 tokens (  125.15 ms per token,  8.0 tokens per second)
slot print_timing: id  1 | task 5 |        eval time =   12443.69 ms /    15 tokens (  888.84 ms per token,  1.1 tokens per second)
slot print_timing: id  1 | task 5 |       total time =   18576.10 ms /    64 tokens
slot      release: id  1 | task 5 | stop processing: n_tokens = 63, truncated = 0
"""  # noqa: E501 - as it is
SECOND = """\
slot print_timing: id  3 | task 2 |        eval time =   20652.59 ms /    20 tokens ( 1086.98 ms per token,  0.9 tokens per second)
slot      release: id  3 | task 2 | stop processing: n_tokens = 42, truncated = 0
[GIN] 2026/08/21 - 18:48:22 | 200 |  161.2ms |  127.0.0.1 | POST     "/api/chat"
slot      release: id  0 | task 9 | stop processing: n_tokens = 42, truncated = 0
"""  # noqa: E501


class Growing:
    """A file that somebody else writes."""

    def __init__(self) -> None:
        self.data = b""

    def read(self, at: int) -> bytes:
        return self.data[at:]


def test_calls_are_told_when_they_have_ended_and_once() -> None:
    file = Growing()
    log = EngineLog(file.read)
    assert log.served() == []
    file.data += FIRST.encode()
    assert log.served() == [Served(slot=1, prompt_tokens=49, cached_tokens=0, output_tokens=15)]
    assert log.served() == []
    file.data += SECOND.encode()  # of task 9 the beginning was not seen
    assert log.served() == [Served(slot=3, prompt_tokens=23, cached_tokens=3, output_tokens=20)]


def test_a_line_that_is_half_written_is_read_when_it_is_whole() -> None:
    whole = FIRST.encode()
    for cut in range(len(whole)):
        file = Growing()
        log = EngineLog(file.read)
        file.data = whole[:cut]
        found = log.served()
        file.data = whole
        assert found + log.served() == [Served(1, 49, 0, 15)]


def test_what_was_there_before_is_passed_over_and_other_words_say_nothing() -> None:
    file = Growing()
    file.data = FIRST.encode()
    assert EngineLog(file.read, at=len(file.data)).served() == []
    file.data = FIRST.replace("stop processing", "slot released").encode() + b"\xff\xfe\n"
    assert EngineLog(file.read).served() == []


def test_calls_of_one_length_are_told_apart_by_when_they_ended() -> None:
    served = [Served(2, 30, 0, 8), Served(0, 50, 0, 8), Served(1, 30, 12, 8)]
    asked = [Asked(30, 8, end_s=2.0), Asked(30, 8, end_s=1.0), Asked(50, 8, end_s=1.5)]
    assert which_served(asked, served) == [Served(1, 30, 12, 8), Served(2, 30, 0, 8), Served(0, 50, 0, 8)]


def test_nothing_is_said_where_somebody_elses_call_had_that_length_too() -> None:
    served = [Served(2, 30, 0, 8), Served(0, 30, 0, 8), Served(1, 40, 0, 8)]
    assert which_served([Asked(30, 8, 1.0), Asked(40, 8, 1.0)], served) == [None, Served(1, 40, 0, 8)]
    assert which_served([Asked(31, 8, 1.0)], []) == [None]


def test_a_long_log_is_read_to_its_end() -> None:
    """A file hands out so many bytes at a time."""
    data = (FIRST * 3).encode()
    assert EngineLog(lambda at: data[at : at + 900]).served() == [Served(1, 49, 0, 15)] * 3
