"""The long table of an explanation, written in pieces: its rows against the arrays they were made of."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.processes import make_panel
from tsx.errors import WriteError
from tsx.explanation.shap import importance_writer
from tsx.explanation.shap.importance_writer import ImportanceWriter, RowLayout
from tsx.explanation.shap.players import players_of
from tsx.model.forecast_table import history_table
from tsx.panel.calendar import HOUR, Calendar
from tsx.spec.channels import Channels
from tsx.spec.network import NetworkConfig
from tsx.spec.schema import Schema
from tsx.spec.settings import Question

SCHEMA = Schema("t", "y", "id", past=("x",), future=("p",), static=("beds", "ward"))
CONFIG = NetworkConfig(2, 3, 1, 1, channels=Channels.of(SCHEMA, {"ward": ("a", "b", "c")}))
CELLS = 3 * 3 + 2 + 2
COLUMNS = ["id", "cutoff", "step", "feature", "lag", "distance", "value", "shap", "shap_se", "block"]
PATHS = ["location", "season", "linear", "recurrent"]


@dataclass(frozen=True)
class Fake:
    """SHAP values as an estimator gives them."""

    values: np.ndarray
    errors: np.ndarray
    parts: np.ndarray
    base: np.ndarray
    forecast: np.ndarray


def fakes(count: int, players: int, outputs: int, seed: int = 0) -> list[Fake]:
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        parts, base = random.normal(size=(players, outputs, 4)), random.normal(size=(outputs, 4))
        errors = np.abs(random.normal(size=(players, outputs))) / 10
        found.append(Fake(parts.sum(-1), errors, parts, base, base + parts.sum(0)))
    return found


def panel_of(count: int):
    panel = make_panel([np.zeros((9, 3)) for _ in range(count)], past=("x",), future=("p",), known_ahead=2)
    hours = Calendar("time", HOUR, dtype=pl.Datetime("us", "Europe/Berlin"))
    starts = pl.Series([0] * count).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone("Europe/Berlin")
    return replace(
        panel, schema=SCHEMA, calendar=hours, starts=starts, centers=np.arange(3.0 * count).reshape(count, 3) * 100
    )


def layout_of(count: int = 3, **asked) -> RowLayout:
    question = Question(**asked)
    panel = panel_of(count)
    players = players_of(CONFIG, question)
    return RowLayout(panel, CONFIG, players, question, np.array([1000.0, 2000.0]))


def cells_of(count: int) -> np.ndarray:
    return np.random.default_rng(9).normal(size=(count, CELLS)).astype(np.float32)


def written(path, layout, found, *, chunk=2, series=None, cells=None):
    series = np.arange(len(found)) % len(layout.panel) if series is None else series
    cutoffs = 3 + np.arange(len(found)) % 3
    cells = cells_of(len(found)) if cells is None else cells
    with ImportanceWriter.to(path, layout) as writer:
        for begin in range(0, len(found), chunk):
            part = slice(begin, begin + chunk)
            writer.append(series[part], cutoffs[part], cells[part], found[part])
    return writer


@pytest.fixture
def small_groups(monkeypatch):
    monkeypatch.setattr(importance_writer, "ROWS", 90)


def test_every_row_is_what_was_found_for_its_player_and_step(tmp_path, small_groups):
    layout = layout_of(reference="panel")
    players, found, cells = layout.players, fakes(7, len(layout.players), 2), cells_of(7)
    written(tmp_path / "i.parquet", layout, found, cells=cells)
    rows = pl.read_parquet(tmp_path / "i.parquet")
    assert rows.columns == [*COLUMNS, *PATHS]
    assert rows.height == 7 * 2 * len(players)
    shape = (7, 2, len(players))
    np.testing.assert_array_equal(rows["shap"].to_numpy().reshape(shape), np.stack([f.values.T for f in found]))
    np.testing.assert_allclose(
        rows["shap_se"].to_numpy().reshape(shape), np.stack([f.errors.T for f in found]), rtol=1e-6
    )
    np.testing.assert_allclose(rows.select(PATHS).to_numpy().sum(1), rows["shap"], rtol=1e-5, atol=1e-6)
    first = rows.head(len(players))
    assert first["feature"].to_list() == list(players.feature)
    assert first["lag"].to_list() == list(players.lag)
    assert (rows["distance"] - (rows["lag"] + rows["step"] - 1)).drop_nulls().unique().to_list() == [0]
    assert rows["distance"].null_count() == 7 * 2 * 2  # static covariates have no lag
    assert rows["id"].to_list() == np.repeat(["s0", "s1", "s2", "s0", "s1", "s2", "s0"], 2 * len(players)).tolist()


def test_texts_and_times_are_read_back_as_what_they_are(tmp_path):
    layout = layout_of()
    written(tmp_path / "i.parquet", layout, fakes(3, len(layout.players), 2))
    schema = pl.scan_parquet(tmp_path / "i.parquet").collect_schema()
    assert schema["id"] == schema["feature"] == pl.String
    assert schema["cutoff"] == pl.Datetime("us", "Europe/Berlin")
    cutoffs = pl.scan_parquet(tmp_path / "i.parquet").select("cutoff").collect().to_series().unique(maintain_order=True)
    expected = layout.panel.times(np.arange(3), np.array([3, 4, 5]))
    assert cutoffs.to_list() == expected.to_list()


def test_values_are_in_the_users_units(tmp_path):
    layout = layout_of(reference="panel")
    cells = cells_of(3)
    cells[1, 0] = np.nan  # the oldest lag of y in the second window
    written(tmp_path / "i.parquet", layout, fakes(3, len(layout.players), 2), cells=cells)
    rows = pl.read_parquet(tmp_path / "i.parquet").filter(pl.col("step") == 2)
    # cells stand oldest lag first, (y, x, p) each, then p ahead at steps 1 and 2, then beds, then the code of ward
    expected = {
        ("y", 3): cells[:, 0] + [0.0, 300.0, 600.0],
        ("y", 1): cells[:, 6] + [0.0, 300.0, 600.0],
        ("x", 2): cells[:, 4] + 1000,
        ("p", 3): cells[:, 2] + 2000,
        ("p", 0): cells[:, 9] + 2000,
        ("p", -1): cells[:, 10] + 2000,
        ("beds", None): cells[:, 11],
    }
    for (feature, lag), values in expected.items():
        row = rows.filter((pl.col("feature") == feature) & pl.col("lag").eq_missing(lag))
        found = row["value"].to_numpy()
        np.testing.assert_allclose(found, values, rtol=1e-6)
    assert rows.filter(pl.col("value").is_null()).select("id", "feature", "lag").sort("id", "feature").rows() == [
        ("s0", "ward", None),
        ("s1", "ward", None),
        ("s1", "y", 3),
        ("s2", "ward", None),
    ]


def test_players_of_several_cells_have_an_oldest_lag_and_neither_value_nor_distance(tmp_path):
    layout = layout_of(players="group", group=2)
    written(tmp_path / "i.parquet", layout, fakes(2, len(layout.players), 2))
    rows = pl.read_parquet(tmp_path / "i.parquet").filter((pl.col("step") == 1) & (pl.col("id") == "s0"))
    assert rows.columns == [*COLUMNS, "oldest_lag", *PATHS]
    assert rows.select("feature", "lag", "oldest_lag", "distance").rows() == [
        ("y", 1, 2, None),
        ("y", 3, 3, 3),
        ("x", 1, 2, None),
        ("x", 3, 3, 3),
        ("p", -1, 0, None),
        ("p", 1, 2, None),
        ("p", 3, 3, 3),
    ]
    assert rows["value"].is_null().to_list() == [True, False, True, False, True, True, False]


def test_a_lag_of_all_features_has_no_feature(tmp_path):
    layout = layout_of(players="lag")
    writer = written(tmp_path / "i.parquet", layout, fakes(2, len(layout.players), 2))
    assert pl.read_parquet(tmp_path / "i.parquet")["feature"].null_count() == 2 * 2 * len(layout.players)
    assert writer.totals.profile()["lag"].to_list() == [-1, 0, 1, 2, 3]
    assert writer.totals.profile()["feature"].null_count() == 5


def test_the_sum_over_the_horizon_has_no_step_and_holds_the_center_once_a_step(tmp_path):
    layout = layout_of(explain="sum")
    found = fakes(3, len(layout.players), 1)
    writer = written(tmp_path / "i.parquet", layout, found)
    rows = pl.read_parquet(tmp_path / "i.parquet")
    assert rows["step"].null_count() == rows["distance"].null_count() == rows.height == 3 * len(layout.players)
    forecasts = writer.forecasts()
    assert forecasts["step"].null_count() == 3
    expected = np.array([f.forecast.sum() for f in found]) + 2 * np.array([0, 300, 600])
    np.testing.assert_allclose(forecasts["yhat"], expected)


@pytest.mark.parametrize(("explain", "centers"), [("yhat", 1), ("q0.9", 1), ("width", 0)])
def test_base_plus_shap_is_the_forecast_in_the_units_of_what_is_explained(tmp_path, explain, centers):
    layout = layout_of(explain=explain)
    found = fakes(3, len(layout.players), 2)
    writer = written(tmp_path / "i.parquet", layout, found)
    forecasts = writer.forecasts()
    expected = np.stack([f.forecast.sum(-1) for f in found]) + centers * np.array([[0], [300], [600]])
    np.testing.assert_allclose(forecasts["yhat"].to_numpy().reshape(3, 2), expected)
    sums = pl.read_parquet(tmp_path / "i.parquet").group_by("id", "cutoff", "step").agg(pl.col("shap").sum())
    joined = forecasts.join(sums, on=["id", "cutoff", "step"], validate="1:1")
    assert joined.height == 6
    np.testing.assert_allclose(joined["base_value"] + joined["shap"], joined["yhat"], atol=1e-10)
    assert writer.totals.gap < 1e-12


def test_the_sums_on_the_way_are_those_of_the_rows(tmp_path, small_groups):
    layout = layout_of(reference="panel")
    found = fakes(7, len(layout.players), 2)
    totals = written(tmp_path / "i.parquet", layout, found).totals
    rows = pl.read_parquet(tmp_path / "i.parquet")
    keys = ["feature", "lag", "step", "distance"]
    by_step = rows.group_by(keys, maintain_order=True).agg(
        pl.col("shap").abs().mean().alias("mean_abs_shap"),
        pl.col("shap").mean().alias("mean_shap"),
        (pl.col("shap") ** 2 - pl.col("shap_se").cast(pl.Float64) ** 2).mean().alias("mean_square_shap"),
        pl.col("shap_se").mean(),
    )
    found_by_step = totals.by_step()
    assert found_by_step.columns == by_step.columns
    assert found_by_step.select(keys).equals(by_step.select(keys))
    for name in ("mean_abs_shap", "mean_shap", "mean_square_shap", "shap_se"):
        np.testing.assert_allclose(found_by_step[name], by_step[name], rtol=1e-5, atol=1e-12)
    profile = rows.group_by("feature", "lag", maintain_order=True).agg(pl.col("shap").abs().mean())
    np.testing.assert_allclose(totals.profile()["mean_abs_shap"], profile["shap"], rtol=1e-12)
    assert totals.profile().columns == ["feature", "lag", "mean_abs_shap", "mean_shap", "mean_square_shap", "share"]
    squares = by_step.group_by("feature", "lag", maintain_order=True).agg(pl.col("mean_square_shap").mean())
    squares = squares["mean_square_shap"].clip(lower_bound=0)
    np.testing.assert_allclose(totals.profile()["mean_square_shap"], squares, rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(totals.profile()["share"], squares / squares.sum(), rtol=1e-5)
    paths = totals.by_path().filter((pl.col("feature") == "x") & (pl.col("path") == "linear"))
    expected = rows.filter(pl.col("feature") == "x").group_by("lag").agg(pl.col("linear").abs().mean()).sort("lag")
    np.testing.assert_allclose(paths.sort("lag")["mean_abs_shap"], expected["linear"], rtol=1e-5)
    errors, values = np.stack([f.errors for f in found]), np.stack([f.values for f in found])
    assert totals.relative_error == pytest.approx(np.sqrt((errors**2).sum() / (values**2).sum()))
    assert totals.windows == 7


def test_many_values_that_are_nothing_but_error_add_up_to_hardly_a_share(tmp_path):
    layout = layout_of(reference="panel")
    random, players = np.random.default_rng(0), len(layout.players)
    found = []
    for each in fakes(200, players, 2):
        errors = np.full((players, 2), 0.3)
        values = errors * random.normal(size=errors.shape)
        values[0] += random.choice([-1.0, 1.0])
        found.append(replace(each, values=values, errors=errors))
    profile = written(tmp_path / "i.parquet", layout, found).totals.profile()
    by_size = profile["mean_abs_shap"][0] / profile["mean_abs_shap"].sum()
    assert by_size < 0.5 + 0.3 * (players < 12)
    assert profile["share"][0] > 0.93
    assert profile["mean_square_shap"].min() == 0


def test_an_explainer_that_does_not_add_up_is_seen(tmp_path):
    layout = layout_of()
    found = fakes(3, len(layout.players), 2)
    broken = replace(found[1], values=found[1].values + 0.5)
    writer = written(tmp_path / "i.parquet", layout, [found[0], broken, found[2]])
    assert writer.totals.gap == pytest.approx(0.5 * len(layout.players))


@settings(max_examples=20)
@given(st.integers(1, 9), st.integers(1, 9))
def test_the_bytes_do_not_depend_on_how_windows_come(tmp_path_factory, one, other):
    folder = tmp_path_factory.mktemp("bytes")
    layout = layout_of()
    before = importance_writer.ROWS
    importance_writer.ROWS = 3 * 2 * len(layout.players)
    try:
        found = fakes(9, len(layout.players), 2)
        for name, chunk in (("one", one), ("other", other)):
            written(folder / name, layout, found, chunk=chunk)
    finally:
        importance_writer.ROWS = before
    assert (folder / "one").read_bytes() == (folder / "other").read_bytes()


def test_a_failure_on_the_way_leaves_what_was_there(tmp_path):
    layout = layout_of()
    path = tmp_path / "i.parquet"
    path.write_bytes(b"the last good one")
    found = fakes(2, len(layout.players), 2)
    found[1] = None  # what comes after the first window fails
    with pytest.raises(AttributeError):
        written(path, layout, found, chunk=1)
    assert path.read_bytes() == b"the last good one"
    assert [p.name for p in tmp_path.iterdir()] == ["i.parquet"]


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(WriteError) as failed:
        written(tmp_path / "none" / "i.parquet", layout_of(), [])
    assert failed.value.code == "file-not-writable"


def test_no_window_makes_an_empty_table_with_all_columns(tmp_path):
    writer = written(tmp_path / "i.parquet", layout_of(), [])
    rows = pl.read_parquet(tmp_path / "i.parquet")
    assert rows.columns == [*COLUMNS, *PATHS]
    assert rows.height == writer.forecasts().height == 0
    assert writer.totals.profile()["share"].sum() == 0


def test_ids_that_are_numbers_stay_numbers(tmp_path):
    layout = layout_of()
    layout = replace(layout, panel=replace(layout.panel, ids=pl.Series([7, 8, 9])))
    written(tmp_path / "i.parquet", layout, fakes(3, len(layout.players), 2))
    assert pl.read_parquet(tmp_path / "i.parquet")["id"].unique().sort().to_list() == [7, 8, 9]


def test_ids_called_as_a_path_keep_their_column(tmp_path):
    layout = layout_of()
    layout = replace(layout, panel=replace(layout.panel, schema=replace(layout.panel.schema, id="location")))
    written(tmp_path / "i.parquet", layout, fakes(3, len(layout.players), 2))
    rows = pl.read_parquet(tmp_path / "i.parquet")
    assert rows.columns == ["location", *COLUMNS[1:], "shap_location", *PATHS[1:]]
    assert rows["location"].unique().sort().to_list() == ["s0", "s1", "s2"]


def test_history_is_what_the_series_had_up_to_each_cutoff():
    panel = make_panel([np.arange(10.0), np.array([5.0, np.nan, 7.0])])
    history = history_table(panel, np.array([0, 1]), np.array([8, 2]), 4)
    assert history.rows() == [
        ("s0", 5, 5.0),
        ("s0", 6, 6.0),
        ("s0", 7, 7.0),
        ("s0", 8, 8.0),
        ("s1", 0, 5.0),
        ("s1", 1, None),
        ("s1", 2, 7.0),
    ]
