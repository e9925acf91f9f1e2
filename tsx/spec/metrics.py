"""The metrics in the tables that people read, and their headings. `tsx.evaluation.metrics` has all, with formulas."""

from __future__ import annotations

SHOWN_METRICS = {"mase": "MASE", "smape": "sMAPE %", "rmse": "RMSE", "scaled_crps": "scaled CRPS"}
"""Heading by name; the lower the better. Beside them stands the coverage of an interval."""
