"""From a forecaster and a panel to an explanation: chooses the windows, runs the methods, gathers the tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.data.panel import Panel
from tsx.data.windows import Batch, Cutoffs, Windows
from tsx.errors import UsageError
from tsx.explanation import checks
from tsx.explanation.findings import find_words
from tsx.explanation.gradients import gradient_decay
from tsx.explanation.memory import measure_memory, retention_table, unit_table
from tsx.explanation.result import Explanation
from tsx.explanation.shapley import Game, Players, Shapley, shapley_values, share_out
from tsx.explanation.surrogate import linear_surrogate
from tsx.forecaster import Forecaster
from tsx.log import SILENT, Progress

POPULATION = 512
"""Windows over which memory, gradients, paths and the surrogate are averaged."""
FEWEST_REFERENCES = 8
"""With fewer earlier windows of its own, a series borrows the references of the whole panel."""
SHOWN = 8
"""Series whose newest forecast is kept with its history, for pictures."""


@dataclass(frozen=True, eq=False)
class Explained:
    """One explained window: series, cutoff (position), its flat cells (P) and what was found."""

    series: int
    cutoff: int
    cells: np.ndarray
    shapley: Shapley
    pairs: int
    own_references: bool
    deleted: tuple[float, float]
    """Mean |change of the forecast| when the top tenth, and a random tenth, of the cells is replaced."""


def explain_forecaster(
    forecaster: Forecaster,
    panel: Panel,
    *,
    windows: int,
    max_evals: int,
    seed: int,
    skill: dict[str, Any],
    progress: Progress = SILENT,
) -> Explanation:
    """Explain the newest forecast of every series, and earlier ones up to `windows` in all.

    Each window may cost `max_evals` evaluations of the network (two antithetic pairs at least). `skill` is the verdict
    of the hold-out, repeated in the findings. Raises UsageError for counts below 1, DataError as forecasting does.
    """
    for name, value in (("windows", windows), ("max_evals", max_evals)):
        if value < 1:
            raise UsageError("setting-out-of-range", f"{name} is {value}; it must be 1 or more", where=name)
    config = forecaster.config
    players = Players.of(panel.schema, config)
    source = forecaster.windows(panel)
    series, cutoffs, newest = _choose(forecaster, panel, windows)
    random = np.random.default_rng(seed)
    explained = []
    progress.start("explaining", len(series))
    try:
        for done, (n, cutoff) in enumerate(zip(series, cutoffs), 1):
            explained.append(_explain_window(forecaster, panel, source, int(n), int(cutoff), max_evals, random))
            progress.update(done)
    finally:
        progress.finish()
    population = source.cut(*_population(panel, config.context_length, config.horizon))
    network = forecaster.network
    with torch.inference_mode():
        inputs = network.segments(network.encode(population))
        shares = _path_shares(forecaster, population)
    memories = measure_memory(network.recurrence, inputs)
    gradients = gradient_decay(network, population)
    importance = _importance_table(forecaster, panel, players, explained)
    profile = _profile(importance)
    values = np.stack([e.shapley.values for e in explained])
    errors = np.stack([e.shapley.errors for e in explained])
    by_lag = _by_lag(players, values, config.context_length)
    scale = float(network.typical_scale)
    found = (
        checks.additivity(_additivity_gap(explained, scale)),
        checks.precision(values, errors),
        checks.deletion(*np.mean([e.deleted for e in explained], 0)),
        checks.gradient_agreement(by_lag, gradients["mean_norm"].to_numpy()),
    )
    retention, units = retention_table(memories, config.segment), unit_table(memories, config.segment)
    older, newer = _halves(population)
    shown = newest[:SHOWN]
    method = {
        "values": "antithetic permutation sampling, a fresh reference window for every pair, regressed on its forecast",
        "explains": "yhat",
        "players": len(players),
        "pairs": min(e.pairs for e in explained),
        "evaluations": sum(e.shapley.evaluations for e in explained),
        "max_evals": max_evals,
        "reference": "earlier windows of the same series",
        "windows_with_panel_references": sum(not e.own_references for e in explained),
        "windows": len(explained),
        "population": len(population),
        "path_shares": shares,
        "seed": seed,
    }
    return Explanation(
        schema=panel.schema,
        config=config,
        frequency=forecaster.frequency,
        forecasts=_forecast_table(forecaster, panel, explained),
        quantiles=forecaster.frame(
            panel, series[shown], cutoffs[shown], forecaster.quantiles(panel, series[shown], cutoffs[shown])
        ),
        history=_history(panel, series[shown], cutoffs[shown], 2 * config.context_length),
        lag_importance=importance,
        lag_profile=profile,
        memory_units=units,
        retention=retention,
        gradient_decay=gradients,
        attention=_attention_table(forecaster, panel, source, series, cutoffs),
        surrogate=linear_surrogate(network, panel.schema, older, newer),
        checks=found,
        findings=find_words(config, panel.calendar, profile, importance, retention, units, shares, found, skill),
        skill=skill,
        method=method,
    )


def _choose(forecaster: Forecaster, panel: Panel, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(series, cutoffs) to explain, and which of them are newest forecasts.

    The newest of every series, or of evenly spaced ones where there are more series than `count`; then, a horizon
    earlier each round, those whose whole context lies in the series.
    """
    series, cutoffs = forecaster.cutoffs(panel)
    kept = np.unique(np.linspace(0, len(series) - 1, min(count, len(series))).round().astype(np.int64))
    series, cutoffs = series[kept], cutoffs[kept]
    forecaster.require_future(panel, series, cutoffs)
    newest = np.arange(len(series))
    horizon, context = forecaster.config.horizon, forecaster.config.context_length
    chosen_series, chosen_cutoffs = [series], [cutoffs]
    missing = count - len(series)
    back = 0
    while missing > 0:
        back += horizon
        earlier = np.flatnonzero(cutoffs - back >= context - 1)[:missing]
        if len(earlier) == 0:
            break
        chosen_series.append(series[earlier])
        chosen_cutoffs.append(cutoffs[earlier] - back)
        missing -= len(earlier)
    return np.concatenate(chosen_series), np.concatenate(chosen_cutoffs), newest


def _explain_window(
    forecaster: Forecaster,
    panel: Panel,
    source: Windows,
    series: int,
    cutoff: int,
    max_evals: int,
    random: np.random.Generator,
) -> Explained:
    batch = source.cut(np.array([series]), np.array([cutoff]))
    cells = flatten(batch)[0]
    candidates, own = _references(panel, forecaster, series, cutoff)
    pairs, size = share_out(len(cells), max_evals, len(candidates))
    population = flatten(source.cut(*candidates.spread(size)))
    references = flatten(source.cut(*_draw(candidates, pairs, random)))
    game = _game(forecaster, batch)
    with torch.inference_mode():
        found = shapley_values(game, cells, references, population, random)
        deleted = _deletion(game, cells, references, found, random)
    return Explained(series, cutoff, cells.cpu().numpy(), found, pairs, own, deleted)


def flatten(batch: Batch) -> Tensor:
    """(B, P): the cells of every window, in the order of `Players.of`."""
    return torch.cat([batch.past.flatten(1), batch.future.flatten(1)], 1)


def _game(forecaster: Forecaster, batch: Batch) -> Game:
    """The point forecast as a function of the cells of one window, its statics held."""
    config, network = forecaster.config, forecaster.network
    middle = config.quantile_levels.index(0.5)
    lags = config.context_length * config.channels

    def game(cells: Tensor) -> Tensor:
        n = len(cells)
        mixed = Batch(
            past=cells[:, :lags].unflatten(1, (config.context_length, config.channels)),
            future=cells[:, lags:].unflatten(1, (config.horizon, config.future)),
            static_values=batch.static_values.expand(n, -1),
            static_codes=batch.static_codes.expand(n, -1),
            target=batch.target.expand(n, -1),
        )
        forecast: Tensor = network(mixed)[..., middle]
        return forecast

    return game


def _references(panel: Panel, forecaster: Forecaster, series: int, cutoff: int) -> tuple[Cutoffs, bool]:
    """Where reference windows may come from, and whether that is the series' own past.

    Earlier windows of the same series, clear of the explained context where there are enough of those; for a series
    too short for that, windows of the whole panel that end a horizon before theirs do.
    """
    config = forecaster.config
    first = config.context_length - 1
    only = np.zeros(len(panel), dtype=np.int64)
    for last in (cutoff - config.context_length, cutoff - 1):
        if last - first + 1 >= FEWEST_REFERENCES:
            bounds = only - 1
            bounds[series] = last
            return Cutoffs(only + first, bounds), True
    everywhere = Cutoffs(only + min(first, config.context_length // 4), panel.lengths - 1 - config.horizon)
    return everywhere if len(everywhere) else Cutoffs(only, panel.lengths - 1), False


def _draw(candidates: Cutoffs, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`count` of them at random, none twice before all have come up once."""
    rounds = -(-count // len(candidates))
    return candidates.pick(np.concatenate([random.permutation(len(candidates)) for _ in range(rounds)])[:count])


def _deletion(
    game: Game, cells: Tensor, references: Tensor, found: Shapley, random: np.random.Generator
) -> tuple[float, float]:
    """Mean |change of the forecast| over references when the top tenth, or a random tenth, takes their values."""
    players = len(cells)
    count = max(1, players // 10)
    top = np.argsort(-np.abs(found.values).mean(1), kind="stable")[:count]
    changes = []
    for picked in (top, random.permutation(players)[:count]):
        gone = torch.zeros(players, dtype=torch.bool, device=cells.device)
        gone[torch.from_numpy(picked).to(cells.device)] = True
        changed = game(torch.where(gone, references, cells)).double().cpu().numpy()
        changes.append(float(np.abs(changed - found.forecast).mean()))
    return changes[0], changes[1]


def _population(panel: Panel, context: int, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows with a whole context, evenly over all series and times; shorter ones where there are none."""
    whole = Cutoffs(np.full(len(panel), context - 1), panel.lengths - 1 - horizon)
    if len(whole) == 0:
        whole = Cutoffs(np.zeros(len(panel), dtype=np.int64), panel.lengths - 1)
    return whole.spread(POPULATION)


def _halves(population: Batch) -> tuple[Batch, Batch]:
    """Every fourth window to judge on, the rest to fit on."""
    judged = torch.arange(len(population)) % 4 == 3
    if not judged.any():
        judged[:] = True
        return population, population
    fields = Batch.__dataclass_fields__
    return tuple(Batch(*(getattr(population, f)[mask] for f in fields)) for mask in (~judged, judged))  # type: ignore[return-value]


def _path_shares(forecaster: Forecaster, population: Batch) -> dict[str, float]:
    """Share of each path in the forecasts' movement around their location: its mean |part| over the sum of all."""
    paths = forecaster.network.paths(population)
    sizes = {name: float(getattr(paths, name).abs().mean()) for name in ("season", "linear", "recurrent")}
    total = sum(sizes.values())
    return {name: size / total if total > 0 else 0.0 for name, size in sizes.items()}


def _additivity_gap(explained: list[Explained], scale: float) -> float:
    gaps = [np.abs(e.shapley.base + e.shapley.values.sum(0) - e.shapley.forecast).max() for e in explained]
    return float(max(gaps) / scale)


def _by_lag(players: Players, values: np.ndarray, context: int) -> np.ndarray:
    """Mean |SHAP| summed over features, lags 1 to T; values (windows, P, H)."""
    size = np.abs(values).mean((0, 2))
    past = players.lag > 0
    return np.bincount(players.lag[past], weights=size[past], minlength=context + 1)[1:]


def _order(players: Players) -> np.ndarray:
    """Players as tables list them: features in the panel's order, then lags upwards."""
    names = list(dict.fromkeys(players.feature.tolist()))
    rank = np.array([names.index(name) for name in players.feature])
    return np.lexsort((players.lag, rank))


def _cutoff_columns(
    forecaster: Forecaster, panel: Panel, explained: list[Explained], repeats: int
) -> dict[str, pl.Series]:
    series = np.array([e.series for e in explained])
    times = panel.times(series, np.array([e.cutoff for e in explained]))
    rows = np.repeat(np.arange(len(explained)), repeats)
    return {forecaster.schema.id_name: panel.ids.gather(series[rows]), "cutoff": times.gather(rows)}


def _forecast_table(forecaster: Forecaster, panel: Panel, explained: list[Explained]) -> pl.DataFrame:
    horizon = forecaster.config.horizon
    center = np.array([panel.centers[e.series, 0] for e in explained])[:, None]
    return pl.DataFrame(
        {
            **_cutoff_columns(forecaster, panel, explained, horizon),
            "step": np.tile(np.arange(1, horizon + 1), len(explained)),
            "base_value": (center + np.stack([e.shapley.base for e in explained])).ravel(),
            "yhat": (center + np.stack([e.shapley.forecast for e in explained])).ravel(),
        }
    )


def _importance_table(
    forecaster: Forecaster, panel: Panel, players: Players, explained: list[Explained]
) -> pl.DataFrame:
    """One row a window, step and player, in that order."""
    horizon, order = forecaster.config.horizon, _order(players)
    feature, lag = players.feature[order], players.lag[order]
    channel = {name: c for c, name in enumerate(panel.schema.channels)}
    channels = np.array([channel[name] for name in feature])
    location = np.concatenate([[0.0], forecaster.covariate_location])[channels]
    centers = np.stack([np.where(channels == 0, panel.centers[e.series, 0], location) for e in explained])
    values = np.stack([e.cells[order] for e in explained]) + centers
    step = np.repeat(np.arange(1, horizon + 1), len(order))
    long_lag = np.tile(lag, horizon)
    return pl.DataFrame(
        {
            **_cutoff_columns(forecaster, panel, explained, horizon * len(order)),
            "step": np.tile(step, len(explained)),
            "feature": pl.Series(np.tile(feature, horizon * len(explained)), dtype=pl.String),
            "lag": np.tile(long_lag, len(explained)),
            "distance": np.tile(long_lag + step - 1, len(explained)),
            "value": pl.Series(np.tile(values, (1, horizon)).ravel()).fill_nan(None),
            "shap": np.stack([e.shapley.values[order].T for e in explained]).ravel(),
            "shap_se": np.stack([e.shapley.errors[order].T for e in explained]).ravel(),
        }
    )


def _profile(importance: pl.DataFrame) -> pl.DataFrame:
    shap = pl.col("shap")
    profile = importance.group_by("feature", "lag", maintain_order=True).agg(
        shap.abs().mean().alias("mean_abs_shap"), shap.mean().alias("mean_shap")
    )
    total = pl.col("mean_abs_shap").sum()
    return profile.with_columns(pl.when(total > 0).then(pl.col("mean_abs_shap") / total).otherwise(0.0).alias("share"))


def _attention_table(
    forecaster: Forecaster, panel: Panel, source: Windows, series: np.ndarray, cutoffs: np.ndarray
) -> pl.DataFrame | None:
    """Attention weights of the explained windows; a segment's weight is shared evenly among its lags."""
    config, network = forecaster.config, forecaster.network
    if config.attention == "none":
        return None
    with torch.inference_mode():
        _, weights = network.decode(network.encode(source.cut(series, cutoffs)))
    assert weights is not None
    per_lag = (weights / config.segment).repeat_interleave(config.segment, -1).flip(-1).double().cpu().numpy()
    rows = np.repeat(np.arange(len(series)), config.horizon * config.context_length)
    return pl.DataFrame(
        {
            forecaster.schema.id_name: panel.ids.gather(series[rows]),
            "cutoff": panel.times(series, cutoffs).gather(rows),
            "step": np.tile(np.repeat(np.arange(1, config.horizon + 1), config.context_length), len(series)),
            "lag": np.tile(np.arange(1, config.context_length + 1), len(series) * config.horizon),
            "weight": per_lag.ravel(),
        }
    )


def _history(panel: Panel, series: np.ndarray, cutoffs: np.ndarray, length: int) -> pl.DataFrame:
    """id, time, y of the last `length` steps up to each cutoff."""
    counts = np.minimum(cutoffs + 1, length)
    long = np.repeat(series, counts)
    back = np.concatenate([np.arange(n - 1, -1, -1) for n in counts])
    positions = np.repeat(cutoffs, counts) - back
    values = panel.values[panel.offsets[long] + positions, 0] + panel.centers[long, 0]
    return pl.DataFrame(
        {
            panel.schema.id_name: panel.ids.gather(long),
            panel.schema.time: panel.times(long, positions),
            "y": pl.Series(values).fill_nan(None),
        }
    )
