"""How a model directory written by an older tsx becomes one of the present format: a list of steps, each one format on.

A step takes the manifest as the dict that its JSON file holds, and the tensors by name. It returns new ones and changes
neither that it was given. A field or tensor is renamed by adding it to the tables below, which belong to the newest
step; what needs more than another name is code in that step's functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
Manifest = dict[str, Any]

FORMAT_VERSION = 3
"""The format that this version of tsx writes; it reads this one and those that `MIGRATIONS` start from."""

TENSORS_2_TO_3: dict[str, str] = {}
"""Names of tensors: a regular expression for part of the name in format 2, and what stands there in format 3."""
NETWORK_2_TO_3: dict[str, str] = {}
"""Fields of `network` (`tsx.spec.network.NetworkConfig`): the name in format 2, and that in format 3."""
TRAINING_2_TO_3: dict[str, str] = {}
"""Fields of `training` (`tsx.spec.network.TrainingConfig`)."""
READING_2_TO_3: dict[str, str] = {}
"""Fields of `reading` (`tsx.spec.settings.Reading`)."""
DECISIONS_2_TO_3: dict[str, str] = {}
"""Names of decisions."""


@dataclass(frozen=True)
class Migration:
    """The step from one format version to the next."""

    manifest: Callable[[Manifest], Manifest]
    tensors: Callable[[Mapping[str, Any]], dict[str, Any]]


def migrate(manifest: Manifest, tensors: Mapping[str, Any]) -> tuple[Manifest, dict[str, Any]]:
    """Manifest and tensors in the present format. Raises KeyError for a `format_version` that no step starts from."""
    while manifest["format_version"] != FORMAT_VERSION:
        step = MIGRATIONS[manifest["format_version"]]
        tensors = step.tensors(tensors)
        manifest = {**step.manifest(manifest), "format_version": manifest["format_version"] + 1}
    return manifest, dict(tensors)


def rename_fields(values: Mapping[str, T], names: Mapping[str, str]) -> dict[str, T]:
    """The same values in the same order, those named in `names` under their new names."""
    return {names.get(name, name): value for name, value in values.items()}


def _manifest_2_to_3(manifest: Manifest) -> Manifest:
    # Format 2 says only among the decisions that rows were moved to the nearest step of a grid.
    values = {decision["name"]: decision["value"] for decision in manifest["decisions"]}
    snapped = values.get("regularize") == "snap"
    return {
        **manifest,
        "network": rename_fields(manifest["network"], NETWORK_2_TO_3),
        "training": rename_fields(manifest["training"], TRAINING_2_TO_3),
        "reading": {"snapped": snapped, **rename_fields(manifest.get("reading", {}), READING_2_TO_3)},
        "decisions": [
            {**decision, "name": DECISIONS_2_TO_3.get(decision["name"], decision["name"])}
            for decision in manifest["decisions"]
        ],
    }


def _tensors_2_to_3(tensors: Mapping[str, Any]) -> dict[str, Any]:
    renamed = {}
    for name, tensor in tensors.items():
        for old, new in TENSORS_2_TO_3.items():
            name = re.sub(old, new, name)
        renamed[name] = tensor
    return renamed


MIGRATIONS = {2: Migration(_manifest_2_to_3, _tensors_2_to_3)}
"""The steps by the format version that each starts from."""
