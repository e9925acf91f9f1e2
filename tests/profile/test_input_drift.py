"""How far a column has moved since the fit, and the smallest move that could be told from chance."""

from __future__ import annotations

import numpy as np
import pytest

from tests.processes import make_panel
from tsx.panel.panel import Panel
from tsx.profile.drift import panel_facts
from tsx.profile.input_drift import input_drift


def panel(seed: int, moved: float = 0.0, series: int = 12, together: float = 0.0) -> Panel:
    """Noise of spread 1 around 50; `together`: how much all series move alike from week to week."""
    random = np.random.default_rng(seed)
    common = together * np.repeat(random.normal(size=40), 8)
    return make_panel([50 + moved + common[:304] + random.normal(size=304) for _ in range(series)])


@pytest.mark.parametrize("moved", [0.0, 0.4, 2.0, -2.0])
def test_drift_is_the_move_of_the_middle_in_spreads_of_the_fit(moved: float) -> None:
    (found,) = input_drift(panel_facts(panel(0)), panel(1, moved))
    middle_spread = 0.6745  # of |x - median|, of a normal
    assert found.drift == pytest.approx(abs(moved) / middle_spread, abs=0.2)
    assert found.smallest is not None
    assert (found.drift > found.smallest) is (abs(moved) > 0.3)


@pytest.mark.parametrize("together", [0.0, 0.5])
def test_what_did_not_move_seldom_lies_beyond_the_smallest_drift(together: float) -> None:
    beyond = 0
    for seed in range(60):
        (found,) = input_drift(panel_facts(panel(seed, together=together)), panel(1000 + seed, together=together))
        assert found.smallest is not None
        beyond += found.drift > found.smallest
    assert beyond <= 12  # 5 % with as many blocks as one likes; eight of them tell the error within a third


def test_series_that_move_together_can_show_less() -> None:
    apart, together = (next(input_drift(panel_facts(panel(0)), panel(1, together=how))) for how in (0.0, 1.0))
    assert together.smallest > 3 * apart.smallest  # type: ignore[operator]


def test_nothing_is_said_of_what_the_fit_did_not_keep_or_what_does_not_spread() -> None:
    assert list(input_drift(None, panel(0))) == []
    constant = make_panel([np.full(304, 7.0)])
    assert list(input_drift(panel_facts(constant), constant)) == []
    short = make_panel([50 + np.random.default_rng(0).normal(size=30)])
    (found,) = input_drift(panel_facts(short), short)
    assert found.smallest is None
