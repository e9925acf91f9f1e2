"""May the explanation be believed? The answers above the story, the checks, simpler models, and how it was computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import polars as pl

from tsx.explanation.result import Explanation
from tsx.report.parts import Answer, Cell, Column, Figure, Listing, Pill, Section, Share, Table
from tsx.report.sections.groups import table_of
from tsx.report.text import NOTHING, fixed, number, percent
from tsx.report.words import BELIEF, SURROGATES, capital, explained_words, listed, numbers, value_words, words

TOP_ROWS = 10
MOST_LINES = 60
GOOD_COPY, SAME_ERROR = 0.95, 1.02
"""A simpler model that explains so much of the network, with an error of at most so many times the network's."""
METHOD_WORDS = {
    "values": "SHAP values",
    "explains": "explained quantity",
    "players": "players",
    "fewest_pairs": "antithetic pairs of permutations, at least",
    "most_pairs": "antithetic pairs of permutations, at most",
    "evaluations": "evaluations of the network",
    "evaluations_of_checks": "evaluations for the checks",
    "max_evals": "evaluations asked for, for each forecast",
    "tolerance": "tolerance asked for",
    "tolerance_reached": "forecasts that reached the tolerance",
    "relative_error": "pooled relative standard error",
    "reference": "references",
    "absent": "absent values are",
    "level": "level and scale of a window",
    "windows": "forecasts explained",
    "population": "windows behind memory and gradients",
}
Tone = Literal["good", "weak", "bad", "unknown"]
SKILL: dict[str, tuple[str, Tone]] = {
    "sure": ("Yes", "good"),
    "chance": ("Not shown", "weak"),
    "none": ("No", "bad"),
}
PLAYER_WORDS = {
    "cell": "one value: a feature at a lag",
    "lag": "one lag of all features",
    "feature": "a whole feature",
    "segment": "a segment of the network, all features",
    "group": "a group of lags of one feature",
}
UNTOLD = ("seconds",)
"""Never shown: the same explanation gives the same bytes."""
VALUE_WORDS = {
    ("level", "follow"): "follow: as they follow from what is present",
    ("level", "hold"): "hold: those of the explained window, so that only its shape is explained",
}
SURROGATE_WORDS = {
    "windows_fitted": "windows it was fitted on",
    "windows_judged": "later windows it was judged on",
    "r2": "R2, share of the forecasts' variance it explains there",
}
DEFINITIONS = (
    (
        "lag",
        "Steps before the forecast's first step: lag 1 is the value at the cutoff. A value known ahead for step s "
        "has lag 1 - s.",
    ),
    ("distance", "lag + step - 1: the steps between an input and the value that is forecast."),
    (
        "SHAP value",
        "What one input moved one forecast by, in units of the target, averaged over the orders in which "
        "inputs can become known. Base value plus all SHAP values is the forecast.",
    ),
    (
        "std. error",
        "The sampling error of the SHAP values: their mean standard error, an upper bound for the "
        "error of a mean of them.",
    ),
    ("reference", "The values that inputs take while they are absent."),
    (
        "retention",
        "Share of what a cell held k steps before the cutoff that its forget gates let through: the product "
        "of the last k gate values.",
    ),
    ("time constant", "-1 / mean(ln f) of a unit's forget gate f; its half-life is ln 2 times that."),
    ("memory span", 'The smallest k with retention under 5 %; "> context" where it is not reached.'),
    (
        "response",
        "How far the forecast moves when one input moves by one of its standard deviations, and all else stays.",
    ),
)


def answers(explanation: Explanation) -> tuple[Answer, Answer]:
    """Has the model skill, and may its explanation be believed?"""
    skill, verdict = explanation.skill, explanation.verdict
    if skill.get("sentence"):
        better = (skill.get("skill") or 0.0) > 0
        word, tone = SKILL["sure" if skill.get("has_skill") else "chance" if better else "none"]
        first = Answer("Is it better than a simple forecast?", word, str(skill["sentence"]), tone)
    else:
        first = Answer(
            "Is it better than a simple forecast?",
            "Not known",
            "No rows were held out when this model was fitted, so its skill is not known.",
            "unknown",
        )
    tones: dict[str, Tone] = {"pass": "good", "weak": "weak", "fail": "bad"}
    second = Answer(
        "May this explanation be believed?", BELIEF[verdict.verdict], verdict.sentence, tones[verdict.verdict]
    )
    return first, second


def checks(explanation: Explanation) -> Section | None:
    if not explanation.checks:
        return None
    rows = tuple(
        (words(check.name), Pill(check.verdict), number(check.figure, 3), check.sentence)
        for check in explanation.checks
    )
    columns = (Column("check", "prose"), Column("verdict"), *numbers("figure"), Column("what it means", "prose"))
    counts = [
        (sum(check.verdict == verdict for check in explanation.checks), verdict) for verdict in ("pass", "weak", "fail")
    ]
    told = listed([f"{n} {verdict}" for n, verdict in counts if n])
    curves = table_of(explanation, "curves")
    figures = (
        (
            Figure(
                "curves",
                "Inputs taken away, and given back",
                "Change of the forecast while inputs are replaced, the strongest first (deletion: the faster it rises, "
                "the better), and while they are given back, the strongest first (insertion: the faster it falls, the "
                "better). Bands: one standard error.",
            ),
        )
        if curves is not None
        else ()
    )
    layers = table_of(explanation, "randomised_layers")
    tables = [
        Table("", columns, rows, stacked=True),
        *([_areas(curves)] if curves is not None else []),
        *([_layers(layers)] if layers is not None else []),
    ]
    return Section(
        "checks", "Can this explanation be believed?", (f"Of {len(rows)} checks: {told}.",), figures, tuple(tables)
    )


def _areas(curves: pl.DataFrame) -> Table:
    """The mean height of every curve, by the trapezoid rule."""
    step = pl.col("removed").diff()
    middle = (pl.col("change") + pl.col("change").shift(1)) / 2
    areas = (
        curves.sort("removed")
        .group_by("order", "kind", maintain_order=True)
        .agg((step * middle).sum().alias("area"))
        .pivot(on="kind", index="order", values="area", aggregate_function="first")
    )
    names = ("shap", "autocorrelation", "random")
    rows: list[tuple[Cell, ...]] = []
    for name in names:
        for row in areas.filter(pl.col("order") == name).iter_rows(named=True):
            rows.append(
                (
                    f"by {words(name, {'shap': 'SHAP values', 'random': 'chance'})}",
                    *(number(row.get(kind), 3) for kind in ("deletion", "insertion")),
                )
            )
    return Table(
        "Mean change along the curves",
        (Column("order", "prose"), *numbers("deletion", "insertion")),
        tuple(rows),
        "1: the whole movement; deletion: more is better; insertion: less is better",
        brief=0,
    )


def _layers(frame: pl.DataFrame) -> Table:
    rows = tuple(
        (str(row["layers"]), *(fixed(row[name], 2) for name in ("rank_correlation", "signed_correlation")))
        for row in frame.iter_rows(named=True)
    )
    return Table(
        "Network randomised, from its output down to",
        (Column("layers", "prose"), *numbers("of the sizes", "with signs")),
        rows,
        "rank correlation of the SHAP values with those of the randomised network: far from 1 is better",
        brief=0,
    )


def method_section(explanation: Explanation) -> Section:
    return Section(
        "method",
        "How this was computed",
        tables=(
            Table("Method", (Column("what", "prose"), Column("value", "prose")), tuple(method(explanation))),
            Table("Definitions", (Column("word"), Column("meaning", "prose")), DEFINITIONS),
        ),
    )


def method(explanation: Explanation, only: Sequence[str] = ()) -> list[tuple[str, str]]:
    """What was done, as (what, value); `only` these figures where some are named."""
    told = explanation.method
    rows = [("a player is", PLAYER_WORDS[explanation.question.players])]
    for key, value in told.items():
        if key in UNTOLD or (only and key not in only):
            continue
        if key == "explains":
            text = explained_words(explanation)
        elif key == "tolerance_reached" and isinstance(told.get("windows"), int):
            text = f"{value_words(value)} of {value_words(told['windows'])}"
        else:
            text = _method_value(key, value)
        rows.append((words(key, METHOD_WORDS), text))
    return rows


def _method_value(key: str, value: Any) -> str:
    if key in ("tolerance", "relative_error") and isinstance(value, float):
        return percent(value)
    if isinstance(value, str) and (key, value) in VALUE_WORDS:
        return VALUE_WORDS[key, value]
    return value_words(value)


def surrogate(explanation: Explanation) -> Section | None:
    """Simpler models of the network, each with its fidelity and its own error; and whether to use one of them."""
    compared = table_of(explanation, "surrogates")
    details = explanation.surrogate
    scalars = {k: v for k, v in details.items() if not isinstance(v, (list, tuple, dict)) and not _text(v)}
    kind, verdict = scalars.pop("kind", None), scalars.pop("sentence", None)
    sentences = [str(verdict)] if verdict else _use(compared)
    tables: list[Table] = []
    listings: list[Listing] = []
    if compared is not None:
        tables.append(_compared(compared, details))
    elif kind:
        sentences.append(
            f"{capital(str(kind))}, both relative to the window's own location and scale: what a weight says goes on "
            "top of that location. The closer it comes, the simpler the network's rule."
        )
    if scalars and compared is None:
        tables.append(
            Table(
                "Fit",
                (Column("what", "prose"), Column("value", "number")),
                tuple((words(key, SURROGATE_WORDS), value_words(value)) for key, value in scalars.items()),
            )
        )
    for key, value in details.items():
        if key != "linear" or "largest_weights" not in details:
            _detail(words(key, SURROGATES), value, tables, listings)
    if not tables and not listings:
        return None
    return Section(
        "surrogate", "A simpler model of the network", tuple(sentences), tables=tuple(tables), listings=tuple(listings)
    )


def _detail(title: str, value: Any, tables: list[Table], listings: list[Listing]) -> None:
    """Records become a table, lines of text a listing, and what nests is looked into under its own name."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _detail(f"{title}: {words(str(key))}" if not _text(inner) else title, inner, tables, listings)
    elif _text(value):
        lines = list(value) if isinstance(value, (list, tuple)) else str(value).rstrip("\n").split("\n")
        listings.append(Listing(capital(title), _cut(lines)))
    elif isinstance(value, (list, tuple)) and value and all(isinstance(item, dict) for item in value):
        tables.append(_records(capital(title), list(value)[:TOP_ROWS]))


def _text(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return bool(value) and all(isinstance(line, str) for line in value)
    return isinstance(value, str) and "\n" in value


def _cut(lines: list[str]) -> tuple[str, ...]:
    more = len(lines) - MOST_LINES
    return tuple(lines) if more <= 0 else (*lines[:MOST_LINES], f"... and {more} more lines in surrogate.json")


def _compared(frame: pl.DataFrame, details: dict[str, Any]) -> Table:
    held = details.get("windows_judged")
    judged = f" on {number(held)} later windows" if isinstance(held, int) else " on windows that it was not fitted on"
    rows = tuple(
        (
            capital(words(row["name"], SURROGATES)),
            NOTHING if row["fidelity"] is None else Share(row["fidelity"]),
            *(number(row[name]) for name in ("mae", "network_mae")),
            value_words(row["terms"]),
        )
        for row in frame.sort("fidelity", descending=True, nulls_last=True).iter_rows(named=True)
    )
    return Table(
        "Simpler models",
        (Column("model", "prose"), Column("fidelity"), *numbers("its error", "network's error", "terms")),
        rows,
        f"fidelity: R2 of the network's forecasts{judged}; error: mean absolute error against the "
        "truth, in scales of the windows",
    )


def _use(frame: pl.DataFrame | None) -> list[str]:
    if frame is None:
        return []
    good = frame.filter((pl.col("fidelity") >= GOOD_COPY) & (pl.col("mae") <= SAME_ERROR * pl.col("network_mae"))).sort(
        "terms", nulls_last=True
    )
    if good.is_empty():
        best = frame.sort("fidelity", descending=True, nulls_last=True).row(0, named=True)
        found = f"{words(best['name'], SURROGATES)} explains {percent(best['fidelity'])} of the network's forecasts"
        close = best["fidelity"] is not None and best["fidelity"] >= GOOD_COPY
        return [f"A {found}, but forecasts worse." if close else f"The {found}: too little to stand in for it."]
    row = good.row(0, named=True)
    return [
        f"A {words(row['name'], SURROGATES)} of {value_words(row['terms'])} terms explains "
        f"{percent(row['fidelity'])} of the network's forecasts and forecasts as well: use that."
    ]


def _records(title: str, records: list[dict[str, Any]]) -> Table:
    names = [name for name, value in records[0].items() if not isinstance(value, (list, tuple, dict))]
    columns = tuple(Column(words(name), "name" if isinstance(records[0][name], str) else "number") for name in names)
    rows = tuple(tuple(value_words(record.get(name)) for name in names) for record in records)
    return Table(title, columns, rows, brief=0)
