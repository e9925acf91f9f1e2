"""Forecasts of which the outcome is known, held against a linear model worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from tests.explanation.linear import linear_forecaster
from tests.processes import make_panel
from tsx.explanation.known import HORIZONS, KNOWN, by_series, known_forecasts
from tsx.explanation.result import EVERYTHING, GROUPS_ONLY, Detail

CONTEXT, HORIZON, ROWS = 5, 3, 120


@pytest.fixture(scope="module")
def linear():
    random = np.random.default_rng(5)
    panel = make_panel([random.normal(size=(rows, 2)) for rows in (ROWS, ROWS, CONTEXT + 1)], past=("dose",))
    return linear_forecaster(panel, CONTEXT, HORIZON), panel


def test_each_known_forecast_stands_beside_what_came_and_beside_the_last_value(linear):
    forecaster, panel = linear
    table = known_forecasts(forecaster, panel, np.arange(2))
    assert table.height == 2 * HORIZONS * HORIZON
    y = panel.values[panel.offsets[0] : panel.offsets[0] + ROWS, 0] + panel.centers[0, 0]
    own = table.head(HORIZONS * HORIZON)
    for k in range(HORIZONS):
        cutoff = ROWS - 1 - HORIZON * (k + 1)
        rows = own.slice(k * HORIZON, HORIZON)
        assert rows["y"].to_list() == pytest.approx(y[cutoff + 1 : cutoff + 1 + HORIZON].tolist())
        assert rows["naive"].to_list() == pytest.approx([y[cutoff]] * HORIZON)
        point = forecaster.point(forecaster.quantiles(panel, np.array([0]), np.array([cutoff])))
        assert rows["yhat"].to_list() == pytest.approx(point.ravel().tolist())


def test_a_series_without_a_whole_context_before_a_known_horizon_has_none(linear):
    forecaster, panel = linear
    assert known_forecasts(forecaster, panel, np.array([2])).is_empty()
    assert by_series(known_forecasts(forecaster, panel, np.array([2])), panel.schema.id_names).is_empty()


def test_the_series_with_the_largest_error_beside_a_simple_method_comes_first():
    table = pl.DataFrame(
        {
            "id": ["a", "a", "b", "b", "c"],
            "y": [1.0, None, 10.0, 12.0, 5.0],
            "yhat": [2.0, 9.0, 11.0, 12.0, 5.0],
            "low": [0.0, 0.0, 10.5, 11.0, 4.0],
            "high": [3.0, 3.0, 12.0, 13.0, 6.0],
            "naive": [3.0, 3.0, 9.0, 9.0, 5.0],
            "seasonal_naive": [1.5, 1.5, None, None, None],
        }
    )
    found = by_series(table, ["id"])
    assert found["id"].to_list() == ["a", "b", "c"]
    assert found["n"].to_list() == [1, 2, 1]
    assert found["error"].to_list() == pytest.approx([1.0, 0.5, 0.0])
    assert found["ratio"].to_list() == [pytest.approx(2.0), pytest.approx(0.25), None]
    assert found["held"].to_list() == pytest.approx([1.0, 0.5, 1.0])


def test_an_explanation_of_groups_alone_has_no_forecasts_of_single_series():
    def applies(detail: Detail) -> bool:
        return KNOWN.applies(SimpleNamespace(task=SimpleNamespace(detail=detail)))

    assert applies(EVERYTHING)
    assert not applies(GROUPS_ONLY)
