"""Measured memory: how far the forecast moves when one input of the past moves, and all else stays.

Every input is moved by half a standard deviation up and down, and the difference of the two forecasts is taken: so the
response is per standard deviation, while no input goes further than half of one from where it was. The standard
deviation is that of the feature within the window, since the panel's would carry a small series far outside its data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.explanation.measure import Context, Measure, Measured, Results, TableSpec
from tsx.explanation.memory.agreement import lag_curve
from tsx.explanation.shap.game import frame_of_rows
from tsx.model.batch import Batch
from tsx.model.network import Network
from tsx.model.window_scaler import Frame
from tsx.panel.sampling import evenly_spaced
from tsx.spec.channels import Channels
from tsx.spec.settings import Level

WINDOWS = 32
"""Windows at most whose inputs are moved."""
FEWEST_WINDOWS = 16
PASSES = 12_288
"""Windows pushed through the network at most; where lags and features are many, fewer windows and blocks of lags."""
FEWEST_BLOCKS = 12
ROWS = 512
RESPONSE_TABLE = TableSpec(
    "response", {"feature": pl.String, "lag": pl.Int64, "response": pl.Float64, "share": pl.Float64}
)


@dataclass(frozen=True)
class _Block:
    """Inputs that move together: a feature, its position among the channels, and the lags `newest` to `oldest`.

    A future step has one lag, below 1.
    """

    feature: str
    channel: int
    newest: int
    oldest: int


def response_table(network: Network, population: Batch, level: Level = "follow") -> pl.DataFrame:
    """feature, lag, response, share: root mean square change of the point forecast over windows and steps, units of y.

    For every lag of every feature, and lags below 1 for what is known ahead. Over windows where the input was observed;
    0 where it never was, or never moves. `level`: whether the window's location and scale follow the moved input
    (then a move of a recent level moves the forecast with it), or stay. A long past is moved in blocks of lags, finer
    towards the cutoff, each lag by a sign of its own: the mean square over windows is that of the sum of their squares,
    which the lags of the block share. Costs 12,288 windows at most, or 12 blocks a feature over 16 windows.
    """
    config = network.config
    blocks, windows = _plan(config.channels, config.context_length, config.horizon)
    batch = population.take(evenly_spaced(len(population), windows))
    signs = torch.from_numpy(np.random.default_rng(0).choice((-0.5, 0.5), batch.past.shape[:2])).to(batch.past)
    spread, ahead = _spread(batch.past), config.channels.ahead_positions
    responses = np.empty(len(blocks))
    with torch.inference_mode():
        frame = network.frame(batch) if level == "hold" else None
        size = max(1, ROWS // (2 * len(batch)))
        for begin in range(0, len(blocks), size):
            numbers = range(begin, min(begin + size, len(blocks)))
            moves = [_move(batch, blocks[n], spread, signs, ahead) for n in numbers]
            squares = _squared_changes(network, batch, moves, frame)
            for n, square, (past, future) in zip(numbers, squares, moves):
                cells = torch.cat([(past != 0).flatten(1), (future != 0).flatten(1)], 1).sum()
                responses[n] = float((square.sum() / (cells.clamp(min=1) * config.horizon)).sqrt())
    counts = [block.oldest - block.newest + 1 for block in blocks]
    long = np.repeat(responses, counts)
    return RESPONSE_TABLE.frame(
        {
            "feature": [block.feature for block, n in zip(blocks, counts) for _ in range(n)],
            "lag": np.concatenate([np.arange(block.newest, block.oldest + 1) for block in blocks]),
            "response": long,
            "share": long / long.sum() if long.sum() > 0 else long,
        }
    )


def _plan(channels: Channels, context: int, horizon: int) -> tuple[list[_Block], int]:
    """The blocks to move and over how many windows, so that the cost is bounded."""
    features, ahead, windows = len(channels.time_varying), len(channels.ahead), WINDOWS

    def cost(edges: int) -> int:
        return 2 * windows * (features * edges + ahead * horizon)

    while windows > FEWEST_WINDOWS and cost(context) > PASSES:
        windows -= 8
    afford = (PASSES // (2 * windows) - ahead * horizon) // features
    count = min(max(afford, FEWEST_BLOCKS), context)
    edges = np.unique(np.geomspace(1, context + 1, count + 1).round().astype(np.int64))
    if count == context:
        edges = np.arange(1, context + 2)
    blocks = []
    for position, channel in enumerate(channels.time_varying):
        if channel.role == "future":
            blocks += [_Block(channel.name, position, lag, lag) for lag in range(1 - horizon, 1)]
        blocks += [_Block(channel.name, position, int(a), int(b) - 1) for a, b in pairwise(edges)]
    return blocks, windows


def _spread(past: Tensor) -> Tensor:
    """(B, C) every feature's standard deviation in each window; where it is 0, its root mean square over the others."""
    observed = ~torch.isnan(past)
    counts = observed.sum(1).clamp(min=1)
    values = torch.where(observed, past, 0.0)
    mean = values.sum(1) / counts
    spread = (torch.where(observed, values - mean[:, None], 0.0).square().sum(1) / counts).sqrt()
    typical = (spread.square().sum(0) / (spread > 0).sum(0).clamp(min=1)).sqrt()
    return torch.where(spread > 0, spread, typical)


def _move(batch: Batch, block: _Block, spread: Tensor, signs: Tensor, ahead: slice) -> tuple[Tensor, Tensor]:
    """What is added to the past (B, T, C) and the future (B, H, F); 0 where nothing was observed."""
    past, future = torch.zeros_like(batch.past), torch.zeros_like(batch.future)
    if block.newest < 1:
        move = torch.zeros_like(spread)
        move[:, block.channel] = 0.5 * spread[:, block.channel]
        future[:, -block.newest] = move[:, ahead]
        return past, torch.where(torch.isnan(batch.future), 0.0, future)
    end = past.shape[1] - block.newest + 1
    lags = slice(end - (block.oldest - block.newest + 1), end)
    alone = block.newest == block.oldest
    size = torch.full_like(signs[:, lags], 0.5) if alone else signs[:, lags]
    past[:, lags, block.channel] = size * spread[:, block.channel, None]
    return torch.where(torch.isnan(batch.past), 0.0, past), future


def _squared_changes(
    network: Network, batch: Batch, moves: list[tuple[Tensor, Tensor]], frame: Frame | None
) -> list[Tensor]:
    """A (B, H) each: the squared difference between the forecasts of the windows moved up and moved down."""
    past = torch.cat([batch.past + sign * past for past, _ in moves for sign in (1, -1)])
    future = torch.cat([batch.future + sign * future for _, future in moves for sign in (1, -1)])
    repeats = 2 * len(moves)
    moved = replace(batch.take(np.tile(np.arange(len(batch)), repeats)), past=past, future=future)
    if frame is not None:
        frame = frame_of_rows(frame, torch.arange(len(batch)).repeat(repeats))
    forecast = network.point(network.components(moved, frame).quantiles())
    up, down = forecast.unflatten(0, (len(moves), 2, len(batch))).unbind(1)
    return list((up - down).square())


def _measure(context: Context, results: Results) -> Measured:
    table = response_table(context.network, context.population, context.question.level)
    curve = lag_curve(table, "response", context.config.context_length)
    return Measured({"response": table}, by_lag={"response": curve})


RESPONSE = Measure(name="response", section="reach", tables=(RESPONSE_TABLE,), measure=_measure)
