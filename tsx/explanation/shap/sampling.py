"""SHAP values of many windows by antithetic permutation sampling, with standard errors that hold.

The game. v(A) of a window x: the mean over its references r of the forecast when the cells of A keep x's values and all
others take those of r. Along one permutation of the players, joining one by one, the changes of the forecast sum to
f(x) - f(r) (Castro, Gómez & Tejada 2009). The complements of these coalitions are the same permutation read backwards:
an antithetic pair (Mitchell, Cooper, Frank & Holmes 2022). Every pair has a reference of its own, so that pairs are
independent estimates of the same values. What is made of the pairs is in `pooling.py`.

Often most of the sampling errors come from a forecast's smooth components, which cost a fraction of a pass of the
network. So after the first pairs a window may play more of them in the smooth game alone: a control variate whose mean
is estimated (two-level Monte Carlo: Giles 2015, *Multilevel Monte Carlo methods*, Acta Numerica 24, section 1.2).
A part whose SHAP values are known is not played: those of a sum of games are the sums (Shapley 1953). And of a game
that is the mean of several, such as an ensemble's, every pair plays one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from tsx.explanation.shap.chunk import ROWS, Chunk, evaluate
from tsx.explanation.shap.conditional import along_order
from tsx.explanation.shap.game import Game, LayeredGame
from tsx.explanation.shap.players import NOBODY, Players
from tsx.explanation.shap.pooling import Moments, Pooled, Surrogate, player_similarity, together
from tsx.panel.sampling import evenly_spaced
from tsx.runtime.executor import side_by_side

SMOOTH_ROWS = 4 * ROWS
"""Mixed windows in one pass of the smooth game, which needs less room for each."""
JOB_PASSES = 4
"""Passes of the network whose pairs are one job: many of their coalitions may not need to be evaluated."""
EVALUATED = 256
"""Of them, spread evenly, those whose forecasts are averaged for the base value."""
FEWEST_PAIRS = 4
"""Pairs of a window below which 95 % intervals hold in less than 93 % of cases, whatever the other windows say."""
CONTROLS = 2
"""Players, those that vary most, whose cells of the reference control the estimates of all others in a window."""
SMOOTH_COST = 0.25
"""What a pair of the smooth game alone costs, beside one of the whole game, where it is decided which are played."""
SHARED_FREEDOM = 16
"""Degrees of freedom that the pairs of all windows together leave at least: a single window plays more of them."""


@dataclass(frozen=True, eq=False)
class ShapValues:
    """SHAP values of one window, float64: base.sum(-1) + values.sum(0) = forecast.sum(-1).

    values, errors (P, O); parts (P, O, G), which sum to the values; base, forecast (O, G); what it took: evaluations of
    the network and pairs; the pooled relative standard error, and whether that reached the tolerance. halves (2, P, O):
    the values by every second pair and by the others; None where nothing was sampled.
    """

    values: np.ndarray
    errors: np.ndarray
    parts: np.ndarray
    base: np.ndarray
    forecast: np.ndarray
    evaluations: int
    pairs: int
    relative: float
    converged: bool
    halves: np.ndarray | None = None


def estimate(
    chunk: Chunk, *, max_evals: int, tolerance: float, random: np.random.Generator, pairs: int | None = None
) -> list[ShapValues]:
    """SHAP values of the windows together: rounds of pairs until each one's pooled relative error is small.

    That is the root of the summed squared standard errors over the root of the summed squared values, to be `tolerance`
    at most; no window is played beyond `max_evals` evaluations, but every one has as many pairs as it takes for
    intervals that hold. With `pairs`, 2 at least, every window has so many, whatever its error. The result does not
    depend on the number of threads; it does, within its errors, on which windows are estimated together.
    """
    sampler = PairSampler(chunk, random)
    count, cost = len(chunk.cells), max(2 * len(chunk.players) - 1, 1)
    fewest = pairs or max(FEWEST_PAIRS, 1 + -(-SHARED_FREEDOM // count))
    wanted = np.full(count, fewest), np.zeros(count, dtype=np.int64)
    sampler.play(*wanted)
    if pairs is None and bool((sampler.pooled().relative > tolerance).any()):
        sampler.control()
    while True:
        sampler.play(*wanted)
        pooled = sampler.pooled()
        relative, played = pooled.relative.numpy(), sampler.pairs
        most = played + np.maximum(max_evals - sampler.spent, 0) // cost
        missing = (relative > tolerance) & (played < most)
        if pairs is not None or not missing.any():
            halves = sampler.halves()
            return [sampler.result(w, pooled, halves, tolerance) for w in range(count)]
        # the variance falls with the number of pairs; at most doubled, since the first pairs say little about it
        times = np.where(missing, np.minimum((relative / tolerance) ** 2, 2.0), 1.0)
        wanted = sampler.wanted(times, np.where(missing, most, played), fewest)


@dataclass(eq=False)
class _Stage:
    """Pairs of one game of the sampler: of the whole one, or of its smooth part alone.

    games           cells to the smooth parts and those of the rest (n, O, 2 G): the game is the mean of these A
    forecast, base  (A, W, O, 2 G) of the windows and of their references
    rows            in one pass of the network, about
    of_half         the sums over every second pair of each window, and over the others
    """

    games: Sequence[Game]
    forecast: Tensor
    base: Tensor
    rows: int
    of_half: Sequence[Moments] = ()

    @property
    def pairs(self) -> np.ndarray:
        """(W)"""
        one, other = self.of_half
        return (one.count + other.count).numpy().astype(int)


@dataclass(frozen=True, eq=False)
class _Played:
    """What N pairs say: their references' deviations (N, P), how far the references' own forecasts lie from the base
    value in units of its windows' `scale` (N), and estimates (N, P, O, 2 G) of the smooth game and of the rest."""

    deviation: Tensor
    reference: Tensor
    estimates: Tensor


class PairSampler:
    """Antithetic pairs of the windows of a chunk, and what they add up to so far."""

    def __init__(self, chunk: Chunk, random: np.random.Generator) -> None:
        self.windows, self.players = chunk.cells, chunk.players
        windows, players = chunk.cells, chunk.players
        self.count = len(windows)
        self.of_cell = torch.from_numpy(players.of_cell).to(windows.device)
        self.nobody = self.of_cell == NOBODY
        lent = self._references(chunk)
        self.references = lent if len(lent) == self.count else lent * self.count
        self.dependences = [each.dependence for each in chunk.maskers]
        # a generator for each window: how long one is sampled does not change the others
        self.randoms = random.spawn(self.count)
        evaluated = [of_base_value(each) for each in lent]
        alone = [windows.new_full((len(each),), w, dtype=torch.long) for w, each in enumerate(evaluated)]
        rows = torch.cat([windows, *evaluated])
        of = torch.cat([torch.arange(self.count, device=windows.device), *alone])
        self.spent = 1 + np.bincount(torch.cat(alone).cpu(), minlength=self.count)
        self.known = None if chunk.known is None else chunk.known()
        smooth: Game | None = None
        games: list[Game]
        if self.known is not None:
            games = [partial(_all_is_rest, each) for each in self.known.games]
        elif isinstance(chunk.game, LayeredGame):
            games = [each.smooth_and_rest for each in chunk.game.averaged]
            smooth = partial(_rest_is_nothing, chunk.game.smooth)
        else:
            games = [partial(_all_is_rest, chunk.game)]
        # games that are averaged, side by side, as outputs
        values = torch.stack([replace(chunk, game=each).values(rows, of) for each in games], 1)
        forecast = values[: self.count].transpose(0, 1)
        population = values[self.count :].flatten(1, 2).split([len(each) for each in evaluated])
        self.surrogate = Surrogate.of(lent, evaluated, population, self.of_cell, len(players), self.count)
        base = self.surrogate.base.unflatten(1, (len(games), -1)).transpose(0, 1)
        self.whole = _Stage(games, forecast, base, ROWS)
        self.smooth: _Stage | None = None
        if smooth is not None:
            self.smooth = _Stage([smooth], _without_rest(forecast[:1]), _without_rest(base[:1]), SMOOTH_ROWS)
        self.turns = [_in_turn(len(games), each) for each in self.randoms]
        self.near = player_similarity(players.feature, players.lag)
        self.controls: Tensor | None = None
        self.first: list[tuple[Tensor, Tensor, _Played]] = []
        self._forget(0)

    def _references(self, chunk: Chunk) -> list[Tensor]:
        """(R, M) of every window; the first's alone where they are the same for all, to be evaluated and fitted once.

        Cells that nobody plays are the window's own, in its references as well.
        """
        of_windows = zip(self.windows, chunk.maskers[:1] if chunk.alike else chunk.maskers)
        return [torch.where(self.nobody, x, each.population) for x, each in of_windows]

    def _forget(self, controls: int) -> None:
        """No pairs yet."""
        for stage in self._stages:
            size = (self.count, len(self.players), stage.forecast.shape[2:], controls)
            stage.of_half = [Moments.none(*size) for _ in range(2)]

    @property
    def _stages(self) -> list[_Stage]:
        return [self.whole] if self.smooth is None else [self.whole, self.smooth]

    def control(self) -> None:
        """From now on, lines of every window's own on its reference's forecast and strongest cells, as `pooling` says.

        Where two inputs are multiplied, what the reference of one of them does depends on the window's other. The first
        pairs, played already, say which players vary most. To be called once, before others are played.
        """
        first = [(of, half, played) for of, half, played in self.first]
        varied = torch.cat([played.estimates for _, _, played in first]).sum(-1)
        unit = self.surrogate.scale[torch.cat([of for of, _, _ in first])]
        strength = (varied / unit[:, None, None]).square().sum((0, 2))
        self.controls = strength.argsort(descending=True, stable=True)[:CONTROLS]
        self._forget(len(self.controls) + 1)
        for of, half, played in first:
            self._add(self.whole, of, half, played)
        self.first = []

    def _add(self, stage: _Stage, of: Tensor, half: Tensor, played: _Played) -> None:
        """The pairs of windows `of` (N), each in one of the halves (N) of the sample."""
        controls = played.deviation[:, :0]
        if self.controls is not None:
            controls = torch.cat([played.deviation[:, self.controls], played.reference[:, None]], 1)
        for which, moments in enumerate(stage.of_half):
            own = half == which
            moments.add(of[own], played.deviation[own], played.estimates[own], controls[own])

    @property
    def pairs(self) -> np.ndarray:
        """(W) of every window, in the whole game or in the smooth one alone."""
        return np.asarray(sum(stage.pairs for stage in self._stages))

    def play(self, whole: np.ndarray, smooth: np.ndarray) -> None:
        """Play antithetic pairs until every window has so many of the whole game (W), and of the smooth one (W)."""
        for stage, wanted in zip(self._stages, (whole, smooth)):
            self._play(stage, np.maximum(wanted - stage.pairs, 0))

    def _play(self, stage: _Stage, new: np.ndarray) -> None:
        """As many `new` pairs (W)."""
        more = [(w, int(count)) for w, count in enumerate(new) if count > 0]
        if not more:
            return
        drawn = [(self.draw(w, count), orders(self.players, count, self.randoms[w])) for w, count in more]
        references = torch.cat([each for each, _ in drawn])
        order = torch.from_numpy(np.concatenate([each for _, each in drawn]))
        first = stage.pairs
        of = torch.from_numpy(np.repeat(np.arange(self.count), new))
        number = [np.arange(first[w], first[w] + count) for w, count in more]  # of every pair among its window's
        half = torch.from_numpy(np.concatenate(number) % 2)
        turns = np.zeros(len(of), dtype=np.int64)
        if len(stage.games) > 1:
            turns = np.array([next(self.turns[w]) for w, count in more for _ in range(count)])
        size = max(1, JOB_PASSES * stage.rows // max(2 * len(self.players) - 1, 1))
        jobs = [
            (k, part)
            for k in range(len(stage.games))
            for part in torch.from_numpy(np.flatnonzero(turns == k)).split(size)
            if len(part)
        ]
        with side_by_side(self.windows.device.type) as each:
            played = each(lambda job: self._pairs(stage, job[0], of[job[1]], references[job[1]], order[job[1]]), jobs)
            for (_, part), (spent, pairs) in zip(jobs, played, strict=True):
                np.add.at(self.spent, of[part].numpy(), spent)
                self._add(stage, of[part], half[part], pairs)
                if stage is self.whole and not first.any():
                    self.first.append((of[part], half[part], pairs))

    def wanted(self, times: np.ndarray, most: np.ndarray, fewest: int) -> tuple[np.ndarray, np.ndarray]:
        """Pairs (W) of the whole game, and of the smooth one alone, that would make squared errors so many `times` (W)
        smaller, at most so many in all (W), and `fewest` of the smooth one if any.

        Squared errors are A / whole + B / all: A of what the whole game has beside the smooth one, B of the latter and
        of what both have in common. Least is spent where all / whole is the root of B / A times what the rest of a
        pair costs, in units of its smooth part (Giles 2015, equation 1.3).
        """
        whole, played = self.whole.pairs, self.pairs
        if self.smooth is None:
            return self._at_least_one_more(np.ceil(played * times), most), np.zeros(self.count, dtype=np.int64)
        rest = self._squares(0.0) * whole
        smooth = np.maximum(self._squares(1.0) * whole - rest, 0.0)
        ratio = np.sqrt(np.maximum((1 / SMOOTH_COST - 1) * smooth / np.maximum(rest, 1e-9 * smooth + 1e-300), 1.0))
        now = rest * (played / whole) + smooth
        factor = np.where(now > 0, (rest * ratio + smooth) / np.maximum(now, 1e-300), 1.0)
        pairs = self._at_least_one_more(np.ceil(played * times * factor), most)
        whole = np.clip(np.ceil(pairs / ratio).astype(np.int64), whole, pairs - self.smooth.pairs)
        few = pairs - whole < fewest  # then none was played before
        return np.where(few, pairs, whole), np.where(few, 0, pairs - whole)

    def _at_least_one_more(self, pairs: np.ndarray, most: np.ndarray) -> np.ndarray:
        return np.asarray(np.minimum(np.maximum(pairs.astype(np.int64), self.pairs + 1), most))

    def _squares(self, smooth: float) -> np.ndarray:
        """(W) summed squared errors by the whole game's pairs alone, with so much of its smooth part in it."""
        weight = torch.tensor([smooth, 1.0], dtype=torch.float64).expand(self.count, 2)
        one, other = self.whole.of_half
        found = (one + other).estimate(weight, self.surrogate.scale, self.near)
        return np.asarray(found.squared.sum((1, 2)))

    def draw(self, w: int, count: int) -> Tensor:
        """(count, M) references at random, with replacement.

        Without, a few references that come up again and again would leave errors that no variance of pairs shows.
        """
        drawn = self.randoms[w].integers(0, len(self.references[w]), count)
        return self.references[w][torch.from_numpy(drawn).to(self.windows.device)]

    def pooled(self) -> Pooled:
        return self._pooled(*(one + other for one, other in (stage.of_half for stage in self._stages)))

    def halves(self) -> Tensor | None:
        """(2, W, P, O) the values by every second pair and by the others; None where one of them has too few."""
        if min(int(half.count.min()) for half in self.whole.of_half) < 2:
            return None
        each = zip(*(stage.of_half for stage in self._stages))
        return torch.stack([self._pooled(*half).parts.sum(-1) for half in each])

    def _pooled(self, whole: Moments, smooth: Moments | None = None) -> Pooled:
        """What pairs of the whole game say, and other ones of the smooth game alone.

        The smooth parts are a mean over all pairs, to which each of both adds what it is of all.
        """
        more = torch.zeros_like(whole.count) if smooth is None else smooth.count
        share = whole.count / (whole.count + more)
        scale = self.surrogate.scale
        found = whole.estimate(torch.stack([share, torch.ones_like(share)], 1), scale, self.near)
        some = more.nonzero()[:, 0]
        if smooth is not None and len(some):
            all_of_it = torch.ones(len(some), 2, dtype=torch.float64)
            alone = smooth.of(some).estimate(all_of_it, scale[some], self.near)
            found = found.plus(alone, some, 1 - share[some])
        gap = together(self.whole.forecast - self.whole.base).mean(0)
        return found.summing(gap, scale, None if self.known is None else self.known.values)

    def result(self, w: int, pooled: Pooled, halves: Tensor | None, tolerance: float) -> ShapValues:
        parts, relative = pooled.parts[w], float(pooled.relative[w])
        base, forecast = (together(each[:, w]).mean(0) for each in (self.whole.base, self.whole.forecast))
        if self.known is not None:
            base, forecast = base + self.known.base[w], forecast + self.known.forecast[w]
        return ShapValues(
            values=parts.sum(-1).numpy(),
            errors=pooled.errors[w].numpy(),
            parts=parts.numpy(),
            base=base.numpy(),
            forecast=forecast.numpy(),
            evaluations=int(self.spent[w]),
            pairs=int(self.pairs[w]),
            relative=relative,
            converged=relative <= tolerance,
            halves=None if halves is None else halves[:, w].numpy(),
        )

    def _pairs(
        self, stage: _Stage, number: int, of: Tensor, references: Tensor, order: Tensor
    ) -> tuple[np.ndarray, _Played]:
        """Of N antithetic pairs of windows `of` (N) in the game of this number: evaluations (N), and what they say."""
        players = order.shape[1]
        with torch.inference_mode():
            own = of.to(self.windows.device)
            rows = torch.cat([references[:, None], self._mixed(of, references, order)], 1)
            # who joins with the very cells of the reference changes nothing, and is not evaluated
            before, after = rows[:, :-1], rows[:, 1:]
            new = ~((before == after) | (torch.isnan(before) & torch.isnan(after))).all(-1)
            new = torch.cat([new.new_ones(len(new), 1), new], 1)
            played = evaluate(stage.games[number], rows[new], own[:, None].expand_as(new)[new], stage.rows)
            values = played[(new.flatten().cumsum(0) - 1).cpu()].unflatten(0, new.shape)
            values = values.double()
            empty, full = values[:, :1], stage.forecast[number, of][:, None]
            forward = torch.cat([empty, values[:, 1:players], full], 1).diff(dim=1)
            backward = torch.cat([full, values[:, players:], empty], 1).diff(dim=1)
            estimates = torch.empty_like(forward)
            estimates.scatter_(1, order[:, :, None, None].expand_as(forward), (forward - backward) / 2)
            apart = (empty[:, 0] - stage.base[number, of]).sum(-1).mean(1) / self.surrogate.scale[of]
            found = _Played(self.surrogate.deviation(references, own).cpu(), apart, estimates)
            return new.sum(1).cpu().numpy(), found

    def _mixed(self, of: Tensor, references: Tensor, order: Tensor) -> Tensor:
        """(K, 2 (P - 1), M): the first c of the order present, c = 1 ... P - 1; then all but the first c."""
        pairs, players = order.shape
        device = self.windows.device
        rank = torch.cat([order.argsort(1), torch.full((pairs, 1), NOBODY)], 1).to(device)[:, self.of_cell]
        if any(each is not None for each in self.dependences):
            each = zip(self.windows[of.to(device)], references, rank, of.tolist())
            return torch.stack([along_order(x, r, k, players, self.dependences[w]) for x, r, k, w in each])
        present = rank[:, None] < torch.arange(1, players, device=device)[:, None]
        x, r = self.windows[of.to(device)][:, None], references[:, None]
        return torch.cat([torch.where(present, x, r), torch.where(present & ~self.nobody, r, x)], 1)


def _all_is_rest(game: Game, cells: Tensor, of: Tensor) -> Tensor:
    """(n, O, 2 G) of a game without a smooth part."""
    whole = game(cells, of)
    return torch.cat([torch.zeros_like(whole), whole], -1)


def _rest_is_nothing(game: Game, cells: Tensor, of: Tensor) -> Tensor:
    """(n, O, 2 G) of the smooth game alone."""
    smooth = game(cells, of)
    return torch.cat([smooth, torch.zeros_like(smooth)], -1)


def _without_rest(values: Tensor) -> Tensor:
    """(..., 2 G): the smooth parts, and zeros."""
    smooth, rest = values.chunk(2, -1)
    return torch.cat([smooth, torch.zeros_like(rest)], -1)


def of_base_value(references: Tensor) -> Tensor:
    """Those of the references (R, M) over which the base value is a mean."""
    return references[evenly_spaced(len(references), EVALUATED)]


def _in_turn(games: int, random: np.random.Generator) -> Iterator[int]:
    """Numbers of games in random order, each once before any comes again."""
    while True:
        yield from random.permutation(games)


def orders(players: Players, count: int, random: np.random.Generator) -> np.ndarray:
    """(count, P) random orders of the players in which those of one block stand together.

    The mean over such orders is the Owen value (Owen 1977, *Values of games with a priori unions*), with one block the
    Shapley value.
    """
    blocks = random.random((count, int(players.block.max(initial=0)) + 1))[:, players.block]
    return np.lexsort((random.random((count, len(players))), blocks), axis=1)
