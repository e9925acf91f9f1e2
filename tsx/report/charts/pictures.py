"""Charts as pictures, for slides and papers: drawn by the same program as in the page, without a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import vl_convert

from tsx.explanation.result import Explained
from tsx.report.story import story_of

WIDTH = 760
"""Pixels of the plotting area, before scaling."""
SCALE = 2.0
"""Of a PNG, so that it is sharp on paper."""


def _png(spec: dict[str, Any]) -> bytes:
    return vl_convert.vegalite_to_png(spec, scale=SCALE, allowed_base_urls=[])


def _svg(spec: dict[str, Any]) -> bytes:
    return vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]).encode()


PICTURES: dict[str, Callable[[dict[str, Any]], bytes]] = {"png": _png, "svg": _svg}
"""How a chart is drawn, by the kind of report."""


def pictures(explanation: Explained, kinds: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """(file name, picture) of every chart that the report shows, of each of these kinds that is one of `PICTURES`.

    `chart-lags.png`, and `chart-forecast-2.png` of several. Nothing is fetched from anywhere.
    """
    story = story_of(explanation)
    shown = {figure.key for section in story.sections for figure in section.figures}
    for key, panels in story.charts().items():
        for number, chart in enumerate(panels if key in shown else [], 1):
            spec = chart.to_dict(validate=False) | {"width": WIDTH, "background": "white", "padding": 12}
            spec["config"] = {name: value for name, value in spec["config"].items() if name != "background"}
            for kind, draw in PICTURES.items():
                if kind in kinds:
                    yield f"chart-{key}{f'-{number}' if len(panels) > 1 else ''}.{kind}", draw(spec)
