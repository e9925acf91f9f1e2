"""The manifest of a model: everything that a model directory says beside its weights, each field with its type."""

from __future__ import annotations

import importlib.metadata
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from tsx.errors import UsageError
from tsx.panel.transform import DERIVED
from tsx.profile.drift import PanelFacts
from tsx.spec.channels import Channels
from tsx.spec.classifier import ClassifierConfig
from tsx.spec.decision import Decision, Finding
from tsx.spec.history import History
from tsx.spec.network import NetworkConfig, TrainingConfig
from tsx.spec.schema import Schema
from tsx.spec.settings import Choosing, Intervals, Point, Reading
from tsx.spec.verdict import Verdict
from tsx.store.from_json import NotOfType, from_json

PACKAGES = ("torch", "polars", "numpy", "safetensors")
"""Packages whose versions a manifest names, beside tsx itself."""
OF_LABELS = ("label", "together")
"""Fields of a schema that only a table to classify has."""
AT_LEAST = {
    "network": {
        **dict.fromkeys(("horizon", "context_length", "segment", "season", "hidden_size", "layers"), 1),
        **dict.fromkeys(("dropout", "delay", "scaling", "future_reach"), 0),
    },
    "training": {
        **dict.fromkeys(("max_steps", "batch_size", "evaluate_every", "members"), 1),
        **dict.fromkeys(("learning_rate", "weight_decay", "clip_norm", "patience"), 0),
    },
}
"""The least values of the fields of `network` and `training`."""


@dataclass(frozen=True)
class TrainingData:
    """The table that a model was fitted on: how much of it there was, and where it lies, without one of its rows.

    `path` is that of the file or folder, or those of several; absent, as are `bytes` and `sha256`, where the table was
    not read from files. `facts` is None in a model that did not keep them.
    """

    steps: int
    series: int
    findings: tuple[Finding, ...] = ()
    facts: PanelFacts | None = None
    path: str | tuple[str, ...] | None = None
    bytes: int | None = None
    sha256: str | None = None
    rare_categories: Mapping[str, int] = field(default_factory=dict)
    """Series whose category is not in the vocabulary, by column."""

    @property
    def newest(self) -> int | None:
        """The newest time that was learnt from, as `PanelFacts.newest`; None where it is not known."""
        return None if self.facts is None else self.facts.newest


@dataclass(frozen=True)
class Metrics:
    """How well a model did on rows held out: the metrics of it and of the baselines, or why there are none."""

    reason: str | None = None
    """Why nothing was held out."""
    summary: tuple[Mapping[str, str | float | None], ...] | None = None
    """One for each model, the network first (`tsx.evaluation.metrics`)."""
    verdict: Verdict | None = None
    notes: tuple[str, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, without what is None."""
        return _without_none(asdict(self))

    def rounded(self) -> Metrics:
        """With two digits of every figure of the summary."""
        summary = self.summary and tuple(
            {name: float(f"{value:.1e}") if isinstance(value, float) else value for name, value in row.items()}
            for row in self.summary
        )
        return replace(self, summary=summary)


@dataclass(frozen=True)
class StoredFile:
    """Another file of the same version."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class StoredVersion:
    """Which version a manifest was read from, and the SHA-256 of its file."""

    version: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All fields, in the order of the file."""

    versions: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What the user asked for, null where it was left to the program; empty in a model that did not keep it."""
    network: NetworkConfig
    training: TrainingConfig
    point_forecast: Point
    intervals: Intervals = "network"
    schema: Schema
    reading: Reading = field(default_factory=Reading)
    frequency: str
    vocabulary: Mapping[str, tuple[str, ...]]
    """The known categories of every categorical input, in the order of their codes from 1 (`tsx.model.categories`)."""
    decisions: tuple[Decision, ...]
    history: History
    data: TrainingData
    metrics: Metrics
    files: Mapping[str, StoredFile] = field(default_factory=dict)
    """Size and hash of the weights and of the card, by name; empty in a model of 0.1.0."""
    stored: StoredVersion | None = field(default=None, compare=False)
    """Where it was read from; not part of the file."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON-able content of the file, without its format version."""
        return _json_able(self)

    @classmethod
    def from_dict(cls, content: Any) -> Manifest:
        """The manifest of a file in the present format.

        Raises NotOfType, which names the field; ConfigError `config-unknown-field`.
        """
        manifest = from_json(cls, {name: value for name, value in content.items() if name != "format_version"})
        _check_bounds(manifest.network, manifest.training)
        if manifest.schema.derived not in ("", *DERIVED):
            raise NotOfType("schema.derived cannot be this text")
        channels = Channels.of(manifest.schema, manifest.vocabulary)
        return replace(manifest, network=replace(manifest.network, channels=channels))


@dataclass(frozen=True, kw_only=True)
class ClassifierManifest:
    """The manifest of a classifier, in the order of its file. Fields are as in `Manifest`."""

    kind: Literal["classifier"] = "classifier"
    versions: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    network: ClassifierConfig
    training: TrainingConfig
    choosing: Choosing = field(default_factory=Choosing)
    schema: Schema
    reading: Reading = field(default_factory=Reading)
    frequency: str
    vocabulary: Mapping[str, tuple[str, ...]]
    decisions: tuple[Decision, ...]
    history: History
    data: TrainingData
    metrics: Metrics
    files: Mapping[str, StoredFile] = field(default_factory=dict)
    stored: StoredVersion | None = field(default=None, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """The JSON-able content of the file, without its format version."""
        return _json_able(self)

    @classmethod
    def from_dict(cls, content: Any) -> ClassifierManifest:
        """As `Manifest.from_dict`."""
        manifest = from_json(cls, {name: value for name, value in content.items() if name != "format_version"})
        network, training = manifest.network, manifest.training
        for name in ("context_length", "segment", "hidden_size", "layers", "members"):
            if getattr(network, name) < 1:
                raise NotOfType(f"network.{name} cannot be under 1")
        if min(network.filters, default=1) < 1:
            raise NotOfType("network.filters cannot be under 1")
        if not 0 <= network.dropout < 1:
            raise NotOfType("network.dropout must be in [0, 1)")
        if len(network.classes) < 2 or not network.pooling or manifest.schema.label is None:
            raise NotOfType("network.classes, network.pooling or schema.label are too few")
        if training.batch_size < 1 or training.max_steps < 1:
            raise NotOfType("training.batch_size and training.max_steps cannot be under 1")
        channels = Channels.of(manifest.schema, manifest.vocabulary)
        return replace(manifest, network=replace(network, channels=channels))


def read_manifest(content: Any) -> Manifest | ClassifierManifest:
    """The manifest of a file in the present format, of whatever kind of model. Raises as `Manifest.from_dict`."""
    kind = ClassifierManifest if content.get("kind") == "classifier" else Manifest
    return kind.from_dict(content)


def other_kind(does: str, command: str, directory: Any) -> UsageError:
    """The error `model-of-other-kind`: what the model does, and the command for it."""
    model = shlex.join(["--model", str(directory)])
    return UsageError(
        "model-of-other-kind",
        f"the model {does}",
        hint=f"use `{command} {model}`, or name another model with --model",
        where=str(directory),
    )


def _json_able(manifest: Manifest | ClassifierManifest) -> dict[str, Any]:
    every = asdict(manifest)
    every.pop("stored")
    every["network"].pop("channels")  # what `schema` and `vocabulary` say
    every["history"].pop("seconds")  # the same run writes the same bytes
    every["schema"] = {name: value for name, value in every["schema"].items() if name not in OF_LABELS or value}
    findings = [each.stored() for each in manifest.data.findings]
    every["data"] = _without_none({**every["data"], "findings": findings})
    every["metrics"] = manifest.metrics.to_dict()
    return every


def _check_bounds(network: NetworkConfig, training: TrainingConfig) -> None:
    for section, config in (("network", network), ("training", training)):
        for name, least in AT_LEAST[section].items():
            if getattr(config, name) < least:
                raise NotOfType(f"{section}.{name} cannot be under {least}")
    if network.dropout >= 1:
        raise NotOfType("network.dropout cannot be 1 or more")
    levels = network.quantile_levels
    if sorted(set(levels)) != list(levels) or 0.5 not in levels or not 0 < levels[0] <= levels[-1] < 1:
        raise NotOfType("network.quantile_levels are not in ascending order in (0, 1) with 0.5 among them")
    if training.max_time is not None and not training.max_time > 0:
        raise NotOfType("training.max_time cannot be 0 or less")


def package_versions() -> dict[str, str]:
    """The versions of tsx and of the packages that its numbers depend on."""
    return {
        "tsx": importlib.metadata.version("tsx-forecast"),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
