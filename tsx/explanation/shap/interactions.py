"""What two players do together beyond what each does: the Shapley interaction index of pairs of strong players.

I_ij is the mean of f(A, i, j) - f(A, i) - f(A, j) + f(A) over coalitions A of the others, of every size with the same
weight (Grabisch & Roubens 1999, *An axiomatic approach to the concept of interaction among players in cooperative
games*, equation 4). Drawn coalitions come with their complements, each such couple with a reference of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.explanation.measure import CUTOFF, ID, Context, Measure, Measured, Results, TableSpec, window_columns
from tsx.explanation.shap.chunk import Chunk
from tsx.explanation.shap.importance_writer import RowLayout
from tsx.explanation.shap.pooling import t_factor
from tsx.explanation.shap.sampling import ShapValues

TABLE = TableSpec(
    "interactions",
    {
        **{ID: None, CUTOFF: None, "step": pl.Int64},
        **{"feature": pl.String, "lag": pl.Int64, "with_feature": pl.String, "with_lag": pl.Int64},
        **{"interaction": pl.Float64, "interaction_se": pl.Float64},
    },
    optional={"oldest_lag": pl.Int64, "with_oldest_lag": pl.Int64},
)


@dataclass(frozen=True, eq=False)
class Interactions:
    """Of one window: players `first` and `second` (Q) of Q pairs, `values` and `errors` (Q, O); evaluations spent."""

    first: np.ndarray
    second: np.ndarray
    values: np.ndarray
    errors: np.ndarray
    evaluations: int


def strongest_interactions(
    chunk: Chunk, shapley: Sequence[ShapValues], *, count: int, draws: int, random: np.random.Generator
) -> list[Interactions]:
    """Of the pairs among the `count` players of each window with the largest mean |SHAP value|.

    Each pair takes 8 evaluations for each of `draws` (2 at least) references.
    """
    results = []
    for w, values in enumerate(shapley):
        size = np.abs(values.values).mean(1)
        strong = np.argsort(-size, kind="stable")[:count]
        pairs = np.array([(a, b) for n, a in enumerate(strong) for b in strong[n + 1 :]], dtype=np.int64).reshape(-1, 2)
        if len(pairs) == 0:
            nothing = np.zeros((0, values.values.shape[1]))
            results.append(Interactions(pairs[:, 0], pairs[:, 1], nothing, nothing, 0))
            continue
        drawn = _draw(chunk, w, np.repeat(pairs, draws, axis=0), random)
        drawn = drawn.unflatten(0, (len(pairs), draws))
        wider = float(t_factor(draws - 1))
        errors = (wider * drawn.std(1) / draws**0.5).numpy()
        results.append(Interactions(pairs[:, 0], pairs[:, 1], drawn.mean(1).numpy(), errors, 8 * draws * len(pairs)))
    return results


def _draw(chunk: Chunk, w: int, pairs: np.ndarray, random: np.random.Generator) -> Tensor:
    """(D, O): for each of `pairs` (D, 2) the mean of both second differences, at a coalition and at its complement."""
    total, everybody, device = len(pairs), len(chunk.players), chunk.cells.device
    population = chunk.maskers[w].population
    each = np.arange(total)
    level = random.random((total, everybody))
    # a uniform share of the others, in random order, has every size with the same chance
    others = np.ones((total, everybody), dtype=bool)
    others[each[:, None], pairs] = False
    rank = np.where(others, level, 2.0).argsort(1).argsort(1)
    members = (rank < random.integers(0, everybody - 1, total)[:, None]) & others
    coalitions = np.stack([members, ~members & others])[:, None].repeat(4, axis=1)  # (2, 4, D, P)
    for corner, (i, j) in enumerate(((1, 1), (1, 0), (0, 1), (0, 0))):
        coalitions[:, corner, each, pairs[:, 0]] = bool(i)
        coalitions[:, corner, each, pairs[:, 1]] = bool(j)
    absent = chunk.players.cells(torch.from_numpy(~coalitions.reshape(-1, everybody))).to(device)
    drawn = torch.from_numpy(random.integers(0, len(population), total)).to(device)
    of = torch.full((len(absent),), w, device=device)
    values = chunk.values(chunk.mixed(of, population[drawn].repeat(8, 1), absent), of).sum(-1)
    both, one, other, none = values.unflatten(0, (2, 4, total)).unbind(1)
    differences: Tensor = (both - one - other + none).mean(0)
    return differences


def interaction_table(
    layout: RowLayout, series: np.ndarray, cutoffs: np.ndarray, interactions: Sequence[Interactions]
) -> pl.DataFrame:
    """id, cutoff, step, feature, lag, with_feature, with_lag, interaction, interaction_se of explained windows.

    Of two players the one that stands first among all comes first, however strong it is. Where players hold several
    lags, oldest_lag and with_oldest_lag, too.
    """
    counts = [len(each.first) for each in interactions]
    of = np.repeat(np.arange(len(interactions)), counts)
    pairs = np.concatenate([np.stack([each.first, each.second]) for each in interactions], 1)
    one, other = (layout.player_columns()[np.repeat(player, len(layout.steps))] for player in np.sort(pairs, axis=0))
    return TABLE.frame(
        {
            **window_columns(layout.panel, series[of], cutoffs[of], layout.steps),
            **one.to_dict(),
            **{f"with_{name}": column for name, column in other.to_dict().items()},
            "interaction": np.concatenate([each.values.ravel() for each in interactions]),
            "interaction_se": np.concatenate([each.errors.ravel() for each in interactions]),
        },
        layout.panel.schema.id_names,
    )


def _measure(context: Context, results: Results) -> Measured:
    table = context.run.interactions
    return Measured({} if table is None else {"interactions": table})


INTERACTIONS = Measure(
    name="interactions",
    section="interactions",
    group="What drives it",
    tables=(TABLE,),
    measure=_measure,
    applies=lambda context: context.question.interactions > 1,
)
