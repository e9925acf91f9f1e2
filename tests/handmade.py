"""Panels and forecasters to evaluate, made by hand so that these tests need no reader and no network."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from tsx.baselines.simple import naive
from tsx.panel.panel import Panel
from tsx.spec.channels import Channel, Channels
from tsx.spec.history import History
from tsx.spec.network import NetworkConfig, TrainingConfig
from tsx.spec.schema import Schema


class Days:
    """A calendar of days."""

    alias = "1d"

    def shift(self, starts: pl.Series, positions: np.ndarray) -> pl.Series:
        return (starts.to_frame("t").select(pl.col("t") + pl.duration(days=pl.Series(positions))))["t"]


def panel_of(
    targets: Sequence[Any],
    *,
    past: Sequence[Sequence[Any]] = (),
    future: Sequence[Sequence[Any]] = (),
    lengths: Sequence[int] | None = None,
    schema: Schema | None = None,
) -> Panel:
    """A panel from one list per series; `past` and `future` hold, per channel, one list per series."""
    rows = [
        np.stack([np.asarray(c[n], dtype=float) for c in (targets, *past, *future)], axis=1)
        for n in range(len(targets))
    ]
    offsets = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
    centers = np.zeros((len(rows), rows[0].shape[1]))
    for n, row in enumerate(rows):
        for c in range(row.shape[1]):
            seen = row[~np.isnan(row[:, c]), c]
            centers[n, c] = seen[0] if len(seen) else 0.0
    values = np.concatenate([row - center for row, center in zip(rows, centers, strict=True)]).astype(np.float32)
    return Panel(
        values=values,
        offsets=offsets,
        lengths=np.diff(offsets) if lengths is None else np.asarray(lengths, dtype=np.int64),
        centers=centers,
        ids=pl.Series([f"s{n:03}" for n in range(len(rows))]),
        starts=pl.Series([dt.date(2020, 1, 1)] * len(rows)),
        calendar=Days(),  # type: ignore[arg-type]
        schema=schema
        or Schema(
            time="day",
            target="sales",
            id="shop",
            past=tuple(f"p{i}" for i in range(len(past))),
            future=tuple(f"f{i}" for i in range(len(future))),
        ),
        static_values=np.zeros((len(rows), 0), dtype=np.float32),
        static_labels=pl.DataFrame(),
    )


@dataclass
class FakeForecaster:
    """Forecasts the last value plus `move(series, cutoffs)`; remembers what it was asked."""

    config: NetworkConfig
    move: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda series, cutoffs: np.zeros(len(series))
    asked: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    history: History = field(default_factory=lambda: History((), 1000, "max_steps is reached"))
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def quantiles(self, panel: Panel, series: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
        self.asked.append((series, cutoffs))
        last = naive(panel, series, cutoffs, 1)[:, 0]
        levels = np.asarray(self.config.quantile_levels)
        point = last + self.move(series, cutoffs)
        return np.broadcast_to(
            point[:, None, None] + (levels - 0.5), (len(series), self.config.horizon, len(levels))
        ).copy()

    def point(self, quantiles: np.ndarray) -> np.ndarray:
        middle: np.ndarray = quantiles[..., self.config.median]
        return middle


def channels_of(*, past: int = 0, future: int = 0, numbers: int = 0, categories: Sequence[int] = ()) -> Channels:
    """So many channels of each role; `categories`: how many known ones each categorical static covariate has."""
    return Channels(
        (
            Channel("y", "target"),
            *(Channel(f"past {n}", "past") for n in range(past)),
            *(Channel(f"future {n}", "future") for n in range(future)),
            *(Channel(f"number {n}", "static") for n in range(numbers)),
            *(
                Channel(f"category {n}", "static", "category", tuple(map(str, range(known))))
                for n, known in enumerate(categories)
            ),
        )
    )


def network_config(horizon: int = 3, context_length: int = 14, season: int = 7, **rest: Any) -> NetworkConfig:
    return NetworkConfig(horizon=horizon, context_length=context_length, segment=1, season=season, **rest)
