"""Explaining a sample again: no more often than the verdicts take, and from what was sampled already."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tsx.explanation.checks.repeat_checks import FEW_PAIRS, MORE_PAIRS, at_a_glance, halves_of


@pytest.mark.parametrize(
    ("figure", "looks"),
    [
        (0.1, [FEW_PAIRS]),  # far below both thresholds
        (0.5, [FEW_PAIRS, MORE_PAIRS]),  # more pairs might bring it over the first
        (0.7, [FEW_PAIRS, MORE_PAIRS]),
        (2.0, [FEW_PAIRS]),
        (float("nan"), [FEW_PAIRS, MORE_PAIRS]),
        (float("inf"), [FEW_PAIRS]),
    ],
)
def test_a_second_look_is_taken_only_where_it_could_change_the_verdict(figure, looks):
    taken = []

    def look(pairs):
        taken.append(pairs)
        return figure

    at_a_glance(look, lambda found: found, (0.6, 0.8))
    assert taken == looks


def test_the_halves_are_those_of_the_windows_that_were_sampled():
    halves = np.random.default_rng(0).normal(size=(3, 2, 5, 2))
    sample = SimpleNamespace(shapley=[SimpleNamespace(halves=each) for each in (*halves, None)])
    found = halves_of(sample)
    assert np.array_equal(found.first, halves[:, 0])
    assert np.array_equal(found.second, halves[:, 1])
    assert halves_of(SimpleNamespace(shapley=[SimpleNamespace(halves=None)])) is None
