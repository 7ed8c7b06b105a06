"""A summary.json that is none is told in one line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from analysis import records as make

from harness.analysis.analyse import analyse
from harness.errors import UserError
from harness.report.summary import read_analysis, summary


def test_several_mistakes_are_one_line() -> None:
    plain: dict[str, Any] = summary(analyse(make.run(calls=(make.call(job=0),))))
    plain["candidates"][0] |= {"name": ["a"], "repeats": "many"}
    with pytest.raises(
        UserError, match=r"^s\.json: expected a summary\.json that Slotwise wrote: candidates\.0\..*: .+$"
    ) as found:
        read_analysis(json.dumps(plain), "s.json")
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("text", ["nul", "[" * 100_000, '{"summary_version": 2}', "[]"])
def test_what_is_no_summary_is_one_line(text: str) -> None:
    with pytest.raises(UserError, match=r"^s\.json: expected a summary\.json [^\n]*$"):
        read_analysis(text, "s.json")
