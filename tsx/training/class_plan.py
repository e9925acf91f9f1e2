"""Choose a classifier's networks and their training from the settings and the data; every choice has a reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tsx.errors import ConfigError
from tsx.model.categories import vocabulary_of, with_parts, words_at_once
from tsx.panel.labels import Classes
from tsx.panel.panel import Panel
from tsx.spec.attentions import ATTENTIONS
from tsx.spec.channels import Channels
from tsx.spec.classifier import KERNEL_LENGTH, POOLING, ClassifierConfig, Pooling
from tsx.spec.decision import Decision
from tsx.spec.encoders import ENCODERS
from tsx.spec.network import TrainingConfig
from tsx.spec.settings import Settings
from tsx.training.class_context import older_rows_help
from tsx.training.plan import Choices
from tsx.wording import count, percent

USUAL_CONTEXT, LONGEST_CONTEXT = 1024, 8192
"""Steps that are read of long series, and where held-out series say that older ones tell more."""
MOST_SEGMENTS = 128
"""Recurrent steps of a series that a segment is chosen for: longer series are read several steps at once."""
MANY_SERIES = 20_000
DROPOUT = 0.2
BATCH_SIZES = ((20_000, 256), (5000, 128), (500, 64), (0, 32))
"""Series to learn from, from which a batch has so many of them."""
PASSES, PASSES_OF_MANY, LEAST_STEPS, MOST_STEPS = 30, 20, 600, 4500
LEARNING_RATE = 3e-3
LEAST_GAPS = 0.001
"""Share of missing values from which masks and times since observed are read."""
FILTERS = (64, 128, 64)
FEWEST_STEPS = 2 * KERNEL_LENGTH
"""Steps from which a fixed kernel can find its pattern in more than one place."""
MOST_FOR_KERNELS, MOST_LAID_ON = 5000, 32
"""Series, and dilations of all channels together, up to which fixed kernels cost less than the networks."""
UNCHANGED = "series are learnt from as they are, unless it is asked for"
FEWEST_TO_STOP = 300
"""Series to learn from, from which some are set aside that say when to stop."""


def plan_classifier(
    panel: Panel,
    classes: Classes,
    settings: Settings,
    given: Mapping[str, Any],
    members: int,
    held: np.ndarray | None = None,
) -> tuple[ClassifierConfig, tuple[Decision, ...]]:
    """The shape of the networks.

    given  the settings that the user named
    held   the labelled series, flags, that are held out from all networks and so decide nothing; None: none are
    """
    choices = Choices()
    lengths = np.diff(panel.offsets)[classes.labelled]
    longest, series = int(lengths.max()), len(classes.labelled)
    if ENCODERS[settings.cell].separate_variables:
        raise ConfigError(
            "settings-contradict",
            f"cell {settings.cell} keeps a state for each variable, which a classifier does not read",
            hint="choose another --cell",
            where="cell",
        )
    read, why = longest, f"the longest series has {count(longest, 'step')}"
    if longest > USUAL_CONTEXT and settings.context_length is None:
        learnt = classes.labelled if held is None else classes.labelled[~held]
        reach = min(longest, LONGEST_CONTEXT)
        helps, because = older_rows_help(panel, classes, learnt, USUAL_CONTEXT, reach, settings.seed)
        read = reach if helps else USUAL_CONTEXT
        if cut := int((lengths > read).sum()):
            why += f"; of {cut:,} series, which are longer, the newest {read:,} steps are read"
        why += f"; beyond the newest {USUAL_CONTEXT:,}, {because}"
    context = choices.take("context_length", settings.context_length, read, why)
    segment = choices.take(
        "segment",
        settings.segment,
        max(1, -(-context // MOST_SEGMENTS)),
        f"{count(context, 'step')} in at most {MOST_SEGMENTS} recurrent steps",
    )
    hidden_size = choices.take(
        "hidden_size",
        settings.hidden_size,
        64 if series < MANY_SERIES else 128,
        f"{series:,} series: {'below' if series < MANY_SERIES else 'not below'} {MANY_SERIES:,}",
    )
    dropout = choices.take(
        "dropout", settings.dropout if "dropout" in given else None, DROPOUT, "before the classes, and between layers"
    )
    missing = float(np.isnan(panel.values).mean()) if panel.values.size else 0.0
    gaps = choices.take(
        "time_since_observed",
        None,
        missing >= LEAST_GAPS,
        f"{percent(missing)} of the values are missing"
        + (", so that masks and the time since each value was observed are read too" if missing >= LEAST_GAPS else ""),
    )
    choices.take("bidirectional", None, True, "nothing lies after a cutoff here: the steps are read from both ends")
    pooling = choices.take("pooling", None, *_pooling(settings))
    filters = choices.take("convolution", None, *_filters(settings.layers, gaps))
    if settings.ensemble > 1:
        reason = f"as asked: {settings.ensemble} networks, from seeds of their own, for each part that is held out"
        choices.add(Decision("ensemble", settings.ensemble, reason))
    shares = classes.counts / classes.counts.sum()
    kept = settings.keep_categories if settings.private else None
    known = vocabulary_of(panel, series_embedding=False, kept=kept)
    channels, parts = with_parts(panel, Channels.of(panel.schema, known))
    choices.decisions += parts
    dilations = choices.take("kernels", None, *plan_kernels(channels, settings, context, series, gaps))
    choices.take(
        "class_weights",
        None,
        "none",
        f"the rarest class has {percent(float(shares.min()))} of the series; the log loss counts each series once, so "
        "that probabilities stay those of this table",
    )
    kept = settings.keep_categories if settings.private else None
    return ClassifierConfig(
        context_length=context,
        classes=classes.names,
        class_kind=classes.kind,
        channels=channels,
        segment=segment,
        cell=settings.cell,
        hidden_size=hidden_size,
        layers=settings.layers,
        dropout=dropout,
        pooling=pooling,
        filters=filters,
        dilations=dilations,
        gaps=gaps,
        members=members,
        at_once=words_at_once(panel, channels),
    ), tuple(choices.decisions)


def _pooling(settings: Settings) -> tuple[tuple[Pooling, ...], str]:
    """What of the states the classes are read from, and why. Raises ConfigError `settings-contradict`."""
    kind = settings.attention
    if kind == "none":
        return POOLING, "of all states; --attention temporal adds a mean under weights that are learnt"
    if not ATTENTIONS[kind].pools_states:
        raise ConfigError(
            "settings-contradict",
            f"attention {kind} is for a state that is decoded step by step, and a classifier reads all states at once",
            hint=f"choose --attention {' or '.join(name for name, each in ATTENTIONS.items() if each.pools_states)}",
            where="attention",
        )
    return (*POOLING, "attention"), "as asked, attention's mean of the states beside"


def _filters(layers: int, gaps: bool) -> tuple[tuple[int, ...], str]:
    """The outputs of each convolution, and why."""
    if gaps:
        return (), "values are missing, so that a pattern is seldom whole"
    if layers > 1:
        return (), f"of {layers} recurrent layers, as asked, the first can find patterns"
    return FILTERS, "short patterns count wherever they stand (LSTM-FCN), and no values are missing"


def plan_kernels(
    channels: Channels, settings: Settings, context: int, series: int, gaps: bool
) -> tuple[tuple[int, ...], str]:
    """Steps from one that a fixed kernel reads to the next, and why; none where kernels are not worth their cost."""
    reach, over_time = KERNEL_LENGTH - 1, len(channels.time_varying)
    found = tuple(2**k for k in range(context.bit_length()) if reach * 2**k < context)
    laid_on = len(found) * over_time
    why = ""
    if settings.network_only:
        why = "as asked, the whole output of the networks counts"
    elif not over_time:
        why = "no numbers over time, in which there could be a pattern"
    elif gaps:
        why = "values are missing, so that a pattern is seldom whole"
    elif context < FEWEST_STEPS:
        why = f"{count(context, 'step')} are fewer than {FEWEST_STEPS}, twice what a kernel reads"
    elif series > MOST_FOR_KERNELS:
        why = f"{series:,} series are more than {MOST_FOR_KERNELS:,}: a regression on kernels would cost too much"
    elif laid_on > MOST_LAID_ON:
        why = f"{count(over_time, 'column')} at {count(len(found), 'dilation')} would cost more than the networks"
    if why:
        return (), why
    return found, (
        f"a kernel reads {KERNEL_LENGTH} steps, so far apart: powers of 2 that leave it within "
        f"{count(context, 'step')} (MiniRocket); no values are missing"
    )


def plan_class_training(settings: Settings, series: int, device: str) -> tuple[TrainingConfig, tuple[Decision, ...]]:
    """Steps, batch size and learning rate for a network that learns from so many series."""
    choices = Choices()
    size = next(batch for least, batch in BATCH_SIZES if series >= least)
    passes = PASSES if series < MANY_SERIES else PASSES_OF_MANY
    batch_size = choices.take("batch_size", settings.batch_size, size, f"{series:,} series to learn from")
    steps = int(np.clip(passes * series // batch_size, LEAST_STEPS, MOST_STEPS))
    max_steps = choices.take(
        "max_steps",
        settings.max_steps,
        steps,
        f"{passes} passes over {series:,} series, within {LEAST_STEPS:,} and {MOST_STEPS:,} steps",
    )
    rate = choices.take("learning_rate", settings.learning_rate, LEARNING_RATE, "default for these networks")
    shift = choices.take("shift", settings.shift, 0.0, UNCHANGED)
    jitter = choices.take("jitter", settings.jitter, 0.0, UNCHANGED)
    return TrainingConfig(
        max_steps=max_steps,
        max_time=settings.max_time,
        batch_size=batch_size,
        learning_rate=rate,
        network_only=settings.network_only,
        shift=shift,
        jitter=jitter,
        seed=settings.seed,
        device=device,
    ), tuple(choices.decisions)
