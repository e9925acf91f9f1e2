"""The metrics against those of utilsforecast, on random backtests."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from utilsforecast import losses

from tsx.evaluation import metrics
from tsx.wording import quantile_column

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)
SEASON = 4


@pytest.fixture(params=[0, 1, 2])
def tables(request):
    """(our frame, theirs, their training rows): three series of one cutoff, with values of both signs."""
    rng = np.random.default_rng(request.param)
    rows, past, scales = [], [], []
    for name in ("a", "b", "c"):
        history = rng.normal(request.param, 3, size=40)
        y = rng.normal(request.param, 3, size=8)
        quantiles = np.sort(y[:, None] + rng.normal(size=(8, len(LEVELS))) * 2, axis=1)
        scales += [np.abs(history[SEASON:] - history[:-SEASON]).mean()] * 8
        past.append(pl.DataFrame({"unique_id": [name] * 40, "ds": np.arange(40), "y": history}))
        columns = {quantile_column(level): quantiles[:, i] for i, level in enumerate(LEVELS)}
        rows.append(
            pl.DataFrame({"unique_id": [name] * 8, "ds": np.arange(40, 48), "y": y, "yhat": quantiles[:, 2]} | columns)
        )
    frame = pl.concat(rows)
    ours = frame.with_columns(pl.lit("lstm").alias("model"), pl.Series(metrics.SCALE, scales))
    theirs = frame.rename({"q0.025": "m-lo-95", "q0.1": "m-lo-80", "q0.5": "m", "q0.9": "m-hi-80", "q0.975": "m-hi-95"})
    return ours, theirs, pl.concat(past)


def test_every_metric_they_have_too_is_the_same_for_each_series(tables):
    ours, theirs, past = tables
    found = pl.DataFrame(metrics.summarise(ours, LEVELS, ("model", "unique_id"))).sort("unique_id")
    quantiles = {"m": ["m-lo-95", "m-lo-80", "m", "m-hi-80", "m-hi-95"]}
    expected = {
        "mase": losses.mase(theirs, ["m"], SEASON, past),
        "smape": losses.smape(theirs, ["m"]).with_columns(pl.col("m") * 200),
        "rmse": losses.rmse(theirs, ["m"]),
        "mae": losses.mae(theirs, ["m"]),
        "bias": losses.bias(theirs, ["m"]),
        "pinball": losses.mqloss(theirs, quantiles, np.array(LEVELS)),
        "scaled_crps": losses.scaled_crps(theirs, quantiles, np.array(LEVELS)),
        "coverage_80": losses.coverage(theirs, ["m"], 80),
        "coverage_95": losses.coverage(theirs, ["m"], 95),
        "interval_score_80": losses.winkler_score(theirs, ["m"], 80),
        "interval_score_95": losses.winkler_score(theirs, ["m"], 95),
    }
    scale = ours.group_by("unique_id").agg(pl.col(metrics.SCALE).first()).sort("unique_id")[metrics.SCALE].to_numpy()
    for name, table in expected.items():
        theirs_of = table.sort("unique_id")["m"].to_numpy()
        divisor = scale if name.startswith("interval") else 1.0
        np.testing.assert_allclose(found[name].to_numpy(), theirs_of / divisor, rtol=1e-9, err_msg=name)


def test_over_all_series_a_mean_is_the_mean_of_theirs(tables):
    ours, theirs, _ = tables
    [row] = metrics.summarise(ours, LEVELS)
    assert row["mae"] == pytest.approx(losses.mae(theirs, ["m"])["m"].mean())
    assert row["smape"] == pytest.approx(200 * losses.smape(theirs, ["m"])["m"].mean())
