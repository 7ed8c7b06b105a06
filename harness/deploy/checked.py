"""Values that are written into a file that a server's manager reads: each is compared with a strict form before.

A run folder may come from somebody else. What it says becomes a line of a unit, of a compose file or of a property
list only if it is a known variable with a value of that variable's form, so no line and no path can be slipped in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.core.levers import LEVERS
from harness.deploy.deployment import DeployedServer
from harness.errors import UserError

__all__ = ["NAMES", "checked_environment", "checked_service"]

_NUMBER = "[1-9][0-9]{0,8}"
_FORMS = {
    "OLLAMA_NUM_PARALLEL": _NUMBER,
    "OLLAMA_CONTEXT_LENGTH": _NUMBER,
    "OLLAMA_MAX_LOADED_MODELS": _NUMBER,
    "OLLAMA_MAX_QUEUE": _NUMBER,
    "LLAMA_ARG_THREADS": _NUMBER,
    "OLLAMA_HOST": r"127\.0\.0\.1:[1-9][0-9]{3,4}",
}
for _lever in LEVERS.values():
    for _variables in _lever.variables.values():
        for _name, _value in _variables.items():
            _FORMS[_name] = "|".join(filter(None, (_FORMS.get(_name), re.escape(_value))))

NAMES = frozenset(_FORMS)  # every variable that is ever written
_SERVICE = re.compile(r"ollama(?:-[A-Za-z][A-Za-z0-9_-]{0,62})?")


def checked_environment(server: DeployedServer, *, on_host: bool = True) -> dict[str, str]:
    """Return the variables of a server, with its address where it is `on_host` and not in a container.

    Raises:
        UserError: the run names a variable or a value that Slotwise never writes.
    """
    try:
        found: Mapping[str, str] = server.environment_on_host if on_host else server.environment
    except (KeyError, TypeError, AttributeError) as error:
        raise _strange(f"a setting called {error}") from None
    for name, value in found.items():
        if name not in _FORMS or re.fullmatch(_FORMS[name], value) is None:
            raise _strange(f"{name}={value}"[:80])
    return dict(found)


def checked_service(name: str) -> str:
    """Return the name of a service; UserError where it is none that Slotwise gives."""
    if _SERVICE.fullmatch(name) is None:
        raise _strange(f'a server called "{name[:80]}"')
    return name


def _strange(what: str) -> UserError:
    return UserError(
        f"the run has {what!r}, which Slotwise never writes: the run was changed by hand, or its settings are not for "
        "Ollama. Nothing was written; slotwise report RUN --settings serve prints them"
    )
