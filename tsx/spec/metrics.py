"""The metrics in the tables that people read, and their headings. `tsx.evaluation.metrics` has all, with formulas."""

from __future__ import annotations

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
LOWER_IS_BETTER = ("log_loss", "brier", "calibration_error")
