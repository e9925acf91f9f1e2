"""The ledger: what is recorded once stays, whatever else lies there or fails."""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from tests.store.conftest import Model
from tsx.errors import DataError, NotFound, WriteError
from tsx.store.ledger import FORMAT, Entry, append, latest, read

FRAME = pl.DataFrame({"shop": ["a"], "cutoff": [7], "step": [1], "yhat": [1.5], "q0.5": [1.5]})


def entry(run: int, newest: int = 7) -> Entry:
    return Entry(
        format=FORMAT,
        number=0,
        run=f"{run:016x}",
        version="v1",
        model_sha256="1" * 64,
        data_sha256="2" * 64,
        newest=newest,
        series=1,
        steps=8,
        ids=("shop",),
        time="day",
        target="y",
        quantile_levels=(0.5,),
    )


def test_runs_come_back_in_their_order_and_the_same_run_once(tmp_path: Path) -> None:
    for run in (5, 3, 5, 9, 3):
        append(tmp_path / "led", entry(run), FRAME)
    found = read(tmp_path / "led")
    assert [(one.entry.number, int(one.entry.run, 16)) for one in found] == [(1, 5), (2, 3), (3, 9)]
    assert dataclasses.replace(found[0].entry, number=0) == entry(5)
    assert found[0].frame().equals(FRAME)


def test_runs_that_append_at_once_are_all_there(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda run: append(tmp_path, entry(run), FRAME), range(16)))
    assert sorted(one.entry.number for one in read(tmp_path)) == list(range(1, 17))


def test_a_forecast_without_its_entry_does_not_count_and_files_of_others_stay(tmp_path: Path) -> None:
    append(tmp_path, entry(1), FRAME)
    (tmp_path / "notes.json").write_text("{}")
    FRAME.write_parquet(tmp_path / "000002-00000000000000ff.parquet")
    append(tmp_path, entry(2), FRAME)
    assert [int(one.entry.run, 16) for one in read(tmp_path)] == [1, 2]
    assert (tmp_path / "notes.json").read_text() == "{}"


@pytest.mark.parametrize("content", ["", "[]", '{"format": 9}', '{"format": 1, "run": 3}'])
def test_an_entry_that_was_changed_is_an_error_that_names_it(tmp_path: Path, content: str) -> None:
    append(tmp_path, entry(1), FRAME)
    (path,) = tmp_path.glob("*.json")
    path.write_text(content)
    with pytest.raises(DataError) as failed:
        read(tmp_path)
    assert (failed.value.code, failed.value.where) == ("ledger-damaged", str(path))


def test_a_forecast_that_was_cut_is_an_error(tmp_path: Path) -> None:
    append(tmp_path, entry(1), FRAME)
    (path,) = tmp_path.glob("*.parquet")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path)[0].frame()


def test_a_ledger_lies_outside_of_every_model(tmp_path: Path, model: Model) -> None:
    model.save(tmp_path / "m")
    with pytest.raises(WriteError, match="part of the model"):
        append(tmp_path / "m" / "versions" / "v1", entry(1), FRAME)
    assert latest(tmp_path / "none") == ()
    with pytest.raises(NotFound):
        read(tmp_path / "none")
    json.dumps(dataclasses.asdict(entry(1)))
