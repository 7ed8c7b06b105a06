"""Which form of the engine runs, and that the compiled one makes the same records."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import processes
import pytest

import harness.compiled
from harness.compiled import SUFFIX, VARIABLE, form, runs_compiled

ROOT = Path(__file__).parent.parent
MAKE = """
import hashlib, sys
from pathlib import Path
import harness.core.engine, harness.drivers.modelled
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.workload.load import load_workload
print(Path(harness.core.engine.__file__).suffix)
for file in sorted(Path("workloads").glob("*.yaml")):
    loaded = load_workload(file)
    try:
        found = predict(loaded, load_profile("epyc-2core"), repeats=2)
    except Exception as error:
        print(file.name, type(error).__name__)
        continue
    records = repr([list(found.run.calls), list(found.run.jobs), list(found.run.delays)])
    print(file.name, hashlib.sha256(records.encode()).hexdigest())
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a package of two folders, in one of which is a compiled module."""
    for folder in harness.compiled.FOLDERS:
        (tmp_path / folder).mkdir()
    (tmp_path / "core" / "engine.py").touch()
    (tmp_path / "core" / f"engine{SUFFIX}").touch()
    monkeypatch.setattr(harness.compiled, "__file__", str(tmp_path / "compiled.py"))
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path


def test_what_is_compiled_runs(package: Path) -> None:
    assert runs_compiled() and form() == "compiled; SLOTWISE_INTERPRETED=1 runs the files themselves"
    (package / "core" / f"engine{SUFFIX}").unlink()
    assert not runs_compiled() and form() == "interpreted; `make fast` compiles it where there is a C compiler"


def test_the_environment_has_the_files_run(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    assert not runs_compiled() and form() == "interpreted, as SLOTWISE_INTERPRETED says"


def test_a_file_that_has_changed_since_runs(package: Path) -> None:
    later = (package / "core" / f"engine{SUFFIX}").stat().st_mtime + 60
    os.utime(package / "core" / "engine.py", (later, later))
    assert not runs_compiled()
    assert form() == "interpreted: engine.py has changed since it was compiled; `make fast` compiles it again"


def test_the_tests_run_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    import harness.core.engine
    import harness.drivers.virtual

    files = [harness.core.engine.__file__, harness.drivers.virtual.__file__]
    assert [Path(file).suffix for file in files if file] == [".py", ".py"]


@pytest.mark.slow
def test_both_forms_make_the_same_records(tmp_path: Path) -> None:
    if shutil.which(os.environ.get("CC", "cc")) is None:
        pytest.skip("there is no C compiler")
    tree = tmp_path / "tree"
    ignored = shutil.ignore_patterns(".git", ".venv", "reports", "*.so", "__pycache__", ".*_cache", "build", "dist")
    shutil.copytree(ROOT, tree, ignore=ignored)
    environment = {key: value for key, value in os.environ.items() if key != VARIABLE} | {"PYTHONPATH": str(tree)}
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path / "dist"), "."]
    hook = environment | {"HATCH_BUILD_HOOK_ENABLE_MYPYC": "1"}
    processes.run(build, cwd=tree, env=hook, check=True, timeout=600)
    made = [
        processes.run(
            [sys.executable, "-c", MAKE], cwd=tree, env=env, check=True, timeout=600, capture_output=True, text=True
        ).stdout.splitlines()
        for env in (environment, environment | {VARIABLE: "1"})
    ]
    assert made[0][0] == SUFFIX[SUFFIX.rindex(".") :] and made[1][0] == ".py"
    assert made[0][1:] == made[1][1:] and len(made[0]) > 10
