"""Which intervals a model gets: by how those that were calibrated held where rows were held out."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tsx.evaluation.choose_intervals import choose_intervals

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)


def evaluation(shares: list[float], series: int = 20, steps: int = 5) -> pl.DataFrame:
    """Rows of a backtest in which a share of the truths of each origin, the newest first, lies inside every interval.

    The series end at times of their own.
    """
    rows = []
    for origin, share in enumerate(shares):
        inside = np.arange(series * steps) < round(share * series * steps)
        for n in range(series):
            for step in range(steps):
                y = 0.0 if inside[n * steps + step] else 9.0
                rows.append((f"s{n}", 1000 + 7 * n - 10 * origin, y, "gru", -2.0, -1.0, 0.0, 1.0, 2.0))
    names = ["id", "cutoff", "y", "model", "q0.025", "q0.1", "q0.5", "q0.9", "q0.975"]
    return pl.DataFrame(rows, schema=names, orient="row")


def chosen(frame: pl.DataFrame, asked: str = "auto") -> tuple[str, str]:
    decision = choose_intervals(asked, frame, ["id"], "gru", LEVELS)  # type: ignore[arg-type]
    return decision.value, decision.reason


def test_intervals_that_were_too_narrow_at_most_origins_follow_the_coverage_from_now_on():
    value, reason = chosen(evaluation([0.6, 0.5, 0.7, 0.6]))
    assert value == "adaptive"
    assert "80 % intervals covered 60 %" in reason
    assert "4 origins" in reason


def test_intervals_that_were_too_wide_follow_too():
    assert chosen(evaluation([0.98, 0.97, 0.99]))[0] == "adaptive"


@pytest.mark.parametrize("shares", [[0.8, 0.82, 0.77], [0.3, 1.0, 1.0], [0.2], [0.2, 0.3]])
def test_intervals_stay_as_calibrated_where_they_held_or_where_the_origins_cannot_tell(shares):
    assert chosen(evaluation(shares))[0] == "conformal"


def test_other_models_and_rows_without_an_observed_target_do_not_count():
    right = evaluation([0.8, 0.8, 0.8])
    other = evaluation([0.1, 0.1, 0.1]).with_columns(model=pl.lit("naive"))
    unknown = evaluation([0.1, 0.1, 0.1]).with_columns(y=pl.lit(None, pl.Float64))
    assert chosen(pl.concat([right, other, unknown]))[0] == "conformal"


def test_what_was_asked_for_stands_whatever_the_coverage():
    for asked in ("conformal", "adaptive", "network"):
        assert chosen(evaluation([0.1, 0.1, 0.1]), asked) == (asked, "as asked")
