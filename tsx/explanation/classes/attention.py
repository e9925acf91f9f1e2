"""Where the attention of a classifier looks, and whether that may be read as importance.

The weights are those of its mean of the states (`tsx.model.heads.classes.AttentionPooling`), which stands beside their
plain mean, their largest and their last: much may reach the classes past it. Hence the check, as of forecasters.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.explanation.checks.attention import WINDOWS, ShuffledAttention, moved_by_shuffling
from tsx.explanation.classes.game import log_odds
from tsx.explanation.classes.measure import ClassContext, ClassMeasure, ClassResults
from tsx.explanation.classes.run import ClassTask
from tsx.explanation.measure import Measured, TableSpec
from tsx.explanation.ranks import spearman
from tsx.model.classifier import CombinedClassifier
from tsx.model.heads.classes import weighted
from tsx.model.sequence_classifier import SequenceClassifier
from tsx.model.sequences import SequenceBatch
from tsx.panel.sampling import evenly_spaced
from tsx.spec.classifier import NETWORKS

SERIES = 256
"""Series at most whose attention is measured."""
TABLE = TableSpec(
    "attention", {"lag": pl.Int64, **dict.fromkeys(("mean", "q10", "q90"), pl.Float64), "series": pl.Int64}
)


def attention_weights(network: CombinedClassifier, batch: SequenceBatch) -> Tensor:
    """(B, T) by lag, lag 1 first: the mean over the networks. NaN for a lag that a series does not have.

    The steps of a segment share its weight evenly, so that the lags of a series sum to one.
    """
    with torch.inference_mode():
        weights = torch.stack([_weights(member, batch)[2] for member in _members(network)]).mean(0).double()
    segment, lengths = network.config.segment, batch.lengths[:, None]
    step = lengths - torch.arange(1, int(lengths.max()) + 1, device=lengths.device)
    of = step.clamp(min=0) // segment
    own = weights.gather(1, of) / (lengths - of * segment).clamp(max=segment)
    return own.masked_fill(step < 0, torch.nan)


def attention_table(network: CombinedClassifier, batch: SequenceBatch) -> pl.DataFrame:
    """lag, mean, q10, q90 (of the weights, over the series that have this lag), series (how many these are)."""
    weights = attention_weights(network, batch).cpu().numpy()
    low, high = np.nanquantile(weights, (0.1, 0.9), axis=0)
    return TABLE.frame(
        {
            "lag": np.arange(1, weights.shape[1] + 1),
            "mean": np.nanmean(weights, axis=0),
            "q10": low,
            "q90": high,
            "series": (~np.isnan(weights)).sum(0),
        }
    )


def shuffled_class_attention(task: ClassTask, profile: pl.DataFrame) -> ShuffledAttention:
    """Attention against the SHAP values of the `profile`, and against itself in another order; of the first network.

    The ranks are those of the lags that are played, by the weight and the mean squares of SHAP values that each series
    has there on average.
    """
    network = task.classifier.network
    if not network.weight(NETWORKS):
        return ShuffledAttention(used=False, agreement=None, moved=0.0)
    batch = task.cells.batch(task.rows[torch.as_tensor(evenly_spaced(len(task.rows), WINDOWS))])
    weights = attention_weights(network, batch).nan_to_num(0.0).mean(0).cpu().numpy()
    member, classes = _members(network)[0], torch.from_numpy(task.classes)
    with torch.inference_mode():
        states, valid, own = _weights(member, batch)
        reads = dict.fromkeys(member.routes, member.inputs(batch))

        def odds(context: Tensor) -> Tensor:
            return log_odds(member.logits(reads, batch, context[:, 0]).log_softmax(-1), classes)

        moved = moved_by_shuffling(odds, states, weighted(states, own)[:, None], own[:, None], valid)
    return ShuffledAttention(used=True, agreement=_agreement(weights, profile), moved=moved)


def _agreement(weights: np.ndarray, profile: pl.DataFrame) -> float | None:
    """Spearman's rank correlation of weights (T), lag 1 first, and SHAP values, over the lags that are played."""
    last = pl.col("oldest_lag") if "oldest_lag" in profile.columns else pl.col("lag")
    played = (
        profile.filter(pl.col("lag") > 0)
        .group_by(first="lag", last=last)
        .agg(pl.col("mean_square_shap").sum())
        .sort("first", "last")
    )
    attended = [weights[row["first"] - 1 : row["last"]].sum() for row in played.iter_rows(named=True)]
    return spearman(np.array(attended), played["mean_square_shap"].to_numpy())


def _members(network: CombinedClassifier) -> list[SequenceClassifier]:
    return [member for member in network.members if isinstance(member, SequenceClassifier)]


def _weights(member: SequenceClassifier, batch: SequenceBatch) -> tuple[Tensor, Tensor, Tensor]:
    """States (B, S, D), which are valid (B, S), and what attention gives them (B, S)."""
    attention = member.pooling.attention
    assert attention is not None
    states, valid, _ = member.states(member.inputs(batch), batch.lengths)
    return states, valid, attention.weights(states, valid)


def _measure(context: ClassContext, results: ClassResults) -> Measured:
    population = context.population(SERIES)
    table = attention_table(context.classifier.network, population.batch(np.arange(len(population))))
    return Measured({TABLE.name: table}, by_lag={"attention": table["mean"].to_numpy()})


def has_attention(network: CombinedClassifier) -> bool:
    """Whether its networks read a mean of their states under weights that they learnt."""
    return "attention" in network.config.pooling


ATTENTION = ClassMeasure(
    name="attention",
    section="attention",
    tables=(TABLE,),
    measure=_measure,
    applies=lambda context: context.networks_count and has_attention(context.classifier.network),
)
