"""The API: who is let in, what is a mistake, and answers that are those of the command line."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from studio.bench import ORIGIN, Bench, bench, same
from typer.testing import CliRunner

from harness.cli.app import command_line
from harness.content import shipped
from harness.errors import UserError
from harness.studio import api
from harness.studio.web import BODY_BYTES, LIMITS_S, TOKEN_HEADER

FILE = shipped() / "workloads/chat-only.yaml"
TEXT = FILE.read_text(encoding="utf-8")
ON = {"machine": {"profiles": ["epyc-2core"]}}


@pytest.fixture(scope="module")
def at_rest() -> Iterator[Bench]:
    """For what no worker sees."""
    with bench(FILE, TEXT, works=False) as found:
        yield found


@pytest.fixture(scope="module")
def working() -> Iterator[Bench]:
    with bench(FILE, TEXT) as found:
        yield found


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"host": "studio.example.org"}, 'host "studio.example.org" is not allowed'),
        ({"origin": "https://example.org"}, 'origin "https://example.org" is not allowed'),
        ({"origin": "http://127.0.0.1:9999"}, 'origin "http://127.0.0.1:9999" is not allowed'),
        ({"origin": "null"}, 'origin "null" is not allowed'),
        ({"origin": "file://"}, 'origin "file://" is not allowed'),
        ({TOKEN_HEADER: ""}, "the token is missing or wrong"),
        ({TOKEN_HEADER: "another"}, "the token is missing or wrong"),
    ],
)
def test_who_is_not_let_in(at_rest: Bench, headers: dict[str, str], says: str) -> None:
    for method, path in (("GET", "/api/start"), ("POST", "/api/figures"), ("GET", "/api/schema")):
        answer = at_rest.send(method, path, headers=headers)
        assert answer.status_code == 403
        assert says in answer.json()["error"]


def test_the_page_comes_without_a_token_and_knows_nothing(at_rest: Bench) -> None:
    page = at_rest.send("GET", "/", headers={TOKEN_HEADER: "", "origin": ORIGIN})
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "version: 1" not in page.text
    assert at_rest.send("GET", "/", headers={"host": "example.org"}).status_code == 403
    assert at_rest.send("GET", "/page/nothing.js").status_code == 404
    assert at_rest.send("GET", "/page/..%2Fweb.py").status_code == 404
    assert at_rest.send("POST", "/").status_code == 405


def test_nothing_of_a_page_can_act_or_load(at_rest: Bench) -> None:
    answer = at_rest.send("GET", "/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    folder = Path(api.__file__).parent / "page"
    for path in folder.iterdir():
        text = path.read_text(encoding="utf-8")
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "<style", "style="):
            assert word not in text, (path.name, word)
        addresses = text.replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in addresses and "https:" not in addresses, path.name
        assert at_rest.send("GET", f"/page/{path.name}").content == path.read_bytes()


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("GET", "/api/figures", None, 405, "expected POST, found GET"),
        ("POST", "/api/start", b"{}", 405, "expected GET, found POST"),
        ("POST", "/api/nothing", b"{}", 404, "expected one of schema, start, look"),
        ("POST", "/api/look", b"", 400, "Invalid JSON"),
        ("POST", "/api/look", b"[1]", 400, "the request"),
        ("POST", "/api/look", b'{"tab": "a", "version": 1}', 400, "text: Field required"),
        ("POST", "/api/look", b'{"tab": "a b", "version": 1, "text": ""}', 400, "tab: "),
        ("POST", "/api/look", b'{"tab": "a", "version": -1, "text": ""}', 400, "version: "),
        ("POST", "/api/look", b'{"tab": "a", "version": 1, "text": "", "more": 1}', 400, "more: "),
        ("POST", "/api/figures", b'{"tab":"a","version":1,"text":"","turned":{"answers":"x"}}', 400, "turned.answers"),
        ("POST", "/api/figures", b'{"tab":"a","version":1,"text":"","stage":"last"}', 400, "stage: "),
        ("POST", "/api/look", b" " * (BODY_BYTES + 1), 413, "expected a request of at most"),
    ],
)
def test_requests_that_are_none(
    at_rest: Bench, method: str, path: str, body: bytes | None, status: int, says: str
) -> None:
    answer = at_rest.send(method, path, content=body)
    assert answer.status_code == status
    assert says in answer.json()["error"]


def test_every_form_is_in_the_schema(at_rest: Bench) -> None:
    schema = at_rest.send("GET", "/api/schema").json()
    assert schema["api"] == api.API_VERSION
    assert set(schema["questions"]) == set(api.QUESTIONS)


def test_what_the_page_begins_with(at_rest: Bench) -> None:
    found = at_rest.send("GET", "/api/start").json()
    assert (found["text"], found["file"], found["profiles"]) == (TEXT, str(FILE), [])


def test_every_answer_is_as_the_schema_says(working: Bench) -> None:
    questions = working.send("GET", "/api/schema").json()["questions"]
    asked: dict[str, dict[str, Any]] = {
        "look": {"text": TEXT},
        "complete": {"text": TEXT, "line": 1, "column": 1},
        "figures": {"text": TEXT, "stage": "preliminary", **ON},
        "machines": {},
        "timeline": {"text": TEXT, "candidate": "share", **ON},
        "node": {"text": TEXT, "pipeline": "chat", "node": "reply"},
        "edit": {"text": TEXT, "pipeline": "chat", "node": "reply", "kind": "add-after", "name": "more"},
        "file": {"digest": hashlib.sha256(FILE.read_bytes()).hexdigest()},
        "report": {"text": TEXT, **ON},
        "settings": {"text": TEXT, "candidate": "share", **ON},
        "begin": {"name": "rush-hour"},
    }
    assert questions.pop("save")["asked"]["required"] == ["tab", "version", "digest", "text"]  # tests/studio/test_keep
    chosen = {"machines": [{"profiles": ["epyc-2core"]}, {"profiles": ["m1-published"]}]}
    asked |= {"recommend": {"text": TEXT, **ON}, "compare": {"text": TEXT, **chosen}, "follow": {}, "stop": {}}
    assert questions.pop("measure")["asked"]["required"] == ["tab", "version"]  # tests/studio/test_tasks
    assert set(asked) == set(questions)
    for name, body in asked.items():
        jsonschema.validate({"tab": "t", "version": 7, **body}, questions[name]["asked"])
        answer = working.ask(name, version=7, **body)
        jsonschema.validate(answer, questions[name]["answered"])
        assert (answer["state"], answer["tab"], answer["version"]) == ("ok", "t", 7)


def test_mistakes_are_those_of_check(working: Bench, tmp_path: Path) -> None:
    text = TEXT.replace("jobs:", "job:").replace("output_tokens", "output_token")
    answer = working.ask("look", text=text)
    file = tmp_path / FILE.name
    file.write_text(text)
    printed = CliRunner().invoke(command_line(), ["check", str(file)]).exception
    assert isinstance(printed, UserError)
    lines = str(printed).replace(str(file), str(FILE)).split("\n")
    assert answer["state"] == "mistake"
    assert [one["whole"] for one in answer["mistakes"]] == lines
    for one in answer["mistakes"]:
        assert one["whole"] == f"{FILE}:{one['line']}:{one['column']}: {one['message']}"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"text": "", **ON}, "the file is empty"),
        ({"text": TEXT}, "a prediction needs the profile of a machine"),
        ({"text": TEXT, "machine": {"profiles": ["epyc-2cor"]}}, 'did you mean "epyc-2core"?'),
        ({"text": TEXT, "machine": {"profiles": ["/etc/passwd"]}}, "expected the name of a profile"),
        ({"text": TEXT, "machine": {"profiles": ["a=other.yaml"]}}, "expected the name of a profile"),
        ({"text": TEXT, "machine": {"device": "no such", "model": "llama3.1:8b"}}, "no such"),
        ({"text": TEXT, "machine": {"device": "RTX 4090"}}, "model"),
        ({"text": TEXT, "turned": {"slots": {"other": 2}}, **ON}, 'no server "other"'),
        ({"text": TEXT, "turned": {"users": {"chat": 0}}, **ON}, "expected 1 to 10000, found 0"),
        ({"text": TEXT, "turned": {"answers": 1e9}, **ON}, "expected 0.01 to 100"),
        ({"text": TEXT, "turned": {"levers": {"ram_cache": "maybe"}}, **ON}, "ram_cache"),
        ({"text": TEXT, "turned": {"levers": {"other": "on"}}, **ON}, "expected a lever of"),
    ],
)
def test_what_cannot_be_predicted_is_a_message(working: Bench, body: dict[str, Any], says: str) -> None:
    answer = working.ask("figures", stage="preliminary", **body)
    assert answer["state"] == "mistake"
    assert says in "\n".join(one["whole"] for one in answer["mistakes"])
    assert answer["candidates"] == []


def test_final_figures_are_those_of_simulate(working: Bench) -> None:
    answer = working.ask("figures", text=TEXT, **ON)
    command = ["simulate", str(FILE), "--profile", "epyc-2core", "--json"]
    printed = json.loads(CliRunner().invoke(command_line(), command).stdout)
    for one in (printed, answer["summary"]):
        for key in ("started_at", "command"):  # when, and what was typed
            one["run"].pop(key)
    assert same(answer["summary"], printed)
    for mine, theirs in zip(answer["candidates"], printed["candidates"], strict=True):
        assert mine["name"] == theirs["name"]
        for one, other in zip(mine["pipelines"], theirs["pipelines"], strict=True):
            assert same(one, {key: other[key] for key in one})


def test_first_figures_are_of_five_repeats_and_say_so(working: Bench) -> None:
    answer = working.ask("figures", text=TEXT, stage="preliminary", **ON)
    assert (answer["stage"], answer["repeats"], answer["summary"]) == ("preliminary", 5, None)
    assert all(one["pipelines"] and one["makespan"]["n"] == 5 for one in answer["candidates"])


def test_two_tabs_do_not_disturb_each_other(working: Bench) -> None:
    async def both() -> list[dict[str, Any]]:
        asked = {"text": TEXT, "stage": "preliminary", **ON}
        return list(
            await asyncio.gather(
                *(working.post("figures", tab=tab, version=1, **asked) for tab in ("one", "two", "three"))
            )
        )

    answers = working.run(both())
    assert [(one["tab"], one["state"]) for one in answers] == [("one", "ok"), ("two", "ok"), ("three", "ok")]


def test_a_simulation_that_takes_too_long_is_interrupted_and_the_next_one_works() -> None:
    long = TEXT.replace("name: chat-only", "name: long").replace("jobs: 9", "jobs: 100000")
    with bench(FILE, TEXT, {**LIMITS_S, "first simulation": 2.0}) as short:
        answer = short.ask("figures", text=long, stage="preliminary", **ON)
        assert answer["state"] == "too-long", answer
        assert "took more than 2 s and was interrupted" in answer["message"]
        assert short.ask("figures", text=TEXT, stage="preliminary", **ON)["state"] == "ok"
