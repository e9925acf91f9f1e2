"""A model written as a new version of its directory, and the version in use read back.

A version is written file by file, each whole and flushed to the disk, the weights last. It is in use once CURRENT names
it, which is replaced in one step: whatever fails, and whenever, the version before stays in use.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from tsx.errors import DataError
from tsx.io.atomic import for_owner_alone, not_writable
from tsx.model.trained import Trained
from tsx.runtime.devices import choose_device
from tsx.spec.verbs import KEPT
from tsx.store.card import model_card
from tsx.store.from_json import NotOfType
from tsx.store.layout import CARD, MANIFEST, WEIGHTS, damaged, digest
from tsx.store.lock import writing_to
from tsx.store.manifest import (
    Manifest,
    Metrics,
    StoredFile,
    StoredVersion,
    TrainingData,
    other_kind,
    package_versions,
    read_manifest,
)
from tsx.store.migrations import FORMAT_VERSION, migrate
from tsx.store.snapshot import read_snapshot
from tsx.store.versions import Put, adopt, publish, remove_old

Kind = TypeVar("Kind", bound=Manifest)
Model = TypeVar("Model")


def described(
    model: Trained, data: TrainingData, metrics: Metrics, settings: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The fields of a manifest that every kind of model has."""
    config: Any = model.network.config
    return {
        "versions": package_versions(),
        "settings": settings or {},
        "network": config,
        "training": model.training,
        "schema": model.schema,
        "reading": model.reading,
        "frequency": model.frequency,
        "vocabulary": config.channels.vocabulary,
        "decisions": model.decisions,
        "history": model.history,
        "data": data,
        "metrics": metrics,
    }


def weights_of(network: nn.Module, beside: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """The weights of a network, and the arrays that a model has beside it."""
    return {**network.state_dict(), **{name: torch.from_numpy(array) for name, array in beside.items()}}


def save(
    directory: str | Path,
    weights: dict[str, Tensor],
    manifest: Manifest,
    keep: int = KEPT,
    put: Put = publish,
) -> str:
    """Write the model as a new version, put it in use, and remove all but the newest `keep`. Gives its name.

    `put`: `publish`, or `add` where the version in use is to stay in use. The files of a private model are for their
    owner alone. A model that 0.1.0 wrote becomes the first version. Raises DataError `training-diverged` where a weight
    is no number, and as `writing_to` does.
    """
    if not all_finite(weights):
        raise DataError(
            "training-diverged",
            "weights of the fitted model are no numbers",
            hint="lower --learning-rate; the version before stays in use",
            where="training",
        )
    mode = for_owner_alone() if manifest.settings.get("private") else nullcontext()
    with mode, writing_to(directory) as place:
        try:
            contiguous = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
            files = {WEIGHTS: to_safetensors(contiguous), CARD: model_card(manifest).encode()}
            stored = {name: StoredFile(len(content), digest(content)) for name, content in files.items()}
            content = {"format_version": FORMAT_VERSION, **replace(manifest, files=stored).to_dict()}
            files[MANIFEST] = (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
            adopt(place)
            version = put(place, files)
            remove_old(place, keep)
        except OSError as error:
            raise not_writable(directory, error) from error
    return version


def load(directory: str | Path) -> tuple[dict[str, Tensor], Manifest]:
    """The weights (on the CPU) and the manifest of the version in use, brought to the present format.

    Raises NotFound `model-not-found`; DataError `model-damaged`, which names a wrong field of the manifest,
    `model-version`, `file-unreadable`; ConfigError `config-unknown-field`.
    """
    snapshot = read_snapshot(directory)
    try:
        weights = parse_safetensors(snapshot.weights)
    except (ValueError, SafetensorError) as error:
        raise damaged(directory, f"{WEIGHTS} cannot be read: {type(error).__name__}") from error
    content, weights = migrate(snapshot.content, weights)
    try:
        stored = StoredVersion(snapshot.version, snapshot.sha256)
        return weights, replace(read_manifest(content), stored=stored)
    except NotOfType as error:
        raise damaged(directory, f"the manifest was changed: {error}") from error


def load_kind(
    kind: type[Kind], directory: str | Path, build: Callable[[dict[str, Tensor], Kind], Model]
) -> tuple[Model, Kind]:
    """The model that `build` makes of its weights and its manifest, and that manifest.

    Raises UsageError `model-of-other-kind`, DataError `model-damaged` where `build` fails, and as `load` does.
    """
    weights, manifest = load(directory)
    if not isinstance(manifest, kind):
        raise other_kind(manifest, directory)
    try:
        if not all_finite(weights):
            raise ValueError("weights are not finite")
        return build(weights, manifest), manifest
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        message = f"weights and manifest do not belong together: {type(error).__name__}"
        raise damaged(directory, message) from error


def all_finite(weights: Mapping[str, Tensor]) -> bool:
    return all(bool(torch.isfinite(weight).all()) for weight in weights.values())


def check_sizes(weights: Mapping[str, Tensor], *sizes: int) -> None:
    """That a network of these sizes can have these weights, before one is made, which could take hours or all memory.

    Raises ValueError. Whether the shapes are the same is seen when the weights are put into the network.
    """
    if max(sizes) > sum(weight.numel() for weight in weights.values()):
        raise ValueError("larger than its weights")


def trained(network: nn.Module, manifest: Manifest, device: str) -> dict[str, Any]:
    """The fields of `Trained`: a network with its weights, on the device, and what the manifest says of it."""
    chosen = choose_device(device).value
    return {
        "network": network.to(chosen).eval(),
        "training": replace(manifest.training, device=chosen),
        "schema": manifest.schema,
        "frequency": manifest.frequency,
        "decisions": manifest.decisions,
        "history": manifest.history,
        "reading": manifest.reading,
    }
