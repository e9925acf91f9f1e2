"""Explanations of networks that work behind a logarithm: everything still adds up in units of y."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from tests.processes import make_panel
from tsx.explanation.explain import explain_forecaster
from tsx.explanation.shap.game import flatten, game_of, rescaled_to
from tsx.explanation.shap.references import ReferencePool
from tsx.explanation.shap.units import from_link, slope, to_link, window_scale
from tsx.model.forecaster import Forecaster
from tsx.panel.panel import Panel
from tsx.spec.settings import Question, Settings
from tsx.training.fit import fit_forecaster
from tsx.workflows.forecast import forecast_panel

SMALL = Settings(
    horizon=4,
    context_length=16,
    segment=4,
    season=4,
    hidden_size=8,
    max_steps=40,
    batch_size=32,
    transform="log",
    cell="minlstm",
    quantile_levels=(0.1, 0.25, 0.5, 0.75, 0.9),
)
SIZES = (1.0, 30.0, 1e4)


def sales(rows: int = 120) -> Panel:
    """Positive series whose season swings with their size, from 1 to 10,000."""
    random = np.random.default_rng(0)
    steps = np.arange(rows)
    swing = np.log(np.array([1.0, 2.0, 0.5, 3.0]))[steps % 4]
    return make_panel([size * np.exp(swing + 0.01 * steps + 0.1 * random.normal(size=rows)) for size in SIZES])


@pytest.fixture(scope="module", params=["median", "mean"])
def setting(request) -> tuple[Forecaster, Panel]:
    panel = sales()
    forecaster = fit_forecaster(panel, replace(SMALL, point=request.param))
    assert forecaster.config.link == "log"
    assert forecaster.config.point == request.param
    assert forecaster.config.floor == 0
    return forecaster, panel


@pytest.mark.parametrize("level", ["follow", "hold"])
@pytest.mark.parametrize("explains", ["yhat", "sum", "q0.9"])
def test_base_value_and_shap_values_are_the_forecast_that_is_made(setting, explains, level):
    forecaster, panel = setting
    question = Question(explain=explains, level=level, windows=9, max_evals=200)
    found = explain_forecaster(forecaster, panel, question, skill={})
    sums = found.importance.group_by("id", "cutoff", "step").agg(pl.col("shap").sum()).collect()
    both = found.forecasts.join(sums, on=["id", "cutoff", "step"], nulls_equal=True, validate="1:1")
    assert both.height == found.forecasts.height
    np.testing.assert_allclose(both["base_value"] + both["shap"], both["yhat"], rtol=1e-6)
    made = forecast_panel(forecaster, panel).frame
    newest = both.join(made, on=["id", "cutoff", "step"] if explains != "sum" else ["id", "cutoff"], suffix="_made")
    if explains == "sum":
        newest = newest.group_by("id").agg(pl.col("yhat").first(), pl.col("yhat_made").sum())
    column = "q0.9" if explains == "q0.9" else "yhat_made"
    assert newest["id"].n_unique() == 3
    np.testing.assert_allclose(newest["yhat"], newest[column], rtol=1e-5)
    verdicts = {check.name: (check.verdict, check.figure) for check in found.checks}
    assert verdicts["additivity"][0] == "pass", verdicts["additivity"]
    numbers = found.tables["contributions"].group_by("id", "cutoff", "step").agg(pl.col("contribution").sum())
    if explains == "yhat":
        split = found.forecasts.join(numbers, on=["id", "cutoff", "step"], validate="1:1")
        np.testing.assert_allclose(split["contribution"], split["yhat"], rtol=1e-5)


def test_values_go_behind_the_link_and_back(setting):
    forecaster, panel = setting
    batch = forecaster.windows(panel).cut(np.arange(3), np.array([40, 60, 119]))
    y = batch.past[..., 0]
    back = from_link(forecaster.config, to_link(forecaster.config, y, batch), batch)
    torch.testing.assert_close(back, y, rtol=1e-4, atol=1e-2)
    with torch.inference_mode():
        scales = window_scale(forecaster.network, batch)
        worth = slope(forecaster.network, batch)
    spread = y.sub(y.mean(1, keepdim=True)).abs().mean(1)
    assert bool((scales / spread > 0.2).all())
    assert bool((scales / spread < 5).all())
    assert bool((worth / scales[:, None] > 0.1).all())
    assert bool((worth / scales[:, None] < 10).all())


def test_a_shape_that_is_moved_to_another_level_keeps_its_proportions(setting):
    """Shifted in y, a swing of thousands would land on a level of one; behind the logarithm it is rescaled."""
    forecaster, panel = setting
    network = forecaster.network
    source = forecaster.windows(panel)
    large, small = (source.cut(np.array([n]), np.array([100])) for n in (2, 0))
    with torch.no_grad():
        frame = network.frame(small)
        moved = rescaled_to(network, large, frame, small)
        scale = network.frame(large).scale
        found = network.frame(moved)
    torch.testing.assert_close(found.location, frame.location, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.scale, frame.scale, rtol=1e-4, atol=1e-4)
    y, was = (batch.past[0, :, 0].double() + panel.centers[n, 0] for batch, n in ((moved, 0), (large, 2)))
    assert bool((y > 0).all())
    assert float(y.max()) < 100
    # in logarithms it is the same shape, as wide as the other window
    shape, own = (np.log(each) - np.log(each).mean() for each in (y.numpy(), was.numpy()))
    np.testing.assert_allclose(shape, own * float(frame.scale / scale) ** (1 / network.config.scaling), atol=0.05)


@pytest.mark.parametrize("level", ["follow", "hold"])
def test_windows_of_other_series_stand_in_at_the_explained_level_and_stay_positive(setting, level):
    """The explained window is its series' first, so that references are borrowed from the others."""
    forecaster, panel = setting
    source = forecaster.windows(panel)
    question = Question(level=level)
    for n in range(3):
        where = np.array([n]), np.array([15])
        batch = source.cut(*where)
        (one,) = ReferencePool(forecaster, panel, question, source).of(*where, batch)
        assert one.borrowed
        y = one.population(60)[:, :16].double().numpy() + panel.centers[n, 0]
        y = y[~np.isnan(y)]
        assert (y > 0).all()
        assert 0.02 * SIZES[n] < y.min() < y.max() < 50 * SIZES[n]


def test_windows_of_the_panel_keep_their_own_values_where_the_level_follows(setting):
    forecaster, panel = setting
    source = forecaster.windows(panel)
    where = np.array([0]), np.array([100])
    batch = source.cut(*where)
    (one,) = ReferencePool(forecaster, panel, Question(reference="panel"), source).of(*where, batch)
    numbers = np.arange(0, len(one), 17)
    series, cutoffs = one.places(numbers)
    cells = one._cells(series, cutoffs)[:, :16].double().numpy() + panel.centers[0, 0]
    rows = (panel.offsets[series] + cutoffs)[:, None] + np.arange(-15, 1)
    inside = cutoffs >= 15
    expected = panel.values[np.maximum(rows, 0), 0] + panel.centers[series, 0][:, None]
    np.testing.assert_allclose(cells[inside], expected[inside], rtol=1e-4, atol=2e-3)


def test_behind_a_logarithm_the_smooth_forecast_and_the_rest_are_the_forecast(setting):
    forecaster, panel = setting
    batch = forecaster.windows(panel).cut(np.array([0, 1, 2]), np.array([60, 80, 100]))
    game = game_of(forecaster, batch, Question())
    cells, of = flatten(batch), torch.arange(len(batch))
    with torch.inference_mode():
        whole, smooth, both = (each(cells, of) for each in (game, game.smooth, game.smooth_and_rest))
    torch.testing.assert_close(both[..., :4] + both[..., 4:], whole)
    torch.testing.assert_close(both[..., :4], smooth)
    assert float((smooth.sum(-1) - whole.sum(-1)).abs().max()) > 0
