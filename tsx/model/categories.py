"""Categories that a network knows by number: static covariates in words and, of few long series, which one it is."""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl

from tsx.panel.panel import Panel


def labels_of(panel: Panel, series_embedding: bool) -> pl.DataFrame:
    """(N) rows: static covariates in words and, with a `series_embedding`, the series' id."""
    if not series_embedding:
        return panel.static_labels
    record = isinstance(panel.ids.dtype, pl.Struct)
    ids = (panel.ids.struct.json_encode() if record else panel.ids.cast(pl.String)).alias(panel.schema.id_label)
    return pl.DataFrame([*panel.static_labels.iter_columns(), ids])


def vocabulary_of(labels: pl.DataFrame) -> dict[str, tuple[str, ...]]:
    """Hashes of the known categories of each column, in the order of their codes from 1."""
    return {
        column.name: tuple(sorted(_hash(label) for label in column.drop_nulls().unique().to_list()))
        for column in labels.iter_columns()
    }


def codes_of(labels: pl.DataFrame, vocabulary: dict[str, tuple[str, ...]], rows: int) -> np.ndarray:
    """Codes int64 (rows, columns) of `labels`, which may have no column; 0 for missing and for what is not known."""
    columns = [np.zeros((rows, 0), dtype=np.int64)]
    for name, known in vocabulary.items():
        numbers = {code: k + 1 for k, code in enumerate(known)}
        unique = labels[name].drop_nulls().unique().to_list()
        mapping = {label: numbers.get(_hash(label), 0) for label in unique}
        codes = labels[name].replace_strict(mapping, default=0, return_dtype=pl.Int64)
        columns.append(codes.fill_null(0).to_numpy()[:, None])
    return np.concatenate(columns, 1)


def _hash(category: str) -> str:
    """A category's stand-in in the manifest, so that the model directory holds no value of the user's table."""
    return hashlib.sha256(category.encode()).hexdigest()[:16]
