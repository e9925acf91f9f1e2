"""From a model directory and a table to the forecaster and the panel it starts from."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from tsx.io.source import Source
from tsx.model.forecaster import Forecaster
from tsx.panel.panel import Panel
from tsx.profile.drift import drift
from tsx.progress import Progress, Run, identify
from tsx.spec.settings import Device
from tsx.spec.verbs import Request
from tsx.store.forecaster import load_forecaster
from tsx.store.manifest import Manifest
from tsx.workflows.open_table import fitted_on, open_again
from tsx.workflows.run import run_of


class OpenedModel(NamedTuple):
    """A fitted model, the panel it is to start from, and which run this is."""

    forecaster: Forecaster
    panel: Panel
    manifest: Manifest
    run: Run


def open_model(
    data: Source | None,
    request: Request,
    progress: Progress,
    *,
    future_data: Source | None = None,
    device: Device = "auto",
) -> OpenedModel:
    """Open a model and the table it is to start from.

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
    fitted = manifest.data
    changed = drift(fitted.facts, panel, given=data is not None, steps=fitted.steps, horizon=manifest.network.horizon)
    run = run_of(request, panel, manifest)
    identify(progress, run)
    return OpenedModel(forecaster, replace(panel, findings=(*panel.findings, *changed)), manifest, run)
