"""The manifest of a model: everything that a model directory says beside its weights, each field with its type."""

from __future__ import annotations

import importlib.metadata
import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

from tsx.errors import UsageError
from tsx.io.remote import place_of
from tsx.panel.transform import DERIVED
from tsx.profile.drift import PanelFacts
from tsx.spec.channels import Channels
from tsx.spec.classifier import ClassifierConfig
from tsx.spec.decision import Decision, Finding
from tsx.spec.history import History
from tsx.spec.metrics import OF_LABELS_SAID
from tsx.spec.network import NetworkConfig, TrainingConfig
from tsx.spec.privacy import Privacy
from tsx.spec.schema import Schema
from tsx.spec.settings import Choosing, Intervals, Point, Reading
from tsx.spec.verdict import Verdict
from tsx.store.from_json import NotOfType, from_json

PACKAGES = ("torch", "polars", "numpy", "safetensors")
"""Packages whose versions a manifest names, beside tsx itself."""
WHERE_THERE = ("label", "together", "past_words", "future_words")
"""Fields of a schema that are only written where the table has such columns."""
SHAPES_WHERE_THERE = ("at_once", "dilations", "pretrained")
"""Fields of `network` that are only written where the model has such parts."""
AT_LEAST = {
    "network": {
        **dict.fromkeys(("horizon", "context_length", "segment", "season", "hidden_size", "layers", "members"), 1),
        **dict.fromkeys(("dropout", "delay", "scaling", "future_reach", "trees", "tree_nodes"), 0),
    },
    "training": {
        **dict.fromkeys(("max_steps", "batch_size", "evaluate_every", "members"), 1),
        **dict.fromkeys(("learning_rate", "weight_decay", "clip_norm", "patience", "shift", "jitter"), 0),
    },
}
"""The least values of the fields of `network` and `training`, where a model has them."""


@dataclass(frozen=True)
class TrainingData:
    """The table that a model was fitted on: how much of it there was, and where it lies, without one of its rows.

    `path` is that of the file or folder, or those of several; absent, as are `bytes` and `sha256`, where the table was
    not read from files. `facts` is None in a model that did not keep them.
    """

    steps: int | None
    """None where it was not counted, in a private training."""
    series: int
    """In a private training, give or take noise."""
    findings: tuple[Finding, ...] = ()
    facts: PanelFacts | None = None
    path: str | tuple[str, ...] | None = None
    bytes: int | None = None
    sha256: str | None = None
    rare_categories: Mapping[str, int] = field(default_factory=dict)
    """Series whose category is not in the vocabulary, by column."""
    unknown_words: Mapping[str, float] = field(default_factory=dict)
    """Share of the times with a word that have one which is not in the vocabulary, by column of words over time."""

    @property
    def size(self) -> str:
        """Steps and series in words."""
        if self.steps is None:
            return f"about {self.series:,} series"
        return f"{self.steps:,} steps in {self.series:,} series"

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
    per_step: tuple[Mapping[str, str | float | None], ...] | None = None
    """Of a forecaster: the same metrics of each model at each `step`."""
    reliability: tuple[Mapping[str, float], ...] | None = None
    """Of a classifier: the probability that it gave, and how often it was so (`tsx.evaluation.class_metrics`)."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, without what is None."""
        return _without_none(asdict(self))

    def rounded(self) -> Metrics:
        """With two digits of every figure of the held-out rows."""
        return replace(
            self,
            summary=self.summary and tuple(map(_rounded, self.summary)),
            per_step=self.per_step and tuple(map(_rounded, self.per_step)),
            reliability=self.reliability and tuple(map(_rounded, self.reliability)),
        )

    def of_probabilities(self) -> Metrics:
        """Without what depends on which class is said by them."""
        figures = {f"{name}{end}" for name in OF_LABELS_SAID for end in ("", "_low", "_high")}
        kept = [{name: value for name, value in row.items() if name not in figures} for row in self.summary or ()]
        return replace(self, summary=self.summary and tuple(kept))


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: float(f"{value:.1e}") if isinstance(value, float) else value for name, value in row.items()}


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
class Manifest(ABC):
    """The fields that every kind of model has."""

    does: ClassVar[str]
    """What the model does, in a sentence that begins with it."""
    command: ClassVar[str]
    """The command for it."""

    versions: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What the user asked for, null where it was left to the program; empty in a model that did not keep it."""
    network: NetworkConfig | ClassifierConfig
    training: TrainingConfig
    schema: Schema
    reading: Reading = field(default_factory=Reading)
    frequency: str
    vocabulary: Mapping[str, tuple[str, ...]]
    """The known categories of every categorical input, in the order of their codes from 1 (`tsx.model.categories`)."""
    decisions: tuple[Decision, ...]
    history: History
    data: TrainingData
    metrics: Metrics
    privacy: Privacy | None = None
    """What training promised; None where it promised nothing."""
    files: Mapping[str, StoredFile] = field(default_factory=dict)
    """Size and hash of the weights and of the card, by name; empty in a model of 0.1.0."""
    stored: StoredVersion | None = field(default=None, compare=False)
    """Where it was read from; not part of the file."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON-able content of the file, without its format version."""
        every = asdict(self)
        every.pop("stored")
        if self.privacy is None:
            every.pop("privacy")
        every["network"].pop("channels")  # what `schema` and `vocabulary` say
        every["history"].pop("seconds")  # the same run writes the same bytes
        every["schema"] = {name: value for name, value in every["schema"].items() if name not in WHERE_THERE or value}
        for name in SHAPES_WHERE_THERE:
            if not every["network"].get(name, True):
                every["network"].pop(name)
        findings = [each.stored() for each in self.data.findings]
        steps = {"steps": self.data.steps}  # null, too
        every["data"] = steps | _without_none({**every["data"], "findings": findings})
        if not every["data"]["unknown_words"]:
            every["data"].pop("unknown_words")
        every["metrics"] = self.metrics.to_dict()
        return every

    @classmethod
    def from_dict(cls, content: Any) -> Self:
        """The manifest of a file in the present format.

        Raises NotOfType, which names the field; ConfigError `config-unknown-field`.
        """
        manifest = from_json(cls, {name: value for name, value in content.items() if name != "format_version"})
        _check_bounds(manifest.network, manifest.training)
        manifest.check()
        channels = Channels.of(manifest.schema, manifest.vocabulary)
        return replace(manifest, network=replace(manifest.network, channels=channels))

    @abstractmethod
    def check(self) -> None:
        """Raises NotOfType where values of this kind of model cannot be."""


@dataclass(frozen=True, kw_only=True)
class ForecasterManifest(Manifest):
    """The manifest of a model that forecasts."""

    does = "forecasts"
    command = "tsx forecast"

    network: NetworkConfig
    point_forecast: Point
    intervals: Intervals = "network"

    def check(self) -> None:
        if self.schema.derived not in ("", *DERIVED):
            raise NotOfType("schema.derived cannot be this text")
        levels = self.network.quantile_levels
        if sorted(set(levels)) != list(levels) or 0.5 not in levels or not 0 < levels[0] <= levels[-1] < 1:
            raise NotOfType("network.quantile_levels are not in ascending order in (0, 1) with 0.5 among them")


@dataclass(frozen=True, kw_only=True)
class ClassifierManifest(Manifest):
    """The manifest of a model that classifies series."""

    does = "classifies series"
    command = "tsx classify"

    kind: Literal["classifier"] = "classifier"
    network: ClassifierConfig
    choosing: Choosing = field(default_factory=Choosing)

    def check(self) -> None:
        network = self.network
        for name in ("filters", "dilations"):
            if min(getattr(network, name), default=1) < 1:
                raise NotOfType(f"network.{name} cannot be under 1")
        if len(network.classes) < 2 or not network.pooling or self.schema.label is None:
            raise NotOfType("network.classes, network.pooling or schema.label are too few")


def read_manifest(content: Any) -> Manifest:
    """The manifest of a file in the present format, of whatever kind of model. Raises as `Manifest.from_dict`."""
    kind = ClassifierManifest if content.get("kind") == "classifier" else ForecasterManifest
    return kind.from_dict(content)


def other_kind(manifest: Manifest, directory: Any) -> UsageError:
    """The error `model-of-other-kind`: what the model does, and the command for it."""
    model = shlex.join(["--model", place_of(directory)])
    return UsageError(
        "model-of-other-kind",
        f"the model {manifest.does}",
        hint=f"use `{manifest.command} {model}`, or name another model with --model",
        where=place_of(directory),
    )


def _check_bounds(network: NetworkConfig | ClassifierConfig, training: TrainingConfig) -> None:
    for section, config in (("network", network), ("training", training)):
        for name, least in AT_LEAST[section].items():
            if getattr(config, name, least) < least:
                raise NotOfType(f"{section}.{name} cannot be under {least}")
    if network.dropout >= 1:
        raise NotOfType("network.dropout cannot be 1 or more")
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
