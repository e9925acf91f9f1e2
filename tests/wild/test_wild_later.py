"""A model is fitted on one file and forecasts from another: every change in between gets its verdict."""

from __future__ import annotations

import datetime as dt
import gzip
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import tsx
from tests.wild.cases_files import frame, ipc, parquet
from tests.wild.cases_shapes import wide
from tests.wild.mutants import LINES
from tests.wild.truth import IDS, Series, Truth, file, grid, noise, number, stamp, text
from tsx.errors import TsxError

LENGTH, AHEAD, HORIZON = 60, 4, 3
NAMES = ("id", "ds", "y", "wind", "price")
TINY: dict[str, Any] = {"horizon": HORIZON, "context_length": 12, "hidden_size": 4, "max_steps": 3, "device": "cpu"}
ROLES: dict[str, Any] = {"past": "wind", "future": "price", "static": "site"}


def table(
    first: int = 0, length: int = LENGTH, *, ids: tuple[str, ...] = IDS[:4], freq: str = "1d", ahead: int = AHEAD
) -> Truth:
    """Series of days from the `first` on, the covariate `price` known `ahead` days further."""
    start = dt.date(2024, 1, 1) + dt.timedelta(days=first)
    times = grid(start, freq, length + ahead)
    series = []
    for n, id in enumerate(ids):
        y, wind, price = (noise(100 * n + c, first + length + ahead)[first:] for c in range(3))
        series.append(Series(id, times, ((*y[:length], *[None] * ahead), wind, price)))
    return Truth(freq, tuple(series), future=1)


def long(truth: Truth, *, sites: dict[str, str] | None = None, names: tuple[str, ...] = NAMES, **more: Any) -> str:
    """The table with a column of the series' site."""
    sep = more.get("sep", ",")
    lines = text(truth, names=names, **more).splitlines()
    homes = [SITES.get(row[0], "north") if sites is None else sites[row[0]] for row in truth.rows]
    return "".join(f"{line}{sep}{site}\n" for line, site in zip(lines, ["site", *homes], strict=True))


SITES = {id: ("north", "south")[n % 2] for n, id in enumerate(IDS)}


def fit(folder: Path, content: str, name: str = "first.csv", **more: Any) -> str:
    path = file(name, content)(folder)
    model = str(folder / f"model-{name}")
    tsx.fit(path, model=model, **TINY, **more)
    return model


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("models")
    days = table(ahead=0)
    return {
        "long": fit(folder, long(table()), **ROLES),
        "german": fit(folder, long(table(), sep=";", time=stamp("%d.%m.%Y"), value=number(",")), "german.csv", **ROLES),
        "wide": fit(folder, wide(plainly(days)), "wide.csv", wide=True),
        "jitter": fit(folder, text(plainly(days)), "jitter.csv", missing=["-999"], duplicates="last"),
    }


def plainly(truth: Truth) -> Truth:
    """The target alone."""
    return Truth(truth.freq, tuple(Series(one.id, one.times, one.columns[:1]) for one in truth.series))


LATER = table(5)


@dataclass(frozen=True)
class Later:
    """A later table and its verdict: the codes of findings that must be there (and no others), or of the error."""

    name: str
    write: Callable[[Path], Any]
    findings: frozenset[str] = frozenset()
    error: str = ""
    model: str = "long"
    future: Callable[[Path], Any] | None = None
    given: dict[str, Any] = field(default_factory=dict)
    series: int = 4


def later(name: str, content: Any, *findings: str, suffix: str = "csv", **more: Any) -> Later:
    write = content if callable(content) else file(f"later.{suffix}", content)
    return Later(name, write, frozenset({*findings} if more.get("error") else {"future-rows", *findings}), **more)


def spoilt(content: str, line: int, place: int, cell: str) -> str:
    lines = content.splitlines()
    cells = lines[line].split(",")
    cells[place] = cell
    return "\n".join([*lines[:line], ",".join(cells), *lines[line + 1 :]]) + "\n"


def scaled(truth: Truth, factor: float) -> Truth:
    return truth.mapped(lambda y: None if y is None else round(y * factor, 4))


NEW_SITE = {id: "island" if n == 1 else SITES[id] for n, id in enumerate(IDS)}
FRAME = frame(LATER, NAMES).with_columns(site=pl.col("id").replace_strict(SITES))
EXTRA = Truth("1d", (*LATER.series, *table(5, ids=IDS[4:]).series), 1)
BRIEF = Truth(
    "1d",
    (
        *LATER.series,
        Series(
            IDS[4],
            LATER.series[0].times[-AHEAD - 4 :],
            tuple(column[-AHEAD - 4 :] for column in LATER.series[0].columns),
        ),
    ),
    1,
)
EARLY = Truth("1d", (*LATER.series[:3], *table(5, 40).series[3:]), 1)
BARE = table(5, ahead=0)
PRICES = [[row[0], row[1], row[4]] for row in table(5, ahead=HORIZON).rows if row[2] is None]

LATERS = [
    later("the same file again", long(table()), "rows-already-seen"),
    later("a file of newer rows", long(LATER)),
    later("newer rows in Parquet", parquet(FRAME), suffix="parquet"),
    later("newer rows in Arrow", ipc(FRAME), suffix="arrow"),
    later("newer rows, packed", gzip.compress(long(LATER).encode()), suffix="csv.gz"),
    later("newer rows with semicolons", long(LATER, sep=";")),
    later(
        "newer rows as they were at first",
        long(LATER, sep=";", time=stamp("%d.%m.%Y"), value=number(",")),
        model="german",
    ),
    later(
        "columns in another order, and one more",
        "site,extra,price,wind,y,ds,id\n"
        + "".join(f"{SITES[i]},x,{p},{w},{'' if y is None else y},{t},{i}\n" for i, t, y, w, p in LATER.rows),
    ),
    later("a column that is gone", long(LATER, names=("id", "ds", "y", "gale", "price")), error="column-missing"),
    later("a target that is gone", long(LATER, names=("id", "ds", "z", "wind", "price")), error="column-missing"),
    later("a time that is gone", long(LATER, names=("id", "day", "y", "wind", "price")), error="column-missing"),
    later("an id that is gone", long(LATER, names=("unit", "ds", "y", "wind", "price")), error="column-missing"),
    later("a covariate of words now", spoilt(long(LATER), 9, 3, "calm"), error="cells-not-numbers"),
    later("times of words now", spoilt(long(LATER), 9, 1, "soon"), error="times-unreadable"),
    later("another step", long(table(5, freq="1w")), error="freq-mismatch"),
    later("a thousand times the unit", long(scaled(LATER, 1000)), "scale-jumped", "moved-too-far"),
    later("mmol instead of mg", long(scaled(LATER, 1 / 18.02)), "scale-jumped"),
    later("an older file", long(table(0, 40)), "time-backwards", "rows-fewer"),
    later("a file of a year before", long(table(-0, 30)), "time-backwards", "rows-fewer"),
    later("a category that is new where each is that of too few series to be known", long(LATER, sites=NEW_SITE)),
    later("a series that is new", long(EXTRA), "unseen-series", series=5),
    later("a series that is new and short", long(BRIEF), "unseen-series", "series-below-context", series=5),
    later("one series of four", long(LATER.only(2)), "series-fewer", "series-missing", "rows-fewer", series=1),
    later("a series that ends early", long(EARLY), "series-behind", "series-late"),
    later("future covariates that end early", long(table(5, ahead=1)), error="future-covariates-missing"),
    later("no future covariates", long(BARE), error="future-covariates-missing"),
    later(
        "future covariates in a file of their own",
        long(BARE),
        future=file("prices.csv", text(PRICES, names=("id", "ds", "price"))),
    ),
    later(
        "future covariates with semicolons and commas",
        long(BARE),
        future=file("prices.csv", text(PRICES, names=("id", "ds", "price"), sep=";", value=number(","))),
    ),
    later(
        "future covariates that end early in a file of their own",
        long(BARE),
        future=file(
            "prices.csv",
            text([row for row in PRICES if row[0] != IDS[1] or row[1] == PRICES[0][1]], names=("id", "ds", "price")),
        ),
        error="future-covariates-missing",
    ),
    later(
        "future covariates without their column",
        long(BARE),
        future=file("prices.csv", text(PRICES, names=("id", "ds", "cost"))),
        error="future-column-missing",
    ),
    later(
        "future covariates twice",
        long(BARE),
        future=file("prices.csv", text([*PRICES, PRICES[3]], names=("id", "ds", "price"))),
        error="duplicate-rows",
    ),
    later(
        "future covariates that are words",
        long(BARE),
        future=file(
            "prices.csv", text(PRICES, names=("id", "ds", "price"), value=lambda p: "high" if p > 50 else "low")
        ),
        error="future-column-type",
    ),
    later("rows twice", long(LATER) + long(LATER).splitlines()[9] + "\n", error="duplicate-rows"),
    later(
        "rows twice, the last of them wanted",
        long(LATER) + long(LATER).splitlines()[9] + "\n",
        given={"duplicates": "last"},
    ),
    later("more rows than allowed", long(LATER), error="too-many-rows", given={"max_rows": 50}),
    later("too few rows for a context", long(table(5, 2)), "time-backwards", "series-below-context", "rows-fewer"),
    later("an empty file", "", error="file-empty"),
    later("noise", b"\x00\x01\xff" * 300, error="file-unreadable"),
    Later("wide, newer", file("w.csv", wide(plainly(BARE))), model="wide"),
    Later(
        "wide, with a new column",
        file("w.csv", wide(plainly(table(5, ids=IDS[:5], ahead=0)))),
        frozenset({"unseen-series"}),
        model="wide",
        series=5,
    ),
    Later(
        "wide, with a column less",
        file("w.csv", wide(plainly(BARE.only(0, 1, 2)))),
        frozenset({"series-missing", "rows-fewer"}),
        model="wide",
        series=3,
    ),
    Later("wide model, long table", file("w.csv", text(plainly(BARE))), error="duplicate-rows", model="wide"),
    Later(
        "sentinels and duplicates as they were told at first",
        file(
            "j.csv",
            text(plainly(BARE).mapped(lambda y: -999.0 if y is not None and int(y) % 10 == 3 else y))
            + text(plainly(BARE)).splitlines()[9]
            + "\n",
        ),
        frozenset({"missing-words", "missing-target"}),
        model="jitter",
    ),
]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in LATERS])
def test_a_later_file_is_forecast_from_or_refused(case: Later, models: dict[str, str], tmp_path: Path) -> None:
    given = dict(case.given)
    if case.future is not None:
        given["future_data"] = case.future(tmp_path)
    source = case.write(tmp_path)
    if case.error:
        with pytest.raises(TsxError) as caught:
            tsx.forecast(source, model=models[case.model], **given)
        error = caught.value
        assert error.code == case.error, error.message
        assert error.hint
        told = " ".join((error.message, error.hint, error.where)).replace(str(tmp_path), "")
        assert not [id for id in (*IDS, "island") if id in told], told
        return
    made = tsx.forecast(source, model=models[case.model], **given)
    assert {finding.code for finding in made.findings} == case.findings, [f.message for f in made.findings]
    assert made.frame[made.schema.id_names[0]].n_unique() == case.series
    assert len(made.frame) == case.series * HORIZON
    assert made.frame.select("yhat").null_count().item() == 0
    for finding in made.findings:
        assert not [id for id in (*IDS, "island") if id in finding.message + finding.where], finding


def test_any_writing_of_a_later_file_gives_the_same_forecast(models: dict[str, str], tmp_path: Path) -> None:
    """Two models of one table, written in two ways, forecast alike from a third writing."""
    one = tsx.forecast(file("a.csv", long(LATER))(tmp_path), model=models["long"]).frame
    other = tsx.forecast(
        file("b.csv", long(LATER, sep=";", time=stamp("%d.%m.%Y"), value=number(",")))(tmp_path), model=models["german"]
    ).frame
    assert one.equals(other)
    packed = gzip.compress(long(LATER, order=lambda rows: rows).encode())
    assert one.equals(tsx.forecast(file("c.csv.gz", packed)(tmp_path), model=models["long"]).frame)


@pytest.mark.parametrize("seed", range(4))
def test_a_spoilt_later_file_is_forecast_from_or_refused_in_declared_words(
    models: dict[str, str], tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    content = long(LATER).encode()
    refused: list[TsxError] = []
    for turn in range(20):
        spoilt = draw.choice(LINES)(draw, content) or b"\n"
        source = file(f"{turn}.csv", spoilt)(tmp_path)
        try:
            frame = tsx.forecast(source, model=models["long"]).frame
        except TsxError as error:
            refused.append(error)
        else:
            assert frame.select("yhat").null_count().item() == 0, turn
    assert 0 < len(refused) < 20
    assert all(error.code and error.hint for error in refused)
