"""Canaries: values that must not be found in any output, with and without `--private`, and attacks on a model."""

from __future__ import annotations

import datetime as dt
import hmac
import json
import re
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tsx
import tsx.training.fit
from tests.killed.commands import Nursery, nursery
from tests.stored import in_use, manifest_of
from tsx.cli.main import main
from tsx.errors import ConfigError, DataError, UsageError
from tsx.explanation.cohorts import Cohorts, large_enough

SERIES = 24
ROWS = 60
IDS = [f"patient-{number}" for number in np.random.default_rng(1).choice(10**6, SERIES, replace=False) + 10**6]
RARE = [f"rare-ward-{n}" for n in range(6)]
COMMON = "surgery"
EXTREME = [8.14253e13 + 1.0007e12 * n for n in range(8)]
"""Of the covariate and of the static number, none in the newest rows."""
FOLDER = "clinic-canary-folder"
FIT = ["--id", "person", "--time", "day", "--target", "dose", "--past", "pulse", "--static", "ward,weight"]
SMALL = ["--max-steps", "3", "--hidden-size", "6", "--horizon", "3", "--context-length", "12", "--device", "cpu"]
QUICK = ["--windows", "24", "--max-evals", "60", "--report", "html,md,json"]


def table() -> pl.DataFrame:
    """Doses of 24 persons, of whom six have wards of their own, four an extreme pulse, and four an extreme weight."""
    random = np.random.default_rng(0)
    parts = []
    for n, person in enumerate(IDS):
        pulse = 70 + 5 * random.normal(size=ROWS)
        pulse[20 + n] = EXTREME[n] if n < 4 else pulse[20 + n]
        parts.append(
            pl.DataFrame(
                {
                    "person": person,
                    "day": [dt.date(2024, 1, 1) + dt.timedelta(days=k) for k in range(ROWS)],
                    "dose": 10 + random.normal(size=ROWS).round(3),
                    "pulse": pulse,
                    "ward": RARE[n] if n < len(RARE) else COMMON,
                    "weight": EXTREME[4 + n] if n < 4 else 60.0 + n / 8,
                }
            )
        )
    return pl.concat(parts)


@pytest.fixture(scope="module")
def child() -> Iterator[Nursery]:
    with nursery() as started:
        yield started


@pytest.fixture(scope="module")
def made(child: Nursery, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, dict[str, bytes]]:
    """All that the commands write, by file, with and without `--private`; what they print is there, too."""
    found = {}
    for private in (False, True):
        folder = tmp_path_factory.mktemp("private" if private else "plain") / FOLDER
        folder.mkdir()
        table().write_csv(folder / "stays.csv")
        flag = ["--private"] if private else []
        data = [str(folder / "stays.csv")]
        commands = [
            ["fit", *data, *FIT, *SMALL, *flag, "--json"],
            ["fit", *data, "--update", "--max-steps", "1", "--json"],
            ["models", "--json"],
            ["forecast", *(data if private else []), "--out", "forecast.csv", "--json", *flag],
            ["forecast", *data, "--samples", "3", "--out", "paths.json", "--verbose", *flag],
            ["explain", *(data if private else []), *QUICK, "--by", "ward", "--json", *flag],
        ]
        printed: dict[str, bytes] = {}
        for n, words in enumerate(commands):
            done = child.run_words(folder, words)
            assert done.status == 0, done.output
            printed[f"{n} {words[0]} prints"] = done.output.encode()
        (folder / "stays.csv").unlink()
        files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for path in folder.rglob("*"):
            if private and path.is_file() and path.name != ".lock":
                assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        found[private] = files | printed
    return found


def content_of(name: str, content: bytes) -> str:
    """What a file says, tables in full; numbers of tensors to three decimals, whose further digits say anything."""
    if name.endswith(".parquet"):
        return pl.read_parquet(content).write_csv()
    if name.endswith(".safetensors"):
        (length,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8 : 8 + length])
        types = {"F32": np.float32, "F64": np.float64}
        numbers = [
            np.frombuffer(content[8 + length :][slice(*entry["data_offsets"])], types[entry["dtype"]])
            for entry in header.values()
            if isinstance(entry, dict) and entry.get("dtype") in types
        ]
        return "\n".join([*header, *(f"{value:.3f}" for value in np.concatenate(numbers).tolist())])
    return content.decode("utf-8", errors="replace")


def numbers_in(text: str) -> Iterator[float]:
    return (float(found) for found in re.findall(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", text))


def near_extremes(text: str) -> list[float]:
    """The extreme values that some number comes within 2 % of."""
    numbers = np.array(list(numbers_in(text)))
    return [value for value in EXTREME if (np.abs(numbers - value) < 0.02 * value).any()]


def quoted(text: str, canaries: list[str]) -> list[str]:
    return [canary for canary in canaries if canary in text or canary.removeprefix("patient-") in text]


def test_private_outputs_hold_no_canary(made: dict[bool, dict[str, bytes]]) -> None:
    """40 of them: ids, rare wards, extreme values, the folder of the data; and no category at all."""
    canaries = [*IDS, *RARE, FOLDER, COMMON]
    for name, content in made[True].items():
        text = content_of(name, content)
        assert (name, quoted(text, canaries)) == (name, [])
        assert (name, near_extremes(text)) == (name, [])


def test_by_default_only_outputs_that_are_for_it_name_series_and_the_manifest_alone_the_path(
    made: dict[bool, dict[str, bytes]],
) -> None:
    found = {name: content_of(name, content) for name, content in made[False].items()}
    manifests = [name for name in found if name.endswith("manifest.json")]
    of_models = [name for name in found if name.startswith("tsx-model")]
    assert {name for name, text in found.items() if FOLDER in text} == set(manifests)
    for name in of_models:
        assert (name, quoted(found[name], [*IDS, *RARE])) == (name, [])
        assert (name, near_extremes(found[name])) == (name, [])
        assert COMMON in found[name] or not name.endswith((".json", ".md"))
    assert quoted(found["forecast.csv"], IDS) == IDS


def test_the_same_rows_under_other_ids_and_other_rare_words_make_the_same_model(tmp_path: Path) -> None:
    """Byte for byte: nothing in a model says which they were, however many one tries."""
    rows = table()
    renamed = rows.with_columns(
        person=pl.col("person").replace_strict(sorted(IDS), [f"x{n:02}" for n in range(SERIES)]),
        ward=pl.col("ward").replace(RARE, [f"another {n}" for n in range(len(RARE))]),
    )
    keywords: Any = {"id": "person", "time": "day", "target": "dose", "past": "pulse", "static": "ward,weight"}
    sizes: Any = {"max_steps": 2, "hidden_size": 4, "horizon": 3, "context_length": 12, "device": "cpu"}
    models = []
    for name, each in (("one", rows), ("other", renamed)):
        tsx.fit(each, model=tmp_path / name, **keywords, **sizes)
        models.append({path.name: path.read_bytes() for path in in_use(tmp_path / name).iterdir()})
    assert models[0] == models[1]


KEYED = {"id": "person", "time": "day", "target": "dose", "past": "pulse", "static": "ward,weight"}
TINY: Any = {"max_steps": 1, "hidden_size": 4, "horizon": 3, "context_length": 12, "device": "cpu"}


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = tmp_path_factory.mktemp("private") / "m"
    tsx.fit(table(), model=model, private=True, keep_categories="ward", **KEYED, **TINY)
    return model


def test_categories_are_kept_where_they_are_named(private: Path) -> None:
    assert manifest_of(private)["vocabulary"] == {"ward": [COMMON]}
    assert not manifest_of(private)["network"]["series_embedding"]
    with pytest.raises(ConfigError) as refused:
        tsx.fit(table(), model=private, keep_categories="ward", **KEYED, **TINY)
    assert refused.value.where == "keep_categories"


def test_forecasts_under_pseudonyms_are_those_of_the_series_whatever_their_order(private: Path, tmp_path: Path) -> None:
    """With the owner's key, pseudonyms are HMACs, and each belongs to its series."""
    key = tmp_path / "key"
    key.write_bytes(bytes(range(32)))
    plain = tsx.forecast(table(), model=private).frame
    hidden = tsx.forecast(table(), model=private, private=True, pseudonym_key=key).frame
    names = {person: hmac.new(key.read_bytes(), person.encode(), "sha256").hexdigest()[:16] for person in IDS}
    expected = plain.with_columns(person=pl.col("person").replace_strict(names)).sort("person", "step")
    assert hidden.equals(expected)
    assert hidden["person"].is_sorted()


def test_without_a_key_pseudonyms_are_others_for_every_table_and_the_same_for_one(private: Path) -> None:
    one, same, other = (
        set(tsx.forecast(rows, model=private, private=True).frame["person"])
        for rows in (table(), table(), table().with_columns(pl.col("dose") + 0.5))
    )
    assert one == same
    assert not one & other
    assert len(one) == SERIES


def test_a_key_is_long_enough_and_is_there(private: Path, tmp_path: Path) -> None:
    for content, error, code in ((b"short", ConfigError, "key-too-short"), (None, DataError, "file-unreadable")):
        key = tmp_path / "short"
        key.unlink(missing_ok=True)
        if content is not None:
            key.write_bytes(content)
        with pytest.raises(error) as refused:
            tsx.forecast(table(), model=private, private=True, pseudonym_key=key)
        assert refused.value.code == code


def test_a_model_that_knows_each_series_does_not_read_pseudonyms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tsx.training.fit, "choose_series_embedding", lambda network, *held: (network, (), ()))
    rows = pl.concat(
        pl.DataFrame({"id": name, "t": range(1200), "y": np.random.default_rng(0).normal(size=1200)}) for name in "ab"
    )
    tsx.fit(rows, model=tmp_path / "m", time="t", horizon=2, context_length=4, max_steps=1, hidden_size=4)
    with pytest.raises(ConfigError) as refused:
        tsx.forecast(rows, model=tmp_path / "m", private=True)
    assert "--private" in refused.value.hint


def test_commands_without_data_ask_for_it_where_the_model_is_private(private: Path) -> None:
    with pytest.raises(UsageError) as asked:
        tsx.forecast(model=private)
    assert asked.value.code == "data-needed"


def test_private_and_show_values_contradict_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forecast", "--private", "--show-values", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "flags-contradict"


def test_a_private_explanation_is_of_11_series_at_least(private: Path) -> None:
    few = table().filter(pl.col("person").is_in(IDS[:10]))
    with pytest.raises(DataError) as refused:
        tsx.explain(few, model=private, private=True, max_evals=60)
    assert refused.value.code == "group-too-small"


def test_private_explanations_hold_no_input_and_no_series_to_picture(private: Path) -> None:
    explanation = tsx.explain(table(), model=private, private=True, max_evals=60)
    assert explanation.lag_importance["value"].null_count() == explanation.lag_importance.height
    assert (explanation.history.height, explanation.quantiles.height) == (0, 0)
    window = ["person", "cutoff", "step"]
    sums = explanation.lag_importance.group_by(window).agg(pl.col("shap").sum())
    whole = explanation.forecasts.join(sums, on=window, validate="1:1")
    assert whole.height == SERIES * 3
    np.testing.assert_allclose(whole["base_value"] + whole["shap"], whole["yhat"], rtol=1e-4)


@given(st.lists(st.integers(0, 15), min_size=1, max_size=8), st.integers(0, 15))
def test_neither_a_cohort_nor_what_the_others_leave_of_all_is_of_fewer_than_11_series(
    sizes: list[int], without: int
) -> None:
    """Nothing that could stay is left out either: with one cohort more, one of both would be too small."""
    codes = np.concatenate([np.repeat(np.arange(len(sizes)), sizes), np.full(without, -1)])
    cohorts = Cohorts("ward", tuple(map(str, range(len(sizes)))), codes, np.ones(len(codes), np.int64))
    kept = large_enough(cohorts, 11)
    left = np.bincount(kept.codes[kept.codes >= 0], minlength=len(sizes))
    rest = len(codes) - left.sum()
    assert ((left == 0) | (left >= 11)).all()
    assert rest == 0 or rest >= 11 or not left.any()
    gone = [size for n, size in enumerate(sizes) if not left[n] and size >= 11]
    if left.any() and gone:
        assert 0 < rest - max(gone) < 11


def stays(extreme: float = EXTREME[0], rare: int = 0) -> pl.DataFrame:
    """Six hours of 24 persons, half of whom are ill: one with an extreme pulse, six from wards of their own, and
    `rare` with an outcome of their own kind."""
    random = np.random.default_rng(0)
    return pl.concat(
        pl.DataFrame(
            {
                "person": person,
                "hour": range(6),
                "pulse": [*(70 + 10 * (n % 2) + random.normal(size=5)), extreme if n == 3 else 71.0 + n / 7],
                "ward": RARE[n] if n < len(RARE) else COMMON,
                "weight": extreme if n == 5 else 60.0 + n / 8,
                "outcome": "one-of-a-kind" if n < rare else ("ill", "well")[n % 2],
            }
        )
        for n, person in enumerate(IDS)
    )


CLASSES: Any = {"id": "person", "label": "outcome", "max_steps": 2, "hidden_size": 4, "device": "cpu"}


def test_a_private_classifier_holds_no_canary(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    stays().write_csv(tmp_path / FOLDER / "stays.csv")
    tsx.fit(tmp_path / FOLDER / "stays.csv", model=tmp_path / "m", private=True, **CLASSES)
    for path in in_use(tmp_path / "m").iterdir():
        text = content_of(path.name, path.read_bytes())
        said = text if path.suffix != ".safetensors" else ""  # seven digits of some id are among so many by chance
        assert (path.name, quoted(said, [*IDS, *RARE, COMMON, FOLDER])) == (path.name, [])
        assert (path.name, near_extremes(text)) == (path.name, [])
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(UsageError, match="does not say which file"):
        tsx.classify(model=tmp_path / "m")


def test_a_class_of_few_series_is_in_no_private_classifier(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        tsx.fit(stays(rare=3), model=tmp_path / "m", private=True, **CLASSES)
    assert refused.value.code == "group-too-small"
    assert "2 of 3 classes" in refused.value.message
    assert "one-of-a-kind" not in refused.value.message + refused.value.hint
    assert not (tmp_path / "m").exists()


def test_no_extreme_value_follows_from_the_scales_of_a_classifier(tmp_path: Path) -> None:
    """Whatever it was, they are the same: there is nothing to try values against."""
    found = []
    for extreme in (EXTREME[0], 3 * EXTREME[0]):
        classifier = tsx.fit(stays(extreme), model=tmp_path / f"{extreme}", **CLASSES).classifier  # type: ignore[union-attr]
        weights = classifier.network.state_dict()
        scales = {name: each for name, each in weights.items() if "location" in name or "scale" in name}
        found.append({**scales, "location": torch.from_numpy(classifier.location)})
    assert len(found[0]) > 5
    for name, value in found[0].items():
        assert torch.equal(value, found[1][name]), name
