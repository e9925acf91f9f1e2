"""The game of a classifier: what is explained of its classes, as a function of a series' cells.

Explained are the log-odds of a class against all others, log(p / (1 - p)): of two classes and of many in the same
unit, in which a logistic regression is linear, and which no ceiling at 0 or 1 bends. On request it is p itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from tsx.errors import ConfigError
from tsx.evaluation.class_metrics import POSITIVE
from tsx.explanation.classes.cells import SeriesCells
from tsx.explanation.shap.game import Game
from tsx.model.classifier import CombinedClassifier

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


def game_of(network: CombinedClassifier, cells: SeriesCells, explain: str, classes: np.ndarray) -> Game:
    """The game of series: `explain` (a word of `QUANTITIES`) of the `classes` (O), in one part."""
    quantity, chosen = QUANTITIES[explain], torch.from_numpy(classes)

    def game(rows: Tensor, of: Tensor) -> Tensor:
        return quantity(network(cells.batch(rows)), chosen)[..., None]

    return game


def explained_classes(probabilities: np.ndarray) -> np.ndarray:
    """(O) numbers of the classes to explain, from probabilities (N, K) of the series.

    Of two the second, of which the first is the mirror image; of more all, or those with the largest mean probability.
    """
    classes = probabilities.shape[1]
    if classes == 2:
        return np.array([POSITIVE])
    strongest = np.argsort(-probabilities.mean(0), kind="stable")[:MOST_CLASSES]
    return np.sort(strongest)
