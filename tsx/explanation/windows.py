"""Which windows are explained, what stands in for their absent values, and the game that is played on one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from tsx.data.panel import Panel
from tsx.data.windows import Batch, Cutoffs, evenly, observed_cutoffs
from tsx.errors import DataError
from tsx.explanation.shapley import Game
from tsx.forecaster import Forecaster
from tsx.model.network import Network

POPULATION = 512
"""Windows over which memory, gradients, paths and the surrogate are averaged."""
FEWEST_REFERENCES = 8
"""With fewer earlier windows of its own, a series borrows the references of the whole panel."""


def choose(forecaster: Forecaster, panel: Panel, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(series, cutoffs) to explain, and which of them are newest forecasts.

    The newest of every series, or of evenly spaced ones where there are more series than `count`; then, a horizon
    earlier each round, those whose whole context lies in the series and has an observed target.
    """
    series, cutoffs = forecaster.cutoffs(panel)
    kept = evenly(len(series), count)
    series, cutoffs = series[kept], cutoffs[kept]
    newest = np.arange(len(series))
    horizon, context = forecaster.config.horizon, forecaster.config.context_length
    chosen_series, chosen_cutoffs = [series], [cutoffs]
    missing = count - len(series)
    back = 0
    while missing > 0:
        back += horizon
        earlier = np.flatnonzero(cutoffs - back >= context - 1)
        if len(earlier) == 0:
            break
        earlier = earlier[_sees_target(panel, series[earlier], cutoffs[earlier] - back, context)][:missing]
        chosen_series.append(series[earlier])
        chosen_cutoffs.append(cutoffs[earlier] - back)
        missing -= len(earlier)
    return np.concatenate(chosen_series), np.concatenate(chosen_cutoffs), newest


def _sees_target(panel: Panel, series: np.ndarray, cutoffs: np.ndarray, context: int) -> np.ndarray:
    """(B) whether the `context` steps up to each cutoff, all within the series, have an observed target."""
    rows = panel.offsets[series][:, None] + cutoffs[:, None] + np.arange(1 - context, 1)
    return np.asarray(~np.isnan(panel.values[rows, 0]).all(1))


def references_of(panel: Panel, forecaster: Forecaster, series: int, cutoff: int) -> tuple[Cutoffs, bool]:
    """Where reference windows may come from, and whether that is the series' own past.

    Earlier windows of the same series with an observed target, clear of the explained context where there are enough
    of those; for a series too short for that, windows of the whole panel: of other series up to a horizon before their
    ends, of this one only those before `cutoff`. Raises DataError `nothing-to-compare` where there is none at all.
    """
    config = forecaster.config
    context = config.context_length
    nowhere = np.full(len(panel), -1, dtype=np.int64)
    for last in (cutoff - context, cutoff - 1):
        bounds = nowhere.copy()
        bounds[series] = last
        own = observed_cutoffs(panel, np.full(len(panel), context - 1), bounds, context, 0)
        if len(own) >= FEWEST_REFERENCES:
            return own, True
    for shortest, spared in ((config.shortest_context, config.horizon), (1, 0)):
        bounds = panel.lengths - 1 - spared
        bounds[series] = min(bounds[series], cutoff - 1)
        everywhere = observed_cutoffs(panel, nowhere + shortest, bounds, context, 0)
        if len(everywhere):
            return everywhere, False
    raise DataError(
        "nothing-to-compare",
        "the table has no window before the explained one that could stand in for absent values",
        hint="bring more rows, or more series",
    )


def draw(candidates: Cutoffs, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`count` of them at random, none twice before all have come up once."""
    rounds = -(-count // len(candidates))
    return candidates.pick(np.concatenate([random.permutation(len(candidates)) for _ in range(rounds)])[:count])


def population_of(panel: Panel, context: int, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows with a whole context and a target in it, evenly over series and times; shorter where there are none."""
    whole = observed_cutoffs(panel, np.full(len(panel), context - 1), panel.lengths - 1 - horizon, context, 0)
    if len(whole) == 0:
        whole = observed_cutoffs(panel, np.zeros(len(panel), dtype=np.int64), panel.lengths - 1, context, 0)
    return whole.spread(POPULATION)


def flatten(batch: Batch) -> Tensor:
    """(B, P): the cells of every window, in the order of `Players.of`."""
    return torch.cat([batch.past.flatten(1), batch.future.flatten(1)], 1)


def game_of(forecaster: Forecaster, batch: Batch) -> Game:
    """The point forecast as a function of the cells of one window, its statics held."""
    config, network = forecaster.config, forecaster.network
    middle = config.median
    lags = config.context_length * config.channels

    def game(cells: Tensor) -> Tensor:
        n = len(cells)
        mixed = Batch(
            past=cells[:, :lags].unflatten(1, (config.context_length, config.channels)),
            future=cells[:, lags:].unflatten(1, (config.horizon, config.future)),
            static_values=batch.static_values.expand(n, -1),
            static_codes=batch.static_codes.expand(n, -1),
            usual_scale=batch.usual_scale.expand(n),
            target=batch.target.expand(n, -1),
        )
        forecast: Tensor = network(mixed)[..., middle]
        return forecast

    return game


def at_level_of(network: Network, references: Batch, explained: Batch) -> Batch:
    """`references` with their target moved to the location of the `explained` window.

    For references of other series, whose level says nothing about this one: only their shape is compared then.
    """
    with torch.inference_mode():
        move = network.encode(explained).location - network.encode(references).location
    past = references.past.clone()
    past[..., 0] += move
    return replace(references, past=past)
