"""Series are known one by one where held-out windows gain by it, and forgotten where they do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from tests.handmade import channels_of
from tests.model.test_network import PLAIN, make_batch, make_network, run
from tests.processes import make_panel
from tests.training.by_hand import error_by_hand, losses_by_hand
from tsx.explanation.shap.players import players_of
from tsx.model.ensemble import join, members_of, without_series
from tsx.model.network import Network
from tsx.panel.panel import Panel
from tsx.panel.reading import PLAIN as AS_READ
from tsx.spec.decision import Decision
from tsx.spec.settings import Question, Settings
from tsx.spec.verbs import FORECAST
from tsx.store.forecaster import load_forecaster, save_forecaster
from tsx.store.manifest import Metrics, TrainingData
from tsx.training.fit import continue_training, fit_before_holdout, refit
from tsx.training.validation import choose_series_embedding
from tsx.wording import percent
from tsx.workflows.fit import fit_panel
from tsx.workflows.open_model import under_pseudonyms

APART = np.arange(120)
OF_SERIES = replace(PLAIN, channels=channels_of(categories=(2, 3)), series_embedding=True)
"""Of three series, which have a category of two words each."""
SETTINGS = Settings(
    horizon=3,
    context_length=6,
    segment=1,
    season=1,
    hidden_size=8,
    max_steps=150,
    batch_size=64,
    learning_rate=1e-2,
)


def forgetting(batch):
    codes = batch.static_codes.clone()
    codes[:, 1] = 0
    return replace(batch, static_codes=codes)


def held_out(network: Network, *, series_matter: bool) -> list:
    """Windows after which comes what is drawn from the forecast with each series known, or with none."""
    random, found = np.random.default_rng(0), []
    for seed in range(3):
        batch = make_batch(OF_SERIES, size=40, seed=seed)
        quantiles = run(network, batch if series_matter else forgetting(batch)).double().numpy()
        drawn = np.empty(quantiles.shape[:2])
        for place in np.ndindex(drawn.shape):
            drawn[place] = np.interp(random.random(), OF_SERIES.quantile_levels, quantiles[place])
        found.append(replace(batch, target=torch.from_numpy(drawn).float()))
    return found


def test_series_are_known_where_that_is_better_with_both_losses_and_the_error_over_windows_apart():
    network, groups = make_network(OF_SERIES), APART // 4
    held = held_out(network, series_matter=True)
    held[0].target[:10, 1:] = torch.nan
    kept, (decision,), (finding,) = choose_series_embedding(network, held, groups)
    assert kept is network
    known, counts = losses_by_hand(network, held)
    hidden, _ = losses_by_hand(network, [forgetting(batch) for batch in held])
    with_each, with_none = known.sum() / counts.sum(), hidden.sum() / counts.sum()
    error = error_by_hand(hidden - known, counts, 4)
    assert with_none - with_each > 2 * error
    assert decision.value is True
    assert "120 held-out windows, 30 of them apart" in decision.reason
    assert f"the loss is {with_each:.4f} with each of 3 series known and {with_none:.4f} with none" in decision.reason
    assert decision.reason.endswith(f"two standard errors of the difference, {2 * error:.2g}")
    assert "the same history leads to different forecasts in different series" in finding.message
    assert f"the loss is {percent(1 - with_each / with_none)} lower" in finding.message
    assert (finding.where, finding.count) == ("category 1", 3)


def test_series_are_forgotten_where_none_is_better_known_and_then_all_are_forecast_as_an_unknown_one():
    network = make_network(OF_SERIES)
    held = held_out(network, series_matter=False)
    forgot, (decision,), found = choose_series_embedding(network, held, APART)
    assert (decision.value, found) == (False, ())
    assert "would have to be worse by two standard errors of the difference" in decision.reason
    assert (forgot.config.known_series, network.config.known_series) == (0, 3)
    for batch in held:
        torch.testing.assert_close(run(forgot, forgetting(batch)), run(network, forgetting(batch)), rtol=0, atol=0)
    # the other category is still read
    other = forgetting(held[0])
    other.static_codes[:, 0] = (other.static_codes[:, 0] + 1) % 3
    assert not torch.equal(run(forgot, other), run(forgot, forgetting(held[0])))


@pytest.mark.parametrize(("share", "said"), [(1.0, 1), (0.03, 0)])
def test_series_that_differ_by_little_are_known_and_nothing_is_said_of_it(share, said):
    """What comes is the median of the network, whose embedding makes three series wholly different, or a little."""
    network = make_network(OF_SERIES)
    with torch.no_grad():
        table = network.members[0].embedding.categories[1].weight
        table[1:] = table[0] + share * (table[1:] - table[0])
    held = []
    for batch in (make_batch(OF_SERIES, size=40, seed=seed) for seed in range(3)):
        known = run(network, batch)[..., OF_SERIES.median]
        held.append(replace(batch, target=known))
    kept, (decision,), found = choose_series_embedding(network, held, APART)
    assert (kept, decision.value, len(found)) == (network, True, said)


def test_of_windows_that_all_overlap_nothing_is_decided_and_neither_without_an_embedding_or_windows():
    network = make_network(OF_SERIES)
    held = held_out(network, series_matter=False)
    assert choose_series_embedding(network, held, np.zeros(120)) == (network, (), ())
    plain = make_network(PLAIN)
    assert choose_series_embedding(plain, [make_batch(PLAIN, size=120)], APART) == (plain, (), ())
    assert choose_series_embedding(network, [], np.zeros(0, np.int64)) == (network, (), ())


def test_each_member_of_an_ensemble_forgets_by_its_own_unknown_series():
    both = join([make_network(OF_SERIES, seed) for seed in (0, 1)])
    batch = forgetting(make_batch(OF_SERIES))
    forgot = without_series(both)
    torch.testing.assert_close(run(forgot, batch), run(both, batch), rtol=0, atol=0)
    for one, other in zip(members_of(forgot), members_of(both), strict=True):
        torch.testing.assert_close(run(one, batch), run(other, batch), rtol=0, atol=0)


def doses(signs: tuple[int, ...], rows: int = 1203) -> Panel:
    """Series that a seldom dose, known ahead, moves up (1) or down (-1), which few contexts show."""

    def one(seed: int, sign: int) -> np.ndarray:
        random = np.random.default_rng(seed)
        dose = (random.random(rows) < 0.1) * 1.0
        return np.stack([0.3 * random.normal(size=rows) + 2 * sign * dose, dose], 1)

    return make_panel([one(10 + k, sign) for k, sign in enumerate(signs)], future=("dose",), known_ahead=3)


@pytest.fixture(scope="module")
def alike() -> tuple[Panel, object]:
    panel = doses((1, 1, 1, 1))
    return panel, fit_before_holdout(panel, SETTINGS)


def embedding_of(forecaster) -> Decision:
    return next(one for one in forecaster.decisions if one.name == "series_embedding")


def test_series_that_answer_an_input_the_other_way_are_told_apart_and_the_fit_says_so(tmp_path):
    fitted = fit_panel(doses((1, 1, -1, -1)), AS_READ, SETTINGS, tmp_path / "m")
    assert embedding_of(fitted.forecaster).value is True
    assert [one.code for one in fitted.findings] == ["series-differ"]
    assert fitted.forecaster.config.known_series == 4
    loaded, _ = load_forecaster(tmp_path / "m", device="cpu")
    medians = []
    for dose in (0.0, 1.0):
        panel = doses((1, 1, -1, -1))
        panel.values[panel.offsets[:-1] + panel.lengths, 1] = dose - panel.centers[:, 1]  # at the first step
        medians.append(loaded.quantiles(panel, np.arange(4), panel.lengths - 1)[:, 0, loaded.config.median])
    np.testing.assert_array_equal(np.sign(medians[1] - medians[0]), [1, 1, -1, -1])


def test_series_that_are_alike_are_forecast_alike_under_any_name(alike, tmp_path):
    panel, forecaster = alike
    assert embedding_of(forecaster).value is False
    assert "the network does not tell series apart: on " in embedding_of(forecaster).reason
    assert "series-differ" not in {one.code for one in forecaster.findings}
    where = np.arange(4), panel.lengths - 1
    renamed = replace(panel, ids=pl.Series(["s3", "s0", "new", "s1"]))
    save_forecaster(forecaster, tmp_path / "m", data=TrainingData(steps=1, series=4), metrics=Metrics())
    loaded, _ = load_forecaster(tmp_path / "m", device="cpu")
    for one in (forecaster, loaded, continue_training(loaded, panel), refit(loaded, panel, 1)):
        assert one.config.known_series == 0
        np.testing.assert_array_equal(one.quantiles(renamed, *where), one.quantiles(panel, *where))


def test_a_forgotten_series_is_no_player_and_may_go_by_a_pseudonym(alike):
    panel, forecaster = alike
    asked = Question(reference="panel")
    assert "id" not in players_of(forecaster.config, asked).feature
    request = FORECAST.request({})
    renamed, order = under_pseudonyms(forecaster, panel, request)
    order = order.astype(np.int64)
    cutoffs = panel.lengths - 1
    np.testing.assert_array_equal(
        forecaster.quantiles(renamed, np.arange(4), cutoffs), forecaster.quantiles(panel, order, cutoffs)
    )


def test_where_nothing_can_be_held_out_the_number_of_rows_decides():
    panel = doses((1, 1), rows=1203)
    settings = replace(SETTINGS, horizon=590, context_length=100, max_steps=1, hidden_size=4)
    forecaster = fit_before_holdout(panel, settings)
    decided = {one.name: one for one in forecaster.decisions}
    assert decided["validation_windows"].value == 0
    assert embedding_of(forecaster).reason == (
        "2 series, the median one of 1,200 rows; from 2 to 100 series of 1,000 rows are known one by one"
    )
