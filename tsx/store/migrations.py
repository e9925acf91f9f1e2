"""Migrations: bring a model directory written by an older tsx to the present format, one format version at a time.

A step takes the manifest as the dict that its JSON file holds, and the tensors by name. It returns new ones and changes
neither argument. Values of a wrong type pass through: types are checked after the last step. Fields and tensors that
only have another name stand in the tables below; every other change is code in the functions of its step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]

FORMAT_VERSION = 5
"""The format that this version of tsx writes; it reads this one and those that `MIGRATIONS` start from."""

TENSORS_2_TO_3: dict[str, str] = {
    r"^(typical_scale|covariate_scale|relative|static_location|static_scale)$": r"scaler.\1",
    r"^usual_standing$": "scaler.level_statistics",
    r"^usual_center$": "scaler.typical_center",
    r"^smoothing\.": "additive.smoothing.",
    r"^share$": "additive.network_weight",
    r"^usual$": "additive.mean_output",
    r"^(levels|point_weights|spread_factors)$": r"head.\1",
    r"^categories\.": "members.0.embedding.categories.",
    r"^recurrence\.": "members.0.encoder.",
    r"^(mixture|attention|linear)\.": r"members.0.\1.",
    r"^(direct|joint)\.": r"members.0.decoder.\1.",
}
"""Names of tensors: a regular expression for part of the name in format 2, and its replacement in format 3."""
OTHERS_OF_2 = re.compile(r"^others\.(\d+)\.(.*)$")
"""Tensors of an ensemble's members from the second on, each of which was a whole network."""
NETWORK_2_TO_3: dict[str, str] = {
    "elapsed": "time_since_observed",
    "absolute": "level_inputs",
    "identity": "series_embedding",
}
"""Fields of `network` (`tsx.spec.network.NetworkConfig`): the name in format 2, and that in format 3."""
COUNTS_OF_2 = frozenset(("past", "future", "static_values", "static_categories"))
"""Fields of `network` in format 2 that repeat what `schema` and `vocabulary` say."""
DECISIONS_2_TO_3 = {**NETWORK_2_TO_3, "share": "network_weight"}
"""Names of decisions."""
SNAPPED = ("regularize", "snap")
"""Name and value of the decision of format 2 for rows moved to the nearest step of a grid."""


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


def _manifest_2_to_3(manifest: Manifest) -> Manifest:
    changed: Manifest = {}
    if isinstance(network := manifest.get("network"), dict):
        changed["network"] = {
            NETWORK_2_TO_3.get(name, name): value for name, value in network.items() if name not in COUNTS_OF_2
        }
    if isinstance(decisions := manifest.get("decisions"), list):
        # Format 2 says only among the decisions that rows were moved to the nearest step of a grid.
        snapped = any(isinstance(each, dict) and (each.get("name"), each.get("value")) == SNAPPED for each in decisions)
        if isinstance(reading := manifest.get("reading", {}), dict):
            changed["reading"] = {"snapped": snapped, **reading}
        changed["decisions"] = [_renamed_decision(decision) for decision in decisions]
    return {**manifest, **changed}


def _renamed_decision(decision: Any) -> Any:
    if not isinstance(decision, dict) or not isinstance(decision.get("name"), str):
        return decision
    return {**decision, "name": DECISIONS_2_TO_3.get(decision["name"], decision["name"])}


def _tensors_2_to_3(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Renamed; what the other members repeat of the first, such as its scales, is left out."""
    renamed = {}
    for name, tensor in tensors.items():
        other = OTHERS_OF_2.match(name)
        if other is None:
            renamed[_renamed_tensor(name)] = tensor
            continue
        of_first = _renamed_tensor(other[2])
        if of_first.startswith("members.0."):
            renamed[f"members.{int(other[1]) + 1}.{of_first.removeprefix('members.0.')}"] = tensor
    return renamed


def _renamed_tensor(name: str) -> str:
    for old, new in TENSORS_2_TO_3.items():
        name = re.sub(old, new, name)
    return name


def _manifest_3_to_4(manifest: Manifest) -> Manifest:
    """Format 3 knows categories by their hashes; format 4 says so of each, since words may stand in their place."""
    vocabulary = manifest.get("vocabulary")
    if not isinstance(vocabulary, dict):
        return manifest
    return {**manifest, "vocabulary": {name: _marked(known) for name, known in vocabulary.items()}}


def _marked(known: Any) -> Any:
    if not isinstance(known, list):
        return known
    return [f"sha256:{each}" if isinstance(each, str) else each for each in known]


def _tensors_3_to_4(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Without the hashes of the ids."""
    return {name: tensor for name, tensor in tensors.items() if name != "trained_on"}


def _same_manifest(manifest: Manifest) -> Manifest:
    return manifest


def _tensors_4_to_5(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Networks that forecast have limits, which those of format 4 do not reach; those that classify have none."""
    outputs = tensors.get("additive.mean_output")
    if outputs is None:
        return dict(tensors)
    unlimited = outputs.new_full(outputs.shape, 1e9)
    rows = {f"limits.{name}": unlimited[:, 0].clone() for name in ("linear", "reach")}
    return {**tensors, "limits.outputs": unlimited, **rows}


MIGRATIONS = {
    2: Migration(_manifest_2_to_3, _tensors_2_to_3),
    3: Migration(_manifest_3_to_4, _tensors_3_to_4),
    4: Migration(_same_manifest, _tensors_4_to_5),
}
"""The steps by the format version that each starts from."""
