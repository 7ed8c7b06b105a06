"""The JSON Schema agrees with what loads: every shipped workload, every example in the docs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.content import shipped
from harness.workload.schema import json_schema
from harness.workload.source import parse_yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((shipped() / "workloads").glob("*.yaml"))
PAGES = sorted((ROOT / "docs" / "reference" / "language").glob("*.md"))


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_shipped_workload(path: Path, validator: Any) -> None:
    validator.validate(parse_yaml(path.read_text(encoding="utf-8"), path.name).data)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_language_page(page: Path, validator: Any) -> None:
    for text in re.findall(r"^```yaml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S):
        validator.validate(parse_yaml(text, page.name).data)


@pytest.mark.parametrize(
    "wrong",
    [
        {"branch": {"a": 1.5, "b": 0.5}},
        {"repeat": {"until": 0.4}},
        {"need": "some"},
        {"items": {"count": [1, 2, 3]}},
        {"retry": {"times": 0}},
        {"losers": "kill"},
        {"unknown": 1},
    ],
    ids=str,
)
def test_the_schema_refuses(wrong: dict[str, Any], validator: Any) -> None:
    node = {"agent": "chat", **wrong}
    file = {"version": 1, "name": "w", "pipelines": {"p": {"path": "batch", "jobs": 1, "nodes": {"n": node}}}}
    assert not validator.is_valid(file)


def test_every_field_has_an_example_that_is_one() -> None:
    schema = json_schema()
    for name, definition in [("the file", schema), *schema["$defs"].items()]:
        for key, value in definition.get("properties", {}).items():
            assert {"examples", "const"} & set(value) or "$ref" in str(value), f"{name}.{key}"
            of_field = jsonschema.Draft202012Validator({**value, "$defs": schema["$defs"]})
            for example in value.get("examples", ()):
                assert of_field.is_valid(example), f"{name}.{key}: {example}"
