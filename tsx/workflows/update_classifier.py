"""A fitted classifier goes on from its weights when new series have got their labels, instead of starting anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from tsx.errors import TsxError
from tsx.io.source import Source
from tsx.model.choosing import CHOSEN, explain_choosing
from tsx.model.classifier import Classifier
from tsx.panel.id_hashes import hash_ids
from tsx.panel.labels import classes_among
from tsx.panel.panel import Panel
from tsx.panel.pseudonyms import unplaced
from tsx.progress import Progress, identify
from tsx.runtime.group import joined
from tsx.spec.decision import Decision, announce, without
from tsx.spec.network import TrainingConfig
from tsx.spec.setting import declared
from tsx.spec.settings import Choosing, Settings
from tsx.spec.verbs import Request
from tsx.store.classifier import load_classifier
from tsx.store.layout import CHECKPOINT
from tsx.store.lock import check_here
from tsx.store.manifest import ClassifierManifest
from tsx.store.snapshot import model_not_found
from tsx.training.classifier import continue_classifier
from tsx.training.fit import MORE, MORE_SLOWLY
from tsx.wording import count
from tsx.workflows.checkpointing import checkpoints_of
from tsx.workflows.fit import place_of, rows_of
from tsx.workflows.fit_classifier import (
    ClassifierFit,
    check_choosing,
    check_flags,
    judged,
    save_fitted,
    with_rounded_scores,
)
from tsx.workflows.known_series import is_as_it_was
from tsx.workflows.open_labelled import open_to_classify
from tsx.workflows.run import run_of
from tsx.workflows.update import OF_FIT, check_given, why_of


def update_labels(data: Source, request: Request, progress: Progress) -> ClassifierFit:
    """Continue the training of a stored classifier on a table with more labelled series, as `tsx.fit` says.

    The shape, the classes, the scales and how the table is read stay. Where enough series are new, each is held out
    from one of the networks: they decide anew how far each part is believed, and the classifier is judged on them.
    Otherwise weights and verdict stay. Without new series the model is left as it is.

    Raises ConfigError `settings-contradict`, NotFound `model-not-found`, and as `open_to_classify` does.
    """
    began = monotonic()
    request.part(Settings)
    check_flags(request)
    check_here(request["model"])
    directory = Path(request["model"])
    if not directory.exists():
        raise model_not_found(directory)
    with joined() as group, place_of(directory, request["wait"] or 0, group) as place:
        classifier, manifest = load_classifier(directory, device=request["device"])
        _check_same(classifier, manifest, request)
        panel = open_to_classify(
            classifier,
            data,
            duplicates=request.given.get("duplicates"),
            max_rows=request["max_rows"],
            together=True,
            progress=progress,
        )
        panel = unplaced(panel) if manifest.settings.get("private") else panel
        classes = classes_among(panel, classifier.config.classes, classifier.config.class_kind)
        findings = (*panel.findings, *classes.findings)
        learnt = _learnt(classifier, manifest, panel, request)
        more = len(classes.labelled) - manifest.data.series
        known = np.ones(len(panel), np.bool_) if learnt is None else learnt
        new = more if learnt is None else int((~learnt[classes.labelled]).sum())
        if new <= 0:
            reason = "no series with a label is new: the model is left as it is"
            decisions = (*without(classifier.decisions, ("new_series",)), Decision("new_series", 0, reason))
            return ClassifierFit(
                classifier,
                decisions,
                findings,
                None,
                directory,
                monotonic() - began,
                earlier_metrics=manifest.metrics,
                reason=reason,
                trained=False,
                version=manifest.stored.version if manifest.stored else "",
                **rows_of(panel),
            )
        training = _training(classifier, request)
        plan = (
            Decision("new_series", new, f"of {count(len(classes.labelled), 'series', 'series')} with a label"),
            Decision(
                "update_steps", training.max_steps, why_of(request.given.get("max_steps"), "a part of those of the fit")
            ),
            Decision(
                "update_learning_rate",
                training.learning_rate,
                why_of(request.given.get("learning_rate"), "lower than in the fit, so that nothing learnt is lost"),
            ),
        )
        announce(plan, progress)
        run = run_of(request, panel, manifest)
        identify(progress, run)
        with checkpoints_of(place / CHECKPOINT if group.leads else None, run) as checkpoints:
            updated, held = continue_classifier(classifier, panel, classes, ~known, training, progress, checkpoints)
        choosing = _choosing(classifier, request)
        of_update = (*plan, *updated.decisions, *explain_choosing(choosing, classes.names, classes.kind))
        stale = {*OF_FIT, *CHOSEN, *(each.name for each in of_update)}
        decisions = (*without(classifier.decisions, stale), *of_update)
        made = updated.history
        updated = replace(
            updated,
            decisions=decisions,
            training=classifier.training,
            history=classifier.history,
            choosing=choosing,
        )
        if held is not None and manifest.settings.get("private"):
            updated = with_rounded_scores(updated)
        evaluation = None if held is None else judged(updated, held)
        earlier = manifest.metrics if choosing == classifier.choosing else manifest.metrics.of_probabilities()
        reason = "" if held else next(each.reason for each in of_update if each.name == "held_out")
        fitted = ClassifierFit(
            updated,
            decisions,
            findings,
            evaluation,
            directory,
            0.0,
            earlier_metrics=earlier,
            reason=reason,
            **rows_of(panel),
        )
        version = save_fitted(fitted, panel, classes, data, manifest.settings, request["keep"])
    findings = (*findings, *checkpoints.findings())
    # what is stored keeps the history of the fit, of which the next update makes a part; this run made these steps
    fitted = replace(fitted, classifier=replace(updated, history=made), findings=findings)
    return replace(fitted, version=version, run=run, seconds=monotonic() - began)


def _check_same(classifier: Classifier, manifest: ClassifierManifest, request: Request) -> None:
    """Raises ConfigError `settings-contradict` where a setting is given another value than in the fit."""
    schema = classifier.schema
    of_the_fit: dict[str, Any] = {
        "freq": classifier.frequency,
        "id": schema.ids,
        "time": classifier.reading.time_parts or (schema.time,),
        "past": schema.past,
        "static": schema.static,
        "label": schema.label,
        "keep_together": schema.together,
    }
    named = {one.name for one in declared(Choosing)}
    given = replace(request, given={name: value for name, value in request.given.items() if name not in named})
    check_given(given, of_the_fit, classifier, manifest.settings)


def _choosing(classifier: Classifier, request: Request) -> Choosing:
    named = {one.name: request.given[one.name] for one in declared(Choosing) if one.name in request.given}
    choosing = classifier.choosing.changed(named)
    check_choosing(choosing, len(classifier.config.classes))
    return choosing


def _learnt(classifier: Classifier, manifest: ClassifierManifest, panel: Panel, request: Request) -> np.ndarray | None:
    """bool (N): which series had a label in the file of the fit; None where that is no longer there as it was."""
    data = manifest.data
    if data.path is None or not is_as_it_was(data.path, data):
        return None
    try:
        before = open_to_classify(classifier, data.path)
    except TsxError:
        return None
    assert before.labels is not None
    return np.isin(hash_ids(panel.ids), hash_ids(before.ids.filter(before.labels.is_not_null())))


def _training(classifier: Classifier, request: Request) -> TrainingConfig:
    """How the networks go on: as a forecaster does after its hold-out, or as given."""
    names = ("max_steps", "max_time", "batch_size", "learning_rate", "seed")
    steps = classifier.history.steps / classifier.config.members
    usual = {
        "max_steps": max(1, round(MORE * steps)),
        "learning_rate": MORE_SLOWLY * classifier.training.learning_rate,
        "max_time": None,
        "members": classifier.config.members,
    }
    return replace(
        classifier.training, **usual | {name: request.given[name] for name in names if name in request.given}
    )
