"""Whether the level of a series wanders, told by two tests with opposite null hypotheses. S series, L steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tsx.panel.lookup import carry_forward
from tsx.profile.observed import mean

Matrix = NDArray[np.float64]
Ints = NDArray[np.int64]

BLOCKS = 400
FEWEST_BLOCKS = 50
OBSERVED = 0.8
KPSS_5 = 0.463
"""Kwiatkowski, Phillips, Schmidt & Shin (1992), table 1: level, 5 %."""


@dataclass(frozen=True)
class Level:
    """Of so many `judged` series the level `wanders` (random walk, trend) or is `steady`; the rest is not clear."""

    judged: int
    wanders: int
    steady: int


def level_of(target: Matrix, season: int) -> Level:
    """Whether the level of each series wanders, told by two tests with opposite null hypotheses at 5 %.

    It wanders where a random walk is not refused by the augmented Dickey-Fuller test with a constant (Said & Dickey
    1984; critical values: MacKinnon 2010, table 2) and a steady level is refused by the KPSS test (Kwiatkowski et al.
    1992); it is steady where it is the other way round. Both see means of blocks, whole seasons where there are enough
    of them, so that a season does not count as wandering; fewer than 50 blocks are not judged.
    """
    blocks = _blocks(target, season)
    count = np.minimum(_run_in(blocks), blocks.shape[1])
    known = (~np.isnan(blocks)).sum(axis=1)
    judged = (count >= FEWEST_BLOCKS) & (known >= OBSERVED * count)
    known_ends = np.where(np.isnan(blocks), -np.inf, blocks).max(axis=1, initial=-np.inf)
    judged &= known_ends > np.where(np.isnan(blocks), np.inf, blocks).min(axis=1, initial=np.inf)
    if not judged.any():
        return Level(0, 0, 0)
    level = carry_forward(blocks[judged])
    walk = dickey_fuller(level) > _dickey_fuller_5(count[judged])
    moving = kpss(level) > KPSS_5
    return Level(int(judged.sum()), int((walk & moving).sum()), int((~walk & ~moving).sum()))


def dickey_fuller(level: Matrix) -> Matrix:
    """(S) t statistic of the level in the regression of its change on a constant, the level and past changes.

    `level` (S, L) has no gaps after its first value. Lags: 4 (n / 100)^(1/4) of Schwert (1989).
    """
    lags = int(4 * (level.shape[1] / 100) ** 0.25)
    change = np.diff(level, axis=1)
    columns = [level[:, lags:-1], *(change[:, lags - k : change.shape[1] - k] for k in range(1, lags + 1))]
    x = np.stack([np.ones_like(columns[0]), *columns], axis=2)
    y = change[:, lags:]
    whole = ~(np.isnan(x).any(axis=2) | np.isnan(y))
    middle = np.nanmean(level, axis=1)
    spread = np.nanstd(level, axis=1)
    x[:, :, 1] = (x[:, :, 1] - middle[:, None]) / spread[:, None]
    x[:, :, 2:] /= spread[:, None, None]
    x = np.where(whole[:, :, None], x, 0.0)
    y = np.where(whole, y / spread[:, None], 0.0)
    gram = x.transpose(0, 2, 1) @ x
    gram += 1e-10 * np.trace(gram, axis1=1, axis2=2)[:, None, None] * np.eye(gram.shape[1])
    inverse = np.linalg.inv(gram)
    weights = (inverse @ (x.transpose(0, 2, 1) @ y[:, :, None]))[:, :, 0]
    rest = np.where(whole, y - (x @ weights[:, :, None])[:, :, 0], 0.0)
    variance = (rest**2).sum(axis=1) / np.maximum(whole.sum(axis=1) - x.shape[2], 1)
    return np.asarray(weights[:, 1] / np.sqrt(np.maximum(variance * inverse[:, 1, 1], 1e-300)))


def kpss(level: Matrix) -> Matrix:
    """(S) the KPSS statistic for a steady level; Bartlett weights over 4 (n / 100)^(1/4) lags."""
    observed = ~np.isnan(level)
    count = observed.sum(axis=1)
    rest = np.where(observed, level - np.nanmean(level, axis=1)[:, None], 0.0)
    lags = int(4 * (level.shape[1] / 100) ** 0.25)
    variance = (rest**2).sum(axis=1)
    for k in range(1, lags + 1):
        variance += 2 * (1 - k / (lags + 1)) * (rest[:, k:] * rest[:, :-k]).sum(axis=1)
    sums = np.where(observed, np.cumsum(rest, axis=1), 0.0)
    return np.asarray((sums**2).sum(axis=1) / count / np.maximum(variance, 1e-300))


def _blocks(target: Matrix, season: int) -> Matrix:
    """(S, at most 400) means of blocks of steps, counted from the end; whole seasons where 50 of them are there."""
    steps = target.shape[1]
    whole = season > 1 and steps // season >= FEWEST_BLOCKS
    unit = season if whole else 1
    width = unit * -(-steps // (unit * BLOCKS))
    if width == 1:
        return target
    blocks = target[:, steps % width :].reshape(len(target), -1, width)
    return mean(blocks, axis=2, least=width // 2 + 1)


def _run_in(values: Matrix) -> Ints:
    """(S) columns from the first observed one to the end."""
    observed = ~np.isnan(values)
    return np.where(observed.any(axis=1), values.shape[1] - observed.argmax(axis=1), 0)


def _dickey_fuller_5(count: Ints) -> Matrix:
    """The 5 % critical value of the regression with a constant, by the number of steps (MacKinnon 2010, table 2)."""
    return -2.86154 - 2.8903 / count - 4.234 / count**2 - 40.04 / count**3
