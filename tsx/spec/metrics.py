"""The metrics in the tables that people read, and their headings. `tsx.evaluation.metrics` has all, with formulas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tsx.wording import NOT_DEFINED, number

SHOWN_METRICS = {"mase": "MASE", "smape": "sMAPE %", "rmse": "RMSE", "scaled_crps": "scaled CRPS"}
"""Heading by name; the lower the better. Beside them stands the coverage of an interval."""

SHOWN_CLASS_METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "log_loss": "log loss",
    "calibration_error": "ECE",
}
"""The same of classifiers; the higher the better but for those of `LOWER_IS_BETTER`."""
SPECIFICITY = 0.9
"""At which the sensitivity is taken."""
CLASS_METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "log_loss": "log loss",
    "brier": "Brier score",
    "calibration_error": "calibration error (ECE)",
    "sensitivity": f"sensitivity{{}} at {100 * SPECIFICITY:g} % specificity",
    "said_accuracy": "accuracy of the labels said",
    "said_sensitivity": "sensitivity{} of the labels said",
    "said_specificity": "specificity{} of the labels said",
    "left_empty": "share of labels left empty",
}
"""All of a classifier, in the words of a list, with a place for the class that they are about."""
OF_LABELS_SAID = ("said_accuracy", "said_sensitivity", "said_specificity", "left_empty")
"""Those of labels as a threshold, costs or abstaining choose them; the others are of probabilities."""
LOWER_IS_BETTER = ("log_loss", "brier", "calibration_error")


def class_figures(row: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Every metric of a classifier that is defined: in words, its value, and its 95 % interval."""
    about = f" for {row['positive']!r}" if row.get("positive") is not None else ""
    return [
        (words.format(about), number(row[name], 3), _interval(row.get(f"{name}_low"), row.get(f"{name}_high")))
        for name, words in CLASS_METRICS.items()
        if row.get(name) is not None
    ]


def _interval(low: float | None, high: float | None) -> str:
    return NOT_DEFINED if low is None or high is None else f"{number(low, 3)} to {number(high, 3)}"
