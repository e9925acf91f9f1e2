"""From antithetic pairs to SHAP values: slopes and variances that many windows share.

Two things would make few pairs worthless. Each estimate inherits the accidents of its reference: for a linear forecast
a player's estimate is its weight times (its cell of the window - that of the reference), all noise coming from the
second. The mean of the cells over all references is known without evaluating the network, so a regression of the
estimates on their own reference's deviation takes that out (a control variate: Owen 2013, *Monte Carlo theory, methods
and examples*, section 8.9). Its slopes are shared by the windows of a chunk, in units of each one's forecasts, as one
network makes them all.
And a variance from few pairs says little: it is moderated towards one that windows share (Smyth 2004, *Linear models
and empirical Bayes methods*, section 3), and Student's t with both degrees of freedom widens the errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from scipy.special import stdtrit
from torch import Tensor

from tsx.runtime.executor import one_thread

SLOPE, VARIANCE = 8.0, 24.0
"""Pairs, as many as those of a normal deviation, from which on a player's own slope or variance stands for itself."""
REACH = 6.0
"""Lags over which what a neighbour counts falls by e."""
FEWEST_FREE = 6
"""Degrees of freedom of a window from which on lines on its own controls are looked at."""
WORTH_A_LINE = 0.7
"""Share of the squared errors that is left at most where these lines are taken."""
RIDGE = 1e-3
"""Of the deviations' own variance: keeps a slope finite where hardly a reference deviates."""


@dataclass(frozen=True, eq=False)
class Surrogate:
    """What a linear forecast would make of the references' cells, for control variates of known mean.

    mean, weight (W, M): the references' mean cells, and what a cell's deviation from it counts in its player's sum:
    over its standard deviation, and with players of several cells times its weight in the linear fit.
    scale (W): the root mean square deviation of the references' forecasts from their mean. base (W, O, G): their mean,
    moved by the linear fit from the references that were evaluated to all of them.
    """

    mean: Tensor
    weight: Tensor
    scale: Tensor
    base: Tensor
    of_cell: Tensor
    players: int

    @classmethod
    def of(
        cls,
        references: Sequence[Tensor],
        evaluated: Sequence[Tensor],
        values: Sequence[Tensor],
        of_cell: Tensor,
        players: int,
        windows: int | None = None,
    ) -> Surrogate:
        """Of W windows: all their references (R, M), and those that were evaluated with their values (E, O, G).

        Those of one window stand for all, where `windows` have the same.
        """
        windows = windows or len(references)
        mean = torch.stack([each.double().nanmean(0) for each in references])
        spread = torch.stack([(r.double() - m).square().nanmean(0).sqrt() for r, m in zip(references, mean)])
        weight = torch.where(spread > 1e-6 * mean.abs(), 1 / spread, 0.0).nan_to_num()
        base = torch.stack([each.mean(0) for each in values])
        apart = [each - own for each, own in zip(values, base)]
        scale = torch.stack([each.sum(-1).square().mean().sqrt() for each in apart])
        scale = torch.where(scale > 0, scale, 1.0)
        several = bool((torch.bincount(of_cell[of_cell >= 0], minlength=1) > 1).any())
        if several or any(len(some) < len(each) for some, each in zip(evaluated, references)):
            cells = [((e.double() - m) * k).nan_to_num().cpu() for e, m, k in zip(evaluated, mean, weight)]
            off = torch.stack([each.mean(0) for each in cells])
            unit = scale[:, None, None]
            fit = _ridge(
                torch.cat([each - own for each, own in zip(cells, off)]),
                torch.cat([(each / s).flatten(1) for each, s in zip(apart, scale)]),
                windows // len(references),
            )
            base = base - (off @ fit).unflatten(1, base.shape[1:]) * unit
            if several:
                weight = weight * _within_players(fit.mean(1), of_cell.cpu(), players).to(weight.device)
        mean, weight, scale, base = (each.expand(windows, *each.shape[1:]) for each in (mean, weight, scale, base))
        return cls(mean.nan_to_num(), weight, scale, base, of_cell, players)

    def deviation(self, references: Tensor, of: Tensor) -> Tensor:
        """(K, P) of references (K, M) of windows `of` (K), as each player's cells deviate from their mean."""
        cells = ((references.double() - self.mean[of]) * self.weight[of]).nan_to_num()
        played = self.of_cell >= 0
        deviations = cells.new_zeros(len(references), self.players)
        return deviations.index_add_(1, self.of_cell[played], cells[:, played])


@dataclass(frozen=True, eq=False)
class Pooled:
    """parts (W, P, O, G), errors (W, P, O), relative (W): root of summed squared errors over that of values."""

    parts: Tensor
    errors: Tensor
    relative: Tensor


@dataclass(frozen=True, eq=False)
class Estimate:
    """parts (W, P, O, G), squared standard errors (W, P, O), their degrees of freedom (W); which windows (W, 1, 1) were
    `controlled` by lines of their own."""

    parts: Tensor
    squared: Tensor
    worth: Tensor
    controlled: Tensor | float = 0.0

    def plus(self, other: Estimate, windows: Tensor, times: Tensor) -> Estimate:
        """With an independent one of some of the windows, by their numbers (N), `times` (N) so much.

        Degrees of freedom of the sum: Welch (1947), *The generalization of "Student's" problem*.
        """
        parts, squared, worth = self.parts.clone(), self.squared.clone(), self.worth.clone()
        more = times[:, None, None].square() * other.squared
        one, two = squared[windows].sum((1, 2)), more.sum((1, 2))
        free = (one + two).square() / (one.square() / worth[windows] + two.square() / other.worth).clamp(min=1e-300)
        worth[windows] = torch.where(one + two > 0, free, worth[windows])
        parts[windows] += times[:, None, None, None] * other.parts
        squared[windows] += more
        return Estimate(parts, squared, worth)

    def summing(self, gap: Tensor, scale: Tensor, known: Tensor | None = None) -> Pooled:
        """The values given that they sum to `gap` (W, O, G): what is missing goes to players by their variances.

        `known` (W, P, O, G): those of another part, without an error, which are added.

        Independent normal errors, of which the sum is known to be zero, have the covariance V - V V' / sum V. Those of
        players that act together are not independent, and lines on the reference's forecast have made their sum right
        before: as much less is taken off as the sums of all windows were less off than independent errors' would be.
        As they sum to zero no error is larger than all others together. Smooth parts and the rest are one from here on.
        """
        share = self.squared + 1e-20 * scale[:, None, None].square()
        share = share / share.sum(1, keepdim=True)
        parts = together(self.parts)
        missing = gap - parts.sum(1)
        parts = parts + share[..., None] * missing[:, None]
        parts = parts if known is None else parts + known
        expected = self.squared.sum(1)
        some = expected > 0
        off = missing.sum(-1).square() / torch.where(some, expected, torch.inf)
        off_on_average = (off.sum() / some.sum().clamp(min=1)).clamp(max=1)
        squared = self.squared * (1 - off_on_average * share)
        others = squared.sqrt().sum(1, keepdim=True) - squared.sqrt()
        squared = torch.minimum(squared, others.square())
        size = parts.sum(-1).square().sum((1, 2))
        relative = torch.where(size > 0, squared.sum((1, 2)) / size.clamp(min=1e-300), 0.0).sqrt()
        wider = torch.from_numpy(t_factor(self.worth.numpy()))
        return Pooled(parts, wider[:, None, None] * squared.sqrt(), relative)


@dataclass(eq=False)
class Moments:
    """Sums over the pairs of each window: all that is kept of them.

    The G parts of estimates are the smooth ones and, as many, those of the rest of the game, which are weighted apart.
    count (W); d, dd, d4 (W, P): deviations, their squares and fourth powers; e, de (W, P, O, G): estimates, and times
    the deviations; ee (W, P, O, 2, 2): products of what they sum to over the smooth parts, and over the others. Of K
    controls of a window's own, whose mean over the references is 0, if there are any: z (W, K), zz (W, K, K), zd
    (W, K, P), ze (W, K, P, O, G).
    """

    count: Tensor
    d: Tensor
    dd: Tensor
    d4: Tensor
    e: Tensor
    de: Tensor
    ee: Tensor
    z: Tensor
    zz: Tensor
    zd: Tensor
    ze: Tensor

    @classmethod
    def none(cls, windows: int, players: int, outputs: torch.Size, controls: int = 0) -> Moments:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(windows, *shape, dtype=torch.float64)

        full = (players, *outputs)
        d, dd, d4 = (zeros(players) for _ in range(3))
        of_controls = (zeros(controls, *shape) for shape in ((), (controls,), (players,), full))
        return cls(zeros(), d, dd, d4, zeros(*full), zeros(*full), zeros(*full[:-1], 2, 2), *of_controls)

    def add(self, of: Tensor, deviation: Tensor, estimates: Tensor, controls: Tensor) -> None:
        """Pairs of windows `of` (N): deviations (N, P) of their references, estimates (N, P, O, G), controls (N, K)."""
        self.count.index_add_(0, of, torch.ones(len(of), dtype=torch.float64))
        self.d.index_add_(0, of, deviation)
        self.dd.index_add_(0, of, deviation.square())
        self.d4.index_add_(0, of, deviation.pow(4))
        self.e.index_add_(0, of, estimates)
        self.de.index_add_(0, of, estimates * deviation[:, :, None, None])
        sums = by_game(estimates)
        self.ee.index_add_(0, of, sums[..., None] * sums[..., None, :])
        if controls.shape[1]:
            self.z.index_add_(0, of, controls)
            self.zz.index_add_(0, of, controls[:, :, None] * controls[:, None])
            self.zd.index_add_(0, of, controls[:, :, None] * deviation[:, None])
            self.ze.index_add_(0, of, controls[:, :, None, None, None] * estimates[:, None])

    def __add__(self, other: Moments) -> Moments:
        """Those of both one's pairs and the other's."""
        return Moments(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def of(self, windows: Tensor) -> Moments:
        """Those of some of the windows, by their numbers."""
        return Moments(*(getattr(self, each.name)[windows] for each in fields(self)))

    def estimate(self, weight: Tensor, scale: Tensor, near: Tensor) -> Estimate:
        """The values of the smooth parts and of the rest, times their `weight` (W, 2), by pooled lines.

        Every window has two pairs at least. `scale` (W) makes windows comparable; `near` (P, P): how much players
        resemble each other.
        """
        n = self.count[:, None]
        unit = scale[:, None, None, None]
        of_part = weight.repeat_interleave(self.e.shape[-1] // 2, 1)[:, None, None]
        own = self.d / n
        dd = (self.dd - n * own.square()).clamp(min=0)
        mean = self.e / n[..., None, None]
        de = (self.de - self.e * own[..., None, None]) / unit
        # pairs of a normal deviation that tell as much: a cell that is the same in most references is known from a few
        heavy = self.d4.sum(0) / self.dd.sum(0).clamp(min=1e-300)
        several = self.dd.sum(0) * (3 / heavy.clamp(min=1e-300)).clamp(max=1)
        mixed = _borrowed(several, near, SLOPE)
        known = (mixed @ dd.sum(0) + RIDGE * self.dd.sum(0)).clamp(min=1e-300)  # (P)
        slope = torch.einsum("pq,qog->pog", mixed, de.sum(0)) / known[:, None, None]
        parts = of_part * (mean - own[..., None, None] * slope * unit)
        # what is left around the pooled lines, in units of the windows
        line, unit = (of_part * slope).sum(-1), unit[..., 0]
        squares = torch.einsum("wpoij,wi,wj->wpo", self.ee, weight, weight)
        ee = (squares - n[..., None] * (of_part * mean).sum(-1).square()) / unit.square()
        left = (ee - 2 * line * (of_part * de).sum(-1) + line.square() * dd[..., None]).clamp(min=0)
        left = torch.where(left > 1e-12 * squares / unit.square(), left, 0.0)  # rounding
        total = float((self.count - 1).sum())
        freedom = (self.count - 1) * (1 - 1 / max(total, 2.0))  # the windows share the cost of one slope
        lost = several / (several - 1).clamp(min=1)  # a slope of few deviations fits them too well
        alone = left.sum(0) / freedom.sum() * lost.clamp(min=1)[:, None]
        shared = _borrowed(several, near, VARIANCE) @ alone
        # where no reference deviates estimates vary by other players' cells, which others' evidence says nothing of
        shared = torch.where((several > 0)[:, None], shared, torch.maximum(shared, alone))
        variance, worth = moderated_variance(left / freedom[:, None, None], freedom, shared)
        # of the slopes, where what is left grows with the deviation
        around = shared * (mixed.square() @ self.d4.sum(0) / known.square().clamp(min=1e-300))[:, None]
        around = around * own[..., None].square()
        squared = unit.square() * (variance / n[..., None] + around)
        plain = Estimate(parts, squared, worth)
        if not self.z.shape[1]:
            return plain
        one = self._controlled(plain, of_part, slope, left, scale)
        return replace(one, squared=one.squared + unit.square() * around * one.controlled)

    def _controlled(self, plain: Estimate, of_part: Tensor, slope: Tensor, left: Tensor, scale: Tensor) -> Estimate:
        """The estimate with what a line on the window's own controls takes out; `plain` where that is not much.

        `slope` (P, O, G) and `left` (W, P, O), the squares left around the pooled lines, are in units of `scale` (W).
        Whether lines are worth their degrees of freedom is one decision for all windows, which no window's luck makes.
        """
        count, unit = self.count[:, None], scale[:, None, None, None]
        controls = self.z.shape[1]
        freedom = self.count - 1 - controls
        usable = freedom >= FEWEST_FREE
        if not bool(usable.any()):
            return plain
        mean = self.z / count
        around = self.zz - count[..., None] * mean[:, :, None] * mean[:, None]
        # deviations are in units of their own spread: with less than that no reference deviates
        size = around.diagonal(dim1=1, dim2=2).mean(1)[:, None, None].clamp(min=1e-6)
        inverse = torch.linalg.inv(around + RIDGE * size * torch.eye(controls, dtype=around.dtype))
        with_controls = of_part[:, None] * (self.ze - (unit * slope)[:, None] * self.zd[..., None, None])
        with_controls = with_controls - (count * mean)[:, :, None, None, None] * plain.parts[:, None]
        line = torch.einsum("wkl,wlpog->wkpog", inverse, with_controls)
        parts = plain.parts - torch.einsum("wk,wkpog->wpog", mean, line)
        explained = (line.sum(-1) * with_controls.sum(-1)).sum(1) / unit[..., 0].square()
        left = (left - explained).clamp(min=1e-12 * left)
        shared = left[usable].sum(0) / freedom[usable].sum()
        variance = torch.zeros_like(left)
        worth = plain.worth.clone()
        variance[usable], worth[usable] = moderated_variance(
            left[usable] / freedom[usable, None, None], freedom[usable], shared
        )
        farther = 1 / self.count + torch.einsum("wk,wkl,wl->w", mean, inverse, mean)
        squared = unit[..., 0].square() * variance * farther[:, None, None]
        if float(squared[usable].sum()) > WORTH_A_LINE * float(plain.squared[usable].sum()):
            return plain
        chosen = usable[:, None, None]
        return Estimate(
            torch.where(chosen[..., None], parts, plain.parts),
            torch.where(chosen, squared, plain.squared),
            worth,
            chosen,
        )


def together(parts: Tensor) -> Tensor:
    """(..., G): smooth parts and those of the rest (..., 2 G), added up."""
    found: Tensor = parts.unflatten(-1, (2, -1)).sum(-2)
    return found


def by_game(parts: Tensor) -> Tensor:
    """(..., 2): what the smooth parts sum to, and what those of the rest do, of both (..., 2 G)."""
    found: Tensor = parts.unflatten(-1, (2, -1)).sum(-1)
    return found


def t_factor(freedom: np.ndarray | float) -> np.ndarray:
    """What a standard error of so many degrees of freedom is multiplied by, to be read as that of a normal deviation.

    Plus and minus 1.96 of these hold in 95 % of cases, as Student's t has it.
    """
    return np.asarray(stdtrit(freedom, 0.975) / 1.959964)


def moderated_variance(variance: Tensor, freedom: Tensor, shared: Tensor) -> tuple[Tensor, Tensor]:
    """Variances (W, P, O) of `freedom` (W) degrees, drawn towards what windows share, and the degrees they have then.

    The shared one is that of a player and output (P, O) times a factor per window. How far the variances
    themselves scatter around it beyond chance says how many degrees of freedom it is worth: the squared coefficient of
    variation of an F(d, d0) variable is 2 (d + d0 - 2) / (d (d0 - 4)), solved for d0 (Smyth 2004 matches logarithms,
    which do not bear the zeros of inputs that are mostly zero). What W windows share is worth W - 1 at most.
    """
    windows = len(variance)
    weight = freedom[:, None, None]
    some = shared > 1e-12 * shared.mean()
    if windows == 1 or not bool(some.any()):
        return variance, freedom
    factor = (variance[:, some].mean(1) / shared[some].mean())[:, None, None].clamp(min=1e-12)
    shared = shared / ((factor * weight).sum() / weight.sum())
    prior = factor * shared
    ratio = variance[:, some] / prior[:, some]
    d, most = float(freedom.mean()), float(freedom.sum()) * (windows - 1) / windows
    scatter = float(ratio.var() / ratio.mean().square()) * windows / (windows - 1)  # each is part of its own prior
    beyond = scatter * d - 2
    worth = min((2 * d - 4 + 4 * scatter * d) / beyond, most) if beyond > 0 else most
    return (worth * prior + weight * variance) / (worth + weight), worth + freedom


def _within_players(fit: Tensor, of_cell: Tensor, players: int) -> Tensor:
    """(M): what the cells of a player count beside each other, by a linear `fit` (M); 1 for a player of one cell.

    In units in which a player's counts have length 1, so that slopes can be compared with those of single cells.
    """
    own, played = of_cell.clamp(min=0), of_cell >= 0
    squares = fit.new_zeros(players).index_add_(0, of_cell[played], fit[played].square())
    alone = torch.bincount(of_cell[played], minlength=players) == 1
    return torch.where(alone[own] & played, 1.0, fit / squares.sqrt().clamp(min=1e-300)[own])


def player_similarity(feature: Sequence[str | None], lag: Sequence[int | None]) -> Tensor:
    """(P, P): how much players resemble each other: those of one feature by their distance in time, no others."""
    names = np.array([str(each) for each in feature])
    times = np.array([0.0 if each is None else each for each in lag])
    apart = np.abs(times[:, None] - times)
    return torch.from_numpy(np.where(names[:, None] == names, np.exp(-apart / REACH), 0.0))


def _borrowed(several: Tensor, near: Tensor, enough: float) -> Tensor:
    """(P, P), rows sum to one: how much each player's evidence, worth `several` pairs (P), counts for every one."""
    own = (several / enough).clamp(max=1).square()
    others = near * several / (near @ several).clamp(min=1e-300)[:, None]
    return own[:, None] * torch.eye(len(own), dtype=own.dtype) + (1 - own)[:, None] * others


def _ridge(cells: Tensor, values: Tensor, copies: int) -> Tensor:
    """(M, V) weights of a linear fit of `values` (N, V) on standardised cells (N, M), each held as by ten of them.

    Every row stands for so many `copies` of itself.

    On one thread, so that the last digits do not depend on how many there are.
    """
    with one_thread():
        gram = cells.T @ cells + 10 / copies * torch.eye(cells.shape[1], dtype=cells.dtype)
        weights: Tensor = torch.linalg.solve(gram, cells.T @ values)
    return weights
