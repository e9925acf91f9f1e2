"""How counts, lists, shares, lengths of time and values are written."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tsx.wording import (
    NOT_DEFINED,
    and_list,
    column_list,
    count,
    decimals,
    duration,
    fixed,
    json_value,
    number,
    percent,
    quantile_column,
    row_numbers,
    value_preview,
    verb,
)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (count(0, "row"), "0 rows"),
        (count(1, "row"), "1 row"),
        (count(3000, "row"), "3,000 rows"),
        (count(1, "series"), "1 series"),
        (count(2, "series"), "2 series"),
        (count(2, "category", "categories"), "2 categories"),
    ],
)
def test_a_count_and_its_noun_agree(words: str, expected: str) -> None:
    assert words == expected


def test_verbs_and_pronouns_agree_with_a_number() -> None:
    words = ("is", "has", "lies", "its", "repeats", "changes")
    assert [verb(1, word) for word in words] == list(words)
    assert [verb(2, word) for word in words] == ["are", "have", "lie", "their", "repeat", "change"]
    assert verb(0, "is") == "are"


def test_a_list_ends_in_and() -> None:
    assert [and_list(list("abc")[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]


@pytest.mark.parametrize("kind", [list, tuple, pl.Series, iter])
def test_a_preview_shows_the_first_values_and_how_many_more_there_are(kind: Any) -> None:
    assert value_preview(kind(["a", "b"])) == "'a', 'b'"
    assert value_preview(kind([str(n) for n in range(1234)])) == "'0', '1', '2', '3', '4' and 1,229 more"


def test_a_preview_shortens_long_values_and_shows_no_quote_as_an_end() -> None:
    assert value_preview(["x" * 100]) == f"'{'x' * 80}...'"
    assert value_preview(["it's"]) == '"it\'s"'
    assert column_list({f"c{n}": 0 for n in range(11)}).endswith("'c9' and 1 more")


def test_row_numbers_say_whether_there_are_more() -> None:
    assert row_numbers([1200], 1) == "row 1,200"
    assert row_numbers([7, 9], 2) == "rows 7, 9"
    assert row_numbers([7, 9], 30) == "first rows 7, 9"


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.0, "0 %"),
        (0.0001, "under 0.1 %"),
        (0.034, "3.4 %"),
        (0.05, "5 %"),
        (0.0996, "10 %"),
        (0.523, "52 %"),
        (0.984, "98 %"),
        (0.9899, "99 %"),
        (0.9963, "99.6 %"),
        (0.9999, "over 99.9 %"),
        (1.0, "100 %"),
        (12.0, "1,200 %"),
        (-0.25, "-25 %"),
        (float("nan"), NOT_DEFINED),
        (None, NOT_DEFINED),
    ],
)
def test_a_share_never_rounds_to_none_or_to_all(share: float | None, expected: str) -> None:
    assert percent(share) == expected


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (timedelta(minutes=5), "5 minutes"),
        (timedelta(minutes=255), "4 h 15 min"),
        (timedelta(minutes=60), "1 hour"),
        (timedelta(hours=36), "1 d 12 h"),
        (timedelta(days=1), "1 day"),
        (timedelta(days=12345), "12,345 days"),
        (timedelta(seconds=90), "1 min 30 s"),
        (timedelta(hours=23, minutes=59, seconds=59), "1 day"),
        (timedelta(days=2, hours=3, minutes=29), "2 d 3 h"),
        (timedelta(seconds=59, milliseconds=990), "1 minute"),
        (timedelta(seconds=34, milliseconds=5), "34 seconds"),
        (timedelta(milliseconds=1500), "1.5 seconds"),
        (timedelta(milliseconds=350), "350 milliseconds"),
        (timedelta(microseconds=7), "7 microseconds"),
        (timedelta(0), "0 microseconds"),
    ],
)
def test_a_length_of_time_takes_one_unit_where_it_is_even_and_two_otherwise(length: timedelta, expected: str) -> None:
    assert duration(length.total_seconds()) == expected


def test_quantiles_are_named_by_their_level() -> None:
    assert [quantile_column(level) for level in (0.025, 0.1, 0.5)] == ["q0.025", "q0.1", "q0.5"]


def test_every_value_of_a_result_becomes_json() -> None:
    value = {
        1: [np.float32("nan"), np.int64(3), np.bool_(True), float("inf"), 0.5],
        "times": (date(2024, 5, 31), datetime(2024, 5, 31, 8), timedelta(minutes=1)),
        "arrays": [np.arange(2.0), pl.Series([1, None]), {"b", "a"}],
        "path": Path("a"),
        "none": None,
    }
    assert json.loads(json.dumps(json_value(value), allow_nan=False)) == {
        "1": [None, 3, True, None, 0.5],
        "times": ["2024-05-31", "2024-05-31T08:00:00", 60.0],
        "arrays": [[0.0, 1.0], [1, None], ["a", "b"]],
        "path": "a",
        "none": None,
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (7, "7"),
        (12345, "12,345"),
        (0.61, "0.6100"),
        (9.99996, "10.00"),
        (123456.7, "123,457"),
        (3e-7, "3.000e-07"),
        (float("nan"), NOT_DEFINED),
        (None, NOT_DEFINED),
        (float("inf"), "∞"),
        (-2.5, "-2.500"),
    ],
)
def test_numbers_read_well(value, text):
    assert number(value) == text


def test_decimals_follow_the_width_of_what_is_to_be_told_apart():
    assert [decimals(w) for w in (1234.0, 50.0, 1.5, 0.02, 0.0)] == [0, 1, 2, 4, 2]


def test_a_fixed_number_has_no_minus_zero():
    values = (-0.001, -0.006, 1234.5, None, float("nan"))
    assert [fixed(v, 2) for v in values] == ["0.00", "-0.01", "1,234.50", NOT_DEFINED, NOT_DEFINED]
