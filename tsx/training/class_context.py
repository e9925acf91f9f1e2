"""Whether the older rows of long series tell classes better than the newest do alone: the data choose what is read.

Shapes: N series that are looked at, C channels, K classes.
"""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tsx.baselines.classes import boosting_log_probabilities, fit_boosting
from tsx.panel.labels import Classes
from tsx.panel.panel import Panel
from tsx.training.class_folds import FOLDS, stratified_folds
from tsx.wording import number

Floats = NDArray[np.float64]

LOOKED_AT = 500
"""Series at most that are looked at, evenly spaced."""
STRETCHES = 8
"""Of the newest rows, and as many of the older ones."""
FEWEST = 20
"""Series below which no difference could be told."""
BETTER = 2.0
"""Standard errors of the difference by which the log loss must be lower with the older rows: to read more steps at once
blurs the newest ones, so that chance should not ask for it."""


def older_rows_help(
    panel: Panel, classes: Classes, learnt: NDArray[np.int64], newest: int, longest: int, seed: int
) -> tuple[bool, str]:
    """Whether the `longest` rows of each series tell its class better than the `newest` ones, and why it is said so.

    learnt  numbers of series with a label, of which some are looked at

    Gradient boosting on mean, deviation, least and largest of each channel in stretches of time is fitted with and
    without those of the older rows. Series are held out in turn; those of one group together.
    """
    series = learnt[:: max(1, -(-len(learnt) // LOOKED_AT))]
    codes, groups, count = classes.codes[series], classes.groups[series], len(classes.names)
    if not panel.values.shape[1] or len(series) < FEWEST or len(np.unique(groups)) < FOLDS:
        return False, "whether older ones tell more could not be tried"
    ends = np.linspace(0, newest, STRETCHES + 1).astype(np.int64)
    older = np.linspace(newest, longest, STRETCHES + 1).astype(np.int64)
    near = _stretches(panel, series, ends)
    every = np.concatenate([near, _stretches(panel, series, older)], 1)
    parts = stratified_folds(codes, groups, FOLDS, seed)
    lost = [_losses(features, codes, parts, count, seed) for features in (near, every)]
    less = lost[0] - lost[1]
    error = float(less.std() / np.sqrt(len(less)))
    helps = bool(less.mean() > BETTER * error)
    with_them, without, uncertain = (number(float(each), 3) for each in (lost[1].mean(), lost[0].mean(), error))
    figures = f"log loss of gradient boosting {with_them} with them, {without} without, standard error {uncertain}"
    return helps, f"older ones {'tell more' if helps else 'were not shown to tell more'} ({figures})"


def _stretches(panel: Panel, series: NDArray[np.int64], ends: NDArray[np.int64]) -> Floats:
    """(N, stretches times 4 C): mean, deviation, least and largest of the rows between `ends`, counted back from the
    newest; NaN where a series has none."""
    features = np.full((len(series), len(ends) - 1, 4, panel.values.shape[1]), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a stretch in which a channel was never observed
        for n, one in enumerate(series):
            begin, end = panel.offsets[one], panel.offsets[one + 1]
            for k, (first, last) in enumerate(pairwise(ends)):
                rows = panel.values[max(begin, end - last) : max(begin, end - first)].astype(np.float64)
                if len(rows):
                    centre = panel.centers[one]
                    low, high = np.nanmin(rows, 0), np.nanmax(rows, 0)
                    features[n, k] = np.nanmean(rows, 0) + centre, np.nanstd(rows, 0), low + centre, high + centre
    return features.reshape(len(series), -1)


def _losses(features: Floats, codes: NDArray[np.int64], parts: NDArray[np.int64], classes: int, seed: int) -> Floats:
    """(N) log losses of series by a boosting that was fitted without their part."""
    lost = np.zeros(len(codes))
    for part in np.unique(parts):
        held = parts == part
        if len(np.unique(codes[~held])) > 1:
            model = fit_boosting(features[~held], codes[~held], classes, seed)
            said = boosting_log_probabilities(model, features[held], classes)
            lost[held] = -said[np.arange(held.sum()), codes[held]]
    return lost
