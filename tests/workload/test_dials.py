"""What is turned in a workload is written as YAML that means it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from workload.mistaken import HEAD

from harness.app.figures import with_turned
from harness.app.workload import Written, load
from harness.content import shipped
from harness.errors import UserError
from harness.workload.dials import Turned, dials_of, turned
from harness.workload.schema import ARRIVALS, scaled

CASES = [(key, example) for key, spec in ARRIVALS.items() for example in spec.model_fields[key].examples or ()]


@pytest.mark.parametrize(("key", "example"), CASES, ids=str)
def test_every_arrival_is_written_faster_as_its_process_is(key: str, example: Any, tmp_path: Path) -> None:
    (tmp_path / "arrivals.csv").write_text("time_s\n0\n0.5\n3\n4.25\n")
    spec: Any = ARRIVALS[key].model_validate({key: example}, context={"folder": tmp_path})
    faster: Any = ARRIVALS[key].model_validate(spec.faster(2.0), context={"folder": tmp_path}, strict=False)
    assert faster.process() == spec.process().scaled(2.0)


@pytest.mark.parametrize(
    ("amount", "factor", "expected"),
    [
        (10, 1.5, 15),
        (1, 0.1, 1),
        ([20, 80], 0.5, [10, 40]),
        (
            {"lognormal": {"median": 60, "sigma": 0.5, "max": 200}},
            2,
            {"lognormal": {"median": 120, "sigma": 0.5, "max": 400}},
        ),
        ({"gamma": {"mean": 60, "cv": 0.5}}, 2, {"gamma": {"mean": 120, "cv": 0.5}}),
        ({"empirical": [1, 40]}, 2, {"empirical": [2, 80]}),
        ({"empirical": "lengths.txt"}, 2, {"empirical": "lengths.txt"}),
    ],
)
def test_an_amount_is_scaled(amount: Any, factor: float, expected: Any) -> None:
    assert scaled(amount, factor) == expected


@pytest.mark.parametrize("path", sorted((shipped() / "workloads").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_workload_can_be_turned(path: Path) -> None:
    written = Written(path, path.read_text(encoding="utf-8"))
    before = load(written)
    servers, pipelines = dials_of(before)
    to = Turned(
        slots={one.name: 2 for one in servers},
        users={one.name: one.users + 1 for one in pipelines if one.users},
        rate={one.name: 2.0 for one in pipelines if not one.users},
        answers=2.0,
    )
    after = load(with_turned(written, to))
    assert {spec.slots for spec in after.workload.servers.values()} <= {2}
    for name, spec in before.workload.pipelines.items():
        was, now = spec.arrival.process(), after.workload.pipelines[name].arrival.process()
        assert now == (was.with_users(was.users + 1) if was.users else was.scaled(2.0))
    for key, agent in before.agents.items():
        plain = agent.model_dump(mode="json", exclude_unset=True)["output_tokens"]
        assert after.agents[key].model_dump(mode="json", exclude_unset=True)["output_tokens"] == scaled(plain, 2.0)


@pytest.mark.parametrize(
    ("to", "says"),
    [
        (Turned(slots={"other": 2}), 'no server "other"'),
        (Turned(users={"p": 2}), 'pipeline "p" has no users'),
        (Turned(users={"q": 2}), 'no pipeline "q"'),
        (Turned(rate={"p": 0.0}), 'rate of "p": expected 0.01 to 100, found 0'),
        (Turned(rate={"p": float("nan")}), "found nan"),
        (Turned(answers=1000.0), "length of answers: expected 0.01 to 100"),
        (Turned(levers={"ram_cach": "on"}), 'did you mean "ram_cache"?'),
    ],
)
def test_what_cannot_be_turned_is_said(to: Turned, says: str, tmp_path: Path) -> None:
    loaded = load(Written(tmp_path / "w.yaml", HEAD))
    with pytest.raises(UserError) as caught:
        turned(loaded, to)
    assert says in str(caught.value)


def test_nothing_turned_is_nothing() -> None:
    assert not Turned()
    assert Turned(answers=2.0) and Turned(slots={"a": 1})
