"""Which intervals a model gets: as calibrated, or following each series' own coverage, by how they held."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from tsx.evaluation.metrics import intervals
from tsx.spec.decision import Decision
from tsx.spec.settings import Intervals
from tsx.wording import count, percent, quantile_column

FEWEST_ORIGINS = 3
"""With fewer origins the difference may be that of one stretch of time."""
MISSED = 0.25
"""Share of what may lie outside an interval, by which the coverage must be off: 75 or 85 % for one of 80 %."""
STANDARD_ERRORS = 2.0


def choose_intervals(
    asked: Intervals, frame: pl.DataFrame, ids: Sequence[str], model: str, levels: tuple[float, ...]
) -> Decision:
    """The intervals of a model, from the rows `frame` of its evaluation (`tsx.evaluation.backtest.Backtest`), whose
    series the columns `ids` tell apart.

    Where it was not `asked` for any: adaptive where the coverage of the 80 % interval, or else of the widest one, is
    off by a quarter of what may lie outside, and by two standard errors over the origins; else conformal. Errors that
    were not as calibrated once will not be later.
    """
    if asked != "auto":
        return Decision("intervals", asked, "as asked")
    pairs = intervals(levels)
    if not pairs:
        return Decision("intervals", "conformal", "no central interval is forecast whose coverage could be judged")
    low, high = pairs.get("coverage_80", next(iter(pairs.values())))
    inside = pl.col("y").is_between(quantile_column(low), quantile_column(high))
    origin = pl.col("cutoff").rank("dense", descending=True).over(ids)
    covered = (
        frame.filter((pl.col("model") == model) & pl.col("y").is_not_null())
        .group_by(origin.alias("origin"))
        .agg(inside.mean().alias("share"))
        .sort("origin")["share"]
    )
    if len(covered) < FEWEST_ORIGINS:
        why = f"{count(len(covered), 'origin')} was held out" if len(covered) == 1 else "too few origins were held out"
        return Decision("intervals", "conformal", f"{why}, which cannot show whether errors drift")
    share, nominal = float(covered.mean()), high - low  # type: ignore[arg-type]
    error = float(covered.std()) / len(covered) ** 0.5  # type: ignore[arg-type]
    off = abs(share - nominal)
    adaptive = off > MISSED * (1 - nominal) and off > STANDARD_ERRORS * error
    reason = f"{percent(nominal)} intervals covered {percent(share)} of the held-out rows from {len(covered)} origins"
    if adaptive:
        return Decision("intervals", "adaptive", f"{reason}: they follow how each series is covered from now on")
    return Decision("intervals", "conformal", f"{reason}: close enough to keep them as calibrated")
