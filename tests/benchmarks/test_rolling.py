"""Rolling origins lie where the protocol says, nothing of a test part is learnt from, and figures have closed forms."""

from __future__ import annotations

import math
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from benchmarks.accuracy.fitting import fit_plain, read_panel
from benchmarks.rolling import figures, protocol
from benchmarks.rolling.figures import (
    block_length,
    coverage_error,
    mase,
    mean_of_worst_tenth,
    origin_ratios,
    ratio,
    series_coverage,
    worst_tenth,
)
from benchmarks.rolling.panels import PANELS
from benchmarks.rolling.protocol import (
    RollingTask,
    emitted,
    first_origins,
    origins,
    run,
    run_without_fit,
    simple_forecasts,
)
from benchmarks.rolling.tables import is_covered, report
from tsx.panel.panel import Panel
from tsx.workflows.forecast import forecast_panel
from tsx.workflows.open_table import open_again


def task_of(*series: list[float], **settings: Any) -> RollingTask:
    rows = [(f"s{n}", k, value) for n, own in enumerate(series) for k, value in enumerate(own)]
    frame = pl.DataFrame(rows, schema=["unique_id", "ds", "y"], orient="row")
    return RollingTask(frame, **{"horizon": 2, "season": 1, **settings})


def test_origins_are_evenly_spaced_from_the_first_tested_row_to_a_horizon_before_the_end() -> None:
    series, cutoffs, origin = origins(np.array([300]), np.array([100]), 1, 12)
    assert set(series) == {0}
    assert origin.tolist() == list(range(12))
    assert cutoffs.tolist() == [298 - 9 * k for k in range(12)]
    assert cutoffs[-1] == 199, "the first forecast row is the first tested one"


def test_an_origin_that_coincides_with_another_counts_once() -> None:
    _, cutoffs, origin = origins(np.array([30]), np.array([10]), 8, 12)
    assert cutoffs.tolist() == [21, 20, 19]
    assert origin.tolist() == [0, 1, 2]


def test_a_short_series_has_as_many_origins_as_leave_two_horizons() -> None:
    series, cutoffs, _ = origins(np.array([40, 12]), np.array([24, 24]), 2, 12)
    assert (cutoffs[series == 1] + 1 >= 4).all()
    assert cutoffs[series == 1].tolist() == [9, 7, 5, 3]
    assert (series == 0).sum() == 12


def test_a_series_too_short_for_two_horizons_has_one_origin_and_one_as_short_as_the_horizon_none() -> None:
    series, cutoffs, _ = origins(np.array([7, 4]), np.array([4, 4]), 4, 12)
    assert series.tolist() == [0]
    assert cutoffs.tolist() == [2]


def test_series_of_one_clock_share_the_third_of_the_longest_and_others_have_their_own() -> None:
    lengths = ([0.0] * 30, [0.0] * 9)
    assert task_of(*lengths).tested_rows.tolist() == [10, 10]
    assert task_of(*lengths, one_clock=False).tested_rows.tolist() == [10, 3]
    assert task_of(*lengths, one_clock=False, horizon=5).tested_rows.tolist() == [10, 5]


def test_the_task_one_test_part_earlier_does_not_hold_a_row_of_the_test_part() -> None:
    task = task_of([float(k) for k in range(30)], [float(k) for k in range(21, 30)])
    earlier = task.earlier()
    assert earlier.frame["unique_id"].unique().to_list() == ["s0"]
    assert earlier.frame["y"].max() == 19
    assert task.learnt_rows(np.array([20, 4])).tolist() == [20, 0], "what the later fit learns from"


def test_a_series_on_the_clock_of_others_is_not_learnt_after_their_first_origin() -> None:
    series = ([0.0] * 30, [0.0] * 15)
    assert task_of(*series).learnt_rows(np.array([20, 6])).tolist() == [20, 5]
    assert task_of(*series, one_clock=False).learnt_rows(np.array([20, 10])).tolist() == [20, 10]


def test_the_rows_before_the_first_origin_end_at_the_oldest_cutoff() -> None:
    assert first_origins(3, np.array([0, 0, 2]), np.array([9, 4, 7])).tolist() == [5, 0, 8]


def test_the_mean_absolute_scaled_error_is_of_forecasts_first_and_leaves_out_what_is_unknown() -> None:
    nan = math.nan
    assert mase(np.array([[1.0, 3.0], [4.0, nan], [nan, nan]])) == 3.0


def test_a_ratio_to_no_error_is_one_only_where_there_is_none() -> None:
    assert ratio(2, 4) == 0.5
    assert ratio(0, 0) == 1
    assert ratio(1, 0) == math.inf


def test_origins_of_few_series_are_pooled_by_three_and_of_more_series_stand_alone() -> None:
    own, other = np.arange(1.0, 7)[:, None], np.ones((6, 1))
    assert origin_ratios(own, other, np.arange(6), series_count=1) == [2.0, 5.0]
    five = np.repeat([0, 1], 5)
    assert origin_ratios(np.repeat([2.0, 3.0], 5)[:, None], np.ones((10, 1)), five, series_count=5) == [2.0, 3.0]
    assert origin_ratios(np.ones((9, 1)), np.ones((9, 1)), five[:9], series_count=5) == [1.0], "four share the second"


def test_the_worst_tenth_begins_where_nine_tenths_are_below_and_groups_weigh_the_same() -> None:
    assert worst_tenth([[float(k) for k in range(1, 11)]]) == 9
    assert worst_tenth([[1.0] * 100, [2.0]]) == 2
    assert worst_tenth([[1.0] * 9, [1.0] * 9, [1.0] * 8 + [5.0]]) == 1
    assert worst_tenth([[], [3.0]]) == 3
    assert worst_tenth([[1.0, math.inf]]) == math.inf
    assert mean_of_worst_tenth([float(k) for k in range(1, 21)]) == 19.5
    assert mean_of_worst_tenth([1.0, 2.0]) == 2


def test_the_bootstrap_error_of_independent_units_is_that_of_a_mean() -> None:
    hits = np.random.default_rng(0).binomial(50, 0.8, size=200)
    expected = (hits / 50).std() / math.sqrt(200)
    assert coverage_error(hits, np.full(200, 50), 1) == pytest.approx(expected, rel=0.1)


def test_the_bootstrap_error_of_blocks_keeps_what_neighbours_share() -> None:
    shared = np.repeat(np.random.default_rng(0).binomial(10, 0.8, size=60), 5)
    counts = np.full(300, 10)
    expected = (shared[::5] / 10).std() / math.sqrt(60)
    assert coverage_error(shared, counts, 1) < 0.6 * expected
    assert coverage_error(shared, counts, 25) == pytest.approx(expected, rel=0.25)


def test_a_single_unit_has_no_bootstrap_error() -> None:
    assert coverage_error(np.array([3]), np.array([4]), 1) == 0


def test_a_block_holds_the_origins_that_overlap() -> None:
    assert block_length(60, spacing=5, horizon=8) == 4, "the cube root"
    assert block_length(60, spacing=1, horizon=8) == 8
    assert block_length(12, spacing=1, horizon=48) == 6
    assert block_length(1, spacing=0, horizon=4) == 1


def test_the_coverage_of_a_series_counts_from_enough_scored_values_on() -> None:
    inside = np.array([[True, True], [True, False], [False, False]])
    scored = np.array([[True, True], [True, True], [True, False]])
    assert series_coverage(inside, scored, np.array([0, 0, 1]), 2).tolist() == [0.75]
    assert series_coverage(inside, scored, np.array([0, 0, 1]), 1).tolist() == [0.75, 0.0]


def test_a_coverage_within_two_errors_of_its_band_counts_as_met() -> None:
    line = {"coverage_80": 0.71, "coverage_80_error": 0.02}
    assert is_covered([line], "80")
    assert not is_covered([{**line, "coverage_80_error": 0.01}], "80")


def test_a_simple_forecast_reads_and_learns_nothing_after_its_origin() -> None:
    values = np.random.default_rng(0).normal(size=60).cumsum()
    at = (np.array([0]), np.array([49]))
    tasks = [task_of(list(values)), task_of([*values[:50], *[1e6] * 10])]
    first, second = (simple_forecasts(task, read_panel(task.frame, {}), np.array([40]), *at) for task in tasks)
    assert set(first) == {"naive", "drift", "theta", "ridge"}
    for name, forecast in first.items():
        np.testing.assert_array_equal(forecast, second[name], err_msg=name)
    assert first["naive"].tolist() == [[pytest.approx(values[49], rel=1e-5)] * 2]


def test_a_run_scales_by_the_error_before_the_first_origin_and_scores_what_tsx_forecasts() -> None:
    rng = np.random.default_rng(0)
    task = task_of(*[list(100 + rng.normal(size=90).cumsum()) for _ in range(5)])
    line = run(task, 0, {"max_steps": 2})
    assert line["origins"] == protocol.ORIGINS
    assert line["scored"] == 5 * protocol.ORIGINS * 2
    assert line["not_forecast"] == 0
    assert 0 <= line["coverage_80"] <= line["coverage_95"] <= 1
    assert line["ratio"] == line["mase"]["tsx"] / line["mase"][line["best"]]
    assert len(line["origin_ratios"]) == protocol.ORIGINS

    y = task.frame["y"].to_numpy().reshape(5, 90)
    _, cutoffs, _ = origins(task.lengths, task.tested_rows, 2, protocol.ORIGINS)
    scale = abs(np.diff(y[:, : cutoffs.min() + 1])).mean(axis=1)
    ahead = cutoffs.reshape(5, -1)[:, :, None] + [1, 2]
    missed = abs(np.take_along_axis(y[:, None], ahead, 2) - np.take_along_axis(y, cutoffs.reshape(5, -1), 1)[..., None])
    assert line["mase"]["naive"] == pytest.approx((missed / scale[:, None, None]).mean(), rel=1e-4)

    lines = [{**line, "panel": name, "earlier": False} for name in ("hospital", "hourly_prices")]
    shown = report(lines)
    assert "figure over 1 of 24 panels" in shown
    assert "| hourly_prices | ratio | 0.00 to 1.03 |" in shown


def test_what_is_emitted_at_an_origin_does_not_depend_on_what_comes_after_it() -> None:
    rng = np.random.default_rng(0)
    before, calm, wild = rng.normal(size=(2, 60)).cumsum(1), np.zeros((2, 30)), rng.normal(0, 1e3, (2, 30))
    tasks = [task_of(*np.hstack([before, after]).tolist()) for after in (calm, wild)]
    learnt = tasks[0].before(np.array([60, 60]))
    forecaster, manifest, _ = fit_plain(learnt, 2, 0, {"max_steps": 2})
    at = (np.array([0, 0, 1]), np.array([59, 50, 50]), np.array([0, 1, 1]))

    def forecast(cut: Panel) -> pl.DataFrame:
        return forecast_panel(forecaster, cut, newest=manifest.data.newest).frame

    first, second = (emitted(forecast, open_again(forecaster, task.frame), 2, *at) for task in tasks)
    for name, values in first.items():
        assert np.isfinite(values).all()
        np.testing.assert_array_equal(values, second[name], err_msg=name)
    shown = forecast_panel(forecaster, open_again(forecaster, learnt)).frame
    np.testing.assert_allclose(first["yhat"][0], shown["yhat"].head(2), rtol=1e-5)


def test_a_run_without_a_fit_chooses_at_each_origin_from_the_rows_before_it() -> None:
    rng = np.random.default_rng(1)
    y = [list(100 + rng.normal(size=90).cumsum()) for _ in range(5)]
    task = task_of(*y)
    line = run_without_fit(task)
    assert line["scored"] == 5 * protocol.ORIGINS * 2
    assert line["not_forecast"] == 0
    assert line["ratio"] == line["mase"]["tsx"] / line["mase"][line["best"]]
    assert 0.5 < line["coverage_80"] < 1


def test_a_table_with_a_row_missing_is_refused() -> None:
    whole = task_of([float(k) for k in range(60)], [float(k) for k in range(60)])
    holed = RollingTask(whole.frame.filter((pl.col("ds") != 20) | (pl.col("unique_id") == "s1")), 2, 1)
    with pytest.raises(ValueError, match="row missing"):
        run(holed, 0, {"max_steps": 1})


def test_the_newest_third_is_a_third() -> None:
    assert Fraction(1, 3) == protocol.TESTED
    assert (protocol.ORIGINS, protocol.ORIGINS_OF_FEW, figures.FEW_SERIES) == (12, 60, 5)


def test_every_series_of_fred_md_is_changed_by_its_code_and_runs_to_the_last_month_that_all_have(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "bench/fred_md"
    folder.mkdir(parents=True)
    (folder / "fred_trans.csv").write_text("variable,fred_md\nA,log-diff\nB,none\n")
    months = [datetime(2000, month, 1) for month in range(1, 6)]
    values = {"A": [1.0, 2.0, 4.0, 2.0, None], "B": [None, 5.0, 6.0, 7.0, 8.0]}
    rows = [(name, ds, value) for name, own in values.items() for ds, value in zip(months, own, strict=True)]
    pl.DataFrame(rows, schema=["series_id", "timestamp", "value"], orient="row").write_parquet(
        folder / "fred_md.parquet"
    )
    frame = PANELS["fred_md"](tmp_path).frame
    assert frame["ds"].to_list() == [*months[1:4], *months[1:4]]
    assert frame["y"].to_list() == pytest.approx([math.log(2), math.log(2), -math.log(2), 5, 6, 7])


def test_new_cases_are_differences_of_the_cumulative_ones(tmp_path: Path) -> None:
    folder = tmp_path / "bench/covid_key_countries"
    folder.mkdir(parents=True)
    days = [datetime(2020, 1, day) for day in range(1, 4)]
    frame = {"series_id": ["A"] * 3 + ["B"] * 3, "timestamp": days * 2, "cum_confirmed": [1, 4, 3, 10, 10, 12]}
    pl.DataFrame(frame).write_parquet(folder / "covid_key_countries.parquet")
    assert PANELS["covid_key_countries"](tmp_path).frame["y"].to_list() == [3, -1, 0, 2]


def test_there_are_24_panels() -> None:
    assert len(PANELS) == 24
