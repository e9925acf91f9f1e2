"""What happens to the forecast when inputs are taken away, or given back, in the order of their SHAP values.

Deletion and insertion curves (Petsiuk, Das & Saenko 2018), against an order drawn at random and against the order that
the data's own autocorrelation gives without any network; sufficiency and comprehensiveness (DeYoung et al. 2020,
section 4.2) from the same evaluations; and whether SHAP values predict, sign and all, how far the forecast moves when
a random half of the inputs goes (Bhatt, Weller & Moura 2020, equation 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.explanation.shap.chunk import Chunk
from tsx.explanation.shap.game import Game
from tsx.explanation.shap.players import NOBODY, Players

Order = Literal["shap", "random", "autocorrelation"]
Kind = Literal["deletion", "insertion"]

SHARES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8)
"""Shares of the players that are replaced or given back: denser where an order of importance has something to say."""
TOP = (0.01, 0.05, 0.1, 0.2, 0.5)
"""Shares over which sufficiency and comprehensiveness are averaged (DeYoung et al. 2020, section 4.2)."""
SUBSETS = 16
"""Random halves of the players a window whose removal SHAP values have to predict: eight and their complements."""
EVALUATED = 1024
"""Windows in one pass of the network."""


@dataclass(frozen=True, eq=False)
class Curves:
    """Deletion and insertion in three orders.

    `table`: order, kind, removed (share of the players that are replaced), change (mean |change of the forecast| over
    the mean |forecast - base|, so that it is 0 with nothing replaced and 1 with everything), change_se (over windows).
    `areas` of each (order, kind): the mean change while the first half of the players is replaced or given back, large
    for a good deletion, small for a good insertion. Of the second half every order has much in common. `gains` (W) by
    (order, kind): how much better than that of the random order every window's area is.
    """

    table: pl.DataFrame
    areas: dict[tuple[Order, Kind], float]
    gains: dict[tuple[Order, Kind], np.ndarray]
    comprehensiveness: float
    sufficiency: float
    random_comprehensiveness: float
    random_sufficiency: float
    evaluations: int

    @property
    def never_moves(self) -> bool:
        """Whether the forecast never moved, whatever was replaced."""
        return not bool((self.table["change"] != 0).any())


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """What SHAP values predict for W windows, D random halves and O outputs, and what the network does: (W, D, O).

    `noise`: how much of the sum of squares of `observed`, around each window's and output's mean, is there only because
    the references are few; 0 with one reference, where that cannot be known.
    """

    predicted: np.ndarray
    observed: np.ndarray
    noise: float
    evaluations: int


def autocorrelation_strength(cells: Tensor, targets: Tensor, players: Players) -> np.ndarray:
    """(P): how strongly each player's cells go with what came next, without asking any network.

    The mean over the steps of |Pearson correlation| between a cell and the truth that steps ahead, over the windows
    `cells` (N, M) with `targets` (N, H), both NaN where missing; of a player of several cells the largest. That is the
    order somebody would look at the lags in who has only the data's auto- and cross-correlations, at the distance that
    matters for the forecast: an explanation of the network should know better. Fewer than 3 pairs count as 0.
    """
    x, y = cells.detach().cpu().double(), targets.detach().cpu().double()
    seen_x, seen_y = (~torch.isnan(x)).double(), (~torch.isnan(y)).double()
    x, y = (torch.nan_to_num(z - z.nanmean(0, keepdim=True)) for z in (x, y))
    # sums over the pairs in which both are observed, all cells against all steps at once
    count = seen_x.T @ seen_y
    mean_x, mean_y = x.T @ seen_y, seen_x.T @ y
    each = count.clamp(min=1)
    shared = x.T @ y - mean_x * mean_y / each
    spread_x = (x.square().T @ seen_y - mean_x.square() / each).clamp(min=0)
    spread_y = (seen_x.T @ y.square() - mean_y.square() / each).clamp(min=0)
    size = (spread_x * spread_y).sqrt()
    usable = (count >= 3) & (size > 1e-12 * max(float(size.max()), 1e-300))
    strength = torch.where(usable, (shared / size.clamp(min=1e-300)).abs(), 0.0).mean(1).numpy()
    strongest = np.zeros(len(players))
    plays = players.of_cell != NOBODY
    np.maximum.at(strongest, players.of_cell[plays], strength[plays])
    return strongest


def removal_curves(
    chunk: Chunk,
    references: Tensor,
    strength: np.ndarray,
    own_order: np.ndarray,
    random: np.random.Generator,
    shares: tuple[float, ...] = SHARES,
) -> Curves:
    """Replace the strongest players of the windows by those of `references` (W, R, M), and give them back.

    `strength` (W, P): mean |SHAP| over the outputs; `own_order` (P) or (W, P): strength by the data's autocorrelation.
    Equal strengths are ordered at random, and the random order is drawn anew for every reference. The change is the
    mean over outputs and references of |forecast - forecast of the mixed window|. One evaluation for each of three
    orders, two kinds, the shares, windows and references.
    """
    count = len(chunk.players)
    n, depth = references.shape[:2]
    counts = np.unique(np.clip(np.round(np.array([*shares, *TOP]) * count).astype(np.int64), 1, max(count - 1, 1)))
    ranks = np.stack(
        [
            _ranks(np.repeat(strength[:, None], depth, 1), random),
            _ranks(np.zeros((n, depth, count)), random),
            _ranks(np.broadcast_to(own_order, (n, count))[:, None].repeat(depth, 1), random),
        ]
    )
    whole = _evaluate(chunk.game, chunk.cells, torch.arange(n))
    rows = torch.arange(n * depth)
    base = _evaluate(chunk.game, references.flatten(0, 1), rows // depth)
    total = (whole.repeat_interleave(depth, 0) - base).abs().mean(1).unflatten(0, (n, depth))
    total_of = total.mean(1).numpy()
    grid = torch.cartesian_prod(*(torch.arange(k) for k in (3, 2, len(counts), n, depth)))
    rank, number = torch.from_numpy(ranks), torch.from_numpy(counts)
    moved = []
    for part in grid.split(EVALUATED):
        order, kind, share, of, which = part.unbind(1)
        before = rank[order, of, which] < number[share][:, None]
        gone = before ^ kind.bool()[:, None]  # deletion replaces the first of an order, insertion all but the first
        moved.append((whole[of] - _without(chunk, of, references[of, which], gone)).abs().mean(1))
    changes = torch.cat(moved).reshape(3, 2, len(counts), n, depth).mean(-1).numpy()
    return _curves(changes, total_of, counts / count, len(grid) + n + n * depth)


def faithfulness(chunk: Chunk, references: Tensor, values: np.ndarray, random: np.random.Generator) -> Faithfulness:
    """Do SHAP values predict what the forecast does? `values` (W, P, O) of the windows, `references` (W, R, M).

    Every window loses `SUBSETS` random halves of its players. `predicted` is the sum of their SHAP values, `observed`
    the forecast less its mean over the references with that half replaced. For a linear network the two are equal, but
    for the noise of the references.
    """
    count = len(chunk.players)
    n, depth = references.shape[:2]
    order = random.permuted(np.broadcast_to(np.arange(count), (n, SUBSETS // 2, count)), axis=2)
    half = order < (count + 1) // 2
    gone = np.concatenate([half, ~half], 1)
    predicted = np.einsum("wdp,wpo->wdo", gone, values)
    whole = _evaluate(chunk.game, chunk.cells, torch.arange(n))
    grid = torch.cartesian_prod(torch.arange(n), torch.arange(SUBSETS), torch.arange(depth))
    absent = torch.from_numpy(gone)
    changed = []
    for part in grid.split(EVALUATED):
        of, subset, which = part.unbind(1)
        changed.append(whole[of] - _without(chunk, of, references[of, which], absent[of, subset]))
    each = torch.cat(changed).reshape(n, SUBSETS, depth, -1).numpy()
    around = each - each.mean(1, keepdims=True)
    noise = float(around.var(2, ddof=1).sum()) / depth if depth > 1 else 0.0
    return Faithfulness(predicted, each.mean(2), noise, len(grid) + n)


def _ranks(strength: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Rank of every player (last axis), 0 the strongest; equals in random order."""
    order = np.lexsort((random.random(strength.shape), -np.nan_to_num(strength)), axis=-1)
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(order.shape[-1]), order.shape), -1)
    return ranks.astype(np.int32)


def _without(chunk: Chunk, of: Tensor, references: Tensor, gone: Tensor) -> Tensor:
    """(n, O): the explained quantity of windows `of` (n) without the players that are `gone` (n, P)."""
    absent = chunk.players.cells(gone).to(chunk.cells.device)
    return _evaluate(chunk.game, chunk.mixed(of, references, absent), of)


def _evaluate(game: Game, cells: Tensor, of: Tensor) -> Tensor:
    """(n, O) float64 on the CPU: the explained quantity, its parts added up."""
    with torch.inference_mode():
        parts = [
            game(rows, which.to(rows.device)).sum(-1).cpu().double()
            for rows, which in zip(cells.split(EVALUATED), of.split(EVALUATED))
        ]
    return torch.cat(parts)


def _area(done: np.ndarray) -> np.ndarray:
    """Weights (points) of the mean over the first half of the players by trapezoids; `done` is the share that is done.

    The last trapezoid that begins in that half counts up to its end.
    """
    order = np.argsort(done)
    ordered = done[order]
    begins = ordered[:-1] < 0.5
    widths = np.where(begins, np.diff(ordered), 0.0)
    weights = np.zeros(len(done))
    weights[order] = (np.concatenate([widths, [0.0]]) + np.concatenate([[0.0], widths])) / 2
    return np.asarray(weights / widths.sum())


def _curves(moved: np.ndarray, total: np.ndarray, removed: np.ndarray, evaluations: int) -> Curves:
    """From the mean changes (orders, kinds, counts, W) and those with everything replaced (W)."""
    windows = moved.shape[-1]
    scale = total.mean()
    ends = np.broadcast_to(total, (*moved.shape[:2], 1, windows))
    nothing = np.zeros_like(ends)
    orders: tuple[Order, ...] = ("shap", "random", "autocorrelation")
    kinds: tuple[Kind, ...] = ("deletion", "insertion")
    tables, areas, window_areas = [], {}, {}
    for k, kind in enumerate(kinds):
        if kind == "deletion":
            grid = np.concatenate([[0.0], removed, [1.0]])
            changes = np.concatenate([nothing, moved, ends], 2)[:, k]
        else:
            grid = np.concatenate([[0.0], 1 - removed[::-1], [1.0]])
            changes = np.concatenate([nothing, moved[:, :, ::-1], ends], 2)[:, k]
        weights = _area(grid if kind == "deletion" else 1 - grid)
        ratios = changes.mean(-1) / scale if scale > 0 else np.zeros(changes.shape[:2])
        # a ratio of two means over the same windows: its error is that of what each window leaves over
        rest = changes - ratios[..., None] * total
        error = (
            rest.std(-1, ddof=1) / windows**0.5 / scale if windows > 1 and scale > 0 else np.full(ratios.shape, np.nan)
        )
        for o, order in enumerate(orders):
            tables.append(
                pl.DataFrame(
                    {"order": order, "kind": kind, "removed": grid, "change": ratios[o], "change_se": error[o]},
                    schema_overrides={"order": pl.String, "kind": pl.String},
                ).with_columns(pl.col("change_se").fill_nan(None))
            )
            areas[order, kind] = float(weights @ ratios[o])
            window_areas[order, kind] = weights @ changes[o] / (scale if scale > 0 else 1.0)
    better = {"deletion": 1.0, "insertion": -1.0}
    gains = {
        (order, kind): better[kind] * (window_areas[order, kind] - window_areas["random", kind])
        for order, kind in window_areas
    }
    top = [int(np.argmin(np.abs(removed - share))) for share in TOP]
    means = moved[:, :, top].mean((2, 3)) / scale if scale > 0 else np.zeros(moved.shape[:2])
    return Curves(
        pl.concat(tables),
        areas,
        gains,
        float(means[0, 0]),
        float(means[0, 1]),
        float(means[1, 0]),
        float(means[1, 1]),
        evaluations,
    )
