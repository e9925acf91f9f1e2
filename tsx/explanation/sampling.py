"""SHAP values of many windows by antithetic permutation sampling, with standard errors that hold.

The game. v(A) of a window x: the mean over its references r of the forecast when the cells of A keep x's values and all
others take those of r. Along one permutation of the players, joining one by one, the changes of the forecast sum to
f(x) - f(r) (Castro, Gómez & Tejada 2009). The complements of these coalitions are the same permutation read backwards:
an antithetic pair (Mitchell, Cooper, Frank & Holmes 2022). Every pair has a reference of its own, so that pairs are
independent estimates of the same values.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import norm
from scipy.stats import t as student_t
from torch import Tensor

from tsx.explanation.game import Game
from tsx.explanation.players import NOBODY, Players

ROWS = 256
"""Windows in one pass of the network, about."""
POPULATION = 256
"""References of a window whose mean forecast is its base value."""
FEWEST_PAIRS = 4
MOST_PAIRS = 1024


@dataclass(frozen=True, eq=False)
class StandIns:
    """What stands in for the absent cells of one window: its references `population` (R, M).

    covariance  (M, M) of the cells, for conditional values: absent cells then follow the present ones. None: they are
                those of the reference, whatever is present.
    """

    population: Tensor
    covariance: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Shapley:
    """SHAP values of one window, float64: base.sum(-1) + values.sum(0) = forecast.sum(-1).

    values, errors (P, O); parts (P, O, G), which sum to the values; base, forecast (O, G); what it took: evaluations of
    the network and pairs; and whether the tolerance was reached.
    """

    values: np.ndarray
    errors: np.ndarray
    parts: np.ndarray
    base: np.ndarray
    forecast: np.ndarray
    evaluations: int
    pairs: int
    converged: bool


def estimate(
    game: Game,
    windows: Tensor,
    stand_ins: Sequence[StandIns],
    players: Players,
    *,
    max_evals: int,
    tolerance: float,
    random: np.random.Generator,
) -> list[Shapley]:
    """SHAP values of `windows` (W, M) together: rounds of pairs until each one's pooled relative error is small.

    That is the root of the summed squared errors over the root of the summed squared values, to be `tolerance` at most;
    `max_evals` evaluations are spent on a window at most, or those of its population and of the fewest pairs.
    """
    chunk = _Chunk(game, windows, stand_ins, players, random)
    cost = max(2 * len(players) - 1, 1)
    most = np.array([max(FEWEST_PAIRS, (max_evals - chunk.spent(w)) // cost) for w in range(len(windows))])
    most = most.clip(max=MOST_PAIRS)
    wanted = np.full(len(windows), FEWEST_PAIRS)
    while True:
        chunk.play(wanted)
        found = chunk.combine()
        missing = ~(found.relative <= tolerance) & (chunk.pairs < most)
        if not missing.any():
            return [chunk.result(w, found, bool(found.relative[w] <= tolerance)) for w in range(len(windows))]
        needed = np.nan_to_num(chunk.pairs * (found.relative / tolerance) ** 2, nan=np.inf).clip(max=MOST_PAIRS)
        wanted = np.where(missing, np.clip(np.ceil(needed), chunk.pairs + 1, 2 * chunk.pairs), chunk.pairs)
        wanted = np.minimum(wanted, most).astype(int)


def evaluate(game: Game, rows: Tensor, of: Tensor) -> Tensor:
    """The game of any number of rows in passes of about `ROWS`, on the CPU."""
    with torch.inference_mode():
        return torch.cat([game(part, who).cpu() for part, who in zip(rows.split(ROWS), of.split(ROWS))])


@dataclass(frozen=True, eq=False)
class _Combined:
    parts: Tensor
    errors: Tensor
    relative: np.ndarray


class _Chunk:
    """The pairs of W windows that were played so far: estimates (K, P, O, G) of each, its references (K, M)."""

    def __init__(
        self, game: Game, windows: Tensor, stand_ins: Sequence[StandIns], players: Players, random: np.random.Generator
    ) -> None:
        self.game, self.windows, self.stand_ins, self.players, self.random = game, windows, stand_ins, players, random
        self.of_cell = torch.from_numpy(players.of_cell).to(windows.device)
        self.population = [self._kept(w, _evenly(each.population)) for w, each in enumerate(stand_ins)]
        count = len(windows)
        self.forecast = evaluate(game, windows, torch.arange(count, device=windows.device)).double()
        self.own = [self._play_alone(w) for w in range(count)]
        self.base = torch.stack([each.mean(0) for each in self.own])
        outputs = self.forecast.shape[1:]
        self.drawn = [np.zeros(0, dtype=np.int64) for _ in range(count)]
        self.found = [torch.zeros(0, len(players), *outputs) for _ in range(count)]

    @property
    def pairs(self) -> np.ndarray:
        return np.array([len(each) for each in self.found])

    def spent(self, w: int) -> int:
        return 1 + len(self.population[w]) + len(self.found[w]) * max(2 * len(self.players) - 2, 0)

    def _kept(self, w: int, references: Tensor) -> Tensor:
        """References whose cells that nobody plays are those of the window."""
        return torch.where(self.of_cell == NOBODY, self.windows[w], references)

    def _play_alone(self, w: int) -> Tensor:
        references = self.population[w]
        return evaluate(self.game, references, references.new_full((len(references),), w, dtype=torch.long)).double()

    def play(self, wanted: np.ndarray) -> None:
        """Play pairs until every window has as many as wanted."""
        new = np.maximum(wanted - self.pairs, 0)
        of = np.repeat(np.arange(len(new)), new)
        references, orders = [], []
        for w in np.flatnonzero(new):
            drawn = _draw(len(self.population[w]), new[w], self.drawn[w], self.random)
            self.drawn[w] = np.concatenate([self.drawn[w], drawn])
            references.append(self.population[w][torch.from_numpy(drawn)])
            orders.append(_orders(self.players, new[w], self.random))
        if not references:
            return
        estimates = self._pairs(torch.from_numpy(of), torch.cat(references), torch.from_numpy(np.concatenate(orders)))
        for w in np.flatnonzero(new):
            self.found[w] = torch.cat([self.found[w], estimates[of == w]])

    def _pairs(self, of: Tensor, references: Tensor, orders: Tensor) -> Tensor:
        """Estimates (K, P, O, G) of K pairs, in jobs of whole pairs that the threads share out."""
        size = max(1, ROWS // max(2 * orders.shape[1] - 1, 1))
        jobs = list(zip(of.split(size), references.split(size), orders.split(size)))
        threads = torch.get_num_threads()
        workers = threads if self.windows.device.type == "cpu" else 1
        torch.set_num_threads(1)
        try:
            with ThreadPoolExecutor(workers) as pool:
                return torch.cat(list(pool.map(lambda job: self._play(*job), jobs)))
        finally:
            torch.set_num_threads(threads)

    def _play(self, of: Tensor, references: Tensor, orders: Tensor) -> Tensor:
        pairs, players = orders.shape
        with torch.inference_mode():
            device = self.windows.device
            own = of.to(device)
            rank = torch.cat([orders.argsort(1), torch.full((pairs, 1), -1)], 1).to(device)[:, self.of_cell]
            present = rank[:, None] < torch.arange(players + 1, device=device)[:, None]
            x, r = self.windows[own][:, None], references[:, None]
            inner = present[:, 1:players]
            nobody = self.of_cell == NOBODY
            rows = torch.cat([torch.where(inner, x, r), torch.where(inner & ~nobody, r, x)], 1)
            who = own.repeat_interleave(rows.shape[1])
            values = evaluate(self.game, rows.flatten(0, 1), who).unflatten(0, (pairs, rows.shape[1]))
            empty = evaluate(self.game, references, own)[:, None]
            full = self.forecast[of][:, None].to(values)
            forward = torch.cat([empty, values[:, : players - 1], full], 1).diff(dim=1)
            backward = torch.cat([full, values[:, players - 1 :], empty], 1).diff(dim=1)
            found = torch.empty_like(forward)
            index = orders[:, :, None, None].expand_as(found)
            return found.scatter_(1, index, (forward - backward) / 2)

    def combine(self) -> _Combined:
        parts, errors = zip(*(self._regress(w) for w in range(len(self.windows))))
        total = torch.stack(parts).sum(-1)
        spread = torch.stack(errors)
        relative = (spread.square().sum((1, 2)) / total.square().sum((1, 2))).sqrt()
        return _Combined(torch.stack(parts), spread, torch.nan_to_num(relative, nan=0.0).numpy())

    def _regress(self, w: int) -> tuple[Tensor, Tensor]:
        """Parts (P, O, G) and errors (P, O): each pair's estimates less their line on its reference's own forecast."""
        found = self.found[w].double()
        pairs = len(found)
        own = self.own[w][torch.from_numpy(self.drawn[w])].sum(-1)
        off = own - self.base[w].sum(-1)
        centered = off - off.mean(0)
        spread = centered.square().sum(0).clamp(min=1e-300)
        slope = (centered[:, None] * found.sum(-1)).sum(0) / spread
        gap_parts = (self.forecast[w] - self.base[w]) - found.sum(1)
        if pairs < 3 or bool((spread <= 1e-18 * own.square().sum(0)).any()):
            slope, freedom = torch.full_like(slope, -1.0 / len(self.players)), pairs - 1
        else:
            freedom = pairs - 2
        corrected = found - slope[None, ..., None] * gap_parts[:, None]
        values = corrected.mean(0)
        variance = (corrected - values).sum(-1).square().sum(0) / max(freedom, 1)
        gap = (self.forecast[w] - self.base[w]) - values.sum(0)
        values = values + gap / len(self.players)
        return values, float(student_t.ppf(norm.cdf(1.0), max(freedom, 1))) * (variance / pairs).sqrt()

    def result(self, w: int, found: _Combined, converged: bool) -> Shapley:
        parts = found.parts[w]
        return Shapley(
            values=parts.sum(-1).numpy(), errors=found.errors[w].numpy(), parts=parts.numpy(),
            base=self.base[w].numpy(), forecast=self.forecast[w].numpy(), evaluations=self.spent(w),
            pairs=len(self.found[w]), converged=converged,
        )  # fmt: skip


def _evenly(population: Tensor) -> Tensor:
    size = len(population)
    return population if size <= POPULATION else population[torch.linspace(0, size - 1, POPULATION).round().long()]


def _draw(size: int, count: int, before: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """`count` of `size` references at random, none twice before all have come up once."""
    left = np.setdiff1d(np.arange(size), before[len(before) // size * size :])
    drawn = random.permutation(left)[:count]
    rounds = -(-(count - len(drawn)) // size)
    return np.concatenate([drawn, *(random.permutation(size) for _ in range(rounds))])[:count]


def _orders(players: Players, count: int, random: np.random.Generator) -> np.ndarray:
    """(count, P): random orders of the players in which those of one block stand together (Owen 1977)."""
    inside = random.random((count, len(players)))
    blocks = random.random((count, int(players.block.max(initial=0)) + 1))[:, players.block]
    return np.lexsort((inside, blocks), axis=1)
