"""The sets of labelled series, what is asked of each, and published or measured figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

FOLDS = 5


@dataclass(frozen=True)
class Part:
    """A table to fit on and one to classify, which have no series in common."""

    train: pl.DataFrame
    test: pl.DataFrame


@dataclass(frozen=True)
class LabelledSet:
    """A set, its label and id, the settings that are not left to the program, and the figures to compare with.

    parts  from the folder of the data and whether one is chosen from training series alone: fit and test tables
    reach  the least that is asked of each metric; `aim` what is hoped for
    """

    label: str
    id: str
    parts: Callable[[Path, bool], Iterator[Part]]
    metrics: tuple[str, ...]
    references: str
    reach: dict[str, float]
    aim: dict[str, float]
    settings: dict[str, Any] = field(default_factory=dict)


def given(name: str, id: str) -> Callable[[Path, bool], Iterator[Part]]:
    """The training and the test file of a set; to choose by, every fourth series of the training file is held out."""

    def parts(data: Path, validate: bool) -> Iterator[Part]:
        train = pl.read_parquet(data / f"{name}_train.parquet")
        if validate:
            held = pl.col(id).hash(seed=1) % 4 == 0
            yield Part(train.filter(~held), train.filter(held))
        else:
            yield Part(train, pl.read_parquet(data / f"{name}_test.parquet"))

    return parts


def stays(data: Path, validate: bool) -> Iterator[Part]:
    """Five folds by the number of the stay; to choose by, fold 1 from folds 2 to 4."""
    table = pl.read_parquet(data / "icu_train.parquet")
    fold = pl.col("stay") % FOLDS
    if validate:
        yield Part(table.filter(fold > 1), table.filter(fold == 1))
        return
    for k in range(FOLDS):
        yield Part(table.filter(fold != k), table.filter(fold == k))


def archive(name: str, references: str, reach: float, aim: float) -> LabelledSet:
    return LabelledSet(
        "label", "case", given(name, "case"), ("accuracy",), references, {"accuracy": reach}, {"accuracy": aim}
    )


def mnist(references: str, reach: float, aim: float, **settings: Any) -> LabelledSet:
    parts = given("mnist", "image")
    return LabelledSet(
        "digit", "image", parts, ("accuracy",), references, {"accuracy": reach}, {"accuracy": aim}, settings
    )


SETS = {
    "mnist-2x50": mnist("the same network written plainly .982 in 233 CPU s", 0.985, 0.99, layers=2, hidden_size=50),
    "mnist": mnist("LSTM 128 up to .989", 0.990, 0.993),
    "mnist1d": LabelledSet(
        "digit",
        "case",
        given("mnist1d", "case"),
        ("accuracy",),
        "plain LSTM .61, MLP .68, GRU .91, CNN .94",
        {"accuracy": 0.92},
        {"accuracy": 0.95},
    ),
    "japanesevowels": archive("japanesevowels", "FCN .993", 0.985, 0.995),
    "gunpoint": archive("gunpoint", "1.0 (several)", 0.993, 1.0),
    "italypowerdemand": archive("italypowerdemand", "HIVE-COTE 2 .970", 0.962, 0.972),
    "osuleaf": archive("osuleaf", "LSTM-FCN .983, InceptionTime .921", 0.93, 0.98),
    "reviews": LabelledSet(
        "sentiment",
        "review",
        given("reviews", "review"),
        ("accuracy",),
        "TF-IDF and logistic regression .769",
        {"accuracy": 0.775},
        {"accuracy": 0.81},
    ),
    "icu": LabelledSet(
        "died",
        "stay",
        stays,
        ("auroc", "auprc", "calibration_error"),
        "gradient boosting on summaries .870/.552, logistic regression .855/.528",
        {"auroc": 0.874, "auprc": 0.560, "calibration_error": 0.02},
        {"auroc": 0.885, "auprc": 0.585, "calibration_error": 0.01},
    ),
}
