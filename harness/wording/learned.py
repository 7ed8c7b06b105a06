"""What was learned from one workload, in a line: the facts that decide its question, in words."""

from __future__ import annotations

from harness.analysis.deciding import Pays, QueueGrowth, pays_of, sequels_of_chosen
from harness.analysis.model import Analysis
from harness.analysis.statistics import Comparison, Estimate
from harness.wording.figures import listed, quoted
from harness.wording.gains import gains_text
from harness.wording.ratios import Subject, between, interval_of, than

__all__ = ["gain_text", "growth_text", "learned", "rates_text"]

_FACTOR = 2.0  # beyond it a factor is easier to grasp than a percentage


def learned(analysis: Analysis, growth: QueueGrowth | None = None) -> str:
    """Say in a line what was learned.

    Where the rate climbs that is where the queue begins to grow; of concurrency levels, what slots gain at each; of
    other pipelines one after the other, how the later ones stand to the first; else on every path what the fastest
    other candidate takes against the simplest.
    """
    if growth is not None:
        return growth_text(growth)
    if analysis.gains is not None:
        return gains_text(analysis.gains)
    if later := sequels_of_chosen(analysis):
        return f'Under "{later[0].candidate}", {"; ".join(_later_text(one.comparison) for one in later)}.'
    text = "; ".join(map(_pays_text, pays_of(analysis)))
    return f"{text[0].upper()}{text[1:]}." if text else "There is nothing to compare."


def gain_text(one: Pays) -> str:
    """Say in a few characters what the fastest other candidate changes: `window -38 %`, `four +12 %`, `four 3.1x`."""
    ratio = one.best.ratio
    if one.best.relation == "equivalent":
        return f"{one.best.candidate} equal within 5 %"
    change = f"{ratio:.1f}x" if ratio >= _FACTOR else f"{(ratio - 1) * 100:+.0f} %".replace("-", "−")
    unsure = " (not settled)" if one.best.relation == "unresolved" else ""
    return f"{one.best.candidate} {change}{unsure}"


def rates_text(growth: QueueGrowth) -> str:
    """Say in a few characters at which rate the queue begins to grow under each candidate."""
    parts = [f"{name} {rate.value:.1f}/s" for name, rate in growth.rates]
    more = f"none up to {growth.most_per_s:.1f}/s"
    return f"queue grows from: {', '.join([*parts, *(f'{name} {more}' for name in growth.none)])}"


def growth_text(growth: QueueGrowth) -> str:
    """Say at which rate the queue begins to grow under each candidate, and how much further the best carries."""
    parts = [f'"{name}" at {_rate(rate)}' for name, rate in growth.rates]
    upto = f"up to {growth.most_per_s:.1f} jobs a second"
    none = [f"under {quoted(growth.none)} no queue stays {upto}"] if growth.none else []
    begins = [f"the queue begins to grow under {listed(parts)}"] if parts else []
    text = "; ".join([*begins, *none])
    return f"{text[0].upper()}{text[1:]}.{_further(growth.against)}"


def _further(found: Comparison | None) -> str:
    if found is None:
        return ""
    ends = interval_of(found)
    inside = "" if ends is None else f" ({(ends[0] - 1) * 100:+.0f} to {(ends[1] - 1) * 100:+.0f} %)".replace("-", "−")
    if found.relation == "equivalent":
        return f' "{found.candidate}" carries as far as "{found.against}", within 5 %.'
    if found.relation == "unresolved" and found.n > 1:
        return f' Whether "{found.candidate}" carries further than "{found.against}" is not settled{inside}.'
    way = "further" if found.ratio >= 1 else "less far"
    change = f"{abs(found.ratio - 1) * 100:.0f} %"
    return f' "{found.candidate}" carries {change} {way} than "{found.against}"{inside}.'


def _rate(rate: Estimate) -> str:
    ends = "" if rate.interval is None else f" ({rate.interval[0]:.1f} to {rate.interval[1]:.1f})"
    return f"{rate.value:.1f} jobs a second{ends}"


def _later_text(found: Comparison) -> str:
    """Say how a later pipeline stands to the first."""
    name, first = found.candidate, found.against
    if found.relation == "equivalent":
        return f"{name} takes as long as {first}, within 5 %"
    if found.relation == "unresolved" and found.n > 1:
        return f"{name} shows no measurable difference from {first}{between(found)}"
    words = "" if found.ratio >= _FACTOR else "than "
    how = f"{found.ratio:.1f}x as long as" if found.ratio >= _FACTOR else _percent(found.ratio)
    return f"{name} takes {how} {words}{first}{between(found)}"


def _percent(ratio: float) -> str:
    return f"{abs(ratio - 1) * 100:.0f} % {'longer' if ratio > 1 else 'less time'}"


def _pays_text(one: Pays) -> str:
    """Say how the fastest other candidate stands to the simplest on a path."""
    found = one.best
    what = f"{listed(one.pipelines)} {'replies' if one.path == 'interactive' else 'jobs'}"
    subject = Subject(f'with "{found.candidate}" {what}', plural=True)
    if found.relation == "equivalent":
        return f'{subject.text} take as long as with "{found.against}", within 5 %'
    if found.relation == "unresolved" and found.n > 1:
        return f'{subject.against(found)} from "{found.against}"{between(found)}'
    return f'{subject.takes(found.ratio)} {than(found.ratio)} "{found.against}"{between(found)}'
