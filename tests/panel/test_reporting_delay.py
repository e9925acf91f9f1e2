"""The newest values, which a delay hides."""

from __future__ import annotations

import numpy as np
import pytest

from tests.processes import make_panel
from tsx.panel.reporting_delay import mask_provisional


@pytest.mark.parametrize("delay", [1, 3, 50])
def test_the_newest_steps_of_every_history_are_hidden_and_nothing_else(delay: int) -> None:
    series = [np.stack([np.arange(1.0, n + 1), np.arange(n) * 2.0], 1) for n in (2, 8, 5)]
    plain = make_panel(series, past=("weather",))
    panel = mask_provisional(plain, delay)
    for n, rows in enumerate(series):
        seen = panel.values[panel.offsets[n] : panel.offsets[n + 1]] + panel.centers[n]
        final = max(0, len(rows) - delay)
        np.testing.assert_array_equal(seen[:final], rows[:final])
        assert np.isnan(seen[final:, 0]).all()
        np.testing.assert_array_equal(seen[:, 1], rows[:, 1])
    assert panel.lengths.tolist() == plain.lengths.tolist()
    hidden = sum(min(delay, len(rows)) for rows in series)
    assert panel.findings[-1].code == "provisional-values"
    assert panel.findings[-1].message.startswith(f"{hidden} values of 'y' in the newest")


def test_what_comes_after_the_history_and_what_was_missing_already_is_not_counted() -> None:
    rows = np.array([[1.0, 0.0], [2.0, 0.0], [np.nan, 0.0], [4.0, 0.0], [np.nan, 7.0]])
    panel = mask_provisional(make_panel([rows], future=("promo",), known_ahead=1), 2)
    assert np.isnan(panel.values[:, 0]).tolist() == [False, False, True, True, True]
    assert panel.values[4, 1] + panel.centers[0, 1] == 7.0
    assert panel.findings[-1].message.startswith("1 values of 'y' in the newest 2 steps")


def test_no_delay_leaves_the_panel_alone() -> None:
    panel = make_panel([np.arange(5.0)])
    assert mask_provisional(panel, 0) is panel
