"""The labels of a panel as numbers of classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from tsx.errors import ConfigError, DataError
from tsx.panel.panel import Panel
from tsx.spec.classifier import ClassKind
from tsx.spec.decision import Finding
from tsx.wording import class_column, count, value_preview, verb

MOST_CLASSES = 1000
FEWEST_SERIES, FEWEST_GROUPS = 10, 2
MOST_LOOKED_AT = 10_000
"""Rows after which most columns that are no flags are known."""
FEWEST_TOLD = 20
"""Series of which a column must tell every label before that is no chance."""
FEW_SERIES = 10
"""Series of a class below which it can hardly be learnt and judged."""


@dataclass(frozen=True, eq=False)
class Classes:
    """Which class each series has.

    names   (K) as text, in the order of their codes
    kind    what the column held
    codes   int64 (N): the class of each series, -1 where it has none
    groups  int64 (N): series of one group are held out together
    """

    names: tuple[str, ...]
    kind: ClassKind
    codes: np.ndarray
    groups: np.ndarray
    findings: tuple[Finding, ...] = ()

    @property
    def labelled(self) -> np.ndarray:
        """Numbers of the series that have a label."""
        return np.flatnonzero(self.codes >= 0)

    @property
    def counts(self) -> np.ndarray:
        """(K) series of each class."""
        return np.bincount(self.codes[self.labelled], minlength=len(self.names))


def find_classes(panel: Panel) -> Classes:
    """The classes of a panel's labels, sorted.

    Errors: ConfigError `label-not-classes` for decimals; DataError `no-labels`, `single-class`, `too-many-classes`,
    `too-few-series`, `too-few-groups`.
    """
    labels, label = panel.labels, str(panel.schema.label)
    assert labels is not None
    values, kind = _as_text(labels, label)
    names = tuple(_ordered(values.drop_nulls().unique(), kind))
    known = len(values) - values.null_count()
    if not names:
        raise DataError(
            "no-labels",
            f"none of {count(len(values), 'series')} has a value in {label!r}",
            hint="give a table whose series have labels, or name another column with --label",
            where=label,
        )
    if len(names) == 1:
        raise DataError(
            "single-class",
            f"all {count(known, 'series')} with a value in {label!r} have the same one",
            hint="add series of another class, or name another column with --label",
            where=label,
            values=value_preview(names),
        )
    if len(names) > MOST_CLASSES or 2 * len(names) > known:
        raise DataError(
            "too-many-classes",
            f"{label!r} has {len(names):,} classes in {count(known, 'series')}; at most {MOST_CLASSES:,}, with two "
            "series each on average, can be learnt",
            hint="name a column of classes with --label; to forecast numbers, name the column with --target",
            where=label,
        )
    if known < FEWEST_SERIES:
        raise DataError(
            "too-few-series",
            f"{count(known, 'series')} {verb(known, 'has')} a value in {label!r}; at least {FEWEST_SERIES} are needed, "
            "to learn from and to hold out",
            hint="add labelled series; to forecast the series instead, leave --label out",
            where=label,
        )
    taken = {class_column(name) for name in names} & {*panel.schema.id_names, label}
    if taken:
        raise ConfigError(
            "column-name-taken",
            f"a column of the table is called {sorted(taken)[0]!r}, as is the probability of a class in every result",
            hint="rename it in the table",
            where=sorted(taken)[0],
        )
    groups = _groups(panel)
    if len(np.unique(groups[(values.is_not_null()).to_numpy()])) < FEWEST_GROUPS:
        raise DataError(
            "too-few-groups",
            f"all labelled series have the same value in {panel.schema.together!r}, so that none can be held out",
            hint="leave --keep-together out, or name a column that tells groups of series apart",
            where=str(panel.schema.together),
        )
    numbers = {name: code for code, name in enumerate(names)}
    codes = values.replace_strict(numbers, default=-1, return_dtype=pl.Int64).fill_null(-1).to_numpy()
    classes = Classes(names, kind, codes, groups)
    return Classes(names, kind, codes, classes.groups, (*_findings(classes, label), *_leaks(panel, classes, label)))


def _findings(classes: Classes, label: str) -> list[Finding]:
    findings = []
    unlabelled = int((classes.codes < 0).sum())
    if unlabelled:
        blank = " (an empty text is no class)" if classes.kind == "text" else ""
        message = (
            f"{unlabelled:,} of {len(classes.codes):,} series {verb(unlabelled, 'has')} no {label!r}{blank}: "
            f"{'it is' if unlabelled == 1 else 'they are'} not learnt from, and can be classified with `tsx classify`"
        )
        findings.append(Finding("series-without-label", message, label))
    rare = [name for name, number in zip(classes.names, classes.counts, strict=True) if number < FEW_SERIES]
    if rare:
        message = (
            f"{len(rare):,} of {len(classes.names):,} classes {verb(len(rare), 'has')} fewer than {FEW_SERIES} series; "
            "expect little of their probabilities"
        )
        findings.append(Finding("rare-classes", message, label, value_preview(rare)))
    return findings


def _leaks(panel: Panel, classes: Classes, label: str) -> list[Finding]:
    """Columns by which alone the label of every series can be told: static ones, and flags set in some rows."""
    known = classes.labelled
    codes, texts = classes.codes[known], panel.static_labels
    if len(codes) < FEWEST_TOLD:
        return []
    numbers = [name for name in panel.schema.static if name not in texts.columns]
    columns = {name: panel.static_values[known, k] for k, name in enumerate(numbers)}
    columns |= {name: texts[name].gather(known).rank("dense").fill_null(0).to_numpy() for name in texts.columns}
    told = [(f"static column {name!r} alone tells", name) for name, column in columns.items() if _tells(column, codes)]
    owner = np.repeat(np.arange(len(panel)), np.diff(panel.offsets))
    for channel, name in enumerate(panel.schema.channels):
        # Of flags alone: that a measurement tells the classes apart may be what was to be found.
        if (values := _flag(panel, channel, owner, len(classes.names))) is None:
            continue
        largest = np.fmax.reduceat(values, panel.offsets[:-1])[known]
        if _tells(np.nan_to_num(largest, nan=-np.inf), codes):
            told.append((f"a flag in column {name!r} alone tells", name))
    return [
        Finding(
            "label-given-away",
            f"{what} {label!r} of all {len(codes):,} series: see whether it is known before the outcome, and leave it "
            "out of the table where it is not",
            name,
        )
        for what, name in told
    ]


def _flag(panel: Panel, channel: int, owner: np.ndarray, most: int) -> np.ndarray | None:
    """A channel's value of every row, whose series is `owner`, where they are no more than so many; None otherwise."""
    for rows in (MOST_LOOKED_AT, len(owner)):
        values: np.ndarray = panel.values[:rows, channel] + panel.centers[owner[:rows], channel]
        if len(np.unique(values[~np.isnan(values)])) > most:
            return None
    return values


def _tells(column: np.ndarray, codes: np.ndarray) -> bool:
    """Whether thresholds of a column (N) between the classes tell the class (N) of every series.

    Sorted by it there are as many runs as classes, and no value has two of them.
    """
    order = np.argsort(column, kind="stable")
    changes = np.flatnonzero(np.diff(codes[order]) != 0)
    apart: bool = (column[order][changes] != column[order][changes + 1]).all()
    return len(changes) == len(np.unique(codes)) - 1 and apart


def _as_text(labels: pl.Series, label: str) -> tuple[pl.Series, ClassKind]:
    if labels.dtype == pl.Boolean:
        return labels.cast(pl.String), "boolean"
    if labels.dtype.is_float():
        labels = labels.fill_nan(None)
        if not (labels.drop_nulls() == labels.drop_nulls().round()).all():
            raise ConfigError(
                "label-not-classes",
                f"label column {label!r} holds decimals",
                hint="to forecast numbers, name the column with --target; for classes, give text or whole numbers",
                where=label,
            )
        labels = labels.cast(pl.Int64)
    if labels.dtype.is_integer():
        return labels.cast(pl.String), "whole"
    return labels.cast(pl.String), "text"


def _ordered(names: pl.Series, kind: ClassKind) -> list[str]:
    return names.cast(pl.Int64).sort().cast(pl.String).to_list() if kind == "whole" else names.sort().to_list()


def _groups(panel: Panel) -> np.ndarray:
    """(N) the number of each series' group; a series without one is its own."""
    own = np.arange(len(panel))
    if panel.groups is None:
        return own
    ranks = panel.groups.rank("dense").fill_null(0).to_numpy().astype(np.int64)
    return np.where(ranks > 0, len(panel) + ranks, own)


def classes_among(panel: Panel, names: tuple[str, ...], kind: ClassKind) -> Classes:
    """The classes of a later table, numbered as an earlier one's.

    Raises ConfigError `settings-contradict` for a label that is none of them.
    """
    codes = codes_of_labels(panel, names)
    unknown = int(((codes < 0) & panel.labels.is_not_null().to_numpy()).sum()) if panel.labels is not None else 0
    if unknown:
        raise ConfigError(
            "settings-contradict",
            f"{count(unknown, 'series', 'series')} {verb(unknown, 'has')} a label that is none of the "
            f"{len(names):,} classes of the model",
            hint="fit anew without --update",
            where=str(panel.schema.label),
        )
    return Classes(names, kind, codes, _groups(panel))


def codes_of_labels(panel: Panel, names: tuple[str, ...]) -> np.ndarray:
    """int64 (N): the class of each series among `names`, -1 where its label is unknown or none of them."""
    if panel.labels is None:
        return np.full(len(panel), -1)
    texts, _ = _as_text(panel.labels, str(panel.schema.label))
    numbers = {name: code for code, name in enumerate(names)}
    codes: np.ndarray = texts.replace_strict(numbers, default=-1, return_dtype=pl.Int64).fill_null(-1).to_numpy()
    return codes
