"""A model that goes on when new rows have come: from which weights, on which scales, judged on what."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import tsx
from tests.processes import autoregression
from tests.stored import in_use
from tsx.errors import ConfigError, DataError, NotFound
from tsx.spec.verbs import FIT
from tsx.store import model_directory
from tsx.store.forecaster import load_forecaster
from tsx.workflows.fit import Fit
from tsx.workflows.open_table import open_again
from tsx.workflows.update import _training, check_same, first_new, rescaled

H = 5
ASKED = {"horizon": H, "context_length": 16, "hidden_size": 6, "max_steps": 12, "batch_size": 32, "transform": "none"}


def table(days: int, *, series: int = 3, size: float = 1.0, since: int = 0) -> pl.DataFrame:
    start = dt.date(2024, 1, 1)
    return pl.concat(
        [
            pl.DataFrame(
                {
                    "id": [f"s{k}"] * (days - since),
                    "ds": [start + dt.timedelta(d) for d in range(since, days)],
                    "y": (10 + size * autoregression(400, k)[since:days]),
                }
            )
            for k in range(series)
        ]
    )


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = tmp_path_factory.mktemp("fitted") / "m"
    tsx.fit(table(200), model=model, **ASKED)
    return model


@pytest.fixture
def model(fitted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fitted, tmp_path / "m"))


@pytest.fixture(scope="module")
def without_defaults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose settings differ from the defaults. Tests only read it: each expects a refusal, or loads it."""
    model = tmp_path_factory.mktemp("without_defaults") / "m"
    other = {"attention": "temporal", "cell": "gru", "layers": 2, "ensemble": 2, "seed": 5, "duplicates": "last"}
    tsx.fit(table(60), model=model, **{**ASKED, **other, "max_steps": 1})
    return model


def decided(fit: Fit, name: str) -> object:
    return next(decision.value for decision in fit.decisions if decision.name == name)


def files(model: Path) -> dict[str, bytes]:
    """Those of the version in use, and the pointer to it."""
    return {path.name: path.read_bytes() for path in (model / "CURRENT", *in_use(model).iterdir())}


def buffers(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.named_buffers() if not name.startswith("limits.")}


def test_an_update_starts_from_the_stored_weights_and_not_from_new_ones(model):
    before, _ = load_forecaster(model)
    updated = tsx.fit(table(230), model=model, update=True, max_steps=1, learning_rate=1e-5)
    after, _ = load_forecaster(model)
    moved = torch.cat([(a - b).flatten() for a, b in zip(after.network.parameters(), before.network.parameters())])
    assert 0 < float(moved.detach().abs().max()) < 1e-3
    assert decided(updated, "new_rows") == 3 * 30
    assert decided(updated, "update_steps") == 1


def test_frozen_scales_stay_to_the_bit_and_others_follow_the_rows(model, fitted):
    before = buffers(load_forecaster(fitted)[0].network)
    louder = table(200).vstack(table(260, size=3.0, since=200))
    frozen = buffers(tsx.fit(louder, model=model, update=True, freeze_scale=True).forecaster.network)
    assert all(torch.equal(frozen[name], before[name]) for name in before)
    shutil.rmtree(model)
    shutil.copytree(fitted, model)
    free = buffers(tsx.fit(louder, model=model, update=True).forecaster.network)
    assert float(free["scaler.typical_scale"]) > float(before["scaler.typical_scale"])
    assert not torch.equal(free["additive.smoothing.weights"], before["additive.smoothing.weights"])
    assert torch.equal(free["head.spread_factors"], before["head.spread_factors"])


def test_the_verdict_is_on_new_rows_alone(model):
    updated = tsx.fit(table(230), model=model, update=True)
    assert updated.backtest is not None
    first = updated.backtest.frame.filter(pl.col("step") == 1)["ds"].min()
    assert first >= dt.date(2024, 1, 1) + dt.timedelta(200)
    assert isinstance(decided(updated, "update_error"), float)


def test_fewer_new_rows_than_a_horizon_leave_the_verdict_as_it_was(model, fitted):
    before = model_directory.load(fitted)[1].metrics
    updated = tsx.fit(table(200 + H - 1), model=model, update=True)
    assert updated.backtest is None
    assert f"do not span a horizon of {H} steps" in updated.reason
    assert model_directory.load(model)[1].metrics == before
    assert before.verdict


def test_without_new_rows_the_model_is_left_as_it_is_and_that_is_said(model):
    before = files(model)
    updated = tsx.fit(table(200), model=model, update=True)
    assert files(model) == before
    assert decided(updated, "new_rows") == 0
    assert "rows-already-seen" in [finding.code for finding in updated.findings]


def test_without_new_rows_the_document_says_so_and_keeps_the_verdict(model):
    before = json.loads((in_use(model) / "manifest.json").read_text())
    document = tsx.fit(table(200), model=model, update=True).to_dict()
    assert document["steps"] == 0
    assert "nothing is newer" in document["stopped"]
    assert document["metrics"]["verdict"] == before["metrics"]["verdict"]


@pytest.mark.parametrize(("name", "value"), [("attention", "none"), ("cell", "lstm"), ("layers", 1), ("ensemble", 1)])
def test_a_value_that_is_the_default_is_still_another_than_that_of_the_fit(without_defaults, name, value):
    with pytest.raises(ConfigError) as refused:
        tsx.fit(table(70), model=without_defaults, update=True, **{name: value})
    assert (refused.value.code, refused.value.where) == ("settings-contradict", name)


def test_a_seed_of_zero_is_that_seed(without_defaults):
    request = FIT.request({"seed": 0, "update": True})
    forecaster, _ = load_forecaster(without_defaults)
    assert _training(forecaster, request).seed == 0
    assert _training(forecaster, FIT.request({})).seed == 5


def test_duplicates_that_are_to_be_an_error_are_one_whatever_the_fit_did_with_them(without_defaults):
    twice = pl.concat([table(70), table(70).tail(1)])
    with pytest.raises(DataError) as refused:
        tsx.fit(twice, model=without_defaults, update=True, duplicates="error")
    assert refused.value.code == "duplicate-rows"


def test_a_series_that_is_new_counts_as_new_rows_and_is_known_afterwards(model):
    grown = table(200, series=4)
    updated = tsx.fit(grown, model=model, update=True)
    assert decided(updated, "new_rows") == 200
    assert load_forecaster(model)[1].data.series == 4


def test_a_kill_while_it_trains_leaves_the_last_good_model(model):
    before = files(model)

    class Killed:
        def start(self, task, total):
            pass

        def update(self, done, note=""):
            raise KeyboardInterrupt

        def finish(self):
            pass

    with pytest.raises(KeyboardInterrupt):
        tsx.fit(table(230), model=model, update=True, progress=Killed())
    assert files(model) == before


@pytest.mark.parametrize("members", [1, 2])
def test_a_floor_goes_when_rows_lie_below_it(tmp_path, members):
    above = table(200).with_columns(y=pl.col("y").abs())
    first = tsx.fit(above, model=tmp_path / "m", ensemble=members, **ASKED)
    assert first.forecaster.config.floor == 0
    below = above.vstack(table(230, since=200).with_columns(y=pl.col("y") - 100))
    updated = tsx.fit(below, model=tmp_path / "m", update=True, freeze_scale=True)
    assert decided(updated, "floor") is None
    assert tsx.forecast(below, model=tmp_path / "m").frame["q0.025"].max() < 0


def test_an_update_of_an_update_says_what_the_last_one_did_alone(model):
    tsx.fit(table(230), model=model, update=True)
    again = tsx.fit(table(240), model=model, update=True, freeze_scale=True)
    names = [decision.name for decision in again.decisions]
    assert len(set(names)) == len(names)
    assert decided(again, "new_rows") == 30
    assert decided(again, "scale") == "frozen"


def test_an_ensemble_goes_on_as_one(tmp_path):
    tsx.fit(table(200), model=tmp_path / "m", ensemble=2, **ASKED)
    updated = tsx.fit(table(230), model=tmp_path / "m", update=True)
    assert len(updated.forecaster.members()) == 2
    assert tsx.forecast(table(230), model=tmp_path / "m").frame.height == 3 * H


@pytest.mark.parametrize(
    "asked",
    [
        {"horizon": H + 1},
        {"context_length": 20},
        {"cell": "gru"},
        {"transform": "log"},
        {"ensemble": 2},
        {"quantile_levels": (0.1, 0.5, 0.9)},
        {"counts": True},
        {"delay": 1},
        {"freq": "1w"},
        {"wide": True},
        {"target": "z"},
        {"past": "x"},
        {"calendar": True},
        {"intervals": "network"},
    ],
)
def test_what_contradicts_the_stored_model_is_refused(model, asked):
    before = files(model)
    with pytest.raises(ConfigError) as caught:
        tsx.fit(table(230), model=model, update=True, **asked)
    assert caught.value.code == "settings-contradict"
    assert caught.value.where == next(iter(asked))
    assert files(model) == before


def test_what_repeats_the_stored_model_is_accepted(model):
    updated = tsx.fit(
        table(230), model=model, update=True, id="id", time="ds", target="y", freq="1d", **{**ASKED, "max_steps": 2}
    )
    assert decided(updated, "update_steps") == 2


@pytest.mark.parametrize("one", [one for one in FIT.keywords if not one.free], ids=lambda one: one.name)
def test_every_setting_can_be_compared_with_the_stored_model_or_is_free(model, one):
    forecaster, manifest = load_forecaster(model)
    request = FIT.request({one.name: one.default})
    with suppress(ConfigError):
        check_same(forecaster, manifest, request)


def test_there_must_be_a_model_and_enough_rows(model, tmp_path):
    with pytest.raises(NotFound) as missing:
        tsx.fit(table(230), model=tmp_path / "none", update=True)
    assert missing.value.code == "model-not-found"
    with pytest.raises(DataError) as few:
        tsx.fit(table(210, since=202), model=model, update=True)
    assert few.value.code == "too-few-windows"
    with pytest.raises(ConfigError) as frozen:
        tsx.fit(table(230), model=model, freeze_scale=True)
    assert frozen.value.code == "settings-contradict"


def test_new_rows_begin_after_the_newest_that_was_learnt(model):
    forecaster, manifest = load_forecaster(model)
    panel = open_again(forecaster, pl.concat([table(230), table(180, series=4).filter(pl.col("id") == "s3")]))
    newest = manifest.data.newest
    assert first_new(forecaster, panel, newest).tolist() == [200, 200, 200, 180]
    assert first_new(forecaster, panel, newest, np.arange(4) < 3).tolist() == [200, 200, 200, 0]
    assert first_new(forecaster, panel, None).tolist() == [0, 0, 0, 0]


def test_scales_fitted_again_leave_the_weights_and_the_stored_network_alone(model):
    forecaster, _ = load_forecaster(model)
    before = buffers(forecaster.network)
    moved = rescaled(forecaster, open_again(forecaster, table(230, size=5.0)))
    assert all(torch.equal(a, b) for a, b in zip(moved.network.parameters(), forecaster.network.parameters()))
    assert all(torch.equal(before[name], value) for name, value in buffers(forecaster.network).items())
    assert float(moved.network.scaler.typical_scale) > float(before["scaler.typical_scale"])
    told = [{each.name: each for each in one.decisions} for one in (forecaster, moved)]
    assert told[0].keys() == told[1].keys()
    assert [name for name in told[0] if told[0][name] != told[1][name]] == ["smoothing"]
    assert np.isfinite(moved.covariate_location).all()


def test_an_effect_known_ahead_stays_what_it_is_where_the_covariate_moves_more_than_in_the_fit(tmp_path):
    effect, days, random = 4.0, 400, np.random.default_rng(3)
    often = np.where(np.arange(days) < 240, 0.04, 0.5)
    promotions = [(random.random(days) < often).astype(float) for _ in range(4)]
    start = dt.date(2024, 1, 1)
    data = pl.concat(
        pl.DataFrame(
            {
                "id": f"s{k}",
                "ds": [start + dt.timedelta(d) for d in range(days)],
                "y": 100 + effect * promotion + random.normal(0, 1, days),
                "promotion": promotion,
            }
        )
        for k, promotion in enumerate(promotions)
    )
    rare = data.filter(pl.col("ds") < start + dt.timedelta(240))
    tsx.fit(rare, model=tmp_path / "m", future="promotion", **{**ASKED, "max_steps": 2})
    forecaster, _ = load_forecaster(tmp_path / "m")
    moved = rescaled(forecaster, open_again(forecaster, data))
    windows = moved.windows(open_again(forecaster, data))
    batch = windows.cut(np.arange(4), np.full(4, days - H - 1))
    promoted = replace(batch, future=batch.future.clone())
    promoted.future[:, 0, 0] += 1.0
    effects = moved.network.additive.effects
    scaler = moved.network.scaler
    with_one, without = (effects(each, scaler.covariate_scale, scaler.typical_scale) for each in (promoted, batch))
    raised = (with_one - without)[:, -H]
    assert float(raised.mean()) == pytest.approx(effect, rel=0.15)
