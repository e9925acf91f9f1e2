"""Settings that cannot be kept are refused before anything is read."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from tsx.errors import ConfigError
from tsx.spec.network import NetworkConfig
from tsx.spec.settings import Question, Settings
from tsx.store.from_json import from_json


@pytest.mark.parametrize(
    "levels", [(0.1, 0.9), (0.9, 0.5), (0.0, 0.5), (), (0.1234567, 0.12345671, 0.5), (0.5, 0.99999999)]
)
def test_quantile_levels_that_cannot_name_columns_are_refused(levels):
    with pytest.raises(ConfigError) as failed:
        Settings(quantile_levels=levels)
    assert failed.value.code == "quantile-levels-invalid"


@pytest.mark.parametrize(
    "wish", [{"horizon": 0}, {"max_time": 0.0}, {"learning_rate": 2.0}, {"dropout": 1.0}, {"seed": -1}]
)
def test_a_wish_out_of_range_names_the_setting_and_its_value(wish):
    with pytest.raises(ConfigError) as failed:
        Settings(**wish)
    ((name, value),) = wish.items()
    assert failed.value.where == name
    assert str(value) in failed.value.message


def test_a_config_survives_json_and_a_field_of_a_newer_version_is_refused():
    config = NetworkConfig(horizon=3, context_length=8, segment=2, season=1, quantile_levels=(0.25, 0.5, 0.75))
    written = json.loads(json.dumps(asdict(config)))
    assert from_json(NetworkConfig, written) == config
    with pytest.raises(ConfigError, match="wavelets"):
        from_json(NetworkConfig, {**written, "wavelets": 1})


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"windows": 0}, "setting-out-of-range"),
        ({"max_evals": 0}, "setting-out-of-range"),
        ({"tolerance": 0.0}, "setting-out-of-range"),
        ({"tolerance": 1.0}, "setting-out-of-range"),
        ({"interactions": -1}, "setting-out-of-range"),
        ({"interactions": 1}, "setting-out-of-range"),
        ({"seeds": 0}, "setting-out-of-range"),
        ({"group": 0}, "setting-out-of-range"),
        ({"seed": -1}, "setting-out-of-range"),
        ({"players": "pair"}, "setting-unknown"),
        ({"value": "observed"}, "setting-unknown"),
        ({"level": "drop"}, "setting-unknown"),
        ({"players": "group"}, "settings-contradict"),
        ({"players": "feature", "group": 24}, "settings-contradict"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(asked, code):
    with pytest.raises(ConfigError) as failed:
        Question(**asked)
    assert failed.value.code == code
    assert failed.value.where in asked or failed.value.where == "group"
