"""What text cells hold: every way to write a number comes back as that number, and what is none is counted."""

from __future__ import annotations

import math
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsx.errors import DataError
from tsx.io.raw_table import RawTable
from tsx.spec.decision import Finding
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading, Roles
from tsx.table.tidy import Table, check_cells, tidy

NONE_NAMED, PLAIN = Roles(), Reading()
SCHEMA = Schema("ds", "y")


def read(cells: list[str | None], roles: Roles = NONE_NAMED, reading: Reading = PLAIN, **more: Any) -> Table:
    """A table of text: plain times and the cells as column y."""
    columns = {"ds": [str(2000 + n) for n in range(len(cells))], "y": cells, **more}
    return tidy(RawTable(pl.LazyFrame(columns).cast(pl.String), "table.csv"), roles, reading)


def numbers(cells: list[str | None], **named: Any) -> list[Any]:
    """The cells as numbers, verified over all rows."""
    table = read(cells, **named)
    check_cells(table, SCHEMA)
    return table.rows.collect()["y"].to_list()


def refused(code: str, cells: list[str | None], **named: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        numbers(cells, **named)
    error = caught.value
    assert error.code == code
    assert "secret" not in f"{error.message}{error.hint}{error.where}"
    return error


def grouped(digits: str, mark: str) -> str:
    head = len(digits) % 3 or 3
    return mark.join([digits[:head], *(digits[n : n + 3] for n in range(head, len(digits), 3))])


@st.composite
def writings(draw: st.DrawFn) -> tuple[list[float], list[str], str]:
    """Numbers, and how a country writes them; one cell shows the decimal mark."""
    decimal, thousands = draw(
        st.sampled_from(
            [
                (".", ","),
                (".", ""),
                (",", "."),
                (",", " "),
                (",", "\u202f"),
                (".", "'"),
                (",", "\u00a0"),
                (".", " "),
                (",", ""),
            ]
        )
    )
    minus = draw(st.sampled_from(["-", "\u2212", "()"]))
    plus = draw(st.sampled_from(["", "+"]))
    whole = st.integers(-(10**9), 10**9)
    pairs = draw(st.lists(st.tuples(whole, st.integers(0, 99)), min_size=1, max_size=20))
    values, texts = [0.25], [f"0{decimal}25"]
    for number, cents in pairs:
        text = f"{grouped(str(abs(number)), thousands)}{decimal}{cents:02}"
        value = abs(number) + cents / 100
        if number < 0:
            text, value = (f"({text})" if minus == "()" else minus + text), -value
        else:
            text = plus + text
        values.append(value)
        texts.append(text)
    return values, texts, decimal


@given(writings())
def test_a_number_written_in_any_country_comes_back(written: tuple[list[float], list[str], str]) -> None:
    values, texts, decimal = written
    table = read(texts)
    assert check_cells(table, SCHEMA) == ()
    assert table.rows.collect()["y"].to_list() == pytest.approx(values)
    assert table.reading.decimal == decimal
    assert [decision.value for decision in table.decisions if decision.name == "decimal"] == [","] * (decimal == ",")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_a_number_as_programs_write_it_comes_back_to_the_bit(values: list[float]) -> None:
    assert numbers([repr(value) for value in [0.5, *values]]) == [0.5, *values]


@pytest.mark.parametrize(
    ("cell", "value"),
    [("1e3", 1000.0), ("-2.5E-3", -0.0025), ("5.", 5.0), (".5", 0.5), ("+7", 7.0), ("12,34,567", 1234567.0)],
)
def test_other_usual_writings_are_numbers(cell: str, value: float) -> None:
    assert numbers([cell, "0.5"]) == [value, 0.5]


def test_infinity_is_a_number_and_left_to_be_refused_with_its_place() -> None:
    assert numbers(["1.5", "inf", "-Infinity"]) == [1.5, math.inf, -math.inf]


def test_whole_numbers_stay_whole() -> None:
    table = read(["1", "2", "NA"])
    assert table.rows.collect_schema()["y"] == pl.Int64


@pytest.mark.parametrize("word", ["NA", "n/a", "NaN", "null", "-", "--", ".", "?", "#N/A", "missing", "None", " na "])
def test_words_for_missing_are_missing_and_counted(word: str) -> None:
    table = read(["1.5", word, word, None, "2.5"])
    (finding,) = check_cells(table, SCHEMA)
    assert finding == Finding(
        "missing-words", "2 of 5 cells of column 'y' hold a word or number that means missing", "y", count=2
    )
    assert [value if value == value else None for value in table.rows.collect()["y"]] == [1.5, None, None, None, 2.5]


def test_words_and_numbers_of_the_users_own_mean_missing() -> None:
    reading = Reading(missing=("LOW", "-999"))
    assert numbers(["1.5", "low", "-999", "-999.0", "2"], reading=reading) == [1.5, None, None, None, 2]


def test_words_of_the_users_own_mean_missing_in_static_texts_and_the_usual_ones_stay() -> None:
    roles, reading = Roles(id=("id",), static=("region",)), Reading(missing=("nowhere",))
    rows = read(["1", "2", "3"], roles, reading, id=["a", "nowhere", "c"], region=["NA", "Nowhere", "x"]).rows.collect()
    assert rows["region"].to_list() == ["NA", None, "x"]
    assert rows["id"].to_list() == ["a", "nowhere", "c"]


def test_numbers_that_mean_missing_are_so_in_typed_columns_too_but_not_in_the_time_or_an_id() -> None:
    frame = pl.LazyFrame({"t": [1, 2, 3], "id": [2, 2, 2], "y": [1.5, 2.0, 3.0]})
    table = tidy(RawTable(frame, "frame"), Roles(), Reading(missing=("2",)))
    assert table.rows.collect().to_dict(as_series=False) == {"t": [1, 2, 3], "id": [2, 2, 2], "y": [1.5, None, 3.0]}
    (finding,) = check_cells(table, Schema("t", "y", "id"))
    assert finding.message.startswith("1 of 3 cells")


def test_a_few_cells_that_are_no_numbers_are_counted_and_placed() -> None:
    cells: list[str | None] = [str(n) for n in range(100)]
    cells[4], cells[49] = "secret LOW", "<40"
    error = refused("cells-not-numbers", cells)
    assert error.message == "2 of 100 cells of column 'y' are no numbers (first rows 5, 50)"
    assert "--missing" in error.hint
    assert error.values == "secret LOW, <40"


def test_cells_of_a_column_that_is_not_used_are_nobodys_business() -> None:
    table = read(["1", "2"] * 50, note=["1"] * 99 + ["secret"])
    assert check_cells(table, SCHEMA) == ()


def test_the_decimal_mark_is_asked_for_where_no_cell_shows_it() -> None:
    error = refused("decimal-ambiguous", ["1,234", "5,678"])
    assert "2 of 2 cells" in error.message
    assert "--decimal" in error.hint
    assert numbers(["1,234", "5,678"], reading=Reading(decimal=".")) == [1234, 5678]
    assert numbers(["1,234", "5,678"], reading=Reading(decimal=",")) == [1.234, 5.678]


def test_the_decimal_mark_is_one_for_the_whole_table() -> None:
    table = read(["1,234", "5,678"], x=["0,5", "1.234,75"])
    check_cells(table, SCHEMA)
    assert table.rows.collect()["y"].to_list() == [1.234, 5.678]
    assert table.reading.decimal == ","


def test_an_ambiguous_column_that_is_not_used_stops_nothing() -> None:
    assert check_cells(read(["1", "2"], x=["1,234", "5,678"]), SCHEMA) == ()


def test_points_before_three_digits_beside_small_whole_numbers_are_asked_about() -> None:
    refused("decimal-ambiguous", ["1.234", "987"])
    assert numbers(["1.234", "1.107"]) == [1.234, 1.107]
    assert numbers(["1.234", "98765"]) == [1.234, 98765]


def test_a_mark_beyond_the_sample_still_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tsx.table.text_values.SAMPLE_ROWS", (2, 5))
    assert numbers(["1,234"] * 20 + ["0,5"])[0] == 1.234
    assert numbers(["1,234"] * 20 + ["1,234.5"])[0] == 1234
    refused("decimal-ambiguous", ["1,234"] * 20)
    refused("cells-not-numbers", ["1.5"] * 20 + ["secret"])
    assert numbers(["1"] * 20 + ["1,234.5"])[-1] == 1234.5


def test_a_sign_that_every_cell_carries_is_left_out_and_said() -> None:
    table = read(["12 %", "7.5%", "-3%"])
    assert [finding.code for finding in check_cells(table, SCHEMA)] == ["unit-left-out"]
    assert table.rows.collect()["y"].to_list() == [12, 7.5, -3]
    assert numbers(["$1,234.50", "$0.25"]) == [1234.5, 0.25]
    refused("cells-not-numbers", ["12%"] * 19 + ["0.12"])


def test_a_unit_in_words_is_no_number() -> None:
    refused("cells-not-numbers", ["5"] * 30 + ["12 mg/dL secret"])


@pytest.mark.parametrize(
    "words", [("true", "FALSE"), ("yes", "no"), ("T", "f"), ("Y", "N"), ("ja", "Nein"), ("Oui", "non"), ("sí", "no")]
)
def test_yes_and_no_are_read(words: tuple[str, str]) -> None:
    table = read(["1", "2", "3"], open=[*words, "NA"])
    assert table.rows.collect()["open"].to_list() == [True, False, None]


def test_ids_keep_their_text() -> None:
    rows = read(
        ["1", "2", "3"], id=["007", "NA", "1e3"], shop_id=["1", "2", "3"], zone=["01", "02", "03"]
    ).rows.collect()
    assert rows["id"].to_list() == ["007", "NA", "1e3"]
    assert rows["shop_id"].to_list() == ["1", "2", "3"]
    assert rows["zone"].to_list() == ["01", "02", "03"]
    named = read(["1", "2", "3"], Roles(id=("who",)), who=["1", "2", "3"]).rows.collect()
    assert named["who"].to_list() == ["1", "2", "3"]


def test_whole_numbers_as_text_among_typed_columns_are_names() -> None:
    frame = pl.LazyFrame({"t": [1, 2], "who": ["1", "2"], "y": [1.0, 2.0], "x": ["1.5", "2"]})
    types = tidy(RawTable(frame, "frame"), Roles(), Reading()).rows.collect_schema()
    assert types == {"t": pl.Int64, "who": pl.String, "y": pl.Float64, "x": pl.Float64}
    named = tidy(RawTable(frame, "frame"), Roles(past=("who",)), Reading()).rows.collect_schema()
    assert named["who"] == pl.Int64


@pytest.mark.parametrize("marked", ["1.234", "1,234"])
def test_the_order_of_the_rows_does_not_decide_the_decimal_mark(marked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tsx.table.text_values.SAMPLE_ROWS", (20, 20))
    column: list[str | None] = ["987"] * 30 + [marked] * 30
    for order in (column, column[::-1]):
        refused("decimal-ambiguous", order)
    sure = ",5" if marked == "1.234" else ".5"
    for order in ([*column, f"0{sure}"], [f"0{sure}", *column[::-1]]):
        assert 1234.0 in numbers(order)


def test_three_decimals_everywhere_are_said_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tsx.table.text_values.SAMPLE_ROWS", (20, 20))
    column: list[str | None] = [None] * 40 + ["1.234", "2.345"] * 20
    said = [[decision.reason for decision in read(order).decisions] for order in (column, column[::-1])]
    assert said[0] == said[1]
    assert "three digits after its point" in said[0][0]


@pytest.mark.parametrize(
    ("cells", "kept"), [(["1", "2", "30"], None), (["1.5", "2"], "."), (["1,5", "2"], ","), (["1.084", "1.107"], ".")]
)
def test_the_decimal_mark_is_kept_only_where_a_cell_shows_one(cells: list[str | None], kept: str | None) -> None:
    assert read(cells).reading.decimal == kept
    assert read(cells, reading=Reading(decimal=kept or ",")).reading.decimal == (kept or ",")


def test_a_column_that_begins_after_the_sample_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tsx.table.text_values.SAMPLE_ROWS", (20, 20))
    begins: list[str | None] = [None] * 40 + ["NA", "1,5", "12"]
    assert numbers(begins, roles=Roles(target=("y",)))[-3:] == [None, 1.5, 12.0]
    assert numbers(begins)[-3:] == [None, 1.5, 12.0]
    late = read(["1"] * 43, note=[*begins[:-3], "a", "b", "c"], never=[None] * 43)
    assert late.rows.collect()["note"].to_list()[-3:] == ["a", "b", "c"]
