"""Nothing that comes after a cutoff moves a bit of what is forecast from there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.leaks.leak_cases import (
    ADAPTED,
    BACKTESTED,
    CASES,
    CHOSEN,
    HELD_OUT,
    HORIZON,
    RECONCILED,
    ZEROS,
    Data,
    adapted_leaks,
    backtest_leaks,
    evaluation_leaks,
    fit_leaks,
    forecast_leaks,
    hold_out_leaks,
    prepared,
    reconciled_leaks,
)

NAMES = [case.name for case in CASES]


@pytest.mark.parametrize("name", NAMES)
def test_weights_decisions_and_forecasts_of_a_fit_come_from_what_lies_before_its_ends(name: str) -> None:
    assert fit_leaks(*prepared(name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_forecast_comes_from_what_lies_up_to_its_cutoff(name: str) -> None:
    assert forecast_leaks(*prepared(name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_network_and_baselines_are_judged_on_what_they_have_not_seen(name: str) -> None:
    assert evaluation_leaks(*prepared(name)) == []


@pytest.mark.parametrize("step", range(1, HORIZON))
@pytest.mark.parametrize("name", ["minimal cell, future covariate", "variables apart, past and future"])
def test_a_step_of_a_forecast_reads_what_is_known_ahead_up_to_itself(name: str, step: int) -> None:
    data, fitted = prepared(name)
    made = fitted.quantiles(data.panel, data.series(), data.case.ends - 1)
    values = data.panel.values.copy()
    for first in data.panel.offsets[:-1] + data.case.ends:
        values[first + step : first + HORIZON, -1] += 5.0
    moved = fitted.quantiles(replace(data.panel, values=values), data.series(), data.case.ends - 1)
    assert moved[:, :step].tobytes() == made[:, :step].tobytes()
    assert (moved[:, step] != made[:, step]).any()
    assert fitted.config.future_reach > 0


@pytest.mark.parametrize(("refit", "name"), [(refit, name) for refit, names in BACKTESTED.items() for name in names])
def test_a_fold_of_a_backtest_sees_nothing_after_its_cutoff(refit: Any, name: str) -> None:
    assert backtest_leaks(prepared(name)[0], refit) == []


@pytest.mark.parametrize("name", HELD_OUT)
def test_a_fit_is_judged_on_rows_that_it_had_not_seen(tmp_path: Path, name: str) -> None:
    assert hold_out_leaks(prepared(name)[0], tmp_path / "model") == []


def test_adaptive_intervals_follow_what_lies_up_to_their_cutoff() -> None:
    assert adapted_leaks(*prepared(ADAPTED)) == []


@pytest.mark.parametrize("name", RECONCILED)
def test_forecasts_that_are_made_to_add_up_come_from_what_lies_up_to_their_cutoff(name: str) -> None:
    assert reconciled_leaks(*prepared(name)) == []


def test_a_context_is_chosen_without_the_rows_that_the_fit_is_judged_on(tmp_path: Path) -> None:
    assert hold_out_leaks(Data(CHOSEN), tmp_path / "model") == []


def test_of_a_series_of_zeros_up_to_the_cutoff_only_the_rounding_knows_what_comes_later() -> None:
    # its center, which float32 values lie around, is its first other value: behind the cutoff
    data = Data(ZEROS)
    fitted = data.fit(data.panel)
    for cutoffs in (data.case.ends // 3, data.case.ends - 1):
        made = fitted.quantiles(data.panel, data.series(), cutoffs)
        for how, panel in data.variants(cutoffs + 1, delay=data.delay):
            if not how.startswith("huge"):
                np.testing.assert_allclose(fitted.quantiles(panel, data.series(), cutoffs), made, atol=1e-4, rtol=1e-5)


def test_the_last_value_is_held_in_the_case_that_is_to_show_that_this_choice_leaks_nothing() -> None:
    assert prepared("last value held")[1].network.additive.holds_last_value


def test_held_out_windows_decide_on_the_embedding_of_series_in_the_case_that_is_to_show_that_this_leaks_nothing() -> (
    None
):
    decided = {one.name: one.reason for one in prepared("series told apart")[1].decisions}
    assert "with each of 3 series known" in decided["series_embedding"]


def test_there_are_twenty_configurations() -> None:
    assert len({case.name for case in CASES}) >= 20
