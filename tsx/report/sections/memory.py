"""What the cells remember: retention, the state by age, gates over time, and units."""

from __future__ import annotations

import math
from typing import Any

import polars as pl

from tsx.explanation.result import Explanation
from tsx.panel.calendar import Calendar
from tsx.report.document import Cell, Column, Figure, ReportTable, Section, ShareCell, Sparkline
from tsx.report.labels import chosen_lags, numbers, reach, span, step_words
from tsx.report.summaries import table_of
from tsx.wording import count, number, percent

FEWEST_UNITS = 8


def section(explanation: Explanation) -> Section | None:
    frame, units, config = explanation.retention, explanation.memory_units, explanation.config
    if frame.is_empty():
        return None
    calendar = Calendar.parse(explanation.frequency)
    sparks = tuple(
        Sparkline(f"layer {layer}", tuple(part["mean"].fill_null(0).fill_nan(0).clip(0, 1)), reach(part["lag"]))
        for (layer,), part in frame.sort("layer", "lag").group_by("layer", maintain_order=True)
    )
    gates = _gates(explanation)
    return Section(
        "memory",
        "What the cells remember",
        _unit_sentences(explanation, calendar),
        _figures(explanation),
        tuple(
            t
            for t in (
                _retention(explanation, calendar),
                gates,
                unit_scales(units, config.context_length, step_words(explanation)),
            )
            if t is not None
        ),
        sparks,
    )


def _figures(explanation: Explanation) -> tuple[Figure, ...]:
    figures = [
        Figure(
            "retention",
            "Retention by lag",
            "Share of what was held that the forget gates let through to the cutoff: mean over units, band "
            "from 10 to 90 % of them. Dashed: 5 %, where a memory span ends.",
        )
    ]
    if table_of(explanation, "states") is not None:
        figures.append(
            Figure(
                "states",
                "Age of what the state holds",
                "Share of the final state that was written at each lag and is still there. Blue: mostly positive; "
                "orange: mostly negative; grey: mixed.",
            )
        )
    elif _written(explanation.retention):
        figures.append(
            Figure(
                "written",
                "Share of the state by lag",
                "Share of the final cell state that was written at each lag and is still there.",
            )
        )
    if table_of(explanation, "gates") is not None:
        figures.append(
            Figure(
                "gates",
                "Gates over time",
                "How far each gate is open by lag: mean over units, band from 10 to 90 % of them.",
            )
        )
    figures.append(
        Figure(
            "units",
            "Time constants of the units",
            "How slowly each unit forgets, in steps, on a logarithmic axis. Orange units still hold 5 % "
            "at the start of the context, so their span is longer than can be seen.",
        )
    )
    if has_measured(explanation.memory_units):
        figures.append(
            Figure(
                "sorted",
                "Half-lives: from the gates, and measured",
                "The units in order of the half-life that their forget gates give, and beside it the "
                "half-life of a change in the state, measured. Where they differ, the gates alone mislead. Dashed: the "
                "context; longer half-lives are extrapolated.",
            )
        )
    return tuple(figures)


def has_measured(units: pl.DataFrame) -> bool:
    """Whether there are measured half-lives to set beside the gates'."""
    return "measured_half_life" in units.columns and units["measured_half_life"].is_finite().sum() > 1


def _written(frame: pl.DataFrame) -> bool:
    return "written" in frame.columns and frame["written"].null_count() < frame.height


def _retention(explanation: Explanation, calendar: Calendar) -> ReportTable:
    frame = explanation.retention
    written, several = _written(frame), frame["layer"].n_unique() > 1
    frame = frame.sort("layer", "lag").with_columns(
        (pl.col("written").cum_sum().over("layer") if written else pl.lit(None)).alias("since")
    )
    lags = chosen_lags(frame["lag"].unique().to_list(), explanation.config.season)
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            *([f"{row['layer']}"] if several else []),
            number(row["lag"]),
            span(row["lag"], calendar),
            ShareCell(row["mean"]),
            f"{percent(row['q10'])} to {percent(row['q90'])}",
            *([percent(row["since"])] if written else []),
        )
        for row in frame.filter(pl.col("lag").is_in(lags)).iter_rows(named=True)
    )
    columns = (
        *numbers(*(["layer"] if several else []), "lag"),
        Column("that is"),
        Column("retention"),
        Column("10 to 90 % of units", "prose"),
        *numbers(*(["written since"] if written else [])),
    )
    note = "written since: share of the final state that came in at this lag or a later one" if written else ""
    return ReportTable("Retention", columns, rows, note, brief=0)


def _gates(explanation: Explanation) -> ReportTable | None:
    frame = table_of(explanation, "gates")
    if frame is None:
        return None
    several = frame["layer"].n_unique() > 1
    ends = (
        frame.sort("lag")
        .group_by("layer", "gate", maintain_order=True)
        .agg(
            all=pl.col("mean").mean(),
            newest=pl.col("mean").first(),
            oldest=pl.col("mean").last(),
            q10=pl.col("q10").mean(),
            q90=pl.col("q90").mean(),
        )
        .sort("layer", "gate")
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            *([str(row["layer"])] if several else []),
            str(row["gate"]),
            ShareCell(row["all"]),
            f"{percent(row['q10'])} to {percent(row['q90'])}",
            percent(row["newest"]),
            percent(row["oldest"]),
        )
        for row in ends.iter_rows(named=True)
    )
    return ReportTable(
        "Gates",
        (
            *numbers(*(["layer"] if several else [])),
            Column("gate"),
            Column("open"),
            Column("10 to 90 %", "prose"),
            *numbers("at the cutoff", "at the start"),
        ),
        rows,
        "10 to 90 % of the units; the start is that of the context",
        brief=0,
    )


def unit_scales(units: pl.DataFrame, context: int, unit: str, title: str = "Time scales of the units") -> ReportTable:
    """Time constants, half-lives and memory spans of each layer: quantiles over its units, in steps (`unit`)."""
    rows: list[tuple[Cell, ...]] = []
    names = [("time constant", "time_constant"), ("half-life", "half_life")]
    if has_measured(units):
        names.append(("measured half-life", "measured_half_life"))
    for (layer,), part in units.sort("layer", "unit").group_by("layer", maintain_order=True):
        for what, name in names:
            values = part[name].fill_nan(None).drop_nulls()
            at = [values.quantile(q, "nearest") if len(values) else None for q in (0.1, 0.5, 0.9)]
            seen = context if name == "measured_half_life" else math.inf  # what lies beyond was not measured
            cells = [f"> {context}" if value is not None and value > seen else number(value, 3) for value in at]
            rows.append((str(layer), what, *cells, ""))
        censored = part["censored"].fill_null(True)
        spans = (
            part["memory_span"].cast(pl.Float64).zip_with(~censored, pl.Series([math.inf])).fill_null(math.inf).sort()
        )
        spans_at = [spans[min(int(q * len(spans)), len(spans) - 1)] for q in (0.1, 0.5, 0.9)]
        cells = [f"> {context}" if s == math.inf else number(int(s)) for s in spans_at]
        beyond = int(censored.sum())
        rows.append((str(layer), "memory span", *cells, f"{beyond} of {part.height} units > context"))
    columns = (
        *numbers("layer"),
        Column(f"in {unit}", "prose"),
        *numbers("10 %", "median", "90 %"),
        Column("", "prose"),
    )
    return ReportTable(title, columns, tuple(rows), "quantiles over the units of a layer")


def _unit_sentences(explanation: Explanation, calendar: Calendar) -> tuple[str, ...]:
    units = explanation.memory_units
    top = units.filter(pl.col("layer") == pl.col("layer").max())
    known = top.filter(pl.col("time_constant").is_finite() & (pl.col("time_constant") > 0))
    logs = known["time_constant"].log()
    sentences = []
    if len(logs) >= FEWEST_UNITS and logs.n_unique() > FEWEST_UNITS // 2:
        middle, wide = float(logs.mean()), float(logs.std(ddof=0))  # type: ignore[arg-type]
        low, mid, high = (_about(math.exp(middle + k * wide), calendar) for k in (-1, 0, 1))
        sentences.append(
            f"The units of the last layer have time constants around {mid}, two thirds of them between {low} and "
            f"{high}{_law(explanation)}."
        )
    saturated, dead = _mean(top, "saturated"), int(top["dead"].sum()) if "dead" in top.columns else 0
    if saturated is not None and saturated > 0:
        sentences.append(f"Their forget gates are almost fully open (over 0.95) {percent(saturated)} of the time.")
    if dead:
        consequence = "is dead: it never holds anything" if dead == 1 else "are dead: they never hold anything"
        sentences.append(f"{number(dead)} of {count(top.height, 'unit')} {consequence}.")
    agrees = fact(explanation, "gate_measured_correlation")
    if isinstance(agrees, float):
        alike = "very similarly" if agrees >= 0.8 else "somewhat similarly" if agrees >= 0.4 else "differently"
        sentences.append(
            f"Half-lives by the gates and as measured rank the units {alike} (rank correlation {agrees:.2f})."
        )
    chrono = fact(explanation, "chrono")
    if isinstance(chrono, dict) and isinstance(chrono.get("longest"), float):
        beyond = int(chrono.get("beyond") or 0)
        sentences.append(
            f"Before training, time constants were at most {_about(chrono['longest'], calendar)}; "
            f"{number(beyond)} of {count(top.height, 'unit')} now exceed that."
        )
    return tuple(sentences)


def _about(steps: float, calendar: Calendar) -> str:
    return f"less than {calendar.span(1)}" if steps < 1 else calendar.span(round(steps))


def _law(explanation: Explanation) -> str:
    fit = fact(explanation, "time_constants")
    better = fit.get("better") if isinstance(fit, dict) else None
    return {
        "power law": "; a power law fits them better than a log-normal distribution, so together they forget slowly",
        "log-normal": "; a log-normal distribution fits them better than a power law",
        "neither": "; a log-normal distribution and a power law fit them equally well",
    }.get(str(better), "")


def fact(explanation: Explanation, name: str) -> Any:
    """A figure by its name, among the facts or one level below."""
    facts = explanation.facts
    if name in facts:
        return facts[name]
    return next((inner[name] for inner in facts.values() if isinstance(inner, dict) and name in inner), None)


def _mean(frame: pl.DataFrame, name: str) -> float | None:
    if name not in frame.columns:
        return None
    mean = frame[name].cast(pl.Float64).mean()
    return None if mean is None else float(mean)  # type: ignore[arg-type]
