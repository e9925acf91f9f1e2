"""Which context the forecasts need: the window is cut short at test time, and the error tells what was missed.

Nothing is trained again, so the figure is about this network: one trained with a shorter context may need less.

What stands in the place of the lags that are cut off must carry nothing of them, and should be something the network
can cope with. Two such things are tried, and at every length the one that the network forecasts better with counts:
the lags are missing, as training met them where windows begin before their series; or the lags that are left are
repeated backwards, so that the window's level, scale and rhythm are theirs. A network that averages the whole window
into its level takes missing lags for lags at the level, which is a mistake but no want of memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import torch

from tsx.explanation.measure import Context, Measure, Measured, Results, TableSpec
from tsx.model.categories import NO_WORD
from tsx.model.forecaster import Forecaster
from tsx.model.trained import BATCH
from tsx.panel.cutoffs import Cutoffs, observed_cutoffs
from tsx.panel.panel import Panel
from tsx.spec.network import NetworkConfig
from tsx.wording import percent

WINDOWS = 512
HELD_OUT = 0.2
"""The last part of every series whose forecasts are judged."""
LENGTHS = 8
OLDER = ("missing", "repeated")
TABLE = TableSpec(
    "memory_needed",
    {
        "context_length": pl.Int64,
        **dict.fromkeys(("mae", "mae_se", "difference", "difference_se"), pl.Float64),
        "windows": pl.Int64,
        "older": pl.String,
    },
)
NOTICED = 0.01
"""A difference of less than this share of the error matters to nobody, however surely it is not chance."""


def newest_needed(newest: int, of: int) -> dict[str, int]:
    """The fact `memory_needed` of every model: how many of the newest steps are enough, `of` those that it reads."""
    return {"newest": newest, "of": of}


def memory_needed(
    forecaster: Forecaster, panel: Panel, windows: int = WINDOWS
) -> tuple[pl.DataFrame, dict[str, int] | None, str]:
    """A table, what is enough as `newest_needed` says, and the sentence about it.

    The table: context_length, mae, mae_se, difference, difference_se (to the whole context), windows, older.
    Over at most `windows` cutoffs, evenly chosen from the last fifth of every series (its last horizon at least), the
    newest `context_length` steps are read; `older` says what stood in the place of older lags (missing, repeated).
    mae: mean over windows of the mean |y - yhat| over the horizon, units of y. Standard errors take windows of one
    series whose cutoffs lie within one horizon as one observation, since their horizons overlap. The error stops
    improving at the shortest context whose error is above the least by no more than one standard error
    of that difference (as Breiman, Friedman, Olshen & Stone 1984, section 3.4.3) or by 1 %. No rows, and None,
    where no series is long enough.
    """
    config = forecaster.config
    candidates = _held_out(panel, config)
    lengths = context_lengths(config)
    if len(candidates) == 0:
        sentence = (
            f"No series is long enough to cut its context short: that needs a context of {config.context_length} steps "
            "with a forecast after it."
        )
        return _table(lengths[:0], np.zeros((0, 0)), np.zeros(0, np.int64), []), None, sentence
    series, cutoffs = candidates.spread(windows)
    tried = _errors(forecaster, panel, series, cutoffs, lengths)
    better = tried.mean(2).argmin(0)
    errors = tried[better, np.arange(len(lengths))]
    blocks = np.unique(np.stack([series, cutoffs // config.horizon]), axis=1, return_inverse=True)[1].ravel()
    table = _table(lengths, errors, blocks, [OLDER[n] for n in better])
    enough = shortest_sufficient(errors, blocks)
    needed = newest_needed(int(lengths[enough]), config.context_length)
    return table, needed, _sentence(table, enough, panel.calendar.span)


def context_lengths(config: NetworkConfig) -> np.ndarray:
    """The context lengths that are tried: whole segments, about eight, the season and the whole context among them."""
    steps = np.geomspace(1, config.segments, LENGTHS).round().astype(np.int64)
    if 1 < config.season <= config.context_length:
        steps = np.append(steps, -(-config.season // config.segment))
    return np.unique(steps) * config.segment


def shortest_sufficient(errors: np.ndarray, blocks: np.ndarray) -> int:
    """Which row of `errors` (lengths upwards, windows) is the first that is no worse than the best."""
    means = errors.mean(1)
    best = int(means.argmin())
    allowed = [
        max(_standard_error(row - errors[best], blocks), NOTICED * means[best]) if n != best else 0.0
        for n, row in enumerate(errors)
    ]
    return int((means - means[best] <= np.array(allowed)).argmax())


def _held_out(panel: Panel, config: NetworkConfig) -> Cutoffs:
    last = panel.lengths - 1 - config.horizon
    held = np.maximum((HELD_OUT * panel.lengths).astype(np.int64), config.horizon)
    first = np.maximum(last - held + 1, config.context_length - 1)
    return observed_cutoffs(panel, first, last, config.context_length, config.horizon)


def _errors(
    forecaster: Forecaster, panel: Panel, series: np.ndarray, cutoffs: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """(2, lengths, windows): mean |y - yhat| over the observed steps of the horizon, for each of `OLDER`."""
    network, source, context = forecaster.network, forecaster.windows(panel), forecaster.config.context_length
    errors = np.empty((len(OLDER), len(lengths), len(series)))
    with torch.inference_mode():
        for begin in range(0, len(series), BATCH):
            part = slice(begin, begin + BATCH)
            batch = source.cut(series[part], cutoffs[part])
            for n, length in enumerate(lengths):
                newest = batch.past[:, context - length :]
                nothing = torch.full_like(batch.past[:, : context - length], torch.nan)
                read = batch.words[:, context - length :]
                unread = torch.full_like(batch.words[:, : context - length], NO_WORD)
                repeated, again = (each.repeat(1, -(-context // length), 1)[:, -context:] for each in (newest, read))
                ways = (torch.cat([nothing, newest], 1), torch.cat([unread, read], 1)), (repeated, again)
                for way, (past, words) in enumerate(ways):
                    forecast = network.point(network(replace(batch, past=past, words=words)))
                    errors[way, n, part] = (batch.target - forecast).abs().nanmean(1).cpu().numpy()
    return errors


def _table(lengths: np.ndarray, errors: np.ndarray, blocks: np.ndarray, older: list[str]) -> pl.DataFrame:
    differences = errors - errors[-1:]
    return TABLE.frame(
        {
            "context_length": lengths,
            "mae": errors.mean(1) if len(lengths) else np.zeros(0),
            "mae_se": np.array([_standard_error(row, blocks) for row in errors], dtype=np.float64),
            "difference": differences.mean(1) if len(lengths) else np.zeros(0),
            "difference_se": np.array([_standard_error(row, blocks) for row in differences], dtype=np.float64),
            "windows": np.full(len(lengths), errors.shape[1]),
            "older": pl.Series(older, dtype=pl.String),
        }
    )


def _standard_error(values: np.ndarray, blocks: np.ndarray) -> float:
    """Of the mean of `values` (W), those of one block taken as dependent (Liang & Zeger 1986); 0 for one block."""
    sums = np.bincount(blocks, values - values.mean())
    count = len(sums)
    return float(np.sqrt(np.square(sums).sum() * count / (count - 1)) / len(values)) if count > 1 else 0.0


def _sentence(table: pl.DataFrame, enough: int, span: Callable[[int], str]) -> str:
    lengths, errors = table["context_length"].to_list(), table["mae"].to_numpy()
    whole = span(lengths[-1])
    if len(lengths) == 1:
        return f"The context of {whole} is one segment, so there is nothing to cut."
    if enough == len(lengths) - 1:
        return (
            f"The error improves up to the whole context of {whole}: with {span(lengths[-2])} it is "
            f"{percent(errors[-2] / errors[-1] - 1)} higher. A longer context may help."
        )
    words = f"From a context of {span(lengths[enough])} on the error stops improving"
    if enough > 0 and errors[enough - 1] > errors[enough] > 0:
        words += f"; with {span(lengths[enough - 1])} it is {percent(errors[enough - 1] / errors[enough] - 1)} higher"
    gap = errors[enough] / errors[-1] - 1 if errors[-1] > 0 else 0.0
    if gap < -NOTICED:
        words += f". The whole context of {whole} does worse, by {percent(1 / (1 + gap) - 1)}"
    return words + "."


def _measure(context: Context, results: Results) -> Measured:
    table, needed, sentence = memory_needed(context.forecaster, context.panel)
    return Measured({TABLE.name: table}, {TABLE.name: needed} if needed else {}, sentences=(sentence,))


CONTEXT_ABLATION = Measure(
    name="context_ablation",
    section="reach",
    group="How far back it looks",
    tables=(TABLE,),
    measure=_measure,
    applies=lambda context: context.question.memory_needed,
)
