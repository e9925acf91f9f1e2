"""From a model directory and a table to the forecaster and the panel it starts from."""

from __future__ import annotations

from dataclasses import replace

from tsx.io.source import Source
from tsx.model.forecaster import Forecaster
from tsx.panel.panel import Panel
from tsx.profile.drift import drift
from tsx.progress import Progress
from tsx.spec.settings import Device
from tsx.spec.verbs import Request
from tsx.store.forecaster import load_forecaster
from tsx.store.manifest import Manifest
from tsx.workflows.open_table import fitted_on, open_again


def open_model(
    data: Source | None,
    request: Request,
    progress: Progress,
    *,
    future_data: Source | None = None,
    device: Device = "auto",
) -> tuple[Forecaster, Panel, Manifest]:
    """The forecaster, the panel it is to start from, and the manifest.

    Without `data` the file is read that the model was fitted on. The findings of the panel say how it differs from the
    table of the fit. Raises NotFound `model-not-found`, and as `open_again` does.
    """
    model = request["model"]
    forecaster, manifest = load_forecaster(model, device=device)
    panel = open_again(
        forecaster,
        fitted_on(manifest, model) if data is None else data,
        future_data=future_data,
        duplicates=request.given.get("duplicates"),
        max_rows=request["max_rows"],
        progress=progress,
    )
    changed = drift(manifest.data.facts, panel, given=data is not None)
    return forecaster, replace(panel, findings=(*panel.findings, *changed)), manifest
