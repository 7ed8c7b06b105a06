"""JUnit XML, which every CI server shows: one suite for each group of cases, a failure with its reason in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from xml.etree import ElementTree

from harness.report.text import plain

__all__ = ["Case", "junit_text", "reasons"]


class Case(NamedTuple):
    """One thing that holds or does not."""

    group: str
    name: str
    asked: bool  # it decides the exit code
    failure: str = ""  # why it does not hold; "": it does
    skipped: str = ""  # why it is not known
    error: str = ""  # why there was nothing to judge
    said: str = ""  # the figure that decides, in words


def reasons(cases: Sequence[Case]) -> list[str]:
    """Return why a build fails: of the cases that it was asked to fail on."""
    return [case.failure for case in cases if case.asked and case.failure]


def junit_text(name: str, cases: Sequence[Case]) -> str:
    """Return the file, as JUnit's schema has it.

    Elements are `testsuites`, `testsuite`, `testcase`, `failure`, `error`, `skipped` and `system-out`.
    """
    root = ElementTree.Element("testsuites", {"name": plain(name), **_counts(cases)})
    for group in dict.fromkeys(case.group for case in cases):
        mine = [case for case in cases if case.group == group]
        suite = ElementTree.SubElement(root, "testsuite", {"name": plain(group), **_counts(mine)})
        for case in mine:
            # Servers of CI show `classname` as a folder, and make another one at each point.
            one = ElementTree.SubElement(
                suite, "testcase", classname=f"slotwise.{plain(name)}", name=plain(case.name), time="0"
            )
            if case.error:
                ElementTree.SubElement(one, "error", message=plain(case.error), type="slotwise").text = plain(
                    case.error
                )
            elif case.failure:
                ElementTree.SubElement(one, "failure", message=plain(case.failure), type="slotwise").text = plain(
                    case.failure
                )
            elif case.skipped:
                ElementTree.SubElement(one, "skipped", message=plain(case.skipped))
            if case.said:
                ElementTree.SubElement(one, "system-out").text = plain(case.said)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True).replace("us-ascii", "utf-8") + "\n"


def _counts(cases: Sequence[Case]) -> dict[str, str]:
    failures = sum(bool(case.failure) for case in cases)
    skipped = sum(bool(case.skipped and not case.failure) for case in cases)
    return {
        "tests": str(len(cases)),
        "failures": str(failures),
        "errors": str(sum(bool(case.error) for case in cases)),
        "skipped": str(skipped),
        "time": "0",
    }
