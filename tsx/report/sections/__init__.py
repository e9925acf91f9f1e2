"""The sections of a report, in order: sentences, figures and tables, free of any format.

A section is a module of this package, of the same name, with a function `section`. A measure names the section that
shows it; where there is no such module, the measure's tables are shown as they are.

The terminal, the Markdown file and the HTML file show the same sections. Strings here are as the user wrote them;
whoever shows them cleans and escapes them.
"""

from __future__ import annotations

from importlib import import_module
from itertools import chain
from pkgutil import iter_modules

from tsx.explanation.result import Explanation
from tsx.report.document import Section
from tsx.report.labels import capital, words
from tsx.report.summaries import records_table, table_of

VIEWS = {
    "summary": ("forecast", "accuracy", "findings"),
    "explanation": (
        "since",
        "counterfactuals",
        "errors",
        "drivers",
        "single",
        "over_time",
        "interactions",
        "cohorts",
        "comparison",
        "checks",
    ),
    "internals": ("reach", "components", "memory", "unit_states", "gradient", "encoder", "attention", "surrogate"),
}
"""Which sections each view of the page shows, in the order in which they are read. Those of further measures follow,
and how it was computed comes last; both belong to the internals."""
ORDER = tuple(chain.from_iterable(VIEWS.values()))


OF_CLASSES = {"series": "explanation"}
"""The views of the sections that only explanations of classifiers have."""


def sections(explanation: Explanation) -> tuple[Section, ...]:
    """Every section that has something to show, in the order in which they are read."""
    from tsx.explanation.measures import MEASURES

    modules = {module.name for module in iter_modules(__path__)}
    shown = []
    for name in dict.fromkeys((*ORDER, *(measure.section for measure in MEASURES), "method")):
        if name in modules:
            section = import_module(f"{__name__}.{name}").section(explanation)
        else:
            tables = [table.name for measure in MEASURES if measure.section == name for table in measure.tables]
            section = _tables_only(name, tables, explanation)
        if section is not None and not section.is_empty:
            shown.append(section)
    return tuple(shown)


def view_of(section: Section) -> str:
    """The view that a section belongs to."""
    of_forecasts = next((view for view, keys in VIEWS.items() if section.key in keys), "internals")
    return OF_CLASSES.get(section.key, of_forecasts)


def is_folded(section: Section) -> bool:
    """Whether a page shows the sentences of a section and leaves its charts and tables behind a fold."""
    return view_of(section) == "internals" or section.key == "checks"


def _tables_only(name: str, tables: list[str], explanation: Explanation) -> Section:
    """The section of a measure that has no module here."""
    frames = {table: frame for table in tables if (frame := table_of(explanation, table)) is not None}
    shown = tuple(records_table(capital(words(table)), frame.to_dicts()) for table, frame in frames.items())
    return Section(name, capital(words(name)), tables=shown)
