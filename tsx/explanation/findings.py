"""What the tables say, in sentences that a reader can check against them."""

from __future__ import annotations

from typing import Any

import polars as pl

from tsx.config import NetworkConfig
from tsx.data.calendar import Calendar
from tsx.explanation.result import Check, percent

FEWEST_STEPS = 4
"""Recurrent steps below which there is too little of a curve to speak of memory."""


def find_words(
    config: NetworkConfig,
    calendar: Calendar,
    profile: pl.DataFrame,
    importance: pl.DataFrame,
    retention: pl.DataFrame,
    units: pl.DataFrame,
    path_shares: dict[str, float],
    checks: tuple[Check, ...],
    skill: dict[str, Any],
) -> tuple[str, ...]:
    """The findings, the most consequential first: skill, drivers, reach, memory, paths, failed checks."""
    words = []
    if skill:
        words.append(skill["sentence"])
    if any(check.name == "precision" and check.verdict == "fail" for check in checks):
        words.append("The SHAP values are too uncertain to say what drives the forecast.")
    else:
        words += _drivers(profile, importance, calendar)
    words += _memory(config, retention, units, calendar)
    words += _paths(path_shares)
    words += [check.sentence for check in checks if check.verdict == "fail"]
    return tuple(words)


def _drivers(profile: pl.DataFrame, importance: pl.DataFrame, calendar: Calendar) -> list[str]:
    by_distance = (
        importance.group_by("feature", "distance")
        .agg(pl.col("shap").abs().mean())
        .sort("shap", "feature", "distance", descending=[True, False, False])
    )
    feature, distance, _ = by_distance.row(0)
    side = "before" if distance > 0 else "after"
    when = f"{calendar.span(abs(distance))} {side}" if distance else "at the time of"
    words = [f"The strongest input is {feature} {when} the value being forecast (distance {distance})."]
    past = profile.filter(pl.col("lag") > 0).group_by("lag").agg(pl.col("mean_abs_shap").sum()).sort("lag")
    reached = past["mean_abs_shap"].cum_sum()
    total = float(past["mean_abs_shap"].sum())
    if total > 0:
        half, most = (int(past["lag"][int((reached < level * total).sum())]) for level in (0.5, 0.9))
        words.append(
            f"Half of the importance of the past lies within the last {calendar.span(half)} (lag {half}), 90 % within "
            f"{calendar.span(most)} (lag {most})."
        )
    features = profile.group_by("feature").agg(pl.col("share").sum()).sort("share", "feature", descending=[True, False])
    if features.height > 1:
        shown = ", ".join(f"{name} {percent(share)}" for name, share in features.head(5).iter_rows())
        words.append(f"Importance by feature: {shown}.")
    return words


def _memory(config: NetworkConfig, retention: pl.DataFrame, units: pl.DataFrame, calendar: Calendar) -> list[str]:
    if config.segments < FEWEST_STEPS:
        return []
    top = retention.filter(pl.col("layer") == pl.col("layer").max())
    below = top.filter(pl.col("mean") < 0.5)
    longest = int(top["lag"].max())  # type: ignore[arg-type]
    if below.height:
        half = int(below["lag"][0])
        words = f"Half of what the cells hold is gone after {calendar.span(half)}"
    else:
        kept = float(top["mean"][-1])
        words = f"After {calendar.span(longest)}, the whole context, the cells still hold {percent(kept)}"
    if 1 < config.season <= longest:
        at = top.filter(pl.col("lag") >= config.season)
        lag, kept = int(at["lag"][0]), float(at["mean"][0])
        words += f"; {calendar.span(lag)} back, a season, {percent(kept)} is still there"
    found = [words + "."]
    censored = float(units.filter(pl.col("layer") == pl.col("layer").max())["censored"].mean())  # type: ignore[arg-type]
    if censored > 0:
        context = calendar.span(config.context_length)
        found.append(f"{percent(censored)} of the units remember longer than the context of {context}.")
    return found


def _paths(shares: dict[str, float]) -> list[str]:
    names = {"recurrent": "the recurrent path", "season": "the last season repeated", "linear": "the linear skip"}
    parts = [f"{percent(shares[name])} through {words}" for name, words in names.items() if shares[name] > 0]
    if len(parts) < 2:
        return []
    words = f"Of the forecast's movement around its level, {', '.join(parts[:-1])} and {parts[-1]}."
    if round(shares["recurrent"], 2) < 0.1:
        words += " What the cells remember hardly matters here."
    return [words]
