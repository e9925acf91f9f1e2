"""Which series are new to a model that holds no ids: read from the file of the fit while it is as it was."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import tsx
from tests.processes import autoregression

SMALL = {"time": "hour", "horizon": 4, "context_length": 16, "hidden_size": 6, "max_steps": 2, "device": "cpu"}


def table(*series: str, rows: int = 60, short: str = "") -> pl.DataFrame:
    """Rows of each series; the `short` one has five."""
    return pl.concat(
        pl.DataFrame(
            {
                "bed": name,
                "hour": pl.int_range(5 if name == short else rows, eager=True),
                "y": autoregression(5 if name == short else rows, n),
            }
        )
        for n, name in enumerate(series)
    )


@pytest.fixture
def fitted(tmp_path: Path) -> Path:
    """A model of three series, one of which was too short to learn from, beside the file that it was fitted on."""
    table("a", "b", "c", short="c").write_csv(tmp_path / "beds.csv")
    tsx.fit(tmp_path / "beds.csv", model=tmp_path / "m", **SMALL)
    return tmp_path


def new_in(forecast: tsx.Forecast) -> list[str]:
    return [finding.message for finding in forecast.findings if finding.code == "unseen-series"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_series_are_told_from_those_of_the_fit_by_its_file(fitted: Path, suffix: str) -> None:
    later = table("a", "c", "d", rows=70)
    getattr(later, f"write_{suffix}")(fitted / f"later.{suffix}")
    found = tsx.forecast(fitted / f"later.{suffix}", model=fitted / "m")
    assert found.unseen is not None
    assert found.unseen.to_list() == ["c", "d"]
    assert new_in(found) == ["2 of 3 series are new to the model, which did not learn from them"]
    same = tsx.forecast(model=fitted / "m")
    assert same.unseen is not None
    assert same.unseen.to_list() == ["c"]


def test_numbers_are_the_ids_that_they_were_whatever_their_type(tmp_path: Path) -> None:
    numbered = table("7", "8").with_columns(pl.col("bed").cast(pl.Int64))
    numbered.write_csv(tmp_path / "beds.csv")
    tsx.fit(tmp_path / "beds.csv", model=tmp_path / "m", id="bed", **SMALL)
    found = tsx.forecast(table("7", "9").with_columns(pl.col("bed").cast(pl.Int32)), model=tmp_path / "m")
    assert found.unseen is not None
    assert found.unseen.to_list() == [9]


@pytest.mark.parametrize("change", [lambda file: file.unlink(), lambda file: file.write_text(file.read_text() + "\n")])
def test_without_that_file_as_it_was_they_are_counted(fitted: Path, change) -> None:
    change(fitted / "beds.csv")
    found = tsx.forecast(table("a", "b", "c", "d"), model=fitted / "m")
    assert found.unseen is None
    (message,) = new_in(found)
    assert message.startswith("4 series, 1 more than the model was fitted on")
    assert new_in(tsx.forecast(table("a", "x"), model=fitted / "m")) == []


def test_a_model_has_no_tensor_made_of_ids(fitted: Path) -> None:
    from safetensors.numpy import load_file

    names = set(load_file(next((fitted / "m").rglob("model.safetensors"))))
    assert "trained_on" not in names
