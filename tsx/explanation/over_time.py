"""When the reasons changed: each feature's share of the importance by cutoff, and the points where it shifts.

A shift is looked for in the ranks of a feature's shares, which no single large share can make. Windows of neighbouring
cutoffs share steps, so that their shares depend on each other. The largest cumulative sum is therefore compared with
how far the sums on both sides of it wander by themselves (self-normalisation: Shao & Zhang 2010, *Testing for change
points in time series*, equation 4), in the whole history and in parts of it; the p-value is that of random orders of
stretches whose windows share steps. Both sides of a shift are then looked at in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from tsx.explanation.drivers import why_unnamed
from tsx.explanation.measure import CUTOFF, Context, Measure, Measured, Results, TableSpec
from tsx.explanation.ranks import ranks
from tsx.explanation.shap.importance_writer import shares, square_beyond_error
from tsx.explanation.shap.players import Players
from tsx.panel.panel import Panel
from tsx.wording import percent

FEWEST = 20
"""Cutoffs from which on shifts are looked for."""
SEGMENT = 8
"""Cutoffs on each side of a shift at least."""
ORDERS = 1999
"""Random orders of the shares that a shift is held against."""
SIGNIFICANT = 0.01
"""Of all looks together."""
BY_CUTOFF_TABLE = TableSpec(
    "by_cutoff",
    {
        **{CUTOFF: None, "back": pl.Int64, "feature": pl.String, "windows": pl.Int64},
        **dict.fromkeys(("mean_abs_shap", "mean_shap", "mean_square_shap", "share"), pl.Float64),
    },
)
SHIFTS_TABLE = TableSpec(
    "reason_changes",
    {
        **{CUTOFF: None, "back": pl.Int64, "feature": pl.String},
        **dict.fromkeys(("share_before", "share_after", "p_adjusted"), pl.Float64),
    },
)


class CutoffSums:
    """What the explained windows say by feature, kept until all have come: three figures a window and feature."""

    def __init__(self, players: Players) -> None:
        self.features = list(dict.fromkeys(players.feature))
        self._of_feature = np.zeros((len(players), len(self.features)))
        of = [self.features.index(name) for name in players.feature]
        self._of_feature[np.arange(len(players)), of] = 1.0
        self._parts: list[np.ndarray] = []

    def add(self, values: np.ndarray, errors: np.ndarray) -> None:
        """SHAP values of windows and the standard errors of these, both (W, O, P)."""
        each = (np.abs(values), values, square_beyond_error(values, errors))
        self._parts.append(np.stack([part.mean(1) @ self._of_feature for part in each]).astype(np.float32))

    def table(self, panel: Panel, series: np.ndarray, cutoffs: np.ndarray) -> pl.DataFrame:
        """`BY_CUTOFF_TABLE`, the oldest cutoff first, of all windows: of `series` (W) at `cutoffs` (W).

        Cutoffs of fewer than half as many windows as most have are left out: other series would be compared.
        """
        size, shap, square = np.concatenate(self._parts, axis=1).astype(np.float64)
        times = panel.times(series, cutoffs)
        count = len(self.features)
        long = pl.DataFrame(
            {
                CUTOFF: times.gather(np.repeat(np.arange(len(times)), count)),
                "feature": pl.Series(self.features, dtype=pl.String).gather(np.tile(np.arange(count), len(times))),
                "mean_abs_shap": size.ravel(),
                "mean_shap": shap.ravel(),
                "mean_square_shap": square.ravel(),
            }
        )
        means = (
            long.group_by(CUTOFF, "feature", maintain_order=True)
            .agg(
                pl.len().cast(pl.Int64).alias("windows"),
                pl.col("mean_abs_shap", "mean_shap", "mean_square_shap").mean(),
            )
            .filter(pl.col("windows") * 2 >= pl.col("windows").max())
            .with_columns(pl.col("mean_square_shap").clip(lower_bound=0))
            .sort(CUTOFF, maintain_order=True)
        )
        newest = pl.Series([means[CUTOFF].max()] * means.height, dtype=times.dtype)
        back, _ = panel.calendar.steps(means[CUTOFF], newest)
        share = shares(means["mean_square_shap"].to_numpy().reshape(-1, count)).ravel()
        return BY_CUTOFF_TABLE.frame({**means.to_dict(), "back": back, "share": share})


@dataclass(frozen=True)
class Shift:
    """Values from number `at` on differ from those before; `p_value` of one look."""

    at: int
    p_value: float


def shift_of(values: np.ndarray, reach: int, random: np.random.Generator) -> Shift | None:
    """The likeliest shift among values (n), `reach` of which in a row depend on each other; None where they are few, or
    all the same."""
    n = len(values)
    if n < 2 * SEGMENT or values.min() == values.max():
        return None
    centred = ranks(values[:, None])[:, 0] - (n + 1) / 2
    observed = _scan(centred[None])[0]
    shuffled = _scan(np.stack([_reordered(centred, reach, random) for _ in range(ORDERS)])).max(1)
    larger = int((shuffled >= observed.max() * (1 - 1e-9)).sum())
    return Shift(int(np.argmax(observed)), (1 + larger) / (1 + ORDERS))


def _scan(x: np.ndarray) -> np.ndarray:
    """(B, n): at each place the largest statistic of a shift there, over the whole of series x (B, n) and parts of it.

    In the whole another shift hides this one, which a part of the series sees alone.
    """
    n = x.shape[1]
    best = np.zeros(x.shape)
    length = n
    while length == n or length >= 3 * SEGMENT:
        for begin in range(0, n - length + 1, max(1, length // 4)):
            part = x[:, begin : begin + length]
            places = slice(begin + SEGMENT, begin + length - SEGMENT + 1)
            best[:, places] = np.maximum(best[:, places], _statistics(part - part.mean(1, keepdims=True)))
        length //= 2
    return best


def _reordered(x: np.ndarray, reach: int, random: np.random.Generator) -> np.ndarray:
    """The values (n) in stretches of `reach`, from a random one on, in random order."""
    turned = np.roll(x, random.integers(len(x)))
    stretches = np.array_split(turned, range(reach, len(x), reach))
    return np.concatenate([stretches[k] for k in random.permutation(len(stretches))])


def _statistics(x: np.ndarray) -> np.ndarray:
    """(B, K): for centred series x (B, n) the squared sum of the first k values, k = SEGMENT to n - SEGMENT, over the
    squares of how far the partial sums on either side lie from straight lines."""
    n = x.shape[1]
    at = np.arange(SEGMENT, n - SEGMENT + 1) - 1

    def wandering(part: np.ndarray) -> np.ndarray:
        """(B, n): of the first k values, the sum of (S_t - t / k S_k)^2 over t up to k."""
        sums, t = np.cumsum(part, axis=1), np.arange(1, n + 1)
        slope = sums / t
        squares = np.cumsum(sums**2, axis=1) - 2 * slope * np.cumsum(t * sums, axis=1) + slope**2 * np.cumsum(t**2)
        return np.asarray(np.maximum(squares, 0.0))

    scatter = wandering(x)[:, at] + wandering(x[:, ::-1])[:, n - 2 - at]
    squared = n * np.cumsum(x, axis=1)[:, at] ** 2
    return np.asarray(squared / np.maximum(scatter, 1e-9 * n**3))


def shifts_of(values: np.ndarray, reach: int, looks: int, random: np.random.Generator) -> list[Shift]:
    """All shifts of values (n), in order, by binary segmentation; p-values are of `looks` as many looks, and halves."""
    found: list[Shift] = []
    parts = [(0, len(values), looks)]
    while parts:
        begin, end, times = parts.pop()
        shift = shift_of(values[begin:end], reach, random)
        if shift is None or shift.p_value * times >= SIGNIFICANT:
            continue
        middle = begin + shift.at
        found.append(Shift(middle, min(shift.p_value * times, 1.0)))
        parts += [(begin, middle, 2 * times), (middle, end, 2 * times)]
    return sorted(found, key=lambda shift: shift.at)


def shift_table(by_cutoff: pl.DataFrame, reach: int, seed: int = 0) -> pl.DataFrame:
    """`SHIFTS_TABLE`: every shift of a feature's share, with its mean up to the shift before and to the one after."""
    rows: list[dict[str, object]] = []
    random = np.random.default_rng(seed)
    groups = by_cutoff.partition_by("feature", maintain_order=True)
    for own in groups:
        share = own["share"].to_numpy()
        # shares sum to 1: the last one's shifts follow from the others'
        shifts = shifts_of(share, reach, max(len(groups) - 1, 1), random)
        edges = [0, *(shift.at for shift in shifts), len(share)]
        for k, shift in enumerate(shifts, 1):
            row = own.row(shift.at, named=True)
            rows.append(
                {
                    **{name: row[name] for name in (CUTOFF, "back", "feature")},
                    "share_before": float(share[edges[k - 1] : edges[k]].mean()),
                    "share_after": float(share[edges[k] : edges[k + 1]].mean()),
                    "p_adjusted": shift.p_value,
                }
            )
    empty = by_cutoff.select(CUTOFF, "back", "feature").clear()
    floats = dict.fromkeys(("share_before", "share_after", "p_adjusted"), pl.Float64)
    return pl.DataFrame(rows, schema={**empty.schema, **floats}).sort("p_adjusted", "back", "feature")


def _measure(context: Context, results: Results) -> Measured:
    table = context.run.history.table(context.panel, context.series, context.cutoffs)
    cutoffs = table[CUTOFF].n_unique()
    if cutoffs < FEWEST or table["feature"].n_unique() < 2:
        return Measured()
    config = context.config
    shifts = shift_table(table, -(-config.context_length // config.horizon), context.question.seed)
    return Measured({"by_cutoff": table, "reason_changes": shifts})


def _sentences(results: Results) -> list[str]:
    """When shares have shifted, and from what to what; no feature's where no drivers are named (`why_unnamed`)."""
    shifts, by_cutoff = (results.tables.get(name) for name in ("reason_changes", "by_cutoff"))
    profile = results.tables.get("lag_profile")
    if shifts is None or by_cutoff is None:
        return []
    if shifts.is_empty():
        cutoffs = by_cutoff[CUTOFF].n_unique()
        return [f"Over {cutoffs} cutoffs no feature's share of the importance is shown to have shifted."]
    if profile is not None and why_unnamed(profile, results.checks, results.knowledge):
        return []
    return [
        f"The reasons have changed {results.calendar.span(back)} before the newest explained forecast: the share of "
        f"{feature} went from {percent(before)} to {percent(after)} (p {'under 0.001' if p < 0.001 else f'{p:.3f}'})."
        for feature, back, before, after, p in shifts.select(
            "feature", "back", "share_before", "share_after", "p_adjusted"
        )
        .head(3)
        .iter_rows()
    ]


OVER_TIME = Measure(
    name="over_time",
    section="over_time",
    group="What drives it",
    tables=(BY_CUTOFF_TABLE, SHIFTS_TABLE),
    measure=_measure,
    sentences=_sentences,
)
