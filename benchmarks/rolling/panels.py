"""The 24 panels that rolling origins are measured on: the sixteen sets of `benchmarks.accuracy` and eight more.

The sixteen keep their horizons, targets, seasons and covariates. Realised variance is forecast by its median here,
since errors are absolute ones. The eight are forecast from their target alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from benchmarks.accuracy.sets import SETS, Task
from benchmarks.rolling.protocol import RollingTask

WITHOUT_DATES = (
    "m4_hourly",
    "m4_weekly",
    "m3_monthly",
    "m3_quarterly",
    "m3_yearly",
    "m3_other",
    "tourism_monthly",
    "tourism_quarterly",
    "tourism_yearly",
)
"""Collections of series that end at times of their own."""
COVARIATES = ("past", "future", "static")
CHANGES = {
    "none": pl.col("y"),
    "1st-diff": pl.col("y").diff(),
    "log": pl.col("y").log(),
    "log-diff": pl.col("y").log().diff(),
    "log-2nd-diff": pl.col("y").log().diff().diff(),
    "pct-ch-diff": pl.col("y").pct_change().diff(),
}
"""Transformation codes of FRED-MD (McCracken & Ng 2016)."""


def of_set(name: str, task: Task) -> RollingTask:
    covariates = {role: names for role, names in task.options.items() if role in COVARIATES}
    return RollingTask(task.frame, task.horizon, task.season, covariates, one_clock=name not in WITHOUT_DATES)


def covid(folder: Path) -> RollingTask:
    """Daily new cases: differences of the cumulative ones; revisions make some negative."""
    frame = _target(folder / "bench/covid_key_countries/covid_key_countries.parquet", pl.col("cum_confirmed"))
    new = frame.with_columns(pl.col("y").diff().over("unique_id"))
    return RollingTask(new.drop_nulls("y"), 14, 7)


def fred_md(folder: Path) -> RollingTask:
    """118 monthly series, each by its transformation code, from its first value to the last month that all have."""
    frame = _target(folder / "bench/fred_md/fred_md.parquet", pl.col("value"))
    codes = dict(pl.read_csv(folder / "bench/fred_md/fred_trans.csv").select("variable", "fred_md").iter_rows())
    parts = [
        part.with_columns(CHANGES[codes[name]]) for (name,), part in frame.group_by("unique_id", maintain_order=True)
    ]
    frame = pl.concat(parts)
    last = frame.drop_nulls("y").group_by("unique_id").agg(pl.col("ds").max())["ds"].min()
    started = pl.col("y").is_not_null().cum_max().over("unique_id")
    return RollingTask(frame.filter(started, pl.col("ds") <= last), 12, 12)


def single(file: str, target: pl.Expr, horizon: int, season: int) -> Callable[[Path], RollingTask]:
    return lambda folder: RollingTask(_target(folder / file, target), horizon, season)


PANELS: dict[str, Callable[[Path], RollingTask]] = {
    **{name: lambda folder, name=name, read=read: of_set(name, read(folder)) for name, read in SETS.items()},
    "covid_key_countries": covid,
    "dengue_taiwan_weekly": single(
        "bench/dengue_taiwan_weekly/dengue_taiwan_weekly.parquet", pl.col("dengue_cases"), 8, 52
    ),
    "us_ili_weekly": single("sample/us_ili_weekly.parquet", pl.col("weighted_ili_pct"), 8, 52),
    "chicago_mortality": single("bench/chicago_mortality/chicago_mortality.parquet", pl.col("death"), 7, 7),
    "vic_elec": single("bench/vic_elec/vic_elec.parquet", pl.col("demand_mwh"), 48, 48),
    "vix_daily": single("bench/vix_daily/vix_daily.parquet", pl.col("close").log(), 5, 1),
    "fred_md": fred_md,
    "stocks_daily": single("sample/stocks_daily.parquet", pl.col("adj_close"), 5, 1),
}


def _target(file: Path, target: pl.Expr) -> pl.DataFrame:
    frame = pl.read_parquet(file).select(unique_id="series_id", ds="timestamp", y=target.cast(pl.Float64))
    return frame.sort("unique_id", "ds")
