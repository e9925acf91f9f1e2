"""What the tables say, in sentences that a reader can check against them."""

from __future__ import annotations

from typing import Any

import polars as pl

from tsx.config import NetworkConfig
from tsx.explanation.result import Check

UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "q": "quarter", "y": "year"}
LARGER = {"second": (60, "minute"), "minute": (60, "hour"), "hour": (24, "day")}


def find_words(
    config: NetworkConfig,
    frequency: str,
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
    words += _drivers(profile, importance, frequency)
    words += _memory(config, retention, units, frequency)
    words += _paths(path_shares)
    words += [check.sentence for check in checks if check.verdict == "fail"]
    return tuple(words)


def span(steps: float, frequency: str) -> str:
    """A number of steps as a length of time: 9 steps of `1h` are "9 hours", of `5m` "45 minutes"."""
    if frequency == "trading-day":
        return _count(steps, "trading day")
    digits = "".join(c for c in frequency if c.isdigit())
    unit = UNITS.get(frequency[len(digits) :])
    if unit is None:
        return _count(steps, "step")
    amount = steps * int(digits or 1)
    while unit in LARGER and amount >= 2 * LARGER[unit][0]:
        factor, larger = LARGER[unit]
        amount, unit = amount / factor, larger
    return _count(amount, unit)


def _count(amount: float, noun: str) -> str:
    shown = f"{amount:.0f}" if amount >= 10 or amount == int(amount) else f"{amount:.1f}"
    return f"{shown} {noun}" + ("" if shown == "1" else "s")


def _drivers(profile: pl.DataFrame, importance: pl.DataFrame, frequency: str) -> list[str]:
    total = float(profile["mean_abs_shap"].sum())
    if total <= 0:
        return ["No input moves the forecast: every SHAP value is zero."]
    by_distance = (
        importance.filter(pl.col("lag") > 0)
        .group_by("feature", "distance")
        .agg(pl.col("shap").abs().mean())
        .sort("shap", "feature", "distance", descending=[True, False, False])
    )
    words = []
    if by_distance.height:
        feature, distance, _ = by_distance.row(0)
        words.append(
            f"The strongest input is {feature} {span(distance, frequency)} before the value being forecast "
            f"(distance {distance})."
        )
    past = profile.filter(pl.col("lag") > 0).group_by("lag").agg(pl.col("mean_abs_shap").sum()).sort("lag")
    shares = past["mean_abs_shap"].cum_sum() / past["mean_abs_shap"].sum()
    half, most = (int(past["lag"].gather((shares < level).sum())[0]) for level in (0.5, 0.9))
    words.append(
        f"Half of the importance of the past lies within the last {span(half, frequency)} (lag {half}), 90 % within "
        f"{span(most, frequency)} (lag {most})."
    )
    features = profile.group_by("feature").agg(pl.col("share").sum()).sort("share", "feature", descending=[True, False])
    if features.height > 1:
        shown = ", ".join(f"{name} {share:.0%}" for name, share in features.head(5).iter_rows())
        words.append(f"Importance by feature: {shown}.")
    return words


def _memory(config: NetworkConfig, retention: pl.DataFrame, units: pl.DataFrame, frequency: str) -> list[str]:
    top = retention.filter(pl.col("layer") == pl.col("layer").max())
    below = top.filter(pl.col("mean") < 0.5)
    longest = int(top["lag"].max())  # type: ignore[arg-type]
    if below.height:
        half = int(below["lag"][0])
        words = f"Half of what the cells hold is gone after {span(half, frequency)}"
    else:
        kept = float(top["mean"][-1])
        words = f"After {span(longest, frequency)}, the whole context, the cells still hold {kept:.0%}"
    if 1 < config.season <= longest:
        at = top.filter(pl.col("lag") >= config.season)
        lag, kept = int(at["lag"][0]), float(at["mean"][0])
        words += f"; {span(lag, frequency)} back, a season, {kept:.0%} is still there"
    found = [words + "."]
    censored = float(units["censored"].mean())  # type: ignore[arg-type]
    if censored > 0:
        found.append(
            f"{censored:.0%} of the units remember longer than the context of {span(config.context_length, frequency)}."
        )
    return found


def _paths(shares: dict[str, float]) -> list[str]:
    beside = {name: share for name, share in shares.items() if name != "recurrent" and share > 0}
    if not beside:
        return []
    listed = " and ".join(f"{share:.0%} to the {'last season repeated' if n == 'season' else 'linear skip'}"
                          for n, share in beside.items())  # fmt: skip
    words = f"The recurrent path makes {shares['recurrent']:.0%} of the forecast's movement; {listed}."
    if shares["recurrent"] < 0.1:
        words += " What the cells remember hardly matters here."
    return [words]
