"""Models in MLflow, as its Python functions: logged with their metrics and report, loaded to forecast a table.

    >>> from tsx.interop.mlflow import log_model             # doctest: +SKIP
    >>> with mlflow.start_run():                              # doctest: +SKIP
    ...     logged = log_model(tsx.fit("sales.parquet"))
    >>> mlflow.pyfunc.load_model(logged.model_uri).predict(frame)   # doctest: +SKIP

What is stored is the directory of the model and a few lines of code; nothing is pickled. Needs `tsx-forecast[mlflow]`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsx.errors import MissingDependency

try:
    import mlflow
except ImportError:
    raise MissingDependency(
        "package-missing",
        "the Python package mlflow is not installed",
        where="mlflow",
        hint='pip install "tsx-forecast[mlflow]"',
    ) from None

if TYPE_CHECKING:
    from tsx.explanation.result import Explanation
    from tsx.workflows.fit import Fit

CODE = Path(__file__).with_name("mlflow_model.py")
"""What MLflow runs to load the model."""


def save_model(model: str | Path, path: str | Path) -> None:
    """Write the model of a directory as an MLflow model to the folder `path`, which must not be there yet."""
    mlflow.pyfunc.save_model(path=str(path), **_parts(model))


def log_model(fit: Fit, name: str = "tsx", explanation: Explanation | None = None) -> Any:
    """Log a fit to the run that is active: its model, the metrics of its hold-out, its settings, and a report.

    name         of the model in the run.
    explanation  its tables and HTML report are logged as the artefacts `report/`.

    Gives what `mlflow.pyfunc.log_model` gives.
    """
    if fit.backtest is not None:
        own = next(row for row in fit.backtest.summary if row["model"] == fit.backtest.verdict.model)
        mlflow.log_metrics({key: value for key, value in own.items() if isinstance(value, float)})
        if fit.backtest.verdict.skill is not None:
            mlflow.log_metric("skill", fit.backtest.verdict.skill)
    config = fit.forecaster.config
    mlflow.log_params({key: getattr(config, key) for key in ("cell", "horizon", "context_length", "hidden_size")})
    if explanation is not None:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            explanation.write(folder)
            mlflow.log_artifacts(folder, "report")
    return mlflow.pyfunc.log_model(name=name, **_parts(fit.path))


def _parts(model: str | Path) -> dict[str, Any]:
    return {"python_model": str(CODE), "artifacts": {"model": str(model)}, "pip_requirements": ["tsx-forecast"]}
