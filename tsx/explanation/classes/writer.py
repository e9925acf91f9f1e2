"""The long table of a classifier's SHAP values, written chunk by chunk, and the sums that every other table needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from tsx.explanation.measure import TableSpec
from tsx.explanation.shap.importance_writer import shares, square_beyond_error
from tsx.explanation.shap.players import Players
from tsx.explanation.shap.sampling import ShapValues
from tsx.io.atomic import atomic_write
from tsx.panel.panel import Panel

PROFILE = TableSpec(
    "lag_profile",
    {
        "class": pl.String,
        "feature": pl.String,
        "lag": pl.Int64,
        **dict.fromkeys(("mean_abs_shap", "mean_shap", "mean_square_shap", "share"), pl.Float64),
    },
    {"oldest_lag": pl.Int64},
)


@dataclass(frozen=True, eq=False)
class Explained:
    """What is explained: series of a panel, the names of the classes (O), and the players.

    `quoted`: whether rows say what the table's values were.
    """

    panel: Panel
    classes: tuple[str, ...]
    players: Players
    quoted: bool = True

    @property
    def columns(self) -> pl.DataFrame:
        """class, feature, lag, (oldest_lag) of the rows of one series: the classes one after the other."""
        players, count = self.players, len(self.classes)
        grouped = any(lag != oldest for lag, oldest in zip(players.lag, players.oldest))
        who = {"feature": players.feature, "lag": players.lag, **({"oldest_lag": players.oldest} if grouped else {})}
        types = {"feature": pl.String, "lag": pl.Int64, "oldest_lag": pl.Int64}
        each = pl.DataFrame(who, schema_overrides={name: types[name] for name in who})
        repeated = each[np.tile(np.arange(len(players)), count)]
        name = pl.Series("class", self.classes, dtype=pl.String).gather(np.repeat(np.arange(count), len(players)))
        return repeated.insert_column(0, name)


@dataclass(eq=False)
class Tally:
    """Sums over the explained series, by class and player (O, P): of SHAP values, and of how they go with the values.

    The second are of the series in which the player has a value: their number, and sums of the values, their squares,
    their products with the SHAP values, and the SHAP values with their squares. Values are around the first one.
    """

    size: np.ndarray
    shap: np.ndarray
    square: np.ndarray
    error: np.ndarray
    squares: np.ndarray
    seen: np.ndarray
    value: np.ndarray
    value_square: np.ndarray
    value_shap: np.ndarray
    seen_shap: np.ndarray
    seen_square: np.ndarray
    first: np.ndarray
    series: int = 0
    gap: float = 0.0

    @classmethod
    def none(cls, explained: Explained) -> Tally:
        shape = len(explained.classes), len(explained.players)
        sums: Any = {each.name: np.zeros(shape) for each in fields(cls) if each.name not in ("first", "series", "gap")}
        return cls(**sums, first=np.full(shape[1], np.nan))

    def add(self, values: np.ndarray, shap: np.ndarray, errors: np.ndarray, gaps: np.ndarray) -> None:
        """values (B, P), shap and errors (B, O, P), gaps (B, O)."""
        self.series += len(values)
        self.size += np.abs(shap).sum(0)
        self.shap += shap.sum(0)
        self.square += square_beyond_error(shap, errors).sum(0)
        self.squares += np.square(shap).sum(0)
        self.error += np.square(errors).sum(0)
        self.gap = max(self.gap, float(np.abs(gaps).max(initial=0.0)))
        seen = ~np.isnan(values)
        begins = np.isnan(self.first) & seen.any(0)
        self.first[begins] = values[seen.argmax(0), np.arange(values.shape[1])][begins]
        apart = np.where(seen, values - self.first, 0.0)[:, None]
        self.seen += seen.sum(0)
        self.value += apart.sum(0)
        self.value_square += np.square(apart).sum(0)
        self.value_shap += (apart * shap).sum(0)
        self.seen_shap += (seen[:, None] * shap).sum(0)
        self.seen_square += (seen[:, None] * np.square(shap)).sum(0)

    @property
    def relative_error(self) -> float:
        """Root of the summed squared standard errors over that of the squared SHAP values; inf where all are 0."""
        total = float(self.squares.sum())
        return float(np.sqrt(self.error.sum() / total)) if total > 0 else float("inf")

    def profile(self, explained: Explained) -> pl.DataFrame:
        """The table `PROFILE`: means over the series. `share` is of `mean_square_shap`, within each class."""
        size, shap, square = (each / max(self.series, 1) for each in (self.size, self.shap, self.square))
        square = np.maximum(square, 0.0)
        figures = {"mean_abs_shap": size, "mean_shap": shap, "mean_square_shap": square, "share": shares(square)}
        who = explained.columns
        return PROFILE.frame(who.to_dict() | {name: each.ravel() for name, each in figures.items()})


class SeriesWriter:
    """Writes a row for each explained series, class and player, in that order, to one Parquet file.

    id, class, feature, lag, value, shap, shap_se, (oldest_lag).
    """

    _file: pq.ParquetWriter

    def __init__(self, explained: Explained) -> None:
        self.explained, self.tally = explained, Tally.none(explained)
        self._columns = explained.columns

    @classmethod
    @contextmanager
    def to(cls, path: Path, explained: Explained) -> Iterator[SeriesWriter]:
        """One that writes to `path`. Raises WriteError `file-not-writable`."""
        writer = cls(explained)
        none = np.zeros((0, len(explained.players)))
        shape = 0, len(explained.classes), len(explained.players)
        schema = writer._rows(np.zeros(0, dtype=np.int64), none, np.zeros(shape), np.zeros(shape)).to_arrow().schema
        with atomic_write(path) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer._file:
            yield writer

    def append(self, series: np.ndarray, values: np.ndarray, shap: Sequence[ShapValues]) -> None:
        """Add `series` (B) with their players' values (B, P) and SHAP values."""
        found, errors = (np.stack([getattr(each, name).T for each in shap]) for name in ("values", "errors"))
        base, full = (np.stack([getattr(each, name).sum(-1) for each in shap]) for name in ("base", "forecast"))
        self.tally.add(values, found, errors, base + found.sum(2) - full)
        self._file.write_table(self._rows(series, values, found, errors).to_arrow())

    def _rows(self, series: np.ndarray, values: np.ndarray, shap: np.ndarray, errors: np.ndarray) -> pl.DataFrame:
        each = self._columns.height
        who = self._columns[np.tile(np.arange(each), len(series))]
        oldest = [who.drop_in_place("oldest_lag")] if "oldest_lag" in who.columns else []
        ids = pl.DataFrame(self.explained.panel.id_columns(np.repeat(series, each)))
        repeated = np.broadcast_to(values[:, None] if self.explained.quoted else np.nan, shap.shape)
        return pl.concat([ids, who], how="horizontal").with_columns(
            pl.Series("value", repeated.ravel()).fill_nan(None),
            pl.Series("shap", shap.ravel()),
            pl.Series("shap_se", errors.ravel().astype(np.float32)),
            *oldest,
        )
