"""Fixtures that hand out what `handmade` makes, imported when they are asked for: the setting below comes first."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.handmade import FakeForecaster
    from tsx.panel.panel import Panel
    from tsx.spec.network import NetworkConfig

# Set before torch and polars are loaded. Each process of the suite computes with one thread, as the suite runs in as
# many processes as there are cores; a test about several threads asks for them itself. Threads that wait must not
# spin, or a busy machine slows the suite tenfold.
for name, value in {
    "OMP_WAIT_POLICY": "PASSIVE",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
}.items():
    os.environ.setdefault(name, value)

# The same examples in every run, so that a change is judged by what it changes; `make nightly` looks for others, and
# for many more.
settings.register_profile("quick", parent=settings.get_profile("ci"), max_examples=30)
settings.register_profile("nightly", max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


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


HOWEVER_FITTED = {"explanation", "interop", "leaks", "wild", "workflows"}
"""Folders of tests of what does not depend on how well anything is fitted."""


@pytest.fixture(autouse=True, scope="module")
def short_fits(request: pytest.FixtureRequest) -> Iterator[None]:
    """A fourth of the steps in which the smoothing is fitted, and a tenth of the rounds of a boosting: they are most of
    the time of a small fit."""
    with pytest.MonkeyPatch.context() as patched:
        if request.path.relative_to(Path(__file__).parent).parts[0] in HOWEVER_FITTED:
            patched.setattr("tsx.training.initialisation.STEPS", 20)
            patched.setattr("tsx.baselines.classes.ROUNDS", 20)
        yield
