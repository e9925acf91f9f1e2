"""Covariates in words from a table to forecasts, classes and explanations, with causes that are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import tsx
from tests.stored import in_use
from tsx.cli.main import main
from tsx.errors import ConfigError
from tsx.store.classifier import load_classifier
from tsx.store.forecaster import load_forecaster

HORIZON, EFFECT = 3, {"half price": 8.0, "gift": -4.0, None: 0.0}
RARE = "collapse"


def sales(shops: int = 14, steps: int = 120, seed: int = 0) -> pl.DataFrame:
    """A level, noise, and a promotion that acts on its day alone; of the last days only the promotion is known."""
    random = np.random.default_rng(seed)
    rows = []
    for shop in range(shops):
        for day in range(steps):
            promo = [None, "half price", "gift"][int(random.choice(3, p=[0.7, 0.2, 0.1]))]
            rows.append((f"s{shop:02}", day, 10 + EFFECT[promo] + 0.5 * random.normal(), promo))
    table = pl.DataFrame(rows, schema=["shop", "day", "sales", "promo"], orient="row")
    return table.with_columns(pl.when(pl.col("day") < steps - HORIZON).then("sales").alias("sales"))


def visits(count: int = 300, seed: int = 0) -> pl.DataFrame:
    """Visits of one to twelve codes; the outcome is bad where a rare code is among them, in three of ten visits."""
    random = np.random.default_rng(seed)
    common = [f"code {n}" for n in range(20)]
    rows = []
    for visit in range(count):
        codes = random.choice(common, int(random.integers(3, 12))).tolist()
        bad = random.random() < 0.3
        if bad:
            codes[int(random.integers(len(codes)))] = RARE
        codes[int(random.integers(len(codes)))] += f" of {visit}" if visit % 5 == 0 and RARE not in codes else ""
        rows += [(visit, step, code, "bad" if bad else "good") for step, code in enumerate(codes)]
    return pl.DataFrame(rows, schema=["visit", "step", "code", "outcome"], orient="row")


@pytest.fixture(scope="module")
def forecaster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sales")
    sales().write_parquet(folder / "sales.parquet")
    tsx.fit(
        folder / "sales.parquet",
        time="day",
        target="sales",
        future=["promo"],
        horizon=HORIZON,
        context_length=8,
        max_steps=120,
        model=folder / "model",
    )
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("visits")
    visits().write_parquet(folder / "visits.parquet")
    tsx.fit(folder / "visits.parquet", label="outcome", max_steps=60, model=folder / "model")
    return folder


@pytest.mark.nightly
def test_a_promotion_that_is_known_ahead_is_learnt_by_its_kind(forecaster: Path) -> None:
    forecasts = tsx.forecast(forecaster / "sales.parquet", model=forecaster / "model").as_frame()
    both = forecasts.join(sales().select("shop", "day", "promo"), on=["shop", "day"])
    means = {promo: part["yhat"].mean() for (promo,), part in both.group_by("promo")}
    for promo, effect in EFFECT.items():
        assert means[promo] == pytest.approx(10 + effect, abs=1.5), promo


@pytest.mark.nightly
def test_a_table_to_fill_in_has_the_words_that_are_known_and_takes_others(forecaster: Path, tmp_path: Path) -> None:
    table = sales()
    known = table.filter(pl.col("sales").is_not_null())
    filled = table.filter(pl.col("sales").is_null()).drop("sales")
    plain = tsx.forecast(table, model=forecaster / "model").as_frame()
    given = tsx.forecast(known, model=forecaster / "model", future_data=filled).as_frame()
    assert given["yhat"].to_list() == pytest.approx(plain["yhat"].to_list())
    changed = filled.with_columns(promo=pl.lit("gift"))
    lower = tsx.forecast(known, model=forecaster / "model", future_data=changed).as_frame()
    promoted = filled.filter(pl.col("promo") == "half price").select("shop", "day")
    moved = lower.join(plain, on=["shop", "day", "step"]).join(promoted, on=["shop", "day"])
    assert (moved["yhat"] < moved["yhat_right"] - 5).all()
    new = filled.with_columns(promo=pl.lit("never seen"))
    result = tsx.forecast(known, model=forecaster / "model", future_data=new)
    assert "unseen-category" in {finding.code for finding in result.findings}


@pytest.mark.nightly
def test_a_promotion_leads_the_explanation_of_what_it_caused(forecaster: Path) -> None:
    result = tsx.explain(forecaster / "sales.parquet", model=forecaster / "model", windows=12, max_evals=400)
    assert result.by_feature()["feature"][0] == "promo"
    assert next(check for check in result.checks if check.name == "additivity").verdict == "pass"
    with pytest.raises(ConfigError) as raised:
        tsx.explain(forecaster / "sales.parquet", model=forecaster / "model", value="conditional")
    assert raised.value.code == "settings-contradict"


@pytest.mark.nightly
def test_a_rare_code_that_decides_ranks_first_and_its_word_is_shown(classifier: Path, tmp_path: Path) -> None:
    result = tsx.explain(model=classifier / "model", windows=40, max_evals=300)
    words = result.tables["words"].filter(pl.col("class") == result.classes[0])
    mean = words.group_by("word").agg(pl.col("shap").abs().mean()).sort("shap", descending=True)
    assert mean["word"][0] == RARE
    assert mean["shap"][0] > 3 * mean["shap"][1]
    result.write(tmp_path / "why", ("html",))
    page = (tmp_path / "why" / "report.html").read_text("utf-8")
    assert "Which words decided" in page
    assert RARE in page


@pytest.mark.nightly
def test_the_card_of_a_classifier_names_its_columns_of_words(classifier: Path) -> None:
    card = (in_use(classifier / "model") / "card.md").read_text()
    assert "\n- words over time: `code`\n" in card


@pytest.mark.nightly
def test_the_model_holds_no_word_of_few_series(classifier: Path) -> None:
    model, manifest = load_classifier(classifier / "model", device="cpu")
    assert RARE in model.config.channels.vocabulary["code"]
    rare = {word for word in visits()["code"].unique() if " of " in word}
    assert len(rare) > 20
    stored = b"".join(path.read_bytes() for path in (classifier / "model").rglob("*") if path.is_file())
    assert not any(word.encode() in stored for word in rare)
    assert "rare-categories" in {finding.code for finding in manifest.data.findings}


@pytest.mark.nightly
def test_new_codes_are_counted_and_told_as_other(classifier: Path) -> None:
    new = (
        visits(40, seed=1)
        .drop("outcome")
        .with_columns(
            code=pl.when(pl.col("step") == 0).then(pl.lit("new ") + pl.col("visit").cast(pl.String)).otherwise("code")
        )
    )
    result = tsx.classify(new, model=classifier / "model")
    assert "unseen-category" in {finding.code for finding in result.findings}
    other = new.with_columns(code=pl.col("code").str.replace("new", "brand-new"))
    assert result.frame.equals(tsx.classify(other, model=classifier / "model").frame)


@pytest.mark.nightly
def test_a_private_model_knows_the_words_of_named_columns_alone(tmp_path: Path) -> None:
    table = sales(12, 60)
    asked = {"time": "day", "target": "sales", "future": ["promo"], "horizon": HORIZON, "max_steps": 2, "private": True}
    for name, kept in (("none", ()), ("kept", ("promo",))):
        tsx.fit(table, model=tmp_path / name, keep_categories=kept, **asked)
        known = load_forecaster(tmp_path / name, device="cpu")[1].vocabulary["promo"]
        assert set(known) == ({"half price", "gift"} if kept else set())


@pytest.mark.nightly
def test_a_key_of_the_texts_is_their_id_and_no_input(tmp_path: Path) -> None:
    said = ("good", "bad")
    table = pl.DataFrame(
        {
            "guest": np.arange(200) + 5000,
            "booking": [f"b{n}" for n in range(200)],
            "review": [f"the room was {said[n % 2]} and the view too" for n in range(200)],
            "again": ["yes"] * 100 + ["no"] * 100,
        }
    )
    fitted = tsx.fit(table, label="again", text="review", model=tmp_path / "m", max_steps=1)
    assert fitted.classifier.schema.id == "guest"
    assert fitted.classifier.schema.static == ()
    made = tsx.classify(table.drop("again"), model=tmp_path / "m")
    assert made.frame.columns[:2] == ["guest", "again"]
    named = tsx.fit(table, label="again", text="review", id="booking", model=tmp_path / "m", max_steps=1)
    assert named.classifier.schema.static == ()


def test_texts_of_a_row_each_are_split_into_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    neutral = ["the", "room", "was", "by", "station", "breakfast", "at", "eight"]
    rows = []
    for _ in range(200):
        happy = bool(random.random() < 0.5)
        said = [*random.choice(neutral, 8), "wonderful" if happy else "awful"]
        random.shuffle(said)
        rows.append((" ".join(said).capitalize() + ("!" if happy else "."), "yes" if happy else "no"))
    table = pl.DataFrame(rows, schema=["review", "again"], orient="row")
    table.write_csv(tmp_path / "hotel.csv")
    asked = ["--label", "again", "--text", "review", "--max-steps", "40", "--model", str(tmp_path / "model")]
    assert main(["fit", str(tmp_path / "hotel.csv"), *asked]) == 0
    capsys.readouterr()
    new = pl.DataFrame({"guest": [7, 8, 9], "review": ["An awful room.", "Wonderful breakfast!", ""]})
    new.write_csv(tmp_path / "new.csv")
    assert main(["classify", str(tmp_path / "new.csv"), "--model", str(tmp_path / "model"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["again"] for row in document["classes_of_series"][:2]] == ["no", "yes"]
    assert len(document["classes_of_series"]) == 3
