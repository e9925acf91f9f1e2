"""The table of known-future covariates to fill in for the next forecast."""

from __future__ import annotations

import polars as pl

from tsx.io.source import Source
from tsx.panel.known_future import future_table
from tsx.progress import Progress
from tsx.spec.verbs import Request
from tsx.workflows.open_model import open_model


def make_future(data: Source | None, request: Request, progress: Progress) -> pl.DataFrame:
    """id, time and the known-future covariates; what the table already knows is filled in.

    Raises UsageError `future-data-unused` for a model that reads none, and as `open_model` does.
    """
    forecaster, panel, *_ = open_model(data, request, progress, device="cpu")
    return future_table(panel, forecaster.schema, forecaster.config.horizon)
