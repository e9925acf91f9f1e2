"""Classifying series from first to last."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import polars as pl

from tsx.errors import DataError
from tsx.io.source import Source
from tsx.model.choosing import in_doubt
from tsx.model.classifier import Classifier
from tsx.panel.panel import Panel
from tsx.panel.pseudonyms import pseudonymous
from tsx.progress import Progress, identify
from tsx.shown import Shown
from tsx.spec.decision import Finding
from tsx.spec.schema import Schema
from tsx.spec.setting import declared
from tsx.spec.settings import Choosing
from tsx.spec.verbs import Request
from tsx.store.classifier import load_classifier
from tsx.store.fitted_on import still_there
from tsx.store.manifest import ClassifierManifest
from tsx.wording import class_column, verb
from tsx.workflows.fit_classifier import check_choosing
from tsx.workflows.open_labelled import open_to_classify
from tsx.workflows.recording import check_key, record_classes
from tsx.workflows.run import run_of
from tsx.workflows.unseen_words import unseen_words


@dataclass(frozen=True, eq=False)
class Classification(Shown):
    """The table of classes: id, the most probable class under the name of the label, and a probability of each.

    Examples:
        >>> classes = tsx.classify("new.parquet", model="stays-model")
        >>> classes.classes
        ('0', '1')
    """

    frame: pl.DataFrame
    schema: Schema
    classes: tuple[str, ...]
    findings: tuple[Finding, ...]

    def as_frame(self) -> pl.DataFrame:
        """`frame`: the class of every series, and the probability of each class.

        >>> classes.as_frame().columns
        ['stay', 'died', 'p_0', 'p_1']
        """
        return self.frame

    def __repr__(self) -> str:
        return f"Classification(series={self.frame.height}, classes={len(self.classes)}, findings={len(self.findings)})"


class FittedClassifier(NamedTuple):
    """A fitted classifier, and what is known of it."""

    classifier: Classifier
    manifest: ClassifierManifest


def classify(
    data: Source | None, request: Request, progress: Progress, fitted: FittedClassifier | None = None
) -> Classification:
    """Classify the series of a table, as `tsx.classify` says; `fitted`: the model, where it was opened before.

    Raises as `tsx.classify` does.
    """
    check_key(request)
    model = request["model"]
    classifier, manifest = fitted or load_classifier(model, device=request["device"])
    own = {one.name: request.given[one.name] for one in declared(Choosing) if one.name in request.given}
    if own:
        choosing = classifier.choosing.changed(own)
        check_choosing(choosing, len(classifier.config.classes))
        classifier = replace(classifier, choosing=choosing)
    panel = open_to_classify(
        classifier if data is None else replace(classifier, schema=replace(classifier.schema, label=None)),
        still_there(manifest.data.path, model, "classify") if data is None else data,
        duplicates=request.given.get("duplicates"),
        max_rows=request["max_rows"],
        share=request.given.get("shard"),
        progress=progress,
    )
    if request["private"]:
        panel, _ = pseudonymous(panel, request["pseudonym_key"])
    series = np.arange(len(panel))
    if data is None:
        series = np.flatnonzero(panel.labels.is_null().to_numpy()) if panel.labels is not None else series
        if not len(series):
            raise DataError(
                "nothing-to-classify",
                f"all {len(panel):,} series of the file that the model was fitted on have a label",
                hint="name a table of other series: tsx classify DATA",
                where=str(classifier.schema.label),
            )
    run = run_of(request, panel, manifest)
    identify(progress, run)
    classified = classify_panel(classifier, panel, series)
    if request["ledger"] is not None:
        record_classes(request["ledger"], run, classifier, panel, classified.frame)
    unseen = unseen_words(panel, classifier.config.channels, manifest.data.unknown_words)
    return replace(classified, findings=(*classified.findings, *unseen))


def classify_panel(classifier: Classifier, panel: Panel, series: np.ndarray) -> Classification:
    """The classes of the `series` (B) of a panel."""
    probabilities = classifier.probabilities(panel, series)
    config, label = classifier.config, str(classifier.schema.label)
    frame = pl.DataFrame(
        {
            **panel.id_columns(series),
            label: classifier.labels(probabilities),
            **{class_column(name): probabilities[:, k] for k, name in enumerate(config.classes)},
        }
    )
    findings = list(panel.findings)
    seen = (~np.isnan(panel.values)).any(1) | (panel.codes >= 0).any(1)
    empty = int((~np.logical_or.reduceat(seen, panel.offsets[:-1])[series]).sum())
    if empty:
        message = (
            f"{empty:,} of {len(series):,} series {verb(empty, 'has')} no value in any column that is read over time; "
            "expect little of their probabilities"
        )
        findings.append(Finding("empty-series", message))
    open_ones = frame[label].null_count()
    if open_ones:
        message = (
            f"the label of {open_ones:,} of {len(series):,} series is left empty: "
            f"{in_doubt(classifier.choosing.abstain or 0)}"
        )
        if classifier.choosing.cut is not None:
            message += ", or the only one is not the class that the threshold says"
        findings.append(Finding("label-left-open", message, label))
    return Classification(frame, classifier.schema, config.classes, tuple(findings))
