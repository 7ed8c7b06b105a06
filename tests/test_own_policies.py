"""A user's own policies: what a file may hold, what is wrong with one that can't be used, packages that offer some."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness import Concurrency, own_policies
from harness.app.options import Assumptions, Changes, SimulateOptions
from harness.app.simulate import simulate
from harness.app.workload import Written
from harness.cli.app import _main
from harness.core.plan import ServerQueue
from harness.core.policies import STANDARD
from harness.errors import PolicyError, UserError
from harness.own_policies import installed_policies, policies_again, read_policies

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "how-to" / "policies.md").read_text(encoding="utf-8")
CODE = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
HALF = CODE[0]


@pytest.mark.parametrize("text", CODE)
def test_the_pages_examples_are_policies(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    found = read_policies(path)
    assert found.sources[0].where == str(path)
    assert len(found.concurrency) + len(found.scheduling) == len(STANDARD.concurrency) + len(STANDARD.scheduling) + 1


def test_a_function_is_a_policy_with_its_docstring(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(HALF)
    half = read_policies(path).concurrency["half"]
    assert half.about == "At most half of the slots, so that others find the rest free."
    assert [half.most(ServerQueue("s", slots)) for slots in (1, 2, 4, 7)] == [1, 1, 2, 3]
    assert repr(half) == "Concurrency('half')"
    assert half.only_limits and half.simplicity > max(p.simplicity for p in STANDARD.concurrency.values())


MISTAKES = {
    "a syntax error": ("def half(:\n", r"mine\.py:1: SyntaxError: invalid syntax"),
    "an exception": ("\n\n1 / 0\n", r"mine\.py:3: ZeroDivisionError: division by zero"),
    "no such module": ("import nosuchmodule\n", r"mine\.py:1: ModuleNotFoundError: No module named 'nosuchmodule'"),
    "no dict": ("x = 1\n", r"mine\.py: no policy is in it; put yours into a dict CONCURRENCY, SCHEDULING or PLACEMENT"),
    "an empty dict": ("CONCURRENCY = {}\n", r"mine\.py: no policy is in it"),
    "a list": ("CONCURRENCY = []\n", r"mine\.py: expected CONCURRENCY to be a dict of policies by name, found list"),
    "a name that is taken": (
        'def window(queue):\n    "x"\n    return 1\nCONCURRENCY = {"window": window}\n',
        r'mine\.py: there is a concurrency policy "window" already; give yours another name',
    ),
    "a name that no workload can write": (
        'def x(queue):\n    "x"\n    return 1\nCONCURRENCY = {"my policy": x}\n',
        r'mine\.py: "my policy" is no name for a policy: expected letters, digits, "-" and "_", a letter first',
    ),
    "no docstring": (
        'CONCURRENCY = {"x": lambda queue: 1}\n',
        r'policy "x" \(.*mine\.py\): it needs a docstring that says what it does; reports show it',
    ),
    "no function": (
        'CONCURRENCY = {"x": 3}\n',
        r'policy "x" \(.*mine\.py\): expected a function, a Concurrency\(\.\.\.\) or a class with a method `limit`, '
        "found int",
    ),
    "another kind": (
        'from harness import Placement\nCONCURRENCY = {"x": Placement(lambda queues, home: queues, about="x")}\n',
        r'policy "x" \(.*mine\.py\): expected a function, a Concurrency\(\.\.\.\) or a class with a method `limit`, '
        "found Placement",
    ),
    "a class that cannot be made": (
        'class X:\n    "x"\n    def __init__(self, n):\n        pass\nCONCURRENCY = {"x": X}\n',
        r'policy "x" \(.*mine\.py\): TypeError: .*missing 1 required positional argument',
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_file_that_holds_no_policies_is_a_line_with_its_name(case: str, tmp_path: Path) -> None:
    text, message = MISTAKES[case]
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(PolicyError, match=message) as caught:
        read_policies(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^--policies: .*gone\.py cannot be read: No such file or directory$"):
        read_policies(tmp_path / "gone.py")
    with pytest.raises(UserError, match=r"cannot be read: Is a directory"):
        read_policies(tmp_path)
    (tmp_path / "latin.py").write_bytes(b"# \xe9\n")
    with pytest.raises(UserError, match=r"^--policies: .*latin\.py cannot be read: 'utf-8' codec can't decode"):
        read_policies(tmp_path / "latin.py")
    (tmp_path / "large.py").write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(UserError, match=r"large\.py is larger than 1 MB; expected a Python file with policies"):
        read_policies(tmp_path / "large.py")


def test_a_file_may_use_dataclasses_and_leaves_nothing_behind_in_the_harness(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n\n\n@dataclass\nclass Share:\n"
        '    """A share of the slots."""\n\n    share: float = 0.5\n\n    def limit(self, queue):\n'
        "        return max(1, int(queue.slots * self.share))\n\n\n"
        "CONCURRENCY = {'half': Share(), 'quarter': Share(0.25)}\n"
    )
    found = read_policies(path).concurrency
    assert [found[name].most(ServerQueue("s", 8)) for name in ("half", "quarter")] == [4, 2]
    assert "half" not in STANDARD.concurrency


# --- a run that goes on -----------------------------------------------------------------------------------------------


def test_a_run_that_goes_on_needs_the_name_of_its_file_and_the_same_file(tmp_path: Path) -> None:
    path, run = tmp_path / "mine.py", tmp_path / "run"
    path.write_text(HALF)
    files = [(source.where, source.sha256) for source in read_policies(path).sources]
    with pytest.raises(UserError, match=r"only executed where the command line names it: add --policies /.*mine\.py"):
        policies_again(run, files)
    assert "half" in policies_again(run, files, path).concurrency
    assert policies_again(run, []) == read_policies(None)
    path.write_text(HALF + "# other\n")
    with pytest.raises(
        UserError, match=r"run: the run was begun with this policies file as it was before it was changed"
    ):
        policies_again(run, files, path)
    with pytest.raises(UserError, match=r"the run was begun without policies of your own.*leave --policies out"):
        policies_again(run, [], path)


# --- packages ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EntryPoint]]:
    """The entry points that installed packages offer, as a test asks for; forgotten afterwards."""
    entries: list[EntryPoint] = []
    monkeypatch.setattr(own_policies, "entry_points", lambda group: EntryPoints(entries).select(group=group))
    installed_policies.cache_clear()
    yield entries
    installed_policies.cache_clear()


def test_a_package_offers_policies_without_an_option(
    offered: list[EntryPoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Concurrency(lambda queue: 1, about="One.")
    monkeypatch.setattr(own_policies, "theirs", SimpleNamespace(CONCURRENCY={"one": one}), raising=False)
    offered.append(EntryPoint("x", "harness.own_policies:theirs", own_policies.ENTRY_POINTS))
    found = read_policies(None)
    assert found.concurrency["one"].source.where == "harness.own_policies:theirs"
    assert found.concurrency["one"].most(ServerQueue("s", 3)) == 1


def test_a_package_that_cannot_be_loaded_is_named(offered: list[EntryPoint]) -> None:
    offered.append(EntryPoint("x", "nosuchpackage.policies", own_policies.ENTRY_POINTS))
    with pytest.raises(
        PolicyError, match=r"^nosuchpackage\.policies: ModuleNotFoundError: .*; uninstall or repair it$"
    ):
        read_policies(None)


# --- the page, as a newcomer follows it -------------------------------------------------------------------------------


def test_the_first_policy_of_the_page_step_by_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The two files, the two commands, and what the page says that they print."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path / "cache"))
    workload = re.search(r"^```yaml\n(version: 1\nname: half\n.*?)^```$", PAGE, re.M | re.S)
    commands = re.search(r"^```bash\n(slotwise check .*?)^```$", PAGE, re.M | re.S)
    assert workload and commands
    Path("mine.py").write_text(HALF)
    Path("half.yaml").write_text(workload[1])
    printed = []
    for line in commands[1].strip().splitlines():
        monkeypatch.setattr("sys.argv", shlex.split(line))
        assert _main() == 0
        printed.append(" ".join(capsys.readouterr().out.split()))
    said = re.search(r"^`check` says what it will do: `([^`]*)`", PAGE, re.M)
    assert said and " ".join(said[1].split()) in printed[0]
    assert "polite" in printed[1]

    run = tmp_path / "runs"
    monkeypatch.setattr("sys.argv", [*shlex.split(commands[1].splitlines()[1]), "--out", str(run), "--only", "polite"])
    assert _main() == 0
    capsys.readouterr()
    (folder,) = run.iterdir()
    Path("mine.py").unlink()  # a report needs no code
    monkeypatch.setattr("sys.argv", ["slotwise", "report", str(folder), "--settings", "asyncio"])
    assert _main() == 0
    assert "asyncio.Semaphore(2)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("None", "it returned nothing; expected a key, a number or a tuple of numbers, the smallest first"),
        ("(1, None)", "it returned nothing; expected a key, a number or a tuple of numbers, the smallest first"),
        ("(0, float('nan'))", "it returned NaN, which has no order; expected a number or a tuple of numbers"),
        ("{}", "it returned a dict, which has no order; expected a number or a tuple of numbers"),
        ("node.promt_tokens", 'a node has no "promt_tokens"; did you mean "prompt_tokens"? It has agent, ahead, '),
        ("node.nothing", 'a node has no "nothing"; it has agent, ahead, '),
    ],
)
@pytest.mark.parametrize("more", ["", ", now_s"])
def test_a_key_without_an_order_ends_it_with_a_line(key: str, says: str, more: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    written = (
        f'def mine(call, node, job, settings{more}):\n    "Mine."\n    return {key}\nSCHEDULING = {{"mine": mine}}\n'
    )
    path.write_text(written)
    shipped = ROOT / "workloads" / "chat-only.yaml"
    text = shipped.read_text(encoding="utf-8").replace("concurrency: serial", "concurrency: serial, scheduling: mine")
    changes = Changes(policies=path)
    with pytest.raises(PolicyError, match=re.escape(says)):
        simulate(
            Written(shipped, text),
            SimulateOptions(changes=changes, assumptions=Assumptions(profiles=("epyc-2core",)), repeats=1),
        )
