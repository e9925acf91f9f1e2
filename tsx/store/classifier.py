"""A classifier as a model directory, and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from tsx.model.classifier import Classifier, CombinedClassifier
from tsx.spec.verbs import KEPT
from tsx.store import model_directory
from tsx.store.manifest import ClassifierManifest, Metrics, TrainingData
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
    """As `save_forecaster`."""
    manifest = ClassifierManifest(
        **model_directory.described(classifier, data, metrics, settings), choosing=classifier.choosing
    )
    beside = {"scores": classifier.scores, "location": classifier.location}
    weights = model_directory.weights_of(classifier.network, beside)
    return model_directory.save(directory, weights, manifest, keep)


def is_classifier(directory: str | Path) -> bool:
    """Whether the model in use classifies series, by its manifest alone. Raises as `read_content`."""
    return bool(read_content(directory).get("kind") == "classifier")


def load_classifier(directory: str | Path, *, device: str = "auto") -> tuple[Classifier, ClassifierManifest]:
    """The classifier and its manifest. Raises as `model_directory.load_kind` does."""

    def build(weights: dict[str, Tensor], manifest: ClassifierManifest) -> Classifier:
        config = manifest.network
        trees = config.trees * config.tree_nodes
        sizes = (config.hidden_size, config.members, trees, len(config.dilations), *config.filters)
        model_directory.check_sizes(weights, *sizes)
        if max(config.dilations, default=0) > config.padded_length:
            raise ValueError("kernels that read beyond every series")
        location, scores = (weights.pop(name).numpy() for name in ("location", "scores"))
        network = CombinedClassifier(config)
        network.load_state_dict(weights)
        return Classifier(
            **model_directory.trained(network, manifest, device),
            scores=scores,
            location=location,
            choosing=manifest.choosing,
        )

    return model_directory.load_kind(ClassifierManifest, directory, build)
