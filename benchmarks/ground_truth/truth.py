"""The SHAP values of the rule itself, exact by enumeration of its few cells: what a perfect explainer of a perfectly
fitted network would find.
"""

from __future__ import annotations

from math import comb

import numpy as np

from benchmarks.ground_truth.fitting import Cell, Problem, cut
from benchmarks.ground_truth.processes import LENGTH, Process
from benchmarks.ground_truth.scores import Attribution

LARGEST = 2**18
"""Evaluations of the rule for one window; with more cells fewer references are averaged over."""


def rule_shap(process: Process, windows: np.ndarray, references: np.ndarray) -> np.ndarray:
    """(W, k): Shapley values (Shapley 1953) of the rule's k cells for `windows` (W, k), in the order of `truth`.

    An absent cell has the reference's value: `references` (R, k), or (W, R, k) where each window has its own. Missing
    values count as 0, their mean. The cells that the rule does not look at have 0.
    """
    count = windows.shape[1]
    coalitions = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    references = np.broadcast_to(references, (len(windows), *references.shape[-2:]))
    worth = np.stack(
        [
            _rule(process, np.where(coalitions[:, None] == 1, window, own)).mean(1)
            for window, own in zip(np.nan_to_num(windows), np.nan_to_num(references))
        ]
    )
    size = coalitions.sum(1)
    found = np.empty(windows.shape)
    for cell in range(count):
        without = np.flatnonzero(coalitions[:, cell] == 0)
        weight = 1 / (count * np.array([comb(count - 1, s) for s in range(count)]))[size[without]]
        found[:, cell] = (worth[:, without + (1 << cell)] - worth[:, without]) @ weight
    return found


def _rule(process: Process, values: np.ndarray) -> np.ndarray:
    """The rule where its cells, the last axis in the order of `causes`, have these values."""
    place = {(cause.feature, cause.distance): n for n, cause in enumerate(process.causes)}
    return process.rule(lambda name, distance: values[..., place[name, distance]])


def error(problem: Problem, found: Attribution) -> float | None:
    """Root of the summed squared differences from the rule's SHAP values, relative to these; None against zeros.

    The references are of the kind that the method took. What the network did not learn counts as well as what the
    explainer got wrong; of methods that explain the same network the first part is the same.
    """
    if found.reference == "zero":
        return None
    process = problem.process
    cells = tuple(process.truth())
    count = min(512, max(8, LARGEST >> len(cells)))
    place = [found.cells.index(cell) for cell in cells]
    true = np.zeros(found.values.shape)
    true[:, place] = rule_shap(process, found.inputs[:, place], _references(problem, cells, count, found.reference))
    return float(np.sqrt(np.square(found.values - true).sum() / np.square(true).sum()))


def _references(problem: Problem, cells: tuple[Cell, ...], count: int, kind: str) -> np.ndarray:
    if kind == "panel":
        columns = [problem.cells.index(cell) for cell in cells]
        return problem.references[:count][:, columns]
    context = problem.process.context_length
    times = np.linspace(context - 1, LENGTH - 1 - context, count).round().astype(np.int64)
    return np.stack(
        [cut(problem.sample, cells, np.full(count, series), times) for series in range(len(problem.windows))]
    )
