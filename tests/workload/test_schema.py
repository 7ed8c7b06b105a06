"""The schema: frozen through and through, and exported for editors."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pytest
from conftest import Golden
from pydantic import ValidationError

import harness.workload.schema as schema
from harness.workload.schema import Workload

PLAIN = {
    "version": 1,
    "name": "w",
    "pipelines": {"p": {"path": "batch", "jobs": 1, "nodes": {"n": {"agent": {"prompt": "x", "output_tokens": 1}}}}},
    "servers": {"s": {"kind": "ollama", "model": "m", "url": "http://me:secret@host:1/x"}},
}


def test_exported_schema_is_fresh(golden: Golden) -> None:
    golden(Path(schema.__file__).parents[1] / "schema.json", json.dumps(schema.json_schema(), indent=2) + "\n")


def test_every_key_has_a_description() -> None:
    for name, definition in schema.json_schema()["$defs"].items():
        for key, value in definition.get("properties", {}).items():
            assert "description" in value or key in ("kind", "synthetic"), f"{name}.{key}"


def test_frozen_through_and_through() -> None:
    workload = Workload.model_validate(PLAIN)
    with pytest.raises(ValidationError):
        workload.seed = 3
    with pytest.raises(TypeError, match="frozen"):
        workload.pipelines["q"] = workload.pipelines["p"]  # type: ignore[index]  # that is the point
    with pytest.raises(TypeError, match="frozen"):
        workload.pipelines["p"].nodes.clear()  # type: ignore[attr-defined]  # that is the point
    assert pickle.loads(pickle.dumps(workload)) == workload
    assert copy.deepcopy(workload) == workload


def test_plain_data_round_trips_without_credentials() -> None:
    workload = Workload.model_validate(PLAIN)
    plain = workload.to_plain()
    assert plain["servers"]["s"]["url"] == "http://host:1/x"
    assert json.loads(json.dumps(plain)) == plain
    assert Workload.model_validate(plain).to_plain() == plain


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a:b@h:1/p@q", "http://h:1/p@q"),
        ("https://a:b@c@h", "https://h"),
        ("http://h/?x=a@b", "http://h/?x=a@b"),
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434"),
    ],
)
def test_without_credentials(url: str, expected: str) -> None:
    assert schema.without_credentials(url) == expected
