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
    "sensitivity": f"sensitivity at {100 * SPECIFICITY:g} % specificity",
}
"""All of a classifier, in the words of a list."""
LOWER_IS_BETTER = ("log_loss", "brier", "calibration_error")


def class_figures(row: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Every metric of a classifier that is defined: in words, its value, and its 95 % interval."""
    return [
        (words, number(row[name], 3), _interval(row.get(f"{name}_low"), row.get(f"{name}_high")))
        for name, words in CLASS_METRICS.items()
        if row.get(name) is not None
    ]


def _interval(low: float | None, high: float | None) -> str:
    return NOT_DEFINED if low is None or high is None else f"{number(low, 3)} to {number(high, 3)}"
