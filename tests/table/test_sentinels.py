"""Codes for missing values are told from values: none is eaten, none that is plain is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsx.panel.panel import Panel
from tsx.panel.reading import read_panel
from tsx.spec.decision import Decision, Finding
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading
from tsx.table.sentinels import is_code

SIZE = 2000


def read(values: Any, **more: Any) -> tuple[Panel, Reading, dict[str, Decision], list[Finding]]:
    columns = values if isinstance(values, dict) else {"y": values}
    length = len(next(iter(columns.values())))
    schema = Schema("ds", "y", more.pop("id", None), past=tuple(name for name in columns if name not in ("y", "k")))
    frame = pl.DataFrame({"ds": np.arange(length), **columns})
    read = read_panel(frame.lazy(), schema, **more)
    suspected = [finding for finding in read.panel.findings if finding.code == "sentinel-suspected"]
    return read.panel, read.reading, {decision.name: decision for decision in read.decisions}, suspected


def plain(seed: int) -> dict[str, np.ndarray]:
    """Values of many kinds, none of which means: missing."""
    random = np.random.default_rng(seed)
    return {
        "normal": random.normal(0, 1, SIZE),
        "rounded": random.normal(0, 300, SIZE).round(),
        "temperatures": random.normal(5, 12, SIZE).round(1),
        "returns": 0.01 * random.standard_t(2, SIZE),
        "cauchy": (100 * random.standard_cauchy(SIZE)).round(),
        "counts with -1": random.poisson(3, SIZE) - 1.0,
        "lognormal": np.exp(random.normal(3, 2, SIZE)).round(),
        "pareto": random.pareto(0.7, SIZE).round(),
        "all whole numbers": random.integers(-999, 1000, SIZE).astype(float),
        "up to 999": random.integers(0, 1000, SIZE).astype(float),
        "a counter that stops at 999": np.minimum(np.exp(random.normal(6, 1, SIZE)).round(), 999),
        "a counter that stops at 9999": np.minimum(np.exp(random.normal(8, 1.5, SIZE)).round(), 9999),
        "a gauge that stops at -99": np.maximum(random.normal(0, 80, SIZE).round(), -99),
        "16 bits": np.clip(random.normal(0, 20000, SIZE).round(), -32768, 32767),
        "five levels": random.choice([-200.0, -100, 0, 100, 200], SIZE),
        "fees": random.choice([0, 50, 100, -200.0, 300], SIZE),
        "a subscription": random.choice([10, -99.0, 500, 2000], SIZE),
        "on and off": random.choice([0, 999.0], SIZE),
        "mostly -999": np.where(random.random(SIZE) < 0.7, -999.0, random.normal(0, 1, SIZE)),
        "constant": np.full(SIZE, -99.0),
    }


@pytest.mark.parametrize("name", list(plain(0)))
def test_values_that_mean_themselves_are_kept(name: str) -> None:
    for seed in range(3):
        panel, reading, decisions, _ = read(plain(seed)[name])
        assert reading.found_missing == ()
        assert "missing" not in decisions
        assert not np.isnan(panel.values).any()


@given(
    st.integers(0, 10**6), st.floats(-500, 500), st.floats(0, 400), st.sampled_from([0, 1, None]), st.integers(100, 400)
)
def test_no_ordinary_distribution_loses_values(
    seed: int, level: float, spread: float, digits: int | None, size: int
) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(level, spread, size)
    values = values if digits is None else values.round(digits)
    assert read(values)[1].found_missing == ()


CODED = [
    (-999.0, "temperatures", "-999"),
    (-9999.0, "temperatures", "-9999"),
    (-99.9, "returns", "-99.9"),
    (-99.0, "returns", "-99"),
    (999.9, "counts with -1", "999.9"),
    (1e20, "normal", "1e+20"),
    (9.969209968386869e36, "normal", "9.969209968386869e+36"),
    (-32768.0, "temperatures", "-32768"),
    (2147483647.0, "rounded", "2147483647"),
    (-999.0, "lognormal", "-999"),
]


@pytest.mark.parametrize(("code", "among", "written"), CODED)
def test_a_code_that_stands_apart_is_missing_and_said(code: float, among: str, written: str) -> None:
    values = plain(1)[among].copy()
    values[10::50] = code
    panel, reading, decisions, suspected = read(values)
    assert reading.found_missing == (written,)
    assert float(reading.found_missing[0]) == code
    assert decisions["missing"].value == [written]
    assert decisions["missing"].reason.startswith("40 of 2,000 values of 'y' are exactly")
    assert suspected == []
    assert np.flatnonzero(np.isnan(panel.values[:, 0])).tolist() == list(range(10, SIZE, 50))
    same, _, _, _ = read(np.where(values == code, np.nan, values))
    np.testing.assert_array_equal(panel.values, same.values)
    np.testing.assert_array_equal(panel.centers, same.centers)


def test_concentrations_of_an_air_sensor_lose_their_minus_200() -> None:
    random = np.random.default_rng(2)
    values = np.clip(random.gamma(2, 120, SIZE).round(), 2, 1479)
    values[random.random(SIZE) < 0.15] = -200
    assert read(values)[1].found_missing == ("-200",)


def test_codes_at_both_ends_do_not_hide_each_other() -> None:
    values = plain(3)["temperatures"].copy()
    values[::70], values[1::70] = -9999, 9999
    assert read(values)[1].found_missing == ("-9999", "9999")


def test_a_lone_or_doubtful_code_is_kept_and_reported_with_the_flag() -> None:
    values = plain(4)["temperatures"].copy()
    values[700] = -999
    panel, reading, _, suspected = read(values)
    assert reading.found_missing == ()
    assert panel.values[700, 0] + panel.centers[0, 0] == pytest.approx(-999)
    assert [(one.where, one.message) for one in suspected] == [
        (
            "y",
            "1 value of 'y' is exactly -999, which often means that nothing was observed; if so, add --missing -999",
        )
    ]


@pytest.mark.parametrize(("code", "count"), [(999.0, 3), (999.0, 40), (9999.0, 5), (32767.0, 3), (65535.0, 5)])
def test_a_number_far_above_prices_or_counts_is_kept_and_reported(code: float, count: int) -> None:
    random = np.random.default_rng(8)
    prices = random.choice([9.99, 19.99, 29.99], SIZE)
    counts = random.integers(1, 50, SIZE).astype(float)
    for values in (prices, counts):
        values[:: SIZE // count][:count] = code
        _, _, decisions, suspected = read(values)
        assert "missing" not in decisions
        assert [finding.where for finding in suspected] == ["y"]
        assert f"--missing {code:g}" in suspected[0].message


@pytest.mark.parametrize("code", [9999.0, 32767.0, 65535.0])
def test_a_code_far_above_all_others_that_comes_often_is_used(code: float) -> None:
    values = plain(9)["temperatures"].copy()
    values[::50] = code
    assert read(values)[2]["missing"].value == [f"{code:g}"]


@pytest.mark.parametrize("code", [-99.0, -999.0])
def test_a_single_negative_code_among_positive_values_is_kept_and_reported(code: float) -> None:
    for values in (np.random.default_rng(10).integers(1, 50, SIZE).astype(float), np.exp(plain(10)["normal"]) * 5000):
        values[77] = code
        _, _, decisions, suspected = read(values)
        assert "missing" not in decisions
        assert [finding.where for finding in suspected] == ["y"]


def test_a_code_that_is_a_plain_value_elsewhere_is_only_reported() -> None:
    random = np.random.default_rng(5)
    coded = plain(5)["temperatures"].copy()
    coded[::50] = -999
    columns = {"y": random.integers(-2000, 2000, SIZE).astype(float), "x": coded}
    columns["y"][3] = -999.0
    _, reading, _, suspected = read(columns)
    assert reading.found_missing == ()
    assert [finding.where for finding in suspected] == ["x"]


def test_a_series_that_stands_at_a_number_keeps_it() -> None:
    random = np.random.default_rng(6)
    small = pl.DataFrame({"k": "a", "ds": np.arange(300), "y": random.normal(10, 1, 300)})
    level = pl.DataFrame({"k": "b", "ds": np.arange(100), "y": np.full(100, 9999.0)})
    read = read_panel(pl.concat([small, level]).lazy(), Schema("ds", "y", "k"))
    assert read.reading.found_missing == ()
    assert read.panel.centers[1, 0] == 9999
    assert "missing" not in {decision.name for decision in read.decisions}


def test_what_was_asked_for_stays_in_the_reading() -> None:
    values = plain(7)["temperatures"].copy()
    values[::50] = -999
    reading = read(values, reading=Reading(missing=("x",)))[1]
    assert (reading.missing, reading.found_missing) == (("x",), ("-999",))


@pytest.mark.parametrize("number", [-999.0, -9999.0, -99.0, -99.9, -999.99, 999.0, 99999.0, -200.0, 1e20, 1e36, -1e30])
def test_numbers_that_tools_write_for_missing_are_codes(number: float) -> None:
    assert is_code(number)


@pytest.mark.parametrize("number", [0.0, -1.0, -9.0, 99.0, 9.9, -100.0, 200.0, -998.0, 1e10, 2e20, None, np.inf])
def test_other_numbers_are_not(number: float | None) -> None:
    assert not is_code(number)
