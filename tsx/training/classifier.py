"""From a panel with labels to a trained classifier, and what each of its parts said of series that it had not seen."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from typing import Any, cast

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
from tsx.model.kernels import KernelLogistic
from tsx.model.sequence_classifier import SequenceClassifier
from tsx.model.sequences import Sequences
from tsx.model.summaries import TERMS_SCALE, summaries, term_count, term_frequencies
from tsx.model.trained import BATCH
from tsx.panel.calendar import to_moments
from tsx.panel.labels import Classes
from tsx.panel.panel import Panel
from tsx.progress import SILENT, Progress, Stage, task
from tsx.runtime.devices import choose_device
from tsx.runtime.executor import one_thread
from tsx.runtime.group import current
from tsx.spec import classifier as spec
from tsx.spec.checkpoints import NONE, Checkpoints
from tsx.spec.classifier import ClassifierConfig
from tsx.spec.decision import Decision
from tsx.spec.history import History
from tsx.spec.network import TrainingConfig
from tsx.spec.settings import Reading, Settings
from tsx.training.class_folds import newest_fold, plan_folds, stratified_folds
from tsx.training.class_lesson import LabelledSequences, logits_of, train_classes
from tsx.training.class_plan import FEWEST_TO_STOP, plan_class_training, plan_classifier
from tsx.training.class_weights import choose_combination, log_loss, network_alone, only_part
from tsx.training.initialisation import within_reach
from tsx.wording import number

SAMPLED = 2048
"""Training series at most that scales are fitted to."""
STOPPING_PARTS = 10
"""One of so many parts of the series to learn from says when to stop."""
MOST_SUMMARISED = 10_000
"""Series that the classifiers on summaries are fitted to at most."""
LAID_ON = 64
"""Training series at most from which the kernels' thresholds are taken."""

FEWEST_NEW = 50
"""New series with a label from which an update holds them out in turn."""
FREQUENCIES, LOGISTIC, BOOSTING = "class_frequencies", "logistic_regression", "gradient_boosting"
KERNELS = "kernel_regression"
NAMES = {
    spec.REGRESSION: LOGISTIC,
    spec.TREES: BOOSTING,
    spec.KERNELS: KERNELS,
    spec.FREQUENCIES: FREQUENCIES,
}
"""What the parts of a classifier that are no networks are called as models of their own."""
MODELS = (FREQUENCIES, *(name for name in NAMES.values() if name != FREQUENCIES))
"""Simple models in the order in which they are shown."""
PENALTY_OF = {LOGISTIC: "logistic_penalty", KERNELS: "kernel_penalty"}
"""The decision about the penalty of each regression."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What was said of series (M) by models that had not learnt from them.

    log_probabilities  by model, each (M, K): the classifier first, then the network alone, then simple ones
    alone              the only one of these that the classifier is made of, beside class frequencies; None of several
    """

    series: np.ndarray
    codes: np.ndarray
    groups: np.ndarray
    log_probabilities: dict[str, np.ndarray]
    alone: str | None = None


@dataclass(frozen=True, eq=False)
class _Plan:
    """What is trained, and on what.

    folds  the labelled series that are held out from each network, as flags (N); none are where it is empty
    start  a classifier whose networks go on, and whose weights stay where nothing is held out
    """

    config: ClassifierConfig
    training: TrainingConfig
    folds: list[np.ndarray]
    location: np.ndarray
    decisions: tuple[Decision, ...]
    start: Classifier | None = None


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
    folds, held_out = plan_hold_out(panel, classes, settings)
    networks = len(folds) * settings.ensemble
    config, shape = plan_classifier(panel, classes, settings, given, networks, np.all(folds, 0))
    training, how = plan_class_training(settings, int((~folds[0]).sum()), device.value)
    training = replace(training, members=networks)
    decisions = (*shape, *how, held_out, device)
    plan = _Plan(config, training, folds, _location(panel, learnable), decisions)
    classifier, held = _fit(panel, classes, plan, reading, progress, checkpoints)
    assert held is not None
    return classifier, held


def plan_hold_out(panel: Panel, classes: Classes, settings: Settings) -> tuple[list[np.ndarray], Decision]:
    """The labelled series that are held out from each network, as flags (N), and the decision about it."""
    learnable = classes.labelled
    codes, groups = classes.codes[learnable], classes.groups[learnable]
    if settings.hold_out == "newest":
        starts = to_moments(panel.starts, local=panel.calendar.local)[learnable]
        return newest_fold(codes, groups, starts, str(panel.schema.label))
    return plan_folds(codes, groups, settings.seed)


def network_losses(
    panel: Panel,
    classes: Classes,
    settings: Settings,
    given: Mapping[str, Any],
    held: np.ndarray,
    progress: Progress,
    checkpoints: Checkpoints,
) -> np.ndarray:
    """(M) log losses of the labelled series that are `held` out, flags (N), by a network trained without them."""
    learnable = classes.labelled
    config, _ = plan_classifier(panel, classes, settings, given, 1, held)
    training, _ = plan_class_training(settings, int((~held).sum()), choose_device(settings.device).value)
    plan = _Plan(config, training, [held], _location(panel, learnable), ())
    sequences = Sequences(panel, config, plan.location, training.device)
    with torch.random.fork_rng(), one_thread():
        _, _, (said,) = _train_members(sequences, classes, plan, progress, checkpoints)
    return np.asarray(-said[np.arange(len(said)), classes.codes[learnable][held]])


def refit_classifier(
    classifier: Classifier,
    panel: Panel,
    classes: Classes,
    seed: int,
    progress: Progress = SILENT,
    checkpoints: Checkpoints = NONE,
) -> Classifier:
    """One made as `classifier`, from another seed, with a single network for each part that is held out."""
    learnable = classes.labelled
    folds, held_out = plan_folds(classes.codes[learnable], classes.groups[learnable], seed)
    training = replace(classifier.training, seed=seed, members=len(folds))
    config = replace(classifier.config, members=len(folds), trees=0, tree_nodes=0)
    plan = _Plan(config, training, folds, classifier.location, (held_out,))
    return _fit(panel, classes, plan, classifier.reading, progress, checkpoints)[0]


def continue_classifier(
    classifier: Classifier,
    panel: Panel,
    classes: Classes,
    new: np.ndarray,
    training: TrainingConfig,
    progress: Progress = SILENT,
    checkpoints: Checkpoints = NONE,
) -> tuple[Classifier, HeldOut | None]:
    """After some more steps of its networks on the series of the panel, each without another part of the `new` ones.

    new  bool (N): the series that it has not learnt from

    What is said of these in turn decides anew how far each part is believed. Where they are too few for that, nothing
    is held out, and the weights stay. The classifiers on summaries and kernels are fitted anew to all series.
    """
    learnable, members = classes.labelled, classifier.config.members
    codes, groups, among = classes.codes[learnable], classes.groups[learnable], new[learnable]
    folds, reason = [], f"of {int(among.sum()):,} new series with a label none is held out: the weights stay"
    if among.sum() >= FEWEST_NEW and len(np.unique(codes[among])) > 1:
        parts = np.full(len(codes), -1)
        parts[among] = stratified_folds(codes[among], groups[among], members, training.seed)
        folds = [parts == k for k in range(members)]
        reason = f"{int(among.sum()):,} new series, each of which another network has not learnt from"
    if not all(held.any() for held in folds):
        folds = []
    held_out = Decision("held_out", int(among.sum()) if folds else 0, reason)
    config = replace(classifier.config, trees=0, tree_nodes=0)
    plan = _Plan(config, training, folds, classifier.location, (held_out,), classifier)
    return _fit(panel, classes, plan, classifier.reading, progress, checkpoints)


def _fit(
    panel: Panel, classes: Classes, plan: _Plan, reading: Reading, progress: Progress, checkpoints: Checkpoints
) -> tuple[Classifier, HeldOut | None]:
    """The trained classifier, and what was said of the series that were held out, if any were."""
    config, training, folds, start = plan.config, plan.training, plan.folds, plan.start
    learnable = classes.labelled
    codes, groups, count = classes.codes[learnable], classes.groups[learnable], len(classes.names)
    sequences = Sequences(panel, config, plan.location, training.device)
    # Sums in one order, whatever the machine: and threads of small loops wait more than they work.
    with torch.random.fork_rng(), one_thread(), threadpool_limits(1):
        kernels = _kernels(sequences, config, learnable)
        features = _features(sequences, config, learnable, kernels)
        if folds:
            simple, penalties = _simple(features, codes, folds, count, training.seed, progress)
        else:
            assert start is not None
            simple, penalties = {}, [each for each in start.decisions if each.name in PENALTY_OF.values()]
        inverse = {each.name: each.value for each in penalties}
        some = _some(np.arange(len(codes)), MOST_SUMMARISED)
        regressions = {
            name: read.near().of(some).logistic(codes[some], count, inverse[PENALTY_OF[name]])
            for name, read in features.items()
        }
        boosting = fit_boosting(features[LOGISTIC].numbers[some], codes[some], count, training.seed)
        members, histories, network = _train_members(sequences, classes, plan, progress, checkpoints)
    decisions = (*plan.decisions, *penalties)
    if folds:
        seen = np.flatnonzero(np.any(folds, 0))
        by_network = np.full((len(codes), count), np.nan)
        for held, of_fold in zip(folds, network, strict=True):
            by_network[held] = of_fold
        names = tuple(NAMES[part] for part in config.parts if part in NAMES)
        parts = np.stack([by_network[seen], *(simple[each][seen] for each in names)])
        name = f"{config.cell}_network"
        if training.network_only:
            chosen = network_alone((name, *names), parts, codes[seen])
        else:
            chosen = choose_combination((name, *names), parts, codes[seen], _apart(folds, seen))
        weights, together = chosen.weights, chosen.log_probabilities
        decisions = (*decisions, chosen.decision)
        scores = held_out_scores(np.exp(together), codes[seen])
        said = {"tsx": together, name: parts[0], **{key: simple[key][seen] for key in MODELS if key in simple}}
        only = only_part(dict(zip((name, *names), weights.tolist(), strict=True)), FREQUENCIES)
        held_out = HeldOut(learnable[seen], codes[seen], groups[seen], said, only)
    else:
        assert start is not None
        weights, scores, held_out = start.network.weights.cpu().numpy(), start.scores, None
    trees = trees_of(boosting, count)
    config = replace(config, trees=trees.value.shape[0], tree_nodes=trees.value.shape[1])
    combination = CombinedClassifier(config)
    for mine, trained in zip(combination.members, members, strict=True):
        mine.load_state_dict(trained.state_dict())
    _fill(combination.summary, regressions[LOGISTIC])
    _fill(combination.trees, trees)
    if kernels is not None:
        _fill(kernels, regressions[KERNELS])
        combination.kernels = kernels
    combination.frequencies.copy_(torch.from_numpy(class_frequencies(codes, count)))
    combination.weights.copy_(torch.from_numpy(weights))
    classifier = Classifier(
        network=combination.to(training.device).eval(),
        training=training,
        schema=panel.schema if start is None else start.schema,
        frequency=panel.calendar.alias,
        scores=scores,
        location=plan.location,
        decisions=decisions,
        history=_joined(histories),
        reading=reading,
    )
    return classifier, held_out


def _location(panel: Panel, series: np.ndarray) -> np.ndarray:
    """float64 (C): about the mean of every channel over some of the series, in its own units; of values
    `within_reach`."""
    some = _some(series, SAMPLED)
    rows = np.concatenate([np.arange(panel.offsets[n], panel.offsets[n + 1]) for n in some])
    repeats = panel.offsets[some + 1] - panel.offsets[some]
    values = panel.values[rows].astype(np.float64) + np.repeat(panel.centers[some], repeats, axis=0)
    counts = (~np.isnan(values)).sum(0)
    means: np.ndarray = np.nansum(_bounded(torch.from_numpy(values)).numpy(), 0) / np.maximum(counts, 1)
    return means


def _bounded(values: torch.Tensor) -> torch.Tensor:
    """The columns (..., C), each `within_reach`."""
    return torch.stack([within_reach(column) for column in values.unbind(-1)], -1) if values.shape[-1] else values


def _fill(module: torch.nn.Module, fitted: Logistic | Trees) -> None:
    """Put what was fitted into the buffers of the same names."""
    buffers = dict(module.named_buffers(recurse=False))
    for field in fields(fitted):
        if field.name in buffers:
            buffers[field.name].copy_(torch.from_numpy(getattr(fitted, field.name)))


@dataclass(frozen=True, eq=False)
class Features:
    """What a simple classifier reads of N series: numbers float64 (N, F), and frequencies of words (N, G), sparse; None
    without any."""

    numbers: np.ndarray
    terms: Any = None

    def of(self, series: np.ndarray) -> Features:
        """Those of some of the series."""
        return Features(self.numbers[series], None if self.terms is None else self.terms[series])

    def near(self) -> Features:
        """Those from which means and deviations may be stored: each number `within_reach`."""
        return Features(_bounded(torch.from_numpy(self.numbers)).numpy(), self.terms)

    def logistic(self, codes: np.ndarray, classes: int, penalty: float) -> Logistic:
        return fit_logistic(self.numbers, codes, classes, penalty, self.terms, TERMS_SCALE)


def _kernels(sequences: Sequences, config: ClassifierConfig, series: np.ndarray) -> KernelLogistic | None:
    """Kernels with their thresholds, in which no label has a part; None without any."""
    if not config.dilations:
        return None
    kernels = KernelLogistic(config).to(sequences.device)
    sample = sequences.cut(_some(series, SAMPLED))
    kernels.scaler.fit(replace(sample, values=_bounded(sample.values)))
    kernels.lay_on(sequences.cut(_some(series, LAID_ON)))
    return kernels


def _features(
    sequences: Sequences, config: ClassifierConfig, series: np.ndarray, kernels: KernelLogistic | None
) -> dict[str, Features]:
    """What the regressions read of the series, by their names; trees read the same summaries."""
    from scipy.sparse import csr_matrix, vstack

    numbers, terms, shares = [], [], []
    for k in range(0, len(series), BATCH):
        batch = sequences.cut(series[k : k + BATCH])
        numbers.append(summaries(batch, config).double().cpu().numpy())
        if term_count(config):
            terms.append(csr_matrix(term_frequencies(batch, config).double().cpu().numpy()))
        if kernels is not None:
            shares.append(kernels.shares(batch).double().cpu().numpy())
    found = {LOGISTIC: Features(np.concatenate(numbers), vstack(terms, format="csr") if terms else None)}
    return found | ({KERNELS: Features(np.concatenate(shares))} if shares else {})


def _simple(
    features: Mapping[str, Features],
    codes: np.ndarray,
    folds: list[np.ndarray],
    classes: int,
    seed: int,
    progress: Progress,
) -> tuple[dict[str, np.ndarray], list[Decision]]:
    """Log probabilities (N, K) of simple classifiers, of each fold by those that were fitted without it, and the
    decisions about the penalties. NaN for series of no fold.
    """
    names = (FREQUENCIES, BOOSTING, *(f"{name} {penalty:g}" for name in features for penalty in PENALTIES))
    said = {name: np.full((len(codes), classes), np.nan) for name in names}
    near = {name: read.near() for name, read in features.items()}
    with task(progress, "simple classifiers", len(folds)):
        for k, held in enumerate(folds):
            learn = _some(np.flatnonzero(~held), MOST_SUMMARISED)
            y, summarised = codes[learn], features[LOGISTIC].numbers
            said[FREQUENCIES][held] = np.log(class_frequencies(y, classes))
            for name, read in features.items():
                unseen = read.of(held)
                for penalty in PENALTIES:
                    fitted = near[name].of(learn).logistic(y, classes, penalty)
                    found = fitted.log_probabilities(unseen.numbers, unseen.terms)
                    said[f"{name} {penalty:g}"][held] = found
            said[BOOSTING][held] = said[FREQUENCIES][held]
            if len(np.unique(y)) > 1:
                boosting = fit_boosting(summarised[learn], y, classes, seed)
                said[BOOSTING][held] = boosting_log_probabilities(boosting, summarised[held], classes)
            progress.update(k + 1)
    seen = np.any(folds, 0)
    best, decisions = {}, []
    for name in features:
        losses = {penalty: log_loss(said[f"{name} {penalty:g}"][seen], codes[seen]) for penalty in PENALTIES}
        penalty = min(losses, key=lambda each: losses[each])
        reason = ", ".join(f"{number(loss)} with {each:g}" for each, loss in losses.items())
        decisions.append(Decision(PENALTY_OF[name], penalty, f"inverse penalty; log loss on held-out series {reason}"))
        best[name] = said[f"{name} {penalty:g}"]
    return {FREQUENCIES: said[FREQUENCIES], BOOSTING: said[BOOSTING], **best}, decisions


def _some(series: np.ndarray, most: int) -> np.ndarray:
    """At most so many of them, evenly spaced."""
    return series[:: max(1, -(-len(series) // most))]


def _train_members(
    sequences: Sequences,
    classes: Classes,
    plan: _Plan,
    progress: Progress,
    checkpoints: Checkpoints,
) -> tuple[list[SequenceClassifier], list[History], list[np.ndarray]]:
    """Networks for each fold, trained without it, and their log probabilities (M, K) of the series of the fold.

    A group shares the networks out: each is trained by one process, alone.
    """
    learnable, training, start = classes.labelled, plan.training, plan.start
    folds = plan.folds or [np.zeros(len(learnable), np.bool_)] * training.members
    several = training.members // len(folds)
    of_network = np.repeat(folds, several, axis=0)

    def train_member(k: int) -> tuple[SequenceClassifier, History, torch.Tensor | None]:
        seeded = replace(training.within(1 / training.members), seed=training.seed + k)
        held = of_network[k]
        learn = learnable[~held]
        stop = np.zeros(len(learn), np.bool_)
        if len(learn) >= FEWEST_TO_STOP:
            parts = stratified_folds(classes.codes[learn], classes.groups[learn], STOPPING_PARTS, seeded.seed)
            stop = parts == 0
        given = LabelledSequences(sequences, classes.codes, learn[~stop], learn[stop])
        torch.manual_seed(seeded.seed)
        if start is None:
            network = new_network(plan.config, given).to(training.device)
        else:
            network = deepcopy(cast(SequenceClassifier, start.network.members[k]))
        stage = Stage(progress, f"network {k + 1} of {training.members}") if training.members > 1 else progress
        history = train_classes(network, given, seeded, stage, checkpoints)
        said = logits_of(network, sequences, learnable[held]).double().log_softmax(-1) if plan.folds else None
        return network, history, said

    trained = current().each(train_member, range(training.members))
    members, histories = [network for network, _, _ in trained], [history for _, history, _ in trained]
    said = [each for _, _, each in trained if each is not None]
    of_folds = [pooled(torch.stack(said[k : k + several])).cpu().numpy() for k in range(0, len(said), several)]
    return members, histories, of_folds


def new_network(config: ClassifierConfig, given: LabelledSequences) -> SequenceClassifier:
    """An untrained network with the scales of the series to learn from, and their class frequencies."""
    network = SequenceClassifier(config)
    sample = given.sequences.cut(_some(given.learn, SAMPLED))
    values, statics = _bounded(sample.values), _bounded(sample.static_values)
    network.scaler.fit(replace(sample, values=values, static_values=statics))
    frequencies = class_frequencies(given.codes[given.learn], len(config.classes))
    network.head.begin_at(torch.from_numpy(frequencies).float())
    return network


def _apart(folds: list[np.ndarray], seen: np.ndarray) -> list[np.ndarray]:
    """Flags (M) over the series `seen` (M), which were held out: those of each fold, or each half of a single one."""
    if len(folds) > 1:
        return [held[seen] for held in folds]
    half = np.arange(len(seen)) % 2 == 0
    return [half, ~half]


def _joined(histories: list[History]) -> History:
    """The training of all networks as one: the evaluations of the first, and the steps and seconds of all."""
    first = histories[0]
    return replace(first, steps=sum(each.steps for each in histories), seconds=sum(each.seconds for each in histories))
