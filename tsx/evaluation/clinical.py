"""Clinical error grids of glucose: what a forecast would lead to, in zones A (harmless) to E (dangerous).

Clarke et al. (1987), *Evaluating clinical accuracy of systems for self-monitoring of blood glucose*. Parkes et al.
(2000), the consensus grid of type 1 diabetes, by the corners in Pfützner et al. (2013), *Technical aspects of the
Parkes error grid*, table 1. Both were drawn for meters: y is the reference, yhat the reading.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import polars as pl

from tsx.spec.settings import Unit

MG_PER_MMOL = 18.0156
"""Glucose in mg/dL of 1 mmol/L: a tenth of its molar mass, 180.156 g/mol."""
PLAUSIBLE = {"mg/dl": (20.0, 800.0), "mmol/l": (1.0, 45.0)}
ZONES = "ABCDE"
GRIDS = ("clarke", "parkes")

_ABOVE = (
    ("B", ((0, 50), (30, 50), (140, 170), (280, 380), (430, 550))),
    ("C", ((0, 60), (30, 60), (50, 80), (70, 110), (260, 550))),
    ("D", ((0, 100), (25, 100), (50, 125), (80, 215), (125, 550))),
    ("E", ((0, 150), (35, 155), (50, 550))),
)
_BELOW = (
    ("B", ((50, 0), (50, 30), (170, 145), (385, 300), (550, 450))),
    ("C", ((120, 0), (120, 30), (260, 130), (550, 250))),
    ("D", ((250, 0), (250, 40), (550, 150))),
)
"""The lines of the Parkes grid in mg/dL, the last piece of each going on: what lies over one of the first, or under one
of the second, is in its zone."""


def clinical_zones(frame: pl.DataFrame, unit: Unit) -> list[dict[str, Any]]:
    """Per model and grid: `model`, `grid`, the shares of the zones `A` to `E`, `n` rows with both y and yhat.

    `frame`: a backtest frame. Shares are null where nothing was scored.
    """
    factor = MG_PER_MMOL if unit == "mmol/l" else 1.0
    scored = frame.with_columns(pl.col("y") * factor, pl.col("yhat") * factor).filter(
        pl.col("y").is_finite() & pl.col("yhat").is_finite()
    )
    models = frame.select(pl.col("model").unique(maintain_order=True))
    result = []
    for grid, zone in zip(GRIDS, (clarke(), parkes()), strict=True):
        shares = [(zone == letter).mean().alias(letter) for letter in ZONES]
        zones = scored.group_by("model").agg(pl.lit(grid).alias("grid"), *shares, pl.len().cast(pl.Int64).alias("n"))
        table = models.join(zones, on="model", how="left", maintain_order="left")
        result += table.with_columns(pl.lit(grid).alias("grid"), pl.col("n").fill_null(0)).to_dicts()
    return result


def doubtful_unit(frame: pl.DataFrame, unit: Unit) -> bool:
    """Whether most values of y are no glucose in this unit."""
    low, high = PLAUSIBLE[unit]
    inside = frame.select(pl.col("y").drop_nulls().is_between(low, high).mean()).item()
    return inside is not None and inside < 0.5


def clarke() -> pl.Expr:
    """The zone in Clarke's grid of `y` and `yhat` in mg/dL."""
    y, x = pl.col("y"), pl.col("yhat")
    a = ((y <= 70) & (x <= 70)) | ((x - y).abs() <= 0.2 * y)
    e = ((y >= 180) & (x <= 70)) | ((y <= 70) & (x >= 180))
    c = (y.is_between(70, 290) & (x >= y + 110)) | (y.is_between(130, 180) & (x <= 7 / 5 * y - 182))
    d = ((y >= 240) & x.is_between(70, 180)) | (
        (y <= 70) & (x <= 180) & pl.when(y <= 175 / 3).then(x >= 70).otherwise(x >= 6 / 5 * y)
    )
    chain = pl.when(a).then(pl.lit("A")).when(e).then(pl.lit("E")).when(c).then(pl.lit("C"))
    return chain.when(d).then(pl.lit("D")).otherwise(pl.lit("B"))


def parkes() -> pl.Expr:
    """The zone in the Parkes grid (type 1) of `y` and `yhat` in mg/dL; a point on a line is in the milder zone."""
    y, x = pl.col("y"), pl.col("yhat")
    zone = pl.lit("A")
    for (letter, above), below in zip(_ABOVE, [*_BELOW, None], strict=True):
        worse = x > _line(y, above)
        if below is not None:
            worse = worse | ((y > below[1][0][0]) & (x < _line(y, below[1])))
        zone = pl.when(worse).then(pl.lit(letter)).otherwise(zone)
    return zone


def _line(y: pl.Expr, corners: tuple[tuple[int, int], ...]) -> pl.Expr:
    """The height of a line over y; a vertical piece counts for what lies to its right."""
    pieces = [piece for piece in pairwise(corners) if piece[0][0] < piece[1][0]]
    height = pl.lit(0.0)
    for (left, low), (right, high) in pieces:
        height = pl.when(y >= left).then(low + (y - left) * ((high - low) / (right - left))).otherwise(height)
    return height
