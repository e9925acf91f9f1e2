"""From a model directory and a table to the forecaster and the panel it starts from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tsx.errors import ConfigError, TsxError
from tsx.io.source import Source, where_of
from tsx.model.forecaster import Forecaster
from tsx.panel.panel import Panel
from tsx.panel.pseudonyms import pseudonymous
from tsx.profile.drift import drift
from tsx.progress import Progress, Run, identify
from tsx.spec.settings import Device
from tsx.spec.verbs import Request
from tsx.store.fitted_on import still_there
from tsx.store.forecaster import load_forecaster
from tsx.store.manifest import ForecasterManifest
from tsx.workflows.open_table import open_again
from tsx.workflows.run import run_of


class FittedModel(NamedTuple):
    """A fitted model, and what is known of it."""

    forecaster: Forecaster
    manifest: ForecasterManifest


class OpenedModel(NamedTuple):
    """A fitted model, the panel it is to start from, and which run this is."""

    forecaster: Forecaster
    panel: Panel
    manifest: ForecasterManifest
    run: Run


OF_THE_FIT = "the file of the fit"


def under_pseudonyms(forecaster: Forecaster, panel: Panel, request: Request) -> tuple[Panel, np.ndarray]:
    """The panel as a private result may show it, and which series (N) of the panel each of its series is.

    Raises ConfigError `settings-contradict` for a model that knows its series by their ids, and as `pseudonymous` does.
    """
    if forecaster.config.known_series:
        raise ConfigError(
            "settings-contradict",
            "the model has an embedding of each series and knows them by their ids, so it cannot read pseudonyms",
            hint="fit it again with --private",
            where="private",
        )
    return pseudonymous(panel, request["pseudonym_key"])


def open_model(
    data: Source | None,
    request: Request,
    progress: Progress,
    *,
    future_data: Source | None = None,
    device: Device = "auto",
    fitted: FittedModel | None = None,
) -> OpenedModel:
    """Open a model and the table, or the share of its series, that it is to start from.

    Without `data` the file is read that the model was fitted on. `fitted`: the model, where it was opened before. The
    findings of the panel say how it differs from the table of the fit. Raises NotFound `model-not-found`, and as
    `open_again` does.
    """
    forecaster, manifest = fitted or FittedModel(*load_forecaster(request["model"], device=device))
    facts = manifest.data
    of_the_fit = "" if data is not None else where_of(source := still_there(facts.path, request["model"]))
    with _unnamed(of_the_fit):
        panel = open_again(
            forecaster,
            source if data is None else data,
            future_data=future_data,
            duplicates=request.given.get("duplicates"),
            max_rows=request["max_rows"],
            share=request.given.get("shard"),
            progress=progress,
        )
    steps, horizon = facts.steps or 0, manifest.network.horizon
    changed = drift(facts.facts, panel, given=data is not None, steps=steps, horizon=horizon)
    findings = (*panel.findings, *changed)
    if of_the_fit:
        findings = tuple(replace(one, where="" if one.where == of_the_fit else one.where) for one in findings)
    run = run_of(request, panel, manifest)
    identify(progress, run)
    return OpenedModel(forecaster, replace(panel, findings=findings), manifest, run)


@contextmanager
def _unnamed(path: str) -> Iterator[None]:
    """Errors do not name a path that the user did not: it stands in the manifest alone."""
    try:
        yield
    except TsxError as error:
        if path:
            error.message, error.hint, error.where = (
                text.replace(path, OF_THE_FIT) for text in (error.message, error.hint, error.where)
            )
        raise
