"""Which stretch of time decided each of the first series, and what the series was: tables for pictures and words."""

from __future__ import annotations

import numpy as np
import polars as pl

from tsx.explanation.classes.cells import in_units
from tsx.explanation.classes.drivers import stretch
from tsx.explanation.classes.image import Image
from tsx.explanation.classes.run import ClassRun, ClassTask
from tsx.explanation.shap.importance_writer import square_beyond_error
from tsx.panel.panel import BETWEEN
from tsx.panel.words import texts_at

MOST_FEATURES = 2
"""Features of a series that are drawn, those that moved it most."""
CELLS = ("cell", "patch")
"""Players that a map can be made of."""


def series_tables(task: ClassTask, run: ClassRun, probabilities: np.ndarray) -> dict[str, pl.DataFrame]:
    """Of the first series and the class that each is shown with: tables for pictures.

    by_time    id, class, lag, oldest_lag, shap, shap_se: the SHAP values of all features at a lag. Their standard
               error is as if the features' errors were independent
    stretches  id, class, newest_lag, oldest_lag, share: the shortest stretch that holds half of the importance of time
    history    id, feature, lag, value: the features with lags that moved the series most
    words      id, class, feature, lag, word, shap, shap_se: of the features in words, where each lag plays alone
    image      id, class, row, column, value, shap: of series that are images, where cells or patches play, the rows
               from 1 down and the columns from left to right. Cells of a patch share its SHAP value evenly; a column
               that is not read has no value, and 0

    Each series is shown with the most probable one of the explained classes; `probabilities` (B, K). Empty where
    no player has a lag of its own, or nothing is shown of single series.
    """
    players = task.players
    timed = [(p, (lag, players.oldest[p])) for p, lag in enumerate(players.lag) if lag is not None]
    lags = sorted({each for _, each in timed})
    count = len(run.shown)
    if len(lags) < 2 or not count:
        return {}
    outputs = probabilities[:count][:, task.classes].argmax(1)
    values, errors = (
        np.stack([getattr(each, name)[:, o] for each, o in zip(run.shown, outputs)]) for name in ("values", "errors")
    )
    at = np.zeros((len(players), len(lags)))
    for p, each in timed:
        at[p, lags.index(each)] = 1.0
    by_lag, error = values @ at, np.sqrt(np.square(errors) @ at)
    sizes = square_beyond_error(values, errors) @ at
    class_of = pl.Series("class", [task.names[o] for o in outputs])
    ids = pl.DataFrame(task.panel.id_columns(task.series[:count])).with_columns(class_of)
    spread = ids[np.repeat(np.arange(count), len(lags))].with_columns(
        pl.Series("lag", [lag for lag, _ in lags] * count, dtype=pl.Int64),
        pl.Series("oldest_lag", [oldest for _, oldest in lags] * count, dtype=pl.Int64),
        pl.Series("shap", by_lag.ravel()),
        pl.Series("shap_se", error.ravel()),
    )
    length = task.rows[:count, -1].cpu().numpy()
    inside = np.repeat(length, len(lags)) >= np.tile([lag for lag, _ in lags], count)
    found = [stretch(each.tolist()) for each in sizes]
    kept = np.maximum(sizes, 0.0)
    share = [
        None if each is None else float(kept[k, each[0] : each[1] + 1].sum() / kept[k].sum())
        for k, each in enumerate(found)
    ]
    stretches = ids.with_columns(
        pl.Series("newest_lag", [None if s is None else lags[s[0]][0] for s in found], dtype=pl.Int64),
        pl.Series("oldest_lag", [None if s is None else lags[s[1]][1] for s in found], dtype=pl.Int64),
        pl.Series("share", share, dtype=pl.Float64),
    )
    tables = {"by_time": spread.filter(inside), "stretches": stretches}
    tables |= {"history": _history(task, values), "words": _words(task, ids, values, errors)}
    tables |= {"image": _images(task, ids, values)}
    return {name: table for name, table in tables.items() if name in ("by_time", "stretches") or table.height}


def _words(task: ClassTask, ids: pl.DataFrame, values: np.ndarray, errors: np.ndarray) -> pl.DataFrame:
    """The table `words` of the series with these `ids` (B, with their class), and values and errors (B, P)."""
    players, panel = task.players, task.panel
    lengths = np.minimum(np.diff(panel.offsets)[task.series[: len(ids)]], task.classifier.config.context_length)
    parts = []
    for p, (name, lag) in enumerate(zip(players.feature, players.lag, strict=True)):
        if name not in panel.schema.words or lag is None or lag != players.oldest[p]:
            continue
        some = np.flatnonzero(lengths >= lag)
        series = task.series[some]
        positions = np.diff(panel.offsets)[series] - lag
        parts.append(
            ids[some].with_columns(
                pl.lit(name).alias("feature"),
                pl.lit(lag).cast(pl.Int64).alias("lag"),
                texts_at(panel, panel.schema.words.index(name), series, positions[:, None])
                .str.replace_all(BETWEEN, " + ", literal=True)
                .alias("word"),
                pl.Series("shap", values[some, p]),
                pl.Series("shap_se", errors[some, p]),
                pl.Series("\x1fn", some),
            )
        )
    if not parts:
        return pl.DataFrame()
    table = pl.concat(parts).drop_nulls("word").sort("\x1fn", "feature", "lag", descending=[False, False, True])
    return table.drop("\x1fn")


def image_profile(task: ClassTask, run: ClassRun) -> dict[str, pl.DataFrame]:
    """The table `image_profile` (row, column, mean_abs_shap: over the series and classes) of series that are images."""
    image = task.image
    if image is None or task.question.players not in CELLS:
        return {}
    mean = run.tally.size.mean(0) / max(run.tally.series, 1)
    shap = image.spread(mean, task.players, task.cells).ravel()
    return {"image_profile": _pixels(image).with_columns(mean_abs_shap=shap)}


def _images(task: ClassTask, ids: pl.DataFrame, values: np.ndarray) -> pl.DataFrame:
    """`values` (B, P) of the class that each series is shown with."""
    image, cells = task.image, task.cells
    if image is None or task.question.players not in CELLS:
        return pl.DataFrame()
    rows = task.rows[: len(values), : cells.numbers_over_time].cpu().numpy()
    own = in_units(rows, np.tile(task.classifier.location, cells.steps))
    pixels = image.rows * len(image.columns)
    return pl.concat(
        [ids[np.repeat(np.arange(len(values)), pixels)], _pixels(image, len(values))], how="horizontal"
    ).with_columns(
        pl.Series("value", image.of_channels(own, cells, np.nan).ravel()).fill_nan(None),
        pl.Series("shap", image.spread(values, task.players, cells).ravel()),
    )


def _pixels(image: Image, times: int = 1) -> pl.DataFrame:
    """row, column of every pixel, so many times."""
    width = len(image.columns)
    rows = np.repeat(np.arange(1, image.rows + 1), width)
    return pl.DataFrame(
        {
            "row": np.tile(rows, times),
            "column": pl.Series(image.columns, dtype=pl.String).gather(np.tile(np.arange(width), image.rows * times)),
        }
    )


def _history(task: ClassTask, values: np.ndarray) -> pl.DataFrame:
    """id, feature, lag, value of the features that moved each series most; `values` (B, P) of its class."""
    players, cells = task.players, task.cells
    channels = [channel.name for channel in task.classifier.config.channels.time_varying]
    if not channels:
        return pl.DataFrame()
    each = np.abs(players.by_cell(values)[:, : cells.numbers_over_time])
    strength = each.reshape(len(values), -1, len(channels)).sum(1)
    rows = task.rows[: len(values), : cells.steps * len(channels)].cpu().numpy().astype(np.float64)
    lags = in_units(rows, np.tile(task.classifier.location, cells.steps)).reshape(len(values), cells.steps, -1)
    lengths = task.rows[: len(values), -1].cpu().numpy().astype(np.int64)
    strongest = np.argsort(-strength, axis=1, kind="stable")[:, :MOST_FEATURES]
    parts = []
    for k, length in enumerate(lengths):
        ids = pl.DataFrame(task.panel.id_columns(task.series[k : k + 1]))
        for c in strongest[k]:
            parts.append(
                ids[np.zeros(length, dtype=np.int64)].with_columns(
                    pl.lit(channels[c]).alias("feature"),
                    pl.Series("lag", np.arange(length, 0, -1)),
                    pl.Series("value", lags[k, cells.steps - length :, c]).fill_nan(None),
                )
            )
    return pl.concat(parts)
