"""Ids that are whole numbers, and ids of several columns: the panel is that of the truth, and every output has them."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tsx
from tests.wild.truth import Series, Truth, difference, file, iso, noise, plain
from tsx.errors import ConfigError, DataError
from tsx.explanation.cohorts import cohorts_from_panel
from tsx.panel.id_hashes import hash_ids
from tsx.panel.panel import Panel
from tsx.progress import SILENT
from tsx.spec.settings import Reading, Roles
from tsx.store.forecaster import load_forecaster
from tsx.workflows.open_table import open_table

START, LENGTH = dt.date(2024, 1, 1), 40


def whole(seed: int, low: int = 5, high: int = 60) -> tuple[float, ...]:
    return tuple(np.random.default_rng(seed).integers(low, high, LENGTH).astype(float).tolist())


def truth(ids: list[Any], *, whole_numbers: bool = True) -> Truth:
    """A series for each id, on the same days."""
    times = plain(START, "1d", (LENGTH,)).series[0].times
    values = [whole(n) if whole_numbers else noise(n, LENGTH) for n in range(len(ids))]
    return Truth("1d", tuple(Series(id, times, (column,)) for id, column in zip(ids, values, strict=True)))


def written(names: str, of: Truth, *, by_time: bool = False) -> str:
    """Delimited text of the columns of the id (in `names`, before the time and the target), the time and the target."""
    rows = [
        (time, [*(one.id.values() if isinstance(one.id, dict) else [one.id]), iso(time), f"{value:g}"])
        for one in of.series
        for time, value in zip(one.times, one.target, strict=True)
    ]
    if by_time:
        rows.sort(key=lambda row: row[0])
    return names + "\n" + "".join(",".join(map(str, row)) + "\n" for _, row in rows)


def panel(path: Path, **roles: Any) -> Panel:
    return open_table(path, Roles(**roles), Reading(), None, SILENT).panel


def pairs(first: str, second: str, *values: tuple[Any, Any]) -> list[dict[str, Any]]:
    return [{first: one, second: other} for one, other in values]


@pytest.mark.parametrize("by_time", [False, True])
@pytest.mark.parametrize("names", ["store,date,sales", "Store,Date,Weekly_Sales", "shop_nr,day,qty"])
def test_whole_numbers_under_which_no_time_comes_twice_are_the_id_whatever_they_are_called(
    names: str, by_time: bool, tmp_path: Path
) -> None:
    of = truth([1, 2, 3, 7, 11])
    read = panel(file("a.csv", written(names, of, by_time=by_time))(tmp_path))
    assert difference(read, of) == ""
    assert (read.schema.id, read.schema.target) == (names.split(",")[0], names.split(",")[2])


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        ("store,item,date,sales", pairs("store", "item", (1, 1), (1, 2), (2, 1), (2, 2), (3, 1))),
        ("Store,Dept,Date,Weekly_Sales", pairs("Store", "Dept", (1, 4), (1, 9), (2, 4), (2, 9))),
        ("country,area,day,cases", pairs("country", "area", ("DE", 1), ("DE", 2), ("FR", 1), ("FR", 2))),
        ("land,ort,tag,wert2", pairs("land", "ort", ("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"))),
    ],
)
def test_a_pair_that_tells_rows_apart_is_the_first_hint_which_leads_to_the_panel(
    names: str, ids: list[dict[str, Any]], tmp_path: Path
) -> None:
    of = truth(ids)
    path = file("a.csv", written(names, of))(tmp_path)
    with pytest.raises(DataError) as caught:
        panel(path)
    error, (first, second, _, target) = caught.value, names.split(",")
    assert error.code == "duplicate-rows"
    assert f"--id {first},{second}" in error.hint
    assert error.hint.index("--id") < error.hint.index("--duplicates")
    assert error.hint.endswith(f"which leaves {LENGTH} of {len(ids) * LENGTH} rows")
    assert target not in error.hint
    read = panel(path, id=(first, second))
    assert read.schema.target == target
    assert read.ids.to_list() == as_text(ids)
    assert difference(named_by_number(read), numbered(of)) == ""


def as_text(ids: list[dict[str, Any]]) -> list[dict[str, str]]:
    """What a named id is in delimited text, where 007 is not 7."""
    return [{name: str(value) for name, value in one.items()} for one in ids]


def named_by_number(read: Panel) -> Panel:
    """The panel with the number of each series for its id."""
    return replace(read, ids=pl.Series(range(len(read))))


def numbered(of: Truth) -> Truth:
    return of.named(*range(len(of.series)))


def test_three_columns_tell_rows_apart_together(tmp_path: Path) -> None:
    ids = [{"region": r, "store": s, "item": i} for r in ("n", "s") for s in (1, 2) for i in (1, 2)]
    path = file("a.csv", written("region,store,item,date,sold", truth(ids)))(tmp_path)
    with pytest.raises(DataError) as caught:
        panel(path)
    assert "--id region,store,item" in caught.value.hint
    assert panel(path, id=("region", "store", "item")).ids.to_list() == as_text(ids)


def test_the_columns_come_in_the_order_of_the_user(tmp_path: Path) -> None:
    of = truth(pairs("country", "area", ("DE", 1), ("DE", 2), ("FR", 1)))
    path = file("a.csv", written("country,area,day,cases", of))(tmp_path)
    assert panel(path, id=("area", "country")).ids.to_list() == [
        {"area": "1", "country": "DE"},
        {"area": "1", "country": "FR"},
        {"area": "2", "country": "DE"},
    ]


def test_pairs_whose_joined_texts_are_alike_stay_two_series(tmp_path: Path) -> None:
    of = truth(pairs("a", "b", ("x", "y, z"), ("x, y", "z")))
    frame = pl.DataFrame([{**one.id, "ds": t, "y": v} for one in of.series for t, v in zip(one.times, one.target)])
    read = open_table(frame, Roles(id=("a", "b")), Reading(), None, SILENT).panel
    assert read.ids.to_list() == [one.id for one in of.series]
    assert len(set(hash_ids(read.ids).tolist())) == 2


TEXTS = st.text("ab,", max_size=3)


@given(st.sets(st.tuples(TEXTS, TEXTS), min_size=2, max_size=20))
def test_no_two_pairs_share_a_hash(ids: set[tuple[str, str]]) -> None:
    frame = pl.DataFrame(sorted(ids), schema=["a", "b"], orient="row")
    hashes = hash_ids(frame.to_struct("id"))
    assert len(np.unique(hashes)) == len(ids)
    swapped = hash_ids(frame.select(a="b", b="a").to_struct("id"))
    assert ((hashes == swapped) == (frame["a"] == frame["b"]).to_numpy()).all()


def test_a_row_without_a_part_of_its_id_is_refused_with_its_number_and_can_be_left_out(tmp_path: Path) -> None:
    of = truth(pairs("a", "b", ("x", "1a"), ("y", "1a")))
    path = file("a.csv", written("a,b,ds,y", of) + "x,,2024-03-01,5\n")(tmp_path)
    with pytest.raises(DataError) as caught:
        panel(path, id=("a", "b"))
    assert (caught.value.code, "1 row has no id" in caught.value.message) == ("null-key", True)
    skipping = Reading(skip_rows_without=("id",))
    read = open_table(path, Roles(id=("a", "b")), skipping, None, SILENT).panel
    assert difference(named_by_number(read), numbered(of)) == ""
    assert [(one.code, one.message[:5]) for one in read.findings] == [("rows-skipped", "1 row")]


def test_an_id_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = file("a.csv", written("a,b,ds,y", truth(pairs("a", "b", ("x", 1), ("y", 1)))))(tmp_path)
    with pytest.raises(ConfigError) as caught:
        panel(path, id=("a", "c"))
    assert (caught.value.code, caught.value.where) == ("column-not-found", "c")


@pytest.mark.parametrize("kinds", [("x", "v"), (0, 6)])
def test_kinds_of_events_are_no_ids(kinds: tuple[Any, Any], tmp_path: Path) -> None:
    of = truth([0])
    rows = [f"{iso(time)},{value:g},{kinds[0]}\n" for time, value in zip(of.series[0].times, of.series[0].target)]
    events = [f"{iso(time)},,{kinds[1]}\n" for time in of.series[0].times[3::9]]
    head = "time,glucose,record_type\n" if kinds == (0, 6) else "time,glucose,step\n"
    if kinds != (0, 6):
        rows = [row.replace(",x", ",0") for row in rows]
        events = [event.replace(",v", ",6") for event in events]
    path = file("a.csv", head + "".join(rows + events))(tmp_path)
    read = panel(path, target=("glucose",))
    assert read.schema.ids == ()
    assert difference(read, of.named("glucose")) == ""
    messages = [one.message for one in read.findings if one.code == "rows-without-values"]
    assert [message.split(" rows")[0] for message in messages] == [f"{len(events)} of {LENGTH + len(events)}"]


PRICES = {"Open": 3, "High": 9, "Low": 1, "Close": 5, "Adj Close": 4, "Volume": 700}


@pytest.mark.parametrize(
    ("columns", "target"),
    [
        (("Open", "High", "Low", "Close", "Adj Close", "Volume"), "Adj Close"),
        (("Open", "High", "Low", "Close", "Volume"), "Close"),
        (("Volume", "Open", "Close"), "Close"),
    ],
)
def test_of_the_prices_of_a_day_the_last_one_is_the_target(columns: tuple[str, ...], target: str) -> None:
    frame = pl.DataFrame({"day": plain(START, "1d", (LENGTH,)).series[0].times}).with_columns(
        pl.Series(name, noise(PRICES[name], LENGTH)) for name in columns
    )
    assert open_table(frame, Roles(), Reading(), None, SILENT).panel.schema.target == target


@pytest.mark.parametrize("before", ["DayOfWeek", "zip_code", "storeType"])
def test_a_day_of_the_week_or_a_code_is_no_target(before: str) -> None:
    times = plain(START, "1d", (LENGTH,)).series[0].times
    first = [time.isoweekday() for time in times] if before == "DayOfWeek" else whole(5, 1000, 9000)
    frame = pl.DataFrame({"day": times, before: first, "sold": whole(1)})
    frame = frame.with_columns(pl.col(before, "sold").cast(pl.Int64))
    assert open_table(frame, Roles(), Reading(), None, SILENT).panel.schema.target == "sold"


def test_a_part_of_the_id_groups_the_series(tmp_path: Path) -> None:
    path = file("a.csv", written("land,ort,ds,y", truth(pairs("land", "ort", ("a", 1), ("a", 2), ("b", 1)))))(tmp_path)
    assert cohorts_from_panel(panel(path, id=("land", "ort")), "land").to_list() == ["a", "a", "b"]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A model of pairs with a covariate known ahead, and what every verb gives for it."""
    folder = tmp_path_factory.mktemp("pairs")
    of = truth(pairs("country", "area", ("DE", 1), ("DE", 2), ("FR", 1), ("FR", 2)), whole_numbers=False)
    frame = pl.DataFrame(
        [
            {**one.id, "day": t, "cases": v, "open": float(k % 7 < 5), "size": str(one.id["area"] * 10)}
            for one in of.series
            for k, (t, v) in enumerate(zip(one.times, one.target, strict=True))
        ]
    )
    data, model = folder / "a.parquet", folder / "model"
    frame.write_parquet(data)
    fit = tsx.fit(
        data, id="country,area", future="open", static="country", model=model, horizon=3, context_length=8, max_steps=2
    )
    return {"folder": folder, "frame": frame, "data": data, "model": model, "fit": fit}


KEYS = ["country", "area"]
IDS = {("DE", 1), ("DE", 2), ("FR", 1), ("FR", 2)}


def test_every_output_of_a_model_of_pairs_has_both_columns(fitted: dict[str, Any]) -> None:
    ahead = tsx.make_future(fitted["data"], model=fitted["model"])
    assert ahead.columns == [*KEYS, "day", "open"]
    filled = ahead.with_columns(open=pl.lit(1.0))
    forecast = tsx.forecast(fitted["data"], model=fitted["model"], future_data=filled)
    assert forecast.frame.columns[:3] == [*KEYS, "day"]
    assert set(forecast.frame.select(KEYS).rows()) == IDS
    assert forecast.unseen.is_empty()
    less = filled.filter(~((pl.col("country") == "DE") & (pl.col("area") == 2)))
    assert set(tsx.forecast(fitted["data"], model=fitted["model"], future_data=less).frame.select(KEYS).rows()) == (
        IDS - {("DE", 2)}
    )
    more = tsx.backtest(
        fitted["frame"].drop("open"), id=KEYS, target="cases", horizon=3, context_length=8, max_steps=2, cutoffs=2
    )
    assert more.frame.columns[:2] == KEYS
    assert set(more.frame.select(KEYS).rows()) == IDS


def test_a_series_that_a_model_of_pairs_did_not_meet_is_new_by_both_of_its_parts(fitted: dict[str, Any]) -> None:
    swapped = fitted["frame"].with_columns(
        area=pl.when((pl.col("country") == "FR") & (pl.col("area") == 2)).then(3).otherwise("area")
    )
    ahead = tsx.make_future(swapped, model=fitted["model"]).with_columns(open=pl.lit(1.0))
    forecast = tsx.forecast(swapped, model=fitted["model"], future_data=ahead)
    assert forecast.unseen.to_list() == [{"country": "FR", "area": 3}]


def test_a_model_of_pairs_is_explained_by_groups_and_updated(fitted: dict[str, Any]) -> None:
    by = fitted["frame"].select(*KEYS).unique().with_columns(half=pl.col("country") + pl.col("area").cast(pl.String))
    table = fitted["folder"] / "groups.csv"
    by.write_csv(table)
    ahead = tsx.make_future(fitted["data"], model=fitted["model"]).with_columns(open=pl.lit(1.0))
    full = pl.concat([fitted["frame"], ahead], how="diagonal").with_columns(size=pl.lit("10"))
    explanation = tsx.explain(full, model=fitted["model"], by="half", by_data=table, max_evals=64)
    assert set(explanation.forecasts.select(KEYS).rows()) == IDS
    assert explanation.lag_importance.columns[:2] == KEYS or set(KEYS) <= {*explanation.importance.collect_schema()}
    assert explanation.tables["cohorts"]["cohort"].n_unique() == 4
    later = fitted["frame"].with_columns(pl.col("day") + dt.timedelta(days=LENGTH))
    more = pl.concat([fitted["frame"], later])
    tsx.fit(more, model=fitted["model"], update=True, id="country,area", max_steps=1)
    _, manifest = load_forecaster(fitted["model"])
    stored = json.dumps(manifest.to_dict())
    assert json.loads(stored)["schema"]["id"] == KEYS
    assert not any(f'"{country}"' in stored for country in ("DE", "FR"))
