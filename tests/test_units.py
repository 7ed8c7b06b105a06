"""How units are shown, and that no secret is."""

from __future__ import annotations

import pytest

from harness.units import count, is_here, percent, rate, safe_url, seconds, size


@pytest.mark.parametrize(
    ("value_s", "shown"),
    [(0, "0 s"), (0.00084, "0.8 ms"), (0.34, "340 ms"), (4.381, "4.38 s"), (12.34, "12.3 s"), (125.2, "2 min 05 s")],
)
def test_seconds(value_s: float, shown: str) -> None:
    assert seconds(value_s) == shown


def test_others() -> None:
    assert (rate(21.74), rate(145.2)) == ("21.7 tok/s", "145 tok/s")
    assert (percent(0.031), percent(0.47)) == ("3.1 %", "47 %")
    assert (size(98_362_432), size(7)) == ("98.4 MB", "7 B")
    assert [size(n) for n in (24 * 2**30, 24 * 10**9, 2**30, 2**30 + 1)] == ["24 GiB", "24.0 GB", "1 GiB", "1.1 GB"]
    assert (count(1, "call"), count(8, "call"), count(2, "reply", "replies")) == ("1 call", "8 calls", "2 replies")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434"),
        ("https://me:secret@host:1/path?key=secret#x", "https://host:1/path"),
        ("http://me:p@ss@host", "http://host"),
        ("cannot reach http://me:secret@host now", "cannot reach http://host now"),
    ],
)
def test_safe_url(url: str, shown: str) -> None:
    assert safe_url(url) == shown


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/v1", "http://localhost", "127.0.0.2:1", "http://[::1]:1", ""])
def test_what_is_here(url: str) -> None:
    assert is_here(url)


@pytest.mark.parametrize("url", ["http://gpu:8000/v1", "https://127.example.com", "http://10.0.0.1", "http://[bad"])
def test_what_is_elsewhere(url: str) -> None:
    assert not is_here(url)
