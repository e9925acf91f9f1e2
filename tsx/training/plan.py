"""Choose the network and its training from the settings and the data, without torch; every choice has a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np

from tsx.errors import ConfigError, DataError
from tsx.model.categories import has_parts, pooled_words, unknown_of, vocabulary_of, words_at_once
from tsx.panel.cutoffs import Cutoffs, observed_cutoffs
from tsx.panel.panel import Panel
from tsx.panel.transform import DERIVED
from tsx.profile.season import find_season
from tsx.profile.series import likely_horizon
from tsx.spec.channels import Channels
from tsx.spec.decision import Decision, Finding
from tsx.spec.encoders import ENCODERS
from tsx.spec.network import Link, NetworkConfig, TrainingConfig
from tsx.spec.settings import Point, Settings
from tsx.training.choose_link import choose_floor, choose_link, least_log_shift
from tsx.wording import count, value_preview, verb

LEAST_STEPS, MOST_STEPS = 1000, 2000
"""Steps that a network is trained for, if validation does not stop it: two passes over the windows within these."""
BATCH_SIZE = 256
LEARNING_RATE = 4e-3
STEPS_WITHOUT_VALIDATION = 400
LONGEST_CHOSEN_CONTEXT = 192
"""Seasons that would need a longer context than this are not fitted into it: every training step would cost more."""
SHORTEST_CHOSEN_CONTEXT = 32
MANY_WINDOWS, MANY_HORIZONS = 15_000, 6
"""Horizons of a context without a season where covariates act, and so many windows can tell for how long."""
FEWEST_SEASONS = 4
DEFAULT_SEASONS = 8
"""Seasons of a context, where they fit: the smoothing needs as many to tell a season from noise."""
VALIDATION_SHARE, MOST_VALIDATED = 0.1, 0.2
VALIDATED_HORIZONS = 3
"""Horizons at least that a validation cut should span: series share their times, so one horizon is one observation."""
FEWEST_WINDOWS = 10
"""Windows to learn from below which there is nothing a network could learn."""

LONGEST_FUTURE_REACH = 28
"""Steps before its own of which a step reads known-future covariates at most: of days, four weeks. The decoder's work
grows with the product of this and the horizon."""
MOST_KNOWN, KNOWN_ROWS = 100, 1000
"""A series embedding is learnt for at most this many series, of at least this many rows each."""
T = TypeVar("T")


@dataclass(frozen=True)
class Split:
    """Which cutoffs are learnt from and which, later in time, decide when to stop."""

    learn: Cutoffs
    validate: Cutoffs


class Choices:
    """Collects decisions: a setting of the user's wins over the value that would be chosen."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []

    def take(self, name: str, setting: T | None, chosen: T, reason: str) -> T:
        self.decisions.append(
            Decision(name, chosen if setting is None else setting, reason if setting is None else "as asked")
        )
        return chosen if setting is None else setting

    def add(self, decision: Decision) -> Any:
        """Record a decision made elsewhere, and return its value."""
        self.decisions.append(decision)
        return decision.value


def plan_shape(panel: Panel, settings: Settings) -> tuple[NetworkConfig, tuple[Decision, ...]]:
    """Horizon, season, context, segment and size of the network for the history of every series.

    Raises ConfigError when context and segment do not fit together, DataError when no series is long enough.
    """
    choices = Choices()
    ends = panel.lengths
    rows = _median_rows(panel)
    season, horizon = plan_task(panel, settings, choices)
    windows = int(np.maximum(ends - horizon, 0).sum())
    wanted, why = default_context(horizon, season, windows if panel.schema.past or panel.schema.past_words else 0)
    available = max(1, rows - horizon)
    if wanted > available:
        wanted = available // season * season if available > season else available
        why = f"what the median series of {rows} rows leaves beside a horizon"
    if settings.segment and settings.context_length and settings.context_length % settings.segment:
        raise ConfigError(
            "segment-does-not-fit",
            f"context_length {settings.context_length} is no multiple of segment {settings.segment}",
            hint=f"use --context-length {_round_up(settings.context_length, settings.segment)}",
            where="segment",
        )
    context = settings.context_length or wanted
    segment, segment_why = (settings.segment, "as asked") if settings.segment else default_segment(context, season)
    if not settings.context_length and context % segment:
        context = max(segment, context // segment * segment)
        why += f", rounded to whole segments of {segment}"
    context = choices.take("context_length", settings.context_length, context, why)
    segment = choices.take("segment", settings.segment, segment, segment_why)
    hidden_size = choices.take(
        "hidden_size",
        settings.hidden_size,
        64 if windows < 50_000 else 128,
        f"{windows:,} training windows: " + ("below" if windows < 50_000 else "not below") + " 50,000",
    )
    identity = choices.add(plan_series_embedding(panel, settings))
    kept = settings.keep_categories if settings.private else None
    link = cast(Link, plan_link(panel, settings, season, choices))
    channels = Channels.of(panel.schema, vocabulary_of(panel, identity, kept))
    refuse_separate(settings, channels)
    return NetworkConfig(
        horizon=horizon,
        context_length=context,
        segment=segment,
        season=season,
        channels=channels,
        quantile_levels=settings.quantile_levels,
        cell=settings.cell,
        hidden_size=hidden_size,
        layers=settings.layers,
        dropout=settings.dropout,
        attention=settings.attention,
        link=link,
        least_log_shift=least_log_shift(panel) if link == "log" else 0.0,
        floor=choices.add(choose_floor(panel)),
        delay=settings.delay,
        point=plan_point(panel, settings, choices),
        series_embedding=identity,
        future_reach=plan_future_reach(panel, horizon, context, choices),
        known_effects=bool(channels.given_ahead) and not settings.private,
        at_once=words_at_once(panel, channels),
    ), tuple(choices.decisions)


def refuse_separate(settings: Settings, channels: Channels) -> None:
    """Raises ConfigError `settings-contradict` for a cell that keeps a state for each variable, beside words."""
    if channels.words and ENCODERS[settings.cell].separate_variables:
        raise ConfigError(
            "settings-contradict",
            f"cell {settings.cell} keeps a state for each variable of numbers; {channels.words[0].name!r} holds words",
            hint="choose another --cell, or leave the column out",
            where="cell",
        )


def plan_link(panel: Panel, settings: Settings, season: int, choices: Choices) -> Any:
    """Whether the network works on the logarithm; a transform of y itself was applied before."""
    if settings.transform in DERIVED:
        return "none"
    if settings.transform is not None:
        return choices.take("transform", settings.transform, "none", "")
    return choices.add(choose_link(panel, season))


def plan_future_reach(panel: Panel, horizon: int, context: int, choices: Choices) -> int:
    """How many steps before a step of the horizon the decoder reads known-future covariates of.

    All of the horizon before it, up to a limit: what lies before the horizon the encoder and the linear map read too.
    """
    if not panel.schema.given_ahead or horizon == 1:
        return 0
    reach = min(horizon - 1, context, LONGEST_FUTURE_REACH)
    whole = "all of the horizon before it" if reach == horizon - 1 else f"at most {reach}"
    reason = f"of the known-future covariates, a step reads its own values and those of {whole}"
    return int(choices.take("future_reach", None, reach, reason))


def plan_point(panel: Panel, settings: Settings, choices: Choices) -> Point:
    """The median, which has the least absolute error; the mean of a variance, whose losses ask for it."""
    variance = panel.schema.derived == "variance"
    reason = "a variance is judged by losses that the mean minimises" if variance else "it has the least absolute error"
    return choices.take("point", settings.point, "mean" if variance else "median", reason)


def plan_task(panel: Panel, settings: Settings, choices: Choices) -> tuple[int, int]:
    """Season and horizon."""
    detected = find_season(panel)
    season = choices.take("season", settings.season, int(detected.value), detected.reason)
    likely = likely_horizon(panel, season)
    return season, choices.take("horizon", settings.horizon, likely.value, likely.reason)


def context_by_rows(panel: Panel, horizon: int) -> int:
    """About the context that will be chosen, from the number of rows alone, before their values are read."""
    return min(_least_context(horizon), max(1, _median_rows(panel) - 2 * horizon))


def plan_split(panel: Panel, config: NetworkConfig) -> tuple[Split, Decision]:
    """Cutoffs to learn from and, later in time, to validate on: the last tenth of each series, or three horizons.

    At most a fifth, but a horizon, and nothing where not even that leaves a window to learn from. Windows without an
    observed target in their context, or none in their horizon, are not drawn. Raises DataError `series-too-short`, or
    `too-few-windows` for series that are long enough, when there are too few windows to learn from.
    """
    ends = panel.lengths
    horizon = config.horizon
    shortest = config.shortest_context
    first = np.full(len(ends), shortest - 1)
    wanted = np.maximum(VALIDATED_HORIZONS * horizon, (VALIDATION_SHARE * ends).astype(np.int64))
    most = np.maximum(horizon, (MOST_VALIDATED * ends).astype(np.int64))
    held = np.minimum(np.minimum(wanted, most), ends - horizon - shortest)
    afford = held >= horizon
    begin = np.where(afford, ends - held, ends)
    everywhere = Cutoffs(first, begin - horizon - 1)
    if len(everywhere) < FEWEST_WINDOWS:
        raise too_short(len(everywhere), ends, config)
    learn = observed_cutoffs(panel, first, begin - horizon - 1, config.context_length, horizon)
    if len(learn) < FEWEST_WINDOWS:
        raise DataError(
            "too-few-windows",
            f"{len(learn)} of {len(everywhere):,} training windows have an observed `{panel.schema.target}` both in "
            f"their context of {config.context_length} steps and in the {horizon} steps after it; at least "
            f"{FEWEST_WINDOWS} are needed",
            hint="fill the gaps, aggregate to a longer step with --freq, or raise --horizon",
            where=panel.schema.target,
        )
    validate = observed_cutoffs(
        panel, np.where(afford, begin - 1, 0), np.where(afford, ends - horizon - 1, -1), config.context_length, horizon
    )
    if len(validate):
        reason = (
            f"the last {_span(held[afford])} steps of {int(afford.sum()):,} of {len(ends):,} series choose the "
            "network's weight and the width of its intervals; then it is trained on them too"
        )
    elif afford.any():
        reason = "the last tenth of every series lies in a gap, so nothing can be held back"
    else:
        reason = f"no series has {shortest + 2 * horizon} rows, so nothing can be held back"
    return Split(learn, validate), Decision("validation_windows", len(validate), reason)


def all_cutoffs(panel: Panel, config: NetworkConfig) -> Cutoffs:
    """Every cutoff with a long enough context and an observed target both before and after it."""
    first = np.full(len(panel.lengths), config.shortest_context - 1)
    return observed_cutoffs(panel, first, panel.lengths - config.horizon - 1, config.context_length, config.horizon)


def _span(steps: np.ndarray) -> str:
    low, high = int(steps.min()), int(steps.max())
    return str(low) if low == high else f"{low} to {high}"


def short_series(panel: Panel, config: NetworkConfig) -> tuple[Finding, ...]:
    """A finding that counts the series with too few steps for a training window; none where all are long enough."""
    short = np.flatnonzero(panel.lengths < config.shortest_context + config.horizon)
    if not len(short):
        return ()
    return (
        Finding(
            "series-short",
            f"{_needed(config)}; {len(short):,} of {len(panel):,} series {'is' if len(short) == 1 else 'are'} shorter "
            f"and {'is' if len(short) == 1 else 'are'} left out of training",
            panel.schema.id_label,
            value_preview(panel.ids.gather(short)),
            len(short),
        ),
    )


def rare_categories(panel: Panel, config: NetworkConfig) -> tuple[Finding, ...]:
    """A finding for each covariate in words that counts what the network does not know."""
    return words_left_out(panel, config.channels) + tuple(
        Finding(
            "rare-categories",
            f"{number:,} of {len(panel):,} series {verb(number, 'has')} a category of `{name}` that the model does not "
            "keep; it is taken as other",
            name,
        )
        for name, number in unknown_of(panel, config.channels.static_vocabulary).items()
    )


def words_left_out(panel: Panel, channels: Channels) -> tuple[Finding, ...]:
    """A finding for each channel of words that counts those which are not kept."""
    return tuple(
        Finding(
            "rare-categories",
            f"{count(pooled.words, 'word')} of `{name}` {verb(pooled.words, 'is')} not kept, in {pooled.times:,} of "
            f"{count(pooled.of, 'time')} with a word; {'it is' if pooled.words == 1 else 'they are'} taken as other"
            + (", or by their parts" if has_parts(channels.vocabulary[name]) else ""),
            name,
            count=pooled.words,
        )
        for name, pooled in pooled_words(panel, channels).items()
    )


def _needed(config: NetworkConfig) -> str:
    """`context 5 (a quarter of 20) + horizon 5 = 10 steps`: what a series needs for one training window."""
    shortest, context = config.shortest_context, config.context_length
    part = "" if shortest == context else f" (a quarter of {context})"
    return f"context {shortest}{part} + horizon {config.horizon} = {shortest + config.horizon} steps"


def too_short(windows: int, ends: np.ndarray, config: NetworkConfig) -> DataError:
    longest = int(ends.max(initial=0))
    return DataError(
        "series-too-short",
        f"a training window needs {_needed(config)}, and at least {FEWEST_WINDOWS} windows are needed; the longest of "
        f"{len(ends):,} series has {longest}, which makes {windows} in all",
        hint="lower --horizon or --context-length, or bring more or longer series",
    )


def plan_series_embedding(panel: Panel, settings: Settings) -> Decision:
    """Whether the network gets an embedding of each series: it can learn one where series are few and long.

    Held-out windows then decide whether it keeps it (`choose_series_embedding`).
    """
    if settings.private:
        return Decision("series_embedding", False, "private: a model must not know its series one by one")
    rows = _median_rows(panel)
    few = f"{len(panel):,} series, the median one of {rows:,} rows"
    known = 1 < len(panel) <= MOST_KNOWN and rows >= KNOWN_ROWS
    limits = f"from 2 to {MOST_KNOWN} series of {KNOWN_ROWS:,} rows are known one by one"
    return Decision("series_embedding", known, f"{few}; {limits}")


def plan_training(settings: Settings, split: Split, device: str) -> tuple[TrainingConfig, tuple[Decision, ...]]:
    """How long, in which batches and how fast to learn from the windows of the `split`."""
    choices = Choices()
    size = choices.take("batch_size", settings.batch_size, BATCH_SIZE, f"{BATCH_SIZE} windows keep two cores busy")
    steps, why = STEPS_WITHOUT_VALIDATION, "nothing held back to stop on, so the run is short"
    if len(split.validate):
        steps = min(max(2 * len(split.learn) // size, LEAST_STEPS), MOST_STEPS)
        why = (
            f"two passes over {len(split.learn):,} windows, but from {LEAST_STEPS:,} to {MOST_STEPS:,} steps; "
            "training stops earlier when the validation loss no longer falls"
        )
    config = TrainingConfig(
        max_steps=choices.take("max_steps", settings.max_steps, steps, why),
        max_time=settings.max_time,
        batch_size=size,
        learning_rate=choices.take(
            "learning_rate",
            settings.learning_rate,
            LEARNING_RATE,
            "the best of a few on the sets of benchmarks.accuracy",
        ),
        members=settings.ensemble,
        network_only=settings.network_only,
        seed=settings.seed,
        device=device,
    )
    if config.members > 1:
        seeds = f"seeds {config.seed} to {config.seed + config.members - 1}"
        choices.add(Decision("ensemble", config.members, f"as asked: {seeds}; their quantiles are averaged"))
    return config, tuple(choices.decisions)


def _median_rows(panel: Panel) -> int:
    """The rows of the median series, leaving out empty ones."""
    lengths = panel.lengths
    return int(np.median(lengths[lengths > 0])) if lengths.any() else 0


def _least_context(horizon: int) -> int:
    return max(3 * horizon, SHORTEST_CHOSEN_CONTEXT)


def default_context(horizon: int, season: int, acting: int) -> tuple[int, str]:
    """`acting`: training windows with past covariates."""
    least = _least_context(horizon)
    fitting = LONGEST_CHOSEN_CONTEXT // season
    if season > 1 and fitting >= FEWEST_SEASONS:
        seasons = min(max(DEFAULT_SEASONS, -(-least // season)), fitting)
        if seasons * season >= horizon:
            return seasons * season, f"{seasons} seasons of {season}"
    elif season > 1 and horizon <= season + season // 4 <= LONGEST_CHOSEN_CONTEXT:
        why = f"a season of {season} and a quarter: {FEWEST_SEASONS}, to tell it from noise, would be over"
        return season + season // 4, f"{why} {LONGEST_CHOSEN_CONTEXT}"
    aside = f"; a season of {season} and a quarter would be over {LONGEST_CHOSEN_CONTEXT}" if season > 1 else ""
    if acting >= MANY_WINDOWS and least < MANY_HORIZONS * horizon <= LONGEST_CHOSEN_CONTEXT:
        return MANY_HORIZONS * horizon, f"{MANY_HORIZONS} horizons, since covariates may act for long{aside}"
    return least, f"three horizons, at least {SHORTEST_CHOSEN_CONTEXT}{aside}"


def default_segment(context: int, season: int) -> tuple[int, str]:
    """One lag a step while that is cheap; else segments that divide the context, in whole parts of a season."""
    if context <= 48:
        return 1, f"{context} single lags are few enough to read one by one"
    whole = season if 1 < season <= context and context % season == 0 else context
    if season > 1 and context == season + season // 4 and season % 4 == 0:
        return season // 4, f"a quarter of a season of {season}"
    fitting = [p for p in _divisors(whole) if 6 <= context // p <= 24]
    if not fitting:
        return 1, f"no segment divides a context of {context} into 6 to 24 parts"
    parts = 24 if whole == context else 10  # what a segment holds of a season is alike from one to the next
    segment = min(fitting, key=lambda p: abs(context // p - parts))
    return segment, f"{context} lags in {context // segment} recurrent steps train several times as fast as one by one"


def _divisors(number: int) -> Sequence[int]:
    return [p for p in range(1, number + 1) if number % p == 0]


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
