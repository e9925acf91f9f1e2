"""SHAP values of windows as the question and the evaluations allow: from all coalitions, or from a sample of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from tsx.explanation.shap.conditional import dependences
from tsx.explanation.shap.exact import affordable, enumerate_all
from tsx.explanation.shap.game import Game
from tsx.explanation.shap.players import Players
from tsx.explanation.shap.references import References
from tsx.explanation.shap.sampling import POPULATION, Masker, ShapValues, estimate
from tsx.spec.settings import Question

MARGINAL = "those of the reference, whatever is present"


def maskers_of(references: Sequence[References], players: Players, question: Question) -> tuple[list[Masker], str]:
    """What takes the place of absent cells, for every window, and in words what that is."""
    populations = [each.population(POPULATION) for each in references]
    if question.value == "marginal":
        return [Masker(each) for each in populations], MARGINAL
    all_dependences, words = dependences(populations, players)
    # where no cell varies, absent cells are drawn as if they did not depend on the present ones
    usable = [each if bool(each.moves.any()) else None for each in all_dependences]
    return [Masker(*each) for each in zip(populations, usable)], f"drawn given the present ones, from {words}"


def is_exact(players: Players, maskers: Sequence[Masker], max_evals: int) -> bool:
    """Whether `max_evals` evaluations pay for all coalitions of every window."""
    return all(affordable(len(players), len(each.population), max_evals) > 0 for each in maskers)


def shapley_values(
    game: Game,
    cells: Tensor,
    maskers: Sequence[Masker],
    players: Players,
    question: Question,
    random: np.random.Generator,
) -> list[ShapValues]:
    """SHAP values of windows with these `cells` (W, M): from all coalitions where that is paid for, else sampled."""
    method = enumerate_all if is_exact(players, maskers, question.max_evals) else estimate
    return method(
        game, cells, maskers, players, max_evals=question.max_evals, tolerance=question.tolerance, random=random
    )
