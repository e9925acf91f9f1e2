"""What MLflow runs to load a model of `tsx`: a function from a table to its forecast. It is never imported here."""

from __future__ import annotations

from typing import Any

import mlflow

from tsx import api


class TsxModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Forecasts every series of a table; the parameters are keywords of `tsx.forecast`."""

    def load_context(self, context: Any) -> None:
        """Note where the model is."""
        self.model = context.artifacts["model"]

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        """The forecast as a pandas frame."""
        return api.forecast(model_input, model=self.model, **(params or {})).to_pandas()


mlflow.models.set_model(TsxModel())
