"""Simpler models of the network."""

from __future__ import annotations

from typing import Any

import polars as pl

from tsx.explanation.result import Explanation, Knowledge
from tsx.report.document import Column, Listing, ReportTable, Section, ShareCell
from tsx.report.labels import SURROGATES, capital, numbers, value_words, words
from tsx.report.summaries import records_table, table_of
from tsx.wording import NOT_DEFINED, number, percent

MOST_LINES = 60
GOOD_COPY, SAME_ERROR = 0.95, 1.02
"""A simpler model that explains so much of the network, with an error of at most so many times the network's."""
SURROGATE_WORDS = {
    "windows_fitted": "windows it was fitted on",
    "windows_judged": "later windows it was tested on",
    "r2": "R2, share of the forecasts' variance it explains there",
}


def section(explanation: Explanation) -> Section | None:
    """Simpler models of the network, each with its fidelity and its own error; and whether to use one of them."""
    compared = table_of(explanation, "surrogates")
    details = explanation.surrogate
    scalars = {k: v for k, v in details.items() if not isinstance(v, (list, tuple, dict)) and not _text(v)}
    kind, verdict, as_well = (scalars.pop(key, None) for key in ("kind", "sentence", "forecasts_as_well"))
    copied, as_well = (str(verdict), bool(as_well)) if verdict else _copy(compared)
    sentences = [copied, _advice(explanation.knowledge)] if as_well else [copied] if copied else []
    tables: list[ReportTable] = []
    listings: list[Listing] = []
    if compared is not None:
        tables.append(_compared(compared, details))
    elif kind:
        sentences.append(
            f"{capital(str(kind))}, with weights relative to the window's own location and scale. The closer it comes "
            "to the forecasts, the simpler their rule."
        )
    if scalars and compared is None:
        tables.append(
            ReportTable(
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
    return Section("surrogate", "A simpler model", tuple(sentences), tables=tuple(tables), listings=tuple(listings))


def _advice(knowledge: Knowledge) -> str:
    """What to do with a simpler model that forecasts as well as the model: nothing, where that has no skill."""
    doubt = knowledge.doubt()
    return f"It is not recommended: {doubt}." if doubt else "Use that."


def _detail(title: str, value: Any, tables: list[ReportTable], listings: list[Listing]) -> None:
    """Records become a table, lines of text a listing, and what nests is looked into under its own name."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _detail(f"{title}: {words(str(key))}" if not _text(inner) else title, inner, tables, listings)
    elif _text(value):
        lines = list(value) if isinstance(value, (list, tuple)) else str(value).rstrip("\n").split("\n")
        listings.append(Listing(capital(title), _cut(lines)))
    elif isinstance(value, (list, tuple)) and value and all(isinstance(item, dict) for item in value):
        tables.append(records_table(capital(title), value))


def _text(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return bool(value) and all(isinstance(line, str) for line in value)
    return isinstance(value, str) and "\n" in value


def _cut(lines: list[str]) -> tuple[str, ...]:
    more = len(lines) - MOST_LINES
    return tuple(lines) if more <= 0 else (*lines[:MOST_LINES], f"... and {more} more lines in surrogate.json")


def _compared(frame: pl.DataFrame, details: dict[str, Any]) -> ReportTable:
    held = details.get("windows_judged")
    judged = f" on {number(held)} later windows" if isinstance(held, int) else " on windows that it was not fitted on"
    rows = tuple(
        (
            capital(words(row["name"], SURROGATES)),
            NOT_DEFINED if row["fidelity"] is None else ShareCell(row["fidelity"]),
            *(number(row[name]) for name in ("mae", "network_mae")),
            value_words(row["terms"]),
        )
        for row in frame.sort("fidelity", descending=True, nulls_last=True).iter_rows(named=True)
    )
    return ReportTable(
        "Simpler models",
        (Column("model", "prose"), Column("fidelity"), *numbers("its error", "forecast's error", "terms")),
        rows,
        f"fidelity: R2 of the forecasts{judged}; error: mean absolute error against the "
        "truth, in scales of the windows",
    )


def _copy(frame: pl.DataFrame | None) -> tuple[str, bool]:
    """What the best simpler model is worth, in a sentence, and whether it forecasts as well as the model."""
    if frame is None:
        return "", False
    good = frame.filter((pl.col("fidelity") >= GOOD_COPY) & (pl.col("mae") <= SAME_ERROR * pl.col("network_mae"))).sort(
        "terms", nulls_last=True
    )
    if good.is_empty():
        best = frame.sort("fidelity", descending=True, nulls_last=True).row(0, named=True)
        fidelity = f"{words(best['name'], SURROGATES)} explains {percent(best['fidelity'])} of the forecasts"
        close = best["fidelity"] is not None and best["fidelity"] >= GOOD_COPY
        ending = "but forecasts worse" if close else "too little to stand in for it"
        return (f"A {fidelity}, {ending}." if close else f"The {fidelity}: {ending}."), False
    row = good.row(0, named=True)
    sentence = (
        f"A {words(row['name'], SURROGATES)} of {value_words(row['terms'])} terms explains "
        f"{percent(row['fidelity'])} of the forecasts and forecasts as well."
    )
    return sentence, True
