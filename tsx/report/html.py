"""The report as one HTML file that works offline: charts, their program and every table inside it.

The page may run exactly two scripts, whose SHA-256 stand in its content security policy, and may load nothing. Vega's
expressions run in its interpreter (`ast`), so that the policy need not allow `eval`. User text reaches the page through
jinja's autoescape, or inside JSON whose `<`, `>` and `&` are escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from tsx.explanation.result import Explained
from tsx.report.charts.axes import theme
from tsx.report.document import Heading, Section, ShareCell, VerdictCell, widest
from tsx.report.sections import VIEWS, is_folded, view_of
from tsx.report.story import story_of
from tsx.runtime.drawing import drawing_program
from tsx.sanitize import clean
from tsx.wording import percent

_TIE = re.compile(r"(?<=\d) (?=%|(?:d|h|min|s)\b)|(?<=\bp) (?=[<=] )|(?<=\bp [<=]) (?=[.\d])")
_JSON_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def html_report(explanation: Explained) -> str:
    """The whole page; the same explanation gives the same text."""
    story = story_of(explanation)
    return html_page(story.heading, story.sections, story.charts(), Lookup(story.picks(), story.download()))


@dataclass(frozen=True)
class Lookup:
    """What a reader can ask for beside what is drawn: by the key of a figure the charts of any series by its name, and
    the forecasts as CSV."""

    picks: Mapping[str, Mapping[str, list[Any]]] = field(default_factory=dict)
    csv: str = ""


def html_page(
    heading: Heading, content: Sequence[Section], drawn: Mapping[str, list[Any]], lookup: Lookup | None = None
) -> str:
    """A page of these sections, with the charts of their figures by key."""
    lookup = lookup or Lookup()
    shown = {figure.key for section in content for figure in section.figures}
    by_key = {key: panels for key, panels in drawn.items() if key in shown}
    specs = {f"{key}-{k}": _spec(chart) for key, panels in by_key.items() for k, chart in enumerate(panels)}
    picks = {
        key: {name: [_spec(chart) for chart in panels] for name, panels in of.items()}
        for key, of in lookup.picks.items()
        if of and key in shown
    }
    library, start = _script(drawing_program()), _script(_resource("report.js"))
    return page(
        "report.html.jinja",
        policy=_policy(library, start),
        style=style("report.css"),
        library=library,
        start=start,
        specs=inline_json(specs),
        more=inline_json({"config": theme(), "picks": picks, "csv": lookup.csv}),
        picks=picks,
        csv=lookup.csv,
        views=[view.capitalize() for view in VIEWS if view in map(view_of, content)],
        view_of=view_of,
        is_folded=is_folded,
        heading=heading,
        sections=content,
        figures={key: [f"{key}-{k}" for k in range(len(panels))] for key, panels in by_key.items()},
    )


def _spec(chart: Any) -> dict[str, Any]:
    """A chart without the look that all charts share, which the page has once."""
    spec: dict[str, Any] = chart.to_dict(validate=False)
    del spec["config"]
    return spec


def page(template: str, **values: Any) -> str:
    """A template of this package with its values; every text is escaped and cleaned."""
    return _environment().get_template(template).render(values)


def style(name: str) -> Markup:
    """A style sheet of this package."""
    return Markup(_resource(name))


def inline_json(value: Any) -> Markup:
    """JSON that can stand inside a script element: nothing in it can close the element or open a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
    return Markup("".join(_JSON_ESCAPES.get(c, c) for c in text))


def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_resource),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.tests |= {
        "share": lambda cell: isinstance(cell, ShareCell),
        "pill": lambda cell: isinstance(cell, VerdictCell),
    }
    environment.globals["widest"] = widest
    environment.filters |= {"percent": percent, "tied": tied}
    return environment


def tied(text: str) -> str:
    """A sentence whose figures stay on one line with their percent sign or unit of time, and a p with its figure."""
    return _TIE.sub("\N{NO-BREAK SPACE}", text)


def _shown(value: Any) -> Any:
    """Every string that the template prints is cleaned first; Markup is this package's own."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _script(source: str) -> Markup:
    """A program that cannot end its script element, with the line ends that a browser hashes."""
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    return Markup(source.replace("</script", "<\\/script").replace("<!--", "<\\!--"))


def _policy(*scripts: str) -> str:
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def _resource(name: str) -> str:
    return files("tsx.report").joinpath(name).read_text(encoding="utf-8")
