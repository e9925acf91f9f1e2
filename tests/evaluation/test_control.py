"""The control chart of nightly errors: alarms that have a cause, and how seldom there are others."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tsx.evaluation.control import ALLOWANCE, LIMIT, MOVING_RANGE, cusum


def test_the_sums_are_those_of_the_recursion_written_out():
    errors = np.random.default_rng(2).normal(size=40) + np.where(np.arange(40) >= 25, 2.0, 0.0)
    sigma = np.mean([abs(b - a) for a, b in pairwise(errors)]) / MOVING_RANGE
    up, down, ups, downs = 0.0, 0.0, [], []
    for error in errors:
        up, down = max(0, up + error / sigma - ALLOWANCE), max(0, down - error / sigma - ALLOWANCE)
        ups.append(up)
        downs.append(down)
    chart = cusum(errors)
    np.testing.assert_allclose(chart.up, ups)
    np.testing.assert_allclose(chart.down, downs)
    assert chart.alarm == next(n for n, value in enumerate(ups) if value > LIMIT)
    assert 23 <= chart.begun <= 27


@pytest.mark.parametrize(("shift", "within"), [(1.0, 20), (2.0, 7), (-2.0, 7)])
def test_a_shift_is_found_within_the_nights_that_the_tables_say(shift, within):
    delays = []
    for seed in range(200):
        errors = np.random.default_rng(seed).normal(size=120)
        errors[60:] += shift
        chart = cusum(errors)
        delays.append(120 if chart.alarm is None else chart.alarm - 60)
    assert np.median(delays) <= within


def test_ninety_nights_without_a_shift_seldom_alarm():
    alarms = sum(cusum(np.random.default_rng(seed).normal(size=90)).alarm is not None for seed in range(400))
    assert alarms < 0.3 * 400  # 1 - exp(-90 / 465) = 0.18 with a known deviation


def test_the_sums_start_anew_with_a_new_model_and_an_alarm_is_one_that_lasts():
    errors = np.random.default_rng(3).normal(size=60)
    errors[10:30] += 3
    restarts = np.arange(60) == 30
    assert cusum(errors[:30]).alarm is not None
    renewed = cusum(errors, restarts)
    assert renewed.alarm is None
    np.testing.assert_allclose(renewed.up[:30], cusum(errors).up[:30])
    assert renewed.up[30] < 3 < cusum(errors).up[30]
    assert cusum(errors).alarm is not None  # without a new model the sum has not come back yet


def test_nights_without_errors_leave_the_sums_and_few_or_equal_ones_say_nothing():
    errors = np.random.default_rng(1).normal(size=30)
    with_gaps = np.insert(errors, [5, 20], np.nan)
    np.testing.assert_allclose(np.delete(cusum(with_gaps).up, [5, 21]), cusum(errors).up)
    assert cusum(np.full(9, 100.0) + np.arange(9)).alarm is None
    assert cusum(np.full(50, 100.0)).alarm is None
