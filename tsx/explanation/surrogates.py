"""Surrogates of the trained network: would something that can be read whole do the same?

Three of them, each fitted to the network's point forecasts on older windows and judged on newer ones: a linear
autoregression on few lags, a shallow regression tree (Breiman et al. 1984), and an additive model of smooth functions
of single lags (Hastie & Tibshirani 1986). Each is judged twice: by how much of the network's forecasts it explains
(fidelity), and by its own error against the truth beside the network's. Everything is in window scales, behind the
logarithm where the network works behind one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch

from tsx.explanation.measure import Context, Measure, Measured, Results, TableSpec
from tsx.explanation.ranks import rank_similarity
from tsx.explanation.regression_tree import RegressionTree
from tsx.explanation.shap.units import slope, to_link
from tsx.explanation.simple_models import (
    FEWEST_FITTED,
    FEWEST_JUDGED,
    Model,
    candidates,
    forward_selection,
    least_squares,
    r2,
    shallow_tree,
    sparse_linear,
    standard,
    tree_lines,
    varies,
)
from tsx.explanation.splines import CubicSplines, ridge_leaving_one_out
from tsx.model.batch import Batch
from tsx.model.network import Network
from tsx.panel.sampling import evenly_spaced
from tsx.wording import number, percent, threshold

STEPS = 8
"""Horizon steps at most that are fitted, evenly spaced, the first and the last among them."""
SMOOTH, CURVED = 8, 4
"""Lags of the additive model: the linear model's first, and those whose square explains most of what is left."""
FAITHFUL = 0.97
"""Fidelity from which a surrogate may stand in for the network."""
TABLE = TableSpec(
    "surrogates",
    {"name": pl.String, "fidelity": pl.Float64, "mae": pl.Float64, "network_mae": pl.Float64, "terms": pl.Int64},
)
KIND = "linear autoregression on few lags, fitted to the point forecasts"


@dataclass(frozen=True, eq=False)
class _Table:
    """Windows as a regression sees them, in window scales.

    inputs (n, K): every lag of every channel and every known-future value, `names` (K) their feature and lag; forecasts
    and truth (n, S), truth NaN where unknown.
    """

    inputs: np.ndarray
    names: list[tuple[str, int]]
    forecasts: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True)
class _Score:
    """How one surrogate does on the windows that it is judged on: a row of the table. None: not fitted, or no truth."""

    name: str
    fidelity: float | None = None
    mae: float | None = None
    network_mae: float | None = None
    terms: int | None = None


def surrogates(network: Network, older: Batch, newer: Batch) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Fit on the windows of `older`, judge on `newer`, later in time.

    Returns the table name, fidelity (R2 of the network's forecasts on `newer`, steps pooled), mae and network_mae
    (against the truth, in window scales), terms (lags, or the tree's splits); and the JSON-able details. Where there
    are too few windows, or the forecasts do not vary, the numbers are null and `reason` says why.
    """
    steps = evenly_spaced(network.config.horizon, STEPS)
    (fit, _), (judge, _) = (_table(network, batch, steps) for batch in (older, newer))
    details: dict[str, Any] = {
        "kind": KIND,
        "windows_fitted": len(fit.inputs),
        "windows_judged": len(judge.inputs),
        "steps": (steps + 1).tolist(),
        "r2": None,
        "r2_all_lags": None,
        "largest_weights": [],
        "reason": _reason(fit, judge),
        "sentence": None,
        "forecasts_as_well": None,
    }
    if details["reason"] is not None:
        return _scores_table([_Score(name) for name in ("linear", "tree", "additive")]), details
    among = candidates(fit.inputs, fit.forecasts)
    linear = sparse_linear(fit.inputs, fit.forecasts, among)
    tree, splits = _tree(fit, among)
    additive, smooth = _additive(fit, among)
    own = _absolute_errors(judge.forecasts, judge.truth)
    scores = []
    for name, model, terms in (
        ("linear", linear, len(linear.columns)),
        ("tree", tree, splits["splits"]),
        ("additive", additive, len(smooth)),
    ):
        guess = model(judge.inputs)
        scores.append(
            _Score(name, r2(guess, judge.forecasts), *_maes(_absolute_errors(guess, judge.truth), own), terms)
        )
    size, strongest = np.abs(linear.weights).mean(1), linear.strongest
    details |= {
        "r2": scores[0].fidelity,
        "r2_all_lags": r2(_all_lags(fit)(judge.inputs), judge.forecasts),
        "largest_weights": [
            _named(fit, linear.columns[k]) | {"mean_abs_weight": float(size[k])} for k in strongest[:10]
        ],
        "linear": {
            "intercepts": linear.intercept.tolist(),
            "terms": [
                _named(fit, linear.columns[k])
                | {"mean": float(fit.inputs[:, linear.columns[k]].mean()), "weights": linear.weights[k].tolist()}
                for k in strongest
            ],
        },
        "tree": splits,
        "additive": {"terms": smooth},
    }
    details |= _compared(scores, _absolute_errors(linear(judge.inputs), judge.truth), own)
    return _scores_table(scores), details


def shap_of_linear(network: Network, details: dict[str, Any], batch: Batch) -> pl.DataFrame:
    """feature, lag, mean_abs_shap, mean_shap of the linear surrogate: exact, weight x (value - mean).

    In units of y: each window's are multiplied by what a window scale of its forecast is worth. Means over the windows
    of `batch` and the fitted steps.
    The closed form for independent references is that of Lundberg & Lee (2017, corollary 1), with the mean of the
    fitted windows. Empty where there is no linear surrogate.
    """
    terms = details.get("linear", {}).get("terms", [])
    columns = {"feature": pl.String, "lag": pl.Int64, "mean_abs_shap": pl.Float64, "mean_shap": pl.Float64}
    if not terms:
        return pl.DataFrame(schema=columns)
    table, scale = _table(network, batch, np.array(details["steps"]) - 1)
    place = {name: k for k, name in enumerate(table.names)}
    chosen = table.inputs[:, [place[term["feature"], term["lag"]] for term in terms]]
    weights = np.array([term["weights"] for term in terms])
    means = np.array([term["mean"] for term in terms])
    shap = (chosen - means)[..., None] * weights * scale[:, None]
    return pl.DataFrame(
        {
            "feature": [term["feature"] for term in terms],
            "lag": [term["lag"] for term in terms],
            "mean_abs_shap": np.abs(shap).mean((0, 2)),
            "mean_shap": shap.mean((0, 2)),
        },
        schema=columns,
    )


def linear_agreement(linear: pl.DataFrame, profile: pl.DataFrame) -> float | None:
    """Rank correlation of the linear surrogate's mean |SHAP| with the network's, over the network's (feature, lag).

    Lags without a weight count as 0. None where the players are no single lags, or fewer than 3.
    """
    cells = profile.drop_nulls(["feature", "lag"])
    if cells.height < 3 or cells.height < profile.height or "oldest_lag" in profile.columns or linear.is_empty():
        return None
    joined = cells.join(linear, on=["feature", "lag"], how="left", suffix="_linear", maintain_order="left")
    return rank_similarity(joined["mean_abs_shap"].to_numpy(), joined["mean_abs_shap_linear"].fill_null(0.0).to_numpy())


def _table(network: Network, batch: Batch, steps: np.ndarray) -> tuple[_Table, np.ndarray]:
    """The windows as a regression sees them, and what a window scale of the forecast is worth in units of y (n, S)."""
    config = network.config
    with torch.inference_mode():
        encoded = network.encode(batch)
        point, truth = (
            (to_link(config, y, batch) - encoded.location) / encoded.scale
            for y in (network.point(network(batch)), batch.target)
        )
        scale = slope(network, batch)
    channels = config.channels
    ahead = encoded.future[..., : len(channels.ahead)]
    names = [(channel.name, lag) for lag in range(config.context_length, 0, -1) for channel in channels.time_varying]
    names += [(channel.name, 1 - step) for step in range(1, config.horizon + 1) for channel in channels.ahead]
    cells = torch.cat([encoded.lags.flatten(1), ahead.flatten(1)], 1)
    inputs, forecasts, known, worth = (x.cpu().double().numpy() for x in (cells, point, truth, scale))
    return _Table(inputs, names, forecasts[:, steps], known[:, steps]), worth[:, steps]


def _reason(fit: _Table, judge: _Table) -> str | None:
    """Why there can be no surrogate; None where there can."""
    if len(fit.inputs) < FEWEST_FITTED or len(judge.inputs) < FEWEST_JUDGED:
        return (
            f"there are {len(fit.inputs)} windows to fit a surrogate on and {len(judge.inputs)} to judge it; "
            f"it takes {FEWEST_FITTED} and {FEWEST_JUDGED}"
        )
    if not varies(fit.forecasts) or not varies(judge.forecasts):
        return "in window scales the forecasts do not vary, so there is nothing to explain"
    if not varies(fit.inputs):
        return "the windows do not vary"
    return None


def _all_lags(fit: _Table) -> Model:
    """Ridge regression on every lag, with hardly a penalty: what no choice of lags can do better."""
    middle, mean = fit.inputs.mean(0), fit.forecasts.mean(0)
    x = fit.inputs - middle
    gram = x @ x.T  # by windows, of which there are hundreds, not by lags, of which there may be thousands
    penalty = 1e-3 * max(float(np.trace(gram)) / x.shape[1], 1e-12)
    weights = x.T @ np.linalg.solve(gram + penalty * np.eye(len(gram)), fit.forecasts - mean)
    return lambda inputs: np.asarray(mean + (inputs - middle) @ weights)


def _tree(fit: _Table, among: np.ndarray) -> tuple[Model, dict[str, Any]]:
    def leaf(node: RegressionTree) -> str:
        last = f", {node.mean[-1]:.2f} at the last" if len(node.mean) > 1 else ""
        return f"forecast {node.mean[0]:.2f} at step 1{last} ({node.count} windows)"

    def condition(column: int, sign: str, split: float, gap: float) -> str:
        name, lag = fit.names[among[column]]
        return f"{name} at lag {lag} {sign} {threshold(split, gap)}"

    model, tree = shallow_tree(fit.inputs, fit.forecasts, among)
    text = tree_lines(tree, fit.inputs[:, among], condition, leaf)
    return model, {"splits": len(list(tree.splits())), "depth": tree.depth, "text": text}


def _additive(fit: _Table, among: np.ndarray) -> tuple[Model, list[dict[str, Any]]]:
    """A cubic spline for each of a dozen lags at most, and ridge regression, its penalty by leaving one out."""
    first = forward_selection(fit.inputs[:, among], fit.forecasts)[:SMOOTH]
    straight = least_squares(fit.inputs, fit.forecasts, among[first])
    left = fit.forecasts - straight(fit.inputs)
    curved = np.square(standard(np.square(standard(fit.inputs[:, among]))).T @ left).sum(1)
    more = [k for k in np.argsort(-curved, kind="stable") if k not in first][:CURVED]
    columns = among[[*first, *more]]
    x = fit.inputs[:, columns]
    low, high = np.quantile(x, (0.02, 0.98), axis=0)
    narrow = high - low <= 1e-6 * (x.max(0) - x.min(0))
    splines = CubicSplines(np.where(narrow, x.min(0), low), np.where(narrow, x.max(0), high))
    basis = splines(x)
    weights, intercept = ridge_leaving_one_out(basis, fit.forecasts)
    each = (basis - basis.mean(0)).reshape(len(x), len(columns), -1)
    moves = np.einsum("nke,kes->nks", each, weights.reshape(len(columns), each.shape[2], -1))
    moved = moves.std(0).mean(1)
    total = float(moved.sum())
    terms = [
        _named(fit, columns[k]) | {"share": float(moved[k]) / total if total > 0 else 0.0}
        for k in np.argsort(-moved, kind="stable")
    ]
    return lambda inputs: np.asarray(intercept + splines(inputs[:, columns]) @ weights), terms


def _named(table: _Table, column: int) -> dict[str, Any]:
    name, lag = table.names[int(column)]
    return {"feature": name, "lag": lag}


def _absolute_errors(guess: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(n): the mean |error| of every window over the steps whose truth is known; NaN where none is."""
    known = ~np.isnan(truth)
    count = known.sum(1)
    total = np.where(known, np.abs(guess - truth), 0.0).sum(1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def _maes(errors: np.ndarray, own: np.ndarray) -> tuple[float | None, float | None]:
    known = ~np.isnan(errors)
    return (float(errors[known].mean()), float(own[known].mean())) if known.any() else (None, None)


def _scores_table(scores: list[_Score]) -> pl.DataFrame:
    return pl.DataFrame([vars(score) for score in scores], schema=dict(TABLE.columns))


def _compared(scores: list[_Score], errors: np.ndarray, own: np.ndarray) -> dict[str, Any]:
    """Whether the linear model `forecasts_as_well` (None: it is no copy, or no truth is known), and a `sentence`.

    It does where its mean error is no more than 1 %, or one standard error of the difference, above the network's.
    """
    fidelity, mae, network_mae = scores[0].fidelity, scores[0].mae, scores[0].network_mae
    assert fidelity is not None
    lags = f"a linear model of {scores[0].terms} {'lag' if scores[0].terms == 1 else 'lags'}"
    if fidelity < FAITHFUL:
        best = max(scores, key=lambda score: score.fidelity or 0.0)
        others = "" if best.name == "linear" else f"; the {best.name} one explains {_share(best.fidelity or 0.0)}"
        words = f"Of the forecasts on later windows, {lags} explains {_share(fidelity)}{others}."
        return {"sentence": words, "forecasts_as_well": None}
    words = f"{lags[0].upper()}{lags[1:]} explains {_share(fidelity)} of the forecasts on later windows"
    if mae is None or network_mae is None:
        return {"sentence": f"{words}.", "forecasts_as_well": None}
    difference = (errors - own)[~np.isnan(errors)]
    error = float(difference.std(ddof=1)) / len(difference) ** 0.5 if len(difference) > 1 else 0.0
    compared = f"(mean error {number(mae, 3)} against {number(network_mae, 3)}, in window scales)"
    as_well = float(difference.mean()) <= max(0.01 * network_mae, error)
    words += f" and forecasts as well {compared}." if as_well else f" but forecasts worse {compared}."
    return {"sentence": words, "forecasts_as_well": as_well}


def _share(fidelity: float) -> str:
    """A fidelity in words; one close to 1 with a digit more, so that only the whole is called 100 %."""
    return f"{100 * fidelity:.1f} %" if 0.99 < fidelity < 0.9995 else percent(max(fidelity, 0.0))


def _older_and_newer(context: Context) -> tuple[Batch, Batch]:
    """Windows of the first three quarters of the time to fit on, newer ones to judge on; or every fourth."""
    series, cutoffs = context.population_series, context.population_cutoffs
    age = cutoffs / np.maximum(context.panel.lengths[series] - 1, 1)
    newer = age > np.quantile(age, 0.75)
    if not newer.any() or newer.all():
        newer = np.arange(len(series)) % 4 == 3
    judged = newer if newer.any() else ~newer
    return context.population.take(np.flatnonzero(~newer)), context.population.take(np.flatnonzero(judged))


def _measure(context: Context, results: Results) -> Measured:
    older, newer = _older_and_newer(context)
    table, details = surrogates(context.network, older, newer)
    if context.question.explain == "yhat":
        linear = shap_of_linear(context.network, details, newer)
        details["shap_rank_correlation"] = linear_agreement(linear, context.run.writer.totals.profile())
    return Measured({"surrogates": table}, surrogate=details)


SURROGATES = Measure(name="surrogates", section="surrogate", tables=(TABLE,), measure=_measure)
