"""The handwritten digits that come with scikit-learn, as a table to classify."""

from __future__ import annotations

import polars as pl

UNLABELLED = 300
"""Digits whose label is left out, to be classified."""


def digit_rows() -> tuple[pl.DataFrame, pl.Series]:
    """The digits of scikit-learn, a row for each row of an image, and the labels that the last of them lack."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    images, labels = load_digits().images.astype(int), load_digits().target
    count, height, width = images.shape
    flat = images.reshape(count * height, width)
    known = pl.int_range(count, eager=True) < count - UNLABELLED
    rows = pl.DataFrame(
        {
            "image": pl.int_range(count, eager=True).repeat_by(height).explode(),
            "row": pl.Series(list(range(height)) * count),
            **{f"pixel_{k}": flat[:, k] for k in range(width)},
            "digit": pl.Series(labels).set(~known, None).repeat_by(height).explode(),
        }
    )
    return rows, pl.Series("digit", labels[count - UNLABELLED :])
