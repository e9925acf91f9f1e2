"""A classifier of whole series in the interface of scikit-learn: `fit`, `predict_proba`, `classes_`, `get_params`.

    >>> from tsx.interop.sklearn import TsxClassifier                       # doctest: +SKIP
    >>> classifier = TsxClassifier(id="stay", time="hour").fit(stays, died)  # doctest: +SKIP
    >>> classifier.predict_proba(new)                                       # doctest: +SKIP

A sample is a series, and `X` a table with a row for each series and time, so that scikit-learn's own splitting of rows
does not apply: split the series, and hand over the rows of each part. A fitted one can be copied and pickled; it holds
the files of its model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
from sklearn.base import BaseEstimator, ClassifierMixin  # type: ignore[import-untyped]
from sklearn.utils.validation import check_is_fitted  # type: ignore[import-untyped]

from tsx import api
from tsx.errors import UsageError
from tsx.interop.held import held, laid_out
from tsx.wording import class_column

LABEL = "label"


class TsxClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A recurrent network beside simple classifiers, for whole series.

    id: the column of the series, or several. time: the column of times; None takes the only one there is.
    cell, hidden_size, max_steps, context_length: as in `tsx.fit`; None is chosen from the series.
    random_state: the seed, a whole number from 0.

    classes_: the classes, in the order of the columns of `predict_proba`.

    Examples
    --------
    >>> import polars as pl
    >>> from tsx.interop.sklearn import TsxClassifier
    >>> rows = {"id": [k // 4 for k in range(96)], "t": [0, 1, 2, 3] * 24, "x": [float(k % 8) for k in range(96)]}
    >>> classifier = TsxClassifier(time="t", max_steps=2).fit(pl.DataFrame(rows), ["low", "high"] * 12)
    >>> classifier.predict_proba(pl.DataFrame(rows)).shape
    (24, 2)
    """

    def __init__(
        self,
        id: str | Sequence[str] = "id",
        time: str | None = None,
        cell: str = "lstm",
        hidden_size: int | None = None,
        max_steps: int | None = None,
        context_length: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.id = id
        self.time = time
        self.cell = cell
        self.hidden_size = hidden_size
        self.max_steps = max_steps
        self.context_length = context_length
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> TsxClassifier:
        """Train on the series of `X`, a Polars or pandas frame; `y`: a label for each, in the order in which they come.

        Raises UsageError `labels-differ-from-series`, and as `tsx.fit` does.
        """
        table, names, labels = _frame(X), self._ids, np.asarray(y)
        series = table.select(names).unique(maintain_order=True)
        if labels.shape != (series.height,):
            raise UsageError(
                "labels-differ-from-series",
                f"there are {series.height:,} series and {labels.size:,} labels",
                hint="give one label for each series, in the order in which the table has them",
                where="y",
            )
        self.classes_, codes = np.unique(labels, return_inverse=True)
        known = series.with_columns(pl.Series(LABEL, [f"c{code:04}" for code in codes]))
        asked: dict[str, Any] = {"cell": self.cell, "hidden_size": self.hidden_size, "max_steps": self.max_steps}
        asked |= {"context_length": self.context_length, "seed": self.random_state, "id": list(names)}
        if self.time is not None:
            asked["time"] = self.time
        with TemporaryDirectory() as folder:
            model = Path(folder) / "model"
            labelled = table.join(known, on=names, nulls_equal=True, maintain_order="left")
            api.fit(labelled, label=LABEL, model=model, **asked)
            self._files = held(model)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class (series, classes), the series in the order in which they come."""
        check_is_fitted(self, "classes_")
        table, names = _frame(X), self._ids
        with laid_out(self._files) as model:
            found = api.classify(table, model=model)
        order = table.select(names).unique(maintain_order=True)
        frame = order.join(found.frame, on=names, how="left", nulls_equal=True, maintain_order="left")
        return frame.select(map(class_column, found.classes)).to_numpy()

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each series."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(1)])

    @property
    def _ids(self) -> list[str]:
        return [self.id] if isinstance(self.id, str) else list(self.id)


def _frame(table: Any) -> pl.DataFrame:
    return table if isinstance(table, pl.DataFrame) else pl.from_pandas(table)
