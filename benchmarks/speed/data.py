"""Made-up tables and models that several rows use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

HOUR = 3_600_000_000


def hourly(series: int, rows: int, seed: int = 0) -> pl.DataFrame:
    """Series of a daily season and noise, one after the other: `id`, `time`, `y`."""
    random = np.random.default_rng(seed)
    steps = np.arange(rows)
    values = 10 + np.sin(2 * np.pi * steps / 24) + 0.3 * random.normal(size=(series, rows))
    return pl.DataFrame(
        {
            "id": np.repeat(np.arange(series), rows),
            "time": pl.Series(np.tile(steps, series) * HOUR).cast(pl.Datetime("us")),
            "y": values.ravel(),
        }
    )


def fitted(folder: Path, *, segment: int, horizon: int = 24, context: int = 72) -> Path:
    """A model of hourly series, trained for a few steps: what it costs does not depend on what it knows.

    Of one network, as a fit of very many series makes it: the pretrained one is not offered to these.
    """
    import tsx

    model = folder / f"model-{segment}"
    tsx.fit(
        hourly(100, 300),
        model=model,
        horizon=horizon,
        context_length=context,
        segment=segment,
        hidden_size=128,
        max_steps=20,
        network_only=True,
    )
    return model
