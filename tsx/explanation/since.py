"""Why the forecast of the same time has changed: new rows by input, another model, a horizon that has moved on.

An earlier forecast f0 from cutoff c0 and the newest one f1 from c1, k steps later, share the times after c1 that both
reach. Between them stand two more forecasts. f1 from c0 differs from f0 by the model alone. The expected window is the
one at c1 had nothing surprised the model: its newest k targets are what f1 forecast from c0, its past covariates stayed
as they were. The forecast from there differs from f1's earlier one because the horizon has moved on, and the newest
forecast differs from it by what the new rows brought. The last difference is split by SHAP values whose one reference
is the expected window, so that no choice of references adds noise to them. The four parts sum to the whole change.

Surprises as the reason of a revision are those of Banbura & Modugno (2014), *Maximum likelihood estimation of factor
models on datasets with arbitrary pattern of missing data*, section 2.3, who call them news.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.explanation.earlier import Since
from tsx.explanation.measure import CUTOFF, ID, Context, Measure, Measured, Results, TableSpec, window_columns
from tsx.explanation.shap.chunk import Chunk, Masker
from tsx.explanation.shap.game import flatten, game_of, of_quantiles
from tsx.explanation.shap.importance_writer import OLDEST_LAG, RowLayout
from tsx.explanation.shap.players import Players, cells_of, players_of
from tsx.explanation.shap.sampling import ShapValues
from tsx.explanation.shap.shap_run import shapley_values
from tsx.model.batch import Batch
from tsx.model.categories import NO_WORD
from tsx.spec.channels import TARGET
from tsx.spec.network import NetworkConfig
from tsx.spec.schema import Schema
from tsx.spec.settings import Question
from tsx.wording import count, number

PARTS = ("revised", "new_model", "moved_on", "new_data")
"""What a change is the sum of, in the order in which it is split."""
CHANGES_TABLE = TableSpec(
    "since",
    {
        **{ID: None, CUTOFF: None, "step": pl.Int64, "earlier_cutoff": None, "earlier_step": pl.Int64},
        **dict.fromkeys(("before", "after", "change", *PARTS), pl.Float64),
    },
)
INPUTS_TABLE = TableSpec(
    "since_inputs",
    {
        **{ID: None, CUTOFF: None, "step": pl.Int64, "feature": pl.String, "lag": pl.Int64},
        **dict.fromkeys(("value", "expected", "change", "change_se"), pl.Float64),
    },
    optional=OLDEST_LAG,
)


def _change_tables(context: Context, earlier: Since) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`CHANGES_TABLE` and `INPUTS_TABLE` of the newest explained window of every series."""
    _, first = np.unique(context.series, return_index=True)
    series, cutoffs = context.series[np.sort(first)], context.cutoffs[np.sort(first)]
    shared = earlier.shares_times(series, cutoffs, context.config.horizon)
    moved = cutoffs - earlier.cutoffs[series]
    changes, inputs = [], []
    for k in np.unique(moved[shared]).tolist():
        some = shared & (moved == k)
        found = _changes_of(context, earlier, series[some], cutoffs[some], k)
        changes.append(found[0])
        inputs.append(found[1])
    return pl.concat(changes), pl.concat(inputs)


def _changes_of(
    context: Context, earlier: Since, series: np.ndarray, cutoffs: np.ndarray, k: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The tables of windows of `series` (W) at `cutoffs` (W), all `k` steps after their earlier cutoffs."""
    forecaster, panel, question = context.forecaster, context.panel, context.question
    steps = context.config.horizon - k
    centers = (question.explain != "width") * panel.centers[series, TARGET][:, None]
    quantiles = forecaster.quantiles(panel, series, cutoffs - k)
    own = of_quantiles(question, context.config, quantiles)[:, k:]
    other = own
    if earlier.forecaster is not None:
        forecast = earlier.forecaster.quantiles(panel, series, cutoffs - k)
        other = of_quantiles(question, earlier.forecaster.config, forecast)[:, k:]
    before = other if earlier.reported is None else earlier.reported[series, k:]

    batch, past = (context.task.source.cut(series, at) for at in (cutoffs, cutoffs - k))
    point = forecaster.point(quantiles)[:, :k] - panel.centers[series, TARGET][:, None]
    expected, arrived = expected_window(batch, past, point, context.config)
    players = players_of(context.config, question, arrived)
    chunk = Chunk(
        game_of(forecaster, batch, question),
        flatten(batch),
        [Masker(each[None]) for each in flatten(expected)],
        players,
    )
    shap = _shapley(chunk, question)
    after, without = (
        np.stack([getattr(each, name).sum(-1) for each in shap])[:, :steps] + centers for name in ("forecast", "base")
    )
    parts = {
        "revised": other - before,
        "new_model": own - other,
        "moved_on": without - own,
        "new_data": after - without,
    }
    names = panel.schema.id_names
    keys = window_columns(panel, series, cutoffs, list(range(1, steps + 1)))
    changes = CHANGES_TABLE.frame(
        {
            **keys,
            "earlier_cutoff": panel.times(series, cutoffs - k).gather(np.repeat(np.arange(len(series)), steps)),
            "earlier_step": keys["step"] + k,
            "before": before.ravel(),
            "after": after.ravel(),
            "change": (after - before).ravel(),
            **{name: part.ravel() for name, part in parts.items()},
        },
        names,
    )
    return changes, _inputs_of(context, players, series, cutoffs, chunk, shap, steps)


def expected_window(batch: Batch, past: Batch, point: np.ndarray, config: NetworkConfig) -> tuple[Batch, np.ndarray]:
    """The windows of `batch` had nothing surprised the model since `past`, k steps before; and which cells are news.

    point  (W, k) what was forecast for these steps, around the series' centers

    The k newest targets are as forecast, past covariates as last observed, and no word came; a value that has not come
    is missing here too. What is known ahead was known. The cells (M, bool) are in the order of `flatten`.
    """
    k, context = point.shape[1], config.context_length
    new = min(k, context)
    roles = [channel.role for channel in config.channels.time_varying]
    arrived = np.array([lag is not None and 1 <= lag <= k for _, lag in cells_of(config)], dtype=np.bool_)
    known = [channel.name for channel in (*config.channels.ahead, *config.channels.words_ahead)]
    arrived &= ~np.isin([str(name) for name, _ in cells_of(config)], known)
    if not new:
        return batch, arrived
    lags = batch.past.clone()
    forecasts = torch.from_numpy(point[:, k - new :]).to(lags)
    for channel, role in enumerate(roles):
        if role == "future":
            continue
        stayed = forecasts if role == "target" else _last_observed(past.past[..., channel])[:, None].expand(-1, new)
        actual = lags[:, context - new :, channel]
        lags[:, context - new :, channel] = torch.where(torch.isnan(actual), actual, stayed)
    words = batch.words.clone()
    words[:, context - new :, : words.shape[2] - batch.words_ahead.shape[2]] = NO_WORD
    return replace(batch, past=lags, words=words), arrived


def _last_observed(values: Tensor) -> Tensor:
    """(W) the newest value of (W, T) that is not missing; NaN where all are."""
    place = torch.arange(values.shape[1], device=values.device).expand_as(values)
    newest = torch.where(torch.isnan(values), -1, place).amax(1)
    return torch.where(newest < 0, torch.nan, values.gather(1, newest.clamp(min=0)[:, None])[:, 0])


def _shapley(chunk: Chunk, question: Question) -> Sequence[ShapValues]:
    """SHAP values of the windows with one reference each; of windows without news, their forecasts alone."""
    if len(chunk.players):
        return shapley_values(chunk, question, np.random.default_rng([question.seed, 14]))
    of = torch.arange(len(chunk.cells), device=chunk.cells.device)
    now, then = (
        chunk.values(cells, of).numpy() for cells in (chunk.cells, torch.cat([m.population for m in chunk.maskers]))
    )
    nothing = np.zeros((0, *now.shape[1:]))
    return [
        ShapValues(nothing.sum(-1), nothing.sum(-1), nothing, base, forecast, 2, 0, 0.0, True)
        for base, forecast in zip(then, now, strict=True)
    ]


def _inputs_of(
    context: Context,
    players: Players,
    series: np.ndarray,
    cutoffs: np.ndarray,
    chunk: Chunk,
    shap: Sequence[ShapValues],
    steps: int,
) -> pl.DataFrame:
    """`INPUTS_TABLE`: what each new value did to the forecasts of the first `steps` steps."""
    panel, played = context.panel, len(players)
    layout = RowLayout.of(context.forecaster, panel, players, context.question)
    who = layout.player_columns()[np.tile(np.arange(played), len(series) * steps)]
    values, errors = (
        np.stack([getattr(each, name)[:, :steps].T for each in shap]).ravel() for name in ("values", "errors")
    )
    windows = {"value": chunk.cells, "expected": torch.cat([each.population for each in chunk.maskers])}
    shown = {
        name: pl.Series(np.repeat(layout.values(series, cells.cpu().numpy()), steps, axis=0).ravel()).fill_nan(None)
        for name, cells in windows.items()
    }
    return INPUTS_TABLE.frame(
        {
            **window_columns(panel, series, cutoffs, list(range(1, steps + 1)), played),
            **who.to_dict(),
            **shown,
            "change": values,
            "change_se": errors,
        },
        panel.schema.id_names,
    )


WORDS = {
    "new_data": "what the new rows brought",
    "moved_on": "the horizon that has moved on",
    "new_model": "the new model",
    "revised": "earlier rows that were revised, or another model",
}
"""The parts of a change in words, the most telling first."""
NOTHING = 1e-6
"""Of the whole change: a part that is smaller is rounding."""
ROUNDING = float(np.finfo(np.float32).eps)
"""Of the forecasts, which the network makes in float32: a change that is smaller is none."""


def change_sentences(
    changes: pl.DataFrame, inputs: pl.DataFrame, schema: Schema, words: Mapping[str, str] = WORDS
) -> tuple[str, ...]:
    """How far forecasts of the same times moved, by which part, and which input did most of what is new."""
    sizes = {name: float(changes[name].abs().mean()) for name in ("change", *PARTS)}  # type: ignore[arg-type]
    rounding = ROUNDING * float(changes.select(pl.max_horizontal(pl.col("before", "after").abs()).mean()).item())
    if sizes["change"] <= rounding:
        return (f"No forecast of {schema.target} has changed since the earlier one.",)
    least = max(NOTHING * sizes["change"], rounding)
    parts = "; ".join(f"{words[name]} {number(sizes[name], 3)}" for name in words if sizes[name] > least)
    series = changes.select(schema.id_names).n_unique()
    sentences = [
        f"Since the earlier forecast {schema.target} of the same time has moved by {number(sizes['change'], 3)} on "
        f"average ({count(changes.height, 'forecast')} of {series:,} series): {parts}."
    ]
    keys = [*schema.id_names, CUTOFF, "step"]
    by_feature = (
        inputs.group_by(*keys, "feature")
        .agg(pl.col("change").sum())
        .group_by("feature")
        .agg(size=pl.col("change").abs().mean(), mean=pl.col("change").mean())
        .sort("size", "feature", descending=[True, False])
    )
    if by_feature.height and float(by_feature["size"][0]) > least:
        named = ", ".join(
            f"{'all features together' if name is None else name} {number(size, 3)}"
            for name, size in by_feature.head(5).select("feature", "size").iter_rows()
            if size > least
        )
        sentences.append(f"What the new rows did to the forecasts, by input: {named}.")
    return tuple(sentences)


def _measure(context: Context, results: Results) -> Measured:
    earlier = context.since
    assert earlier is not None
    changes, inputs = _change_tables(context, earlier)
    means = {name: float(changes[name].abs().mean()) for name in ("change", *PARTS)}  # type: ignore[arg-type]
    words = WORDS if earlier.forecaster is None else WORDS | {"revised": "earlier rows that were revised"}
    sentences = change_sentences(changes, inputs, context.schema, words)
    return Measured({"since": changes, "since_inputs": inputs}, {"since": means}, sentences=sentences)


SINCE = Measure(
    name="since",
    section="since",
    group="What drives it",
    tables=(CHANGES_TABLE, INPUTS_TABLE),
    measure=_measure,
    applies=lambda context: context.since is not None,
)
