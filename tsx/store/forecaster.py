"""A forecaster as a model directory, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from tsx.model.forecaster import Forecaster
from tsx.model.network import Network
from tsx.spec.privacy import Privacy
from tsx.spec.verbs import KEPT
from tsx.store import model_directory
from tsx.store.manifest import ForecasterManifest, Metrics, TrainingData
from tsx.store.versions import Put, publish

AS_SHIPPED = "pretrained.network."
"""Weights that come with the package have two bytes each, and nothing trains them: these hold them exactly."""


def save_forecaster(
    forecaster: Forecaster,
    directory: str | Path,
    *,
    data: TrainingData,
    metrics: Metrics,
    settings: Mapping[str, Any] | None = None,
    privacy: Privacy | None = None,
    keep: int = KEPT,
    put: Put = publish,
) -> str:
    """Write a new version of the model directory, put it in use, and give its name.

    `data` says what it was trained on, `metrics` how well it did, `settings` what the user asked for (JSON-able),
    `privacy` what training promised. The newest `keep` versions stay; `put` as `model_directory.save` says. Raises as
    `tsx.store.model_directory.save` does.
    """
    beside = {"covariate_location": forecaster.covariate_location}
    if forecaster.ranks is not None:
        beside["ranks"] = forecaster.ranks
    manifest = ForecasterManifest(
        **model_directory.described(forecaster, data, metrics, settings),
        point_forecast=forecaster.config.point,
        intervals=forecaster.intervals,
        privacy=privacy,
    )
    weights = model_directory.weights_of(forecaster.network, beside)
    for name in weights:
        if name.startswith(AS_SHIPPED):
            weights[name] = weights[name].half()
    return model_directory.save(directory, weights, manifest, keep, put)


def load_forecaster(directory: str | Path, *, device: str = "auto") -> tuple[Forecaster, ForecasterManifest]:
    """The forecaster and its manifest. Raises as `model_directory.load_kind` does."""

    def build(weights: dict[str, Tensor], manifest: ForecasterManifest) -> Forecaster:
        _check_sizes(manifest, weights)
        location = weights.pop("covariate_location").numpy()
        ranks = weights.pop("ranks", None)
        network = Network(manifest.network, manifest.training.members)
        network.load_state_dict(weights)
        return Forecaster(
            **model_directory.trained(network, manifest, device),
            covariate_location=location,
            ranks=None if ranks is None else ranks.numpy(),
            intervals=manifest.intervals,
        )

    return model_directory.load_kind(ForecasterManifest, directory, build)


def _check_sizes(manifest: ForecasterManifest, weights: Mapping[str, Tensor]) -> None:
    network = manifest.network
    members = {found[1] for name in weights if (found := re.match(r"members\.(\d+)\.", name))}
    if manifest.training.members != len(members) or network.layers > len(weights):
        raise ValueError("other counts of members or layers")
    linear_map = network.context_length * network.horizon if network.linear_skip else 0
    model_directory.check_sizes(weights, network.hidden_size, network.horizon, linear_map)
