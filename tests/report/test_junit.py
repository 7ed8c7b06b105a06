"""JUnit XML: the shape that CI servers read, whatever names are in it."""

from __future__ import annotations

from xml.etree import ElementTree

from harness.report.junit import Case, junit_text, reasons

HOSTILE = "a<b>&\"'\x1b[31m\x00]]>\n"
CASES = (
    Case("demands", "chat.p95_s<2", asked=True, failure="chat.p95_s is 2.41 s; it must be below 2 s"),
    Case("demands", "chat.p50_s<2", asked=True),
    Case(HOSTILE, HOSTILE, asked=False, failure=HOSTILE),
    Case("goals", "g", asked=True, skipped=HOSTILE),
    Case("slotwise", "slotwise run", asked=False, error=HOSTILE),
    Case("demands", "chat.p99_s<2", asked=True, said=HOSTILE),
)

# The elements and attributes of JUnit's common schema (Jenkins' junit-10.xsd): attributes that must be, that may be,
# and children.
SHAPE = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors", "disabled", "skipped"}, {"testsuite"}),
    "testsuite": ({"name", "tests"}, {"time", "failures", "errors", "skipped", "disabled", "hostname"}, {"testcase"}),
    "testcase": (
        {"name", "classname"},
        {"time", "status", "assertions"},
        {"failure", "skipped", "error", "system-out"},
    ),
    "error": (set(), {"message", "type"}, set()),
    "system-out": (set(), set(), set()),
    "failure": (set(), {"message", "type"}, set()),
    "skipped": (set(), {"message"}, set()),
}


def test_the_file_has_junits_shape_and_its_counts_are_right() -> None:
    root = ElementTree.fromstring(junit_text(HOSTILE, CASES))
    assert root.tag == "testsuites"
    for element in root.iter():
        must, may, children = SHAPE[element.tag]
        assert must <= set(element.keys()) <= must | may
        assert {child.tag for child in element} <= children
    assert [root.get(name) for name in ("tests", "failures", "skipped", "errors")] == ["6", "2", "1", "1"]
    suites = root.findall("testsuite")
    assert [(one.get("tests"), one.get("failures"), one.get("skipped")) for one in suites] == [
        ("3", "1", "0"),
        ("1", "1", "0"),
        ("1", "0", "1"),
        ("1", "0", "0"),
    ]
    assert suites[0][0][0].get("message") == suites[0][0][0].text == CASES[0].failure
    assert suites[1].get("name") == "a<b>&\"'[31m]]> "  # as text, without what a terminal would obey


def test_only_what_was_asked_for_decides() -> None:
    assert reasons(CASES) == [CASES[0].failure]
    assert not reasons(CASES[1:])
