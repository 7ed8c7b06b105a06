"""Completion scripts for shells, made from the commands that there are. All words are in a script: it starts nothing.

A place is where one is on the command line: "" at its beginning, then "run", "import traces" and so on.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from harness.cli.help import ABOUT

__all__ = ["SCRIPTS", "CommandPlace", "Flag", "places"]

_NO_WORD = re.compile(r"[^\w.:/=-]")  # what a shell might read as more than a word


class Flag(NamedTuple):
    """One option."""

    names: tuple[str, ...]
    about: str
    values: tuple[str, ...]  # that it may have, where these are known
    takes: bool  # a value follows


class CommandPlace(NamedTuple):
    """What may come at one place; file names may come at each that has no commands."""

    commands: Mapping[str, str]  # with what each is for
    words: tuple[str, ...]  # that its argument may be, where these are known
    flags: tuple[Flag, ...]


def places(command: Any, path: str = "") -> dict[str, CommandPlace]:
    """Return what may come at every place of a command line, by place."""
    commands = getattr(command, "commands", {})
    known = _values(command)
    flags = tuple(_flag(param, known) for param in command.params if param.param_type_name == "option")
    words = tuple(
        word for param in command.params if param.param_type_name == "argument" for word in known.get(param.name, ())
    )
    help_ = Flag(("-h", "--help"), "Show what it does, and its options.", (), takes=False)
    found = {path: CommandPlace({name: ABOUT.get(name, "") for name in commands}, words, (*flags, help_))}
    for name, one in commands.items():
        found |= places(one, f"{path} {name}".strip())
    return found


def _flag(param: Any, known: Mapping[str, tuple[str, ...]]) -> Flag:
    names = (*param.opts, *param.secondary_opts)
    about = re.split(r"(?<=[.;:])\s", param.help or "")[0].rstrip(".;:")
    return Flag(names, about, known.get(param.name, ()), takes=not param.is_flag)


def _values(command: Any) -> dict[str, tuple[str, ...]]:
    """Return the words that a command's parameters may be, where their types list them."""
    function = inspect.unwrap(command.callback) if command.callback else lambda: None
    found = {name: tuple(_listed(hint)) for name, hint in get_type_hints(function).items() if name != "return"}
    return {name: values for name, values in found.items() if values and not any(map(_NO_WORD.search, values))}


def _listed(hint: Any) -> Iterator[str]:
    if get_origin(hint) is Literal:
        yield from map(str, get_args(hint))
    else:
        for part in get_args(hint):
            yield from _listed(part)


def _flags(place: CommandPlace) -> str:
    return " ".join(name for flag in place.flags for name in flag.names)


def _cases(found: Mapping[str, CommandPlace], indent: str) -> Iterator[str]:
    """Yield the arms of a `case` that bash and zsh have in common: first values of options, then places."""
    for path, place in found.items():
        for flag in place.flags:
            names = "|".join(f'"{path} {name}"' for name in flag.names)
            if flag.takes:  # no values: file names
                yield f'{indent}{names}) offered="{" ".join(flag.values)}"; value=1 ;;'


def _walk(found: Mapping[str, CommandPlace]) -> str:
    return "|".join(f'"{path}"' for path in found if path)


def bash(found: Mapping[str, CommandPlace]) -> str:
    """Return the script for bash. Where nothing of ours fits, bash completes file names itself."""
    offered = "\n".join(
        f'        "{path}") words="{" ".join((*place.commands, *place.words))}"\n            flags="{_flags(place)}" ;;'
        for path, place in found.items()
    )
    values = "\n".join(_cases(found, "        "))
    return f"""\
# bash completion for slotwise; made by `slotwise completion bash`.
_slotwise() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD - 1]}}"
    local place="" offered="" value="" words="" flags="" word further
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD - 1}}"; do
        further="${{place:+$place }}$word"
        case "$further" in
            {_walk(found)}) place="$further" ;;
        esac
    done
    case "$place $before" in
{values}
    esac
    case "$place" in
{offered}
    esac
    if [ -z "$value" ]; then
        if [[ $current == -* ]]; then offered="$flags"; else offered="$words"; fi
    fi
    COMPREPLY=($(compgen -W "$offered" -- "$current"))
}}
complete -o default -o bashdefault -F _slotwise slotwise
"""


def zsh(found: Mapping[str, CommandPlace]) -> str:
    """Return the script for zsh; it works from a folder of `$fpath`, and where it is sourced."""
    offered = "\n".join(_zsh_place(path, place) for path, place in found.items())
    values = "\n".join(_cases(found, "        "))
    return f"""\
#compdef slotwise
# zsh completion for slotwise; made by `slotwise completion zsh`.
_slotwise() {{
    local current="$words[CURRENT]" before="$words[CURRENT-1]" place="" offered="" value="" word further
    local -a shown
    for word in "${{(@)words[2,CURRENT-1]}}"; do
        further="${{place:+$place }}$word"
        case "$further" in
            {_walk(found)}) place="$further" ;;
        esac
    done
    case "$place $before" in
{values}
    esac
    if [[ -n "$value" ]]; then
        [[ -n "$offered" ]] && compadd -- ${{=offered}} || _files
        return
    fi
    case "$place" in
{offered}
    esac
    if [[ "$current" == -* ]]; then
        shown=("${{(@M)shown:#-*}}")
    else
        shown=("${{(@)shown:#-*}}")
    fi
    if (( $#shown )); then _describe -V slotwise shown; else _files; fi
}}
if [[ "$funcstack[1]" == "_slotwise" ]]; then _slotwise "$@"; else compdef _slotwise slotwise; fi
"""


def _zsh_place(path: str, place: CommandPlace) -> str:
    rows = [(name, about) for name, about in place.commands.items()] + [(word, "") for word in place.words]
    rows += [(name, flag.about) for flag in place.flags for name in flag.names]
    shown = " ".join(_quoted(f"{name}:{about}" if about else name) for name, about in rows)
    return f'        "{path}") shown=({shown}) ;;'


def fish(found: Mapping[str, CommandPlace]) -> str:
    """Return the script for fish."""
    lines = []
    for path, place in found.items():
        at = f"complete -c slotwise -n '__slotwise_at \"{path}\"'"
        if place.commands or place.words:
            lines.append(f"{at} -f")
        for name, about in (*place.commands.items(), *((word, "") for word in place.words)):
            lines.append(f"{at} -a {name} -d {_quoted(about)}")
        for flag in place.flags:
            names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names)
            value = f" -x -a {_quoted(' '.join(flag.values))}" if flag.values else " -r -F" if flag.takes else ""
            lines.append(f"{at} {names} -d {_quoted(flag.about)}{value}")
    known = " ".join(_quoted(path) for path in found if path)
    return f"""\
# fish completion for slotwise; made by `slotwise completion fish`.
function __slotwise_at
    set -l place ""
    for word in (commandline -opc)[2..]
        set -l further (string trim -- "$place $word")
        contains -- "$further" {known}; and set place $further
    end
    test "$place" = "$argv[1]"
end
{chr(10).join(lines)}
"""


def _quoted(text: str) -> str:
    """Quote a text for any of the shells: none of ours has a backslash."""
    return "'" + text.replace("'", "’").replace("\\", "") + "'"


SCRIPTS: Mapping[str, Callable[[Mapping[str, CommandPlace]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
