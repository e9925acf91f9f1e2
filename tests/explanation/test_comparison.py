"""Two explanations side by side: what moved beyond sampling noise, and reports that cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsx.errors import DataError, NotFound
from tsx.explanation.comparison import compare, read_report, report_of

LAGS, STEPS = 12, 3
FADING = np.exp(-np.arange(2 * LAGS) / 4)
ASKED = {"explain": "yhat", "players": "cell", "group": None, "value": "marginal", "level": "follow"}


def explained(weights=FADING, *, windows=24, seed=0, keep=0.8, **summary) -> SimpleNamespace:
    """An explanation whose SHAP values are these weights times a window's own normal draws, with sampling noise."""
    random = np.random.default_rng(seed)
    values = weights * random.normal(size=(windows, 1, len(weights))) + 0.02 * random.normal(
        size=(windows, STEPS, len(weights))
    )
    rows = windows * STEPS
    importance = pl.DataFrame(
        {
            "ward": pl.Series(np.repeat(np.arange(windows), STEPS * len(weights)) % 4).cast(pl.String),
            "cutoff": np.repeat(np.arange(windows), STEPS * len(weights)),
            "step": np.tile(np.repeat(np.arange(1, STEPS + 1), len(weights)), windows),
            "feature": np.tile(np.where(np.arange(len(weights)) % 2, "x", "y"), rows),
            "lag": np.tile(np.arange(len(weights)) // 2 + 1, rows),
            "shap": values.ravel(),
            "shap_se": 0.02,
        }
    )
    profile = importance.group_by("feature", "lag", maintain_order=True).agg(
        mean_abs_shap=pl.col("shap").abs().mean(),
        mean_square_shap=(pl.col("shap") ** 2 - pl.col("shap_se") ** 2).mean().clip(lower_bound=0),
    )
    lags = np.arange(1, LAGS + 1)
    return SimpleNamespace(
        summary=lambda: {"target": "y", "frequency": "1h", "question": ASKED, **summary},
        lag_profile=profile,
        importance=importance.lazy(),
        retention=pl.DataFrame({"layer": 0, "lag": lags, "mean": keep**lags, "written": None}),
        memory_units=pl.DataFrame({"layer": [0, 0], "unit": [0, 1], "time_constant": [2.0, None]}),
    )


def written(explanation, folder, without=()):
    folder.mkdir(exist_ok=True)
    (folder / "explanation.json").write_text(json.dumps(explanation.summary()))
    tables = {
        "lag_profile": explanation.lag_profile,
        "lag_importance": explanation.importance.collect(),
        "retention": explanation.retention,
        "memory_units": explanation.memory_units,
    }
    for name, table in tables.items():
        if name not in without:
            table.write_parquet(folder / f"{name}.parquet")
    return folder


def drift(before, after) -> float:
    return compare(report_of(before), report_of(after)).drift


def row(comparison, measure) -> dict:
    return comparison.table.row(by_predicate=pl.col("measure") == measure, named=True)


def test_sampling_noise_alone_is_no_drift():
    drifts = [drift(explained(seed=seed), explained(seed=100 + seed)) for seed in range(20)]
    assert np.mean(drifts) < 0.01
    assert max(drifts) < 0.05


def test_the_smallest_drift_covers_what_chance_does_and_shrinks_with_more_windows():
    pairs = [(explained(seed=seed), explained(seed=100 + seed)) for seed in range(20)]
    smallest = [compare(report_of(before), report_of(after)).smallest for before, after in pairs]
    apart = []
    for pair in pairs:
        shares = [report_of(one).features.sort("feature")["share"] for one in pair]
        apart.append(float((shares[0] - shares[1]).abs().sum()) / 2)
    assert sum(a <= s for a, s in zip(apart, smallest, strict=True)) >= 18
    more = compare(report_of(explained(windows=96)), report_of(explained(windows=96, seed=1))).smallest
    assert more == pytest.approx(np.mean(smallest) / 2, rel=0.5)
    assert compare(report_of(explained(windows=1)), report_of(explained(windows=1, seed=1))).smallest is None


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.floats(0, 3), st.integers(0, 2 * LAGS - 1))
def test_drift_lies_between_none_and_the_distance_of_the_profiles_whichever_comes_first(seed, added, player):
    weights = FADING.copy()
    weights[player] += added
    before, after = explained(seed=seed), explained(weights, seed=seed + 1)
    shares = [
        (e.lag_profile["mean_square_shap"] / e.lag_profile["mean_square_shap"].sum()).to_numpy()
        for e in (before, after)
    ]
    found = drift(before, after)
    assert 0 <= found <= np.abs(shares[0] - shares[1]).sum() / 2 + 1e-12
    assert drift(after, before) == pytest.approx(found)
    assert drift(before, before) == 0


def test_importance_that_moved_is_drift_and_is_named():
    comparison = compare(report_of(explained()), report_of(explained(FADING[::-1].copy(), seed=1)))
    assert comparison.drift > 0.5
    assert comparison.table.columns == ["measure", "before", "after", "drift", "note"]
    assert "the strongest input was y at lag 1 and is x at lag 12" in comparison.sentence
    gone = row(comparison, "share of y at lag 1")
    assert gone["before"] > 0.1 > gone["after"]
    assert gone["drift"] > 0.05
    assert row(comparison, "rank correlation of the profiles")["after"] < -0.8
    assert row(comparison, "strongest 10 in common")["after"] == 0
    assert row(comparison, "profile over features and lags")["drift"] == comparison.drift


@pytest.mark.parametrize("state", ["none", "not shown"])
def test_no_strongest_input_is_named_of_a_model_that_is_not_shown_to_know_anything(state):
    before, after = explained(), explained(seed=1, knowledge={"state": state})
    for pair in ((before, after), (after, before)):
        assert "strongest input" not in compare(*map(report_of, pair)).sentence
    assert "strongest input" in compare(report_of(before), report_of(explained(knowledge={"state": "shown"}))).sentence


def test_a_feature_that_gained_a_little_at_every_lag_drifts_as_a_whole():
    even = np.ones(2 * LAGS)
    raised = np.where(np.arange(2 * LAGS) % 2, 1.5, 1.0)
    comparison = compare(report_of(explained(even, windows=40)), report_of(explained(raised, windows=40, seed=1)))
    assert row(comparison, "share of x")["drift"] > 0.04
    assert comparison.drift == row(comparison, "profile over features")["drift"]
    assert comparison.drift > row(comparison, "profile over features and lags")["drift"]


def test_memory_skill_and_verdicts_are_compared():
    check = {"name": "deletion", "figure": 0.6, "verdict": "pass"}
    new = {"name": "manifold", "figure": 1.0, "verdict": "pass"}
    before = explained(checks=[check], skill={"skill": 0.2})
    after = explained(keep=0.95, checks=[check | {"figure": 0.05, "verdict": "fail"}, new], skill={"skill": None})
    comparison = compare(report_of(before), report_of(after))
    assert comparison.drift == 0
    half = row(comparison, "half retention")
    assert (half["before"], half["after"], half["note"]) == (4, 12, "after beyond the context")
    # both curves are still above 5 % at the end
    assert "memory span" not in comparison.sentence
    shorter = compare(report_of(explained(keep=0.7)), report_of(after))
    assert "memory span was lag 9 and is beyond lag 12." in shorter.sentence
    assert row(comparison, "retention")["drift"] > 0.2
    assert row(comparison, "median time constant")["after"] == 2
    assert row(comparison, "skill")["before"] == 0.2
    assert row(comparison, "check deletion")["note"] == "pass, now fail"
    assert row(comparison, "check manifold")["note"] == "not made, now pass"
    assert "deletion (pass, now fail)" in comparison.sentence


def test_players_of_one_report_only_have_no_share_in_the_other():
    before, after = explained(), explained()
    longer = explained(np.exp(-np.arange(2 * LAGS + 6) / 4))
    assert drift(before, longer) < 0.05
    after.lag_profile = after.lag_profile.with_columns(feature=pl.lit("z"))
    after.importance = after.importance.with_columns(feature=pl.lit("z"))
    assert drift(before, after) > 0.9


def test_players_without_feature_or_lag_are_matched():
    def lags_only(explanation):
        for name in ("lag_profile", "importance"):
            table = getattr(explanation, name)
            setattr(
                explanation, name, table.filter(pl.col("feature") == "y").with_columns(feature=pl.lit(None, pl.String))
            )
        return explanation

    comparison = compare(report_of(lags_only(explained())), report_of(lags_only(explained(seed=1))))
    assert comparison.drift < 0.05
    assert "all features at lag 1" in comparison.sentence


def test_without_standard_errors_noise_counts_and_the_table_says_so(tmp_path):
    one, other = (explained(windows=1, seed=seed) for seed in range(2))
    comparison = compare(report_of(one), report_of(other))
    assert comparison.drift > 0.1
    assert "sampling noise included" in comparison.sentence
    assert row(comparison, "profile over features")["note"] == "sampling noise counted"
    # where one report has them, its errors stand in for the other's
    bare = read_report(written(explained(), tmp_path / "bare", without=["lag_importance", "retention", "memory_units"]))
    assert compare(bare, report_of(explained(seed=1))).drift < 0.05


def test_a_report_reads_back_as_it_was_from_its_folder_or_its_document(tmp_path):
    before, after = explained(), explained(FADING[::-1].copy(), seed=1)
    folder = written(before, tmp_path / "report")
    expected = compare(report_of(before), report_of(after))
    for path in (folder, str(folder), folder / "explanation.json"):
        found = compare(read_report(path), report_of(after))
        assert found.table.equals(expected.table)
        assert found.sentence == expected.sentence


def test_a_report_of_0_1_0_is_compared_by_the_shares_that_it_has_and_that_is_said(tmp_path):
    old, new = explained(), explained(FADING[::-1].copy(), seed=1)
    old.lag_profile = old.lag_profile.drop("mean_square_shap")
    before = read_report(written(old, tmp_path / "report"))
    comparison = compare(before, report_of(new, before.size))
    assert "Shares were defined otherwise in the earlier report" in comparison.sentence
    share = row(comparison, "share of y at lag 1")
    for when, explanation in (("before", old), ("after", new)):
        sizes = explanation.lag_profile["mean_abs_shap"]
        assert share[when] == pytest.approx(sizes[0] / sizes.sum())
    same = compare(report_of(explained()), report_of(new))
    assert "otherwise" not in same.sentence
    assert row(same, "share of y at lag 1")["before"] > share["before"]


@pytest.mark.parametrize("path", ["nowhere", "empty", "empty/explanation.json"])
def test_a_report_that_is_not_there_is_not_found(tmp_path, path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound) as failed:
        read_report(tmp_path / path)
    assert failed.value.code == "report-not-found"


def test_an_address_that_is_no_report_is_named_without_its_signature() -> None:
    with pytest.raises(NotFound) as failed:
        read_report(Path("https://user:hunter2@host/why?sig=hunter2"))
    assert "hunter2" not in str(vars(failed.value))
    assert "//host/why" in failed.value.message


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"target": 1, "frequency": "1h"}', "\xff", "[" * 100_000, "null"]
)
def test_a_damaged_or_foreign_document_is_unreadable(tmp_path, text):
    folder = written(explained(), tmp_path / "report")
    (folder / "explanation.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError) as failed:
        read_report(folder)
    assert failed.value.code == "report-unreadable"


def damage(table):
    return {
        "gone": lambda path: path.unlink(),
        "cut": lambda path: path.write_bytes(path.read_bytes()[:-20]),
        "text": lambda path: path.write_text("feature,lag\n"),
        "columns": lambda path: pl.DataFrame({"a": [1]}).write_parquet(path),
        "types": lambda path: table.with_columns(lag=pl.lit("secret")).write_parquet(path),
    }


@pytest.mark.parametrize("name", ["lag_profile", "lag_importance", "retention"])
@pytest.mark.parametrize("how", ["gone", "cut", "text", "columns", "types"])
def test_damaged_tables_are_unreadable_and_quote_nothing(tmp_path, name, how):
    folder = written(explained(), tmp_path / "report")
    path = folder / f"{name}.parquet"
    damage(pl.read_parquet(path))[how](path)
    if how == "gone" and name != "lag_profile":
        assert compare(read_report(folder), report_of(explained())).drift == 0
        return
    with pytest.raises(DataError) as failed:
        read_report(folder)
    assert failed.value.code == "report-unreadable"
    assert "secret" not in str(failed.value.to_dict())


@pytest.mark.parametrize(
    "other",
    [
        {"target": "z"},
        {"frequency": "1d"},
        {"question": ASKED | {"players": "lag"}},
        {"question": ASKED | {"explain": "q0.9"}},
    ],
)
def test_reports_of_different_things_are_not_compared(other):
    with pytest.raises(DataError) as failed:
        compare(report_of(explained(**other)), report_of(explained()))
    assert failed.value.code == "reports-differ"


@pytest.mark.parametrize("odd", [{"checks": 3}, {"checks": [1, {"name": 2}]}, {"skill": "much"}, {"verdict": []}])
def test_odd_entries_in_the_document_are_passed_over(odd):
    assert drift(explained(**odd), explained()) == 0


def test_a_report_from_before_questions_were_kept_is_compared():
    assert drift(explained(question=None), explained()) == 0
