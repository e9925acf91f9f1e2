"""A forecaster as a model directory, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tsx.model.forecaster import Forecaster
from tsx.model.network import Network
from tsx.runtime.devices import choose_device
from tsx.spec.verbs import KEPT
from tsx.store import model_directory
from tsx.store.layout import damaged
from tsx.store.manifest import Manifest, Metrics, TrainingData, other_kind, package_versions
from tsx.store.versions import Put, publish


def save_forecaster(
    forecaster: Forecaster,
    directory: str | Path,
    *,
    data: TrainingData,
    metrics: Metrics,
    settings: Mapping[str, Any] | None = None,
    keep: int = KEPT,
    put: Put = publish,
) -> str:
    """Write a new version of the model directory, put it in use, and give its name.

    `data` says what it was trained on, `metrics` how well it did, `settings` what the user asked for (JSON-able). The
    newest `keep` versions stay; `put` as `model_directory.save` says. Raises as `tsx.store.model_directory.save` does.
    """
    weights = dict(forecaster.network.state_dict())
    weights["covariate_location"] = torch.from_numpy(forecaster.covariate_location)
    if forecaster.ranks is not None:
        weights["ranks"] = torch.from_numpy(forecaster.ranks)
    manifest = Manifest(
        versions=package_versions(),
        settings=settings or {},
        network=forecaster.config,
        training=forecaster.training,
        point_forecast=forecaster.config.point,
        intervals=forecaster.intervals,
        schema=forecaster.schema,
        reading=forecaster.reading,
        frequency=forecaster.frequency,
        vocabulary=forecaster.config.channels.vocabulary,
        decisions=forecaster.decisions,
        history=forecaster.history,
        data=data,
        metrics=metrics,
    )
    return model_directory.save(directory, weights, manifest, keep, put)


def load_forecaster(directory: str | Path, *, device: str = "auto") -> tuple[Forecaster, Manifest]:
    """The forecaster and its manifest.

    Raises NotFound `model-not-found`, UsageError `model-of-other-kind`, and as `model_directory.load` does.
    """
    weights, manifest = model_directory.load(directory)
    if not isinstance(manifest, Manifest):
        raise other_kind("classifies series", "tsx classify", directory)
    try:
        if not all(bool(torch.isfinite(weight).all()) for weight in weights.values()):
            raise ValueError("weights are not finite")
        _check_sizes(manifest, weights)
        location = weights.pop("covariate_location").numpy()
        ranks = weights.pop("ranks", None)
        network = Network(manifest.network, manifest.training.members)
        network.load_state_dict(weights)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        message = f"weights and manifest do not belong together: {type(error).__name__}"
        raise damaged(directory, message) from error
    chosen = choose_device(device).value
    forecaster = Forecaster(
        network=network.to(chosen).eval(),
        training=replace(manifest.training, device=chosen),
        schema=manifest.schema,
        frequency=manifest.frequency,
        covariate_location=location,
        decisions=manifest.decisions,
        history=manifest.history,
        reading=manifest.reading,
        ranks=None if ranks is None else ranks.numpy(),
        intervals=manifest.intervals,
    )
    return forecaster, manifest


def _check_sizes(manifest: Manifest, weights: Mapping[str, Tensor]) -> None:
    """That a network of these sizes can have these weights, before one is made, which could take hours or all memory.

    Raises ValueError. Whether the shapes are the same is seen when the weights are put into the network.
    """
    network = manifest.network
    numbers = sum(weight.numel() for weight in weights.values())
    members = {found[1] for name in weights if (found := re.match(r"members\.(\d+)\.", name))}
    linear_map = network.context_length * network.horizon if network.linear_skip else 0
    if manifest.training.members != len(members) or network.layers > len(weights):
        raise ValueError("other counts of members or layers")
    if max(network.hidden_size, network.horizon, linear_map) > numbers:
        raise ValueError("larger than its weights")
