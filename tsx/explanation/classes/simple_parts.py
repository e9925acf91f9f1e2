"""SHAP values of a classifier's parts but its networks, in closed form: regressions and boosted trees.

Where a player is a whole channel, every summary is of one player's cells, cut off by the number of steps, which is a
player too or the same in all series. With its values where S plays and a reference's elsewhere, a leaf counts where all
conditions on its way hold: if all of A are in S, whose conditions the series alone meets, and none of B, whose
conditions the reference alone meets. The Shapley values of this game are (a - 1)! b! / (a + b)! for those of A and
-a! (b - 1)! / (a + b)! for those of B (Laberge & Pequignot 2022, *Understanding interventional TreeSHAP*). A
regression is a sum of what it makes of each channel, also that on kernels, of which each reads one.

Shapes: W series, R references, F summaries, L leaves, P players, S players on the way to a leaf at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import factorial

import numpy as np
import torch
from torch import Tensor

from tsx.explanation.classes.cells import SeriesCells
from tsx.explanation.shap.chunk import ROWS
from tsx.explanation.shap.players import NOBODY, Players
from tsx.model.classifier import CombinedClassifier
from tsx.model.summaries import summaries, summary_channels, term_count
from tsx.model.trees import SummaryTrees
from tsx.spec.classifier import KERNELS, REGRESSION, TREES

MOST_ON_THE_WAY = 15
"""Players on the way to a leaf that the bits of a number have room for."""


@dataclass(frozen=True, eq=False)
class SimpleParts:
    """All parts but the networks of a classifier of two classes: what they add to the second one's log-odds.

    of_summary  int64 (F): the player of every summary
    of_channel  int64 (C): the player of every channel that kernels read
    length      the player of the number of steps; NOBODY where it is the same in all series
    """

    network: CombinedClassifier
    cells: SeriesCells
    players: Players
    of_summary: np.ndarray
    of_channel: np.ndarray
    length: int

    @classmethod
    def of(cls, network: CombinedClassifier, cells: SeriesCells, players: Players) -> SimpleParts | None:
        """None where their SHAP values have no closed form here."""
        config = network.config
        if len(config.classes) != 2 or term_count(config) or players.block.any():
            return None
        of_channel: dict[str | None, set[int]] = {}
        *of_cells, length = players.of_cell.tolist()
        for (name, _), player in zip(cells.keys, of_cells):  # not the last key: a channel may have its name
            of_channel.setdefault(name, set()).add(player)
        whole = [len(some) == 1 and NOBODY not in some and length not in some for some in of_channel.values()]
        if not all(whole):
            return None
        over_time = [channel.name for channel in config.channels.time_varying]
        of_summary, by_channel = (
            np.array([next(iter(of_channel[name])) for name in names], np.int64)
            for names in (summary_channels(config), over_time)
        )
        parts = cls(network, cells, players, of_summary, by_channel, length)
        return parts if parts.leaves.most_on_the_way <= MOST_ON_THE_WAY else None

    @cached_property
    def leaves(self) -> Leaves:
        return Leaves.of(self.network.trees, self.of_summary, self.network.weight(TREES))

    def values(self, rows: Tensor, references: Tensor) -> np.ndarray:
        """(W, P) of series (W, M), the mean over references (R, M)."""
        own, lent = lengths_of(rows), lengths_of(references)
        out = np.zeros((len(rows), len(self.players)))
        at_home = self._read(references)
        others, place = np.unique(lent, return_inverse=True)
        for length in np.unique(own).tolist():
            cut_alike, same = self._read(references, length), lent == length
            for w in np.flatnonzero(own == length):
                mine, cut = self._read(rows[w, None]), self._read(rows[w].expand(len(others), -1), others).take(place)
                out[w] += self._of_regression(mine, cut_alike, cut, at_home)
                out[w] += self._of_leaves(mine, cut_alike, same)
                if not same.all():
                    out[w] += self._of_leaves(mine, cut_alike, ~same, joins=True)
                    out[w] += self._of_leaves(cut, at_home, ~same, joins=False)
        return out / len(references)

    def _read(self, rows: Tensor, length: np.ndarray | int | None = None) -> Read:
        """What the parts make of series (n, M), as long as they are or of another `length`."""
        if length is not None:
            rows = rows.clone()
            rows[:, -1] = torch.as_tensor(length, dtype=rows.dtype)
        with torch.inference_mode():
            batches = [self.cells.batch(each) for each in rows.split(ROWS)]
            read = torch.cat([summaries(each, self.network.config) for each in batches])
            scaled, coefficients = self.network.summary.scaled(read), self.network.summary.coefficients
            terms = (scaled * (coefficients[:, 1] - coefficients[:, 0])).double().cpu().numpy()
        of_player = np.zeros((len(rows), len(self.players)))
        np.add.at(of_player.T, self.of_summary, self.network.weight(REGRESSION) * terms.T)
        kernels, weight = self.network.kernels, self.network.weight(KERNELS)
        if kernels is not None and weight:
            with torch.inference_mode():
                of_channels = torch.cat([kernels.by_channel(each) for each in batches])
                terms = (of_channels[..., 1] - of_channels[..., 0]).double().cpu().numpy()
            np.add.at(of_player.T, self.of_channel, weight * terms.T)
        return Read(of_player, self.leaves.missed(read.double().cpu().numpy()))

    def _of_regression(self, mine: Read, cut_alike: Read, cut: Read, at_home: Read) -> np.ndarray:
        """(P) sums over the references: each player's difference, half with its own length and half with the other.

        The series as it is and as long as each reference, these as long as it and as they are.
        """
        out = (mine.terms - cut_alike.terms + cut.terms - at_home.terms).sum(0) / 2
        if self.length != NOBODY:
            out[self.length] = (mine.terms - cut.terms + cut_alike.terms - at_home.terms).sum() / 2
        return np.asarray(out)

    def _of_leaves(self, mine: Read, lent: Read, some: np.ndarray, joins: bool | None = None) -> np.ndarray:
        """(P) sums over `some` references (R). `joins`: these leaves count where the number of steps is the series'
        own (True) or the reference's (False); None: it is the same."""
        missed = np.broadcast_to(mine.missed, lent.missed.shape)
        found = self.leaves.played(missed[some], lent.missed[some], len(self.players), joins)
        if joins is not None:
            found[self.length] += found[-1]
        return found[:-1]


@dataclass(frozen=True, eq=False)
class Read:
    """Of n series: what each player adds to the regressions (n, P), and which players on the way to every leaf miss
    their conditions, as bits (n, L)."""

    terms: np.ndarray
    missed: np.ndarray

    def take(self, rows: np.ndarray) -> Read:
        return Read(self.terms[rows], self.missed[rows])


@dataclass(frozen=True, eq=False)
class Leaves:
    """The leaves of all trees, with the conditions on the way to each (D at most).

    value        (L) in log-odds of the second class, times the trees' weight
    feature, threshold, left, missing   (L, D): a summary goes left up to the threshold, or where it is `missing`; it
                 must, or must not. slot (L, D): which of the players on the way reads it; -1: no further condition
    player       of each leaf the players on the way
    """

    value: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    missing: np.ndarray
    slot: np.ndarray
    player: list[list[int]]

    @classmethod
    def of(cls, trees: SummaryTrees, of_summary: np.ndarray, weight: float) -> Leaves:
        """`of_summary` (F): the player of every summary. None of trees without a `weight`."""
        names = ("feature", "left", "right", "threshold", "missing_left", "value", "tree_class")
        feature, left, right, threshold, missing, value, classes = (getattr(trees, n).cpu().numpy() for n in names)
        ways: list[tuple[float, list[tuple[int, int, bool]]]] = []
        for tree in range(len(value) if weight else 0):
            open_ways: list[tuple[int, list[tuple[int, int, bool]]]] = [(0, [])]
            while open_ways:
                node, way = open_ways.pop()
                if left[tree, node] == node:
                    ways.append((weight * float(value[tree, node]) * (1 if classes[tree] else -1), way))
                else:
                    open_ways.append((int(left[tree, node]), [*way, (tree, node, True)]))
                    open_ways.append((int(right[tree, node]), [*way, (tree, node, False)]))
        deepest = max((len(way) for _, way in ways), default=0)
        shape = (len(ways), deepest)
        out = cls(
            np.array([v for v, _ in ways]),
            np.zeros(shape, np.int64),
            np.zeros(shape),
            np.zeros(shape, np.bool_),
            np.zeros(shape, np.bool_),
            np.full(shape, -1),
            [],
        )
        for k, (_, way) in enumerate(ways):
            on_the_way: list[int] = []
            for d, (tree, node, side) in enumerate(way):
                f = int(feature[tree, node])
                player = int(of_summary[f])
                if player not in on_the_way:
                    on_the_way.append(player)
                out.feature[k, d], out.threshold[k, d] = f, threshold[tree, node]
                out.left[k, d], out.missing[k, d] = side, missing[tree, node]
                out.slot[k, d] = on_the_way.index(player)
            out.player.append(on_the_way)
        return out

    @property
    def most_on_the_way(self) -> int:
        return max(map(len, self.player), default=0)

    def missed(self, read: np.ndarray) -> np.ndarray:
        """int32 (n, L) from summaries (n, F): which players on the way to a leaf do not meet their conditions."""
        out = np.zeros((len(read), len(self.value)), np.int32)
        for d in range(self.slot.shape[1]):
            some = np.flatnonzero(self.slot[:, d] >= 0)
            value = read[:, self.feature[some, d]]
            left = np.where(np.isnan(value), self.missing[some, d], value <= self.threshold[some, d])
            out[:, some] |= (left != self.left[some, d]).astype(np.int32) << self.slot[some, d].astype(np.int32)
        return out

    @cached_property
    def _players(self) -> np.ndarray:
        """(L, S), -1 where there are no more: a further one, to whom nothing is added."""
        out = np.full((len(self.player), self.most_on_the_way), -1)
        for row, players in zip(out, self.player):
            row[: len(players)] = players
        return out

    def played(self, mine: np.ndarray, lent: np.ndarray, players: int, joins: bool | None) -> np.ndarray:
        """(P + 1) sums over R pairs of a series and a reference, of which bits (R, L) say who misses a condition.

        The last one is of a further player, whose condition the series alone meets (`joins`), or the reference alone.
        """
        pair, leaf = np.nonzero((mine & lent) == 0)  # what neither meets is never reached
        ours, theirs = lent[pair, leaf], mine[pair, leaf]
        a = np.bitwise_count(ours) + (joins is True)
        b = np.bitwise_count(theirs) + (joins is False)
        gain, loss = self.value[leaf] * GAIN[a, b], -self.value[leaf] * LOSS[a, b]
        out = np.zeros(players + 1)
        for s in range(self.most_on_the_way):
            bits = (ours >> s & 1) * gain + (theirs >> s & 1) * loss
            out += np.bincount(self._players[leaf, s] % (players + 1), weights=bits, minlength=players + 1)
        out[players] = 0.0 if joins is None else float((gain if joins else loss).sum())
        return out


def _shares() -> tuple[np.ndarray, np.ndarray]:
    """What each of a players gains, and each of b loses, by a and b."""
    most = MOST_ON_THE_WAY + 2
    gain, loss = np.zeros((most, most)), np.zeros((most, most))
    for a in range(most):
        for b in range(most):
            if a:
                gain[a, b] = factorial(a - 1) * factorial(b) / factorial(a + b)
            if b:
                loss[a, b] = factorial(a) * factorial(b - 1) / factorial(a + b)
    return gain, loss


GAIN, LOSS = _shares()


def lengths_of(rows: Tensor) -> np.ndarray:
    """(n) steps of series with these cells (n, M)."""
    return rows[:, -1].long().cpu().numpy()
