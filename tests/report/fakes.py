"""Explanations with known contents, made without a network."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from tests.report.more_tables import TREE, more_tables
from tsx.explanation.result import Check, Explanation, Knowledge, Origin
from tsx.spec.channels import Channels
from tsx.spec.network import NetworkConfig
from tsx.spec.schema import Schema
from tsx.spec.settings import Question

HOSTILE_IDS = (
    "<script>alert(1)</script>",
    "\x1b[31mred\x1b[0m",
    "a|b *c* [x](http://evil.example)",
    "[bold]markup[/bold]",
    "</script><!--",
    "\"'&{{7*7}}",
    "\u202egnp.exe",
    "tab\there\nline",
)
PATIENTS = Schema(time="when", target="glucose_mg_dl", id="patient", past=("insulin_u",), future=("meal_g",))
SKILL = "12 % better than seasonal naive, the best simple forecast (p = 0.003 over 24 origins)."
SQUARE = pl.col("shap") ** 2 - pl.col("shap_se") ** 2
KNOWLEDGE = Knowledge("shown", "seasonal naive", 0.12, SKILL)
FAITHFUL = Check(
    "faithful",
    0.5,
    "fail",
    "The explanation stood up to 2 of 4 attempts to refute it; failed: random model; weak: gradient agreement.",
)
VERDICT = Check(
    "overall",
    0.5,
    "fail",
    "Do not believe this explanation: a network with shuffled weights is explained just the same.",
)
FACTS = {
    "memory": {
        "time_constants": {"mu": 2.5, "sigma": 1.0, "better": "log-normal"},
        "gate_measured_correlation": 0.59,
        "chrono": {"longest": 95.5, "beyond": 3},
        "fate": {"word": "vanishing", "lag": 96, "largest": 0.01},
    }
}
HELD_OUT = (
    {"model": "lstm", "mase": 0.8, "smape": 9.0, "rmse": 12.5, "scaled_crps": 0.05, "coverage_80": 0.79, "n": 480},
    {"model": "seasonal_naive", "mase": 0.9, "smape": 11.0, "rmse": 14.0, "scaled_crps": 0.06, "coverage_80": 0.81},
)
LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)


def make_explanation(
    *,
    series: int = 3,
    horizon: int = 24,
    context: int = 96,
    season: int = 24,
    layers: int = 1,
    attention: bool = False,
    segment: int = 1,
    cell: str = "lstm",
    frequency: str = "1h",
    ids: tuple[str, ...] = (),
    schema: Schema | None = None,
    windows: int = 2,
    question: Question | None = None,
    full: bool = False,
) -> Explanation:
    """A plausible result for a series with a season, decaying memory and some slow units.

    `full` brings every further table and fact along.
    """
    rng = np.random.default_rng(7)
    schema = schema or PATIENTS
    ids = ids or tuple(f"patient {k + 1:02d}" for k in range(series))
    times = _clock(frequency)
    id_name, steps, lags = schema.id_names[0], np.arange(1, horizon + 1), np.arange(1, context + 1)
    config = NetworkConfig(
        horizon=horizon,
        context_length=context,
        segment=segment,
        season=season,
        channels=Channels.of(schema),
        hidden_size=64,
        layers=layers,
        cell=cell,
        attention="temporal" if attention else "none",
        quantile_levels=LEVELS,
    )

    history, quantiles, forecasts = [], [], []
    for k, key in enumerate(ids):
        level = 120 + 25 * np.sin(2 * np.pi * (np.arange(context) + 3 * k) / max(season, 2)) + rng.normal(0, 5, context)
        level[5:8] = np.nan
        history.append(
            pl.DataFrame(
                {id_name: [key] * context, schema.time: [times(t) for t in range(context)], "y": level}
            ).with_columns(pl.col("y").fill_nan(None))
        )
        middle = 120 + 25 * np.sin(2 * np.pi * (context + steps + 3 * k) / max(season, 2))
        spread = 6 + 8 * np.sqrt(steps / horizon)
        offsets = (-1.96, -1.28, -0.67, 0.0, 0.67, 1.28, 1.96)
        quantiles.append(
            pl.DataFrame(
                {
                    id_name: [key] * horizon,
                    schema.time: [times(context + s - 1) for s in steps],
                    "cutoff": [times(context - 1)] * horizon,
                    "step": steps,
                    "yhat": middle,
                    **{f"q{q:g}": middle + z * spread for q, z in zip(LEVELS, offsets, strict=True)},
                }
            )
        )
        for w in range(windows):
            forecasts.append(
                pl.DataFrame(
                    {
                        id_name: [key] * horizon,
                        "cutoff": [times(context - 1 - 7 * w)] * horizon,
                        "step": steps,
                        "base_value": np.full(horizon, 118.0),
                        "yhat": middle + w,
                    }
                )
            )

    parts = []
    for name in (schema.target, *schema.past, *schema.future):
        weight = {schema.target: 1.0}.get(name, 0.25 if name in schema.past else 0.12)
        for key in ids:
            for w in range(windows):
                step, lag = np.meshgrid(steps, lags, indexing="ij")
                step, lag = step.ravel(), lag.ravel()
                if name in schema.future:
                    lag = lag - horizon
                distance = lag + step - 1
                size = weight * (9 * np.exp(-np.abs(lag) / 6) + 6 * np.exp(-(((distance - season) / 1.2) ** 2)))
                shap = size * rng.normal(1, 0.3, len(lag)) * np.where(distance % 3 == 0, -1, 1)
                parts.append(
                    pl.DataFrame(
                        {
                            id_name: [key] * len(lag),
                            "cutoff": [times(context - 1 - 7 * w)] * len(lag),
                            "step": step,
                            "feature": [name] * len(lag),
                            "lag": lag,
                            "distance": distance,
                            "value": rng.normal(120, 20, len(lag)),
                            "shap": shap,
                            "shap_se": 0.05 * np.abs(size) + 0.02,
                        }
                    )
                )
    importance = pl.concat(parts)
    profile = (
        importance.group_by("feature", "lag", maintain_order=True)
        .agg(
            pl.col("shap").abs().mean().alias("mean_abs_shap"),
            pl.col("shap").mean().alias("mean_shap"),
            SQUARE.mean().clip(lower_bound=0).alias("mean_square_shap"),
        )
        .with_columns((pl.col("mean_square_shap") / pl.col("mean_square_shap").sum()).alias("share"))
    )

    units, kept = [], []
    for layer in range(1, layers + 1):
        tau = np.sort(rng.lognormal(1.8 + 0.7 * layer, 1.0, 64))
        span = np.ceil(-np.log(0.05) * tau)
        units.append(
            pl.DataFrame(
                {
                    "layer": [layer] * 64,
                    "unit": np.arange(64),
                    "forget_mean": np.exp(-1 / tau),
                    "time_constant": tau,
                    "half_life": np.log(2) * tau,
                    "memory_span": np.where(span > context, np.nan, span),
                    "censored": span > context,
                    **(
                        {
                            "saturated": np.clip(tau / 100, 0, 1),
                            "dead": np.arange(64) == 3,
                            "input_mean": 0.4,
                            "output_mean": 0.6,
                            "measured_half_life": np.log(2) * tau * rng.lognormal(-0.5, 0.5, 64),
                        }
                        if full
                        else {}
                    ),
                }
            ).with_columns(pl.col("memory_span").fill_nan(None).cast(pl.Int64))
        )
        held = np.exp(-lags[:, None] / tau[None])
        wrote = held.mean(1) / held.mean(1).sum()
        kept.append(
            pl.DataFrame(
                {
                    "layer": [layer] * context,
                    "lag": lags,
                    "mean": held.mean(1),
                    "q10": np.quantile(held, 0.1, 1),
                    "q90": np.quantile(held, 0.9, 1),
                    "written": wrote if cell != "rnn" else [None] * context,
                },
                schema_overrides={"written": pl.Float64},
            )
        )

    norm = 0.4 * np.exp(-lags / 9) + 0.06 * np.exp(-(((lags - season) / 2) ** 2)) + 1e-6
    looks = None
    if attention:
        ends = (lags - 1) // segment * segment + 1
        weights = np.exp(-ends / (8 * segment)) + 0.4 * np.exp(-(((ends - season) / segment) ** 2))
        one = pl.DataFrame({"lag": lags, "weight": weights / weights.sum()})
        one = one.join(pl.DataFrame({"step": steps}), how="cross")
        looks = pl.concat(
            [one.with_columns(pl.lit(key).alias(id_name), pl.lit(times(context - 1)).alias("cutoff")) for key in ids]
        ).select(id_name, "cutoff", "step", "lag", "weight")
    return Explanation(
        origin=Origin(
            program="0.1.0",
            fitted="960 steps of 10 series with tsx 0.1.0",
            table="glucose.csv",
            series=10,
            rows=960,
            newest=times(context - 1),
            held_out=HELD_OUT,
            per_step=tuple(
                {**row, "step": step, "mase": row["mase"] + step / 50} for row in HELD_OUT for step in (1, 2)
            ),
            version="v3",
            written=date(2024, 3, 5),
            model_sha256="0123456789ab",
            data_sha256="ba9876543210",
            command="tsx explain glucose.csv --windows 6",
        ),
        schema=schema,
        config=config,
        frequency=frequency,
        forecasts=pl.concat(forecasts),
        question=question or Question(),
        quantiles=pl.concat(quantiles),
        history=pl.concat(history),
        importance=importance.lazy(),
        lag_profile=profile,
        by_step=by_step(importance),
        tables=more_tables(schema, config, ids, times, profile, pl.concat(kept)) if full else {},
        facts=FACTS if full else {},
        memory_units=pl.concat(units),
        retention=pl.concat(kept),
        gradient_decay=pl.DataFrame({"lag": lags, "mean_norm": norm, "share": norm / norm.sum()}),
        attention=looks,
        surrogate={
            "kind": "linear autoregression on the context",
            "windows_fitted": 400,
            "windows_judged": 200,
            "r2": 0.913,
            "largest_weights": [
                {"feature": schema.target, "lag": lag, "mean_abs_weight": 1 / lag} for lag in (1, season)
            ],
            **({"tree": {"text": TREE.replace("y lag", f"{schema.target} lag"), "leaves": 2}} if full else {}),
        },
        checks=(
            Check("additivity", 3.1e-6, "pass", "Base value and SHAP values add up to every forecast."),
            Check(
                "deletion",
                4.1,
                "pass",
                "Removing the ten leading inputs moves the forecasts 4.1 times as far as removing ten at random.",
            ),
            Check("gradient_agreement", 0.38, "weak", "SHAP and gradients rank the lags alike only in part."),
            Check("random_model", float("nan"), "fail", "A network with shuffled weights is explained just the same."),
        ),
        faithful=FAITHFUL,
        knowledge=KNOWLEDGE,
        verdict=VERDICT,
        findings=(
            SKILL,
            f"The season decides: {schema.target} {season} steps before is worth 31 % of all importance.",
            "Half of what the cells hold is gone after 9 hours; a day is still 14 % there.",
        ),
        skill={"sentence": SKILL, "skill": 0.12, "p_value": 0.003, "has_skill": True},
        method={
            "explains": "yhat",
            "players": 288,
            "reference": "windows of the series' own past",
            "level": "follow",
            "windows": windows * len(ids),
            "tolerance": 0.1,
            "relative_error": 0.08,
            "max_evals": 8192,
            "values": "antithetic permutation sampling",
            "absent": "those of the reference, whatever is present",
            "fewest_pairs": 4,
            "most_pairs": 32,
            "tolerance_reached": windows,
            "evaluations": 18_496,
            "evaluations_of_checks": 2_000,
            "population": 512,
            "seed": 0,
            "seconds": 12.5,
        },
    )


def by_step(importance: pl.DataFrame) -> pl.DataFrame:
    shap = pl.col("shap")
    return importance.group_by("feature", "lag", "step", "distance", maintain_order=True).agg(
        mean_abs_shap=shap.abs().mean(),
        mean_shap=shap.mean(),
        mean_square_shap=SQUARE.mean(),
        shap_se=pl.col("shap_se").mean(),
    )


def _clock(frequency: str) -> Callable[[int], Any]:
    if frequency == "1":
        return lambda k: k
    if frequency == "1d":
        return lambda k: date(2024, 1, 1) + timedelta(days=int(k))
    return lambda k: datetime(2024, 3, 1) + timedelta(hours=int(k))
