"""The fit that is judged: a plain `tsx fit` on columns `unique_id`, `ds` and `y`."""

from __future__ import annotations

import tempfile
from time import monotonic
from typing import Any

import polars as pl

import tsx
from benchmarks.accuracy.scores import DECILES
from tsx.model.forecaster import Forecaster
from tsx.panel.panel import Panel
from tsx.progress import SILENT
from tsx.spec.settings import Reading, Roles
from tsx.store.forecaster import load_forecaster
from tsx.store.manifest import ForecasterManifest
from tsx.workflows.open_table import open_table

LEVELS = (0.025, *(float(level) for level in DECILES), 0.975)
"""Quantile levels of every fit: the deciles, and the ends of the intervals of 80 and 95 %."""


def fit_plain(
    frame: pl.DataFrame, horizon: int, seed: int, options: dict[str, Any]
) -> tuple[Forecaster, ForecasterManifest, float]:
    """The fitted model, its manifest and the seconds it took. `options`: what `tsx.fit` gets beside the horizon."""
    began = monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tsx.fit(
            frame,
            model=f"{folder}/model",
            horizon=horizon,
            quantile_levels=LEVELS,
            seed=seed,
            id="unique_id",
            time="ds",
            target="y",
            **options,
        )
        seconds = monotonic() - began
        return *load_forecaster(f"{folder}/model"), round(seconds, 1)


def read_panel(frame: pl.DataFrame, options: dict[str, Any]) -> Panel:
    """The table as a panel, with the covariates of `options`."""
    covariates = {role: tuple(options.get(role, ())) for role in ("past", "future", "static")}
    roles = Roles(id=("unique_id",), time=("ds",), target=("y",), **covariates)
    return open_table(frame, roles, Reading(), None, SILENT).panel


def described(manifest: ForecasterManifest) -> dict[str, Any]:
    """What a line of results says of a fit: its verdict, the versions of the packages, what was chosen."""
    decided = {decision.name: decision.value for decision in manifest.decisions}
    verdict = manifest.metrics.verdict
    return {
        "verdict": "" if verdict is None else verdict.sentence,
        "versions": dict(manifest.versions),
        "chosen": {name: decided.get(name) for name in ("context_length", "segment", "season", "transform", "share")},
    }
