"""The explained quantity as a function of cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.processes import driven, make_panel
from tsx.errors import ConfigError
from tsx.explanation.shap.game import flatten, game_of, rescaled_to, unflatten
from tsx.spec.settings import Question, Settings
from tsx.training.fit import fit_forecaster


@pytest.fixture(scope="module")
def setting():
    panel = make_panel([driven(300, seed) for seed in (0, 1)], future=("x",), known_ahead=4)
    settings = Settings(horizon=4, context_length=12, segment=2, hidden_size=8, max_steps=30, device="cpu")
    forecaster = fit_forecaster(panel, settings)
    series, cutoffs = np.array([0, 1, 1]), np.array([200, 100, 250])
    batch = forecaster.windows(panel).cut(series, cutoffs)
    return forecaster, batch, forecaster.quantiles(panel, series, cutoffs) - panel.centers[series, 0][:, None, None]


def played(forecaster, batch, cells=None, of=None, **asked):
    cells = flatten(batch) if cells is None else cells
    of = torch.arange(len(cells)) if of is None else of
    with torch.inference_mode():
        return game_of(forecaster, batch, Question(**asked))(cells, of)


def test_cells_and_windows_are_the_same_thing(setting):
    forecaster, batch, _ = setting
    again = unflatten(flatten(batch), forecaster.config, batch, torch.arange(len(batch)))
    for name in ("past", "future", "static_values", "static_codes"):
        torch.testing.assert_close(getattr(again, name), getattr(batch, name), equal_nan=True)


@pytest.mark.parametrize(
    ("explain", "expected"),
    [
        ("yhat", lambda q: q[..., 3]),
        ("q0.9", lambda q: q[..., 5]),
        ("width", lambda q: q[..., 6] - q[..., 0]),
        ("sum", lambda q: q[..., 3].sum(1, keepdims=True)),
    ],
)
@pytest.mark.parametrize("level", ["follow", "hold"])
def test_the_parts_sum_to_what_is_explained(setting, explain, expected, level):
    forecaster, batch, quantiles = setting
    found = played(forecaster, batch, explain=explain, level=level)
    np.testing.assert_allclose(found.double().sum(-1).numpy(), expected(quantiles), rtol=1e-5, atol=1e-5)


def test_a_quantile_that_the_model_lacks_is_an_error_with_those_it_has(setting):
    forecaster, batch, _ = setting
    with pytest.raises(ConfigError) as caught:
        game_of(forecaster, batch, Question(explain="q0.99"))
    assert caught.value.code == "quantile-unknown"
    assert "q0.975" in caught.value.hint


def test_held_at_its_level_a_window_is_explained_by_shapes_alone(setting):
    forecaster, batch, _ = setting
    moved = replace(batch, past=batch.past.clone())
    moved.past[..., 0] = moved.past[..., 0] * 5 + 30
    moved = replace(moved, usual_scale=batch.usual_scale * 5)
    network = forecaster.network
    with torch.inference_mode():
        back = rescaled_to(network, moved, network.frame(batch), batch)
        apart = rescaled_to(network, batch, network.frame(moved), moved)
    torch.testing.assert_close(back.past, batch.past, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(apart.past, moved.past, rtol=1e-3, atol=1e-3)
    held = played(forecaster, batch, flatten(back), level="hold")
    torch.testing.assert_close(held, played(forecaster, batch, level="hold"), rtol=1e-3, atol=1e-3)


def test_every_row_is_scaled_as_the_window_it_belongs_to(setting):
    forecaster, batch, _ = setting
    one = played(forecaster, batch, flatten(batch)[[2, 2]], torch.tensor([2, 2]))
    torch.testing.assert_close(one[0], played(forecaster, batch)[2])


@pytest.mark.parametrize("level", ["follow", "hold"])
def test_the_smooth_game_is_the_whole_one_without_its_recurrent_component(setting, level):
    forecaster, batch, _ = setting
    game = game_of(forecaster, batch, Question(level=level))
    cells, of = flatten(batch), torch.arange(len(batch))
    with torch.inference_mode():
        whole, smooth, both = (each(cells, of) for each in (game, game.smooth, game.smooth_and_rest))
    torch.testing.assert_close(smooth[..., :3], whole[..., :3])
    torch.testing.assert_close(smooth[..., 3], torch.zeros_like(smooth[..., 3]), atol=1e-4, rtol=0)
    torch.testing.assert_close(both[..., :4], smooth)
    torch.testing.assert_close(both[..., :4] + both[..., 4:], whole)


def test_of_an_error_the_smooth_game_has_what_came_taken_off_once(setting):
    forecaster, batch, _ = setting
    game = game_of(forecaster, batch, Question(explain="error"))
    cells, of = flatten(batch), torch.arange(len(batch))
    with torch.inference_mode():
        whole, both = game(cells, of), game.smooth_and_rest(cells, of)
    torch.testing.assert_close(both[..., :4] + both[..., 4:], whole)
    torch.testing.assert_close(both[..., 4], torch.zeros_like(both[..., 4]))
