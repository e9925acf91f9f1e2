"""Monitoring: forecasts of earlier nights, scored now that the actual values have come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tsx.baselines.forecasts import BaselineSettings, forecast_baselines
from tsx.errors import DataError
from tsx.evaluation.control import FEWEST, LIMIT, Cusum, cusum
from tsx.evaluation.metrics import SCALE, seasonal_naive_scale, summarise
from tsx.evaluation.scoring import score
from tsx.evaluation.verdict import FOLD, SERIES, diebold_mariano, in_passing, surely_worse
from tsx.io.source import Source
from tsx.model.forecaster import Forecaster
from tsx.panel.calendar import to_moments
from tsx.panel.lookup import targets_after
from tsx.panel.panel import Panel
from tsx.panel.sampling import evenly_spaced
from tsx.profile.input_drift import ColumnDrift, input_drift
from tsx.progress import Progress, task
from tsx.shown import Shown
from tsx.spec.decision import Decision, Finding
from tsx.spec.settings import Evaluation
from tsx.spec.verbs import Request
from tsx.spec.verdict import Verdict
from tsx.store.ledger import Recorded, read
from tsx.store.manifest import Metrics
from tsx.wording import count, number, percent, quantile_column
from tsx.workflows.open_model import FittedModel, open_model, under_pseudonyms
from tsx.workflows.reasons import ReasonsDrift, reasons_drift
from tsx.workflows.recording import newest_runs, recorded_rows

FORECAST = "forecast"
"""What the recorded forecasts are called beside the baselines."""
MOST_WINDOWS = 20_000
"""Forecasts (of a series from a cutoff) that are scored at most; above it, those of evenly spaced series."""
SIGNIFICANT = 0.05
OFF = 0.05
"""Coverage this far from the one asked for is off."""
WANTED = 0.8


@dataclass(frozen=True, eq=False)
class Monitoring(Shown):
    """How the forecasts of a ledger did.

    nights    a row each, the oldest first: `cutoff`, `version` of the model, `series`, `n` values scored, `mase` and
              `bias` of the forecast, `mase_simple` of the best simple forecast over all nights, `coverage_80`, `error`
              (the mean error one step ahead, in scales of MASE), `cusum_up` and `cusum_down` of these errors, in
              standard deviations
    summary   one dict per model, as of a backtest; the recorded forecasts are the model `forecast`
    verdict   the forecasts against the best simple one. Both are of the nights of the last model, or of all where a
              model is fitted more often than every ten nights
    drift     of the inputs since the fit; `reasons` that of what forecasts are made from, None where it was not asked
              for, or nothing is newer than the fit
    advice    `keep`, `recalibrate`, `update` or `refit`, and why
    fitted    the metrics of the model when it was fitted

    Examples:
        >>> tsx.forecast(ledger="tsx-ledger")
        >>> nights = tsx.monitor("today.parquet", ledger="tsx-ledger")
        >>> nights.advice.value
    """

    nights: pl.DataFrame
    summary: list[dict[str, Any]]
    verdict: Verdict
    advice: Decision
    findings: tuple[Finding, ...]
    drift: tuple[ColumnDrift, ...]
    reasons: ReasonsDrift | None
    fitted: Metrics
    newest: Any
    target: str
    notes: tuple[str, ...] = ()

    def as_frame(self) -> pl.DataFrame:
        """`nights`: a row each, the oldest first.

        >>> nights.as_frame().columns[:3]
        ['cutoff', 'version', 'series']
        """
        return self.nights

    def __repr__(self) -> str:
        return f"Monitoring(nights={self.nights.height}, advice={self.advice.value!r}, findings={len(self.findings)})"

    def gate(self, max_drift: float) -> None:
        """Raises QualityGate `explanation-drifted` where the reasons of forecasts have moved by more since the fit.

        >>> nights.gate(max_drift=0.2)
        """
        if self.reasons is not None:
            self.reasons.gate(max_drift)

    @property
    def own(self) -> dict[str, Any]:
        """The metrics of the recorded forecasts."""
        return self.summary[0]


def monitor(data: Source | None, request: Request, progress: Progress, fitted: FittedModel | None = None) -> Monitoring:
    """Score the forecasts of a ledger on a table, as `tsx.monitor` says; `fitted`: the model, where it was opened
    before. Raises as `tsx.monitor` does."""
    recorded = read(request["ledger"])
    forecaster, panel, manifest, _ = open_model(data, request, progress, device="cpu", fitted=fitted)
    if request["pseudonym_key"] is not None:
        panel, _ = under_pseudonyms(forecaster, panel, request)
    with task(progress, "scoring"):
        issued, levels = _issued(recorded, panel, request["nights"])
        frame, stride = _scored(issued, levels, panel, forecaster)
    horizon = int(frame["step"].max())  # type: ignore[arg-type]
    judged = _of_the_last_model(frame)
    scores = score(judged, FORECAST, levels, (horizon, stride), Evaluation(), panel.schema.derived)
    nights, errors = _nights(frame, levels, scores.verdict.against)
    restarts = (nights["version"] != nights["version"].shift(1)).fill_null(False).to_numpy()
    renewed = judged.height < frame.height
    chart = cusum(errors, restarts if renewed else None)
    nights = nights.with_columns(cusum_up=chart.up, cusum_down=chart.down)
    lag = -(-horizon // stride) - 1
    some = nights.tail(judged[FOLD].n_unique())
    findings = (*panel.findings, *_findings(some, chart, nights, scores.verdict, lag))
    moved = tuple(input_drift(manifest.data.facts, panel))
    with task(progress, "comparing reasons"):
        reasons = reasons_drift(forecaster, panel, manifest.data.newest, request["reasons"], progress)
    every = np.arange(len(panel))
    return Monitoring(
        nights=nights,
        summary=scores.summary,
        verdict=scores.verdict,
        advice=_advice(some, findings, scores.verdict),
        findings=findings,
        drift=moved,
        reasons=reasons,
        fitted=manifest.metrics,
        newest=panel.times(every, panel.lengths - 1).max(),
        target=panel.schema.target,
        notes=tuple(scores.notes),
    )


def _issued(recorded: tuple[Recorded, ...], panel: Panel, nights: int) -> tuple[pl.DataFrame, tuple[float, ...]]:
    """SERIES, position (of the cutoff), step, yhat and quantiles of the newest nights, and their levels.

    Of several forecasts of the same step the one recorded last counts. Raises DataError `ledger-differs`.
    """
    chosen = newest_runs(recorded, panel, nights, panel.schema.target)
    levels = tuple(sorted(set.intersection(*(set(one.entry.quantile_levels) for one in chosen))))
    issued = recorded_rows(chosen, panel, ["cutoff", "step", "yhat", *map(quantile_column, levels)])
    series = issued[SERIES].to_numpy().astype(np.int64)
    starts = panel.starts.gather(series)
    position, exact = panel.calendar.steps(starts, issued["cutoff"].cast(starts.dtype))
    issued = issued.with_columns(pl.Series(SERIES, series), position=position).filter(pl.Series(exact))
    issued = issued.sort("number").unique([SERIES, "position", "step"], keep="last", maintain_order=True)
    return issued.sort("position", SERIES, "step"), levels


def _scored(
    issued: pl.DataFrame, levels: tuple[float, ...], panel: Panel, forecaster: Forecaster
) -> tuple[pl.DataFrame, int]:
    """The rows that `score` takes, of the recorded forecasts and of simple ones from the same cutoffs; and the steps
    between two nights. Raises DataError `nothing-to-score`."""
    windows = issued.select(SERIES, "position").unique(maintain_order=True)
    series, cutoffs = (windows[name].to_numpy() for name in (SERIES, "position"))
    horizon = int(issued["step"].max() or 1)  # type: ignore[arg-type]
    came = (cutoffs >= 0) & (cutoffs < panel.lengths[series] - 1)
    if came.sum() > MOST_WINDOWS:
        some = np.unique(series[came])
        some = some[evenly_spaced(len(some), max(1, MOST_WINDOWS * len(some) // int(came.sum())))]
        came &= np.isin(series, some)
    series, cutoffs = series[came], cutoffs[came]
    y = targets_after(panel, series, cutoffs, horizon)
    if not np.isfinite(y).any():
        raise DataError(
            "nothing-to-score",
            f"none of {count(windows.height, 'recorded forecast')} has an actual value in this table yet",
            hint="bring a table with newer rows",
            where="ledger",
        )
    config = forecaster.config
    ends = panel.lengths.copy()
    np.minimum.at(ends, series, cutoffs + 1)
    simple = BaselineSettings(horizon, config.context_length, config.season, levels, config.delay)
    made = forecast_baselines(panel, ends, series, cutoffs, simple)
    moments = np.asarray(to_moments(panel.times(series, cutoffs), local=False))
    _, fold = np.unique(-moments, return_inverse=True)
    base = pl.DataFrame(
        {
            SERIES: np.repeat(series, horizon),
            "position": np.repeat(cutoffs, horizon),
            "cutoff": panel.times(series, cutoffs).gather(np.repeat(np.arange(len(series)), horizon)),
            "step": np.tile(np.arange(1, horizon + 1), len(series)),
            "y": pl.Series(y.ravel()).fill_nan(None),
            FOLD: np.repeat(fold, horizon).astype(np.int64),
            SCALE: pl.Series(np.repeat(seasonal_naive_scale(panel, series, cutoffs, config.season), horizon)).fill_nan(
                None
            ),
        }
    )
    columns = ["yhat", *map(quantile_column, levels)]
    step = pl.col("step").cast(pl.Int64)
    own = base.join(
        issued.select(SERIES, "position", step, *columns, "version"), on=[SERIES, "position", "step"], how="left"
    )
    frames = [own.with_columns(model=pl.lit(FORECAST))]
    for name, quantiles in made.items():
        flat = quantiles.reshape(base.height, len(levels))
        point = flat[:, levels.index(0.5)]
        values = {"yhat": point} | {quantile_column(q): flat[:, k] for k, q in enumerate(levels)}
        added = (pl.Series(key, column).fill_nan(None) for key, column in values.items())
        frames.append(own.select(*base.columns, "version").with_columns(*added, model=pl.lit(name)))
    # A baseline is compared where there is a recorded forecast.
    missing = own["yhat"].is_null()
    whole = [part.with_columns(y=pl.when(missing).then(None).otherwise(pl.col("y"))) for part in frames]
    gaps = np.diff(np.unique(cutoffs[series == np.bincount(series).argmax()]))
    return pl.concat([part.select(frames[0].columns) for part in whole]), int(np.median(gaps)) if len(gaps) else horizon


def _of_the_last_model(frame: pl.DataFrame) -> pl.DataFrame:
    """The nights of the model that made the newest forecast; all of them where a new one comes before it could be
    judged, as where a model is fitted every night."""
    nights = frame.drop_nulls("version").group_by(FOLD).agg(pl.col("version").last()).sort(FOLD)
    versions = nights["version"].to_list()
    if len(set(versions)) * FEWEST > len(versions):
        return frame
    return frame.filter(pl.col(FOLD).is_in(nights.filter(pl.col("version") == versions[0])[FOLD].implode()))


def _nights(frame: pl.DataFrame, levels: tuple[float, ...], best: str) -> tuple[pl.DataFrame, np.ndarray]:
    """The row of every night, the oldest first, and its mean error one step ahead."""
    own = frame.filter(pl.col("model") == FORECAST)
    rows = {row[FOLD]: row for row in summarise(own, levels, (FOLD,))}
    simple = {row[FOLD]: row for row in summarise(frame.filter(pl.col("model") == best), levels, (FOLD,))}
    facts = own.group_by(FOLD).agg(
        pl.col("cutoff").first(), pl.col("version").drop_nulls().first(), pl.col(SERIES).n_unique().alias("series")
    )
    near = own.filter(pl.col("step") == 1, pl.col(SCALE) > 0)
    first = near.group_by(FOLD).agg(error=((pl.col("yhat") - pl.col("y")) / pl.col(SCALE)).mean())
    table = facts.join(first, on=FOLD, how="left").sort(FOLD, descending=True)
    folds = table[FOLD].to_list()
    scored = pl.DataFrame(
        {
            "n": [rows[fold]["n"] for fold in folds],
            **{name: _column(rows, folds, name) for name in ("mase", "bias", "coverage_80")},
            "mase_simple": _column(simple, folds, "mase"),
        }
    )
    nights = pl.concat([table.drop(FOLD), scored], how="horizontal").filter(pl.col("n") > 0)
    order = ["cutoff", "version", "series", "n", "mase", "mase_simple", "bias", "coverage_80", "error"]
    return nights.select(order), nights["error"].cast(pl.Float64).fill_null(np.nan).to_numpy()


def _column(rows: dict[int, dict[str, Any]], folds: list[int], name: str) -> pl.Series:
    return pl.Series(name, [rows.get(fold, {}).get(name) for fold in folds], dtype=pl.Float64)


def _findings(judged: pl.DataFrame, chart: Cusum, nights: pl.DataFrame, verdict: Verdict, lag: int) -> list[Finding]:
    """What is beyond chance: errors that shifted, coverage that is off, a simple forecast that is better.

    `judged`: the nights of the last model, of all `nights` that the chart is of.
    """
    found = []
    if chart.alarm is not None and chart.begun is not None:
        since = nights.height - chart.begun
        high = chart.up[chart.alarm] > chart.down[chart.alarm]
        largest = max(chart.up.max(), chart.down.max())
        size = float(nights["error"][chart.begun :].mean() or 0.0)  # type: ignore[arg-type]
        message = (
            f"forecasts one step ahead have been too {'high' if high else 'low'} for {count(since, 'night')}, on "
            f"average by {number(abs(size), 3)} of a seasonal naive error (CUSUM {largest:.1f}, limit {LIMIT:g})"
        )
        found.append(Finding("errors-shifted", message, "ledger", count=since))
    coverage = judged["coverage_80"].drop_nulls().to_numpy()
    if len(coverage) >= FEWEST:
        share, chance = float(coverage.mean()), diebold_mariano(coverage - WANTED, lag)
        if abs(share - WANTED) > OFF and chance is not None and chance < SIGNIFICANT:
            message = f"80 % intervals covered {percent(share)} over {count(len(coverage), 'night')}, beyond chance"
            found.append(Finding("coverage-off", message, "ledger", count=len(coverage)))
    if surely_worse(verdict):
        message = f"the recorded forecast is worse than a simple one: {in_passing(verdict)}"
        found.append(Finding("worse-than-simple", message, "ledger", count=judged.height))
    return found


ADVICE = (
    ("worse-than-simple", "refit"),
    ("frequency-changed", "refit"),
    ("scale-jumped", "refit"),
    ("errors-shifted", "update"),
    ("coverage-off", "recalibrate"),
)
"""What a finding asks for; the first one that is there says it."""


def _advice(nights: pl.DataFrame, findings: tuple[Finding, ...], verdict: Verdict) -> Decision:
    by_code = {finding.code: finding for finding in findings}
    for code, action in ADVICE:
        if code in by_code:
            return Decision("advice", action, by_code[code].message)
    if nights.height < FEWEST:
        return Decision("advice", "keep", f"{count(nights.height, 'night')} scored, too few to say more; see {FEWEST}")
    size = "" if verdict.skill is None else f"; {in_passing(verdict)}"
    return Decision("advice", "keep", f"the forecast's errors and intervals are as they should be{size}")
