"""Values that come back from a panel have the digits that the table had."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from tsx.panel.lookup import as_written, targets_after
from tsx.panel.panel import Panel
from tsx.progress import SILENT
from tsx.spec.settings import Reading, Roles
from tsx.workflows.open_table import open_table

BEGIN = dt.date(2024, 1, 1)


def panel_of(values: list[float]) -> Panel:
    days = [BEGIN + dt.timedelta(days=n) for n in range(len(values))]
    return open_table(pl.DataFrame({"ds": days, "y": values}), Roles(), Reading(), None, SILENT).panel


@given(
    st.integers(-3, 6).flatmap(
        lambda places: st.tuples(st.just(places), st.lists(st.integers(-99_999, 99_999), min_size=2, max_size=30))
    ),
    st.integers(-99_999, 99_999),
)
def test_decimals_come_back_as_they_were_written(of: tuple[int, list[int]], level: int) -> None:
    places, digits = of
    values = [float(Decimal(level + digit).scaleb(-places)) for digit in digits]
    panel = panel_of(values)
    stored = targets_after(panel, np.array([0]), np.array([-1]), len(values))
    assert as_written(stored, panel.centers[:1, :1]).ravel().tolist() == values


@given(st.lists(st.floats(-1e30, 1e30, allow_subnormal=False), min_size=2, max_size=30))
def test_any_other_number_comes_back_within_a_float32(values: list[float]) -> None:
    panel = panel_of(values)
    stored = targets_after(panel, np.array([0]), np.array([-1]), len(values))
    written = as_written(stored, panel.centers[:1, :1]).ravel()
    away = np.abs(np.array(values) - panel.centers[0, 0])
    assert (np.abs(written - values) <= 2.0**-23 * away + 2.0**-52 * np.abs(values) + 1e-37).all()


def test_what_is_missing_stays_missing() -> None:
    assert np.isnan(as_written(np.array([np.nan, 1.5]), np.array([1.0, 1.0]))).tolist() == [True, False]
