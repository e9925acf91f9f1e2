"""Whether the network is better than the best simple forecast, and whether that may be chance: numbers and a sentence.

The loss is the absolute error over the window's scale (the scaled error of MASE), so that large series do not drown
small ones; where no window has a scale, the plain absolute error. Volatility is judged by QLIKE (Patton 2011), whose
ranking stays right when the variance is not observed but measured with noise.
"""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from tsx.baselines.simple import reference_forecaster
from tsx.evaluation.metrics import SCALE
from tsx.spec.settings import Loss
from tsx.spec.verdict import Verdict
from tsx.wording import count

FOLD = "__fold"
SERIES = "__series"

MIN_ORIGINS = 8
"""Fewer forecast origins tell too little of the variance between them. Origins nearer than a horizon overlap and count
for less: as many spans without overlap are asked for, since with half of them (4,000 simulations of forecasts that
differ by chance alone) the test claimed skill in 7 % of cases and with a quarter in 11 %."""
MIN_SERIES = 8
SIGNIFICANT = 0.05
NEAR = 0.02
"""Baselines less than this better than the last value are no better: a price level is then judged against no change.
For 80 % of 200 random walks (600 rows, 24 origins, 12 steps) the best of drift, Theta and ridge is within it."""

ENOUGH = 0.25
"""Share of its planned steps under which a training that the time limit ended is not called one without skill: the
network is then still near the forecasts that it started from."""

EQUAL = 5e-4
"""Errors that differ by less, as a share, are written as equal."""
LOSSES: dict[Loss, str] = {"scaled": "scaled error", "qlike": "QLIKE"}


def judge(
    frame: pl.DataFrame, model: str, horizon: int, stride: int, loss: Loss = "scaled", cut_short: str = ""
) -> Verdict:
    """The verdict on `model` from the scored backtest frame (columns SERIES, FOLD, SCALE beside the contract's).

    The baselines are the frame's other models; the best has the least MASE (MAE where no window has a scale), or QLIKE.
    Where the last value is within `NEAR` of it, the target moves like a price: nothing simple forecasts it, and the
    network is judged against no change, unless it lies between the two. With
    `MIN_ORIGINS` origins or more (times ceil(horizon / stride) where they overlap) the losses are averaged over series
    and steps per origin and compared by the test of `diebold_mariano`. With fewer origins but `MIN_SERIES` series, a
    t test takes the series as independent, and the sentence says so. Otherwise there is no test. `cut_short`: why it is
    too early to say that there is no skill (`cut_short_training`).
    """
    losses = _losses(frame, loss)
    if losses.is_empty() or model not in losses.columns:
        return Verdict(
            model,
            "",
            None,
            None,
            None,
            "0 origins",
            "none",
            "Nothing could be scored: no target was observed in the horizons of the backtest.",
            False,
        )
    baselines = [name for name in losses.columns if name not in (model, FOLD, SERIES, "weight")]
    weight = losses["weight"].to_numpy()
    mean = {name: float(np.average(losses[name].to_numpy(), weights=weight)) for name in (model, *baselines)}
    best = min(baselines, key=lambda name: mean[name])
    near = mean.get("naive", math.inf) <= (1 + NEAR) * mean[best]
    against = best if not near or mean[best] <= mean[model] < mean["naive"] else "naive"
    reference = reference_forecaster(mean)
    skill = _skill(mean[model], mean[against])
    p_value, units, test = _test(losses, model, against, -(-horizon // stride) - 1)
    better = mean[model] < mean[against]
    has_skill = better and p_value is not None and p_value < SIGNIFICANT
    return Verdict(
        model=model,
        against=against,
        skill=skill,
        skill_seasonal_naive=_skill(mean[model], mean[reference]) if reference in mean else None,
        p_value=p_value,
        units=units,
        test=test,
        sentence=_sentence(against, better, skill, p_value, units, test, loss, cut_short),
        has_skill=has_skill,
        loss=LOSSES[loss],
    )


def simple_words(name: str) -> str:
    """A simple forecaster in a sentence: `the last value`, `seasonal naive`."""
    return "the last value" if name == "naive" else name.replace("_", " ")


def in_passing(verdict: Verdict) -> str:
    """What it says as part of a sentence: `its error is 12 % smaller than that of ridge (p = .03, 9 origins)`."""
    evidence = verdict.units if verdict.p_value is None else f"{_p_text(verdict.p_value)}, {verdict.units}"
    other = simple_words(verdict.against)
    if verdict.skill is None:
        return f"{other} makes no error ({evidence})"
    if abs(verdict.skill) < EQUAL:
        return f"its error is that of {other} ({evidence})"
    size = f"{100 * verdict.skill:.1f} % smaller" if verdict.skill >= 0 else _larger(-verdict.skill)
    size += " as" if size.endswith("times as large") else " than"
    return f"its error is {size} that of {other} ({evidence})"


def surely_worse(verdict: Verdict) -> bool:
    """Whether the forecast's error is larger than that of the best baseline beyond chance."""
    worse = verdict.skill is not None and verdict.skill < 0
    return worse and verdict.p_value is not None and verdict.p_value < SIGNIFICANT


def cut_short_training(steps: int, planned: int) -> str:
    """Why it is too early to judge a training that the time limit ended after `steps` of `planned`; "" after `ENOUGH`
    of them."""
    if steps >= ENOUGH * planned:
        return ""
    return f"the time limit ended training after {count(steps, 'step')} of {planned:,}"


def diebold_mariano(differences: np.ndarray, lag: int) -> float | None:
    """Two-sided p-value of "the mean of `differences` (n,) is 0", for loss differences in order of time.

    Diebold & Mariano (1995), equation 3.1, with autocovariances up to `lag` (forecasts that overlap are correlated up
    to there), the small-sample factor of Harvey, Leybourne & Newbold (1997), equation 9, and Student's t with n - 1
    degrees of freedom. A variance that is not positive is computed again with Bartlett's weights (Newey & West 1987).
    None where it cannot be told: under 2 differences, or so much overlap that the factor is 0.
    """
    from scipy.special import stdtr

    number = len(differences)
    steps = lag + 1
    factor = (number + 1 - 2 * steps + steps * (steps - 1) / number) / number if number else 0.0
    if number < 2 or lag >= number or factor <= 0:
        return None
    mean = float(differences.mean())
    centred = differences - mean
    autocovariance = np.array([centred[k:] @ centred[: number - k] / number for k in range(steps)])
    variance = autocovariance[0] + 2 * autocovariance[1:].sum()
    # Rounding alone leaves a tiny variance where all differences are equal.
    tiny = (1e-12 * max(abs(mean), np.finfo(float).tiny)) ** 2
    if variance <= tiny:
        variance = autocovariance[0] + 2 * ((1 - np.arange(1, steps) / steps) * autocovariance[1:]).sum()
    if variance <= tiny:
        return 1.0 if mean == 0 else 0.0
    statistic = mean / math.sqrt(variance / number) * math.sqrt(factor)
    return float(2 * stdtr(number - 1, -abs(statistic)))


def _losses(frame: pl.DataFrame, kind: Loss) -> pl.DataFrame:
    """Mean loss per series and origin, one column per model, and `weight`, the steps it is a mean of.

    There is no QLIKE of a value of 0 or less, which is left out, nor of a model with such forecasts of the others.
    """
    scored = pl.col("y").is_finite().fill_null(False) & pl.col("yhat").is_finite().fill_null(False)
    rows = frame.select("model", "y", "yhat", SERIES, FOLD, SCALE).filter(scored)  # without the quantiles
    scaled = rows.filter(pl.col(SCALE).is_finite().fill_null(False) & (pl.col(SCALE) > 0))
    error = (pl.col("y") - pl.col("yhat")).abs()
    loss = error
    if kind == "qlike":
        rows = rows.filter(pl.col("y") > 0).filter((pl.col("yhat") > 0).all().over("model"))
        ratio = pl.col("y") / pl.col("yhat")
        loss = ratio - ratio.log() - 1
    elif not scaled.is_empty():
        rows, loss = scaled, error / pl.col(SCALE)
    window = [SERIES, FOLD]
    means = rows.group_by(*window, "model", maintain_order=True).agg(loss.mean().alias("loss"), pl.len().alias("n"))
    weight = means.group_by(window, maintain_order=True).agg(pl.col("n").max().cast(pl.Float64).alias("weight"))
    wide = means.pivot(on="model", index=window, values="loss", maintain_order=True)
    return wide.join(weight, on=window, how="left").drop_nulls()


def _test(losses: pl.DataFrame, model: str, against: str, lag: int) -> tuple[float | None, str, str]:
    """(p-value, units, name of the test)."""
    difference = (pl.col(model) - pl.col(against)) * pl.col("weight")
    mean = (difference.sum() / pl.col("weight").sum()).alias("mean")
    # The rows of a group stay in their order, so that they are always added in the same one.
    by_origin, by_series = (losses.group_by(unit, maintain_order=True).agg(mean) for unit in (FOLD, SERIES))
    # Folds count back from the end of the series: the highest is the oldest.
    origins = by_origin.sort(FOLD, descending=True)["mean"].to_numpy()
    series = by_series.sort(SERIES)["mean"].to_numpy()
    if len(origins) >= MIN_ORIGINS * (lag + 1):
        return diebold_mariano(origins, lag), count(len(origins), "origin"), "diebold-mariano"
    if len(series) >= MIN_SERIES:
        return diebold_mariano(series, 0), count(len(series), "series"), "t-test over series"
    kind = "overlapping origin" if lag else "origin"
    return None, f"{count(len(origins), kind)}, {count(len(series), 'series')}", "none"


def _skill(loss: float, other: float) -> float | None:
    if other > 0:
        return 1 - loss / other
    return 0.0 if loss == 0 else None


def _sentence(
    against: str,
    better: bool,
    skill: float | None,
    p_value: float | None,
    units: str,
    test: str,
    loss: Loss,
    cut_short: str,
) -> str:
    evidence = units if p_value is None else f"{_p_text(p_value)}, {units}"
    if test == "t-test over series":
        evidence += " taken as independent"
    if loss != "scaled":
        evidence = f"{LOSSES[loss]}, {evidence}"
    size = "" if skill is None else f"{100 * abs(skill):.1f} %"
    simple, against = simple_words(against), against.replace("_", " ")
    if not better:
        against = "no change" if against == "naive" else against
        worse = f"its error is {_larger(-skill)}" if skill else "equal errors"
        if skill is None:
            worse = f"{simple} makes no error"
        no_better = f"the forecast is no better than {against} ({worse}, {evidence}); use {simple}"
        if cut_short:
            return f"Too early to judge: {cut_short}. As it is, {no_better}, or give a longer --max-time."
        return f"No skill: {no_better}."
    against = "no change (the last value)" if against == "naive" else against
    if p_value is None:
        return f"The forecast is better than {against} by {size}, but there are too few origins to tell ({evidence})."
    if p_value >= SIGNIFICANT:
        return f"The forecast is better than {against} by {size}, but the difference may be chance ({evidence})."
    return f"The forecast beats {against} by {size} ({evidence})."


def _larger(share: float) -> str:
    """How much larger, as a share of the other; beyond twice as large, how many times as large."""
    return f"{100 * share:.1f} % larger" if share < 1 else f"{1 + share:,.{0 if share > 9 else 1}f} times as large"


def _p_text(p_value: float) -> str:
    if p_value < 0.001:
        return "p < .001"
    digits = 3 if p_value < 0.1 else 2
    return f"p = {p_value:.{digits}f}".replace("0.", ".", 1)
