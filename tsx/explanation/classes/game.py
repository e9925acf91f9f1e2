"""The game of a classifier: what is explained of its classes, as a function of a series' cells.

Explained are the log-odds of a class against all others, log(p / (1 - p)): of two classes and of many in the same
unit, in which a logistic regression is linear, and which no ceiling at 0 or 1 bends. On request it is p itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from tsx.errors import ConfigError
from tsx.explanation.classes.cells import SeriesCells
from tsx.explanation.classes.simple_parts import SimpleParts
from tsx.explanation.shap.chunk import KnownPart, evaluate
from tsx.explanation.shap.game import LayeredGame
from tsx.explanation.shap.players import Players
from tsx.model.classifier import ON_STEPS, ON_SUMMARIES, CombinedClassifier
from tsx.spec.classifier import KERNELS, NETWORKS, POSITIVE

LOG_ODDS, PROBABILITY = "log-odds", "p"
MOST_CLASSES = 20
"""Classes that are explained at most."""


def log_odds(log_p: Tensor, classes: Tensor) -> Tensor:
    """(n, O): log(p / (1 - p)) of the `classes` (O), from log probabilities (n, K).

    1 - p is the sum over the others, which keeps its digits where p is nearly 1.
    """
    every = torch.arange(log_p.shape[1], device=log_p.device)
    return torch.stack([log_p[:, k] - log_p[:, every != k].logsumexp(1) for k in classes.tolist()], 1)


def probabilities(log_p: Tensor, classes: Tensor) -> Tensor:
    """(n, O): p of the `classes` (O), from log probabilities (n, K)."""
    return log_p[:, classes].exp()


QUANTITIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {LOG_ODDS: log_odds, PROBABILITY: probabilities}
"""What can be explained, by its word; both from log probabilities (n, K) of the classes (O)."""


def explained_word(explain: str) -> str:
    """The word of `QUANTITIES` that a question asks for, of which the default stands for log-odds.

    Raises ConfigError `explain-unknown`.
    """
    word = LOG_ODDS if explain == "yhat" else explain
    if word not in QUANTITIES:
        raise ConfigError(
            "explain-unknown",
            f"explain is {explain!r}, and the model classifies series",
            hint=f"choose {' or '.join(QUANTITIES)}",
            where="explain",
        )
    return word


@dataclass(frozen=True, eq=False)
class ClassGame(LayeredGame):
    """The game of series: `quantity` of the `classes` (O), in one part.

    Smooth is what the parts on summaries would say alone: the regression and the trees.

    members  numbers of the networks that are averaged
    linear   whether the quantity is linear in the networks' logits, so that it is the mean over networks by themselves
    """

    network: CombinedClassifier
    cells: SeriesCells
    quantity: Callable[[Tensor, Tensor], Tensor]
    classes: Tensor
    members: tuple[int, ...]
    linear: bool

    def __call__(self, cells: Tensor, of: Tensor) -> Tensor:
        batch = self.cells.batch(cells)
        return self._explained(self.network.of(batch, ON_STEPS, self.members) + self.network.of(batch, ON_SUMMARIES))

    def smooth(self, cells: Tensor, of: Tensor) -> Tensor:
        return self._explained(self.network.of(self.cells.batch(cells), ON_SUMMARIES))

    def smooth_and_rest(self, cells: Tensor, of: Tensor) -> Tensor:
        batch = self.cells.batch(cells)
        of_summaries = self.network.of(batch, ON_SUMMARIES)
        smooth = self._explained(of_summaries)
        whole = self._explained(of_summaries + self.network.of(batch, ON_STEPS, self.members))
        return torch.cat([smooth, whole - smooth], -1)

    @property
    def averaged(self) -> Sequence[ClassGame]:
        return [replace(self, members=(k,)) for k in self.members] if self.linear else (self,)

    def networks(self, cells: Tensor, of: Tensor) -> Tensor:
        """(n, O, G): what the networks add, where the quantity is linear."""
        return self._explained(self.network.of(self.cells.batch(cells), (NETWORKS,), self.members))

    def without_networks(self, cells: Tensor, of: Tensor) -> Tensor:
        """(n, O, G): what all other parts would say alone."""
        return self._explained(self.network.of(self.cells.batch(cells), (*ON_SUMMARIES, KERNELS)))

    def known(self, rows: Tensor, references: Tensor, players: Players) -> Callable[[], KnownPart] | None:
        """What finds SHAP values of series (W, M) by all parts but the networks in closed form, where there is one."""
        parts = SimpleParts.of(self.network, self.cells, players) if self.linear else None
        if parts is None:
            return None

        def find() -> KnownPart:
            sign = torch.where(self.classes == POSITIVE, 1.0, -1.0).double()[:, None]
            values = torch.from_numpy(parts.values(rows, references))[..., None, None] * sign
            forecast, base = (
                evaluate(self.without_networks, each, torch.arange(len(each))).double() for each in (rows, references)
            )
            games = [each.networks for each in self.averaged]
            return KnownPart(games, values, base.mean(0).expand_as(forecast), forecast)

        return find

    def _explained(self, logits: Tensor) -> Tensor:
        """(n, K) to (n, O, 1)."""
        return self.quantity(logits.log_softmax(-1), self.classes)[..., None]


def game_of(network: CombinedClassifier, cells: SeriesCells, explain: str, classes: np.ndarray) -> ClassGame:
    """The game of series: `explain` (a word of `QUANTITIES`) of the `classes` (O)."""
    members = tuple(range(len(network.members)))
    # of two classes log(p / (1 - p)) is the difference of their logits, to which every part adds its own
    linear = explain == LOG_ODDS and len(network.config.classes) == 2
    return ClassGame(network, cells, QUANTITIES[explain], torch.from_numpy(classes), members, linear)


def explained_classes(probabilities: np.ndarray) -> np.ndarray:
    """(O) numbers of the classes to explain, from probabilities (N, K) of the series.

    Of two the second, of which the first is the mirror image; of more all, or those with the largest mean probability.
    """
    classes = probabilities.shape[1]
    if classes == 2:
        return np.array([POSITIVE])
    strongest = np.argsort(-probabilities.mean(0), kind="stable")[:MOST_CLASSES]
    return np.sort(strongest)
