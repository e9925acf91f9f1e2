"""Forecasting from first to last: every series from its newest row, and what is worth knowing about them."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from tsx.config import Finding, Schema
from tsx.data.panel import Panel
from tsx.data.quoted import quoted
from tsx.forecaster import Forecaster


@dataclass(frozen=True, eq=False)
class Forecast:
    """The forecast table (id, time, cutoff, step, yhat, quantiles) and what was noticed while making it."""

    frame: pl.DataFrame
    schema: Schema
    findings: tuple[Finding, ...]
    unseen: pl.Series
    """Ids of the series that training did not meet."""


def forecast_panel(forecaster: Forecaster, panel: Panel) -> Forecast:
    """The forecast of every series that can be forecast. Raises as `Forecaster.forecast` does."""
    frame = forecaster.forecast(panel)
    findings = panel.findings
    left = len(panel) - frame[panel.schema.id_name].n_unique()
    if left:
        lack = "an observed target in the context" + (" or known-future covariates" if panel.schema.future else "")
        lacks, are = ("lacks", "is") if left == 1 else ("lack", "are")
        message = f"{left:,} of {len(panel):,} series {lacks} {lack} and {are} left out"
        findings = (*findings, Finding("series-left-out", message))
    short = panel.lengths < forecaster.config.context_length
    if short.any():
        message = (
            f"{int(short.sum()):,} of {len(panel):,} series {'is' if short.sum() == 1 else 'are'} shorter than the "
            f"{forecaster.config.context_length} steps that the network reads (the shortest has "
            f"{int(panel.lengths.min())}); expect less of their forecasts than the intervals say"
        )
        findings = (*findings, Finding("series-below-context", message, values=quoted(panel.ids.filter(short))))
    strangers = panel.ids.filter(pl.Series(forecaster.unseen_series(panel)))
    if len(strangers):
        are = "is" if len(strangers) == 1 else "are"
        message = f"{len(strangers):,} of {len(panel):,} series {are} new to the model, which did not learn from them"
        findings = (*findings, Finding("unseen-series", message, values=quoted(strangers)))
    findings = (*findings, *_behind(frame), *_unseen(forecaster, panel))
    return Forecast(frame, panel.schema, findings, strangers)


def _behind(frame: pl.DataFrame) -> list[Finding]:
    """Series whose newest row is older than that of others: their forecasts start in the past."""
    cutoffs = frame.filter(pl.col("step") == 1)["cutoff"]
    behind = int((cutoffs < cutoffs.max()).sum())
    if not behind:
        return []
    message = f"{behind:,} of {len(cutoffs):,} series end before the newest row; their forecasts start earlier"
    return [Finding("series-behind", message)]


def _unseen(forecaster: Forecaster, panel: Panel) -> list[Finding]:
    return [
        Finding("unseen-category", f"{count:,} of {len(panel):,} series have a category of `{name}` that training did "
                "not meet; it is taken as unknown", name)
        for name, count in forecaster.unseen(panel).items()
    ]  # fmt: skip
