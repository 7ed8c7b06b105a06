"""Edit by hand, save, share: over the API, with figures and files that are those of the command line."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from studio.bench import Bench, bench, same
from typer.testing import CliRunner

from harness.app.init import open_starting_points, starting_points, starting_text
from harness.app.look import begun
from harness.cli.app import command_line
from harness.content import shipped
from harness.studio.file import Opened
from harness.studio.work import DesignPlace

FILE = shipped() / "workloads/chat-only.yaml"
TEXT = FILE.read_text(encoding="utf-8")
ON = {"machine": {"profiles": ["epyc-2core"]}, "extrapolate": True}
SHORT = ("chat-only", "supersteps", "router", "reflection-loop", "rush-hour", "map-reduce")  # of one model


@pytest.fixture(scope="module")
def working() -> Iterator[Bench]:
    with bench(FILE, TEXT) as found:
        yield found


def command(*words: str) -> str:
    result = CliRunner().invoke(command_line(), list(words))
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def test_a_design_is_saved_and_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(TEXT)
    with bench(file, TEXT, works=False) as desk:
        begun_with = desk.send("GET", "/api/start").json()
        assert (begun_with["text"], begun_with["named"], begun_with["starts"]) == (TEXT, True, [])
        mine = TEXT.replace("jobs: 9", "jobs: 12")
        saved = desk.ask("save", digest=begun_with["digest"], text=mine)
        assert (saved["saved"], file.read_text()) == (True, mine)
        assert desk.send("GET", "/api/start").json()["text"] == mine, "a page that is opened again has what is there"

        file.write_text(TEXT + "# theirs\n")
        assert desk.ask("file", digest=saved["digest"])["same"] is False
        stopped = desk.ask("save", digest=saved["digest"], text=mine)
        assert (stopped["saved"], stopped["text"], file.read_text()) == (
            False,
            TEXT + "# theirs\n",
            TEXT + "# theirs\n",
        )
        assert "-# theirs" in stopped["difference"]
        assert "+    jobs: 12" in stopped["difference"]
        assert desk.ask("save", digest=stopped["digest"], text=mine)["saved"]
        assert file.read_text() == mine


def test_a_design_without_a_file_gets_a_name_below_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.yaml").write_text("mine: 1\n")
    new = begun(None)
    opened = Opened(DesignPlace(new.path), new.text, named=False)
    with bench(new.path, new.text, works=False, opened=opened) as desk:
        start = desk.send("GET", "/api/start").json()
        assert (start["named"], start["digest"], start["folder"]) == (False, "", str(tmp_path))
        assert [one["name"] for one in start["starts"]] == [name for name, _ in open_starting_points()]
        assert len(start["starts"]) > 10
        for name in ("../out.yaml", "/tmp/out.yaml", "x.txt", ""):
            answer = desk.ask("save", digest="", text=new.text, name=name)
            assert (answer["state"], answer["saved"]) == ("failed", False), name
        taken = desk.ask("save", digest="", text=new.text, name="there.yaml")
        assert (taken["saved"], taken["text"]) == (False, "mine: 1\n")
        assert desk.send("GET", "/api/start").json()["named"] is False
        saved = desk.ask("save", digest="", text=new.text, name="mine.yaml")
        assert (saved["saved"], saved["file"], Path("mine.yaml").read_text()) == (True, "mine.yaml", new.text)
        assert desk.ask("save", digest=saved["digest"], text="name: other\n")["saved"]
        other = desk.ask("save", digest="", text=new.text, name="other.yaml")
        assert "works on mine.yaml already" in other["message"]
        assert sorted(one.name for one in tmp_path.iterdir()) == ["mine.yaml", "there.yaml"]


def test_every_starting_point_has_no_mistakes(working: Bench) -> None:
    for name, about in open_starting_points():
        assert about.endswith("?"), name
        text = working.ask("begin", name=name)["text"]
        assert text == starting_text(name)
        assert not text.startswith("# yaml-language-server")
    assert working.ask("begin", name="rush-huor")["mistakes"][0]["message"].endswith('did you mean "rush-hour"?')


@pytest.mark.drawn
def test_the_report_is_that_of_simulate(working: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["slotwise", "simulate", str(FILE), "--profile", "epyc-2core"])
    answer = working.ask("report", text=TEXT, machine={"profiles": ["epyc-2core"]})
    command("simulate", str(FILE), "--profile", "epyc-2core", "--out", str(tmp_path))
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert answer["name"] == "chat-only"
    assert f"slotwise simulate {FILE} --profile epyc-2core</code>" in answer["html"]
    assert _timeless(answer["html"]) == _timeless((folder / "report.html").read_text(encoding="utf-8"))


def _timeless(page: str) -> str:
    """Return a report without when it was made, and the command that made it."""
    page = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?", "", page)
    page = re.sub(r"\b\d{1,2} \w+ \d{4}(, \d\d:\d\d)?", "", page)
    return re.sub(r"<code>slotwise .*?</code>", "", page)


def test_settings_are_those_of_the_command_line(working: Bench) -> None:
    figures = working.ask("figures", text=TEXT, stage="preliminary", machine={"profiles": ["epyc-2core"]})
    (chosen,) = (one["name"] for one in figures["candidates"] if one["recommended"])
    answer = working.ask("settings", text=TEXT, candidate=chosen, machine={"profiles": ["epyc-2core"]})
    kinds = {one["kind"] for one in answer["texts"]}
    assert {"serve", "systemd", "compose", "asyncio", "langgraph"} <= kinds
    for kind in kinds:
        whole = "\n".join(one["text"] for one in answer["texts"] if one["kind"] == kind)
        printed = command("simulate", str(FILE), "--profile", "epyc-2core", "--settings", kind)
        assert printed.strip() == whole.strip(), kind
    wrong = working.ask("settings", text=TEXT, candidate="shared", machine={"profiles": ["epyc-2core"]})
    assert 'did you mean "share"?' in wrong["mistakes"][0]["message"]
    file = working.ask("report", text=TEXT, machine={"profiles": ["/etc/passwd"]})
    assert "expected the name of a profile" in file["mistakes"][0]["message"]


def test_what_the_tutorial_says_is_so(working: Bench) -> None:
    text = starting_text("chat-only")

    def recommended(text: str, **more: Any) -> tuple[str, float]:
        found = working.ask("figures", text=text, stage="preliminary", machine={"profiles": ["epyc-2core"]}, **more)
        (one,) = (one for one in found["candidates"] if one["recommended"])
        return one["name"], one["pipelines"][0]["time"]["value"]

    assert recommended(text)[0] == "queue"
    assert recommended(text, turned={"users": {"chat": 6}})[0] == "share"
    where = {"pipeline": "chat", "node": "reply"}
    added = working.ask("edit", text=text, kind="add-after", name="check", **where)["text"]
    page = (Path(__file__).parents[2] / "docs/tutorial/studio.md").read_text(encoding="utf-8")
    (line,) = (line.strip() for line in added.split("\n") if "check:" in line)
    assert line in page
    where["node"] = "check"
    changed = working.ask("edit", text=added, kind="tokens", tokens=[20], **where)["text"]
    assert recommended(changed)[1] > recommended(text)[1]


def test_a_refused_edit_says_why(working: Bench) -> None:
    where = {"pipeline": "chat", "node": "reply", "text": TEXT}
    for body, says in (
        ({"kind": "delete"}, "a graph needs at least one node"),
        ({"kind": "tokens", "tokens": [5]}, "agents/chat.md: change `output_tokens` there"),
        ({"kind": "fan-out", "over": "nothing"}, "not done, as it would be a mistake"),
    ):
        answer = working.ask("edit", **where, **body)
        assert (answer["state"], answer["text"]) == ("mistake", "")
        assert says in answer["mistakes"][0]["message"]
    assert working.ask("node", text="version: 1\n", pipeline="a", node="b")["state"] == "mistake"


def _typed(random_: random.Random, text: str) -> str:
    """Change a number, add a comment or a blank line, as somebody would who types."""
    numbers = list(re.finditer(r"(?<=output_tokens: )\d+(?=[\s,}])|(?<=    jobs: )\d+", text))
    if numbers and random_.random() < 0.7:
        one = random_.choice(numbers)
        return text[: one.start()] + str(random_.randint(2, 30)) + text[one.end() :]
    lines = text.split("\n")
    lines.insert(random_.randrange(len(lines)) if random_.random() < 0.5 else len(lines) - 1, "# a thought")
    return "\n".join(lines)


def _by_hand(desk: Bench, random_: random.Random, text: str) -> str:
    """Edit the graph; where that is refused the text stays."""
    nodes = desk.ask("look", text=text)["nodes"]
    where = {key: one for key, one in random_.choice(nodes).items() if key != "lines"} if nodes else {}
    facts = desk.ask("node", text=text, **where)
    body: dict[str, Any] = random_.choice(
        [
            {"kind": "add-after", "name": facts["free_name"]},
            {"kind": "tokens", "tokens": [random_.randint(4, 60)]},
            {"kind": "fan-out", "over": random_.choice(facts["inputs"] or ["none"])},
            {"kind": "one-call"},
            {"kind": "delete"},
        ]
    )
    answer = desk.ask("edit", text=text, **where, **body)
    return str(answer["text"]) if answer["state"] == "ok" else text


def random_sequence(seed: int, tmp_path: Path) -> None:
    """Edit, save, and compare the final figures with those of the saved file."""
    random_ = random.Random(seed)
    name = SHORT[seed % len(SHORT)]
    file = tmp_path / f"{name}.yaml"
    file.write_text(starting_text(name))
    with bench(file, file.read_text()) as desk:
        start = desk.send("GET", "/api/start").json()
        text = start["text"]
        for _ in range(6):
            new = _typed(random_, text) if random_.random() < 0.4 else _by_hand(desk, random_, text)
            if desk.ask("look", text=new)["state"] == "ok":
                text = new
        assert desk.ask("save", digest=start["digest"], text=text)["saved"]
        answer = desk.ask("figures", text=text, **ON)
    assert answer["state"] == "ok", answer
    printed = json.loads(command("simulate", str(file), "--profile", "epyc-2core", "--extrapolate", "--json"))
    for one in (printed, answer["summary"]):
        for key in ("started_at", "command"):
            one["run"].pop(key)
    assert same(answer["summary"], printed)
    for mine, theirs in zip(answer["candidates"], printed["candidates"], strict=True):
        for one, other in zip(mine["pipelines"], theirs["pipelines"], strict=True):
            assert same(one, {key: other[key] for key in one})


@pytest.mark.parametrize("seed", range(5))
def test_random_edits_give_the_figures_of_the_saved_file(seed: int, tmp_path: Path) -> None:
    random_sequence(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5, 55))
def test_more_random_edits_give_the_figures_of_the_saved_file(seed: int, tmp_path: Path) -> None:
    random_sequence(seed, tmp_path)


def test_the_digest_is_of_the_bytes_that_are_there() -> None:
    with bench(FILE, TEXT, works=False) as desk:
        start = desk.send("GET", "/api/start").json()
        assert start["digest"] == hashlib.sha256(FILE.read_bytes()).hexdigest()
        assert desk.ask("file", digest=start["digest"])["same"] is True
    assert set(SHORT) <= set(starting_points())
