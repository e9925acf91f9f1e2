"""Series as images: what is one, who plays in it, and where a SHAP value stands on its map."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import tsx
from tests.explanation.handmade_classes import classifier_of
from tsx.errors import UsageError
from tsx.explanation.classes.cells import MOST_PLAYERS, SeriesCells, affordable, in_patches
from tsx.explanation.classes.image import Image, image_of
from tsx.explanation.classes.result import ClassExplanation
from tsx.model.classifier import Classifier
from tsx.report.classes.charts import maps
from tsx.report.html import html_report
from tsx.spec.channels import Channel, Channels
from tsx.spec.decision import Decision
from tsx.spec.settings import Question

SIDE = 14
ROW, COLUMN = 3, 9
"""Of the pixel that is the label, from 0."""
WIDE = Question(reference="panel", players="cell")


def reading(names: list[str], unused: tuple[str, ...] = (), words: bool = False) -> Classifier:
    """A classifier of these columns over time, which left others of its table out."""
    made = classifier_of(2, 3)
    channels = [Channel(name, "past") for name in names]
    channels += [Channel("said", "past", "category", ("a", "b"))] if words else []
    network = made.network
    network.config = replace(network.config, channels=Channels(tuple(channels)), context_length=100)
    return replace(
        made, network=network, decisions=(Decision("unused_columns", list(unused), "the same in every row"),)
    )


def images_of_noise() -> pl.DataFrame:
    """Images of noise with a constant edge, whose label is whether one pixel is bright."""
    pixels = np.random.default_rng(0).uniform(size=(300, SIDE, SIDE)).round(3)
    pixels[:, :, [0, -1]] = 7.0
    bright = pixels[:, ROW, COLUMN] > 0.5
    pixels[bright, ROW, COLUMN] += 2
    return pl.DataFrame(
        {
            "image": np.repeat(np.arange(300), SIDE),
            "row": np.tile(np.arange(SIDE), 300),
            **{f"c{k}": pixels[:, :, k].ravel() for k in range(SIDE)},
            "bright": np.array(["no", "yes"])[bright.astype(int)].repeat(SIDE),
        }
    )


@pytest.fixture(scope="module")
def why(tmp_path_factory: pytest.TempPathFactory) -> ClassExplanation:
    folder = tmp_path_factory.mktemp("images")
    images_of_noise().write_parquet(folder / "images.parquet")
    tsx.fit(folder / "images.parquet", label="bright", model=folder / "model", max_steps=200, hidden_size=24)
    result: ClassExplanation = tsx.explain(model=folder / "model", windows=16, max_evals=1500)
    return result


def test_numbered_columns_of_equally_long_series_are_an_image_in_the_order_of_their_numbers() -> None:
    lengths = np.full(5, 11)
    found = image_of(reading([f"p{k}" for k in (11, 2, 3, 5, 6, 7, 8, 9, 10)], unused=("p1", "p4", "note 3")), lengths)
    assert found == Image(tuple(f"p{k}" for k in range(1, 12)), 11)


@pytest.mark.parametrize(
    ("classifier", "lengths"),
    [
        (reading([f"p{k}" for k in range(8)]), [8, 8, 7]),
        (reading([f"p{k}" for k in (0, 1, 2, 3, 5, 6)]), [8, 8]),
        (reading(["hr", "map", "rr", "spo2", "temp"]), [8, 8]),
        (reading([*(f"p{k}" for k in range(8)), "age"]), [8, 8]),
        (reading([*(f"p{k}" for k in range(6)), "q7"]), [8, 8]),
        (reading(["p0", "p1", "p2"]), [3, 3]),
        (reading([f"p{k}" for k in range(8)]), [40, 40]),
        (reading([f"p{k}" for k in range(8)], words=True), [8, 8]),
    ],
    ids=["lengths differ", "a gap", "names", "one without number", "two kinds", "small", "long and narrow", "words"],
)
def test_other_series_are_no_images(classifier: Classifier, lengths: list[int]) -> None:
    assert image_of(classifier, np.array(lengths)) is None


def test_patches_are_the_smallest_squares_that_few_enough_players_cover() -> None:
    assert in_patches(WIDE, 28, 28).group == 3
    for columns, steps in ((28, 28), (12, 30), (9, 15), (64, 64)):
        chosen = in_patches(WIDE, columns, steps)
        counts = {side: -(-columns // side) * -(-steps // side) for side in range(1, 65)}
        assert chosen.group == min(side for side, players in counts.items() if players <= MOST_PLAYERS)
    assert affordable(WIDE, 8, 8, named=False) is WIDE  # each pixel of an 8 x 8 image plays for itself


def test_every_cell_plays_in_the_patch_of_its_step_and_column() -> None:
    names = [f"p{k}" for k in (1, 2, 3, 5, 6)]  # p0 and p4 are not read
    cells = SeriesCells(reading(names).config, 7)
    question = replace(WIDE, players="patch", group=3)
    players = cells.players(question, np.array([7, 7]), [f"p{k}" for k in range(7)])
    together: dict[tuple[int, int], set[int]] = {}
    for (name, lag), player in zip(cells.keys[: 7 * 5], players.of_cell, strict=False):
        assert lag is not None
        together.setdefault(((lag - 1) // 3, int(str(name)[1:]) // 3), set()).add(int(player))
    assert all(len(each) == 1 for each in together.values())
    assert len(players) == len(together) == 9
    assert set(players.feature) == {"p0 to p2", "p3 to p5", "p6"}
    assert set(zip(players.lag, players.oldest, strict=True)) == {(1, 3), (4, 6), (7, 7)}


def test_an_image_of_many_pixels_is_played_in_patches_and_each_decision_has_its_reason(why: ClassExplanation) -> None:
    said = {each.name: each for each in why.decisions}
    assert (said["players"].value, said["group"].value) == ("patch", 2)
    assert "14 steps of 14 numbered columns" in said["players"].reason
    assert "168 inputs, too many" in said["players"].reason
    assert "2 lags of 2 columns" in said["group"].reason


def test_patches_of_what_is_no_image_are_said_to_be_of_columns_side_by_side(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    table = pl.DataFrame(
        {
            "stay": np.repeat(np.arange(40), 30),
            "hour": np.tile(np.arange(30), 40),
            **{name: random.normal(size=1200) for name in ("pulse", "pressure", "glucose", "lactate", "urine", "gcs")},
            "died": np.repeat(np.arange(40) % 2, 30),
        }
    )
    tsx.fit(table, label="died", id="stay", time="hour", max_steps=1, model=tmp_path / "model")
    why = tsx.explain(table, model=tmp_path / "model", players="patch", max_evals=200, windows=2)
    assert any(str(name).startswith("pulse to ") for name in why.lag_profile["feature"])
    (side,) = (each for each in why.decisions if each.name == "group")
    assert "without an image, neighbours are the columns side by side in the table" in side.reason


def test_the_map_has_every_row_and_column_and_its_peak_where_the_label_is_made(why: ClassExplanation) -> None:
    profile = why.tables["image_profile"]
    assert profile["column"].head(SIDE).to_list() == [f"c{k}" for k in range(SIDE)]
    assert profile["row"].unique().sort().to_list() == list(range(1, SIDE + 1))
    grid = profile["mean_abs_shap"].to_numpy().reshape(SIDE, SIDE)
    peak = np.zeros((SIDE, SIDE), dtype=bool)
    peak[ROW // 2 * 2 : ROW // 2 * 2 + 2, COLUMN // 2 * 2 : COLUMN // 2 * 2 + 2] = True
    assert grid[peak].min() > 3 * grid[~peak].max()
    assert (grid[:, [0, -1]] == 0).all()


def test_the_values_on_the_map_of_a_series_are_its_own_and_its_shap_values_add_up(why: ClassExplanation) -> None:
    images = why.tables["image"]
    table = images_of_noise().with_columns(pl.col("row") + 1)
    for (number, name), own in images.group_by("image", "class"):
        said = why.series.filter(pl.col("image") == number, pl.col("class") == name).row(0, named=True)
        assert said["base_value"] + own["shap"].sum() == pytest.approx(said["explained"], abs=1e-4)
        cells = table.filter(pl.col("image") == number).unpivot(
            [f"c{k}" for k in range(1, SIDE - 1)], index="row", variable_name="column", value_name="true"
        )
        both = own.join(cells, on=["row", "column"])
        assert both.height == SIDE * (SIDE - 2)
        np.testing.assert_allclose(both["value"], both["true"], atol=1e-5)
    assert (
        images.filter(pl.col("column").is_in(["c0", "c13"]))["value"].null_count()
        == images["image"].n_unique() * 2 * SIDE
    )


def test_steps_run_down_and_columns_across_and_constant_ones_are_shown_as_such(why: ClassExplanation) -> None:
    spec: dict[str, Any] = maps(why)[0].to_dict()
    assert all(
        layer["encoding"]["y"]["scale"]["reverse"] for layer in spec["layer"] if "scale" in layer["encoding"]["y"]
    )
    squares = [rows for rows in spec["datasets"].values() if "v" in rows[0]]
    assert len(squares) == 2
    for rows in squares:
        assert len(rows) == SIDE * (SIDE - 2)
        left = min(row["x"] for row in rows)
        assert {row["column"]: round(row["x"] - left) for row in rows} == {f"c{k}": k - 1 for k in range(1, SIDE - 1)}
    said = [row["said"] for rows in spec["datasets"].values() for row in rows if "said" in row]
    assert said == ["c0: constant, not read", "c13: constant, not read"] * 2
    page = html_report(why)
    assert "Steps run down, the columns c0 to c13 from left to right" in page
    assert "2 columns in grey are constant and not read" in page


def test_patches_are_refused_for_a_model_that_forecasts(tmp_path: Path) -> None:
    table = pl.DataFrame({"t": range(60), "y": np.sin(np.arange(60.0))})
    tsx.fit(table, target="y", horizon=1, max_steps=1, model=tmp_path / "model")
    with pytest.raises(UsageError) as refused:
        tsx.explain(model=tmp_path / "model", players="patch")
    assert refused.value.code == "flags-contradict"
    assert "--players group" in str(refused.value.hint)
