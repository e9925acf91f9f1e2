"""Leaks do not depend on how well anything is fitted, so what every fit does most often is done less often here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import tsx.training.initialisation


@pytest.fixture(autouse=True, scope="module")
def short_smoothing() -> Iterator[None]:
    """A fourth of the steps in which the smoothing is fitted, which are most of the time of a small fit."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tsx.training.initialisation, "STEPS", 20)
        yield
