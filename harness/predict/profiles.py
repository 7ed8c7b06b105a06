"""The profiles that a prediction is made on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.core.records import CallRecord, Origin
from harness.errors import UserError
from harness.profiles.schema import Profile, TextTokens
from harness.workload.schema import ServerSpec, same_model

__all__ = ["Profiles"]


class Profiles(NamedTuple):
    """The profiles that a prediction is made on: one for everything, or one for each model, or for each machine."""

    first: Profile
    by_model: Mapping[str, Profile] = {}
    by_machine: Mapping[str, Profiles] = {}  # of machines that have their own; those above are for all the rest

    def on(self, machine: str | None) -> Profiles:
        """Return the profiles of the servers on a machine; None = the one that has no name."""
        return self if machine is None else self.by_machine.get(machine, self)

    def of(self, model: str) -> Profile:
        """Return the profile of a model; UserError where there is none."""
        if not self.by_model:
            return self.first
        for name, profile in self.by_model.items():
            if same_model(name, model):
                return profile
        raise UserError(f'no profile is given for model "{model}"; add --profile {model}=NAME')

    def calls_on(
        self, profile: Profile, calls: Sequence[CallRecord], servers: Mapping[str, ServerSpec]
    ) -> Sequence[CallRecord]:
        """Return the calls that are predicted on this one of them; a call that names no model is of its server's."""
        if not self.by_model and not self.by_machine:
            return calls
        found = []
        for call in calls:
            spec = servers.get(call.server)
            if spec is None or call.embeds:
                continue
            if self.on(spec.machine).of(call.model or spec.model).name == profile.name:
                found.append(call)
        return found

    @property
    def name(self) -> str:
        """All their names: what a score of a prediction on several is remembered under."""
        return " + ".join(profile.name for profile in self.all)

    @property
    def all(self) -> tuple[Profile, ...]:
        """Each of them once."""
        elsewhere = [profile for profiles in self.by_machine.values() for profile in profiles.all]
        return tuple({one.name: one for one in (self.first, *self.by_model.values(), *elsewhere)}.values())

    @property
    def origin(self) -> Origin:
        """Where a prediction's numbers come from: `estimated` where one of the profiles is."""
        return "estimated" if any(one.origin == "estimated" for one in self.all) else "predicted"

    @property
    def embedded_text(self) -> TextTokens | None:
        """The tokens of texts that are embedded, as the first of them knows them that knows what embedding costs."""
        return next((one.embedding.text for one in self.all if one.embedding is not None), None)

    def changed(self, new: Mapping[str, Profile]) -> Profiles:
        """Return the same with other profiles in their places, by name."""
        return Profiles(
            new[self.first.name],
            {model: new[profile.name] for model, profile in self.by_model.items()},
            {machine: profiles.changed(new) for machine, profiles in self.by_machine.items()},
        )

    def machines_of(self, profile: Profile) -> tuple[str, ...]:
        """Return the named machines that have this one."""
        return tuple(
            machine
            for machine, profiles in self.by_machine.items()
            if profile.name in {one.name for one in profiles.all}
        )
