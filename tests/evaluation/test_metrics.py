"""The metrics against numbers worked by hand and plain loops."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from statistics import NormalDist

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.handmade import panel_of
from tsx.evaluation import metrics

NAN = float("nan")
LEVELS = (0.1, 0.5, 0.9)


def frame_of(y, yhat, scale=1.0, low=None, high=None, **more):
    count = len(y)
    return pl.DataFrame(
        {
            "model": ["lstm"] * count,
            "step": list(range(1, count + 1)),
            "y": pl.Series(y, dtype=pl.Float64),
            "yhat": pl.Series(yhat, dtype=pl.Float64),
            metrics.SCALE: pl.Series([scale] * count if not isinstance(scale, list) else scale, dtype=pl.Float64),
            "q0.1": pl.Series(low or yhat, dtype=pl.Float64),
            "q0.5": pl.Series(yhat, dtype=pl.Float64),
            "q0.9": pl.Series(high or yhat, dtype=pl.Float64),
        }
        | more
    )


def only(frame):
    [row] = metrics.summarise(frame, LEVELS)
    return row


def test_every_metric_equals_the_number_worked_out_by_hand():
    row = only(frame_of([10, 20], [12, 16], scale=4.0, low=[9, 14], high=[13, 18]))
    assert row["mase"] == pytest.approx((2 / 4 + 4 / 4) / 2)
    assert row["smape"] == pytest.approx((200 * 2 / 22 + 200 * 4 / 36) / 2)
    assert row["rmse"] == pytest.approx(math.sqrt((4 + 16) / 2))
    assert row["mae"] == pytest.approx(3)
    assert row["bias"] == pytest.approx((2 - 4) / 2)
    # Pinball sums: 0.1: 0.1*1 + 0.1*6 = 0.7; 0.5: 0.5*2 + 0.5*4 = 3; 0.9: 0.1*3 + 0.9*2 = 2.1.
    assert row["scaled_crps"] == pytest.approx(2 * (0.7 + 3 + 2.1) / 3 / 30)
    assert row["pinball"] == pytest.approx((0.7 + 3 + 2.1) / 3 / 2)
    assert row["qlike"] == pytest.approx((10 / 12 - math.log(10 / 12) + 20 / 16 - math.log(20 / 16) - 2) / 2)
    assert row["coverage_80"] == pytest.approx(0.5)
    assert row["width_80"] == pytest.approx(4)
    # The second y lies 2 above its interval, which costs 2 / 0.2 for each.
    assert row["interval_score_80"] == pytest.approx((4 / 4 + (4 + 2 / 0.2 * 2) / 4) / 2)
    assert (row["n"], row["n_unscaled"], row["n_not_positive"]) == (2, 0, 0)


def test_the_weighted_interval_score_is_the_sum_that_its_paper_writes():
    y, quantiles, levels = 3.1, [0.5, 1.0, 2.5, 2.8, 4.0], (0.025, 0.1, 0.5, 0.75, 0.9)
    columns = {f"q{level:g}": pl.lit(x) for level, x in zip(levels, quantiles)}
    [row] = metrics.summarise(frame_of([y], [2.5]).drop("q0.1", "q0.5", "q0.9").with_columns(**columns), levels)
    score = (4.0 - 1.0) + 0  # of the 80 % interval; 0.025 and 0.75 have no counterpart
    assert row["wis"] == pytest.approx((abs(y - 2.5) / 2 + 0.2 / 2 * score) / 1.5)
    both = only(frame_of([10, 20], [12, 16], low=[9, 14], high=[13, 18]))
    second = abs(20 - 16) / 2 + 0.2 / 2 * (4 + 2 / 0.2 * 2)
    assert both["wis"] == pytest.approx((abs(10 - 12) / 2 + 0.2 / 2 * 4 + second) / 1.5 / 2)
    assert both["wis"] == pytest.approx(2 * both["pinball"])


@pytest.mark.parametrize("y", [[3.0], [-20.0, 3.0, 5.5, 40.0]])
def test_the_log_score_of_a_normal_forecast_is_that_of_the_normal_also_far_out(y):
    normal = NormalDist(3, 2)
    low, middle, high = (len(y) * [normal.inv_cdf(level)] for level in LEVELS)
    row = only(frame_of(y, middle, low=low, high=high))
    assert row["log_score"] == pytest.approx(
        -np.mean([-(((one - 3) / 2) ** 2) / 2 for one in y]) + math.log(8 * math.pi) / 2
    )


@given(st.lists(st.floats(-50, 50), min_size=3, max_size=3, unique=True).map(sorted))
def test_the_density_of_the_log_score_integrates_to_one(quantiles):
    assume(np.diff(quantiles).min() > 1e-3)
    z = np.linspace(-9, 9, 2001)
    y = np.interp(z, [-1.2815515655446004, 0, 1.2815515655446004], quantiles)
    outer = [np.diff(quantiles)[k] / 1.2815515655446004 for k in (0, 1)]
    y = np.where(z < -1.2815515655446004, quantiles[0] + outer[0] * (z + 1.2815515655446004), y)
    y = np.where(z > 1.2815515655446004, quantiles[2] + outer[1] * (z - 1.2815515655446004), y)
    middles = (y[1:] + y[:-1]) / 2
    rows = frame_of(
        list(middles),
        len(middles) * [quantiles[1]],
        low=len(middles) * quantiles[:1],
        high=len(middles) * quantiles[2:],
    )
    per_row = metrics.per_step(rows, LEVELS)
    density = np.exp([-row["log_score"] for row in per_row])
    assert (density * np.diff(y)).sum() == pytest.approx(1, abs=1e-4)


def test_a_forecast_without_a_density_has_no_log_score():
    assert only(frame_of([1, 2], [1, 2], low=[1, 1], high=[2, 3]))["log_score"] is None
    assert only(frame_of([1, None], [1.5, 2], low=[1, 2], high=[2, 3]))["log_score"] is not None
    assert metrics.summarise(frame_of([1], [1]), (0.5,))[0]["log_score"] is None


def test_the_scaled_crps_of_the_median_alone_is_the_summed_error_over_the_summed_values():
    frame = frame_of([10, -20], [12, -16])
    [row] = metrics.summarise(frame, (0.5,))
    assert row["scaled_crps"] == pytest.approx(6 / 30)
    assert not any(name.startswith("coverage") for name in row)


def test_a_series_of_zeros_has_defined_metrics():
    row = only(frame_of([0, 0], [0, 0], scale=None))
    assert row["smape"] == 0
    assert row["rmse"] == 0
    assert row["scaled_crps"] is None
    assert row["mase"] is None
    assert row["n_unscaled"] == 2
    assert row["coverage_80"] == 1


@pytest.mark.parametrize("missing", [None, NAN, 0.0])
def test_a_window_without_a_scale_is_counted_and_left_out_of_mase_only(missing):
    row = only(frame_of([1, 5], [2, 8], scale=[2.0, missing]))
    assert row["mase"] == pytest.approx(0.5)
    assert row["mae"] == pytest.approx(2)
    assert (row["n"], row["n_unscaled"]) == (2, 1)


@pytest.mark.parametrize("missing", [None, NAN])
def test_a_row_without_y_or_forecast_is_not_scored(missing):
    full = only(frame_of([1, 5], [2, 8]))
    holes = only(frame_of([1, 5, missing, 4], [2, 8, 1, missing]))
    assert holes == full


def test_nothing_scored_gives_nulls_and_never_nan():
    row = only(frame_of([None, None], [1, 2]))
    assert row["n"] == 0
    assert {row[name] for name in ("mase", "smape", "rmse", "mae", "bias", "scaled_crps", "coverage_80")} == {None}


def test_the_widest_and_the_80_percent_interval_are_covered():
    assert metrics.intervals((0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)) == {
        "coverage_95": (0.025, 0.975),
        "coverage_80": (0.1, 0.9),
    }
    assert metrics.intervals((0.05, 0.25, 0.5, 0.75, 0.95)) == {"coverage_90": (0.05, 0.95)}
    assert metrics.intervals((0.1, 0.5)) == {}
    assert metrics.intervals((0.01, 0.2, 0.5, 0.8)) == {"coverage_60": (0.2, 0.8)}


def test_models_and_steps_are_scored_apart_in_their_order():
    frame = pl.concat([frame_of([1, 2], [1, 3]), frame_of([1, 2], [4, 2]).with_columns(pl.lit("naive").alias("model"))])
    assert [(r["model"], r["mae"]) for r in metrics.summarise(frame, LEVELS)] == [("lstm", 0.5), ("naive", 1.5)]
    assert [(r["model"], r["step"], r["mae"]) for r in metrics.per_step(frame, LEVELS)] == [
        ("lstm", 1, 0),
        ("lstm", 2, 1),
        ("naive", 1, 3),
        ("naive", 2, 0),
    ]


def models_of(**forecasts):
    y = [10.0, 12.0, 20.0, 30.0]
    return pl.concat(
        [
            frame_of(y, forecast, scale=2.0).with_columns(pl.lit(name).alias("model"))
            for name, forecast in forecasts.items()
        ]
    )


def test_the_owa_is_the_mean_of_both_errors_over_those_of_the_seasonal_naive():
    frame = models_of(lstm=[11, 12, 21, 30], naive=[20, 20, 20, 20], seasonal_naive=[12, 12, 24, 30])
    rows = {row["model"]: row for row in metrics.summarise(frame, LEVELS)}
    assert rows["seasonal_naive"]["owa"] == pytest.approx(1)
    smape = (1 / 21 + 1 / 41) / (2 / 22 + 4 / 44)
    assert rows["lstm"]["owa"] == pytest.approx((2 / 6 + smape) / 2)


def test_without_a_season_the_owa_is_over_the_naive_forecast_of_the_same_step():
    frame = models_of(lstm=[11, 12, 21, 30], naive=[12, 13, 20, 30])
    [*rows, last] = [row for row in metrics.per_step(frame, LEVELS) if row["model"] == "lstm"]
    assert rows[0]["owa"] == pytest.approx((1 / 2 + (1 / 21) / (2 / 22)) / 2)
    assert rows[1]["owa"] == 0
    assert rows[2]["owa"] is None  # the reference makes no error there
    assert last["owa"] is None


def test_without_a_reference_there_is_no_owa():
    assert only(frame_of([1, 5], [2, 8]))["owa"] is None
    [row] = metrics.summarise(frame_of([1, 5], [2, 8]), LEVELS, ("step",))[:1]
    assert "owa" not in row


@pytest.mark.parametrize(
    ("y", "yhat", "count", "expected"),
    [([2, 0], [1, 3], 1, 1 - math.log(2)), ([1, 4], [2, -3], 1, None), ([-1, 0], [0, 3], 2, None)],
)
def test_values_that_are_not_positive_have_no_qlike_and_one_such_forecast_leaves_the_model_without(
    y, yhat, count, expected
):
    row = only(frame_of(y, yhat))
    assert row["qlike"] == (expected if expected is None else pytest.approx(expected))
    assert row["n_not_positive"] == count


def test_the_coverage_of_the_series_tells_the_worst_and_how_many_hold_too_rarely():
    inside = {"a": 18, "b": 10, "c": 14, "short": 0}
    y = {name: [0.0] * hits + [9.0] * ((5 if name == "short" else 20) - hits) for name, hits in inside.items()}
    frame = pl.concat(
        [frame_of(v, [0.0] * len(v), low=[-1.0] * len(v), high=[1.0] * len(v), id=[k] * len(v)) for k, v in y.items()]
    )
    told = metrics.series_coverage(frame, LEVELS, "id")["lstm"]
    # 70 % is ten points under, which is not more than ten.
    assert told == {"n_series": 3, "series_under_80": pytest.approx(1 / 3), "worst_series_80": 0.5}


def test_series_too_short_to_tell_are_not_told_of():
    frame = frame_of([1.0] * 9, [1.0] * 9, id=[1] * 9)
    assert metrics.series_coverage(frame, LEVELS, "id")["lstm"] == {
        "n_series": 0,
        "series_under_80": None,
        "worst_series_80": None,
    }


ANY = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, 1.0, 1e-300, 1e300]) | st.none()


@given(st.lists(st.tuples(st.sampled_from(["lstm", "naive"]), *[ANY] * 4, st.integers(1, 2)), min_size=1, max_size=12))
def test_whatever_the_numbers_every_metric_is_a_number_or_null(rows):
    model, y, yhat, low, scale, step = zip(*rows, strict=True)
    columns = dict(zip(("y", "yhat", "q0.1", metrics.SCALE), (y, yhat, low, scale), strict=True))
    frame = pl.DataFrame(
        {"model": model, "step": step} | {name: pl.Series(values, dtype=pl.Float64) for name, values in columns.items()}
    ).with_columns(pl.col("yhat").alias("q0.5"), pl.col("yhat").alias("q0.9"))
    for row in (*metrics.summarise(frame, LEVELS), *metrics.per_step(frame, LEVELS)):
        for value in row.values():
            assert value is None or isinstance(value, str) or math.isfinite(value)


@given(
    st.lists(
        st.tuples(
            *[st.integers(-5, 5) | st.floats(-1e6, 1e6).map(lambda v: round(v, 6))] * 2,
            st.sampled_from([0.0, 0.5, 3.0, NAN]),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_metrics_equal_plain_loops_and_are_never_infinite(rows):
    y, yhat, scale = (list(map(float, c)) for c in zip(*rows, strict=True))
    row = only(frame_of(y, yhat, scale=scale, low=[v - 1 for v in yhat], high=[v + 1 for v in yhat]))
    scaled = [abs(a - b) / s for a, b, s in rows if s > 0]
    smape = [200 * abs(a - b) / (abs(a) + abs(b)) if abs(a) + abs(b) > 0 else 0 for a, b, _ in rows]
    loss = 0.0
    for level, shift in ((0.1, -1), (0.5, 0), (0.9, 1)):
        for a, b, _ in rows:
            miss = a - (b + shift)
            loss += 2 * (level * miss if miss > 0 else (level - 1) * miss) / 3
    total = sum(abs(v) for v in y)
    expected = {
        "mase": sum(scaled) / len(scaled) if scaled else None,
        "smape": sum(smape) / len(smape),
        "scaled_crps": loss / total if total else None,
        "mae": sum(abs(a - b) for a, b, _ in rows) / len(rows),
        "rmse": math.sqrt(sum((a - b) ** 2 for a, b, _ in rows) / len(rows)),
    }
    for name, value in expected.items():
        assert row[name] == (value if value is None else pytest.approx(value, rel=1e-9, abs=1e-9))
    assert all(value is None or isinstance(value, str) or math.isfinite(value) for value in row.values())


def test_the_scale_is_the_mean_seasonal_change_up_to_the_cutoff(make_panel):
    panel = make_panel([[1, 2, 4, 8, 1000], [5, 5, 5, 5], [1, NAN, 3, 7]])
    series, cutoffs = np.array([0, 0, 1, 2, 2, 0]), np.array([3, 1, 3, 3, 1, 0])
    np.testing.assert_array_equal(metrics.seasonal_naive_scale(panel, series, cutoffs, 1), [7 / 3, 1, NAN, 4, NAN, NAN])
    np.testing.assert_array_equal(
        metrics.seasonal_naive_scale(panel, series, cutoffs, 2), [(3 + 6) / 2, NAN, NAN, 2, NAN, NAN]
    )


@given(st.data())
def test_the_scale_equals_a_plain_loop(data):
    cell = st.one_of(st.just(NAN), st.integers(-9, 9))
    values = data.draw(st.lists(st.lists(cell, min_size=1, max_size=25), min_size=1, max_size=5))
    season = data.draw(st.integers(1, 8))
    windows = data.draw(st.permutations([(n, c) for n, row in enumerate(values) for c in range(len(row))]))
    series, cutoffs = (np.array(a) for a in zip(*windows, strict=True))
    expected = []
    for n, c in windows:
        changes = [abs(values[n][t] - values[n][t - season]) for t in range(season, c + 1)]
        known = [d for d in changes if not math.isnan(d)]
        expected.append(sum(known) / len(known) if sum(known) > 0 else NAN)
    block = metrics._BLOCK_ROWS
    try:
        metrics._BLOCK_ROWS = data.draw(st.sampled_from([1, 10, block]))
        scale = metrics.seasonal_naive_scale(panel_of(values), series, cutoffs, season)
    finally:
        metrics._BLOCK_ROWS = block
    np.testing.assert_allclose(scale, expected, rtol=1e-12)


SUMMARY = """
import json, numpy as np, polars as pl
from tsx.evaluation import metrics, verdict
random = np.random.default_rng(0)
levels = tuple(k / 20 for k in range(1, 20))
steps, origins, series = 6, 12, 40
count = steps * origins * series
frames = []
for model in ("lstm", "naive", "seasonal_naive"):
    quantiles = np.sort(random.lognormal(size=(count, len(levels))), axis=1)
    frames.append(pl.DataFrame({
        "model": [model] * count,
        "step": np.tile(np.arange(1, steps + 1), origins * series),
        "y": np.random.default_rng(1).lognormal(size=count),
        "yhat": quantiles[:, 9],
        metrics.SCALE: np.full(count, 0.7),
        verdict.SERIES: np.repeat(np.arange(series), steps * origins),
        verdict.FOLD: np.tile(np.repeat(np.arange(origins), steps), series),
    } | {f"q{level:g}": quantiles[:, k] for k, level in enumerate(levels)}))
frame = pl.concat(frames)
judged = verdict.judge(frame, "lstm", steps, steps)
print(json.dumps([metrics.summarise(frame, levels), metrics.per_step(frame, levels), judged.skill, judged.p_value]))
"""


def test_the_metrics_and_the_verdict_have_the_same_bits_whatever_the_number_of_threads():
    texts = []
    for threads in ("1", "2", "5"):
        environment = os.environ | {"POLARS_MAX_THREADS": threads}
        run = subprocess.run(
            [sys.executable, "-c", SUMMARY], env=environment, capture_output=True, text=True, check=True
        )
        texts.append(run.stdout)
    assert len(texts[0]) > 1_000
    assert texts[1] == texts[0]
    assert texts[2] == texts[0]
