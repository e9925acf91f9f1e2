"""The error grids at points that the papers' figures and tables fix."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsx.evaluation import clinical


def zones(points, grid):
    frame = pl.DataFrame(points, schema={"y": pl.Float64, "yhat": pl.Float64}, orient="row")
    return frame.select(grid.alias("zone"))["zone"].to_list()


@pytest.mark.parametrize(
    ("y", "yhat", "zone"),
    [
        (100, 100, "A"),
        (100, 119, "A"),
        (100, 121, "B"),
        (100, 79, "B"),
        (60, 30, "A"),
        (69, 69, "A"),
        (300, 241, "A"),
        (300, 239, "B"),
        (50, 75, "D"),
        (65, 100, "D"),
        (65, 175, "D"),
        (65, 181, "E"),
        (50, 200, "E"),
        (200, 60, "E"),
        (180, 70, "E"),
        (250, 100, "D"),
        (250, 175, "D"),
        (250, 185, "B"),
        (239, 100, "B"),
        (100, 215, "C"),
        (100, 205, "B"),
        (160, 40, "C"),
        (160, 45, "B"),
        (150, 30, "B"),
        (150, 27, "C"),
    ],
)
def test_points_lie_in_the_zones_of_clarkes_figure(y, yhat, zone):
    assert zones([(y, yhat)], clinical.clarke()) == [zone]


CORNERS = [
    *[("B", "over", corner) for corner in ((0, 50), (30, 50), (140, 170), (280, 380), (430, 550))],
    *[("C", "over", corner) for corner in ((0, 60), (30, 60), (50, 80), (70, 110), (260, 550))],
    *[("D", "over", corner) for corner in ((0, 100), (25, 100), (50, 125), (80, 215), (125, 550))],
    *[("E", "over", corner) for corner in ((0, 150), (35, 155), (50, 550))],
    *[("B", "under", corner) for corner in ((50, 30), (170, 145), (385, 300), (550, 450))],
    *[("C", "under", corner) for corner in ((120, 30), (260, 130), (550, 250))],
    *[("D", "under", corner) for corner in ((250, 40), (550, 150))],
]


@pytest.mark.parametrize(("zone", "side", "corner"), CORNERS)
def test_the_published_corners_of_the_parkes_grid_part_two_zones(zone, side, corner):
    y, x = corner
    milder = "ABCDE"["ABCDE".index(zone) - 1]
    step = 0.5 if side == "over" else -0.5
    right = 0.01 if side == "under" else 0.0  # a lower line begins with a vertical piece
    assert zones([(y + right, x + step), (y + right, x - step)], clinical.parkes()) == [zone, milder]


def test_between_corners_the_lines_are_straight_and_beyond_they_go_on():
    middle = (140 + 280) / 2, (170 + 380) / 2
    beyond = 700, 380 + (700 - 280) * (550 - 380) / (430 - 280)
    for y, x in (middle, beyond):
        assert zones([(y, x + 1), (y, x - 1)], clinical.parkes()) == ["B", "A"]


@pytest.mark.parametrize(("first", "right", "x"), [(50, "B", 10), (120, "C", 10), (250, "D", 10)])
def test_left_of_a_lower_zone_lies_the_milder_one(first, right, x):
    found = zones([(first - 1, x), (first + 1, x)], clinical.parkes())
    assert found[1] == right
    assert found[0] == "ABCDE"["ABCDE".index(right) - 1]


@given(st.floats(10, 600), st.floats(10, 600))
def test_every_point_has_one_zone_and_the_diagonal_is_harmless(y, yhat):
    for grid in (clinical.clarke(), clinical.parkes()):
        assert zones([(y, yhat)], grid)[0] in "ABCDE"
        assert zones([(y, y)], grid) == ["A"]


def frame_of(y, yhat):
    return pl.DataFrame({"model": ["lstm"] * len(y), "y": y, "yhat": yhat}, schema_overrides={"y": pl.Float64})


def test_shares_add_up_and_rows_without_a_value_are_left_out():
    [clarke, parkes] = clinical.clinical_zones(frame_of([100.0, 100, 50, None], [100.0, 130, 75, 90]), "mg/dl")
    assert (clarke["grid"], clarke["n"], clarke["A"], clarke["B"], clarke["D"]) == (
        "clarke",
        3,
        *[pytest.approx(1 / 3)] * 3,
    )
    assert sum(parkes[zone] for zone in "ABCDE") == pytest.approx(1)


def test_mmol_is_the_same_glucose_in_other_numbers():
    y, yhat = [100.0, 60, 250, 300, 40], [130.0, 100, 90, 200, 200]
    low = [v / clinical.MG_PER_MMOL for v in y], [v / clinical.MG_PER_MMOL for v in yhat]
    assert clinical.clinical_zones(frame_of(*low), "mmol/l") == clinical.clinical_zones(frame_of(y, yhat), "mg/dl")


def test_nothing_scored_has_no_shares():
    [clarke, _] = clinical.clinical_zones(frame_of([None], [1.0]), "mg/dl")
    assert (clarke["n"], clarke["A"]) == (0, None)


@pytest.mark.parametrize(
    ("values", "unit", "doubtful"),
    [
        ([100.0, 180.0], "mg/dl", False),
        ([100.0, 180.0], "mmol/l", True),
        ([5.5, 8.0], "mmol/l", False),
        ([5.5, 8.0], "mg/dl", True),
        ([None], "mg/dl", False),
    ],
)
def test_values_that_are_no_glucose_in_the_unit_are_doubtful(values, unit, doubtful):
    assert clinical.doubtful_unit(frame_of(values, [1.0] * len(values)), unit) is doubtful
