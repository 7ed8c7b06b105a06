"""Answer a question of the page. This is what the worker processes do; everything that is known is `harness.app`'s."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from harness.app.completions import complete
from harness.app.figures import DesignMachine, DesignOptions, Stage, Turned, figures
from harness.app.look import look, mistakes_in
from harness.app.profiles import known_profiles
from harness.app.trial import TrialOptions, trial_of
from harness.app.workload import Written
from harness.errors import SlotwiseError, UserError
from harness.studio import api, keep_work
from harness.studio.timeline_forms import TimelineAsked

__all__ = ["DesignPlace", "answer", "check_named", "fields"]


class DesignPlace(NamedTuple):
    """Where the workload is, and what was named when the workbench was started."""

    file: Path  # its name in messages; what it names is looked for beside it
    profiles: tuple[str, ...] = ()  # named with --profile, paths too


def answer(name: str, asked: api.StudioQuestion, place: DesignPlace) -> api.StudioAnswer:
    """Answer one question; what is wrong in what was asked is an answer too.

    Args:
        name: of the question, a key of `api.QUESTIONS`.
        asked: its request.
        place: where the workload is.
    """
    form = api.QUESTIONS[name][1]
    try:
        found = _ANSWERS[name](asked, place)
    except UserError as error:
        written = Written(place.file, getattr(asked, "text", ""))
        mistakes = [one._asdict() for one in mistakes_in(error, written)]
        found = {"state": "mistake", "mistakes": mistakes}
    except SlotwiseError as error:
        found = {"state": "failed", "message": str(error)}
    return form.model_validate({"tab": asked.tab, "version": asked.version, **found})


def _look(asked: api.LookAsked, place: DesignPlace) -> dict[str, Any]:
    found = look(Written(place.file, asked.text))
    return {"state": "mistake" if found.mistakes else "ok", **fields(found)}


def _complete(asked: api.CompletionAsked, place: DesignPlace) -> dict[str, Any]:
    return fields(complete(Written(place.file, asked.text), asked.line, asked.column))


def _figures(asked: api.FiguresAsked, place: DesignPlace) -> dict[str, Any]:
    return fields(figures(Written(place.file, asked.text), _design(asked, place, asked.stage)))


def _timeline(asked: TimelineAsked, place: DesignPlace) -> dict[str, Any]:
    options = TrialOptions(candidate=asked.candidate, repeat=asked.repeat, design=_design(asked, place, "final"))
    return fields(trial_of(Written(place.file, asked.text), options))


def _design(asked: api.FiguresAsked | TimelineAsked, place: DesignPlace, stage: Stage) -> DesignOptions:
    for named in asked.machine.profiles:
        check_named(named, place)
    return DesignOptions(
        machine=DesignMachine(**asked.machine.model_dump()),
        turned=Turned(**asked.turned.model_dump()),
        stage=stage,
        extrapolate=asked.extrapolate,
    )


def check_named(named: str, place: DesignPlace) -> None:
    """Raise UserError where a page names a file: it may read the profiles that there are, and no other file."""
    profile = named.rpartition("=")[2]
    if named not in place.profiles and ("/" in profile or profile.endswith((".yaml", ".yml"))):
        raise UserError(f"{profile}: expected the name of a profile; name a file with slotwise studio --profile FILE")


def _machines(asked: api.MachinesAsked, place: DesignPlace) -> dict[str, Any]:
    from harness.app.estimate import device_rows, model_rows

    def row(form: type[api.KnownDevice] | type[api.KnownModel], plain: dict[str, Any]) -> dict[str, Any]:
        return {key: plain[key] for key in form.model_fields}

    profiles = []
    for one in known_profiles(place.file.parent):
        known: dict[str, Any] = {"name": one.name, "kind": one.kind, "mistake": one.mistake}
        if one.profile is not None:
            profile = one.profile
            known |= {"origin": profile.origin, "machine": profile.machine, "engine": profile.engine}
            known |= {"model": profile.model, "slots": sorted(map(int, profile.slots))}
        profiles.append(known)
    return {
        "profiles": profiles,
        "devices": [row(api.KnownDevice, one) for one in device_rows()],
        "models": [row(api.KnownModel, one) for one in model_rows()],
    }


def fields(found: Any) -> dict[str, Any]:
    """Turn a named tuple into a dict, and those in it, all the way down; what they hold else stays."""
    return {name: _plain(item) for name, item in found._asdict().items()}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return fields(value)
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _of_text(answered: Callable[[Any, Written], Any]) -> Callable[[Any, DesignPlace], dict[str, Any]]:
    """Answer from the text alone, and from profiles that the page may name."""

    def found(asked: Any, place: DesignPlace) -> dict[str, Any]:
        for named in asked.machine.profiles if hasattr(asked, "machine") else ():
            check_named(named, place)
        return fields(answered(asked, Written(place.file, getattr(asked, "text", ""))))

    return found


_ANSWERS: dict[str, Callable[[Any, DesignPlace], dict[str, Any]]] = {
    "look": _look,
    "complete": _complete,
    "figures": _figures,
    "timeline": _timeline,
    "machines": _machines,
    **{name: _of_text(getattr(keep_work, name)) for name in keep_work.__all__},
}
