"""Which series a model learnt from: it holds no ids, so they are read again from the file that it was fitted on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from tsx.errors import TsxError
from tsx.io.source import Source, fingerprint, scan, size_of
from tsx.model.forecaster import Forecaster
from tsx.panel.id_hashes import hash_ids
from tsx.panel.panel import Panel
from tsx.store.manifest import TrainingData
from tsx.table.tidy import tidy
from tsx.workflows.open_table import roles_again


@dataclass(frozen=True, eq=False)
class KnownSeries:
    """`learnt` (N): the series of a panel that the model learnt from; `gone`: the ids of those that it learnt from and
    that are not in the panel."""

    learnt: np.ndarray
    gone: pl.Series


def known_series(forecaster: Forecaster, data: TrainingData, panel: Panel, *, same_file: bool) -> KnownSeries | None:
    """Which series the model learnt from; None where that is not known.

    It is known as long as the file that the model was fitted on is there, and is as it was. `same_file`: the panel was
    read from that file. A series is learnt from where it had rows for a training window.
    """
    if data.path is None or not is_as_it_was(data.path, data):
        return None
    least = forecaster.config.shortest_context + forecaster.config.horizon
    if same_file:
        return KnownSeries(np.asarray(panel.lengths >= least), panel.ids.clear())
    if not forecaster.schema.ids:
        return KnownSeries(np.ones(len(panel), dtype=np.bool_), panel.ids.clear())
    try:
        ids = _ids_with_rows(forecaster, data.path, least)
    except TsxError:  # it can no longer be read, which is no reason to forecast nothing
        return None
    here, there = hash_ids(panel.ids), hash_ids(ids)
    return KnownSeries(np.isin(here, there), ids.filter(pl.Series(~np.isin(there, here))))


def is_as_it_was(path: str | tuple[str, ...], data: TrainingData) -> bool:
    """Whether the file of the fit has the bytes that it had then."""
    try:
        return size_of(path) == data.bytes and fingerprint(path)["sha256"] == data.sha256
    except TsxError:
        return False


def _ids_with_rows(forecaster: Forecaster, path: Source, least: int) -> pl.Series:
    """The ids that have at least that many rows, as a panel holds them."""
    schema, reading = forecaster.schema.as_read, forecaster.reading
    scanned = scan(path, reading)
    rows = tidy(scanned, roles_again(schema, reading, scanned.rows.collect_schema()), reading).rows
    counted = rows.group_by(schema.ids).len().filter(pl.col("len") >= least).collect().drop("len")
    return counted.to_struct() if counted.width > 1 else counted.to_series()
