"""Fixtures that hand out what `handmade` makes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from handmade import FakeForecaster, network_config, panel_of

from tsx.panel.panel import Panel
from tsx.spec.network import NetworkConfig


@pytest.fixture
def make_panel() -> Callable[..., Panel]:
    return panel_of


@pytest.fixture
def fake_forecaster() -> type[FakeForecaster]:
    return FakeForecaster


@pytest.fixture
def make_config() -> Callable[..., NetworkConfig]:
    return network_config
