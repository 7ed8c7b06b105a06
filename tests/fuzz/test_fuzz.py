"""Some inputs for every reader, the same in each run; `make fuzz` tries new ones for as long as it is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz import campaign
from fuzz.reader import Reader, TooSlow, attempt, patient
from fuzz.readers import READERS

from harness.errors import UserError

REFUSED = {"answer to the gateway": 1, "front": 7, "simulated server": 3, "gateway": 3}  # seeds that are meant to be


@pytest.mark.parametrize("name", READERS)
def test_valid_inputs_are_read(name: str, tmp_path: Path) -> None:
    found = [attempt(READERS[name], seed.data, tmp_path) for seed in READERS[name].seeds]
    assert found.count("error") == REFUSED.get(name, 0)


@pytest.mark.parametrize("name", READERS)
def test_any_bytes_give_a_value_or_a_line(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    found = [attempt(reader, reader.make(seed), tmp_path) for seed in range(reader.examples)]
    assert set(found) == {"value", "error"}, "the changes are so small or so large that nothing is tested"


def test_an_input_is_made_again_from_its_number() -> None:
    for reader in READERS.values():
        assert [reader.make(seed) for seed in range(20)] == [reader.make(seed) for seed in range(20)]


def _breaks(data: bytes, _: Path) -> None:
    if data == b"1":
        raise KeyError("one")
    if data == b"2":
        raise UserError("two\nlines")
    if data == b"3":
        raise UserError("three")


class _Numbers(Reader):
    def make(self, seed: int) -> bytes:
        """Return the number itself."""
        return str(seed).encode()


def test_what_breaks_is_counted_named_and_saved(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(READERS, "numbers", _Numbers(_breaks, list, share=1))
    done = campaign.batch("numbers", 0, 5)
    assert (done.tried, done.values, done.errors, done.broken_count) == (5, 2, 1, 2)
    assert list(done.broken.values()) == [1, 2]
    totals = campaign.Totals(0)
    totals.add(done)
    assert campaign.report({"numbers": totals}, tmp_path / "out") == 1
    assert (tmp_path / "out" / "numbers-1").read_bytes() == b"1"
    assert 'python -m fuzz --reader "numbers" --try 1\n' in capsys.readouterr().out
    assert campaign.report({"numbers": campaign.Totals(0)}, tmp_path) == 0
    with pytest.raises(KeyError):
        campaign.try_one("numbers", 1)


def test_what_hangs_is_ended() -> None:
    with pytest.raises(TooSlow, match=r"more than 0.01 s of CPU time, at .*test_fuzz.py"), patient(0.01):
        while True:
            pass


@pytest.mark.parametrize("name", ["front", "simulated server"])
@pytest.mark.parametrize("head", [b"", b"host: localhost\n"])
def test_a_query_that_is_no_url_is_refused(name: str, head: bytes, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="status 400"):
        READERS[name].read(b"GET /api/tags/?\x88\n" + head + b"\n", tmp_path)
