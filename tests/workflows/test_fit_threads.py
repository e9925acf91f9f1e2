"""A fit gives the same numbers whatever the number of threads of polars, BLAS and torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import tsx
from tests.stored import in_use, manifest_of

SMALL: dict[str, Any] = {"horizon": 3, "context_length": 14, "max_steps": 2, "hidden_size": 4, "device": "cpu"}
FIT = f"import sys, tsx; tsx.fit(sys.argv[1], model=sys.argv[2], past='x', **{SMALL})"
THREADS = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@pytest.fixture(autouse=True, scope="module")
def short_fits() -> None:
    """None here: the fit in another process is no shorter either."""


def fitted(model: Path) -> tuple[dict[str, Any], bytes]:
    """The metrics in the manifest, and the bytes of the weights."""
    return manifest_of(model)["metrics"], (in_use(model) / "model.safetensors").read_bytes()


def test_the_metrics_the_verdict_and_the_weights_of_a_fit_do_not_depend_on_the_number_of_threads(
    tmp_path: Path,
) -> None:
    random = np.random.default_rng(2)
    steps, series = 120, 12
    days = np.datetime64("2024-01-01") + np.arange(steps)
    table = {
        "id": np.repeat([f"s{n}" for n in range(series)], steps),
        "day": np.tile(days, series),
        "y": random.normal(size=steps * series).cumsum(),
        "x": random.normal(size=steps * series),
    }
    pl.DataFrame(table).write_parquet(data := tmp_path / "data.parquet")
    tsx.fit(data, model=tmp_path / "here", past="x", **SMALL)
    metrics, weights = fitted(tmp_path / "here")
    several = str(2 * int(os.environ["POLARS_MAX_THREADS"]))
    command = [sys.executable, "-c", FIT, str(data), str(tmp_path / "there")]
    subprocess.run(command, env=os.environ | dict.fromkeys(THREADS, several), capture_output=True, check=True)
    other_metrics, other_weights = fitted(tmp_path / "there")
    assert metrics["verdict"]["p_value"] is not None
    assert len(metrics["summary"]) > 3
    assert other_metrics == metrics
    assert other_weights == weights
