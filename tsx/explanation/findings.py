"""What the tables say, in sentences that a reader can check against them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from tsx.explanation.components import idle, path_sentences
from tsx.explanation.memory.agreement import agreement_sentence
from tsx.explanation.result import Check, percent
from tsx.panel.calendar import Calendar
from tsx.spec.network import NetworkConfig

ALL = "all features together"
FEWEST_STEPS = 4
"""Recurrent steps below which there is too little of a curve to speak of memory."""
MISLEADING = 0.8
"""A rank correlation of gates and measured retention under this is said: the gates alone mislead."""
APART = 1.5
"""So is a median half-life that is measured to be this many times longer or shorter than by the gates."""


def findings_of(
    config: NetworkConfig,
    calendar: Calendar,
    tables: Mapping[str, pl.DataFrame],
    facts: Mapping[str, Any],
    checks: tuple[Check, ...],
) -> tuple[str, ...]:
    """The findings, the most consequential first: skill, drivers, how far back, memory, paths, failed checks.

    tables: `lag_profile` and `by_distance` (feature, distance, mean_abs_shap) for the drivers; `agreement`;
    `retention`, `memory_units` for memory; `paths`. What is left out is not spoken of, nor is the memory of cells
    whose path carries next to nothing.
    facts: those of `memory.Memory`; `skill`, the sentence of the hold-out; `memory_needed`, that of the cut contexts;
    `share`, how much of what the network adds to the smoothing is trusted.
    """
    words = [facts["skill"]] if facts.get("skill") else []
    if any(check.name == "precision" and check.verdict == "fail" for check in checks):
        words.append("The SHAP values are too uncertain to say what drives the forecast.")
    elif "lag_profile" in tables:
        words += _drivers(tables["lag_profile"], tables.get("by_distance"), tables.get("agreement"), calendar)
    share = facts.get("share", 1.0)
    unused = not share or ("paths" in tables and idle(tables["paths"]))
    if "agreement" in tables:
        measured = tables["agreement"]
        sentence = agreement_sentence(
            measured.filter(pl.col("measure") != "gates") if unused else measured, calendar.span
        )
        words += [sentence] if sentence else []
    if facts.get("memory_needed"):
        words.append(facts["memory_needed"])
    if not unused:
        if "retention" in tables and "memory_units" in tables:
            words += _memory(config, tables["retention"], tables["memory_units"], calendar)
        words += _units(config, facts, calendar)
    if "paths" in tables:
        words += path_sentences(tables["paths"], share)
    words += [check.sentence for check in checks if check.verdict == "fail"]
    return tuple(words)


def _drivers(
    profile: pl.DataFrame, by_distance: pl.DataFrame | None, agreement: pl.DataFrame | None, calendar: Calendar
) -> list[str]:
    if not float(profile["mean_abs_shap"].sum()) > 0:
        return ["No input moves the explained forecasts: every SHAP value is zero."]
    words = [_strongest(profile, by_distance, calendar)]
    past = profile.filter(pl.col("lag") > 0).group_by("lag").agg(pl.col("mean_abs_shap").sum()).sort("lag")
    reached = past["mean_abs_shap"].cum_sum()
    total = float(past["mean_abs_shap"].sum())
    if total > 0 and "oldest_lag" not in profile.columns:
        # the table of agreement knows the sampling errors; a profile by itself does not
        known = None if agreement is None else agreement.filter(pl.col("measure") == "shap").drop_nulls("lag_90")
        if known is not None and known.height:
            half, most = known.select("lag_50", "lag_90").row(0)
        else:
            half, most = (int(past["lag"][int((reached < level * total).sum())]) for level in (0.5, 0.9))
        words.append(
            f"Half of the importance of the past lies within the last {calendar.span(half)} (lag {half}), 90 % within "
            f"{calendar.span(most)} (lag {most})."
        )
    features = profile.group_by("feature").agg(pl.col("share").sum()).sort("share", "feature", descending=[True, False])
    if features.height > 1:
        shown = ", ".join(f"{name or ALL} {percent(share)}" for name, share in features.head(5).iter_rows())
        words.append(f"Importance by feature: {shown}.")
    return words


def _strongest(profile: pl.DataFrame, by_distance: pl.DataFrame | None, calendar: Calendar) -> str:
    """The strongest input by its distance to what is forecast; by its lags where players have no single distance."""
    if by_distance is not None and by_distance.height:
        order = by_distance.sort("mean_abs_shap", "feature", "distance", descending=[True, False, False])
        feature, distance = order.select("feature", "distance").row(0)
        side = "before" if distance > 0 else "after"
        when = f"{calendar.span(abs(distance))} {side}" if distance else "at the time of"
        return f"The strongest input is {feature or ALL} {when} the value being forecast (distance {distance})."
    row = profile.sort("share", "feature", "lag", descending=[True, False, False]).row(0, named=True)
    newest, oldest = row["lag"], row.get("oldest_lag") or row["lag"]
    lags = "" if newest is None else f" at lag {newest}" if newest == oldest else f" at lags {newest} to {oldest}"
    return f"The strongest input is {row['feature'] or ALL}{lags}, with {percent(row['share'])} of the importance."


def _memory(config: NetworkConfig, retention: pl.DataFrame, units: pl.DataFrame, calendar: Calendar) -> list[str]:
    if config.segments < FEWEST_STEPS:
        return []
    top = retention.filter(pl.col("layer") == pl.col("layer").max())
    below = top.filter(pl.col("mean") < 0.5)
    longest = int(top["lag"].max())  # type: ignore[arg-type]
    if below.height:
        half = int(below["lag"][0])
        words = f"On average over the units, half of what the cells hold is gone after {calendar.span(half)}"
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
        found.append(
            f"{percent(censored)} of the units hold on to 5 % or more for longer than the context of {context}."
        )
    return found


def _units(config: NetworkConfig, facts: Mapping[str, Any], calendar: Calendar) -> list[str]:
    """Where the gates tell less than the truth, and what else the units say."""
    if config.segments < FEWEST_STEPS:
        return []
    found = []
    if config.encoder.has_forget_gate:
        found += _disagreement(config, facts, calendar)
    fate = facts.get("fate")
    if fate and fate["word"] == "vanishing":
        found.append(
            f"A change of the state {calendar.span(fate['lag'])} back has vanished at the cutoff: "
            f"{percent(fate['largest'])} of it arrives at most."
        )
    if fate and fate["word"] == "exploding":
        found.append(
            f"A change of the state {calendar.span(fate['lag'])} back explodes: it arrives at the cutoff up to "
            f"{fate['largest']:,.0f} times as large."
        )
    dead, units = facts.get("dead", 0), facts.get("units", 0)
    if dead:
        never = "never writes" if dead == 1 else "never write"
        found.append(
            f"{dead} of {units} unit{'s' if units != 1 else ''} {never} anything: a smaller --hidden-size would do."
        )
    return found


def _disagreement(config: NetworkConfig, facts: Mapping[str, Any], calendar: Calendar) -> list[str]:
    """What the gates say of the units against what is measured through the whole recurrence."""
    words = []
    correlation = facts.get("gate_measured_correlation")
    if correlation is not None and correlation < MISLEADING:
        words.append(
            "units ranked by their gates' time constants and by how long a change of their state is measured to last "
            f"agree with a rank correlation of {correlation:.2f} only"
        )
    halves = facts.get("half_life") or {}
    gates, measured = halves.get("gates"), halves.get("measured")
    whole = config.context_length
    # beyond the context half-lives are continued, not seen: two of them there cannot be told apart
    if gates and measured and min(gates, measured) <= whole and max(gates / measured, measured / gates) >= APART:
        spans = [
            f"more than {calendar.span(whole)}, the whole context,"
            if half > whole
            else calendar.span(max(1, round(half)))
            for half in (gates, measured)
        ]
        told = f"the median unit has lost half of a change after {spans[0]} by its gate, measured after {spans[1]}"
        words.append(told.removesuffix(","))
    return [f"Gates alone mislead here: {'; '.join(words)}."] if words else []
