"""Explanations that several test files share."""

from __future__ import annotations

import pytest

from tests.report.fakes import HOSTILE_IDS, make_explanation
from tsx.explanation.result import Explanation
from tsx.spec.schema import Schema


@pytest.fixture(scope="session")
def explanation() -> Explanation:
    return make_explanation()


@pytest.fixture(scope="session")
def rich_explanation() -> Explanation:
    """Two layers, attention, eight series."""
    return make_explanation(series=8, layers=2, attention=True, windows=1)


@pytest.fixture(scope="session")
def full_explanation() -> Explanation:
    """Every further table beside the rest."""
    return make_explanation(layers=2, attention=True, windows=1, full=True)


@pytest.fixture(scope="session")
def daily() -> Explanation:
    """One series of days without an id column or covariates."""
    return make_explanation(
        ids=("series",), horizon=7, context=28, season=7, frequency="1d", schema=Schema(time="day", target="close")
    )


@pytest.fixture(scope="session")
def hostile() -> Explanation:
    """Ids and column names that would do harm in a browser, a terminal or a Markdown table."""
    target = "y|<img src=x onerror=alert(1)>"
    schema = Schema(time="<b>ds</b>", target=target, id="[red]id", past=("\x1b[2Jpast", "a_b*c*"))
    return make_explanation(
        ids=HOSTILE_IDS, horizon=3, context=8, season=4, schema=schema, attention=True, windows=1, full=True
    )
