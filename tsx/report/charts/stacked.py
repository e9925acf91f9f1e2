"""Charts one below the other as one chart, for a notebook: of a fixed width, on white whatever the theme."""

from __future__ import annotations

from typing import Any

import altair as alt

from tsx.report.charts.axes import theme

WIDTH = 640
"""Pixels of the plotting area."""


def stacked(panels: list[alt.LayerChart]) -> alt.TopLevelMixin:
    """All `panels` as one chart."""
    plain = []
    for panel in panels:
        one: Any = panel.copy()
        one.config = alt.Undefined  # only the whole may carry it
        plain.append(one.properties(width=WIDTH))
    whole: Any = plain[0] if len(plain) == 1 else alt.vconcat(*plain).resolve_scale(x="independent", y="independent")
    themed: alt.TopLevelMixin = whole.configure(**{**theme(), "background": "white", "padding": 12})
    return themed
