"""The public data sets with their protocols: what is learnt from, what is forecast, and how it is scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.accuracy import simple

START = datetime(2000, 1, 3)
"""Where the clock of a set without dates begins: a Monday."""


@dataclass(frozen=True, eq=False)
class Task:
    """One set and how it is used.

    frame    every row, the test part too: `unique_id`, `ds`, `y` and covariates, in order
    learn    rows per series, by id in order, that may be learnt from; the rest is the test part
    horizon  steps ahead
    season   of the scaled error and of the seasonal naive forecast; 1 for none
    stride   steps between the cutoffs of the test part; 0: one cutoff, the last learnt row
    scores   names of the scores (`benchmarks.accuracy.scores`), the first one the set's own
    lags     newest values that a linear autoregression reads, which then is among the simple forecasts; windows where
             one of them is missing are not scored. 0: no such forecast
    options  what `tsx.fit` is told beside the horizon: roles of columns and what is judged, no choices of the network
    """

    name: str
    frame: pl.DataFrame
    learn: np.ndarray
    horizon: int
    season: int
    stride: int
    scores: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    lags: int = 0

    def head(self) -> pl.DataFrame:
        """The rows that may be learnt from."""
        place = pl.int_range(pl.len()).over("unique_id")
        return self.frame.filter(place < self._learn())

    def cutoffs(self) -> tuple[np.ndarray, np.ndarray]:
        """(series, position of the cutoff), each (B): the forecasts that are scored."""
        if not self.stride:
            return np.arange(len(self.learn)), self.learn - 1
        rows = self.frame.group_by("unique_id", maintain_order=True).len()["len"].to_numpy()
        runs = [np.arange(first - 1, total - self.horizon, self.stride) for first, total in zip(self.learn, rows)]
        series, cutoffs = np.repeat(np.arange(len(runs)), [len(run) for run in runs]), np.concatenate(runs)
        y, begin = self.frame["y"].to_numpy(), np.cumsum(rows, dtype=np.int64) - rows.astype(np.int64)
        newest = y[(begin[series] + cutoffs)[:, None] - np.arange(self.lags)]
        complete = ~np.isnan(newest).any(1)
        return series[complete], cutoffs[complete]

    def earlier(self) -> Task:
        """The same task one test part earlier: what choices may be made on, with the test part out of sight."""
        rows = self.frame.group_by("unique_id", maintain_order=True).len()["len"].to_numpy()
        held = rows - self.learn
        place = pl.int_range(pl.len()).over("unique_id")
        return replace(self, frame=self.frame.filter(place < self._learn()), learn=self.learn - held)

    def _learn(self) -> pl.Series:
        rows = self.frame.group_by("unique_id", maintain_order=True).len()["len"].to_numpy()
        return pl.Series(np.repeat(self.learn, rows))


def compared(task: Task) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], np.ndarray | None]:
    """Of every forecast: truth (B, H), scale (B), the history, and Naive2 (B, H) where a score asks for it."""
    whole = [part["y"].to_numpy() for _, part in task.frame.group_by("unique_id", maintain_order=True)]
    series, cutoffs = task.cutoffs()
    histories = [whole[n][: cutoff + 1] for n, cutoff in zip(series, cutoffs, strict=True)]
    truth = np.stack(
        [whole[n][cutoff + 1 : cutoff + 1 + task.horizon] for n, cutoff in zip(series, cutoffs, strict=True)]
    )
    scale = np.array([np.nanmean(abs(y[task.season :] - y[: -task.season])) for y in histories])
    naive2 = None
    if "owa" in task.scores:
        naive2 = np.stack([simple.naive2(y, task.horizon, task.season) for y in histories])
    return truth, scale, histories, naive2


def m4(folder: Path, name: str, horizon: int, season: int, every: str) -> Task:
    parts = [pl.read_parquet(folder / f"m4/{name}_{part}.parquet") for part in ("train", "test")]
    frame = pl.concat(parts).sort("unique_id", "ds", maintain_order=True)
    rows = frame.group_by("unique_id", maintain_order=True).len()["len"].to_numpy()
    scores = ("owa", "mase", "smape", "wql")
    return Task(f"M4 {name.title()}", _dated(frame, every), rows.astype(np.int64) - horizon, horizon, season, 0, scores)


def competition(folder: Path, file: str, period: str, horizon: int, season: int, every: str) -> Task:
    """A part of M3 or the tourism competition, with the official test part."""
    frame = pl.read_parquet(folder / f"bench/{file}/{file}.parquet").filter(pl.col("period") == period)
    frame = frame.sort("series_id", "step").select(
        unique_id="series_id", ds="step", y="value", learnt=~pl.col("is_test")
    )
    learn = frame.group_by("unique_id", maintain_order=True).agg(pl.col("learnt").sum())["learnt"].to_numpy()
    name = f"{file.upper() if file == 'm3' else file.title()} {period.title()}"
    scores = ("smape", "mase", "wql") if file == "m3" else ("mase", "smape", "wql")
    return Task(name, _dated(frame.drop("learnt"), every), learn.astype(np.int64), horizon, season, 0, scores)


def hospital(folder: Path) -> Task:
    frame = pl.read_parquet(folder / "bench/hospital/hospital.parquet")
    frame = frame.select(unique_id="series_id", ds="timestamp", y="value").sort("unique_id", "ds")
    return Task("Hospital", frame, np.full(767, 72), 12, 12, 0, ("mae", "mase", "wql"))


def etth1(folder: Path) -> Task:
    """Borders of 12, 4 and 4 months of 30 days; every window kept; standardised by the first 12 months."""
    wide = pl.read_parquet(folder / "ett/etth1_wide.parquet").head(20 * 720)
    learn, known = 16 * 720, 12 * 720
    return Task("ETTh1", _standardised(wide, known), np.full(7, learn), 96, 24, 1, ("mse", "mae"))


def ltsf(folder: Path, name: str, horizon: int, season: int) -> Task:
    """Split 7 : 1 : 2, standardised by the first seven tenths, every window kept."""
    long = pl.read_parquet(folder / f"bench/{name}/{name}.parquet")
    wide = long.pivot(on="series_id", index="timestamp", values="value").rename({"timestamp": "date"})
    rows = wide.height
    learn = rows - int(0.2 * rows)
    frame = _standardised(wide, int(0.7 * rows))
    return Task(name, frame, np.full(wide.width - 1, learn), horizon, season, 1, ("mse", "mae"))


def glucose_simulated(folder: Path) -> Task:
    frame = pl.read_parquet(folder / "sample/cgm_simulated.parquet").select(
        unique_id="series_id", ds="timestamp", y="cgm_mg_dl", carbs="carbs_g_per_min", insulin="insulin_u_per_min"
    )
    frame = frame.sort("unique_id", "ds")
    rows = frame.group_by("unique_id", maintain_order=True).len()["len"].to_numpy()
    learn = (0.8 * rows).astype(np.int64)
    return Task(
        "cgm_simulated",
        frame,
        learn,
        12,
        1,
        1,
        ("rmse_6", "rmse_12"),
        {"past": ["carbs", "insulin"]},
        24,
    )


def glucose_real(folder: Path) -> Task:
    frame = pl.read_parquet(folder / "sample/cgm_real.parquet").select(
        unique_id="series_id", ds="timestamp", y=pl.col("glucose_mg_dl").cast(pl.Float64)
    )
    grid = frame.with_columns(pl.col("ds").dt.round("5m")).group_by("unique_id", "ds").agg(pl.col("y").mean())
    frame = grid.sort("unique_id", "ds").upsample("ds", every="5m").with_columns(pl.col("unique_id").forward_fill())
    learn = np.array([int(0.8 * frame.height)])
    return Task("cgm_real", frame, learn, 12, 1, 1, ("rmse_6", "rmse_12"), lags=24)


def realised_variance(folder: Path) -> Task:
    """Realised variance of the S&P 500 fund from five-minute returns, times 1e4; the last 442 days are the test."""
    frame = pl.read_parquet(folder / "bench/spy_realized/spyrm_2014_2019.parquet")
    frame = frame.select(unique_id="series_id", ds="timestamp", y=1e4 * pl.col("RV5"))
    options = {"point": "mean"}  # which QLIKE asks for (Patton 2011); the median of a variance is far below it
    return Task("spy_realized", frame, np.array([frame.height - 442]), 1, 1, 1, ("qlike", "mse", "mae"), options)


SETS: dict[str, Callable[[Path], Task]] = {
    "m4_hourly": lambda folder: m4(folder, "hourly", 48, 24, "1h"),
    "m4_weekly": lambda folder: m4(folder, "weekly", 13, 1, "1w"),
    "m3_monthly": lambda folder: competition(folder, "m3", "MONTHLY", 18, 12, "1mo"),
    "m3_quarterly": lambda folder: competition(folder, "m3", "QUARTERLY", 8, 4, "1q"),
    "m3_yearly": lambda folder: competition(folder, "m3", "YEARLY", 6, 1, "1y"),
    "m3_other": lambda folder: competition(folder, "m3", "OTHER", 8, 1, "1w"),
    "tourism_monthly": lambda folder: competition(folder, "tourism", "MONTHLY", 24, 12, "1mo"),
    "tourism_quarterly": lambda folder: competition(folder, "tourism", "QUARTERLY", 8, 4, "1q"),
    "tourism_yearly": lambda folder: competition(folder, "tourism", "YEARLY", 4, 1, "1y"),
    "hospital": hospital,
    "etth1": etth1,
    "national_illness": lambda folder: ltsf(folder, "national_illness", 24, 52),
    "exchange_rate": lambda folder: ltsf(folder, "exchange_rate", 96, 1),
    "cgm_simulated": glucose_simulated,
    "cgm_real": glucose_real,
    "spy_realized": realised_variance,
}


def _dated(frame: pl.DataFrame, every: str) -> pl.DataFrame:
    """The step numbers as dates of the set's own frequency: the source has none."""
    first = pl.col("ds").min().over("unique_id")
    begin = START if every in ("1h", "1w") else datetime(2000, 1, 1)
    if every in ("1mo", "1q", "1y"):
        months = {"1mo": 1, "1q": 3, "1y": 12}[every]
        place = (pl.col("ds") - first) * months
        years, month = place // 12, place % 12 + 1
        return frame.with_columns(ds=pl.datetime(begin.year + years - (100 if every == "1y" else 50), month, 1))
    unit = {"1h": 1, "1w": 7 * 24}[every]
    return frame.with_columns(ds=pl.lit(begin) + pl.duration(hours=(pl.col("ds") - first) * unit))


def _standardised(wide: pl.DataFrame, known: int) -> pl.DataFrame:
    """A wide table as one row per value, each column by the mean and deviation of its first `known` rows."""
    names = [name for name in wide.columns if name != "date"]
    scaled = [(pl.col(name) - pl.col(name).head(known).mean()) / pl.col(name).head(known).std(ddof=0) for name in names]
    long = wide.with_columns(scaled).unpivot(index="date", on=names, variable_name="unique_id", value_name="y")
    return long.select("unique_id", ds="date", y="y").sort("unique_id", "ds")
