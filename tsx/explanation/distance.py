"""How far single windows lie from those that the table has."""

from __future__ import annotations

import torch

from tsx.explanation.checks.refutation import manifold_distance
from tsx.model.batch import Batch
from tsx.model.network import Network


def distances(network: Network, windows: Batch, population: Batch) -> list[tuple[float | None, bool | None]]:
    """Of each of `windows`: its distance from the mean of the population over that of usual windows, and whether it is
    farther out than 95 % of them, both in window scales (`manifold_distance`). None where that cannot be said.
    """
    with torch.inference_mode():
        mixed, real = (network.encode(each).lags.flatten(1).cpu().double().numpy() for each in (windows, population))
    found: list[tuple[float | None, bool | None]] = []
    for window in mixed:
        distance = manifold_distance(window[None], real)
        found.append((None, None) if distance is None else (distance.ratio, bool(distance.outside)))
    return found
