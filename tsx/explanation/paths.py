"""How much of the forecasts goes through which path: the recurrence, the last season repeated, the linear skip."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch

from tsx.data.windows import Batch
from tsx.explanation.result import percent
from tsx.model.network import Network

LITTLE = 0.1
"""A recurrent path whose share and share of the variance are both under this carries next to nothing."""


def path_table(network: Network, population: Batch) -> pl.DataFrame:
    """path (season, linear, recurrent), share, variance_share, over the windows and steps of `population`.

    share: mean |part| over the sum of all three. variance_share: cov(part, movement) / var(movement), where movement is
    the forecast less the window's location, the sum of the parts; these add up to 1, and one is negative where a path
    takes back what another says. Where nothing moves all are 0.
    """
    with torch.inference_mode():
        found = network.paths(population)
    middle = network.config.median
    parts = {"season": found.season, "linear": found.linear, "recurrent": found.recurrent[..., middle]}
    values = np.stack([part.cpu().double().numpy().ravel() for part in parts.values()])
    sizes = np.abs(values).mean(1)
    centered = values - values.mean(1, keepdims=True)
    together = (centered * centered.sum(0)).mean(1)
    return pl.DataFrame(
        {
            "path": list(parts),
            "share": sizes / sizes.sum() if sizes.sum() > 0 else np.zeros(len(sizes)),
            "variance_share": together / together.sum() if together.sum() > 0 else np.zeros(len(sizes)),
        }
    )


def idle(paths: pl.DataFrame) -> bool:
    """Whether the recurrent path carries next to nothing, so that what the cells remember hardly matters."""
    own = paths.filter(pl.col("path") == "recurrent")
    share, variance = (float(own[name].sum()) for name in ("share", "variance_share"))
    return share < LITTLE and abs(variance) < LITTLE


def path_sentences(paths: pl.DataFrame) -> list[str]:
    """What the paths' shares mean for a reader; nothing where there is the recurrent path alone."""
    names = {"recurrent": "the recurrent path", "season": "the last season repeated", "linear": "the linear skip"}
    shares = {path: (share, variance) for path, share, variance in paths.iter_rows()}
    moved = [name for name in names if shares[name][0] > 0]
    parts = [f"{percent(shares[name][0])} {'' if k else 'goes '}through {names[name]}" for k, name in enumerate(moved)]
    if len(parts) < 2:
        return []
    words = [f"Of the size of the forecast's movement around its level, {', '.join(parts[:-1])} and {parts[-1]}."]
    if idle(paths):
        variance = shares["recurrent"][1]
        words.append(
            f"The recurrent path carries next to nothing ({percent(max(variance, 0.0))} of the forecasts' variation): "
            "what the cells remember hardly matters here."
        )
    return words
