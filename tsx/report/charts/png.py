"""Charts as pictures, for slides and papers: drawn by the same program as in the page, without a browser."""

from __future__ import annotations

from collections.abc import Iterator

import vl_convert

from tsx.explanation.result import Explained
from tsx.report.story import story_of

WIDTH = 760
"""Pixels of the plotting area, before scaling."""
SCALE = 2.0


def pictures(explanation: Explained) -> Iterator[tuple[str, bytes]]:
    """(file name, PNG) of every chart that the report shows: `chart-lags.png`, and `chart-forecast-2.png` of several.

    Nothing is fetched from anywhere.
    """
    story = story_of(explanation)
    shown = {figure.key for section in story.sections for figure in section.figures}
    for key, panels in story.charts().items():
        for number, chart in enumerate(panels if key in shown else [], 1):
            spec = chart.to_dict(validate=False) | {"width": WIDTH, "background": "white", "padding": 12}
            spec["config"] = {name: value for name, value in spec["config"].items() if name != "background"}
            name = f"chart-{key}{f'-{number}' if len(panels) > 1 else ''}.png"
            yield name, vl_convert.vegalite_to_png(spec, scale=SCALE, allowed_base_urls=[])
