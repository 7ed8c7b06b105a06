"""What is kept of earlier scorings, in a file that anything may have written to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.predict.history import last_score, remember
from harness.wording.predictions import about_score

ENTRY = {
    "profile": "p",
    "workload": "w",
    "measured_at": "2026-07-01",
    "cells": 4,
    "median_error": 0.05,
    "worst_error": 0.2,
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path))
    return tmp_path / "scores.jsonl"


def test_the_last_one_of_a_profile_is_found() -> None:
    for number, name in enumerate(("p", "p", "q")):
        remember({**ENTRY, "profile": name, "cells": number})
    assert last_score("p") == {**ENTRY, "cells": 1}
    assert last_score("r") is None


@pytest.mark.parametrize(
    "damaged",
    [
        b"\xff\xfe{",
        b'{"profile": "p\xff"}',
        b"[" * 100_000,
        b"nul",
        b'["profile"]',
        b'{"profile": "p", "median_error": 0.5}',
        json.dumps({**ENTRY, "worst_error": "much"}).encode(),
        json.dumps({**ENTRY, "cells": [4]}).encode(),
        json.dumps({**ENTRY, "median_error": float("nan")}).encode(),
        json.dumps({**ENTRY, "median_error": 10**400}).encode(),
        json.dumps({**ENTRY, "median_error": True}).encode(),
        json.dumps({**ENTRY, "workload": None}).encode(),
    ],
)
def test_a_damaged_line_is_passed_over(cache: Path, damaged: bytes) -> None:
    cache.write_bytes(json.dumps(ENTRY).encode() + b"\n" + damaged + b"\n")
    assert last_score("p") == ENTRY
    assert about_score(last_score("p"))


def test_a_run_without_times_says_nothing(cache: Path) -> None:
    without: dict[str, Any] = {**ENTRY, "median_error": None, "worst_error": None}
    remember(without)
    assert last_score("p") == without
    assert about_score(last_score("p")) == ()
