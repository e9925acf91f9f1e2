"""Which share a series belongs to."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsx.panel.shares import of_share, shares_of
from tsx.spec.shares import Share

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
NAMES = st.lists(TEXTS, min_size=1, max_size=40)


@given(names=NAMES, of=st.integers(1, 9), data=st.data())
def test_the_share_of_a_series_depends_on_its_id_alone(names, of, data):
    ids = pl.Series(names)
    shares = dict(zip(names, shares_of(ids, of), strict=True))
    shuffled = data.draw(st.permutations([*names, *names]))
    assert [int(share) for share in shares_of(pl.Series(shuffled), of)] == [int(shares[name]) for name in shuffled]
    assert set(map(int, shares.values())) <= set(range(of))


@given(names=NAMES, of=st.integers(1, 9))
def test_the_shares_of_a_table_are_its_rows_each_once_and_in_order(names, of):
    rows = pl.LazyFrame({"id": names, "row": range(len(names))})
    parts = [of_share(rows, ["id"], Share(k + 1, of)).collect() for k in range(of)]
    assert all(part["row"].is_sorted() for part in parts)
    assert sorted(row for part in parts for row in part["row"]) == list(range(len(names)))
    assert sum(part["id"].n_unique() for part in parts) == len(set(names))


@given(pairs=st.lists(st.tuples(TEXTS, st.integers(0, 3)), min_size=1, max_size=30), of=st.integers(1, 9))
def test_an_id_of_several_columns_is_one_id(pairs, of):
    rows = pl.LazyFrame(pairs, schema={"store": pl.String, "item": pl.Int64}, orient="row")
    parts = [of_share(rows, ["store", "item"], Share(k + 1, of)).collect() for k in range(of)]
    assert sum(part.height for part in parts) == len(pairs)
    assert sum(part.unique().height for part in parts) == len(set(pairs))


def test_a_number_and_its_text_are_in_the_same_share():
    numbers = pl.Series(range(200))
    assert (shares_of(numbers, 7) == shares_of(numbers.cast(pl.String), 7)).all()


def test_shares_of_many_series_are_about_alike():
    counts = pl.Series(shares_of(pl.Series(range(70_000)), 7)).value_counts()["count"]
    assert counts.min() > 9_600
    assert counts.max() < 10_400


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/2"])
def test_what_is_no_share_is_said_so(text):
    with pytest.raises(ValueError, match="share"):
        Share.parse(text)
