"""Groups of series side by side: means, their errors over series, and tests of a difference."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import polars as pl
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from tests.processes import make_panel
from tsx.errors import ConfigError, DataError
from tsx.explanation.cohorts import (
    Cohorts,
    CohortSums,
    cohort_sentences,
    cohorts_from_panel,
    cohorts_from_table,
    holm,
    kruskal,
    smallest_p,
)
from tsx.explanation.shap.importance_writer import RowLayout
from tsx.explanation.shap.players import players_of
from tsx.spec.channels import Channels
from tsx.spec.network import NetworkConfig
from tsx.spec.schema import Schema
from tsx.spec.settings import Question

CONFIG = NetworkConfig(2, 3, 1, 1, channels=Channels.of(Schema("t", "y", "id", past=("x",))))


def layout_of(series: int, **asked) -> RowLayout:
    panel = make_panel([np.zeros((5, 2)) for _ in range(series)], past=("x",))
    question = Question(**asked)
    return RowLayout(panel, CONFIG, players_of(CONFIG, question), question, np.zeros(1))


def summed(labels, series, values, layout, order=None, chunk=5):
    """The sums over windows of `series` (W) with SHAP values (W, O, P), which come in some order and in chunks."""
    cohorts = Cohorts.of(pl.Series("ward", labels), series)
    sums = CohortSums(cohorts, layout)
    order = np.arange(len(series)) if order is None else order
    for begin in range(0, len(series), chunk):
        part = order[begin : begin + chunk]
        sums.add(series[part], values[part], np.zeros_like(values[part]))
    return cohorts, sums


def test_means_and_errors_are_those_over_series_by_hand():
    layout = layout_of(5)
    series = np.array([0, 0, 0, 1, 2, 2, 3, 4])
    values = np.random.default_rng(0).normal(size=(8, 2, len(layout.players))) + series[:, None, None]
    _, sums = summed(["a", "a", "a", "b", None], series, values, layout)
    table = sums.table()
    assert table["cohort"].unique(maintain_order=True).to_list() == ["a", "b"]
    for cohort, members in (("a", [0, 1, 2]), ("b", [3])):
        rows = table.filter(pl.col("cohort") == cohort)
        mine = np.isin(series, members)
        assert rows["windows"].unique().to_list() == [mine.sum()]
        assert rows["series"].unique().to_list() == [len(members)]
        for name, each in (("mean_abs_shap", np.abs(values)), ("mean_shap", values)):
            means = each.mean(1)
            mean = means[mine].mean(0)
            np.testing.assert_allclose(rows[name], mean, rtol=1e-10)
            if len(members) == 1:
                assert rows[f"{name}_se"].null_count() == len(layout.players)
                continue
            residuals = np.stack([(means[series == n] - mean).sum(0) for n in members])
            error = np.sqrt(np.square(residuals).sum(0) * 3 / 2) / mine.sum()
            np.testing.assert_allclose(rows[f"{name}_se"], error, rtol=1e-8)
        assert rows["share"].sum() == pytest.approx(1)
    assert table.columns == [
        "cohort",
        "feature",
        "lag",
        "windows",
        "series",
        "mean_abs_shap",
        "mean_abs_shap_se",
        "mean_shap",
        "mean_shap_se",
        "share",
    ]


def test_errors_hold_where_windows_of_a_series_resemble_each_other():
    """A series' windows share its level: errors that took them for independent would be a third as large."""
    layout, random = layout_of(30), np.random.default_rng(1)
    series = np.repeat(np.arange(30), 10)
    means, errors = [], []
    for _ in range(100):
        values = random.normal(size=30)[series, None, None] + 0.3 * random.normal(size=(300, 2, len(layout.players)))
        table = summed(["a"] * 30, series, values, layout, chunk=300)[1].table()
        means.append(table["mean_shap"].to_numpy())
        errors.append(table["mean_shap_se"].to_numpy())
    assert 0.8 < np.sqrt(np.square(errors).mean()) / np.std(means, axis=0).mean() < 1.2


@given(st.integers(0, 1000), st.integers(1, 9))
def test_the_order_and_the_chunks_of_windows_do_not_matter(seed, chunk):
    layout, random = layout_of(6), np.random.default_rng(seed)
    series = random.integers(0, 6, 25)
    values = random.normal(size=(25, 2, len(layout.players)))
    labels = ["a", "b", "a", None, "b", "c"]
    plain, mixed = (
        summed(labels, series, values, layout, order, size)[1]
        for order, size in ((None, 25), (random.permutation(25), chunk))
    )
    one, other = plain.table(), mixed.table()
    assert one.select("cohort", "feature", "lag", "windows", "series").equals(
        other.select("cohort", "feature", "lag", "windows", "series")
    )
    for name in ("mean_abs_shap", "mean_abs_shap_se", "mean_shap", "mean_shap_se", "share"):
        np.testing.assert_allclose(one[name].cast(float), other[name].cast(float), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(plain.tests()["statistic"].cast(float), mixed.tests()["statistic"].cast(float))


def test_a_feature_that_matters_in_one_ward_alone_is_found_and_the_other_is_not():
    layout, random = layout_of(24), np.random.default_rng(2)
    series = np.repeat(np.arange(24), 3)
    values = random.normal(size=(72, 2, len(layout.players)))
    x = np.array([name == "x" for name in layout.players.feature])
    values[:, :, x] *= np.where(series < 12, 4.0, 1.0)[:, None, None]
    cohorts, sums = summed(["icu"] * 12 + ["er"] * 12, series, values, layout)
    tests = sums.tests()
    assert tests.columns == ["feature", "cohorts", "statistic", "p_value", "p_adjusted"]
    found = dict(tests.select("feature", "p_adjusted").iter_rows())
    assert found["x"] < 0.001
    assert found["y"] > 0.05
    said = " ".join(cohort_sentences(cohorts, sums.table(), tests))
    assert "the importance of x" in said
    assert "icu" not in said
    assert "y (" not in said


def test_the_statistic_is_that_of_scipy_with_ties_too():
    random = np.random.default_rng(3)
    means = random.integers(0, 5, (40, 3)).astype(float)
    codes = np.arange(40) % 3
    statistic, p_value = kruskal(means, codes, 3, random)
    for k in range(3):
        theirs = scipy.stats.kruskal(*(means[codes == c, k] for c in range(3)))
        assert statistic[k] == pytest.approx(theirs.statistic)
        assert p_value[k] == pytest.approx(theirs.pvalue, abs=0.03)
    many = random.normal(size=(600, 1))
    statistic, p_value = kruskal(many, np.arange(600) % 2, 2, random)
    assert p_value[0] == pytest.approx(scipy.stats.kruskal(many[::2, 0], many[1::2, 0]).pvalue)


def test_with_few_series_the_p_value_is_that_of_all_permutations():
    means = np.array([[5.0], [6.0], [9.0], [1.0], [2.0], [7.0], [3.0]])
    codes = np.array([0, 0, 0, 1, 1, 1, 1])
    ranks = scipy.stats.rankdata(means[:, 0])
    sums = [abs(ranks[list(chosen)].mean() - 4) for chosen in combinations(range(7), 3)]
    exact = np.mean(np.array(sums) >= sums[0] - 1e-9)
    assert kruskal(means, codes, 2, np.random.default_rng(0))[1][0] == pytest.approx(exact, abs=0.02)


def test_cohorts_that_do_not_differ_are_told_apart_as_rarely_as_promised():
    noise = np.random.default_rng(4).normal(size=(9, 400))
    p_values = kruskal(noise, np.arange(9) % 3, 3, np.random.default_rng(0))[1]
    assert 0.02 < (p_values <= 0.05).mean() < 0.08
    assert (p_values > 0).all()


def test_importance_that_never_varies_differs_nowhere():
    statistic, p_value = kruskal(np.ones((6, 1)), np.arange(6) % 2, 2, np.random.default_rng(0))
    assert (statistic[0], p_value[0]) == (0.0, 1.0)


def test_p_values_are_adjusted_after_holm():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.9, 0.8])), [1.0, 1.0])


@pytest.mark.parametrize(("labels", "said"), [(["a"] * 3, "All explained"), ([None] * 3, "None of")])
def test_a_single_cohort_is_not_tested(labels, said):
    layout = layout_of(3)
    values = np.random.default_rng(0).normal(size=(3, 2, len(layout.players)))
    labels = pl.Series("ward", labels, dtype=pl.String)
    cohorts = Cohorts.of(labels, np.arange(3))
    sums = CohortSums(cohorts, layout)
    sums.add(np.arange(3), values, np.zeros_like(values))
    tests = sums.tests()
    assert tests["p_value"].null_count() == tests["p_adjusted"].null_count() == tests.height == 2
    assert cohort_sentences(cohorts, sums.table(), tests)[0].startswith(said)


def test_players_of_all_features_are_tested_together():
    layout = layout_of(4, players="lag")
    values = np.random.default_rng(0).normal(size=(4, 2, len(layout.players)))
    tests = summed(["a", "a", "b", "b"], np.arange(4), values, layout)[1].tests()
    assert tests["feature"].to_list() == [None]
    assert tests["p_value"][0] > 0.05


def test_numbers_are_cohorts_as_they_are_where_few_and_quarters_where_many():
    few = Cohorts.of(pl.Series("beds", [10.0, 20.0, 10.0, None]), np.arange(4))
    assert few.labels == ("10", "20")
    assert few.codes.tolist() == [0, 1, 0, -1]
    assert [f.code for f in few.findings] == ["cohort-missing"]
    assert few.findings[0].message.startswith("1 of 4 explained series")
    many = Cohorts.of(pl.Series("beds", np.arange(100.0)), np.arange(100))
    assert len(many.labels) == 4
    assert np.bincount(many.codes).tolist() == [25, 25, 25, 25]
    assert many.labels[0] == "up to 24.75"
    skewed = Cohorts.of(pl.Series("beds", [*[0.0] * 60, *np.arange(1.0, 41.0)]), np.arange(100))
    assert np.bincount(skewed.codes).tolist() == [60, 15, 25]


def test_only_explained_series_make_cohorts():
    cohorts = Cohorts.of(pl.Series("ward", ["a", "b", "c", "a"]), np.array([0, 0, 3]))
    assert cohorts.labels == ("a",)
    assert cohorts.codes.tolist() == [0, -1, -1, 0]
    assert cohorts.windows.tolist() == [2, 0, 0, 1]


def test_more_cohorts_than_anybody_compares_are_an_error():
    with pytest.raises(ConfigError) as failed:
        Cohorts.of(pl.Series("ward", [f"ward {n}" for n in range(51)]), np.arange(51))
    assert failed.value.code == "too-many-cohorts"
    assert "51" in failed.value.message
    assert "ward 3" not in failed.value.message


def test_a_static_covariate_is_taken_by_its_name():
    panel = make_panel([np.zeros(5)] * 3)
    panel = replace(
        panel,
        schema=replace(panel.schema, static=("ward", "beds", "age")),
        static_values=np.array([[1.0, 30], [np.nan, 40], [3.0, 50]], np.float32),
        static_labels=pl.DataFrame({"ward": ["a", None, "b"]}),
    )
    assert cohorts_from_panel(panel, "ward").to_list() == ["a", None, "b"]
    assert cohorts_from_panel(panel, "beds").to_list() == [1.0, None, 3.0]
    assert cohorts_from_panel(panel, "age").to_list() == [30.0, 40.0, 50.0]
    with pytest.raises(ConfigError) as failed:
        cohorts_from_panel(panel, "site")
    assert failed.value.code == "column-not-found"
    assert "'beds'" in failed.value.message


def test_a_table_brings_cohorts_by_id_whatever_its_order_and_type():
    frame = pl.DataFrame({"id": [3, 1, 3, 9], "site": ["b", "a", "b", "c"], "other": [1, 2, 3, 4]})
    found = cohorts_from_table(frame, "site", pl.DataFrame({"id": ["1", "2", "3"]}))
    assert found.name == "site"
    assert found.to_list() == ["a", None, "b"]


@pytest.mark.parametrize(
    ("frame", "code", "where"),
    [
        ({"id": ["s0", "s1"]}, "column-not-found", "by"),
        ({"site": ["a"]}, "column-not-found", "by"),
        ({"id": ["s0", "s0", "s1"], "site": ["secret", "hidden", "secret"]}, "cohort-ambiguous", "site"),
        ({"id": ["t0", "t1"], "site": ["secret", "hidden"]}, "cohorts-unmatched", "id"),
        ({"id": ["s0"], "site": [None]}, "cohorts-unmatched", "id"),
    ],
)
def test_a_table_that_does_not_say_the_cohorts_is_an_error_without_a_value(frame, code, where):
    with pytest.raises((ConfigError, DataError)) as failed:
        cohorts_from_table(pl.DataFrame(frame, strict=False), "site", pl.DataFrame({"id": ["s0", "s1"]}))
    assert (failed.value.code, failed.value.where) == (code, where)
    said = failed.value.message + failed.value.hint
    assert not any(value in said for value in ("secret", "hidden", "s0", "t0"))


@pytest.mark.parametrize(("sizes", "p"), [([3, 3], 0.1), ([2, 4], 1 / 15), ([2, 2, 2], 1 / 15), ([5000, 9000], 0.0)])
def test_the_smallest_p_value_there_could_be_counts_the_arrangements(sizes, p):
    assert smallest_p(sizes) == pytest.approx(p)
