"""Charts as pictures, for slides and papers: drawn by the same program as in the page, without a browser."""

from __future__ import annotations

from collections.abc import Iterator

import vl_convert

from tsx.explanation.result import Explanation
from tsx.report.charts import charts
from tsx.report.sections import sections

WIDTH = 760
"""Pixels of the plotting area, before scaling."""
SCALE = 2.0


def pictures(explanation: Explanation) -> Iterator[tuple[str, bytes]]:
    """(file name, PNG) of every chart that the report shows: `chart-lags.png`, and `chart-forecast-2.png` of several.

    Nothing is fetched from anywhere.
    """
    shown = {figure.key for section in sections(explanation) for figure in section.figures}
    for key, panels in charts(explanation).items():
        for number, chart in enumerate(panels if key in shown else [], 1):
            spec = chart.to_dict(validate=False) | {"width": WIDTH, "background": "white", "padding": 12}
            spec["config"] = {name: value for name, value in spec["config"].items() if name != "background"}
            name = f"chart-{key}{f'-{number}' if len(panels) > 1 else ''}.png"
            yield name, vl_convert.vegalite_to_png(spec, scale=SCALE, allowed_base_urls=[])
