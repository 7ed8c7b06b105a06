"""What the policies of every kind have in common: each is a value, and a user's own is one like the others.

There are three kinds: concurrency (how many calls at once), scheduling (who goes first) and placement (on which of
several servers). Each has a frozen class that holds all that is known of a policy, and a dict of those that come with
Slotwise.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import fields
from hashlib import sha256
from typing import Any, NamedTuple, NoReturn, TypeVar

from harness.errors import PolicyError, did_you_mean

__all__ = ["BUILT_IN", "PolicySource", "asked", "facts_of", "in_order", "made", "refuse", "seen_as", "whose"]

P = TypeVar("P")


class PolicySource(NamedTuple):
    """Where a policy comes from: a file that the command line named, or an entry point (without a text)."""

    where: str  # the file's path, or "package:policies" of an entry point; "" = it comes with Slotwise
    text: str = ""  # what stood in the file when it was read

    @property
    def sha256(self) -> str:
        """Digest of the file's text; "" where there is no file."""
        return sha256(self.text.encode()).hexdigest() if self.text else ""


BUILT_IN = PolicySource("")


def made(kind: type[P], main: str, name: str, written: object, source: PolicySource = BUILT_IN) -> P:
    """Return a policy as a value.

    Args:
        kind: `Concurrency`, `Scheduling` or `Placement`.
        main: the field that a plain function stands for.
        name: what workloads call it.
        written: a value of that kind, a function, or a class (or an object of one) whose attributes are called as the
            fields are. What it leaves out has the default of the field; `about` is its docstring.
        source: where it was written.

    Raises:
        PolicyError: it is none of these, or has no docstring.
    """
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # all three kinds are dataclasses
    value = _called(written, name, source) if isinstance(written, type) else written
    given: dict[str, Any] = {key: getattr(value, key) for key in known if hasattr(value, key)}
    if main not in given and callable(value):
        given[main] = value
    if not callable(given.get(main)):
        raise PolicyError(
            f"{whose(name, source)}: expected a function, a {kind.__name__}(...) or a class with a method `{main}`, "
            f"found {type(written).__name__}"
        )
    about = given.get("about") or _doc(given[main] if isinstance(value, kind) else written)
    if not about:
        raise PolicyError(f"{whose(name, source)}: it needs a docstring that says what it does; reports show it")
    return kind(**{**given, "name": name, "about": about, "source": source})


def whose(name: str, source: PolicySource) -> str:
    """Name a policy in a message: which, and where it comes from."""
    return f'policy "{name}"' + (f" ({source.where})" if source.where else "")


def refuse(policy: Any, error: Exception | str) -> NoReturn:
    """Raise PolicyError: a policy broke its contract; `error` is what it raised, or what is wrong."""
    if isinstance(error, PolicyError):
        raise error
    text = str(error)
    if not isinstance(error, str | _NoKey):
        text = _not_there(error) or f"{type(error).__name__}: {error}"
    cause = error if isinstance(error, Exception) else None
    raise PolicyError(f"{whose(policy.name, policy.source)}: {text}") from cause


# By class: what a policy calls its objects, and what it may read of them.
_SEEN: dict[type, tuple[str, tuple[str, ...]]] = {}


def seen_as(kind: type, what: str, names: Iterable[str]) -> None:
    """Note what policies may read of the objects of a class, to be said where one asks for something else."""
    _SEEN[kind] = (what, tuple(names))


def _not_there(error: Exception) -> str:
    """Say what there is to read, where a policy asked for something that is not there; "" where it did not."""
    kind = next((one for one in type(getattr(error, "obj", None)).__mro__ if one in _SEEN), None)
    if kind is None or not isinstance(error, AttributeError):
        return ""
    what, names = _SEEN[kind]
    near = did_you_mean(str(error.name), names)
    return f'a {what} has no "{error.name}"{f"{near} It" if near else "; it"} has {", ".join(names)}'


class _NoKey(Exception):
    """What a policy returned is no key to sort by."""


def in_order(key: Callable[..., Any]) -> Callable[..., Any]:
    """Return a key function that refuses what cannot be put in order: without this such calls go in any order."""

    def asked_key(*arguments: Any, **more: Any) -> Any:
        found = key(*arguments, **more)
        _check_order(found)
        return found

    return asked_key


def _check_order(found: Any) -> None:
    if found is None:
        raise _NoKey("it returned nothing; expected a key, a number or a tuple of numbers, the smallest first")
    if isinstance(found, tuple):
        for part in found:
            _check_order(part)
    elif found != found:
        raise _NoKey("it returned NaN, which has no order; expected a number or a tuple of numbers")
    else:
        try:
            _ = found < found
        except TypeError:
            expected = "expected a number or a tuple of numbers"
            raise _NoKey(f"it returned a {type(found).__name__}, which has no order; {expected}") from None


def asked(policy: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of a policy; what it raises becomes a PolicyError with the policy's name."""
    try:
        return function(*arguments)
    except Exception as error:  # noqa: BLE001 - it may be a user's code
        refuse(policy, error)


def facts_of(policy: Any) -> dict[str, Any]:
    """Return what of a policy is data and no code: this is kept with a run, and enough to report on it."""
    values = {field.name: getattr(policy, field.name) for field in fields(policy) if field.name != "source"}
    return {name: value for name, value in values.items() if not callable(value) and value is not None}


def _called(written: type, name: str, source: PolicySource) -> object:
    try:
        return written()
    except Exception as error:  # a user's code: whatever it does is reported with its name
        raise PolicyError(f"{whose(name, source)}: {type(error).__name__}: {error}") from error


def _doc(written: object | Callable[..., Any]) -> str:
    """Return the first paragraph of a docstring on one line; not that of the type of an object that has none."""
    text = inspect.getdoc(written) if getattr(written, "__doc__", None) else ""
    return " ".join((text or "").split("\n\n")[0].split())
