"""Words that a reader stumbles over stand in nothing that a user reads: messages, help, reports, templates, schemas.

It reads the strings of the code, the templates, the strings of the page's script and the descriptions in the schemas;
docstrings only where they are shown: of commands (their help) and of policies (reports say what one does).
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import harness

HARNESS = Path(harness.__file__).parent

# Each (a regular expression) beside what to write instead: house idioms, words that only an expert in statistics or in
# queues knows at once, and words that are correct and that no native speaker would use there.
BANNED: Mapping[str, str] = {
    r"admission": "slot set-up",
    r"anew": "again",
    r"attaching": "useful concurrency",
    r"(?:cannot|not to) be told": "no measurable difference",
    r"cut(?: short| off)?": "truncated, interrupted",
    r"did not end well|ended well|end well": "failed, succeeded",
    r"faced the same draws": "had the same random draws",
    r"held to": "compared with",
    r"knees?": "useful concurrency",
    r"known of": "facts about",
    r"ladders?": "concurrency levels",
    r"lanes?": "queue, slot",
    r"lets? go|letting go": "sent",
    r"like with like": "not a like-for-like comparison",
    r"lone": "single",
    r"looked at|looking at": "tried, checked, simulated",
    r"mend(?:s|ed)?": "fix",
    r"no more (?:than|slots|calls)": "at most",
    r"no routing can beat": "lower bounds",
    r"nobody (?:knows|tried)": "it is not clear, nothing was tried",
    r"nothing of (?:it|them)": "excluded from all figures",
    r"of equals": "among equals",
    r"passed over": "excluded",
    r"price of": "cost of",
    r"really made": "generated",
    r"rungs?": "concurrency level",
    r"so many": "this many, a number of",
    r"so often": "rounds",
    r"the answer would change": "sensitivity",
    r"the like of|a like of": "a copy of",
    r"told apart": "resolved, distinguishable",
    r"unexplained": "not attributed",
    r"wants": "uses, needs",
    r"whoever": "the one that, anyone who",
}

IN_DOCS = ("anew", "mended", "told apart", "whoever")  # those that the pages did have

# The files in which one of them stands all the same, and why.
_FAULT = "the name of a fault, as `slotwise serve --fault cut=0.05` takes it"
_OLDER = "a key of summary.json as older versions wrote it"
_FOLDER = "the name of a folder in a run folder"
_CUT, _LANES = r"cut(?: short| off)?", r"lanes?"
EXCEPTIONS: Mapping[tuple[str, str], str] = {
    ("app/measuring.py", _CUT): _FOLDER,
    ("cli/app.py", "rungs?"): "an option of older versions: its error names the new one",
    ("cli/serve.py", _CUT): _FAULT,
    ("report/page_data.py", _LANES): "a key of the page's data, which its script reads",
    ("report/report.js", _LANES): "a class of the page's style",
    ("runs/older.py", "ladders?"): _OLDER,
    ("runs/older.py", _CUT): _OLDER,
    ("runs/older.py", _LANES): _OLDER,
    ("runs/resume.py", _CUT): _FOLDER,
    ("servers/faults.py", _CUT): _FAULT,
    ("servers/front/canned.py", _CUT): "a value that tests compare with; nobody is shown it",
    ("workload/inputs.py", _CUT): "a word of made-up text",
    ("workload/schema.json", _CUT): _FAULT,
    ("workload/schema/servers.py", _CUT): _FAULT,
}

_STRING_OF_SCRIPT = re.compile(r"""\"([^"\n]*)"|'([^'\n]*)'|`([^`]*)`""")
_NOT_TEXT = re.compile(r"{#.*?#}|{%.*?%}|{{.*?}}|\${.*?}", re.DOTALL)
_SHOWN_DOCSTRINGS = ("cli/", "core/concurrency.py", "core/placement.py", "core/scheduling.py")


def test_no_banned_word_stands_in_what_a_user_reads() -> None:
    found = {
        (name, word): text
        for name, texts in readable()
        for text in texts
        for word in banned_in(text)
        if (name, word) not in EXCEPTIONS
    }
    said = "\n".join(
        f"harness/{name}: {word!r} in {text!r}; better: {BANNED[word]}" for (name, word), text in found.items()
    )
    assert not found, said


def test_no_house_idiom_stands_in_the_docs() -> None:
    root = HARNESS.parent
    pages = [*root.glob("docs/**/*.md"), *root.glob("*.md")]
    pages += [root / "benchmarks/README.md", root / "reports/gallery/README.md"]
    found = [
        f"{page.relative_to(root)}:{number}: {match[0]!r}"
        for page in pages
        for number, line in enumerate(page.read_text("utf-8").splitlines(), 1)
        for match in re.finditer(rf"\b(?:{'|'.join(IN_DOCS)})\b", line, re.IGNORECASE)
    ]
    assert len(pages) > 40 and not found, "\n".join(found)


def test_every_exception_is_needed() -> None:
    found = {(name, word) for name, texts in readable() for text in texts for word in banned_in(text)}
    assert found >= set(EXCEPTIONS)


def test_what_would_be_found() -> None:
    assert list(banned_in("Ladder: so many calls at once")) == ["ladders?", "so many"]
    assert not list(banned_in("execute the recommended ones"))  # within other words nothing is found
    source = '"""So many."""\ndef f(n):\n    """Anew."""\n    return "whoever", f"the {n} lone {n}"\n'
    assert list(strings_of(source)) == ["whoever", "the - lone -"]
    assert list(strings_of(source, docstrings=True)) == ["Anew.", "whoever", "the - lone -"]
    assert list(template_texts("{# anew #}a {{ lone }}\n{% if mend %}b{% endif %}")) == [" a  \n b "]
    assert list(script_texts("lane = 'a' + `b ${lane}` + \"c\"")) == ["a", "b -", "c"]


def banned_in(text: str) -> Iterator[str]:
    """Yield the banned words that stand in a text."""
    return (word for word in BANNED if re.search(rf"\b(?:{word})\b", text, re.IGNORECASE))


def readable() -> Iterator[tuple[str, list[str]]]:
    """Yield every file that holds something that a user reads, with its texts."""
    for path in sorted(HARNESS.rglob("*")):
        name = path.relative_to(HARNESS).as_posix()
        if path.suffix == ".py":
            yield name, list(strings_of(path.read_text("utf-8"), docstrings=name.startswith(_SHOWN_DOCSTRINGS)))
        elif path.suffix == ".j2":
            yield name, list(template_texts(path.read_text("utf-8")))
        elif path.suffix == ".js":
            yield name, list(script_texts(path.read_text("utf-8")))
        elif name.endswith("schema.json"):
            yield name, list(_descriptions(json.loads(path.read_text("utf-8"))))


def strings_of(source: str, *, docstrings: bool = False) -> Iterator[str]:
    """Yield the strings in Python source, from the first on; what is put in at run time is a dash.

    Args:
        source: Python source.
        docstrings: those of functions too.
    """
    tree = ast.parse(source)
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings, of attributes too
    shown = (
        {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and isinstance(node.body[0], ast.Expr)
        }
        if docstrings
        else {}
    )
    inner |= alone.difference(shown)
    found: list[tuple[int, int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "-" for part in node.values)
            found.append((node.lineno, node.col_offset, text))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            found.append((node.lineno, node.col_offset, node.value))
    return (text for _, _, text in sorted(found))


def template_texts(source: str) -> Iterator[str]:
    """Yield what of a template reaches the page as it is."""
    yield _NOT_TEXT.sub(" ", source)


def script_texts(source: str) -> Iterator[str]:
    """Yield the strings of a script."""
    for match in _STRING_OF_SCRIPT.finditer(source):
        yield _NOT_TEXT.sub("-", next(text for text in match.groups() if text is not None))


def _descriptions(schema: Any) -> Iterator[str]:
    """Yield the titles and descriptions of a JSON Schema, at every depth."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key in ("title", "description") and isinstance(value, str):
                yield value
            else:
                yield from _descriptions(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _descriptions(value)
