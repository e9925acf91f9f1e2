"""What the page of a classifier says beside its tables."""

from __future__ import annotations

import numpy as np
import polars as pl

from tsx.report.classes.sections import why_orders_differ


def by_feature(**shap: list[float]) -> pl.DataFrame:
    """Features by their shares, from the SHAP values of each over the series."""
    squares = {name: float(np.square(values).mean()) for name, values in shap.items()}
    rows = [
        (name, squares[name] / sum(squares.values()), float(np.abs(values).mean())) for name, values in shap.items()
    ]
    return pl.DataFrame(rows, schema=["feature", "share", "mean_abs_shap"], orient="row").sort("share", descending=True)


def test_a_share_that_the_sizes_beside_it_contradict_is_explained() -> None:
    (sentence,) = why_orders_differ(by_feature(lactate=[3, 0, 0, 0], pulse=[1, -1, 1, -1], age=[0.1, 0.1, 0.1, 0.1]))
    assert "lactate has a larger share than pulse, though the sizes of its values add up to less" in sentence
    assert "squared SHAP values" in sentence


def test_nothing_is_said_where_both_agree_or_of_what_hardly_counts() -> None:
    assert why_orders_differ(by_feature(lactate=[3, 2, 3, 2], pulse=[1, -1, 1, -1])) == ()
    assert why_orders_differ(by_feature(pulse=[9, -9, 9, -9], age=[1, 0, 0, 0], ward=[0.4, 0.4, 0.4, 0.4])) == ()
