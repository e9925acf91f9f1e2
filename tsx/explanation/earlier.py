"""The forecasts that a change is counted from: those of an earlier report, or from an earlier cutoff of the table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from tsx.errors import ConfigError, DataError
from tsx.explanation.comparison import read_forecasts
from tsx.explanation.measure import CUTOFF
from tsx.model.forecaster import Forecaster
from tsx.panel.panel import Panel
from tsx.spec.settings import Question
from tsx.wording import count


@dataclass(frozen=True, eq=False)
class Since:
    """What the newest forecasts are compared with.

    cutoffs     int64 (N) position of every series' earlier cutoff; -1 where there is none
    reported    (N, H) what was forecast then, NaN where unknown; None where no report says so
    forecaster  the model that forecast then; None: the same one
    """

    cutoffs: np.ndarray
    reported: np.ndarray | None = None
    forecaster: Forecaster | None = None

    def shares_times(self, series: np.ndarray, cutoffs: np.ndarray, horizon: int) -> np.ndarray:
        """(W) whether forecasts of `series` (W) from `cutoffs` (W) and their earlier ones reach a time that both do.

        Raises DataError `nothing-to-compare` where none does.
        """
        back = cutoffs - self.cutoffs[series]
        shared: np.ndarray = (self.cutoffs[series] >= 0) & (back >= 0) & (back < horizon)
        if not shared.any():
            raise DataError(
                "nothing-to-compare",
                f"none of {count(len(series), 'newest forecast')} shares a time with an earlier one: the horizon is "
                f"{count(horizon, 'step')}, so an earlier cutoff may lie {count(horizon - 1, 'step')} back at most",
                hint="name a later time or report with --since, or fit with a longer --horizon",
                where="since",
            )
        return shared


def earlier_forecasts(
    given: str | Path, forecaster: Forecaster, panel: Panel, question: Question, model: Forecaster | None
) -> Since:
    """Those that `given` names: the folder of a report, or a time of the table, up to which rows were known.

    forecaster  the model whose newest forecasts are explained
    model       the one that made the earlier ones, where it is another

    Raises ConfigError `setting-unknown`, `settings-contradict`, DataError `reports-differ`, `models-differ`, and as
    `read_report` does.
    """
    if model is not None:
        _check_alike(model, forecaster)
    if question.explain in ("sum", "error"):
        what = "sum over the horizon" if question.explain == "sum" else "error of a past forecast"
        raise ConfigError(
            "settings-contradict",
            f"the {what} is of other times at every cutoff, so it has no change since an earlier one",
            hint=f"leave --explain {question.explain} or --since out",
            where="since",
        )
    if Path(given).exists():
        cutoffs, reported = _from_report(Path(given), forecaster, panel, question)
        return Since(cutoffs, reported, model)
    moment = _moment(str(given), panel.starts.dtype)
    if moment is None:
        raise ConfigError(
            "setting-unknown",
            f"since is {str(given)!r}: there is no such folder, and it is no time of the table",
            hint=f"give the folder of an earlier report, or a time such as {_example(panel.starts.dtype)}",
            where="since",
        )
    steps, _ = panel.calendar.steps(panel.starts, pl.Series([moment] * len(panel), dtype=panel.starts.dtype))
    return Since(np.maximum(steps, -1), None, model)


def _from_report(path: Path, forecaster: Forecaster, panel: Panel, question: Question) -> tuple[np.ndarray, np.ndarray]:
    """The newest cutoff of every series in a report, and what was forecast from it (N, H)."""
    horizon = forecaster.config.horizon
    frame = read_forecasts(path, panel.schema, forecaster.frequency, question)
    ids = list(panel.schema.id_names)
    newest = frame.filter(pl.col(CUTOFF) == pl.col(CUTOFF).max().over(ids))
    own = pl.DataFrame(panel.id_columns(np.arange(len(panel)))).with_row_index("series")
    text = pl.col(ids).cast(pl.String)
    found = (
        own.with_columns(text)
        .join(newest.with_columns(text), on=ids, nulls_equal=True)
        .filter(pl.col("step") <= horizon)
    )
    if found.is_empty():
        raise DataError(
            "reports-differ",
            f"none of {len(panel):,} series is among those of the earlier report",
            hint="compare with a report of the same model's table",
            where="since",
        )
    series, step = found["series"].to_numpy().astype(np.int64), found["step"].to_numpy()
    times = found[CUTOFF].cast(panel.starts.dtype)
    positions, _ = panel.calendar.steps(panel.starts.gather(series), times)
    cutoffs = np.full(len(panel), -1, dtype=np.int64)
    cutoffs[series] = positions
    reported = np.full((len(panel), horizon), np.nan)
    reported[series, step - 1] = found["yhat"].to_numpy()
    return cutoffs, reported


def _moment(text: str, dtype: pl.DataType) -> int | date | datetime | None:
    """The time that a text names, of the type that the table's times have; None where it names none."""
    try:
        if dtype.is_integer():
            return int(text)
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if not isinstance(dtype, pl.Datetime):
        return moment.date()
    zone = None if dtype.time_zone is None else ZoneInfo(dtype.time_zone)
    if moment.tzinfo is None:
        return moment.replace(tzinfo=zone)
    return moment.astimezone(zone or ZoneInfo("UTC")).replace(tzinfo=zone)


def _example(dtype: pl.DataType) -> str:
    return "120" if dtype.is_integer() else "2024-03-01T06:00" if isinstance(dtype, pl.Datetime) else "2024-03-01"


def _check_alike(earlier: Forecaster, now: Forecaster) -> None:
    """Raises DataError `models-differ` for an earlier model that cannot forecast from the same table."""
    ways = {
        "target": (earlier.schema.target, now.schema.target),
        "frequency": (earlier.frequency, now.frequency),
        "columns": tuple(", ".join(each.schema.columns) for each in (earlier, now)),
        "horizon": tuple(f"{each.config.horizon} steps" for each in (earlier, now)),
    }
    apart = [f"{name} {was} then, {is_} now" for name, (was, is_) in ways.items() if was != is_]
    if apart:
        raise DataError(
            "models-differ",
            f"the earlier model forecasts something else ({'; '.join(apart)})",
            hint="leave --since-model out, or name an earlier model of the same target, columns and horizon",
            where="since_model",
        )
