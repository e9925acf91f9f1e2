"""Fixtures that hand out what `handmade` makes, imported when they are asked for: the setting below comes first."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.handmade import FakeForecaster
    from tsx.panel.panel import Panel
    from tsx.spec.network import NetworkConfig

# Set before torch is loaded: threads that wait must not spin, or a busy machine slows the suite tenfold.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture
def make_panel() -> Callable[..., Panel]:
    from tests.handmade import panel_of

    return panel_of


@pytest.fixture
def fake_forecaster() -> type[FakeForecaster]:
    from tests.handmade import FakeForecaster

    return FakeForecaster


@pytest.fixture
def make_config() -> Callable[..., NetworkConfig]:
    from tests.handmade import network_config

    return network_config
