"""What the cells' memory says, in sentences that a reader can check against its tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from tsx.explanation.components import memory_matters
from tsx.explanation.measure import Results
from tsx.panel.calendar import Calendar
from tsx.spec.network import NetworkConfig
from tsx.wording import percent

FEWEST_STEPS = 4
"""Recurrent steps below which there is too little of a curve to speak of memory."""
MISLEADING = 0.8
"""A rank correlation of gates and measured retention under this is said: the gates alone mislead."""
APART = 1.5
"""So is a median half-life that is measured to be this many times longer or shorter than by the gates."""


def memory_sentences(results: Results) -> list[str]:
    """What the cells hold, where their gates mislead, and how changes of the state reach the cutoff.

    Nothing where there is too little of a curve, or where the forecasts do not depend on it.
    """
    config, calendar = results.config, results.calendar
    if config.segments < FEWEST_STEPS or not memory_matters(results):
        return []
    retention, units = results.tables.get("retention"), results.tables.get("memory_units")
    words = [] if retention is None or units is None else _retained(config, retention, units, calendar)
    return words + _units(config, results.facts, calendar)


def _retained(config: NetworkConfig, retention: pl.DataFrame, units: pl.DataFrame, calendar: Calendar) -> list[str]:
    top = retention.filter(pl.col("layer") == pl.col("layer").max())
    below = top.filter(pl.col("mean") < 0.5)
    longest = int(top["lag"].max())  # type: ignore[arg-type]
    if below.height:
        half = int(below["lag"][0])
        words = f"On average over the units, half of what the cells hold is gone after {calendar.span(half)}"
    else:
        retained = float(top["mean"][-1])
        words = f"After {calendar.span(longest)}, the whole context, the cells still hold {percent(retained)}"
    if 1 < config.season <= longest:
        at = top.filter(pl.col("lag") >= config.season)
        lag, retained = int(at["lag"][0]), float(at["mean"][0])
        words += f"; {calendar.span(lag)} back, a season, {percent(retained)} is still there"
    sentences = [words + "."]
    censored = float(units.filter(pl.col("layer") == pl.col("layer").max())["censored"].mean())  # type: ignore[arg-type]
    if censored > 0:
        context = calendar.span(config.context_length)
        sentences.append(
            f"{percent(censored)} of the units hold on to 5 % or more for longer than the context of {context}."
        )
    return sentences


def _units(config: NetworkConfig, facts: Mapping[str, Any], calendar: Calendar) -> list[str]:
    """Where the gates tell less than the truth, and what else the units say."""
    sentences = []
    if config.encoder.has_forget_gate:
        sentences += _disagreement(config, facts, calendar)
    fate = facts.get("fate")
    if fate and fate["word"] == "vanishing":
        sentences.append(
            f"A change of the state {calendar.span(fate['lag'])} back has vanished at the cutoff: "
            f"{percent(fate['largest'])} of it arrives at most."
        )
    if fate and fate["word"] == "exploding":
        sentences.append(
            f"A change of the state {calendar.span(fate['lag'])} back explodes: it arrives at the cutoff up to "
            f"{fate['largest']:,.0f} times as large."
        )
    dead, units = facts.get("dead", 0), facts.get("units", 0)
    if dead:
        never = "never writes" if dead == 1 else "never write"
        sentences.append(f"{dead} of {units} unit{'s' if units != 1 else ''} {never} anything: fewer units would do.")
    return sentences


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
        sentence = f"the median unit has lost half of a change after {spans[0]} by its gate, measured after {spans[1]}"
        words.append(sentence.removesuffix(","))
    return [f"Gates alone mislead here: {'; '.join(words)}."] if words else []
