"""What all HTML pages share: one file that needs nothing else, no network, no library, and shows others' text as text.

Three things keep what others wrote from acting: Jinja escapes every expression (`plain` takes control characters out
first), data for the script is JSON in which no `<` is left, put in place with `textContent`, and the page's own
Content-Security-Policy allows one script, named by its hash, and nothing from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from harness.report.drawing import Drawing
from harness.report.text import plain
from harness.units import UNIT, percent, seconds
from harness.wording.figures import fact_text

__all__ = ["page", "script_data"]

# What a chart's colours become on a dark page; its specification is for a white one.
_DARK = {
    "#0072B2": "#4BA3DB",
    "#D55E00": "#F0803A",
    "#009E73": "#2FBF95",
    "#CC79A7": "#D993B9",
    "#E69F00": "#E69F00",
    "#56B4E9": "#8CCBF2",
    "#F0E442": "#E3D94F",
    "#8C564B": "#B98378",
    "#882255": "#C9669B",
    "#999999": "#8A8F94",
    "#BBBBBB": "#6E747A",
    "#000000": "#E4E7EA",
    "#000": "#E4E7EA",
    "black": "#E4E7EA",
    "#555555": "#A3ABB3",
    "#888888": "#7B838B",
    "#888": "#7B838B",
    "#E6E6E6": "#2E343A",
    "#ddd": "#2E343A",
    "white": "#15181B",
}
_FILTERS = {
    "seconds": lambda value: "–" if value is None else seconds(value),
    "percent": percent,
    "number": lambda value: "–" if value is None or value != value else f"{value:.1f}",
    "signed": lambda value: f"{value * 100:+.1f} %".replace("-", "−"),
    "exact": lambda value: f"{round(value, 3) + 0.0:.3f}",
    "fact": lambda pair: fact_text(*pair),
    "day": lambda text: _day(text),
}


def _day(text: str) -> str:
    """Write an RFC 3339 time for people: `27 November 2026, 04:28`; itself where it is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{at.day} {at:%B %Y, %H:%M}"


def page(template: str, charts: Mapping[str, Drawing], filters: Mapping[str, Any], **values: Any) -> str:
    """Render one of this folder's templates, which extend `page.html.j2`. `charts` are drawings by name."""
    environment = Environment(
        loader=FunctionLoader(_own),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {**_FILTERS, "verbatim": _verbatim, **filters}
    script = _own("report.js")
    return environment.get_template(template).render(
        charts={
            name: [Markup(_inline(name, drawing.wide)), Markup(_inline(f"{name}-narrow", drawing.narrow))]  # noqa: S704
            for name, drawing in charts.items()  # Vega's, escaped
        },
        script=Markup(script),  # noqa: S704  our own files
        style=Markup(_own("report.css") + _chart_colours()),  # noqa: S704
        policy=_policy(script),
        **values,
    )


def script_data(value: Any) -> Markup:
    """Write data for a `<script type="application/json">`: nothing in it can end the element or begin a comment."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704  just made harmless


def _own(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _finalize(value: Any) -> Any:
    return value if isinstance(value, Markup) else UNIT.sub("\u00a0", plain(str(value)))


def _verbatim(text: str) -> Markup:
    """Escape what is to be copied: its spaces stay spaces."""
    return escape(plain(text))


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"script-src 'sha256-{digest}'; style-src 'unsafe-inline'"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


def _inline(name: str, svg: str) -> str:
    """Make an SVG part of a page: its ids are its own, and its colours are the page's to change."""
    svg = re.sub(r'\bid="([^"]*)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]*)\)", rf"url(#{name}-\1)", svg)
    return re.sub(r"^<\?xml[^>]*\?>|<!DOCTYPE[^>]*>", "", svg)


def _chart_colours() -> str:
    rules = []
    for light, dark in _DARK.items():
        colour = f"light-dark({light},{dark})"
        rules.append(f'.chart [fill="{light}" i]{{fill:{colour}}}.chart [stroke="{light}" i]{{stroke:{colour}}}')
    return "\n".join(rules)
