"""Processes whose causes are known, and panels made of them without a file in between."""

from __future__ import annotations

import numpy as np
import polars as pl

from tsx.panel.calendar import Calendar
from tsx.panel.panel import Panel
from tsx.spec.schema import Schema


def autoregression(length: int, seed: int, *, lag: int = 7, weight: float = 0.9) -> np.ndarray:
    """y_t = weight y_{t-lag} + normal noise."""
    noise = np.random.default_rng(seed).normal(size=length)
    y = noise.copy()
    for t in range(lag, length):
        y[t] += weight * y[t - lag]
    return y


def driven(length: int, seed: int, *, lag: int = 3) -> np.ndarray:
    """(length, 2): y_t = 2 x_{t-lag} + little noise, and x itself, white noise."""
    random = np.random.default_rng(seed)
    x = random.normal(size=length)
    y = 0.3 * random.normal(size=length)
    y[lag:] += 2 * x[:-lag]
    return np.stack([y, x], 1)


def make_panel(
    series: list[np.ndarray], *, past: tuple[str, ...] = (), future: tuple[str, ...] = (), known_ahead: int = 0
) -> Panel:
    """A panel on plain steps from arrays (length,) or (length, C); the last `known_ahead` rows are no history."""
    tables = [np.asarray(s, dtype=np.float64).reshape(len(s), -1) for s in series]
    centers = np.stack([[next(iter(c[~np.isnan(c)]), 0.0) for c in table.T] for table in tables])
    values = np.concatenate([table - center for table, center in zip(tables, centers)]).astype(np.float32)
    rows = np.array([len(table) for table in tables])
    return Panel(
        values=values,
        offsets=np.concatenate([[0], np.cumsum(rows)]).astype(np.int64),
        lengths=(rows - known_ahead).astype(np.int64),
        centers=centers,
        ids=pl.Series([f"s{n}" for n in range(len(tables))]),
        starts=pl.Series([0] * len(tables), dtype=pl.Int64),
        calendar=Calendar("step", 1),
        schema=Schema("t", "y", "id", past=past, future=future),
        static_values=np.zeros((len(tables), 0), dtype=np.float32),
        static_labels=pl.DataFrame(),
    )
