"""Classifiers made by hand, and the panels that they read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch

from tsx.model.classifier import Classifier, CombinedClassifier
from tsx.panel.calendar import Calendar
from tsx.panel.panel import BETWEEN, Panel
from tsx.spec.channels import Channels
from tsx.spec.classifier import ClassifierConfig
from tsx.spec.history import History
from tsx.spec.network import TrainingConfig
from tsx.spec.schema import Schema


@dataclass(frozen=True)
class Series:
    """One series: its values over time, one list a channel, a static number, a static word, its label, and events.

    An event is a word, several with a blank between them, or None.
    """

    values: Sequence[Sequence[float]]
    age: float = 0.0
    kind: str | None = None
    label: str | None = None
    events: Sequence[str | None] | None = None

    @property
    def length(self) -> int:
        return len(self.values[0])


def panel_of(series: Sequence[Series], *, statics: bool = True) -> Panel:
    """The series as a panel around centers of their own."""
    rows = [np.array(one.values, dtype=float).T for one in series]
    events = [event for one in series if one.events is not None for event in one.events]
    cells = sorted({event for event in events if event})
    codes = np.array([cells.index(event) if event else -1 for event in events], dtype=np.int32)
    centers = np.array([np.nan_to_num(row[0]) for row in rows])
    return Panel(
        values=np.concatenate([row - center for row, center in zip(rows, centers, strict=True)]).astype(np.float32),
        offsets=np.concatenate([[0], np.cumsum([len(row) for row in rows])]),
        lengths=np.array([len(row) for row in rows]),
        centers=centers,
        ids=pl.Series([f"s{n:03}" for n in range(len(series))]),
        starts=pl.Series([0] * len(series)),
        calendar=Calendar.parse("1"),
        schema=schema_of(rows[0].shape[1], statics, bool(events)),
        static_values=np.array([[one.age] if statics else [] for one in series], dtype=np.float32),
        static_labels=pl.DataFrame({"kind": [one.kind for one in series]} if statics else {}),
        labels=pl.Series([one.label for one in series], dtype=pl.String),
        **(
            {"words": (pl.Series("event", [cell.replace(" ", BETWEEN) for cell in cells]),), "codes": codes[:, None]}
            if events
            else {}
        ),
    )


def schema_of(channels: int, statics: bool, events: bool = False) -> Schema:
    return Schema(
        time="hour",
        target="",
        id="stay",
        past=tuple("abcdefgh"[:channels]),
        static=("age", "kind") if statics else (),
        label="outcome",
        past_words=("event",) if events else (),
    )


def classifier_of(
    channels: int,
    steps: int,
    classes: tuple[str, ...] = ("no", "yes"),
    *,
    statics: bool = True,
    seed: int = 0,
    events: tuple[str, ...] = (),
    at_once: int = 1,
) -> Classifier:
    """A small network whose weights are drawn at random, large enough that nothing about it is linear.

    `events`: the words that it knows, of which it reads `at_once`.
    """
    schema = schema_of(channels, statics, bool(events))
    vocabulary = {**({"kind": ("old", "new")} if statics else {}), **({"event": events} if events else {})}
    config = ClassifierConfig(
        steps,
        classes,
        channels=Channels.of(schema, vocabulary),
        hidden_size=4,
        gaps=True,
        pooling=("last", "mean"),
        at_once=(at_once,) if events else (),
    )
    torch.manual_seed(seed)
    network = CombinedClassifier(config).eval()
    with torch.no_grad():
        for weight in network.members.parameters():
            weight.mul_(2.5)
    return Classifier(
        network=network,
        training=TrainingConfig(max_steps=1),
        schema=schema,
        frequency="1",
        scores=np.zeros(0),
        location=np.full(channels, 0.5),
        decisions=(),
        history=History((), 0, ""),
    )
