"""The forecaster in sktime's interface passes sktime's own checks. Needs sktime, which is no part of dev."""

from __future__ import annotations

import pickle
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

MISSING = [name for name in ("sktime",) if find_spec(name) is None]
pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.filterwarnings("ignore"),  # of sktime's own parts
]
EXCLUDED = {
    "test_predict_series_name_preserved": "its 15 values are fewer than a fit asks for (10 training windows and those "
    "held out). That the name stays is tested below.",
}
"""Checks of sktime that are left out, each with its reason."""


def test_the_forecaster_passes_the_checks_of_sktime() -> None:
    """Hundreds of fits of small networks; the longest check is `test_update_predict_predicted_index`, which fits anew
    at every step."""
    from sktime.utils.estimator_checks import check_estimator

    from tsx.interop.sktime import TsxForecaster

    results = check_estimator(TsxForecaster.create_test_instance(), tests_to_exclude=list(EXCLUDED), verbose=False)
    assert len(results) > 100
    assert {name: repr(told) for name, told in results.items() if told != "PASSED"} == {}


def test_a_copy_by_pickle_forecasts_the_same_and_newer_values_move_it() -> None:
    import pandas as pd

    from tsx.interop.sktime import TsxForecaster

    index = pd.period_range("2020-01", periods=80, freq="M")
    y: Any = pd.Series(10 + np.sin(np.arange(80)), index=index, name="sales")
    made = TsxForecaster(hidden_size=4, max_steps=5, context_length=8).fit(y[:70], fh=[1, 3])
    copy = pickle.loads(pickle.dumps(made))
    assert made.predict().equals(copy.predict())
    assert made.predict().name == "sales"
    assert list(made.predict().index) == [pd.Period("2025-11", "M"), pd.Period("2026-01", "M")]
    made.update(y[70:], update_params=False)
    assert list(made.predict().index) == [pd.Period("2026-09", "M"), pd.Period("2026-11", "M")]
    wide = made.predict_interval(coverage=[0.5, 0.9])
    low, high = wide["sales", 0.9, "lower"], wide["sales", 0.9, "upper"]
    assert (low < wide["sales", 0.5, "lower"]).all()
    assert (high > wide["sales", 0.5, "upper"]).all()
