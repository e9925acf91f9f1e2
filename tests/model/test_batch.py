"""Windows: which cutoffs are worth learning from, against a look at every single one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.processes import make_panel
from tsx.panel.cutoffs import Cutoffs, observed_cutoffs
from tsx.panel.panel import Panel


def listed(cutoffs: Cutoffs) -> list[tuple[int, int]]:
    series, positions = cutoffs.pick(np.arange(len(cutoffs)))
    return list(zip(series.tolist(), positions.tolist()))


def one_by_one(panel: Panel, first: np.ndarray, last: np.ndarray, context: int, horizon: int) -> list[tuple[int, int]]:
    found = []
    for n in range(len(panel)):
        seen = ~np.isnan(panel.values[panel.offsets[n] : panel.offsets[n + 1], 0])
        for c in range(first[n], last[n] + 1):
            ahead = seen[c + 1 : c + 1 + horizon].any() if horizon else True
            if seen[max(0, c + 1 - context) : c + 1].any() and ahead:
                found.append((n, c))
    return found


@given(
    st.lists(st.lists(st.booleans(), min_size=1, max_size=30), min_size=1, max_size=5),
    st.integers(1, 6),
    st.integers(0, 5),
    st.integers(0, 3),
    st.sampled_from([1, 20, 1000]),
)
def test_cutoffs_skip_windows_that_lie_wholly_in_gaps(seen, context, horizon, margin, block):
    panel = make_panel([np.where(series, 1.0, np.nan) for series in seen])
    first = np.full(len(seen), margin)
    last = panel.lengths - 1 - horizon
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tsx.panel.cutoffs._BLOCK_ROWS", block)
        found = observed_cutoffs(panel, first, last, context, horizon)
    assert listed(found) == one_by_one(panel, first, last, context, horizon)


def test_series_of_which_nothing_may_be_drawn_have_no_cutoffs():
    panel = make_panel([np.array([1.0, np.nan, 2, 3]), np.full(4, np.nan), np.array([np.nan, 1.0, 2, 3])])
    found = observed_cutoffs(panel, np.zeros(3, np.int64), np.array([2, 2, -1]), 2, 1)
    assert listed(found) == [(0, 1), (0, 2)]
