"""From a classifier and a panel to an explanation: explains series, makes the checks, and says what drives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from tsx.errors import DataError
from tsx.explanation.checks import verdicts
from tsx.explanation.classes.cells import MOST_PLAYERS, affordable, in_patches
from tsx.explanation.classes.checks import ClassRepeats, of_classes
from tsx.explanation.classes.counterfactuals import counterfactuals
from tsx.explanation.classes.drivers import driver_sentences
from tsx.explanation.classes.game import explained_classes, explained_word
from tsx.explanation.classes.image import Image, columns_of, image_of
from tsx.explanation.classes.measure import ClassContext
from tsx.explanation.classes.measures import MEASURES, measure_classes
from tsx.explanation.classes.pictures import image_profile, series_tables
from tsx.explanation.classes.result import ClassExplanation
from tsx.explanation.classes.run import ClassRun, ClassTask, explain_series
from tsx.explanation.classes.words import WORD_PROFILE, word_profile, word_sentences
from tsx.explanation.classes.writer import Explained
from tsx.explanation.drivers import why_unnamed
from tsx.explanation.knowledge import NO_HOLDOUT
from tsx.explanation.measure import grouped
from tsx.explanation.result import EVERYTHING, Check, Detail, Knowledge, Skill, check_group
from tsx.explanation.shap.scratch import Scratch
from tsx.model.classifier import Classifier, CombinedClassifier
from tsx.panel.labels import codes_of_labels
from tsx.panel.panel import Panel
from tsx.panel.sampling import evenly_spaced
from tsx.progress import SILENT, Progress
from tsx.progress import task as stage
from tsx.runtime.engines import LOCAL, Work
from tsx.spec.checkpoints import NONE, Checkpoints
from tsx.spec.decision import Decision, announce
from tsx.spec.settings import Question
from tsx.wording import count

FEWEST_REFERENCES = 8
"""With fewer series to take absent values from, the base value would be a matter of luck."""
WITHOUT_NETWORKS = "The networks have no part in it: series held out gave them no weight beside the other parts."
FREQUENCIES = "the class frequencies"
"""What a classifier must beat to know anything."""


def explain_classifier(
    classifier: Classifier,
    panel: Panel,
    question: Question,
    *,
    skill: dict[str, Any],
    named: bool = True,
    table: Panel | None = None,
    others: Sequence[CombinedClassifier] = (),
    detail: Detail = EVERYTHING,
    scratch: Scratch | None = None,
    progress: Progress = SILENT,
    checkpoints: Checkpoints = NONE,
    work: Work = LOCAL,
) -> ClassExplanation:
    """Explain the classes of up to `question.windows` series, evenly spaced over the panel.

    skill    the verdict of the hold-out, or an empty dict
    named    whether the user named the players, which are otherwise chosen by how many cells there are
    table    where absent values come from; by default the panel itself
    others   made as the classifier's network from other seeds, whose reasons are compared
    detail   what is shown of single series
    scratch  the folder of the long table, which goes with the explanation; by default among the temporary files
    work     by what the series are explained, as `explain_series` says

    Raises as `task_of`.
    """
    task, decisions, p = task_of(classifier, panel, question, named=named, table=table, detail=detail)
    announce(decisions, progress)
    table, question, series, explain = panel if table is None else table, task.question, task.series, task.explain
    scratch = scratch or Scratch()
    changes, answered = ({}, ()) if question.counterfactual is None else counterfactuals(task)
    run = explain_series(task, scratch.table, progress, checkpoints, work)
    repeats = ClassRepeats(task, run)
    evidence = repeats.evidence(codes_of_labels(table, classifier.config.classes)[task.lent], others, progress)
    checks = tuple(_reworded(check) for check in verdicts.judge(evidence))
    knowledge = knowledge_of(skill)
    curves = evidence.curves.table.with_columns(pl.col("order").replace("autocorrelation", "label correlation"))
    explained = Explained(panel, task.names, task.players)
    profile = run.tally.profile(explained)
    with stage(progress, "saying what drives the classes"):
        why = of_classes(why_unnamed(profile, checks, knowledge))
        label = str(classifier.schema.label)
        drivers = [why] if why else driver_sentences(explained, run.tally, label, explain)
        words = word_profile(task, scratch.table)
        if not why:
            shares = profile.group_by("class", "feature", maintain_order=True).agg(pl.col("share").sum())
            drivers += word_sentences(words, shares, task.names, label, explain)
    context = ClassContext(task, table)
    inside = measure_classes(context, progress)
    decides = () if context.networks_count else (WITHOUT_NETWORKS,)
    told = (
        ("What drives it", (*drivers, *decides, *answered)),
        *(() if knowledge.lacking else grouped(MEASURES, inside)),
    )
    tables = {
        "series": _series(task, run, p),
        "lag_profile": profile,
        "curves": curves,
        "randomised_layers": evidence.randomised.table,
        **({WORD_PROFILE.name: words} if words.height else {}),
        **image_profile(task, run),
        **series_tables(task, run, p),
        **changes,
        **inside.tables,
    }
    return ClassExplanation(
        schema=classifier.schema,
        config=classifier.config,
        frequency=classifier.frequency,
        question=question,
        classes=task.names,
        explain=explain,
        series=tables["series"],
        importance=pl.scan_parquet(scratch.table),
        lag_profile=profile,
        checks=checks,
        faithful=_reworded(verdicts.faithful(checks, len(series))),
        knowledge=knowledge,
        verdict=_reworded(verdicts.overall(checks, len(series), knowledge)),
        findings=(
            knowledge.sentence,
            *(sentence for _, sentences in told for sentence in sentences),
            *(check.sentence for check in checks if check.verdict == "fail"),
        ),
        grouped=told,
        skill=skill,
        method=run.method | {"evaluations_of_checks": repeats.evaluations},
        decisions=decisions,
        noticed=panel.findings,
        tables=tables,
        facts=inside.facts,
        surrogate=inside.surrogate,
        importance_path=scratch.table,
        _folder=scratch,
    )


def task_of(
    classifier: Classifier,
    panel: Panel,
    question: Question,
    *,
    named: bool = True,
    table: Panel | None = None,
    detail: Detail = EVERYTHING,
) -> tuple[ClassTask, tuple[Decision, ...], np.ndarray]:
    """What is explained, what was decided about it, and the probabilities (B, K) of its series.

    Raises ConfigError `explain-unknown`, DataError `too-few-references`, `group-too-small`.
    """
    explain = explained_word(question.explain)
    table = panel if table is None else table
    if len(table) < FEWEST_REFERENCES:
        raise DataError(
            "too-few-references",
            f"absent values come from other series, and there are {len(table):,}; at least {FEWEST_REFERENCES} are "
            "needed",
            hint="name a table with more series: --reference FILE, such as the one that the model was fitted on",
            where="reference",
        )
    image = image_of(classifier, np.concatenate([panel.lengths, table.lengths]))
    question, decisions = _with_players(classifier, panel, table, question, image, named)
    series = evenly_spaced(len(panel), question.windows)
    check_group(len(series), detail)
    p = classifier.probabilities(panel, series)
    task = ClassTask.of(classifier, panel, series, question, explain, explained_classes(p), table, detail, image)
    return task, decisions, p


def knowledge_of(hold_out: dict[str, Any]) -> Knowledge:
    """Whether the classifier knows more of the label than how often each class comes, by the stored verdict."""
    if not hold_out:
        return Knowledge("unknown", "", None, NO_HOLDOUT.replace("rows", "series"))
    skill = hold_out.get("skill")
    state: Skill = "shown" if hold_out.get("has_skill") else "not shown" if (skill or 0.0) > 0 else "none"
    return Knowledge(state, FREQUENCIES, skill, str(hold_out["sentence"]))


def _with_players(
    classifier: Classifier, panel: Panel, table: Panel, question: Question, image: Image | None, named: bool
) -> tuple[Question, tuple[Decision, ...]]:
    """The question with its players, and why these."""
    longest = max(int(each.lengths.max()) for each in (panel, table))
    steps = min(longest, classifier.config.context_length)
    channels = len(classifier.config.channels.over_time)
    if question.players == "auto":
        question = replace(question, players="cell")
    if question.players == "patch" and question.group is None:
        chosen = in_patches(question, len(columns_of(classifier, image)), steps)
        return chosen, (_side(chosen, image),)
    chosen = affordable(question, channels, steps, named)
    if chosen is question:
        return question, ()
    cells = f"{count(channels, 'feature')} at {count(steps, 'lag')} are {channels * steps:,} inputs"
    reason = f"{cells}, too many for SHAP values of each one by default; --players cell gives them"
    if image is None:
        return chosen, (Decision("group", chosen.group, reason),)
    chosen = in_patches(question, len(image.columns), steps)
    return chosen, (
        Decision("players", "patch", f"every series has {image.words}; {reason}"),
        _side(chosen, image),
    )


def _side(question: Question, image: Image | None) -> Decision:
    side = question.group
    if side == 1:
        return Decision("group", side, f"{MOST_PLAYERS} or fewer cells, each of which is a patch of its own")
    beside = "" if image else "; without an image, neighbours are the columns side by side in the table"
    reason = f"patches of {side} lags of {side} columns: with smaller ones over {MOST_PLAYERS}{beside}"
    return Decision("group", side, reason)


def _reworded(check: Check) -> Check:
    return replace(check, sentence=of_classes(check.sentence))


def _series(task: ClassTask, run: ClassRun, p: np.ndarray) -> pl.DataFrame:
    """id, label, predicted, class, p, base_value, explained: a row for each series and explained class.

    `label` is null where it is not known, or no value of a single series is quoted.
    """
    config, outputs = task.classifier.config, len(task.classes)
    names = pl.Series(config.classes, dtype=pl.String)
    codes = codes_of_labels(task.panel, config.classes)[task.series]
    label = pl.Series([int(code) if code >= 0 and task.detail.values else None for code in codes], dtype=pl.Int64)
    each = np.repeat(np.arange(len(task.series)), outputs)
    return pl.DataFrame(
        {
            **task.panel.id_columns(task.series[each]),
            "label": names.gather(label.gather(each)),
            "predicted": task.classifier.labels(p).cast(pl.String).gather(each),
            "class": pl.Series(list(task.names) * len(task.series), dtype=pl.String),
            "p": p[:, task.classes].ravel(),
            "base_value": run.base.ravel(),
            "explained": run.explained.ravel(),
        }
    )
