"""Who plays where that is left to the program: stretches of lags, and the single cells of those that matter.

Most of a window's cells do nothing, and every one of them costs two evaluations in each pair of orders. So stretches of
lags of each feature are played first. Those whose values stand out of their standard errors are then played cell by
cell, as Owen values, which add up to the stretch's own (Owen 1977). The first game decides who plays in the second, and
is no part of its estimates: their errors would be too small where one chose by what was found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tsx.explanation.shap.chunk import Chunk
from tsx.explanation.shap.players import Players, split, stretches
from tsx.explanation.shap.sampling import ShapValues
from tsx.explanation.shap.shap_run import Task, shapley_values, windows_together
from tsx.panel.sampling import evenly_spaced
from tsx.wording import count

STANDS_OUT = 2.0
"""Standard errors that a stretch's values are over to be played cell by cell."""
FEWEST_CELLS = 128
"""With fewer cells each plays for itself: to choose would cost more evaluations than it saves."""
FEWEST_WINDOWS = 4
"""With fewer forecasts, too: in a single one the values of a stretch's cells may cancel, and it would not stand out."""
COARSER, PART = 3.0, 8
"""Stretches are played to this many times the tolerance, and cost at most this part of what a window may cost."""
MOST_TOLERANCE = 0.9


@dataclass(frozen=True, eq=False)
class Choice:
    """The players, why they are these, and the evaluations that it took to choose them."""

    players: Players
    reason: str
    evaluations: int


def choose_players(task: Task, series: np.ndarray, cutoffs: np.ndarray) -> Choice:
    """Who plays in the windows of `series` (W) at `cutoffs` (W, positions), where the question leaves it open.

    Some of the windows, evenly spaced, decide for all, so that rows of all windows have the same players.
    """
    cells, context = task.players, task.forecaster.config.context_length
    blocks = stretches(cells, context)
    if len(cells) < FEWEST_CELLS or 2 * len(blocks) > len(cells):
        return Choice(cells, f"{len(cells)} cells are few enough to be played one by one", 0)
    if len(series) < FEWEST_WINDOWS:
        return Choice(cells, f"{count(len(series), 'forecast')}: too few to tell which stretches of lags matter", 0)
    some = evenly_spaced(len(series), windows_together(cells))
    asked = task.question
    tolerance = min(COARSER * asked.tolerance, MOST_TOLERANCE)
    question = replace(asked, max_evals=max(1, asked.max_evals // PART), tolerance=tolerance)
    batch = task.source.cut(series[some], cutoffs[some])
    references = task.references().of(series[some], cutoffs[some], batch)
    chunk = Chunk.of(task.forecaster, batch, references, blocks, question)
    shap = shapley_values(chunk, question, np.random.default_rng([question.seed, 4]))
    which = stand_out(shap)
    which[0] = True  # the target's newest lags, of which the values cancel most easily
    longest = int(np.bincount(split(cells, blocks, np.zeros_like(which)).of_row).max())
    reason = (
        f"{int(which.sum())} of {len(blocks)} stretches of up to {longest} lags are more than {STANDS_OUT:g} standard "
        "errors from 0 and are played value by value; the values of any other share what it has"
    )
    return Choice(split(cells, blocks, which), reason, sum(each.evaluations for each in shap))


def stand_out(shap: list[ShapValues]) -> np.ndarray:
    """(P) bool: whose values are `STANDS_OUT` standard errors from 0, both as root mean squares over the windows."""
    values, errors = (np.stack([getattr(each, name) for each in shap]) for name in ("values", "errors"))
    size, error = (np.square(each).sum((0, 2)) for each in (values, errors))
    return np.asarray(size > STANDS_OUT**2 * error)
