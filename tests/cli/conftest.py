from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import tsx.api
import tsx.workflows.forecast
from tests.cli.shell import Run, Verb
from tsx.cli.main import main
from tsx.spec.schema import Schema

FORECAST = pl.DataFrame(
    {
        "shop": ["a", "a"],
        "day": [8, 9],
        "cutoff": [7, 7],
        "step": [1, 2],
        "yhat": [1.5, 2.5],
        "q0.1": [1.0, 2.0],
        "q0.5": [1.5, 2.5],
        "q0.9": [2.0, 3.0],
    }
)


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty working folder, and no variable of the developer's own."""
    monkeypatch.chdir(tmp_path)
    for variable in [name for name in os.environ if name.startswith("TSX_")]:
        monkeypatch.delenv(variable)
    monkeypatch.delenv("FORCE_COLOR", raising=False)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Run `tsx` with these arguments in this process."""

    def run(*arguments: str) -> Run:
        capsys.readouterr()
        status = main(list(arguments))
        captured = capsys.readouterr()
        return Run(status, captured.out, captured.err)

    return run


@pytest.fixture
def verbs(monkeypatch: pytest.MonkeyPatch) -> dict[str, Verb]:
    """Every verb replaced: `forecast` gives a small table, the others nothing until a test says what."""
    made = tsx.workflows.forecast.Forecast(FORECAST, Schema("day", "y", "shop"), (), pl.Series([], dtype=pl.String))
    found = {name: Verb(lambda: None) for name in ("inspect", "fit", "explain", "backtest")}
    found["forecast"] = Verb(lambda: made)
    found["make_future"] = Verb(lambda: FORECAST.select("shop", "day", promo=pl.lit(None, pl.Float64)))
    for name, verb in found.items():
        monkeypatch.setattr(tsx.api, name, verb)
    return found
