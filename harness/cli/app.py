"""The command line: which commands there are, and how an error becomes a line and an exit code.

Exit codes: 0 done, 1 what `--fail-on` or `--check` names, 2 the user's mistake, 3 a server's failure, 130 interrupted.
Command modules import nothing heavy at the top, so `slotwise --help` and `slotwise check` start fast.
"""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Collection
from importlib import import_module
from typing import Annotated

import typer

from harness import __version__
from harness.cli.help import Command, Commands
from harness.errors import SlotwiseError
from harness.report.text import plain
from harness.units import safe_text

try:
    from typer._click.exceptions import (  # typer carries its own click since 0.26
        ClickException,
        NoArgsIsHelpError,
        NoSuchOption,
    )
except ImportError:  # pragma: no cover
    from click.exceptions import (  # type: ignore[assignment]  # the same, of another package
        ClickException,
        NoArgsIsHelpError,
        NoSuchOption,
    )

__all__ = ["command_line", "main"]

INTERRUPTED = 130

# In the order of the help. Each is a function of its name in a module of its name; a group is an `app` in its module.
_COMMANDS = (
    "run",
    "simulate",
    "recommend",
    "score",
    "calibrate",
    "check",
    "migrate",
    "probe",
    "sweep",
    "serve",
    "studio",
    "report",
    "apply",
    "runs",
    "compare",
    "export",
    "init",
    "doctor",
    "completion",
)
_GROUPS = {"import": "import_", "models": "models", "profile": "profile"}


def command_line(used: Collection[str] | None = None) -> typer.Typer:
    """Return the command line with every command; where `used` is given, all others are there by name alone.

    The names are enough for the help of the whole, and to find the one that was meant. A command's module takes time.
    """
    app = typer.Typer(
        name="slotwise",
        cls=Commands,
        help="Decide how to run a pipeline of agents on a local LLM server: serial or batched, how many slots, one "
        "server or two. Measured on this machine, or predicted.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name in (*_COMMANDS, *_GROUPS):
        if used is not None and name not in used:
            app.command(name)(_by_name)
        elif name in _GROUPS:
            app.add_typer(import_module(f"harness.cli.{_GROUPS[name]}").app, name=name)
        else:
            app.command(name, cls=Command)(getattr(import_module(f"harness.cli.{name}"), name))
    return app


# How the command-line library words mistakes, and how all others of ours are worded.
_WORDINGS = (
    ("Input should be ", "expected "),
    (", unable to parse string as an integer", ""),
    (", unable to parse string as a number", ""),
    ("greater than or equal to", "at least"),
    ("less than or equal to", "at most"),
    (". Did you mean", "; did you mean"),
)


_RENAMED = {"--rungs": "--levels"}  # options of an earlier Slotwise

LONGEST_NAME = 80  # characters of a file that is named in a message
_QUOTED_OPTION = re.compile(r"'(--?[a-z-]+)'")


def _version(value: bool) -> None:
    if value:
        typer.echo(f"slotwise {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def _by_name() -> None:
    """Stand for a command that was not typed."""


def _usage(error: ClickException) -> str:
    """Say in one line what is wrong with a command line, what was found there, and where the options are listed."""
    if isinstance(error, NoSuchOption) and error.option_name in _RENAMED:
        return f"{error.option_name} is called {_RENAMED[error.option_name]} now"
    text = error.format_message().rstrip(".").removeprefix("Invalid value for ").replace("Value error, ", "")
    mistakes = getattr(error.__cause__, "errors", None)  # newer typer: of pydantic
    if mistakes is not None and "input" in (first := mistakes()[0]) and str(first["input"]) not in text:
        text += f', found "{first["input"]}"'
    for theirs, ours in _WORDINGS:
        text = text.replace(theirs, ours)
    text = _QUOTED_OPTION.sub(r"\1", text).replace("'", '"')
    path = getattr(getattr(error, "ctx", None), "command_path", "slotwise")
    return f"{text[:1].lower()}{text[1:]} (see {path} --help)"


def main() -> None:
    """Run the command line and exit."""
    code = _main()
    gc.freeze()  # the process ends: looking for circles in all that it holds would take a tenth of a short command
    sys.exit(code)


def _let_output_go() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _main() -> int:
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for some costs 15 ms of every command
    gc.set_threshold(200_000)  # what is imported lives: looking at it again and again costs a tenth of a short command
    try:
        code = command_line(sys.argv[1:])(standalone_mode=False, prog_name="slotwise")
        sys.stdout.flush()
    except SlotwiseError as error:
        # A server's words may be in it: no escapes, no secrets.
        lines = [plain(safe_text(line)) for line in f"slotwise: {error}".splitlines()]
        print("\n".join(lines), file=sys.stderr)
        return error.exit_code
    except NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except ClickException as error:
        print(plain(f"slotwise: {_usage(error)}"), file=sys.stderr)
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        print("slotwise: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _let_output_go()  # the reader has gone: not our failure
        return 0
    except OSError as error:
        if error.filename is None:
            _let_output_go()  # what is left in it cannot be written either
        what = "the output" if error.filename is None else plain(str(error.filename))
        name = what if len(what) <= LONGEST_NAME else f"{what[:LONGEST_NAME]}..."
        print(f"slotwise: {name}: {error.strerror or error}", file=sys.stderr)
        return 2
    except SystemExit as leaving:  # rich and typer leave so when the reader of a pipe has gone; nothing of ours does
        return 0 if leaving.code == 1 else leaving.code if isinstance(leaving.code, int) else 0
    if code == INTERRUPTED:
        print("slotwise: interrupted", file=sys.stderr)
    return code if isinstance(code, int) else 0
