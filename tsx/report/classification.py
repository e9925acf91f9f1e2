"""Classifiers on a terminal: how one was fitted, and what it says of series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from tsx.report import terminal_elements
from tsx.report.document import Column
from tsx.report.terminal import decided_in_groups
from tsx.report.terminal_elements import ACCENT, REASON
from tsx.sanitize import clean
from tsx.spec.metrics import LOWER_IS_BETTER, SHOWN_CLASS_METRICS, class_figures
from tsx.wording import class_column, count, fixed, number

if TYPE_CHECKING:
    from tsx.evaluation.class_verdict import ClassEvaluation
    from tsx.workflows.backtest import ClassBacktest
    from tsx.workflows.classify import Classification
    from tsx.workflows.fit_classifier import ClassifierFit

SHOWN_ROWS, SHOWN_CLASSES = 12, 4


def render_classifier_fit(fit: ClassifierFit) -> RenderableType:
    """What a user might decide otherwise, what was seen in the data, and how the classifier did beside simple ones."""
    return _fit(fit, decided_in_groups(fit.decisions, "The classifier"))


def render_classifier_fit_in_full(fit: ClassifierFit) -> RenderableType:
    """The same with every decision."""
    return _fit(fit, terminal_elements.decisions(fit.decisions))


def _fit(fit: ClassifierFit, decided: RenderableType) -> RenderableType:
    history, evaluation = fit.classifier.history, fit.evaluation
    trained = terminal_elements.pairs(
        [("model", str(fit.path)), ("training", f"{history.steps:,} steps ({history.stopped})")]
    )
    return terminal_elements.page(
        decided,
        terminal_elements.findings(fit.findings),
        terminal_elements.sentence(f"{fit.reason}.", REASON) if evaluation is None else _held_out(evaluation),
        terminal_elements.section("Written" if fit.trained else "As it was", trained),
    )


def render_class_backtest(result: ClassBacktest) -> RenderableType:
    """What was noticed, and how the classifier did beside simple ones."""
    return terminal_elements.page(terminal_elements.findings(result.findings), _held_out(result.evaluation))


def _held_out(evaluation: ClassEvaluation) -> RenderableType:
    verdict = evaluation.verdict
    return terminal_elements.section(
        f"Held-out accuracy ({count(evaluation.series, 'series')})",
        _metrics(evaluation.summary),
        Text(""),
        terminal_elements.sentence(verdict.sentence, "green" if verdict.has_skill else "yellow"),
        Text(""),
        _figures(evaluation.summary[0]),
    )


def render_classification(result: Classification) -> RenderableType:
    """The first series with their classes and the probabilities of the first classes."""
    names = result.classes[:SHOWN_CLASSES]
    label = str(result.schema.label)
    table = terminal_elements.table(
        *(Column(name, "name") for name in result.schema.id_names),
        Column(label),
        *(Column(class_column(name), "number") for name in names),
    )
    for row in result.frame.head(SHOWN_ROWS).iter_rows(named=True):
        cells = [*(terminal_elements.line(row[name]) for name in result.schema.id_names)]
        cells.append(terminal_elements.line(row[label], style=ACCENT))
        table.add_row(*cells, *(Text(fixed(row[class_column(name)], 3)) for name in names))
    more = []
    if result.frame.height > SHOWN_ROWS:
        more.append(f"{result.frame.height - SHOWN_ROWS:,} more series")
    if len(result.classes) > len(names):
        more.append(f"{len(result.classes) - len(names):,} more classes")
    parts: list[RenderableType] = [table]
    if more:
        parts.append(Text(f"… and {' and '.join(more)}", style=REASON))
    return terminal_elements.page(
        terminal_elements.section("Classes", Text(count(result.frame.height, "series"), style=REASON), *parts)
    )


def _metrics(summary: Sequence[Mapping[str, Any]]) -> RenderableType:
    table = terminal_elements.table(
        Column("model", "name"), *(Column(title, "number") for title in SHOWN_CLASS_METRICS.values())
    )
    best = {
        name: (min if name in LOWER_IS_BETTER else max)(
            (row[name] for row in summary if row.get(name) is not None), default=None
        )
        for name in SHOWN_CLASS_METRICS
    }
    for k, row in enumerate(summary):
        cells = [terminal_elements.line(str(row["model"]).replace("_", " "), style=ACCENT if k == 0 else "")]
        for name in SHOWN_CLASS_METRICS:
            value = row.get(name)
            cells.append(Text(number(value), style="bold" if value is not None and value == best[name] else ""))
        table.add_row(*cells)
    return table


def _figures(row: Mapping[str, Any]) -> RenderableType:
    """Every figure of the first model, with its interval."""
    name = terminal_elements.line(str(row["model"]).replace("_", " ")).plain
    table = terminal_elements.table(
        Column(f"figures of {name}", "prose"), Column("value", "number"), Column("95 % interval", "number")
    )
    for words, value, interval in class_figures(row):
        table.add_row(Text(clean(words)), value, interval)
    return table
