"""From a forecaster and a panel to an explanation: chooses the windows, runs the methods, gathers the tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.config import Question
from tsx.data.panel import Panel
from tsx.data.windows import Batch, Windows
from tsx.explanation import checks
from tsx.explanation.findings import find_words
from tsx.explanation.gradients import forecast_gradient, gradient_decay
from tsx.explanation.memory import measure_memory, retention_table, unit_table
from tsx.explanation.result import Explanation
from tsx.explanation.shapley import EVALUATED, Game, Players, Shapley, shapley_values, share_out
from tsx.explanation.surrogate import linear_surrogate
from tsx.explanation.tables import (
    Explained,
    attention_table,
    forecast_table,
    history_table,
    importance_table,
    profile_table,
)
from tsx.explanation.windows import at_level_of, choose, draw, flatten, game_of, population_of, references_of
from tsx.forecaster import Forecaster
from tsx.log import SILENT, Progress

SHOWN = 8
"""Series whose newest forecast is kept with its history, for pictures."""


def explain_forecaster(
    forecaster: Forecaster,
    panel: Panel,
    question: Question,
    *,
    skill: dict[str, Any],
    table: Panel | None = None,
    cohorts: pl.Series | None = None,
    others: tuple[Forecaster, ...] = (),
    earlier: Any = None,
    scratch: str | Path | None = None,
    progress: Progress = SILENT,
) -> Explanation:
    """Explain the newest forecast of every series, and earlier ones up to `windows` in all.

    Each window may cost `max_evals` evaluations of the network (ten antithetic pairs at least). `skill` is the verdict
    of the hold-out, repeated in the findings. Raises ConfigError for counts below 1, DataError as forecasting does.
    """
    windows, max_evals, seed = question.windows, question.max_evals, question.seed
    config = forecaster.config
    players = Players.of(panel.schema, config)
    source = forecaster.windows(panel)
    series, cutoffs, newest = choose(forecaster, panel, windows)
    random = np.random.default_rng(seed)
    explained = []
    progress.start("explaining", len(series))
    try:
        for done, (n, cutoff) in enumerate(zip(series, cutoffs), 1):
            explained.append(_explain_window(forecaster, panel, source, int(n), int(cutoff), max_evals, random))
            progress.update(done)
    finally:
        progress.finish()
    population = source.cut(*population_of(panel, config.context_length, config.horizon))
    network = forecaster.network
    with torch.inference_mode():
        inputs = network.segments(network.encode(population))
        shares = _path_shares(forecaster, population)
    memories = measure_memory(network.recurrence, inputs)
    gradients = gradient_decay(network, population)
    importance = importance_table(forecaster, panel, players, explained)
    profile = profile_table(importance)
    values = np.stack([e.shapley.values for e in explained])
    errors = np.stack([e.shapley.errors for e in explained])
    by_lag = profile.filter(pl.col("lag") > 0).group_by("lag").agg(pl.col("mean_abs_shap").sum()).sort("lag")
    found = (
        checks.additivity(_additivity_gap(forecaster, panel, explained)),
        checks.precision(values, errors),
        checks.deletion(*(float(mean) for mean in np.mean([e.deleted for e in explained], 0))),
        checks.gradient_agreement(by_lag["mean_abs_shap"].to_numpy(), forecast_gradient(network, population)),
    )
    retention, units = retention_table(memories, config.segment), unit_table(memories, config.segment)
    older, newer = _halves(population)
    shown = newest[:SHOWN]
    borrowed = sum(not e.own_references for e in explained)
    method = {
        "values": "antithetic permutation sampling, a fresh reference window for every pair, regressed on its forecast",
        "explains": "yhat",
        "players": len(players),
        "pairs": min(e.pairs for e in explained),
        "evaluations": sum(e.shapley.evaluations for e in explained),
        "max_evals": max_evals,
        "reference": "earlier windows of the same series"
        + (f"; for {borrowed} forecasts, windows of the panel at the explained one's level" if borrowed else ""),
        "windows_with_panel_references": borrowed,
        "windows": len(explained),
        "population": len(population),
        "path_shares": shares,
        "seed": seed,
    }
    return Explanation(
        schema=panel.schema,
        config=config,
        frequency=forecaster.frequency,
        question=question,
        by_step=importance.group_by("feature", "lag", "step", "distance", maintain_order=True).agg(
            pl.col("shap").abs().mean().alias("mean_abs_shap"),
            pl.col("shap").mean().alias("mean_shap"),
            pl.col("shap_se").mean(),
        ),
        verdict=max(found, key=lambda check: ("pass", "weak", "fail").index(check.verdict)),
        forecasts=forecast_table(forecaster, panel, explained),
        quantiles=forecaster.frame(
            panel, series[shown], cutoffs[shown], forecaster.quantiles(panel, series[shown], cutoffs[shown])
        ),
        history=history_table(panel, series[shown], cutoffs[shown], 2 * config.context_length),
        importance=importance.lazy(),
        lag_profile=profile,
        memory_units=units,
        retention=retention,
        gradient_decay=gradients,
        attention=attention_table(forecaster, panel, source, series, cutoffs),
        surrogate=linear_surrogate(network, panel.schema, older, newer),
        checks=found,
        findings=find_words(config, panel.calendar, profile, importance, retention, units, shares, found, skill),
        skill=skill,
        method=method,
        noticed=panel.findings,
    )


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
    candidates, own = references_of(panel, forecaster, series, cutoff)
    pairs, size = share_out(len(cells), max_evals, len(candidates))
    stand_ins = [source.cut(*candidates.spread(size)), source.cut(*draw(candidates, pairs, random))]
    if not own:
        stand_ins = [at_level_of(forecaster.network, each, batch) for each in stand_ins]
    population, references = map(flatten, stand_ins)
    game = game_of(forecaster, batch)
    with torch.inference_mode():
        found = shapley_values(game, cells, references, population, random)
        deleted = _deletion(game, cells, references, found, random)
    return Explained(series, cutoff, cells.cpu().numpy(), found, pairs, own, deleted)


def _deletion(
    game: Game, cells: Tensor, references: Tensor, found: Shapley, random: np.random.Generator
) -> tuple[float, float]:
    """Mean |change of the forecast| over references when the top tenth, or as many others, take their values.

    The others are drawn anew for every reference, so that no single unlucky draw decides.
    """
    players = len(cells)
    count = max(1, players // 10)
    order = np.argsort(-np.abs(found.values).mean(1), kind="stable")
    gone = np.zeros((2, len(references), players), dtype=bool)
    gone[0][:, order[:count]] = True
    others = random.permuted(np.tile(order[count:], (len(references), 1)), axis=1)[:, :count]
    np.put_along_axis(gone[1], others, True, axis=1)
    mixed = torch.where(torch.from_numpy(gone).to(cells.device), references, cells)
    changed = torch.stack([torch.cat([game(rows) for rows in part.split(EVALUATED)]) for part in mixed])
    top, rest = np.abs(changed.cpu().double().numpy() - found.forecast).mean((1, 2))
    return float(top), float(rest)


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
    recurrent = paths.recurrent[..., forecaster.config.median]
    parts = {"season": paths.season, "linear": paths.linear, "recurrent": recurrent}
    sizes = {name: float(part.abs().mean()) for name, part in parts.items()}
    total = sum(sizes.values())
    return {name: size / total if total > 0 else 0.0 for name, size in sizes.items()}


def _additivity_gap(forecaster: Forecaster, panel: Panel, explained: list[Explained]) -> float:
    """Largest |base value + sum of SHAP values - forecast|, against the forecasts as they are made, in their scale."""
    series, cutoffs = np.array([e.series for e in explained]), np.array([e.cutoff for e in explained])
    made = forecaster.quantiles(panel, series, cutoffs)[..., forecaster.config.median]
    made -= panel.centers[series, 0][:, None]
    sums = np.stack([e.shapley.base + e.shapley.values.sum(0) for e in explained])
    return float(np.abs(sums - made).max() / float(forecaster.network.typical_scale))
