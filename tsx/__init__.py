"""tsx: forecast time series with recurrent networks, and explain every forecast.

    >>> import tsx
    >>> tsx.fit("sales.parquet", max_steps=200)
    >>> tsx.forecast().frame
    >>> tsx.explain(max_evals=2000).findings

Importing the package loads nothing heavy; each verb loads what it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tsx.errors import TsxError

if TYPE_CHECKING:
    from tsx.api import (
        backtest,
        classify,
        demo,
        doctor,
        explain,
        fit,
        forecast,
        in_parts,
        inspect,
        make_future,
        merge,
        monitor,
        partition,
        tune,
    )
    from tsx.explanation.result import Explanation
    from tsx.model.forecaster import Forecaster

_HOMES = {
    "backtest": "tsx.api",
    "classify": "tsx.api",
    "demo": "tsx.api",
    "doctor": "tsx.api",
    "explain": "tsx.api",
    "fit": "tsx.api",
    "forecast": "tsx.api",
    "in_parts": "tsx.api",
    "inspect": "tsx.api",
    "make_future": "tsx.api",
    "merge": "tsx.api",
    "monitor": "tsx.api",
    "partition": "tsx.api",
    "tune": "tsx.api",
    "Explanation": "tsx.explanation.result",
    "Forecaster": "tsx.model.forecaster",
}

__all__ = [
    "Explanation",
    "Forecaster",
    "TsxError",
    "backtest",
    "classify",
    "demo",
    "doctor",
    "explain",
    "fit",
    "forecast",
    "in_parts",
    "inspect",
    "make_future",
    "merge",
    "monitor",
    "partition",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tsx' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
