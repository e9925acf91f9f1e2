"""A classifier as a model directory, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tsx.model.classifier import Classifier, CombinedClassifier
from tsx.runtime.devices import choose_device
from tsx.spec.verbs import KEPT
from tsx.store import model_directory
from tsx.store.layout import damaged
from tsx.store.manifest import ClassifierManifest, Metrics, TrainingData, other_kind, package_versions
from tsx.store.snapshot import read_content


def save_classifier(
    classifier: Classifier,
    directory: str | Path,
    *,
    data: TrainingData,
    metrics: Metrics,
    settings: Mapping[str, Any],
    keep: int = KEPT,
) -> str:
    """Write a new version of the model directory, put it in use, and give its name.

    Raises as `model_directory.save`.
    """
    weights = dict(classifier.network.state_dict())
    weights["scores"] = torch.from_numpy(classifier.scores)
    weights["location"] = torch.from_numpy(classifier.location)
    manifest = ClassifierManifest(
        versions=package_versions(),
        settings=settings,
        network=classifier.config,
        training=classifier.training,
        choosing=classifier.choosing,
        schema=classifier.schema,
        reading=classifier.reading,
        frequency=classifier.frequency,
        vocabulary=classifier.config.channels.vocabulary,
        decisions=classifier.decisions,
        history=classifier.history,
        data=data,
        metrics=metrics,
    )
    return model_directory.save(directory, weights, manifest, keep)


def is_classifier(directory: str | Path) -> bool:
    """Whether the model in use classifies series, by its manifest alone. Raises as `read_content`."""
    return bool(read_content(Path(directory)).get("kind") == "classifier")


def load_classifier(directory: str | Path, *, device: str = "auto") -> tuple[Classifier, ClassifierManifest]:
    """The classifier and its manifest.

    Raises UsageError `model-of-other-kind` for a model that forecasts, and as `model_directory.load` does.
    """
    weights, manifest = model_directory.load(directory)
    if not isinstance(manifest, ClassifierManifest):
        raise other_kind("forecasts", "tsx forecast", directory)
    try:
        if not all(bool(torch.isfinite(weight).all()) for weight in weights.values()):
            raise ValueError("weights are not finite")
        config = manifest.network
        if max(config.hidden_size, config.members, config.trees * config.tree_nodes, *config.filters) > sum(
            each.numel() for each in weights.values()
        ):
            raise ValueError("larger than its weights")
        location = weights.pop("location").numpy()
        scores = weights.pop("scores")
        network = CombinedClassifier(config)
        network.load_state_dict(weights)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        message = f"weights and manifest do not belong together: {type(error).__name__}"
        raise damaged(directory, message) from error
    chosen = choose_device(device).value
    classifier = Classifier(
        network=network.to(chosen).eval(),
        training=replace(manifest.training, device=chosen),
        choosing=manifest.choosing,
        scores=scores.numpy(),
        schema=manifest.schema,
        frequency=manifest.frequency,
        location=location,
        decisions=manifest.decisions,
        history=manifest.history,
        reading=manifest.reading,
    )
    return classifier, manifest
