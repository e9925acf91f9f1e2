"""How much of the forecasts goes through which path: recurrence, smoothed season, or level, trend and linear map."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch

from tsx.explanation.result import percent
from tsx.model.batch import Batch
from tsx.model.network import Network

LITTLE = 0.1
"""A recurrent path whose share and share of the variance are both under this carries next to nothing."""

NOTHING_ADDED = (
    "The network adds nothing to the smoothing of level, trend and season here: its memory does not matter for the "
    "forecast."
)


def path_table(network: Network, population: Batch) -> pl.DataFrame:
    """path (season, linear, recurrent), share, variance_share, over the windows and steps of `population`.

    Of the point forecast. share: mean |part| over the sum of all three. variance_share: cov(part, movement) /
    var(movement), where movement is the forecast less the window's location, the sum of the parts; these add up to 1,
    and one is negative where a path takes back what another says. Where nothing moves all are 0.
    """
    with torch.inference_mode():
        found = network.paths(population)
    parts = {"season": found.season, "linear": found.linear, "recurrent": network.point(found.recurrent)}
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


def path_sentences(paths: pl.DataFrame, share: float = 1.0) -> list[str]:
    """What the paths' shares mean for a reader; nothing where there is the recurrent path alone.

    `share`: how much of what the network adds to the smoothing is trusted.
    """
    names = {
        "recurrent": "the recurrent path",
        "season": "the smoothed season",
        "linear": "level, trend and the linear map" if share else "level and trend",
    }
    shares = {path: (size, variance) for path, size, variance in paths.iter_rows()}
    moved = [name for name in names if shares[name][0] > 0]
    parts = [f"{percent(shares[name][0])} {'' if k else 'goes '}through {names[name]}" for k, name in enumerate(moved)]
    words = []
    if len(parts) > 1:
        listed = f"{', '.join(parts[:-1])} and {parts[-1]}"
        words.append(f"Of the size of the forecast's movement around its level, {listed}.")
    if not share:
        words.append(NOTHING_ADDED)
    elif words and idle(paths):
        variance = shares["recurrent"][1]
        words.append(
            f"The recurrent path carries next to nothing ({percent(max(variance, 0.0))} of the forecasts' variation): "
            "what the cells remember hardly matters here."
        )
    elif share < 1:
        words.append(
            f"Of what the network adds to the smoothing of level, trend and season, {percent(share)} is trusted: more "
            "did not help on held-out windows, or none could be held out."
        )
    return words
