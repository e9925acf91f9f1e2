"""The attacks on models find what is there to be found, and nothing where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.membership import attacks, auc, half


def test_the_area_is_the_share_of_pairs_in_order() -> None:
    random = np.random.default_rng(0)
    suspicion, member = random.integers(0, 9, 60).astype(float), random.random(60) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in suspicion[member] for b in suspicion[~member]]
    assert auc(suspicion, member)[0] == pytest.approx(np.mean(pairs))


def test_the_error_of_the_area_is_that_of_repeated_draws() -> None:
    random = np.random.default_rng(1)
    member = np.arange(80) < 30
    drawn = [auc(random.normal(size=80) + 0.5 * member, member) for _ in range(2000)]
    areas, errors = np.array(drawn).T
    assert errors.mean() == pytest.approx(areas.std(), rel=0.05)


@pytest.mark.parametrize(("learnt", "low", "high"), [(0.0, 0.45, 0.55), (0.2, 0.75, 1.0)])
def test_lira_sees_what_a_model_has_learnt_of_a_series_and_the_loss_alone_hardly(
    learnt: float, low: float, high: float
) -> None:
    """Losses that differ much from series to series and a little by whether the series was learnt from."""
    random = np.random.default_rng(2)
    member = np.stack([half(3000, 0, model) for model in range(17)])
    difficulty = random.normal(size=3000)
    losses = np.exp(difficulty - learnt * member + 0.15 * random.normal(size=member.shape))
    found = attacks(losses, member)
    assert low < found["LiRA"][0] < high
    assert 0.45 < found["loss"][0] < 0.62


def test_every_model_learns_from_a_half_of_its_own() -> None:
    halves = [half(100, 3, model) for model in range(4)]
    assert {int(each.sum()) for each in halves} == {50}
    assert len({each.tobytes() for each in halves}) == 4
