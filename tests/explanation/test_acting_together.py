"""Pairs of inputs that act together: which is named, and when."""

from __future__ import annotations

import numpy as np
import pytest

from tests.explanation.games import singles
from tsx.explanation.acting_together import Pair, needs_pairs, sentence, strongest_pair
from tsx.explanation.result import Check
from tsx.explanation.shap.interactions import Interactions


def interactions(pairs: dict[tuple[int, int], tuple[float, float]]) -> Interactions:
    first, second = (np.array(each) for each in zip(*pairs))
    values, errors = (np.array(each)[:, None] for each in zip(*pairs.values()))
    return Interactions(first, second, values, errors, 0)


def test_the_pair_with_the_largest_squares_over_all_windows_is_named_in_whatever_order_its_players_come():
    one = interactions({(0, 2): (3.0, 0.5), (1, 2): (1.0, 0.1)})
    other = interactions({(2, 0): (-4.0, 0.5), (0, 1): (4.5, 0.1)})
    assert strongest_pair([one, other]) == Pair(0, 2, pytest.approx(12.5**0.5), 0.5, 2)


def test_no_pair_is_named_that_is_not_sure():
    assert strongest_pair([interactions({(0, 1): (1.0, 0.6), (0, 2): (0.1, 0.2)})]) is None


def test_the_sentence_names_both_inputs_and_how_sure_it_is():
    words = sentence(Pair(0, 2, 3.25, 0.5, 2), singles(3))
    assert "y at lag 3 and y at lag 1" in words
    assert "interaction of 3" in words
    assert "2 forecasts" in words


@pytest.mark.parametrize(("figure", "asked", "looks"), [(0.9, 0, False), (0.79, 0, True), (0.79, 3, False)])
def test_pairs_are_looked_at_where_values_foretell_poorly_and_nobody_asked(figure, asked, looks):
    assert needs_pairs(Check("faithfulness", figure, "weak", "."), asked) == looks
    assert not needs_pairs(None, asked)
