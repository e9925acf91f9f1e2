"""Fitting a classifier and classifying, from file to file: what is learnt, held out, refused and written."""

from __future__ import annotations

import json
import re
from html import unescape
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from rich.console import Console
from safetensors import safe_open

import tsx
from tests.stored import in_use
from tsx.cli.main import main
from tsx.errors import ConfigError, DataError, TsxError, UsageError
from tsx.report.classification import render_classifier_fit
from tsx.spec.metrics import class_figures
from tsx.store.catalog import list_versions
from tsx.store.classifier import load_classifier
from tsx.wording import NOT_DEFINED, number
from tsx.workflows.fit_classifier import ClassifierFit

QUICK: dict[str, Any] = {"max_steps": 60, "hidden_size": 8}


def stays(count: int = 60, seed: int = 0, outcomes: tuple[str, str] = ("home", "ward")) -> pl.DataFrame:
    """Stays of 6 to 12 hours; whose pulse rises ends in the ward. Every fifth pulse is missing."""
    random = np.random.default_rng(seed)
    tables = []
    for stay in range(count):
        hours = int(random.integers(6, 13))
        pulse = 80 + random.normal(0, 2, hours) + (stay % 2) * 2.0 * np.arange(hours)
        pulse[random.random(hours) < 0.2] = np.nan
        tables.append(
            pl.DataFrame(
                {
                    "stay": [f"s{stay:03}"] * hours,
                    "hour": np.arange(hours),
                    "pulse": pulse,
                    "noise": random.normal(size=hours),
                    "age": [40 + stay % 30] * hours,
                    "kind": [("old", "new")[stay % 3 == 0]] * hours,
                    "outcome": [outcomes[stay % 2]] * hours,
                }
            )
        )
    return pl.concat(tables).with_columns(pl.col("pulse").fill_nan(None))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[ClassifierFit, Path]:
    model = tmp_path_factory.mktemp("classifier") / "model"
    return tsx.fit(stays(), label="outcome", model=model, **QUICK), model


def test_roles_are_found_and_every_choice_has_its_reason(fitted: tuple[ClassifierFit, Path]) -> None:
    decided = {each.name: each for each in fitted[0].decisions}
    assert decided["id"].value == "stay"
    assert decided["time"].value == "hour"
    assert decided["past"].value == ["pulse", "noise"]
    assert decided["static"].value == ["age", "kind"]
    assert decided["time_since_observed"].value is True
    assert decided["held_out"].value == 60
    assert all(each.reason for each in fitted[0].decisions)


def test_columns_with_a_value_in_one_or_two_series_are_read_like_any_other(tmp_path: Path) -> None:
    rare = stays().with_columns(
        lab=pl.when(pl.col("stay") == "s005", pl.col("hour") < 3).then(pl.col("noise")),
        weight=pl.when(pl.col("stay").is_in(["s006", "s007"])).then(70.0 + pl.col("age")),
    )
    model = tmp_path / "model"
    fit = tsx.fit(rare, label="outcome", past=["pulse", "lab"], static=["weight"], model=model, **QUICK)
    assert fit.metrics.verdict is not None
    assert fit.metrics.verdict.has_skill
    said = tsx.classify(rare.drop("outcome"), model=model).frame
    assert said["p_ward"].is_between(0, 1).all()
    assert (said["outcome"] == rare.group_by("stay", maintain_order=True).first()["outcome"]).mean() > 0.9


def test_a_rising_pulse_is_learnt_and_the_verdict_says_so(fitted: tuple[ClassifierFit, Path]) -> None:
    evaluation = fitted[0].evaluation
    assert [row["model"] for row in evaluation.summary] == [
        "tsx",
        "lstm_network",
        "class_frequencies",
        "logistic_regression",
        "gradient_boosting",
    ]
    assert evaluation.verdict.has_skill
    assert float(evaluation.summary[0]["auroc"]) > 0.9  # type: ignore[arg-type]


def test_every_figure_stands_with_its_interval_in_the_terminal_the_page_and_the_card(
    fitted: tuple[ClassifierFit, Path],
) -> None:
    fit, model = fitted
    assert fit.evaluation is not None
    row = fit.evaluation.summary[0]
    card = next(model.rglob("card.md")).read_text("utf-8")
    for text in (_on_a_terminal(fit), fit._repr_html_(), card):
        for words, name in (
            ("macro F1", "macro_f1"),
            ("Brier score", "brier"),
            ("sensitivity for 'ward' at 90 % specificity", "sensitivity"),
            ("balanced accuracy", "balanced_accuracy"),
            ("calibration error (ECE)", "calibration_error"),
        ):
            value, low, high = (number(row[key], 3) for key in (name, f"{name}_low", f"{name}_high"))  # type: ignore[arg-type]
            (line,) = re.findall(rf"{re.escape(words)}.{{0,200}}", _as_read(text))
            assert re.match(rf"{re.escape(words)}[ |]+{value}[ |]+{low} to {high}", line)


def test_a_figure_that_is_not_defined_is_left_out() -> None:
    row = {"model": "tsx", "accuracy": 0.5, "accuracy_low": None, "accuracy_high": None, "sensitivity": None}
    assert class_figures(row) == [("accuracy", "0.500", NOT_DEFINED)]


def test_what_was_decided_for_a_classifier_stands_under_its_own_heading(fitted: tuple[ClassifierFit, Path]) -> None:
    shown = _on_a_terminal(fitted[0])
    assert "The classifier\n" in shown
    assert "forecast" not in shown.casefold()


def _as_read(text: str) -> str:
    """A terminal, a page or a card without its marks."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", text)).replace("\\", ""))


def _on_a_terminal(fit: ClassifierFit) -> str:
    file = StringIO()
    Console(file=file, width=100).print(render_classifier_fit(fit))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def test_later_series_get_a_class_under_the_users_names(fitted: tuple[ClassifierFit, Path]) -> None:
    later = stays(30, seed=5)
    result = tsx.classify(later.drop("outcome"), model=fitted[1])
    assert result.frame.columns == ["stay", "outcome", "p_home", "p_ward"]
    assert result.frame.height == 30
    sums = result.frame.select(pl.sum_horizontal("p_home", "p_ward")).to_series()
    assert sums.to_list() == pytest.approx([1.0] * 30)
    truth = later.group_by("stay").agg(pl.col("outcome").first().alias("truth"))
    assert result.frame.join(truth, on="stay").select((pl.col("outcome") == pl.col("truth")).mean()).item() > 0.85


def test_no_series_depends_on_the_others_or_on_the_order_of_the_rows(fitted: tuple[ClassifierFit, Path]) -> None:
    later = stays(20, seed=6).drop("outcome")
    whole = tsx.classify(later, model=fitted[1]).frame
    shuffled = tsx.classify(later.sample(fraction=1, shuffle=True, seed=1), model=fitted[1]).frame
    assert whole.equals(shuffled)
    alone = tsx.classify(later.filter(pl.col("stay") == "s004"), model=fitted[1]).frame
    assert whole.filter(pl.col("stay") == "s004").equals(alone)


def test_the_same_seed_gives_the_same_bytes(fitted: tuple[ClassifierFit, Path], tmp_path: Path) -> None:
    tsx.fit(stays(), label="outcome", model=tmp_path / "again", **QUICK)
    for name in ("model.safetensors", "manifest.json"):
        first, second = (folder / "versions/v1" / name for folder in (fitted[1], tmp_path / "again"))
        assert first.read_bytes() == second.read_bytes()


def test_rows_in_any_order_give_the_same_model(fitted: tuple[ClassifierFit, Path], tmp_path: Path) -> None:
    tsx.fit(stays().sample(fraction=1, shuffle=True, seed=3), label="outcome", model=tmp_path / "again", **QUICK)
    first, second = (load_classifier(model)[0].network.state_dict() for model in (fitted[1], tmp_path / "again"))
    assert all(bool((first[name] == second[name]).all()) for name in first)


def test_no_row_and_no_id_is_stored(fitted: tuple[ClassifierFit, Path]) -> None:
    written = b"".join(path.read_bytes() for path in (fitted[1] / "versions/v1").iterdir())
    assert b"s004" not in written
    card = (fitted[1] / "versions/v1/card.md").read_text()
    assert "LSTM classifier of `outcome`" in card
    assert fitted[0].evaluation.verdict.sentence in card
    assert "pipeline_tag: tabular-classification" in card
    assert "{type: auroc, " in card
    assert "### 2(b) Design" in card
    (version,) = list_versions(fitted[1])
    assert version.skill == fitted[0].evaluation.verdict.skill


def test_series_without_a_label_are_classified_and_not_learnt_from(tmp_path: Path) -> None:
    table = stays(40).with_columns(
        outcome=pl.when(~pl.col("stay").is_in(["s003", "s010"])).then("outcome"),
    )
    path = tmp_path / "stays.csv"
    table.write_csv(path)
    result = tsx.fit(path, label="outcome", model=tmp_path / "model", max_steps=10, hidden_size=4)
    assert [finding.code for finding in result.findings if "label" in finding.code] == ["series-without-label"]
    assert result.evaluation.series == 38
    assert tsx.classify(model=tmp_path / "model").frame["stay"].to_list() == ["s003", "s010"]
    assert tsx.classify(path, model=tmp_path / "model").frame.height == 40


@pytest.mark.parametrize(
    ("values", "dtype"),
    [((0, 1), pl.Int64), ((False, True), pl.Boolean), ((0.0, 1.0), pl.Int64), (("0", "1"), pl.String)],
)
def test_a_class_comes_back_as_the_column_held_it(values: tuple[Any, Any], dtype: pl.DataType, tmp_path: Path) -> None:
    table = stays(24).with_columns(outcome=pl.col("outcome").replace_strict({"home": values[0], "ward": values[1]}))
    tsx.fit(table, label="outcome", model=tmp_path / "model", max_steps=2, hidden_size=4)
    frame = tsx.classify(table.drop("outcome"), model=tmp_path / "model").frame
    assert frame.schema["outcome"] == dtype
    assert set(frame["outcome"].to_list()) <= {*values}


def test_series_of_one_patient_are_held_out_together(tmp_path: Path) -> None:
    # Without it, a patient's other stays give the label away, which follows from nothing else.
    random = np.random.default_rng(0)
    patients = random.integers(0, 2, 30)
    table = stays(120).with_columns(number=pl.col("stay").str.tail(3).cast(pl.Int64) // 4)
    table = table.with_columns(
        age=pl.col("number").replace_strict(dict(enumerate(random.normal(size=30).tolist()))),
        outcome=pl.col("number").replace_strict(dict(enumerate(patients.tolist()))),
    ).select("stay", "hour", "noise", "age", "number", "outcome")
    given = {"label": "outcome", "max_steps": 5, "hidden_size": 4}
    apart = tsx.fit(table, model=tmp_path / "a", keep_together="number", **given).evaluation.summary
    mixed = tsx.fit(table.drop("number"), model=tmp_path / "b", **given).evaluation.summary
    boosting = [next(row for row in rows if row["model"] == "gradient_boosting")["auroc"] for rows in (apart, mixed)]
    assert float(boosting[1]) > 0.8  # type: ignore[arg-type]
    assert float(boosting[0]) < 0.7  # type: ignore[arg-type]


def test_a_threshold_costs_and_abstaining_choose_what_is_said(fitted: tuple[ClassifierFit, Path]) -> None:
    later, model = stays(30, seed=7).drop("outcome"), fitted[1]
    p = tsx.classify(later, model=model).frame["p_ward"].to_numpy()
    low = tsx.classify(later, model=model, threshold=0.1).frame["outcome"].to_list()
    assert low == [("home", "ward")[int(value >= 0.1)] for value in p]
    assert tsx.classify(later, model=model, cost="fn=9,fp=1").frame["outcome"].to_list() == low
    strict = tsx.classify(later, model=model, abstain=0.001)
    assert strict.frame["outcome"].null_count() == 30
    assert "label-left-open" in [finding.code for finding in strict.findings]
    assert strict.frame["p_ward"].to_numpy() == pytest.approx(p)


def test_irregular_events_are_brought_to_steps_that_the_data_choose(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    table = stays(30).with_columns(hour=pl.col("hour") * 60 + pl.Series(random.integers(0, 59, stays(30).height)))
    table = table.rename({"hour": "minute"})
    result = tsx.fit(table, label="outcome", model=tmp_path / "model", max_steps=2, hidden_size=4)
    decided = {each.name: each for each in result.decisions}
    assert decided["regularize"].value == "mean"
    assert decided["freq"].value in ("60", "120")
    again = table.with_columns(minute=pl.col("minute") + 1).drop("outcome")
    assert tsx.classify(again, model=tmp_path / "model").frame.height == 30


@pytest.mark.parametrize(
    "flags",
    [
        {"horizon": 3},
        {"transform": "log"},
        {"delay": 1},
        {"counts": True},
        {"intervals": "conformal"},
        {"future": "age"},
        {"target": "pulse"},
    ],
)
def test_flags_of_a_forecast_have_no_meaning_for_a_label(flags: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        tsx.fit(stays(20), label="outcome", model=tmp_path / "model", **flags)
    assert raised.value.code == "flags-contradict"
    assert not (tmp_path / "model" / "CURRENT").exists()


def test_a_fit_shows_the_rule_by_which_labels_are_said_and_how_good_it_is(tmp_path: Path) -> None:
    model = tmp_path / "model"
    odd = pl.col("stay").is_in([f"s{k:03}" for k in range(0, 60, 7)])
    other = pl.when(pl.col("outcome") == "ward").then(pl.lit("home")).otherwise(pl.lit("ward"))
    unsure = stays().with_columns(outcome=pl.when(odd).then(other).otherwise(pl.col("outcome")))
    fit = tsx.fit(unsure, label="outcome", model=model, cost="fn=1,fp=9", abstain=0.1, **QUICK)
    card = next(model.rglob("card.md")).read_text("utf-8")
    assert "part weights" in _as_read(_on_a_terminal(fit))
    for shown in (_on_a_terminal(fit), fit._repr_html_(), card):
        shown = _as_read(shown)
        for words in ("a missed 'ward' costs 1, a false one 9", "'ward' is said from this probability on"):
            assert words in shown
        for words in ("sensitivity for 'ward' at 90 % specificity", "sensitivity for 'ward' of the labels said"):
            assert words in shown
    row = fit.metrics.summary[0]  # type: ignore[index]
    assert 0 < row["left_empty"] < 1  # type: ignore[operator]
    assert row["said_specificity"] > row["said_sensitivity"]  # type: ignore[operator]


@pytest.mark.parametrize("flags", [{"keep_together": "age"}, {"threshold": 0.2}, {"abstain": 0.1}, {"shift": 0.1}])
def test_flags_of_a_label_have_no_meaning_for_a_forecast(flags: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        tsx.fit(stays(20), model=tmp_path / "model", **flags)
    assert raised.value.code == "flags-contradict"


def test_costs_must_name_both_errors_and_two_classes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="both errors cost"):
        tsx.fit(stays(20), label="outcome", model=tmp_path / "model", cost="fn=10")
    three = stays(30).with_columns(outcome=pl.col("stay").str.tail(1).cast(pl.Int64) % 3)
    with pytest.raises(ConfigError, match="of two classes"):
        tsx.fit(three, label="outcome", model=tmp_path / "model", threshold=0.3)


def test_the_command_prints_one_document_and_writes_the_table(
    fitted: tuple[ClassifierFit, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, out = tmp_path / "later.csv", tmp_path / "classes.json"
    stays(5, seed=8).drop("outcome").write_csv(table)
    assert main(["classify", str(table), "--model", str(fitted[1]), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["series"] == 5
    assert document["classes"] == ["home", "ward"]
    assert main(["classify", str(table), "--model", str(fitted[1]), "--out", str(out)]) == 0
    assert [row["stay"] for row in json.loads(out.read_text())] == [f"s{n:03}" for n in range(5)]


@pytest.mark.parametrize("verb", [tsx.forecast, tsx.make_future])
def test_a_forecast_of_a_classifier_names_the_command_for_it(verb: Any, fitted: tuple[ClassifierFit, Path]) -> None:
    with pytest.raises(TsxError) as raised:
        verb(stays(3), model=fitted[1])
    assert raised.value.code == "model-of-other-kind"
    assert "tsx classify" in raised.value.hint


def test_a_backtest_holds_every_series_out_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = tsx.backtest(stays(30), label="outcome", max_steps=2, hidden_size=4)
    assert result.frame.columns == ["stay", "outcome", "model", "p_home", "p_ward"]
    assert result.frame.group_by("model").agg(pl.col("stay").n_unique())["stay"].to_list() == [30] * 5
    truth = stays(30).group_by("stay").agg(pl.col("outcome").first().alias("truth"))
    assert result.frame.join(truth, on="stay").select((pl.col("outcome") == pl.col("truth")).all()).item()
    with pytest.raises(UsageError) as raised:
        tsx.backtest(stays(30), label="outcome", cutoffs=3)
    assert raised.value.code == "flags-contradict"


def test_a_column_written_after_the_outcome_is_noticed(tmp_path: Path) -> None:
    leaking = stays(24).with_columns(autopsy=(pl.col("outcome") == "ward").cast(pl.Int64))
    codes = [finding.code for finding in tsx.fit(leaking, label="outcome", model=tmp_path / "m", max_steps=1).findings]
    assert "label-given-away" in codes
    plain = tsx.fit(stays(24), label="outcome", model=tmp_path / "m", max_steps=1).findings
    assert "label-given-away" not in [finding.code for finding in plain]


def test_a_flag_that_is_set_after_the_outcome_is_noticed_and_one_that_is_not_is_none(tmp_path: Path) -> None:
    last = pl.col("hour") == pl.col("hour").max().over("stay")
    told = stays(24).with_columns(moved=(last & (pl.col("outcome") == "ward")).cast(pl.Int64))
    found = tsx.fit(told, label="outcome", model=tmp_path / "m", max_steps=1).findings
    (finding,) = [one for one in found if one.code == "label-given-away"]
    assert finding.where == "moved"
    assert "a flag in column 'moved'" in finding.message
    some = stays(24).with_columns(moved=(last & (pl.col("stay") < "s012")).cast(pl.Int64))
    found = tsx.fit(some, label="outcome", model=tmp_path / "m", max_steps=1).findings
    assert "label-given-away" not in [one.code for one in found]


def test_stays_of_one_patient_are_noticed_unless_they_are_kept_together(tmp_path: Path) -> None:
    owned = stays(24).with_columns(person_id=pl.col("stay").str.slice(1).cast(pl.Int64) // 3)
    asked = {"label": "outcome", "model": tmp_path / "m", "max_steps": 1}
    (finding,) = [one for one in tsx.fit(owned, **asked).findings if one.code == "series-share-id"]
    assert (finding.where, finding.severity) == ("person_id", "warning")
    assert "24 series have 8 different values" in finding.message
    assert "--keep-together person_id" in finding.message
    kept = tsx.fit(owned, keep_together="person_id", **asked).findings
    assert "series-share-id" not in [one.code for one in kept]
    named = tsx.fit(owned.rename({"person_id": "patient"}), **asked)
    assert "series-share-id" in [one.code for one in named.findings]
    assert "patient" not in named.classifier.schema.static
    apart = owned.with_columns(person_id=pl.col("stay").rank("dense"))
    assert "series-share-id" not in [one.code for one in tsx.fit(apart, **asked).findings]


def test_a_number_of_its_own_in_every_series_is_no_input(tmp_path: Path) -> None:
    numbered = stays(60).with_columns(admission=pl.col("stay").str.slice(1).cast(pl.Int64) + 70_000)
    decided = {
        each.name: each for each in tsx.fit(numbered, label="outcome", model=tmp_path / "m", max_steps=1).decisions
    }
    assert decided["static"].value == ["age", "kind"]
    assert decided["unused_columns"].value == ["admission"]
    named = tsx.fit(numbered, label="outcome", model=tmp_path / "m", max_steps=1, static=("admission",))
    assert named.classifier.schema.static == ("admission",)


def test_an_update_that_abstains_keeps_the_threshold_of_the_fit(tmp_path: Path) -> None:
    model = tmp_path / "m"
    tsx.fit(stays(40), label="outcome", model=model, threshold=0.2, **QUICK)
    later = pl.concat([stays(40), stays(20, seed=3).with_columns(pl.col("stay").str.replace("s", "t"))])
    updated = tsx.fit(later, label="outcome", model=model, update=True, abstain=0.1)
    assert (updated.classifier.choosing.threshold, updated.classifier.choosing.abstain) == (0.2, 0.1)
    later = pl.concat([later, stays(20, seed=4).with_columns(pl.col("stay").str.replace("s", "u"))])
    again = tsx.fit(later, label="outcome", model=model, update=True, cost=("fn=3", "fp=1"))
    assert (again.classifier.choosing.threshold, again.classifier.choosing.abstain) == (None, 0.1)
    assert again.classifier.choosing.cut == pytest.approx(0.25)


@pytest.mark.parametrize("verb", [tsx.inspect, tsx.fit])
def test_a_table_of_labelled_series_that_is_to_be_forecast_names_its_label(verb: Any) -> None:
    word = pl.concat_str(pl.lit("word"), (pl.col("hour") % 3).replace_strict({0: "a", 1: "b", 2: "c"})).alias("token")
    tokens = stays(6).select(pl.col("stay").alias("review"), pl.col("hour").alias("position"), word, "outcome")
    for table in (stays(6), tokens):
        with pytest.raises(TsxError) as raised:
            verb(table)
        assert raised.value.hint.endswith("or learn a class of each series: tsx fit DATA --label outcome")
    with pytest.raises(TsxError) as raised:
        verb(stays(6).drop("outcome"))
    assert "--label" not in raised.value.hint


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (stays(40).group_by("stay").first(), "no two rows have the same 'stay'"),
        (stays(40).with_columns(pulse=None, noise=None), "2 columns have no value at all"),
    ],
)
def test_a_table_of_which_nothing_varies_within_series_says_what_may_be_the_reason(
    table: pl.DataFrame, said: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=said) as raised:
        tsx.fit(table, label="outcome", id="stay", time="hour", model=tmp_path / "model", **QUICK)
    assert raised.value.code == "no-inputs"


def test_a_column_that_changes_within_series_is_not_named_as_their_label() -> None:
    event = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("fall")).otherwise(pl.lit("none"))
    table = stays(6).select(event.alias("event"), pl.all())
    with pytest.raises(TsxError) as raised:
        tsx.inspect(table)
    assert raised.value.hint.endswith("tsx fit DATA --label outcome")


def test_inspect_suggests_a_column_that_looks_like_an_outcome() -> None:
    table = stays(20).with_columns(hour=pl.col("hour") + 2000).rename({"hour": "year", "stay": "stay_id"})
    columns = {column.name: column for column in tsx.inspect(table, target="pulse").overview.columns}
    assert columns["outcome"].suggested == "label"
    assert columns["kind"].suggested == "static"


@pytest.mark.nightly
def test_hardly_any_shuffled_label_is_said_to_be_known() -> None:
    random, claims = np.random.default_rng(0), 0
    for seed in range(100):
        table = stays(40, seed)
        shuffled = dict(zip(table["stay"].unique(maintain_order=True), random.permutation(40) % 2, strict=True))
        table = table.with_columns(outcome=pl.col("stay").replace_strict(shuffled))
        claims += tsx.backtest(table, label="outcome", max_steps=40, hidden_size=8).evaluation.verdict.has_skill
    assert claims <= 5


@pytest.mark.parametrize("rare", [1, 2])
def test_a_class_of_one_or_two_series_is_said_and_does_not_end_the_fit(rare: int, tmp_path: Path) -> None:
    table = stays(12).with_columns(outcome=(pl.col("stay").str.tail(2).cast(pl.Int64) < rare).cast(pl.Int64))
    result = tsx.fit(table, label="outcome", model=tmp_path / "model", max_steps=2, hidden_size=4)
    assert "rare-classes" in [finding.code for finding in result.findings]
    p = tsx.classify(table.drop("outcome"), model=tmp_path / "model").frame["p_1"]
    assert p.is_finite().all()


def test_many_classes_of_few_series_each_are_learnt(tmp_path: Path) -> None:
    table = stays(24).with_columns(outcome=pl.col("stay").str.tail(2).cast(pl.Int64) % 8)
    result = tsx.fit(table, label="outcome", model=tmp_path / "model", max_steps=2, hidden_size=4)
    assert len(result.classifier.config.classes) == 8
    assert {each.name: each.reason for each in result.decisions}["held_out"].startswith("24 series: 3 networks")


def test_a_label_of_a_later_table_is_not_looked_at(fitted: tuple[ClassifierFit, Path]) -> None:
    later = stays(5, seed=9)
    changing = later.with_columns(outcome=pl.when(pl.col("hour") > 2).then(pl.lit("?")).otherwise("outcome"))
    first, second = (tsx.classify(table, model=fitted[1]).frame for table in (later, changing))
    assert first.equals(second)


def test_a_column_called_as_a_probability_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        tsx.fit(stays(20).rename({"stay": "p_home"}), label="outcome", model=tmp_path / "model")
    assert raised.value.code == "column-name-taken"


def test_a_fit_prints_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stays(12).write_csv(tmp_path / "stays.csv")
    flags = ["--label", "outcome", "--model", str(tmp_path / "model"), "--max-steps", "1", "--json"]
    assert main(["fit", str(tmp_path / "stays.csv"), *flags]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["metrics"]["verdict"]["model"] == "tsx"
    assert len(document["metrics"]["summary"]) == 5


@pytest.mark.parametrize(
    ("flags", "unlabelled", "command"),
    [
        ([], 0, "tsx classify DATA --model m"),
        ([], 2, "tsx classify --model m"),
        (["--private"], 0, "tsx classify DATA --model m"),
        (["--private"], 2, "tsx classify DATA --model m"),
    ],
)
def test_what_comes_next_is_a_command_that_finds_series_to_classify(
    flags: list[str],
    unlabelled: int,
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    without = pl.col("stay").is_in([f"s{k:03}" for k in range(unlabelled)])
    table = stays(30).with_columns(outcome=pl.when(~without).then(pl.col("outcome")))
    table.write_csv("stays.csv")
    assert main(["fit", "stays.csv", "--label", "outcome", "--model", "m", "--max-steps", "1", *flags]) == 0
    assert f"next: {command}" in capsys.readouterr().err.splitlines()


def test_a_fitted_file_that_lost_its_label_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "stays.csv"
    stays(12).write_csv(path)
    tsx.fit(path, label="outcome", model=tmp_path / "model", max_steps=1, hidden_size=4)
    stays(12).drop("outcome").write_csv(path)
    with pytest.raises(TsxError) as raised:
        tsx.classify(model=tmp_path / "model")
    assert raised.value.code == "column-missing"


def test_a_classifier_keeps_no_trace_of_an_id(fitted: tuple[ClassifierFit, Path]) -> None:
    weights = next(fitted[1].glob("versions/*/model.safetensors"))
    with safe_open(weights, "np") as file:
        assert "trained_on" not in set(file.keys())


def test_an_ensemble_has_as_many_networks_for_each_part(tmp_path: Path) -> None:
    fitted = tsx.fit(stays(), label="outcome", model=tmp_path / "m", ensemble=2, max_steps=8, hidden_size=4)
    assert fitted.classifier.config.members == 10
    weights = [each.head.linear.weight for each in fitted.classifier.network.members]
    assert len({tuple(one.flatten().tolist()) for one in weights}) == 10
    assert "ensemble" in {each.name for each in fitted.decisions}


def test_a_network_that_is_to_classify_alone_does_so_after_an_update_too(tmp_path: Path) -> None:
    model = tmp_path / "m"
    fitted = tsx.fit(stays(), label="outcome", model=model, network_only=True, max_steps=8, hidden_size=4)
    assert fitted.classifier.network.weights.tolist() == [1.0, 0.0, 0.0, 0.0]
    updated = tsx.fit(stays(90), label="outcome", model=model, update=True, max_steps=2)
    assert updated.classifier.network.weights.tolist() == [1.0, 0.0, 0.0, 0.0]


def test_the_newest_series_are_held_out_where_that_is_asked(tmp_path: Path) -> None:
    days = pl.date(2024, 1, 1) + pl.duration(days=pl.col("hour") + 100 * pl.col("stay").str.slice(1).cast(pl.Int64))
    table = stays().with_columns(day=days).drop("hour")
    result = tsx.backtest(table, label="outcome", hold_out="newest", **QUICK)
    held = set(result.frame["stay"])
    assert held == {f"s{stay:03}" for stay in range(48, 60)}
    with pytest.raises(ConfigError) as refused:
        tsx.fit(stays(), label="outcome", hold_out="newest", model=tmp_path / "m", **QUICK)
    assert refused.value.code == "settings-contradict"
    assert "--hold-out" in refused.value.hint


def test_a_private_classifier_keeps_neither_the_path_nor_categories(tmp_path: Path) -> None:
    stays().write_parquet(tmp_path / "stays.parquet")
    model = tmp_path / "m"
    tsx.fit(tmp_path / "stays.parquet", label="outcome", model=model, private=True, max_steps=8, hidden_size=4)
    manifest = (in_use(model) / "manifest.json").read_text()
    assert "stays.parquet" not in manifest
    assert json.loads(manifest)["vocabulary"] == {"kind": []}
    assert {path.stat().st_mode & 0o077 for path in in_use(model).iterdir()} == {0}
    plain, private = (tsx.classify(stays(), model=model, private=asked).frame.sort("p_ward") for asked in (False, True))
    assert not set(private["stay"]) & set(plain["stay"])
    assert private["p_ward"].to_list() == plain["p_ward"].to_list()


def test_settings_of_a_classifier_are_searched_by_the_log_loss_of_series_held_out() -> None:
    tuned = tsx.tune(stays(40), label="outcome", trials=2, max_steps=4, hidden_size=4)
    assert tuned.metric == "log_loss"
    assert tuned.given == {"label": "outcome", "max_steps": 4, "hidden_size": 4}
    assert tuned.trials["score"][0] == tuned.default_score
    assert set(tuned.defaults) == {"layers", "dropout", "learning_rate", "cell"}
    assert 'label = "outcome"' in tuned.to_toml()
    with pytest.raises(UsageError) as refused:
        tsx.tune(stays(20), keep_together="age", trials=1)
    assert refused.value.code == "flags-contradict"


@pytest.mark.parametrize("nothing", ["", "  "])
def test_an_empty_text_is_no_class_and_that_is_said(nothing: str, tmp_path: Path) -> None:
    table = stays().with_columns(
        pl.when(pl.col("stay") < "s020").then(pl.lit(nothing)).otherwise(pl.col("outcome")).alias("outcome")
    )
    fit = tsx.fit(table, label="outcome", model=tmp_path / "model", max_steps=1, hidden_size=4)
    said = {each.code: each.message for each in fit.findings}
    assert said["series-without-label"].startswith("20 of 60 series have no 'outcome' (an empty text is no class)")
    assert fit.classifier.config.classes == ("home", "ward")


def measurements() -> pl.DataFrame:
    """A row for each measurement of a stay, in the order of the stays, some of them missing."""
    table = stays().with_columns(other=pl.col("noise") * 2)
    long = table.unpivot(["pulse", "noise", "other"], index=["stay", "hour", "age", "outcome"], variable_name="what")
    return long.drop_nulls("value").sort("stay", "hour", "what")


@pytest.mark.parametrize(
    ("whose", "named", "code"),
    [
        ("patient", {}, "no-id-column"),
        ("patient", {"id": "patient", "time": "hour"}, "duplicate-rows"),
    ],
    ids=["no id is found", "one is named"],
)
def test_a_row_for_each_measurement_is_told_how_to_become_a_column_for_each(
    whose: str, named: dict[str, str], code: str, tmp_path: Path
) -> None:
    table = measurements().rename({"stay": whose})
    with pytest.raises(DataError) as raised:
        tsx.fit(table, label="outcome", model=tmp_path / "model", **named)
    assert raised.value.code == code
    (call,) = re.findall(r"table\.pivot\(.*?\]?, values='\w+'\)", raised.value.hint)
    wide = eval(call, {"table": table})
    assert {whose, "hour", "age", "outcome", "pulse", "noise", "other"} == set(wide.columns)
    fit = tsx.fit(wide, label="outcome", model=tmp_path / "model", max_steps=1, hidden_size=4)
    decided = {each.name: each.value for each in fit.decisions}
    assert (decided["id"], decided["past"], decided["static"]) == (whose, ["noise", "other", "pulse"], ["age"])


def test_stays_of_several_wards_with_many_columns_are_told_apart_by_a_second_id(tmp_path: Path) -> None:
    twice = pl.concat(
        [stays(seed=0).with_columns(pl.col("noise") + n, ward=pl.lit(ward)) for n, ward in enumerate("ab")]
    )
    with pytest.raises(DataError) as raised:
        tsx.fit(twice, label="outcome", id="stay", model=tmp_path / "model")
    assert "--id stay,ward" in raised.value.hint
    assert "pivot" not in raised.value.hint


@pytest.mark.parametrize("whose", ["patient", "case"])
def test_events_of_which_several_stand_at_one_time_are_series_of_whom_the_label_is(whose: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = [
        {whose: f"p{n:02}", "hour": hour, "event": ("fall", "visit", "call")[k], "died": ("no", "yes")[n % 2]}
        for n in range(24)
        for hour in range(6)
        for k in range(int(random.integers(1, 4)))
    ]
    fitted = tsx.fit(pl.DataFrame(rows), label="died", model=tmp_path / "m", max_steps=1, hidden_size=2)
    assert (fitted.classifier.schema.ids, fitted.classifier.schema.past_words) == ((whose,), ("event",))


def events_with_a_pulse(most: int) -> pl.DataFrame:
    """Up to three events at a time; at `most` so many of them have a pulse."""
    random = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "patient": f"p{n:02}",
            "hour": hour,
            "event": ("fall", "visit", "call")[k],
            "pulse": float(random.normal(80, 9)) if k < most else None,
            "died": ("no", "yes")[n % 2],
        }
        for n in range(24)
        for hour in range(6)
        for k in range(int(random.integers(1, 4)))
    )


def test_events_of_which_few_have_a_value_are_no_measurements_of_a_kind_each(tmp_path: Path) -> None:
    fitted = tsx.fit(events_with_a_pulse(1), label="died", model=tmp_path / "m", max_steps=1, hidden_size=2)
    schema = fitted.classifier.schema
    assert (schema.ids, schema.past, schema.past_words) == (("patient",), ("pulse",), ("event",))


def test_measurements_of_a_kind_each_are_told_to_take_a_column_each_though_their_kind_would_do_as_id(
    tmp_path: Path,
) -> None:
    with pytest.raises(DataError) as raised:
        tsx.fit(events_with_a_pulse(3), label="died", model=tmp_path / "m")
    assert (raised.value.code, "pivot(on='event'" in str(raised.value.hint)) == ("no-id-column", True)


def test_a_table_of_one_text_a_row_is_told_to_split_it(tmp_path: Path) -> None:
    table = pl.DataFrame({"guest": range(30), "review": ["a very good stay, thank you"] * 30, "again": [0, 1] * 15})
    with pytest.raises(DataError) as raised:
        tsx.fit(table, label="again", model=tmp_path / "m")
    assert (raised.value.code, "--text review" in str(raised.value.hint)) == ("no-time-column", True)
