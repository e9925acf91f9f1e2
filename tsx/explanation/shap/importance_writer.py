"""The long table of an explanation, written as it comes: its rows never have to fit in memory.

What the pictures and sentences need of all rows (means by player and step, the pooled error) is summed up on the way,
so that nothing reads the file again.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from tsx.explanation.measure import TableSpec, window_columns
from tsx.explanation.shap.game import PARTS, parts_of
from tsx.explanation.shap.players import Players
from tsx.explanation.shap.sampling import ShapValues
from tsx.io.atomic import atomic_write
from tsx.model.forecaster import Forecaster
from tsx.panel.panel import Panel
from tsx.spec.channels import COVARIATES, TARGET
from tsx.spec.network import NetworkConfig
from tsx.spec.settings import Question

ROWS = 1 << 18
"""Rows of one row group, about: what is in memory at a time, and what a reader that looks for one series can skip."""

OLDEST_LAG = {"oldest_lag": pl.Int64}
PROFILE_TABLE = TableSpec(
    "lag_profile",
    {
        "feature": pl.String,
        "lag": pl.Int64,
        **dict.fromkeys(("mean_abs_shap", "mean_shap", "mean_square_shap", "share"), pl.Float64),
    },
    optional=OLDEST_LAG,
)
BY_STEP_TABLE = TableSpec(
    "by_step",
    {
        **{"feature": pl.String, "lag": pl.Int64, "step": pl.Int64, "distance": pl.Int64},
        **dict.fromkeys(("mean_abs_shap", "mean_shap", "mean_square_shap", "shap_se"), pl.Float64),
    },
    optional=OLDEST_LAG,
)
BY_PATH_TABLE = TableSpec(
    "by_path", {"feature": pl.String, "lag": pl.Int64, "path": pl.String, "mean_abs_shap": pl.Float64}
)


@dataclass(frozen=True, eq=False)
class RowLayout:
    """What the rows of every window have in common: who plays, the steps that are explained, and the units of values.

    `covariate_location` float64 (C - 1): what the cells of covariates are around. `parts`: names of the G parts.
    `quoted`: whether rows say what the table's values were.
    """

    panel: Panel
    config: NetworkConfig
    players: Players
    question: Question
    covariate_location: np.ndarray
    parts: tuple[str, ...] = PARTS
    quoted: bool = True

    @classmethod
    def of(cls, forecaster: Forecaster, panel: Panel, players: Players, question: Question) -> RowLayout:
        config = forecaster.config
        return cls(panel, config, players, question, forecaster.covariate_location, parts_of(config))

    @property
    def steps(self) -> list[int | None]:
        """(O) the steps explained; one that is None for the sum over all."""
        return [None] if self.question.explain == "sum" else list(range(1, self.config.horizon + 1))

    @property
    def part_columns(self) -> list[str]:
        """Names of the columns of the G parts; `shap_location` where the user's ids stand under `location`."""
        return [f"shap_{name}" if name in self.panel.schema.id_names else name for name in self.parts]

    def player_columns(self) -> pl.DataFrame:
        """feature, lag and, where players hold several lags, oldest_lag of every player (P)."""
        return _names(self.players)

    @cached_property
    def row_columns(self) -> pl.DataFrame:
        """The same of every row (R): the players, or the cells that share their values."""
        return _names(self.players.rows)

    @cached_property
    def blocks(self) -> pl.Series:
        """(R) newest and oldest lag of the player that a row shares with others, such as "9 to 16"; null for others."""
        players = self.players
        several = np.bincount(players.of_row, minlength=len(players)) > 1
        words = [f"{a} to {b}" if s else None for a, b, s in zip(players.lag, players.oldest, several)]
        return pl.Series("block", [words[player] for player in players.of_row], dtype=pl.String)

    def by_step(self) -> pl.DataFrame:
        """feature, lag, (oldest_lag), step, distance: one row a step and row of the players."""
        rows, steps = self.players.rows, self.steps
        count = len(rows)
        step = pl.Series("step", steps, dtype=pl.Int64).gather(np.repeat(np.arange(len(steps)), count))
        single = [newest if newest == oldest else None for newest, oldest in zip(rows.lag, rows.oldest)]
        lag = pl.Series(single, dtype=pl.Int64).gather(np.tile(np.arange(count), len(steps)))
        who = self.row_columns[np.tile(np.arange(count), len(steps))]
        return who.with_columns(step, (lag + step - 1).alias("distance"))

    def values(self, series: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """(W, R) what the table says the value of each row was, from the windows' `cells` (W, M); NaN: missing, or
        nothing that one number says (several cells, a category)."""
        cell, channel = self._cell_and_channel
        if not self.quoted:
            return np.full((len(cells), len(cell)), np.nan)
        values = cells[:, cell].astype(np.float64)
        center = np.empty((len(series), len(self.config.channels.time_varying)))
        center[:, TARGET] = self.panel.centers[series, TARGET]
        center[:, COVARIATES] = self.covariate_location
        over_time = channel >= 0
        values[:, over_time] += center[:, channel[over_time]]
        values[:, channel == _NO_VALUE] = np.nan
        return values

    @cached_property
    def _cell_and_channel(self) -> tuple[np.ndarray, np.ndarray]:
        """(R) the cell that each row is, and its channel; or `_PLAIN` for a static number, `_NO_VALUE`."""
        config, of_cell = self.config, self.players.rows.of_cell
        channels, positions = config.channels, np.arange(len(config.channels.time_varying))
        known = sum(config.at_once[len(channels.words) - len(channels.words_ahead) :])
        words = config.context_length * sum(config.at_once) + config.horizon * known
        channel_of_cell = np.concatenate(
            [
                np.tile(positions, config.context_length),
                np.tile(positions[channels.ahead_positions], config.horizon),
                np.full(len(channels.static_numbers), _PLAIN),
                np.full(len(channels.static_categories) + words, _NO_VALUE),
            ]
        )
        playing = np.flatnonzero(of_cell >= 0)
        cell = np.zeros(len(self.players.rows), dtype=np.int64)
        cell[of_cell[playing]] = playing
        channel = channel_of_cell[cell]
        channel[np.bincount(of_cell[playing], minlength=len(cell)) != 1] = _NO_VALUE
        return cell, channel


def _names(players: Players) -> pl.DataFrame:
    oldest = {"oldest_lag": players.oldest} if players.oldest != players.lag else {}
    return pl.DataFrame(
        {"feature": players.feature, "lag": players.lag, **oldest},
        schema_overrides={"feature": pl.String, "lag": pl.Int64, **dict.fromkeys(oldest, pl.Int64)},
    )


_PLAIN, _NO_VALUE = -1, -2


def square_beyond_error(values: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Squares less the squared standard errors: on average the square of the value that was estimated.

    Sizes are not: many values that are nothing but error add up to an importance, which many squares of error do not.
    """
    return np.asarray(np.square(values) - np.square(errors))


def shares(sizes: np.ndarray) -> np.ndarray:
    """Of the sum along the last axis; zeros where that is 0."""
    total = sizes.sum(-1, keepdims=True)
    return np.asarray(np.where(total > 0, sizes / np.where(total > 0, total, 1.0), 0.0))


class Totals:
    """Sums over all explained windows: by player and step (P, O), by part, and over everything."""

    def __init__(self, layout: RowLayout) -> None:
        self._layout = layout
        shape = len(layout.steps), len(layout.players)
        self.windows = 0
        self._size, self._shap, self._square, self._error = (np.zeros(shape) for _ in range(4))
        self._parts = np.zeros((len(layout.players), len(layout.parts)))
        self._squares = self._squared_errors = 0.0
        self.gap = 0.0
        """Largest |base value + SHAP values - forecast| of any window and step, units of y."""

    def add(self, values: np.ndarray, errors: np.ndarray, parts: np.ndarray, gaps: np.ndarray) -> None:
        """values, errors (W, O, P), parts (G, W, O, P), gaps (W, O)."""
        self.windows += len(values)
        self._size += np.abs(values).sum(0)
        self._shap += values.sum(0)
        self._square += square_beyond_error(values, errors).sum(0)
        self._error += errors.sum(0)
        for g, part in enumerate(parts):
            self._parts[:, g] += np.abs(part).sum((0, 1))
        self._squares += float(np.square(values).sum())
        self._squared_errors += float(np.square(errors).sum())
        self.gap = max(self.gap, float(np.abs(gaps).max(initial=0.0)))

    @property
    def relative_error(self) -> float:
        """Root of the summed squared standard errors over that of the summed squared SHAP values; inf for none."""
        return float(np.sqrt(self._squared_errors / self._squares)) if self._squares > 0 else float("inf")

    def profile(self) -> pl.DataFrame:
        """feature, lag, mean_abs_shap, mean_shap, mean_square_shap, share (and oldest_lag).

        Means over windows and steps; `mean_square_shap` of squares less their squared standard errors, at least 0;
        `share` of it.
        """
        totals = (self._size, self._shap, self._square)
        size, shap, square = (self._by_row(total.mean(0)) for total in totals)
        square = np.maximum(square, 0.0)
        figures = {"mean_abs_shap": size, "mean_shap": shap, "mean_square_shap": square, "share": shares(square)}
        return PROFILE_TABLE.frame(self._layout.row_columns.to_dict() | figures)

    def by_step(self) -> pl.DataFrame:
        """feature, lag, step, distance, mean_abs_shap, mean_shap, mean_square_shap, shap_se (and oldest_lag).

        Means over windows. `mean_square_shap` may be negative, where the squared errors are larger: only so is it right
        on average.
        """
        totals = {
            "mean_abs_shap": self._size,
            "mean_shap": self._shap,
            "mean_square_shap": self._square,
            "shap_se": self._error,
        }
        means = {name: self._by_row(total).ravel() for name, total in totals.items()}
        return BY_STEP_TABLE.frame(self._layout.by_step().to_dict() | means)

    def by_path(self) -> pl.DataFrame:
        """feature, lag, path, mean_abs_shap: the mean size of each part of the SHAP values."""
        paths, rows = self._layout.parts, self._layout.row_columns.select("feature", "lag")
        sizes = self._by_row(self._parts.T).T / len(self._layout.steps)
        each = rows[np.repeat(np.arange(rows.height), len(paths))].to_dict()
        figures = {"path": list(paths) * rows.height, "mean_abs_shap": sizes.ravel()}
        return BY_PATH_TABLE.frame(each | figures)

    def _by_row(self, total: np.ndarray) -> np.ndarray:
        """Totals (..., P) as means over the windows of every row (..., R)."""
        return self._layout.players.by_row(total / max(self.windows, 1))


class ImportanceWriter:
    """Writes the rows of explained windows to one Parquet file, which appears whole or not at all.

    id, cutoff, step, feature, lag, distance, value, shap, shap_se, block, (oldest_lag), and the parts of shap by path;
    one row a window, step and player, or cell that shares a player's value, in that order. SHAP values keep float64, so
    that they add up as they were found; their errors and parts are float32, seven digits of figures that carry two. The
    bytes do not depend on how windows come
    in chunks.
    """

    _file: pq.ParquetWriter

    def __init__(self, layout: RowLayout) -> None:
        self.layout, self.totals = layout, Totals(layout)
        rows = layout.players.rows
        count = len(layout.steps) * len(rows)
        self._block = max(1, ROWS // max(count, 1))
        self._pending: list[_Rows] = []
        self._forecasts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        common = layout.by_step()
        every = np.tile(np.arange(count, dtype=np.int64), self._block)
        self._common = {name: _arrow(common[name].gather(every)) for name in common.columns}
        for name, column in (("feature", rows.feature), ("block", layout.blocks.to_list())):
            self._common[name] = _coded(column, len(layout.steps) * self._block)

    @classmethod
    @contextmanager
    def to(cls, path: str | Path, layout: RowLayout) -> Iterator[ImportanceWriter]:
        """One that writes to `path`. Raises WriteError `file-not-writable`."""
        writer = cls(layout)
        names = writer._columns(_Rows.none(layout)).schema
        plain = pa.schema([(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in names])
        coded = [n for n in plain.names if n not in ("value", "shap", "shap_se", *layout.part_columns)]
        options = {"compression": "zstd", "use_dictionary": coded, "write_statistics": coded, "store_schema": False}
        with atomic_write(path) as file, pq.ParquetWriter(file, names, **options) as writer._file:
            # dictionaries are how the file is written, not what is in it: readers shall find plain texts
            arrow_schema = base64.b64encode(plain.serialize().to_pybytes()).decode("ascii")
            writer._file.add_key_value_metadata({"ARROW:schema": arrow_schema})
            yield writer
            writer._write(writer._pending_rows(), last=True)

    def append(
        self, series: np.ndarray, cutoffs: np.ndarray, cells: np.ndarray, shap: Sequence[ShapValues]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Add windows of `series` (W) at positions `cutoffs` (W), with `cells` (W, M).

        Their SHAP values and the standard errors of these, both (W, O, P).
        """
        values, errors = (np.stack([getattr(each, name).T for each in shap]) for name in ("values", "errors"))
        parts = np.ascontiguousarray(np.stack([each.parts for each in shap]).transpose(3, 0, 2, 1))
        base, forecast = (np.stack([getattr(each, name).sum(-1) for each in shap]) for name in ("base", "forecast"))
        self.totals.add(values, errors, parts, base + values.sum(2) - forecast)
        self._forecasts.append((series.copy(), cutoffs.copy(), base, forecast))
        shown, by_row = self.layout.values(series, cells), self.layout.players.by_row
        shap_se, shap_parts = by_row(errors).astype(np.float32), by_row(parts).astype(np.float32)
        self._pending.append(_Rows(series, cutoffs, shown, by_row(values), shap_se, shap_parts))
        if sum(len(rows) for rows in self._pending) >= self._block:
            self._write(self._pending_rows(), last=False)
        return values, errors

    def forecasts(self) -> pl.DataFrame:
        """id, cutoff, step, base_value, yhat of every window appended so far."""
        layout, steps = self.layout, self.layout.steps
        whole, real = np.zeros(0, dtype=np.int64), np.zeros((0, len(steps)))
        series, cutoffs, base, forecast = map(np.concatenate, zip((whole, whole, real, real), *self._forecasts))
        # how often the series' center is in what is explained: forecasts are made around it
        centers = {"width": 0, "error": 0, "sum": layout.config.horizon}.get(layout.question.explain, 1)
        center = centers * layout.panel.centers[series, :1]
        figures = {"base_value": (center + base).ravel(), "yhat": (center + forecast).ravel()}
        return pl.DataFrame(window_columns(layout.panel, series, cutoffs, steps) | figures)

    def _pending_rows(self) -> _Rows:
        return _Rows.joined([_Rows.none(self.layout), *self._pending])

    def _write(self, rows: _Rows, *, last: bool) -> None:
        """Write whole blocks of windows, and the rest of them where they are the last."""
        until = len(rows) if last else len(rows) - len(rows) % self._block
        for begin in range(0, until, self._block):
            part = rows.part(begin, min(begin + self._block, until))
            table = self._columns(part)
            self._file.write_table(table, row_group_size=max(table.num_rows, 1))
        self._pending = [rows.part(until, len(rows))]

    def _columns(self, rows: _Rows) -> pa.Table:
        panel, layout = self.layout.panel, self.layout
        each = len(layout.steps) * len(layout.players.rows)
        long = np.repeat(np.arange(len(rows)), each)
        ids, number = np.unique(rows.series, return_inverse=True)
        repeated = _arrow(pl.Series(number[long].astype(np.int32)))
        keys = {name: _repeated(_arrow(column), repeated) for name, column in panel.id_columns(ids).items()}
        common = {name: column.slice(0, len(long)) for name, column in self._common.items()}
        value = np.broadcast_to(rows.value[:, None], rows.shap.shape)
        columns = {
            **keys,
            "cutoff": _arrow(panel.times(rows.series, rows.cutoffs).gather(long)),
            **{name: common[name] for name in ("step", "feature", "lag", "distance")},
            "value": _arrow(pl.Series(value.ravel()).fill_nan(None)),
            "shap": _arrow(pl.Series(rows.shap.ravel())),
            "shap_se": _arrow(pl.Series(rows.error.ravel())),
            "block": common["block"],
            **({"oldest_lag": common["oldest_lag"]} if "oldest_lag" in common else {}),
            **{name: _arrow(pl.Series(part.ravel())) for name, part in zip(layout.part_columns, rows.parts)},
        }
        return pa.table(columns)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Windows on their way: series, cutoffs (W), value (W, R), shap, error (W, O, R), parts (G, W, O, R)."""

    series: np.ndarray
    cutoffs: np.ndarray
    value: np.ndarray
    shap: np.ndarray
    error: np.ndarray
    parts: np.ndarray

    def __len__(self) -> int:
        return len(self.series)

    @classmethod
    def none(cls, layout: RowLayout) -> _Rows:
        shape = (0, len(layout.steps), len(layout.players.rows))
        whole, real = np.zeros(0, dtype=np.int64), np.zeros(shape, dtype=np.float32)
        parts = np.zeros((len(layout.parts), *shape), dtype=np.float32)
        return cls(whole, whole, np.zeros((0, shape[2])), np.zeros(shape), real, parts)

    @classmethod
    def joined(cls, rows: list[_Rows]) -> _Rows:
        along = {field.name: int(field.name == "parts") for field in fields(cls)}
        return cls(**{name: np.concatenate([getattr(r, name) for r in rows], axis) for name, axis in along.items()})

    def part(self, begin: int, end: int) -> _Rows:
        some = slice(begin, end)
        return _Rows(
            self.series[some],
            self.cutoffs[some],
            self.value[some],
            self.shap[some],
            self.error[some],
            self.parts[:, some],
        )


def _coded(column: Sequence[str | None], times: int) -> pa.DictionaryArray:
    """The texts of `column`, null where there is none, so many times one after the other; each is held once."""
    texts = [text for text in dict.fromkeys(column) if text is not None]
    number: dict[str | None, int] = {text: n for n, text in enumerate(texts)}
    codes = pl.Series([number.get(text) for text in column], dtype=pl.Int32)
    repeated = codes.gather(np.tile(np.arange(len(codes)), times))
    return pa.DictionaryArray.from_arrays(_arrow(repeated), _arrow(pl.Series(texts, dtype=pl.String)))


def _repeated(values: pa.Array, places: pa.Array) -> pa.Array:
    """The values at these places; texts are held once."""
    texts = pa.types.is_large_string(values.type)
    return pa.DictionaryArray.from_arrays(places, values) if texts else values.take(places)


def _arrow(column: pl.Series) -> pa.Array:
    """An array without pyarrow's own constructor, which imports pandas where it is installed."""
    return column.to_arrow(compat_level=pl.CompatLevel.oldest())
