"""How well an attribution finds the causes, and how well its standard errors speak of themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from benchmarks.ground_truth.fitting import Cell
from benchmarks.ground_truth.processes import Process

COVERED = 1.959964


@dataclass(frozen=True, eq=False)
class Attribution:
    """What a method says of W windows at the explained step: values (W, P), one a cell.

    `inputs` (W, P): the cells' own values. `reference`: what stands in for an absent cell: other windows of the same
    series, of the panel, or zeros. `facts`: what else there is to report of the run.
    """

    cells: tuple[Cell, ...]
    values: np.ndarray
    inputs: np.ndarray
    reference: Literal["series", "panel", "zero"] = "panel"
    facts: dict[str, Any] = field(default_factory=dict)


def score(process: Process, found: Attribution) -> dict[str, Any]:
    """Average precision of the true cells, ranked by mean |value| and, averaged, by each window's own; sign accuracy.

    The last is the share of true cells with the right sign, None where none has one of its own.
    `lag_90` is the lag within which nine tenths of the past's mean |value| lie.
    """
    truth = process.truth()
    importance = np.abs(found.values).mean(0)
    true = np.array([cell in truth for cell in found.cells])
    place = {cell: n for n, cell in enumerate(found.cells)}
    signed = {cell: sign for cell, sign in truth.items() if sign is not None}
    right = sum(
        sign_of(found.values[:, place[cell]], found.inputs[:, place[cell]]) == sign for cell, sign in signed.items()
    )
    return {
        "average_precision": average_precision(importance, true),
        "window_precision": float(np.mean([average_precision(np.abs(each), true) for each in found.values])),
        "sign_accuracy": right / len(signed) if signed else None,
        "lag_90": reach(found.cells, found.values),
        **found.facts,
    }


def average_precision(importance: np.ndarray, true: np.ndarray) -> float:
    """Mean over the true cells of the precision at each one's rank; among equals the true ones come last."""
    order = np.lexsort((true, -importance))
    hits = true[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


def sign_of(values: np.ndarray, inputs: np.ndarray) -> int:
    """Sign of the correlation of a cell's values with what stood in it; 0 where one of them does not vary."""
    known = ~np.isnan(inputs)
    values, inputs = values[known], inputs[known]
    if len(values) < 2:
        return 0
    product = np.mean((values - values.mean()) * (inputs - inputs.mean()))
    return int(np.sign(product))


def calibration(values: np.ndarray, errors: np.ndarray, longer: np.ndarray, rest: np.ndarray) -> dict[str, float]:
    """z = (values - longer) / root of both squared standard errors: its 95 % coverage, size and how many there are.

    `longer` and its errors `rest` come from an independent run of many more evaluations.
    """
    spread = np.sqrt(np.square(errors) + np.square(rest))
    some = spread > 0
    z = (values[some] - longer[some]) / spread[some]
    if not z.size:
        return {"coverage": float("nan"), "z_size": float("nan"), "z_count": 0}
    return {
        "coverage": float((np.abs(z) <= COVERED).mean()),
        "z_size": float(np.sqrt(np.square(z).mean())),
        "z_count": int(z.size),
    }


def reach(cells: tuple[Cell, ...], values: np.ndarray, share: float = 0.9) -> int:
    """The lag within which `share` of the past's mean |value| lies."""
    importance = np.abs(values).mean(0)
    lags = np.array([lag for _, lag in cells])
    by_lag = np.array([importance[lags == lag].sum() for lag in range(1, lags.max() + 1)])
    reached = np.cumsum(by_lag)
    return int(np.searchsorted(reached, share * reached[-1] * (1 - 1e-12)) + 1)
