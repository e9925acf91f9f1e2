"""What drives the forecasts: SHAP values by feature, lag and step, and what they say in words."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from tsx.explanation.checks.verdicts import precision
from tsx.explanation.measure import Context, Measure, Measured, Results
from tsx.explanation.memory.agreement import lag_curve, last_span
from tsx.explanation.result import Check, Knowledge, mean_by_distance
from tsx.explanation.shap.importance_writer import BY_PATH_TABLE, BY_STEP_TABLE, PROFILE_TABLE
from tsx.panel.calendar import Calendar
from tsx.spec.channels import TARGET
from tsx.wording import count, percent, verb

ALL = "all features together"
TOO_UNCERTAIN = "The SHAP values are too uncertain to say what drives the forecast."
MOST = 0.8
"""Share of the importance that the strongest inputs carry, as many as it takes."""


def why_unnamed(profile: pl.DataFrame, checks: Sequence[Check], knowledge: Knowledge | None) -> str:
    """Why it is not said what drives the forecasts, in a sentence; empty where it can be said.

    The SHAP values may be too uncertain; or the model is not shown to know anything, and its reasons are no news about
    the series.
    """
    if precision.failed(checks):
        return TOO_UNCERTAIN
    if knowledge is not None and knowledge.lacking:
        return f"The model has reasons, but {knowledge.doubt('it')}."
    if not float(profile["mean_abs_shap"].sum()) > 0:
        return "No input moves the explained forecasts: every SHAP value is zero."
    return "" if float(profile["share"].sum()) > 0 else TOO_UNCERTAIN


def driver_sentences(results: Results) -> list[str]:
    """The strongest input, how far back the importance of the past reaches, and the features' shares of it."""
    profile, by_step, agreement = (results.tables.get(name) for name in ("lag_profile", "by_step", "agreement"))
    if profile is None:
        return []
    if why := why_unnamed(profile, results.checks, results.knowledge):
        return [why]
    calendar = results.calendar
    features = profile.group_by("feature").agg(pl.col("share").sum()).sort("share", "feature", descending=[True, False])
    words = [_subject(features, results)] if features.height > 1 else []
    words.append(_strongest(profile, None if by_step is None else mean_by_distance(by_step), calendar))
    past = profile.filter(pl.col("lag") > 0).group_by("lag").agg(pl.col("share").sum()).sort("lag")
    reached = past["share"].cum_sum()
    total = float(past["share"].sum())
    if total > 0 and "oldest_lag" not in profile.columns:
        known = None if agreement is None else agreement.filter(pl.col("measure") == "shap").drop_nulls("lag_90")
        if known is not None and known.height:
            half, most = known.select("lag_50", "lag_90").row(0)
        else:
            half, most = (int(past["lag"][int((reached < level * total).sum())]) for level in (0.5, 0.9))
        words.append(
            f"Half of the importance of the past lies within the last {last_span(calendar, half)} (lag {half}), 90 % "
            f"within {calendar.span(most)} (lag {most})."
        )
    return words + few_inputs(profile)


def _subject(features: pl.DataFrame, results: Results) -> str:
    """What the forecasts follow, with every feature's share and how sure it is."""
    target, ahead = results.config.channels.every[TARGET].name, results.calendar.span(results.config.horizon)
    leading, *others = ((name or ALL, percent(share)) for name, share in features.head(5).iter_rows())
    second = ", ".join(f"{name} {share}" for name, share in others)
    error = next((check.figure for check in results.checks if check.name == precision.name), None)
    doubt = "" if error is None else f" (SHAP values to within {percent(error)})"
    return f"{target} up to {ahead} ahead follows {leading[0]} most: {leading[1]} of the importance, {second}{doubt}."


def few_inputs(profile: pl.DataFrame) -> list[str]:
    """How many of the players carry most of the importance: a sentence where it is fewer than half of them."""
    shares = profile["share"].sort(descending=True)
    carried = shares.cum_sum()
    number = int((carried < MOST - 1e-9).sum()) + 1
    others = len(shares) - number
    if number > others:
        return []
    rest = f"the other {others:,} share the rest" if carried[number - 1] < 1 - 1e-9 else f"the other {others:,} nothing"
    return [f"{count(number, 'input')} {verb(number, 'carries')} {percent(carried[number - 1])}, {rest}."]


def _strongest(profile: pl.DataFrame, by_distance: pl.DataFrame | None, calendar: Calendar) -> str:
    """The strongest input by its distance to what is forecast; by its lags where players have no single distance."""
    if by_distance is not None and by_distance.height:
        order = by_distance.sort("mean_square_shap", "feature", "distance", descending=[True, False, False])
        feature, distance = order.select("feature", "distance").row(0)
        side = "before" if distance > 0 else "after"
        when = f"{calendar.span(abs(distance))} {side}" if distance else "at the time of"
        return f"The strongest input is {feature or ALL} {when} the value being forecast (distance {distance})."
    row = profile.sort("share", "feature", "lag", descending=[True, False, False]).row(0, named=True)
    newest, oldest = row["lag"], row.get("oldest_lag") or row["lag"]
    lags = "" if newest is None else f" at lag {newest}" if newest == oldest else f" at lags {newest} to {oldest}"
    return f"The strongest input is {row['feature'] or ALL}{lags}, with {percent(row['share'])} of the importance."


def _measure(context: Context, results: Results) -> Measured:
    totals = context.run.writer.totals
    tables = {"lag_profile": totals.profile(), "by_step": totals.by_step(), "by_path": totals.by_path()}
    if context.question.players not in ("auto", "cell", "lag"):
        return Measured(tables)
    curve = lag_curve(tables["lag_profile"], "mean_square_shap", context.config.context_length)
    return Measured(tables, by_lag={"shap": curve})


DRIVERS = Measure(
    name="drivers",
    section="drivers",
    group="What drives it",
    tables=(PROFILE_TABLE, BY_STEP_TABLE, BY_PATH_TABLE),
    measure=_measure,
    sentences=driver_sentences,
)
