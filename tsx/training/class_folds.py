"""Which series are held out when: every class in every part, and no group on both sides."""

from __future__ import annotations

import warnings

import numpy as np

from tsx.errors import ConfigError
from tsx.spec.decision import Decision
from tsx.wording import count

FOLDS = 5
MANY_SERIES = 10_000
"""Series from which one part is held out once; of fewer, each is held out once in turn."""
HELD_OUT = 0.1
NEWEST = 0.2
"""Share of the series that is held out where it is those that begin last."""
MOST_HELD_OUT = 10_000


def stratified_folds(codes: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """int64 (N): the part in [0, folds) of each series, of classes `codes` (N) and `groups` (N).

    Fewer parts than asked for where no class has as many series.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold  # type: ignore[import-untyped]

    folds = max(2, min(folds, int(np.bincount(codes).max())))
    grouped = len(np.unique(groups)) < len(groups)
    splitter = (StratifiedGroupKFold if grouped else StratifiedKFold)(folds, shuffle=True, random_state=seed)
    parts = np.empty(len(codes), np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class with fewer series than parts is a finding of ours
        for k, (_, held) in enumerate(splitter.split(codes, codes, groups)):
            parts[held] = k
    return parts


def plan_folds(codes: np.ndarray, groups: np.ndarray, seed: int) -> tuple[list[np.ndarray], Decision]:
    """The series that are held out from each network, each class in proportion, as flags (N), and the decision."""
    series, independent = len(codes), len(np.unique(groups))
    together = ", series of one group together" if independent < series else ""
    if series >= MANY_SERIES:
        parts = stratified_folds(codes, groups, max(round(1 / HELD_OUT), -(-series // MOST_HELD_OUT)), seed)
        held = parts == 0
        reason = f"of {series:,} series, {int(held.sum()):,} are held out once, each class in proportion{together}"
        return [held], Decision("held_out", int(held.sum()), reason)
    folds = min(FOLDS, independent)
    parts = stratified_folds(codes, groups, folds, seed)
    networks = len(np.unique(parts))
    reason = (
        f"{count(series, 'series')}: {networks} networks, each trained without another part, each class in proportion"
        f"{together}; all are kept, and their mean is the model"
    )
    held_out = [parts == k for k in range(networks)]
    return held_out, Decision("held_out", series, reason)


def newest_fold(
    codes: np.ndarray, groups: np.ndarray, starts: np.ndarray, label: str
) -> tuple[list[np.ndarray], Decision]:
    """The fifth of the series that begin last, `starts` (N) in any unit, as flags (N), and the decision.

    A group begins when its last series does, so that none is on both sides. Raises ConfigError `settings-contradict`
    where no series begins later than the others, or a class has none that begins earlier.
    """
    numbers = np.unique(groups, return_inverse=True)[1]
    last = np.full(numbers.max() + 1, starts.min())
    np.maximum.at(last, numbers, starts)
    begin = last[numbers]
    held = begin > np.quantile(begin, 1 - NEWEST, method="lower")
    why = ""
    if not held.any():
        why = "no series begins later than the others"
    elif len(np.unique(codes[~held])) < len(np.unique(codes)):
        why = f"of a class of {label!r} no series begins earlier than those that would be held out"
    if why:
        raise ConfigError(
            "settings-contradict",
            f"the series that begin last cannot be held out: {why}",
            hint="leave --hold-out out: every series is held out once, each class in proportion",
            where="hold_out",
        )
    reason = f"as asked: the {count(int(held.sum()), 'series', 'series')} of {len(codes):,} that begin last"
    return [held], Decision("held_out", int(held.sum()), reason)
