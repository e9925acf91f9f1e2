"""Explaining a classifier from file to file: known rules, what is written and shown, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import tsx
from tsx.cli.main import main
from tsx.errors import TsxError
from tsx.explanation.classes.drivers import stretch
from tsx.explanation.classes.result import ClassExplanation

STEPS = 10
FIRST = 1_000
"""The first id: long enough to be written with a comma, were it a number of something."""
QUICK: dict[str, Any] = {"max_steps": 120, "hidden_size": 16, "context_length": STEPS}
Rule = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def table(rule: Rule, count: int = 240, seed: int = 0, steps: int = STEPS) -> pl.DataFrame:
    """Series of noise in three columns, x, y and z, whose label is what `rule` says of their values (N, T, 3)."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(count, steps, 3))
    label = rule(values, random)  # may put missing values in
    columns = {name: values[:, :, c].ravel() for c, name in enumerate("xyz")}
    ids = np.repeat(np.arange(count), steps)
    words = np.array(["calm", "ill"])[label.astype(int)]
    keys = {"case": FIRST + ids, "hour": np.tile(np.arange(steps), count)}
    frame = pl.DataFrame({**keys, **columns, "state": words[ids]})
    return frame.with_columns(pl.col("x", "y", "z").fill_nan(None))


def threshold(values: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """y three steps before the end is above 0."""
    return values[:, -4, 1] > 0


def pattern(values: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """x has a spike somewhere."""
    label = random.random(len(values)) < 0.5
    values[label, random.integers(0, values.shape[1], label.sum()), 0] = 5.0
    return label


def order(values: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """z has a spike in its first half and a dip in its second, or the other way round."""
    label = random.random(len(values)) < 0.5
    half, every = values.shape[1] // 2, np.arange(len(values))
    sign = np.where(label, 1.0, -1.0)
    values[every, random.integers(0, half, len(values)), 2] = 4.0 * sign
    values[every, random.integers(half, values.shape[1], len(values)), 2] = -4.0 * sign
    return label


def number_of_events(values: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """x is above 1 in more than one of six of its steps."""
    return (values[:, :, 0] > 1).mean(1) > 1 / 6


def not_observed(values: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """y was not observed at the last two steps."""
    label = random.random(len(values)) < 0.5
    values[random.random(values.shape) < 0.1] = np.nan
    values[label, -2:, 1] = np.nan
    values[~label, -2:, 1] = random.normal(size=((~label).sum(), 2))
    return label


def shuffled(values: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Nothing of the values."""
    return random.random(len(values)) < 0.5


def explained(tmp_path: Path, frame: pl.DataFrame, **asked: Any) -> ClassExplanation:
    model = tmp_path / "model"
    frame.write_parquet(tmp_path / "cases.parquet")
    tsx.fit(tmp_path / "cases.parquet", label="state", model=model, **QUICK)
    result: ClassExplanation = tsx.explain(model=model, **asked)
    return result


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[ClassExplanation, Path]:
    folder = tmp_path_factory.mktemp("known")
    return explained(folder, table(threshold), windows=30, max_evals=1200), folder / "model"


def test_a_threshold_on_one_lag_is_the_cause_that_ranks_first(known: tuple[ClassExplanation, Path]) -> None:
    result, _ = known
    assert result.knowledge.state == "shown"
    top = result.lag_profile.sort("share", descending=True).row(0, named=True)
    assert (top["class"], top["feature"], top["lag"]) == ("ill", "y", 4)
    assert top["share"] > 0.5
    assert "high y" in result.findings[1]
    assert "raises the odds of state = ill most" in result.findings[1]
    assert result.checks[0].verdict == "pass"
    stretches = result.tables["stretches"]
    assert ((stretches["newest_lag"] <= 4) & (stretches["oldest_lag"] >= 4)).mean() > 0.7


def test_the_memory_report_needs_the_lag_of_the_threshold_and_little_more(known: tuple[ClassExplanation, Path]) -> None:
    result, _ = known
    needed = result.tables["memory_needed"]
    at = {row["context_length"]: row for row in needed.iter_rows(named=True)}
    assert 4 <= result.facts["memory_needed"]["newest"] <= 6  # so small a network reads some noise of other lags, too
    assert at[3]["kept"] < 0.2 < 0.7 < at[4]["kept"]
    assert "steps are enough: from them alone" in dict(result.grouped)["How far back it looks"][0]
    decay = result.tables["gradient_decay"]
    assert decay["lag"][decay["mean_norm"].arg_max()] == 4


def test_everything_is_written_and_every_report_shows_the_same(
    known: tuple[ClassExplanation, Path], tmp_path: Path
) -> None:
    result, _ = known
    written = {path.name for path in result.write(tmp_path / "why", ("html", "md"))}
    assert {"explanation.json", "lag_importance.parquet", "lag_profile.parquet", "series.parquet"} <= written
    assert {"by_time.parquet", "stretches.parquet", "checks.json", "report.html", "report.md"} <= written
    assert {"memory_needed.parquet", "memory_units.parquet", "retention.parquet"} <= written
    assert {"gradient_decay.parquet", "surrogates.parquet", "surrogate.json"} <= written
    copied = json.loads((tmp_path / "why" / "surrogate.json").read_bytes())
    assert copied["linear"]["terms"][0]["input"] == "y at lag 4"
    assert copied["tree"]["text"][0].startswith("y at lag 4 <= ")
    rows = pl.read_parquet(tmp_path / "why" / "lag_importance.parquet")
    assert rows.columns == ["case", "class", "feature", "lag", "value", "shap", "shap_se"]
    assert rows.height == 30 * 3 * STEPS
    summary = json.loads((tmp_path / "why" / "explanation.json").read_bytes())
    assert summary["classes"] == ["ill"]
    assert summary["findings"] == list(result.findings)
    page, text = ((tmp_path / "why" / f"report.{kind}").read_text("utf-8") for kind in ("html", "md"))
    for words in (
        "How the classifier predicts state",
        "one of 2 classes for 30 series",
        "Which stretch of time decided",
        "Maps of single series",
        "How far back the model looks",
        "What the cells remember",
        "How gradients decay",
        "A simpler model",
        result.findings[1][:40],
    ):
        assert words in page
    assert "lag 4" in text
    assert "| 1000 |" in text
    assert "1,000" not in text
    assert "forecast" not in text.casefold()
    assert "ClassExplanation(series=30" in repr(result)
    assert "How the classifier predicts state" in result._repr_html_()


def test_the_command_prints_a_screen_and_a_document(
    known: tuple[ClassExplanation, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["explain", "--model", str(known[1]), "--windows", "3", "--max-evals", "64", "--players", "feature"]
    assert main([*asked, "--explain", "p", "--memory-needed", "--out", str(tmp_path / "a"), "--full"]) == 0
    shown = capsys.readouterr().out
    assert "How far back the model looks" in shown
    assert "state = ill" in shown
    assert "probability" in shown
    assert main([*asked, "--out", str(tmp_path / "c"), "--report", "md", "--full"]) == 0
    assert "How far back the model looks" in capsys.readouterr().out
    assert main([*asked, "--out", str(tmp_path / "d"), "--report", "md"]) == 0
    assert "What drives the classes" not in capsys.readouterr().out
    assert main([*asked, "--out", str(tmp_path / "b"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["explain"] == "log-odds"
    assert document["question"]["players"] == "feature"


def test_a_private_explanation_names_no_series_and_quotes_no_value(
    known: tuple[ClassExplanation, Path], tmp_path: Path
) -> None:
    result: ClassExplanation = tsx.explain(model=known[1], private=True, windows=12, max_evals=64)
    names = set(pl.read_parquet(known[1].parent / "cases.parquet")["case"].cast(pl.String))
    result.write(tmp_path / "why", ("html", "md"))
    tables = [pl.read_parquet(path) for path in (tmp_path / "why").glob("*.parquet")]
    assert tables
    for frame in tables:
        if "case" in frame.columns:
            assert not names & set(frame["case"].cast(pl.String))
        for column in {"value", "label"} & set(frame.columns):
            assert frame[column].null_count() == frame.height
    assert not {"by_time", "stretches", "history", "words"} & set(result.tables)
    copied = json.loads((tmp_path / "why" / "surrogate.json").read_text("utf-8"))
    assert result.tables["surrogates"].height == 2
    assert not {"intercepts", "terms", "text"} & {*copied["linear"], *copied["tree"]}
    assert result.by_feature()["share"].sum() == pytest.approx(1)
    assert "Maps of single series" not in (tmp_path / "why" / "report.html").read_text("utf-8")


def test_one_series_is_explained_with_the_fitted_file_as_reference(known: tuple[ClassExplanation, Path]) -> None:
    one = table(threshold, count=1, seed=9).drop("state")
    result: ClassExplanation = tsx.explain(one, model=known[1], max_evals=100)
    assert result.series.height == 1
    assert result.series["label"].to_list() == [None]
    assert result.method["references"] == 240
    assert result.verdict.verdict != "pass"  # of one series too few to refute much


def test_the_same_question_gives_the_same_bytes(known: tuple[ClassExplanation, Path], tmp_path: Path) -> None:
    for name in ("a", "b"):
        result = tsx.explain(model=known[1], windows=3, max_evals=64)
        result.write(tmp_path / name, ("md",))
    # SHAP values of so few evaluations say nothing, and what is measured without them still does
    assert not any("raises the odds" in sentence for sentence in result.findings)
    assert any("are enough" in sentence for sentence in result.findings)
    files = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}


def test_networks_of_other_seeds_say_whether_they_have_the_same_reasons(known: tuple[ClassExplanation, Path]) -> None:
    result = tsx.explain(model=known[1], windows=4, max_evals=100, seeds=2)
    check = next(each for each in result.checks if each.name == "seed_stability")
    assert check.sentence.startswith("2 networks that differ by their seed share")
    assert 0.3 < (check.figure or 0) <= 1


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"value": "conditional"}, "flags-contradict"),
        ({"interactions": 3}, "flags-contradict"),
        ({"counterfactual": "below=3"}, "setting-unknown"),
        ({"max_drift": 0.1, "compare": "nowhere"}, "report-not-found"),
        ({"states": True}, "flags-contradict"),
        ({"reference": "recent"}, "flags-contradict"),
        ({"private": True, "windows": 5}, "group-too-small"),
        ({"private": True, "counterfactual": "label=ill"}, "settings-contradict"),
        ({"explain": "width"}, "explain-unknown"),
    ],
)
def test_what_only_forecasts_have_is_refused(
    known: tuple[ClassExplanation, Path], asked: dict[str, Any], code: str
) -> None:
    with pytest.raises(TsxError) as refused:
        tsx.explain(model=known[1], **asked)
    assert refused.value.code == code
    assert refused.value.hint


def test_the_shortest_stretch_with_half_of_the_sum_is_found() -> None:
    assert stretch([0, 0, 1, 5, 3, 1]) == (3, 3)
    assert stretch([2, 2, 2, 2]) == (0, 1)
    assert stretch([0, -1, 0]) is None
    random = np.random.default_rng(0)
    for _ in range(50):
        sizes = random.random(8)
        begin, end = stretch(sizes.tolist()) or (0, 0)
        runs = [(j - i, i, j) for i in range(8) for j in range(i, 8) if sizes[i : j + 1].sum() >= sizes.sum() / 2]
        assert (end - begin, begin, end) == min(runs)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("rule", "feature", "words", "rows"),
    [
        (threshold, "y", "high y", range(4, 6)),
        (pattern, "x", "x", range(9, 11)),
        (order, "z", "z", range(5, 11)),
        (number_of_events, "x", "high x", range(9, 11)),
        (not_observed, "y", "missing y", range(1, 3)),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_the_cause_of_every_rule_ranks_first_and_the_memory_is_as_long_as_it_needs(
    tmp_path: Path, rule: Rule, feature: str, words: str, rows: range
) -> None:
    """`rows`: how many of the newest rows tell the label, of nine series in ten. Of the two events of an order the
    second alone tells it, and it stands in the newest five."""
    result = explained(tmp_path, table(rule, count=600), windows=40)
    assert result.knowledge.state == "shown"
    assert result.by_feature()["feature"][0] == feature
    assert result.by_feature()["share"][0] > 0.6
    assert words in result.findings[1]
    assert result.facts["memory_needed"]["newest"] in rows


@pytest.mark.nightly
def test_one_rare_word_that_decides_ranks_first(tmp_path: Path) -> None:
    frame = table(shuffled, count=600)
    random = np.random.default_rng(1)
    words = np.array([f"event {n}" for n in range(30)])[random.integers(0, 30, (600, STEPS))].astype("U16")
    ill = frame["state"].to_numpy().reshape(600, STEPS)[:, 0] == "ill"
    ill &= random.random(600) < 0.2
    words[ill, random.integers(0, STEPS, ill.sum())] = "stroke"  # one word in a hundred
    state = np.where(ill, "ill", "calm").repeat(STEPS)
    frame = frame.with_columns(pl.Series("event", words.ravel()), pl.Series("state", state))
    result = explained(tmp_path, frame, windows=40)
    assert result.knowledge.state == "shown"
    assert result.by_feature()["feature"][0] == "event"
    assert result.by_feature()["share"][0] > 0.6
    found = result.tables["words"].group_by("word").agg(pl.col("shap").abs().mean())
    assert found.sort("shap", descending=True)["word"][0] == "stroke"
    assert result.facts["memory_needed"]["newest"] in range(9, 11)  # it may stand at any of ten steps


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(6))
def test_a_shuffled_label_has_no_skill_and_no_drivers(tmp_path: Path, seed: int) -> None:
    result = explained(tmp_path, table(shuffled, seed=seed), windows=8, max_evals=400)
    assert result.knowledge.state in ("none", "not shown")
    assert not any("odds of" in sentence or "enough" in sentence for sentence in result.findings)
    assert result.verdict.verdict != "pass"
