"""From a panel with labels to a trained classifier, and what each of its parts said of series that it had not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tsx.baselines.classes import (
    PENALTIES,
    Logistic,
    Trees,
    boosting_log_probabilities,
    class_frequencies,
    fit_boosting,
    fit_logistic,
    trees_of,
)
from tsx.model.choosing import held_out_scores
from tsx.model.classifier import Classifier, CombinedClassifier, pooled
from tsx.model.sequence_classifier import SequenceClassifier
from tsx.model.sequences import Sequences
from tsx.model.summaries import summaries
from tsx.model.trained import BATCH
from tsx.panel.calendar import to_moments
from tsx.panel.labels import Classes
from tsx.panel.panel import Panel
from tsx.progress import Progress, Stage, task
from tsx.runtime.devices import choose_device
from tsx.runtime.executor import one_thread
from tsx.spec.checkpoints import NONE, Checkpoints
from tsx.spec.classifier import ClassifierConfig
from tsx.spec.decision import Decision
from tsx.spec.history import History
from tsx.spec.network import TrainingConfig
from tsx.spec.settings import Reading, Settings
from tsx.training.class_folds import newest_fold, plan_folds, stratified_folds
from tsx.training.class_lesson import LabelledSequences, logits_of, train_classes
from tsx.training.class_plan import FEWEST_TO_STOP, plan_class_training, plan_classifier
from tsx.training.class_weights import choose_weights, combine, log_loss, weights_decision
from tsx.training.initialisation import within_reach

SAMPLED = 2048
"""Training series at most that scales are fitted to."""
STOPPING_PARTS = 10
"""One of so many parts of the series to learn from says when to stop."""
MOST_SUMMARISED = 10_000
"""Series that the classifiers on summaries are fitted to at most."""

FREQUENCIES, LOGISTIC, BOOSTING = "class_frequencies", "logistic_regression", "gradient_boosting"


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What was said of series (M) by models that had not learnt from them.

    log_probabilities  by model, each (M, K): the classifier first, then the network alone, then simple ones
    """

    series: np.ndarray
    codes: np.ndarray
    groups: np.ndarray
    log_probabilities: dict[str, np.ndarray]


def fit_classifier(
    panel: Panel,
    classes: Classes,
    settings: Settings,
    given: Mapping[str, Any],
    reading: Reading,
    progress: Progress,
    checkpoints: Checkpoints = NONE,
) -> tuple[Classifier, HeldOut]:
    """Train on the series of the panel that have a label.

    Each network is trained without a part of them. What all parts of the model say of the series they did not see
    decides how far each part is believed, and is given back to be judged.
    """
    device = choose_device(settings.device)
    learnable = classes.labelled
    codes, groups = classes.codes[learnable], classes.groups[learnable]
    if settings.hold_out == "newest":
        starts = to_moments(panel.starts, local=panel.calendar.local)[learnable]
        folds, held_out = newest_fold(codes, groups, starts, str(panel.schema.label))
    else:
        folds, held_out = plan_folds(codes, groups, settings.seed)
    config, shape = plan_classifier(panel, classes, settings, given, len(folds) * settings.ensemble)
    training, how = plan_class_training(settings, int((~folds[0]).sum()), device.value)
    training = replace(training, members=len(folds) * settings.ensemble)
    location = _location(panel, learnable)
    sequences = Sequences(panel, config, location, device.value)
    seen = np.flatnonzero(np.any(folds, 0))
    # Sums in one order, whatever the machine: and threads of small loops wait more than they work.
    with torch.random.fork_rng(), one_thread(), threadpool_limits(1):
        features = _features(sequences, config, learnable)
        simple, logistic, trees, penalty = _simple(features, codes, folds, len(classes.names), settings.seed, progress)
        members, histories, network = _train_members(sequences, classes, folds, config, training, progress, checkpoints)
    by_network = np.full((len(codes), len(classes.names)), np.nan)
    for held, of_fold in zip(folds, network, strict=True):
        by_network[held] = of_fold
    names = (LOGISTIC, BOOSTING, FREQUENCIES)
    parts = np.stack([by_network[seen], *(simple[each][seen] for each in names)])
    name = f"{config.cell}_network"
    weights = choose_weights(parts, codes[seen])
    together = _cross_fitted(parts, codes[seen], folds, seen, weights)
    config = replace(config, trees=trees.value.shape[0], tree_nodes=trees.value.shape[1])
    combination = CombinedClassifier(config)
    for mine, trained in zip(combination.members, members, strict=True):
        mine.load_state_dict(trained.state_dict())
    for module, fitted in ((combination.summary, logistic), (combination.trees, trees)):
        for field in fields(fitted):
            getattr(module, field.name).copy_(torch.from_numpy(getattr(fitted, field.name)))
    combination.frequencies.copy_(torch.from_numpy(class_frequencies(codes, len(classes.names))))
    combination.weights.copy_(torch.from_numpy(weights))
    decisions = (
        *shape,
        *how,
        held_out,
        penalty,
        weights_decision((name, *names), weights, parts, codes[seen]),
        device,
    )
    classifier = Classifier(
        network=combination.to(device.value).eval(),
        training=training,
        schema=panel.schema,
        frequency=panel.calendar.alias,
        scores=held_out_scores(np.exp(together), codes[seen]),
        location=location,
        decisions=decisions,
        history=_joined(histories),
        reading=reading,
    )
    said = {"tsx": together, name: parts[0], **{key: value[seen] for key, value in simple.items()}}
    return classifier, HeldOut(learnable[seen], codes[seen], groups[seen], said)


def _location(panel: Panel, series: np.ndarray) -> np.ndarray:
    """float64 (C): about the mean of every channel over some of the series, in its own units; of values
    `within_reach`."""
    some = series[:: max(1, -(-len(series) // SAMPLED))]
    rows = np.concatenate([np.arange(panel.offsets[n], panel.offsets[n + 1]) for n in some])
    repeats = panel.offsets[some + 1] - panel.offsets[some]
    values = panel.values[rows].astype(np.float64) + np.repeat(panel.centers[some], repeats, axis=0)
    counts = (~np.isnan(values)).sum(0)
    means: np.ndarray = np.nansum(_bounded(torch.from_numpy(values)).numpy(), 0) / np.maximum(counts, 1)
    return means


def _bounded(values: torch.Tensor) -> torch.Tensor:
    """The columns (..., C), each `within_reach`."""
    return torch.stack([within_reach(column) for column in values.unbind(-1)], -1) if values.shape[-1] else values


def _features(sequences: Sequences, config: ClassifierConfig, series: np.ndarray) -> np.ndarray:
    """Summaries float64 (N, F) of the series."""
    parts = [
        summaries(sequences.cut(series[k : k + BATCH]), config).double().cpu().numpy()
        for k in range(0, len(series), BATCH)
    ]
    return np.concatenate(parts)


def _simple(
    features: np.ndarray,
    codes: np.ndarray,
    folds: list[np.ndarray],
    classes: int,
    seed: int,
    progress: Progress,
) -> tuple[dict[str, np.ndarray], Logistic, Trees, Decision]:
    """Log probabilities (N, K) of simple classifiers, of each fold by those that were fitted without it.

    Beside them the logistic regression and the trees on all series, and the decision about the penalty. NaN for series
    of no fold.
    """
    names = (FREQUENCIES, *(f"{LOGISTIC} {penalty:g}" for penalty in PENALTIES), BOOSTING)
    said = {name: np.full((len(codes), classes), np.nan) for name in names}
    near = _bounded(torch.from_numpy(features)).numpy()  # whose means and deviations are stored
    with task(progress, "simple classifiers", len(folds)):
        for k, held in enumerate(folds):
            learn = _some(np.flatnonzero(~held))
            x, y = features[learn], codes[learn]
            said[FREQUENCIES][held] = np.log(class_frequencies(y, classes))
            for penalty in PENALTIES:
                fitted = fit_logistic(near[learn], y, classes, penalty)
                said[f"{LOGISTIC} {penalty:g}"][held] = fitted.log_probabilities(features[held])
            said[BOOSTING][held] = said[FREQUENCIES][held]
            if len(np.unique(y)) > 1:
                boosting = fit_boosting(x, y, classes, seed)
                said[BOOSTING][held] = boosting_log_probabilities(boosting, features[held], classes)
            progress.update(k + 1)
    seen = np.any(folds, 0)
    losses = {penalty: log_loss(said[f"{LOGISTIC} {penalty:g}"][seen], codes[seen]) for penalty in PENALTIES}
    best = min(losses, key=lambda penalty: losses[penalty])
    everything = _some(np.arange(len(codes)))
    logistic = fit_logistic(near[everything], codes[everything], classes, best)
    reason = ", ".join(f"{loss:.4f} with {penalty:g}" for penalty, loss in losses.items())
    decision = Decision("logistic_penalty", best, f"inverse penalty; log loss on held-out series {reason}")
    chosen = {FREQUENCIES: said[FREQUENCIES], LOGISTIC: said[f"{LOGISTIC} {best:g}"], BOOSTING: said[BOOSTING]}
    boosting = fit_boosting(features[everything], codes[everything], classes, seed)
    return chosen, logistic, trees_of(boosting, classes), decision


def _some(series: np.ndarray) -> np.ndarray:
    """At most `MOST_SUMMARISED` of them, evenly spaced."""
    return series[:: max(1, -(-len(series) // MOST_SUMMARISED))]


def _train_members(
    sequences: Sequences,
    classes: Classes,
    folds: list[np.ndarray],
    config: ClassifierConfig,
    training: TrainingConfig,
    progress: Progress,
    checkpoints: Checkpoints,
) -> tuple[list[SequenceClassifier], list[History], list[np.ndarray]]:
    """Networks for each fold, trained without it, and their log probabilities (M, K) of the series of the fold."""
    learnable, several = classes.labelled, training.members // len(folds)
    members, histories, said = [], [], []
    for k, held in enumerate(np.repeat(folds, several, axis=0)):
        seeded = replace(training.within(1 / training.members), seed=training.seed + k)
        learn = learnable[~held]
        stop = np.zeros(len(learn), np.bool_)
        if len(learn) >= FEWEST_TO_STOP:
            parts = stratified_folds(classes.codes[learn], classes.groups[learn], STOPPING_PARTS, seeded.seed)
            stop = parts == 0
        given = LabelledSequences(sequences, classes.codes, learn[~stop], learn[stop])
        torch.manual_seed(seeded.seed)
        network = new_network(config, given).to(training.device)
        stage = Stage(progress, f"network {k + 1} of {training.members}") if training.members > 1 else progress
        histories.append(train_classes(network, given, seeded, stage, checkpoints))
        logits = logits_of(network, sequences, learnable[held])
        said.append(logits.double().log_softmax(-1))
        members.append(network)
    of_folds = [pooled(torch.stack(said[k : k + several])).cpu().numpy() for k in range(0, len(said), several)]
    return members, histories, of_folds


def new_network(config: ClassifierConfig, given: LabelledSequences) -> SequenceClassifier:
    """An untrained network with the scales of the series to learn from, and their class frequencies."""
    network = SequenceClassifier(config)
    some = given.learn[:: max(1, -(-len(given.learn) // SAMPLED))]
    sample = given.sequences.cut(some)
    values, statics = _bounded(sample.values), _bounded(sample.static_values)
    network.scaler.fit(replace(sample, values=values, static_values=statics))
    frequencies = class_frequencies(given.codes[given.learn], len(config.classes))
    network.head.begin_at(torch.from_numpy(frequencies).float())
    return network


def _cross_fitted(
    parts: np.ndarray, codes: np.ndarray, folds: list[np.ndarray], seen: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Log probabilities (M, K) of the combination, of each fold with weights that the other folds chose."""
    if len(folds) == 1:
        halves = np.arange(len(codes)) % 2 == 0
        of_seen = [halves, ~halves]
    else:
        of_seen = [held[seen] for held in folds]
    out = combine(parts, weights)
    for held in of_seen:
        out[held] = combine(parts[:, held], choose_weights(parts[:, ~held], codes[~held]))
    return out


def _joined(histories: list[History]) -> History:
    """The training of all networks as one: the evaluations of the first, and the steps and seconds of all."""
    first = histories[0]
    return replace(first, steps=sum(each.steps for each in histories), seconds=sum(each.seconds for each in histories))
