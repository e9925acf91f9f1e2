"""Which words move the classes: the SHAP values of the times that hold a word, over all explained series.

Only words that the classifier knows have a name, which enough series share that it learnt from.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from tsx.explanation.classes.drivers import ERRORS, LEAST, MOST_CLASSES, NAMED
from tsx.explanation.classes.game import LOG_ODDS
from tsx.explanation.classes.run import ClassTask
from tsx.explanation.measure import TableSpec
from tsx.model.categories import OTHER, word_names
from tsx.wording import count, number

FEWEST = 3
"""Explained series that hold a word from which on something is said of it."""
ROW, SERIES, PLAYER = "\x1frow", "\x1fseries", "\x1fplayer"
WORD_PROFILE = TableSpec(
    "word_profile",
    {
        **dict.fromkeys(("class", "feature", "word"), pl.String),
        **dict.fromkeys(("series", "times"), pl.Int64),
        **dict.fromkeys(("mean_shap", "shap_se"), pl.Float64),
    },
)


def word_profile(task: ClassTask, path: Path) -> pl.DataFrame:
    """The table `WORD_PROFILE` of the long table of SHAP values at `path`: what moves a class most comes first.

    A row for each class and each known word that `FEWEST` explained series hold, of a private explanation as many as a
    group has at least. `mean_shap` is over the `times` that hold the word, whatever other words these hold, and
    `shap_se` its standard error over `series` drawn at random, for a ratio (Cochran 1977, *Sampling Techniques*, 6.4).
    Words are sorted by what all their times add up to. Empty where no time of words is a player by itself.
    """
    channels = task.classifier.config.channels.words
    names = [pl.Series([None, *word_names(channel)], dtype=pl.String) for channel in channels]
    parts = _holding(task, [name.is_not_null().to_numpy() for name in names])
    if not parts:
        return WORD_PROFILE.empty()
    held = pl.concat(parts)
    players = held[PLAYER].unique().to_list()
    every = len(task.players)
    classes = pl.Series(task.names, dtype=pl.String)
    rows = (
        pl.scan_parquet(path)
        .select("shap")
        .with_row_index(ROW)
        .with_columns((pl.col(ROW) % every).cast(pl.Int64).alias(PLAYER))
        .filter(pl.col(PLAYER).is_in(players))
        .with_columns(
            (pl.col(ROW) // (every * len(classes))).cast(pl.Int64).alias(SERIES),
            (pl.col(ROW) // every % len(classes)).cast(pl.Int64).alias("class"),
        )
        .drop(ROW)
        .collect()
    )
    least = max(FEWEST, task.detail.least_group)
    of = ("class", "feature", "word")
    shap, times = pl.col("shap"), pl.col("times")
    frame = (
        held.join(rows, on=[SERIES, PLAYER], maintain_order="left_right")  # the same sums, to the last bit
        .group_by(*of, SERIES, maintain_order=True)
        .agg(shap.sum(), pl.len().alias("times"))
        .with_columns((shap.sum().over(of) / times.sum().over(of)).alias("mean_shap"))
        .group_by(of, maintain_order=True)
        .agg(
            pl.len().cast(pl.Int64).alias("series"),
            times.sum().cast(pl.Int64).alias("times"),
            pl.col("mean_shap").first(),
            (shap - pl.col("mean_shap") * times).pow(2).sum().alias("shap_se"),
        )
        .filter(pl.col("series") >= least)
        .with_columns(((pl.col("shap_se") * pl.col("series") / (pl.col("series") - 1)).sqrt() / times).alias("shap_se"))
    )
    frame = frame.with_columns(
        pl.Series("word", [names[k][code] for k, code in frame.select("feature", "word").rows()], dtype=pl.String),
        pl.Series("feature", [channels[k].name for k in frame["feature"]], dtype=pl.String),
    ).sort("class", (pl.col("mean_shap") * times).abs(), "feature", "word", descending=[False, True, False, False])
    named = frame.with_columns(classes.gather(frame["class"]).alias("class"))
    return WORD_PROFILE.frame(named.select(list(WORD_PROFILE.columns)).to_dict())


def _holding(task: ClassTask, known: Sequence[np.ndarray]) -> list[pl.DataFrame]:
    """For each player that is one time of words: the series in which that time holds a word, and its code.

    known  for each channel of words (1 + V, bool): which codes have a name
    """
    players, cells = task.players, task.rows.cpu().numpy()
    numbers = {channel.name: k for k, channel in enumerate(task.classifier.config.channels.words)}
    parts = []
    for player, (feature, lag, oldest) in enumerate(zip(players.feature, players.lag, players.oldest, strict=True)):
        if feature not in numbers or lag is None or lag != oldest:
            continue
        channel = numbers[feature]
        codes = cells[:, players.of_cell == player].astype(np.int64).clip(min=OTHER)
        series, column = np.nonzero(known[channel][codes])
        parts.append(
            pl.DataFrame({SERIES: series, "word": codes[series, column]}).with_columns(
                pl.lit(player, pl.Int64).alias(PLAYER), pl.lit(channel, pl.Int64).alias("feature")
            )
        )
    return [part for part in parts if part.height]


def word_sentences(
    words: pl.DataFrame, features: pl.DataFrame, classes: Sequence[str], label: str, explain: str
) -> list[str]:
    """For each class and feature of words that is named among its drivers, the words that move it most and which way.

    words     the table `WORD_PROFILE`
    features  class, feature, share
    """
    unit, moved = ("log-odds", "odds") if explain == LOG_ODDS else ("probability", "probability")
    clear = words.filter(pl.col("mean_shap").abs() >= ERRORS * pl.col("shap_se"), pl.col("mean_shap") != 0)
    named = features.filter(pl.col("share") >= LEAST)
    sentences = []
    for name in classes[:MOST_CLASSES]:
        for feature in named.filter(pl.col("class") == name)["feature"]:
            own = clear.filter(pl.col("class") == name, pl.col("feature") == feature).head(NAMED)
            phrases: list[str] = []
            for row in own.iter_rows(named=True):
                way = "raises" if row["mean_shap"] > 0 else "lowers"
                whose = f"the {moved} of {label} = {name} most" if not phrases else "it" if moved != "odds" else "them"
                size = f"SHAP value {number(row['mean_shap'], 3)} ± {number(row['shap_se'], 2)}"
                where = count(row["series"], "series", "series")
                measured = f"{size} in {unit} at a time that holds it, {where}" if not phrases else f"{size}, {where}"
                phrases.append(f"{row['word']} {way} {whose} ({measured})")
            if phrases:
                sentences.append(f"Of the words of {feature}, {'; then '.join(phrases)}.")
    return sentences
