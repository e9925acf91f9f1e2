"""Questions about a fitted model, from a file to the tables of the answer."""

from __future__ import annotations

import datetime as dt
import shlex
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import tsx
from tsx.errors import ConfigError, DataError
from tsx.report.tables import write_explanation
from tsx.workflows.origin import _named

ROWS, HORIZON = 130, 4
ASKED = {"windows": 3, "max_evals": 60}


def table() -> pl.DataFrame:
    """Days of two shops in two countries, whose sales follow the price that is set ahead, and the visits of the day."""
    parts = []
    for seed, (country, area) in enumerate((("DE", "north"), ("DE", "south"), ("US", "north"))):
        random = np.random.default_rng(seed)
        price, visits = random.uniform(1, 3, ROWS + HORIZON), random.normal(10, 2, ROWS + HORIZON)
        sales = 40 - 8 * price + np.roll(visits, 1) + random.normal(0, 0.3, ROWS + HORIZON)
        days = pl.date_range(dt.date(2024, 1, 1), dt.date(2024, 1, 1) + dt.timedelta(ROWS + HORIZON - 1), eager=True)
        known = np.arange(ROWS + HORIZON) < ROWS
        parts.append(
            pl.DataFrame({"country": country, "area": area, "day": days, "price": price}).with_columns(
                sales=pl.when(pl.Series(known)).then(pl.Series(sales)),
                visits=pl.when(pl.Series(known)).then(pl.Series(visits)),
            )
        )
    return pl.concat(parts)


@pytest.fixture(scope="module")
def shops(tmp_path_factory) -> tuple[str, pl.DataFrame]:
    folder, frame = tmp_path_factory.mktemp("shops"), table()
    model = str(folder / "model")
    tsx.fit(
        frame,
        model=model,
        id="country,area",
        target="sales",
        past="visits",
        future="price",
        horizon=HORIZON,
        context_length=8,
        max_steps=60,
        hidden_size=8,
    )
    return model, frame


def up_to(frame: pl.DataFrame, back: int) -> pl.DataFrame:
    """The table as it was `back` days before: later sales and visits are not known."""
    last = dt.date(2024, 1, 1) + dt.timedelta(ROWS - 1 - back)
    later = pl.col("day") > last
    return frame.with_columns(pl.when(~later).then(pl.col(name)).alias(name) for name in ("sales", "visits"))


def test_a_change_since_a_report_is_the_difference_of_both_reports_forecasts(shops, tmp_path: Path) -> None:
    model, frame = shops
    earlier = tsx.explain(up_to(frame, 2), model=model, **ASKED)
    write_explanation(earlier, tmp_path / "earlier", ())
    found = tsx.explain(frame, model=model, since=tmp_path / "earlier", **ASKED)
    table = found.tables["since"]
    assert table.height == 3 * (HORIZON - 2)
    keys = ["country", "area"]
    before = table.join(earlier.forecasts, left_on=[*keys, "earlier_step"], right_on=[*keys, "step"])
    np.testing.assert_allclose(before["before"], before["yhat"])
    after = table.join(found.forecasts, on=[*keys, "cutoff", "step"])
    np.testing.assert_allclose(after["after"], after["yhat"], atol=1e-4)
    assert table["revised"].abs().max() < 1e-3
    assert table["new_model"].abs().max() == 0
    assert any(words.startswith("Since the earlier forecast sales") for words in found.findings)
    same = tsx.explain(frame, model=model, since="2024-05-07", since_model=model, **ASKED).tables["since"]
    np.testing.assert_allclose(same["change"], table["change"], atol=1e-3)
    revised = frame.with_columns(
        pl.when(pl.col("day") == dt.date(2024, 5, 6)).then(60.0).otherwise("sales").alias("sales")
    )
    other = tsx.explain(revised, model=model, since=tmp_path / "earlier", **ASKED).tables["since"]
    assert other["revised"].abs().min() > 1e-3


def test_a_change_since_a_report_of_something_else_is_refused(shops, tmp_path: Path) -> None:
    model, frame = shops
    other = tsx.explain(frame, model=model, explain="width", **ASKED)
    write_explanation(other, tmp_path / "widths", ())
    with pytest.raises(DataError) as failed:
        tsx.explain(frame, model=model, since=tmp_path / "widths", **ASKED)
    assert failed.value.code == "reports-differ"
    with pytest.raises(ConfigError) as unasked:
        tsx.explain(frame, model=model, since_model=model, **ASKED)
    assert unasked.value.code == "settings-contradict"


def test_series_are_grouped_by_a_part_of_their_id_or_by_several_together(shops) -> None:
    model, frame = shops
    for by, groups in (("country", ["DE", "US"]), ("country,area", ["DE, north", "DE, south", "US, north"])):
        found = tsx.explain(frame, model=model, by=by, **ASKED)
        assert found.tables["cohorts"]["cohort"].unique().sort().to_list() == groups
    with pytest.raises(ConfigError) as failed:
        tsx.explain(frame, model=model, by="country,ares", **ASKED)
    assert "'ares'" in failed.value.message
    assert "the parts of the id: 'country', 'area'" in failed.value.message


def test_series_are_grouped_by_several_columns_of_a_table(shops) -> None:
    model, frame = shops
    kinds = pl.DataFrame(
        {
            "country": ["DE", "DE", "US"],
            "area": ["north", "south", "north"],
            "size": [1, 2, None],
            "kind": ["a", "b", "a"],
        }
    )
    found = tsx.explain(frame, model=model, by=("kind", "size"), by_data=kinds, **ASKED)
    assert found.tables["cohorts"]["cohort"].unique().sort().to_list() == ["a, 1", "b, 2"]
    assert [finding.code for finding in found.noticed].count("cohort-missing") == 1


def test_what_if_reaches_the_forecast_by_its_name_and_refuses_sample_paths(shops) -> None:
    model, frame = shops
    made = tsx.forecast(frame, model=model, what_if="price=+10%,visits==12")
    assert made.frame["what_if_difference"].is_finite().all()
    assert made.frame["what_if_difference"].abs().max() > 0
    with pytest.raises(ConfigError) as failed:
        tsx.forecast(frame, model=model, what_if="price=+10%", samples=10)
    assert failed.value.code == "settings-contradict"


@pytest.mark.parametrize(
    "asked", [{"since": "2024-05-07"}, {"counterfactual": "below=9"}, {"states": True}, {"explain": "error"}]
)
def test_a_private_explanation_answers_no_question_about_single_series(shops, asked) -> None:
    model, frame = shops
    with pytest.raises(ConfigError) as failed:
        tsx.explain(frame, model=model, private=True, **asked, **ASKED)
    assert failed.value.code == "settings-contradict"
    assert failed.value.where == next(iter(asked))


def test_pictures_show_the_intervals_that_a_forecast_gives_out(tmp_path: Path) -> None:
    frame = table().filter(pl.col("sales").is_not_null()).with_columns(shop=pl.col("country") + pl.col("area"))
    frame = frame.select("shop", "day", "sales")
    known = frame.filter(pl.col("day") < dt.date(2024, 4, 10))
    jumps = frame.with_columns(
        pl.when(pl.col("day") >= dt.date(2024, 4, 10)).then(3.0).otherwise(1.0) * pl.col("sales")
    )
    asked = {"model": str(tmp_path / "model")}
    tsx.fit(known, **asked, intervals="adaptive", horizon=HORIZON, context_length=8, max_steps=5, hidden_size=4)
    emitted = tsx.forecast(jumps, **asked)
    assert "intervals-adapted" in {finding.code for finding in emitted.findings}
    assert tsx.explain(jumps, **asked, **ASKED).quantiles.equals(emitted.frame)


def test_an_explanation_names_its_model_its_table_and_the_command_that_asks_the_same(shops, tmp_path: Path) -> None:
    model, frame = shops
    frame.write_parquet(tmp_path / "shops.parquet")
    origin = tsx.explain(tmp_path / "shops.parquet", model=model, out=tmp_path / "why", **ASKED).origin
    assert origin is not None
    version, digest = (Path(model) / "CURRENT").read_text(encoding="utf-8").split()
    assert (origin.version, origin.model_sha256) == (version, digest[:12])
    assert origin.written == dt.datetime.now(dt.UTC).date()
    first, *flags = shlex.split(origin.command.removeprefix("tsx explain "))
    assert (first, set(zip(flags[::2], flags[1::2]))) == (
        "shops.parquet",
        {("--model", "model"), ("--windows", "3"), ("--max-evals", "60")},
    )
    other = frame.with_columns(sales=pl.col("sales") + 1)
    of_frame = tsx.explain(frame, model=model, **ASKED).origin
    assert of_frame.data_sha256 == origin.data_sha256
    assert of_frame.command == origin.command.replace("shops.parquet", "DATA")
    assert _named(".") == ["."]
    assert _named("sales/-x.csv") == ["./-x.csv"]  # no flag
    assert tsx.explain(other, model=model, **ASKED).origin.data_sha256 != origin.data_sha256
    assert {row["step"] for row in origin.per_step} == {1, 2, 3, 4}
