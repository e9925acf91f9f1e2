"""Runs in parts: the same bytes however the work is shared out, nothing done twice, nothing lost."""

from __future__ import annotations

import gc
import json
import os
import resource
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tsx
from tests.faults import Faults, Killed, injected
from tests.runtime.pickling import Pickling, pickling  # noqa: F401
from tests.stored import tree
from tsx.errors import ConfigError, DataError, NotFound, UsageError, WriteError
from tsx.workflows import forecast, merge
from tsx.workflows.in_parts import _content
from tsx.workflows.part_work import Job, open_worker
from tsx.workflows.partition import _replacing

ROWS, SERIES = 40, 30


def table() -> pl.DataFrame:
    random = np.random.default_rng(0)
    walks = random.normal(size=(SERIES, ROWS)).cumsum(1)
    return pl.DataFrame(
        {
            "store": [f"s{n % 7}" for n in range(SERIES) for _ in range(ROWS)],
            "item": np.repeat(np.arange(SERIES), ROWS),
            "day": pl.Series(list(range(ROWS)) * SERIES).cast(pl.Int32).cast(pl.Date),
            "y": walks.ravel(),
        }
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A table, the same in parts and as text, a model, and its forecast in one piece."""
    folder = tmp_path_factory.mktemp("parts")
    table().write_parquet(folder / "table.parquet")
    table().write_csv(folder / "table.csv")
    tsx.fit(
        folder / "table.parquet",
        model=folder / "model",
        id=("store", "item"),
        time="day",
        target="y",
        horizon=3,
        context_length=8,
        hidden_size=4,
        max_steps=2,
    )
    for source in ("parquet", "csv"):
        table_of = folder / f"table.{source}"
        tsx.partition(table_of, id=("store", "item"), parts=5, out=folder / f"parts-{source}")
        tsx.forecast(table_of, model=folder / "model", out=folder / f"whole-{source}.parquet")
    return folder


def run(place: Path, out: Path, source: str = "parts-parquet", **settings):
    return tsx.in_parts(tsx.forecast, place / source, out=out, model=place / "model", **settings)


def is_the_whole(place: Path, out: Path, source: str = "parquet") -> bool:
    """Whether the merged results are the bytes of a run in one piece."""
    tsx.merge(out, out=out.parent / "merged.parquet")
    return (out.parent / "merged.parquet").read_bytes() == (place / f"whole-{source}.parquet").read_bytes()


def test_a_partition_holds_every_row_once_in_order_with_whole_series(place):
    parts = sorted((place / "parts-parquet").glob("*.parquet"))
    frames = [pl.read_parquet(path) for path in parts]
    ids = [set(frame.select("store", "item").iter_rows()) for frame in frames]
    assert len(set.union(*ids)) == sum(map(len, ids)) == SERIES
    assert all(frame.equals(frame.sort("item", "day")) for frame in frames)
    assert pl.concat(frames).sort("item", "day").equals(table())
    index = json.loads((place / "parts-parquet" / "_partition.json").read_text())
    assert [part["series"] for part in index["parts"]] == list(map(len, ids))


@settings(max_examples=20)
@given(
    names=st.lists(st.sampled_from(["a", "b", "ü", "", "a b"]), min_size=1, max_size=50),
    parts=st.integers(1, 6),
)
def test_a_partition_of_any_order_of_rows_keeps_rows_and_their_order(tmp_path_factory, names, parts):
    folder = tmp_path_factory.mktemp("any")
    frame = pl.DataFrame({"id": names, "row": range(len(names)), "share": "kept"})
    made = tsx.partition(frame, id="id", parts=parts, out=folder / "parts")
    read = [pl.read_parquet(path) for path in sorted((folder / "parts").glob("*.parquet"))]
    assert all(part["row"].is_sorted() for part in read)
    assert pl.concat(read).sort("row").equals(frame)
    assert made.series == len(set(names)) == sum(part["id"].n_unique() for part in read)


@pytest.mark.parametrize("source", ["parquet", "csv"])
@pytest.mark.parametrize("shards", [1, 2, 7])
def test_shards_of_a_folder_merge_to_the_bytes_of_one_run(place, tmp_path, source, shards):
    made = [run(place, tmp_path / "out", f"parts-{source}", shard=f"{k + 1}/{shards}") for k in range(shards)]
    assert sum(one.series for one in made) == SERIES
    assert sum(len(one.receipts) for one in made) == 5
    assert is_the_whole(place, tmp_path / "out", source)


@pytest.mark.parametrize("shards", [1, 2, 7])
def test_shards_of_one_file_merge_to_the_bytes_of_one_run(place, tmp_path, shards):
    for k in range(shards):
        run(place, tmp_path / "out", "table.csv", shard=f"{k + 1}/{shards}")
    assert is_the_whole(place, tmp_path / "out", "csv")


def test_many_parts_are_merged_in_groups_and_nothing_of_that_stays(place, tmp_path, monkeypatch):
    run(place, tmp_path / "out")
    before = tree(tmp_path / "out")
    monkeypatch.setattr(merge, "AT_ONCE", 2)
    assert is_the_whole(place, tmp_path / "out")
    gc.collect()
    assert tree(tmp_path / "out") == before


def test_the_folder_of_results_is_a_table_as_it_is(place, tmp_path):
    run(place, tmp_path / "out")
    assert pl.read_parquet(tmp_path / "out" / "*.parquet").height == SERIES * 3
    assert tsx.inspect(tmp_path / "out", id=("store", "item"), time="day", target="yhat").series == SERIES


def test_sample_paths_do_not_depend_on_the_parts(place, tmp_path):
    whole = tsx.forecast(place / "table.parquet", model=place / "model", samples=5).table
    run(place, tmp_path / "out", samples=5)
    assert tsx.merge(tmp_path / "out").as_frame().equals(whole)


def test_a_second_run_does_nothing_and_a_changed_part_alone_is_done_again(place, tmp_path):
    parts = tmp_path / "parts"
    shutil.copytree(place / "parts-parquet", parts)
    again = {"model": place / "model", "out": tmp_path / "out"}
    tsx.in_parts(tsx.forecast, parts, **again)
    before = tree(tmp_path / "out")
    with patch.object(forecast, "forecast_opened", side_effect=AssertionError):
        assert tsx.in_parts(tsx.forecast, parts, **again).reused == 5
    assert tree(tmp_path / "out") == before
    second = sorted(parts.glob("*.parquet"))[1]
    pl.read_parquet(second).with_columns(pl.col("y") + 1).write_parquet(second)
    made = tsx.in_parts(tsx.forecast, parts, **again)
    assert set(made.as_frame()["part"]) - made.reused_parts == {second.stem}
    assert {name for name, content in tree(tmp_path / "out").items() if content != before[name]} == {
        f"{second.stem}.parquet",
        f"_receipts/{second.stem}.json",
    }


@pytest.mark.parametrize("change", ["result", "receipt", "settings", "model"])
def test_a_receipt_is_valid_only_where_everything_agrees(place, tmp_path, change):
    model = tmp_path / "model"
    shutil.copytree(place / "model", model)
    settings = {"model": model, "out": tmp_path / "out"}
    tsx.in_parts(tsx.forecast, place / "parts-parquet", **settings)
    result = tmp_path / "out" / "part-00001.parquet"
    left = 4
    if change == "result":
        result.write_bytes(result.read_bytes()[:-1])
    elif change == "receipt":
        receipt = tmp_path / "out" / "_receipts" / "part-00001.json"
        receipt.write_text(receipt.read_text().replace('"rows"', '"lines"'))
    elif change == "settings":
        settings["above"] = 1
        left = 0
    else:
        tsx.fit(
            place / "table.parquet",
            model=model,
            id=("store", "item"),
            time="day",
            target="y",
            horizon=3,
            context_length=8,
            hidden_size=4,
            max_steps=1,
        )
        left = 0
    assert tsx.in_parts(tsx.forecast, place / "parts-parquet", **settings).reused == left
    tsx.merge(tmp_path / "out")


@pytest.mark.parametrize("fault", [Killed, lambda: OSError(28, "No space left on device")], ids=["killed", "disk full"])
def test_a_run_that_ends_anywhere_leaves_valid_parts_and_the_next_does_the_rest(place, tmp_path, fault):
    out = tmp_path / "out"
    with injected(count := Faults()):
        run(place, tmp_path / "count")
    done_before = 0
    for at in np.linspace(1, count.count - 1, 6).astype(int):
        shutil.rmtree(out, ignore_errors=True)
        with injected(Faults(int(at), fault)), suppress(Killed, WriteError):
            run(place, out)
        with patch.object(forecast, "forecast_opened", side_effect=forecast.forecast_opened) as made:
            again = run(place, out)
        assert made.call_count + again.reused == 5
        assert again.reused >= done_before
        done_before = again.reused
        assert is_the_whole(place, out)
    assert done_before >= 4


def test_a_part_that_cannot_be_read_does_not_stop_the_others(place, tmp_path):
    parts = tmp_path / "parts"
    shutil.copytree(place / "parts-parquet", parts)
    (parts / "part-00002.parquet").write_bytes(b"no table")
    with pytest.raises(DataError) as error:
        tsx.in_parts(tsx.forecast, parts, out=tmp_path / "out", model=place / "model")
    assert error.value.message.startswith("1 of 5 parts was not done; of part-00002: ")
    assert len(list((tmp_path / "out").glob("*.parquet"))) == 4
    with pytest.raises(DataError, match="1 of 5 parts is not done") as error:
        tsx.merge(tmp_path / "out")
    assert error.value.code == "parts-incomplete"


def test_parts_that_another_machine_wrote_to_a_folder_of_its_own_are_missed(
    place,
    tmp_path,
    pickling,  # noqa: F811
    monkeypatch,
):
    real = Pickling.result

    def result(self, number):
        done = real(self, number)
        (tmp_path / "out" / "_receipts").rename(tmp_path / f"machine-{number}")
        return done

    monkeypatch.setattr(Pickling, "result", result)
    with pytest.raises(WriteError, match="5 of 5 parts are not in the folder") as error:
        run(place, tmp_path / "out", engine="ray")
    assert error.value.code == "results-elsewhere"


def test_the_receipts_of_an_earlier_run_do_not_stand_for_parts_that_another_machine_wrote(
    place,
    tmp_path,
    pickling,  # noqa: F811
    monkeypatch,
):
    out, real = tmp_path / "out", Pickling.result
    run(place, out, above=1)
    shutil.copytree(out / "_receipts", tmp_path / "earlier")

    def result(self, number):
        done = real(self, number)
        shutil.copytree(tmp_path / "earlier", out / "_receipts", dirs_exist_ok=True)
        return done

    monkeypatch.setattr(Pickling, "result", result)
    with pytest.raises(WriteError, match="5 of 5 parts are not in the folder") as error:
        run(place, out, engine="ray")
    assert error.value.code == "results-elsewhere"


def test_a_machine_without_the_folder_of_the_results_is_told_of_before_any_part(tmp_path):
    job = Job("backtest", {}, str(tmp_path / "out"), "", None, "")
    with pytest.raises(WriteError, match="has no folder of the results") as error:
        open_worker(job)
    assert (error.value.code, error.value.where) == ("results-elsewhere", str(tmp_path / "out"))
    assert not list(tmp_path.iterdir())


def test_a_delta_table_beside_the_parts_is_known_by_its_rows_with_and_without_its_prefix(tmp_path):
    pytest.importorskip("deltalake")
    rows = pl.DataFrame({"x": [1, 2, 3]})
    contents = []
    for frame in (rows, rows, rows.head(2)):
        frame.write_delta(tmp_path / "known", mode="overwrite")
        contents.append(
            {_content(tmp_path / "known", "future_data"), _content(f"delta:{tmp_path}/known", "future_data")}
        )
    assert all(len(each) == 1 for each in contents)
    assert contents[0] == contents[1] != contents[2]


def test_parts_of_two_runs_are_not_merged(place, tmp_path):
    run(place, tmp_path / "one")
    run(place, tmp_path / "other", above=1)
    shutil.copy(tmp_path / "one" / "part-00001.parquet", tmp_path / "other")
    shutil.copy(tmp_path / "one" / "_receipts" / "part-00001.json", tmp_path / "other" / "_receipts")
    with pytest.raises(DataError) as error:
        tsx.merge(tmp_path / "other")
    assert error.value.code == "parts-mixed"


def test_a_result_that_was_changed_is_not_merged(place, tmp_path):
    run(place, tmp_path / "out")
    result = tmp_path / "out" / "part-00001.parquet"
    result.write_bytes(result.read_bytes() + b" ")
    with pytest.raises(DataError) as error:
        tsx.merge(tmp_path / "out")
    assert error.value.code == "part-changed"
    with pytest.raises(NotFound):
        tsx.merge(place / "parts-parquet")


def test_the_result_of_a_part_that_is_gone_goes_too(place, tmp_path):
    parts = tmp_path / "parts"
    shutil.copytree(place / "parts-parquet", parts)
    tsx.in_parts(tsx.forecast, parts, out=tmp_path / "out", model=place / "model")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    (parts / "part-00003.parquet").unlink()
    assert len(tsx.in_parts(tsx.forecast, parts, out=tmp_path / "out", model=place / "model").receipts) == 4
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "_parts.json",
        "_receipts",
        "notes.txt",
        *(f"part-0000{n}.parquet" for n in (1, 2, 4, 5)),
    }


def test_a_folder_whose_series_stand_in_several_files_is_refused(place, tmp_path):
    frame = pl.read_parquet(place / "table.parquet")
    (tmp_path / "by-day").mkdir()
    for n in range(2):
        frame[n::2].write_parquet(tmp_path / "by-day" / f"{n}.parquet")
    with pytest.raises(DataError, match="30 series stand in more than one of 2 files") as error:
        tsx.in_parts(tsx.forecast, tmp_path / "by-day", out=tmp_path / "out", model=place / "model")
    assert error.value.code == "series-in-several-parts"


def test_what_is_about_the_whole_table_is_refused(place, tmp_path):
    with pytest.raises(ConfigError) as error:
        run(place, tmp_path / "out", reconcile="store")
    assert error.value.where == "reconcile"
    with pytest.raises(ConfigError):
        run(place, tmp_path / "out", private=True)
    with pytest.raises(UsageError):
        tsx.in_parts(tsx.fit, place / "parts-parquet", out=tmp_path / "out")
    with pytest.raises(UsageError):
        tsx.in_parts(tsx.forecast, table(), out=tmp_path / "out", model=place / "model")


def test_parts_and_results_lie_in_file_systems(place, tmp_path):
    with pytest.raises(UsageError):
        tsx.in_parts(tsx.forecast, "s3://bucket/parts", out=tmp_path / "out", model=place / "model")
    for out in ("s3://bucket/out/", f"delta:{tmp_path}/out/"):
        with pytest.raises(WriteError):
            tsx.in_parts(tsx.forecast, place / "parts-parquet", out=out, model=place / "model")
    run(place, tmp_path / "out")
    tsx.merge(tmp_path / "out", out=f"sqlite:///{tmp_path}/f.db#forecasts")
    with sqlite3.connect(tmp_path / "f.db") as connection:
        assert connection.execute("select count(*) from forecasts").fetchone() == (SERIES * 3,)


def test_results_are_not_put_beside_the_files_of_a_model(place, tmp_path):
    before = tree(place / "model")
    with pytest.raises(WriteError, match="that is the directory of a model"):
        run(place, place / "model")
    assert tree(place / "model") == before


def test_an_earlier_partition_is_replaced_and_somebody_elses_folder_is_not(place, tmp_path):
    out = tmp_path / "parts"
    tsx.partition(place / "table.parquet", id="item", parts=3, out=out)
    made = tsx.partition(place / "table.parquet", id="item", parts=2, out=out)
    assert {path.name for path in out.iterdir()} == {"_partition.json", *(part.name for part in made.parts)}
    (out / "mine.csv").write_text("a,b\n")
    before = tree(out)
    with pytest.raises(WriteError):
        tsx.partition(place / "table.parquet", id="item", parts=4, out=out)
    assert tree(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["parts"]


def test_a_partition_for_which_there_is_no_room_blames_the_disk_and_leaves_nothing(place, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        with pytest.raises(WriteError, match="parts cannot be written") as error:
            tsx.partition(place / "table.parquet", id="item", parts=2, out=tmp_path / "parts")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.value.code == "file-not-writable"
    assert not list(tmp_path.iterdir())


def test_a_file_that_a_writer_opens_while_its_folder_is_removed_leaves_no_failed_partition_behind(tmp_path):
    late, remove = iter(["late.parquet"]), os.rmdir

    def remove_later(path: str, **there: int) -> None:
        for name in late:
            (new / name).touch()
        remove(path, **there)

    with patch("os.rmdir", remove_later), pytest.raises(ZeroDivisionError), _replacing(tmp_path / "parts") as new:
        raise ZeroDivisionError
    assert not list(late)
    assert not list(tmp_path.iterdir())


def test_no_receipt_holds_an_id_or_a_path(place, tmp_path):
    run(place, tmp_path / "out")
    for path in (tmp_path / "out" / "_receipts").iterdir():
        text = path.read_text()
        assert str(place) not in text
        assert '"s1"' not in text


def test_what_every_part_says_of_the_model_and_the_settings_is_said_once_in_the_words_of_a_whole_run(place, tmp_path):
    asked = {"horizon": 9}
    whole = tsx.forecast(place / "table.parquet", model=place / "model", **asked).findings
    parts = run(place, tmp_path / "out", **asked).findings
    said = [finding.message for finding in whole if finding.code == "as-fitted"]
    assert said
    assert [finding.message for finding in parts if finding.code == "as-fitted"] == said
