"""A forecaster in the interface of sktime, which is that of scikit-learn: `fit`, `predict`, `get_params`, `clone`.

It knows plain steps: the index only counts, so that what follows from the calendar is learnt from lags. A fitted one
can be copied and pickled; it holds the files of its model. Raises MissingDependency `package-missing` without sktime.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

from tsx import api
from tsx.errors import MissingDependency
from tsx.interop.held import held, laid_out
from tsx.model.distribution import quantile_function
from tsx.wording import quantile_column

try:
    import pandas as pd
    from sktime.forecasting.base import BaseForecaster
except ImportError:
    raise MissingDependency(
        "package-missing", "the Python package sktime is not installed", where="sktime", hint="pip install sktime"
    ) from None

STEP, VALUE = "t", "y"
COLUMNS = {"time": STEP, "target": VALUE, "freq": "1"}


class TsxForecaster(BaseForecaster):  # type: ignore[misc]
    """A recurrent network on one series, with its intervals.

    context_length, cell, hidden_size, max_steps, learning_rate: as in `tsx.fit`; None is chosen from the series.
    quantile_levels: levels that are calibrated; others are read between and beyond them.
    random_state: the seed, a whole number from 0.

    The horizon is the longest of `fh`, which `fit` needs. `update` takes newer values without training again, unless
    `update_params` is true, which trains on all of them. Covariates are not read.

    Examples
    --------
    >>> from sktime.datasets import load_airline
    >>> from tsx.interop.sktime import TsxForecaster
    >>> forecaster = TsxForecaster(hidden_size=8, max_steps=10)
    >>> len(forecaster.fit(load_airline(), fh=[1, 2, 3]).predict())
    3
    """

    _tags = {  # noqa: RUF012 - as sktime declares it
        "authors": "tsx",
        "maintainers": "tsx",
        "y_inner_mtype": "pd.Series",
        "capability:exogenous": False,
        "capability:insample": False,
        "capability:pred_int": True,
        "capability:pred_int:insample": False,
        "capability:missing_values": True,
        "capability:update": True,
        "requires-fh-in-fit": True,
        "capability:random_state": True,
        "property:randomness": "derandomized",
    }

    def __init__(
        self,
        context_length: int | None = None,
        cell: str = "lstm",
        hidden_size: int | None = None,
        max_steps: int | None = None,
        learning_rate: float | None = None,
        quantile_levels: tuple[float, ...] = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975),
        random_state: int = 0,
    ) -> None:
        self.context_length = context_length
        self.cell = cell
        self.hidden_size = hidden_size
        self.max_steps = max_steps
        self.learning_rate = learning_rate
        self.quantile_levels = quantile_levels
        self.random_state = random_state
        super().__init__()

    def _fit(self, y: Any, X: Any, fh: Any) -> TsxForecaster:
        self._history = y
        horizon = int(max(fh.to_relative(self.cutoff)))
        settings = self.get_params(deep=False)
        settings["seed"] = settings.pop("random_state")
        with TemporaryDirectory() as folder:
            model = Path(folder) / "model"
            api.fit(_table(y), model=model, horizon=horizon, **COLUMNS, **settings)
            self._files = held(model)
        return self

    def _update(self, y: Any, X: Any = None, update_params: bool = True) -> TsxForecaster:
        history = y.combine_first(self._history)
        if update_params:
            return self._fit(history, X, self.fh)
        self._history = history
        return self

    def _predict(self, fh: Any, X: Any) -> Any:
        frame, places = self._steps(fh)
        return pd.Series(frame["yhat"].to_numpy()[places], index=self._index(fh), name=self._history.name)

    def _predict_quantiles(self, fh: Any, X: Any, alpha: list[float]) -> Any:
        frame, places = self._steps(fh)
        levels = tuple(self.quantile_levels)
        known = frame.select(map(quantile_column, levels)).to_numpy()[places]
        names = pd.MultiIndex.from_product([self._get_varnames(), alpha])
        values = quantile_function(levels, known, np.array(alpha))
        return pd.DataFrame(values, index=self._index(fh), columns=names)

    def _steps(self, fh: Any) -> tuple[pl.DataFrame, np.ndarray]:
        """The forecast from the newest value, and which of its rows are asked for."""
        with laid_out(self._files) as model:
            frame = api.forecast(_table(self._history), model=model).frame
        return frame, np.asarray(fh.to_relative(self.cutoff), dtype=np.int64) - 1

    def _index(self, fh: Any) -> Any:
        return fh.get_expected_pred_idx(y=self._history, cutoff=self.cutoff)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Settings for sktime's own checks: small networks."""
        small = {"hidden_size": 4, "max_steps": 2, "context_length": 4}
        return [small, {**small, "cell": "gru", "quantile_levels": (0.1, 0.5, 0.9), "random_state": 1}]


def _table(y: Any) -> pl.DataFrame:
    """The values of a series under plain steps."""
    return pl.DataFrame({STEP: np.arange(len(y)), VALUE: np.asarray(y, dtype=np.float64)})
