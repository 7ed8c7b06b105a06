"""What `slotwise calibrate` prints: a table for each slot setting, and what to know of its numbers."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.profiles.schema import DRIFT_BOUND, Embedding, HeldOut, Profile, SlotSetting, TextTokens
from harness.report.text import plain
from harness.units import count, percent, rate, seconds

__all__ = ["calibration_report"]


def calibration_report(profile: Profile, path: str) -> Group:
    """Return the whole answer."""
    parts: list[RenderableType] = [
        Text(plain(f"{profile.model} on {profile.engine}"), style="bold"),
        Text(plain(profile.machine)),
        *(Text(plain(note), style="yellow" if _drifted(profile) else "") for note in profile.notes),  # to know first
    ]
    for share, family in (("", profile.slots), (" on half of the cores", profile.half or {})):
        for slots, setting in sorted(family.items(), key=lambda item: int(item[0])):
            parts += ["", Text(f"{count(int(slots), 'slot')}{share}", style="bold"), _steps(setting)]
            parts += [Text(line) for line in _lines(setting)]
    if profile.contention:
        how = "half of the cores each" if profile.half else f"sharing {profile.accelerator or 'one machine'}"
        factor = profile.contention["2"]
        parts += [
            "",
            Text(plain(f"Two servers side by side, {how}: every step takes {factor:.2f} times as long.")),
        ]
    if profile.text is not None:
        parts += ["", *(Text(line) for line in _text(profile.text))]
    if profile.load_s is not None:
        parts += ["", Text(f"The model takes {seconds(profile.load_s)} to load where it is not in memory.")]
    if profile.embedding is not None:
        parts += ["", *(Text(plain(line)) for line in _embedding(profile.embedding))]
    parts += ["", Text(f"Held-out error: {_error(profile.held_out)}.")]
    parts += ["", Text(plain(f"Profile {profile.name}: {path}"))]
    return Group(*parts)


def _drifted(profile: Profile) -> bool:
    """Whether the machine changed speed while it was calibrated: then the notes say so."""
    settings = (*profile.slots.values(), *(profile.half or {}).values())
    return any(setting.drift is not None and abs(setting.drift) > DRIFT_BOUND for setting in settings)


def _steps(setting: SlotSetting) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 2))
    for title in ("generating", "a step", "+/-", "all", "each"):
        table.add_column(title, justify="right", no_wrap=True)
    for number in sorted(setting.step_s, key=int):
        step_s = setting.step_s[number]
        error = setting.standard_error.get(f"step_s.{number}")
        spread = "-" if error is None else percent(error)
        table.add_row(number, f"{step_s * 1000:.2f} ms", spread, rate(int(number) / step_s), rate(1 / step_s))
    return table


def _lines(setting: SlotSetting) -> list[str]:
    """One fact a line."""
    lines = []
    if setting.prefill_s_per_token:
        lines.append(f"prompts     {rate(1 / setting.prefill_s_per_token)}, {_extra(setting)}")
    if setting.before_s is not None and setting.after_s is not None:
        lines.append(f"overhead    {seconds(setting.before_s + setting.after_s)} a call, outside the steps")
    if setting.gap_s is not None:
        lines.append(f"bursts      calls sent together come {seconds(setting.gap_s)} apart (median)")
    if setting.context_s_per_token is not None:
        per_1000 = setting.context_s_per_token * 1000
        lines.append(f"context     {seconds(per_1000)} a step for each 1000 tokens of context")
    if setting.noise is not None:
        lines.append(f"noise       {percent(setting.noise)} (standard deviation from one time to the next)")
    lines.append(f"held out    {_error(setting.held_out)}")
    if setting.drift is not None:
        lines.append(f"drift       {setting.drift:+.1%} between beginning and end")
    return lines


def _text(text: TextTokens) -> list[str]:
    error = text.held_out
    return [
        f"Prompts: {text.tokens_per_piece:.2f} tokens a word, digit or punctuation mark; the chat template adds "
        f"{text.template_tokens:.0f}, with a system message {text.system_template_tokens:.0f}, and for each turn "
        f"before {text.of_turn:.0f}.",
        f"Held-out error on prompts: {percent(error.median_error)} (median), "
        f"{percent(error.worst_error)} at worst ({count(error.calls, 'prompt')}).",
    ]


def _embedding(found: Embedding) -> list[str]:
    off = [f"{key} {percent(error)}" for key, error in found.standard_error.items()]
    load = "" if found.load_s is None else f", {seconds(found.load_s)} to load the model"
    where = " on half of the cores" if found.half else ""
    return [
        f"Embedding with {found.model}{where}: {seconds(found.request_s)} a request, {seconds(found.text_s)} a text, "
        f"{seconds(found.token_s)} a token{load}; standard errors: {', '.join(off) or 'not known'}.",
        f"While it embeds and answers, both take {found.stretch:.2f} times as long. Held-out error: "
        f"{_error(found.held_out)}.",
    ]


def _extra(setting: SlotSetting) -> str:
    among = "not known" if setting.mixed_factor is None else f"{setting.mixed_factor:.2f} times"
    return f"{seconds(setting.prompt_step_s)} a prompt step; among others' tokens {among}"


def _error(held_out: HeldOut | None) -> str:
    if held_out is None:
        return "not known, nothing was held out"
    return (
        f"{percent(held_out.median_error)} (median), {percent(held_out.worst_error)} at worst "
        f"({count(held_out.calls, 'call')})"
    )
