"""Covariates in words: from a table to codes beside the numbers."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsx.model.categories import NO_WORD, OTHER, pooled_words, vocabulary_of, word_codes, words_at_once
from tsx.panel.panel import BETWEEN, Panel
from tsx.panel.reading import read_panel
from tsx.panel.words import words_at
from tsx.spec.channels import Channels
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading

SCHEMA = Schema("day", "sales", "shop", past_words=("event",), future_words=("promo",))


def read(rows: dict[str, list[Any]], schema: Schema = SCHEMA, **reading: Any) -> Panel:
    return read_panel(pl.DataFrame(rows).lazy(), schema, reading=Reading(**reading)).panel


def texts(panel: Panel, k: int) -> list[str | None]:
    """What stands in each row of the panel in its k-th channel of words."""
    return [None if code < 0 else panel.words[k][int(code)] for code in panel.codes[:, k]]


def table(shops: int, steps: int = 4) -> dict[str, list[Any]]:
    return {
        "shop": [f"s{n}" for n in range(shops) for _ in range(steps)],
        "day": list(range(steps)) * shops,
        "sales": [float(n + t) for n in range(shops) for t in range(steps)],
    }


def test_words_stand_beside_the_numbers_and_an_empty_cell_is_no_word() -> None:
    rows = table(2) | {"event": ["a", None, "", " b "] * 2, "promo": ["x"] * 8}
    panel = read(rows)
    assert panel.values.shape == (8, 1)
    assert panel.schema.channels == ("sales",)
    assert texts(panel, 0) == ["a", None, None, "b"] * 2
    assert texts(panel, 1) == ["x"] * 8


def test_words_that_mean_missing_are_none() -> None:
    rows = table(1) | {"event": ["a", "None", "none", "b"], "promo": ["x"] * 4}
    assert texts(read(rows, missing=("none",)), 0) == ["a", None, None, "b"]


def test_past_words_after_the_last_target_are_not_read_and_known_future_ones_are() -> None:
    rows = table(1) | {"event": ["a", "b", "c", "d"], "promo": ["w", "x", "y", "z"]}
    rows["sales"] = [1.0, 2.0, None, None]
    panel = read(rows)
    assert texts(panel, 0) == ["a", "b", None, None]
    assert texts(panel, 1) == ["w", "x", "y", "z"]


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.sampled_from("abc")), min_size=3), st.randoms())
def test_rows_of_one_time_that_differ_only_in_words_stand_together_in_whatever_order_they_come(
    events: list[tuple[int, int, str]], random: Any
) -> None:
    events = [*events, *((0, t, "a") for t in range(6))]
    random.shuffle(events)
    rows = {"shop": [f"s{n}" for n, _, _ in events], "day": [t for _, t, _ in events], "event": [w for *_, w in events]}
    rows |= {"sales": [float(10 * n + t) for n, t, _ in events]}
    panel = read(rows, Schema("day", "sales", "shop", past_words=("event",)))
    for n, shop in enumerate(panel.ids):
        for t in range(int(panel.lengths[n])):
            day = panel.starts[n] + t
            expected = {w for m, d, w in events if f"s{m}" == shop and d == day}
            got = texts(panel, 0)[panel.offsets[n] + t]
            assert set(got.split(BETWEEN) if got else []) == expected


def test_a_number_that_differs_between_rows_of_one_time_is_still_an_error() -> None:
    rows = {"shop": ["s"] * 3, "day": [0, 0, 1], "sales": [1.0, 2.0, 3.0], "event": ["a", "b", "c"]}
    with pytest.raises(Exception, match="repeat") as raised:
        read(rows, Schema("day", "sales", "shop", past_words=("event",)))
    assert raised.value.code == "duplicate-rows"  # type: ignore[attr-defined]


def test_events_at_irregular_times_are_brought_together_by_step() -> None:
    minutes = [0, 1, 7, 61, 63, 130, 180, 181, 200, 250]
    times = [dt.datetime(2020, 1, 1) + dt.timedelta(minutes=m, seconds=17 * m % 60) for m in minutes]
    rows = {"shop": ["s"] * 10 + ["t"] * 10, "day": times * 2, "event": list("abcdefghij") * 2}
    rows |= {"outcome": ["no"] * 10 + ["yes"] * 10}
    panel = read(rows, Schema("day", id="shop", past_words=("event",), label="outcome"))
    held = [set(cell.split(BETWEEN)) for cell in texts(panel, 0) if cell]
    assert set.union(*held) == set("abcdefghij")
    assert max(map(len, held)) > 1


@pytest.mark.parametrize(("sharing", "known"), [(10, False), (11, True)])
def test_a_word_is_known_where_eleven_series_share_it_however_often_others_repeat_it(sharing: int, known: bool) -> None:
    rows = table(20) | {"event": [None] * 80, "promo": ["x"] * 80}
    for n in range(sharing):
        rows["event"][4 * n] = "flu"
    rows["event"][76:80] = ["mine"] * 4
    panel = read(rows)
    vocabulary = vocabulary_of(panel, series_embedding=False)
    assert vocabulary["event"] == (("flu",) if known else ())
    assert vocabulary["promo"] == ("x",)
    channels = Channels.of(panel.schema, vocabulary)
    pooled = pooled_words(panel, channels)["event"]
    assert (pooled.words, pooled.times, pooled.of) == ((1, 4, 4 + sharing) if known else (2, 4 + sharing, 4 + sharing))


def test_in_a_private_model_words_are_known_only_of_the_columns_that_are_named() -> None:
    panel = read(table(20) | {"event": ["flu"] * 80, "promo": ["x"] * 80})
    assert vocabulary_of(panel, False, kept=("promo",)) == {"event": (), "promo": ("x",)}


def test_of_few_series_no_word_is_written_and_those_that_come_often_are_still_told_apart() -> None:
    rows = table(2, 40) | {
        "event": (["flu"] * 12 + ["cold"] * 12 + ["gout"] * 3 + [None] * 13) * 2,
        "promo": ["x"] * 80,
    }
    panel = read(rows)
    vocabulary = vocabulary_of(panel, series_embedding=False)
    assert len(vocabulary["event"]) == 2
    assert not {"flu", "cold", "gout"} & set("".join(vocabulary["event"]).split(":"))
    assert all(entry.startswith("place:") for entry in vocabulary["event"])
    channels = Channels.of(panel.schema, vocabulary)
    codes = word_codes(panel, channels, words_at_once(panel, channels))[:40, 0]
    assert len({*codes[:12]}) == len({*codes[12:24]}) == 1
    assert codes[0] != codes[12]
    assert codes[0] > OTHER < codes[12]
    assert (codes[27:] == NO_WORD).all()


def test_codes_hold_each_word_of_a_time_once_the_known_ones_first() -> None:
    rows = {"shop": [], "day": [], "sales": [], "event": []}  # type: ignore[var-annotated]
    for n in range(12):
        for word in ("b", "a", "b", f"rare {n}", f"odd {n}") if n < 11 else ("a",):
            rows = {name: [*rows[name], value] for name, value in zip(rows, (f"s{n:02}", 0, 1.0, word), strict=True)}
        rows = {name: [*rows[name], value] for name, value in zip(rows, (f"s{n:02}", 1, 2.0, None), strict=True)}
    panel = read(rows, Schema("day", "sales", "shop", past_words=("event",)))
    channels = Channels.of(panel.schema, vocabulary_of(panel, series_embedding=False))
    assert words_at_once(panel, channels) == (3,)
    codes = word_codes(panel, channels, (3,))
    known = channels.words[0].vocabulary
    assert sorted(known) == ["a", "b"]
    assert codes[0].tolist() == [1, 2, OTHER]
    assert codes[-2].tolist() == [1 + known.index("a"), NO_WORD, NO_WORD]
    assert (codes[1::2] == NO_WORD).all()


def test_there_is_no_word_outside_of_a_series() -> None:
    panel = read(table(2) | {"event": list("abcdefgh"), "promo": ["x"] * 8})
    found = words_at(panel, 0, np.array([0, 1]), np.array([[-1, 0, 3, 4], [-1, 0, 3, 4]]))
    assert [[None if c < 0 else panel.words[0][int(c)] for c in row] for row in found] == [
        [None, "a", "d", None],
        [None, "e", "h", None],
    ]
