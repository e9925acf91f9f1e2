"""Results as a notebook shows them: a page of a few sections for each kind of result, and one chart.

`tsx.shown` looks these up by name when they are first asked for. What is long stands behind a fold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsx.errors import UsageError
from tsx.report import backtest_sentences
from tsx.report.document import Assessment, Column, ReportTable, Section
from tsx.report.labels import decided_words, event_words, intervals, numbers, probability_words, time_words
from tsx.report.summaries import class_figures_tables
from tsx.spec.decision import Decision, Finding
from tsx.spec.metrics import SHOWN_CLASS_METRICS, SHOWN_METRICS
from tsx.wording import class_column, count, decimals, fixed, number, percent

if TYPE_CHECKING:
    import altair as alt

    from tsx.evaluation.backtest import Backtest
    from tsx.evaluation.class_verdict import ClassEvaluation
    from tsx.explanation.classes.result import ClassExplanation
    from tsx.explanation.result import Explained, Explanation
    from tsx.workflows.backtest import ClassBacktest
    from tsx.workflows.classify import Classification
    from tsx.workflows.fit import Fit
    from tsx.workflows.fit_classifier import ClassifierFit
    from tsx.workflows.forecast import Forecast
    from tsx.workflows.inspect import Inspection
    from tsx.workflows.monitor import Monitoring
    from tsx.workflows.monitor_classes import ClassMonitoring

FORECAST_ROWS = 12
MOST_CLASSES = 6
FIRST_SECTIONS = ("findings", "drivers", "checks", "forecast")
"""The sections of a report that a notebook shows of an explanation, in this order."""


@dataclass(frozen=True)
class Page:
    """What a notebook shows of a result; the first section is open."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    assessments: tuple[Assessment, ...] = ()


@dataclass(frozen=True)
class View:
    """How one kind of result is shown: as a page, and as charts one below the other."""

    page: Callable[[Any], Page]
    charts: Callable[[Any], list[alt.LayerChart]]


def html(result: object) -> str:
    """The result as HTML that brings its own style, follows the theme of the notebook and runs nothing."""
    from tsx.report.html import page, style

    shown = VIEWS[type(result).__name__].page(result)
    return page(
        "result.html.jinja",
        style=style("result.css"),
        title=shown.title,
        subtitle=shown.subtitle,
        assessments=shown.assessments,
        sections=[section for section in shown.sections if not section.is_empty],
    )


def chart(result: object) -> alt.TopLevelMixin:
    """The charts of a result in one. Raises UsageError `nothing-to-plot`."""
    from tsx.report.charts.stacked import stacked

    panels = VIEWS[type(result).__name__].charts(result)
    if not panels:
        raise UsageError(
            "nothing-to-plot",
            f"this {type(result).__name__} holds nothing that could be drawn",
            hint="print it to see what it holds",
        )
    return stacked(panels)


def write_dashboard(monitoring: Monitoring | ClassMonitoring, folder: Path) -> Path:
    """The page of what `tsx monitor` found, written into a folder."""
    from tsx.report.monitoring import write_dashboard

    return write_dashboard(monitoring, folder)


def write_folder(explanation: Explained, folder: str | Path, kinds: tuple[str, ...]) -> list[Path]:
    """As `tsx.report.tables.write_explanation`."""
    from tsx.report.tables import write_explanation

    return write_explanation(explanation, folder, kinds)


def write_file(explanation: Explained, kind: str, path: str | Path) -> Path:
    """As `tsx.report.tables.write_report`."""
    from tsx.report.tables import write_report

    return write_report(explanation, kind, path)


def _inspection(inspection: Inspection) -> Page:
    overview = inspection.overview
    first, last = time_words([inspection.first, inspection.last])
    parts = [count(inspection.steps, "step"), f"of {count(inspection.series, 'series')}", f"{first} to {last}"]
    columns = tuple(
        (
            column.name,
            column.role or (f"{column.suggested}?" if column.suggested else ""),
            column.kind,
            percent(inspection.missing_share.get(column.name, column.missing)),
            column.reason,
        )
        for column in overview.columns
    )
    titles = (Column("column", "name"), Column("role"), Column("type"), *numbers("missing"), Column("", "prose"))
    scores = tuple(
        (score.model.replace("_", " "), number(score.mase), number(score.smape), percent(score.of_spread))
        for score in inspection.naive.scores
    )
    simple = (Column("simple forecast"), *numbers("MASE", "sMAPE %", "of spread"))
    ahead = f"Mean errors {count(int(inspection.profile.horizon.value), 'step')} ahead."
    return Page(
        inspection.schema.target,
        f"{' '.join(parts[:2])}, {parts[2]}",
        (
            Section("columns", "Columns", tables=(ReportTable("", titles, columns),)),
            Section("next", "Next", tuple(filter(None, (inspection.command, inspection.label_command)))),
            Section("scores", "How hard it is", tables=(ReportTable("", simple, scores, ahead),) if scores else ()),
            *_reasons(inspection.decisions, inspection.findings),
        ),
    )


def _fit(fit: Fit) -> Page:
    config, held = fit.forecaster.config, fit.backtest
    accuracy = _accuracy(held, "Held-out accuracy") if held else Section("accuracy", "Not evaluated", (fit.reason,))
    words = f"{config.cell.upper()}, horizon {config.horizon}, context {config.context_length}, {fit.seconds:.0f} s"
    return Page(str(fit.path), words, (accuracy, *_reasons(fit.decisions, fit.findings)))


def _forecast(forecast: Forecast) -> Page:
    frame, schema = forecast.frame, forecast.schema
    if frame.is_empty():
        return Page(f"Forecast of {schema.target}", "no series has a value to start from", ())
    wide = next(iter(intervals(forecast.quantile_levels)), None)
    shown = frame.head(FORECAST_ROWS)
    spread = (shown[wide[2]] - shown[wide[1]]).median() if wide else None
    places = decimals(float(spread)) if isinstance(spread, float) else 4
    events = forecast.probabilities
    values = ["yhat", *(wide[1:] if wide else ())]
    rows = []
    for row, when in zip(shown.iter_rows(named=True), time_words(shown[schema.time].to_list()), strict=True):
        cells = [*(str(row[name]) for name in schema.id_names), when, number(row["step"])]
        cells += [fixed(row[name], places) for name in values]
        rows.append((*cells, *(probability_words(row[name]) for name in events)))
    titles = (
        *(Column(name, "name") for name in schema.id_names),
        Column(schema.time),
        *numbers("step", *values, *map(event_words, events)),
    )
    more = frame.height - shown.height
    note = f"and {count(more, 'more row')} in `frame`" if more else ""
    steps = count(int(frame["step"].max()), "step")  # type: ignore[arg-type]
    return Page(
        f"Forecast of {schema.target}",
        f"{steps} for {count(forecast.series, 'series')}",
        (
            Section("forecast", "Forecast", tables=(ReportTable("", titles, tuple(rows), note),)),
            *_reasons((), forecast.findings),
        ),
    )


def _backtest(backtest: Backtest) -> Page:
    models = count(len(backtest.summary), "model")
    table = backtest.by_series()
    ids = table.columns[: table.columns.index("winner")]
    rows = tuple(
        (
            *(str(row[name]) for name in ids),
            str(row["winner"] or "").replace("_", " "),
            number(row[f"mae_{row['winner']}"]),
        )
        for row in table.head(FORECAST_ROWS).iter_rows(named=True)
        if row["winner"]
    )
    titles = (*(Column(name, "name") for name in ids), Column("best"), *numbers("mean absolute error"))
    note = f"the first of {table.height:,} series; all: `by_series()`" if table.height > FORECAST_ROWS else ""
    best = (backtest_sentences.wins(backtest, table.height),)
    return Page(
        "Backtest",
        f"{models}, {count(backtest.frame.height, 'row')}",
        (
            _accuracy(backtest, "Accuracy"),
            Section("winners", "Best model by series", best, tables=(ReportTable("", titles, rows, note),)),
        ),
    )


def _explanation(explanation: Explained) -> Page:
    from tsx.report.story import story_of

    story = story_of(explanation)
    by_key = {section.key: section for section in story.sections}
    shown = tuple(by_key[key] for key in FIRST_SECTIONS if key in by_key)
    return Page(story.heading.title, story.heading.subtitle, shown, story.heading.assessments)


def _classification(classified: Classification) -> Page:
    schema, label = classified.schema, str(classified.schema.label)
    names = classified.classes[:MOST_CLASSES]
    rows = tuple(
        (
            *(str(row[name]) for name in schema.id_names),
            str(row[label]),
            *(fixed(row[class_column(name)], 3) for name in names),
        )
        for row in classified.frame.head(FORECAST_ROWS).iter_rows(named=True)
    )
    titles = (*(Column(name, "name") for name in schema.id_names), Column(label), *numbers(*map(class_column, names)))
    more = classified.frame.height - len(rows)
    note = f"and {count(more, 'more series', 'more series')} in `frame`" if more else ""
    return Page(
        f"Classes of {label}",
        f"{count(classified.frame.height, 'series')}, {count(len(classified.classes), 'class', 'classes')}",
        (
            Section("classes", "Classes", tables=(ReportTable("", titles, rows, note),)),
            *_reasons((), classified.findings),
        ),
    )


def _classifier_fit(fit: ClassifierFit) -> Page:
    config = fit.classifier.config
    words = f"{config.cell.upper()}, {count(len(config.classes), 'class', 'classes')}, {fit.seconds:.0f} s"
    held = () if fit.evaluation is None else (_classes_held(fit.evaluation),)
    return Page(str(fit.path), words, (*held, *_reasons(fit.decisions, fit.findings)))


def _class_backtest(result: ClassBacktest) -> Page:
    series = count(result.evaluation.series, "series")
    sections = (_classes_held(result.evaluation), *_reasons(result.decisions, result.findings))
    return Page("Backtest", f"{series} held out in turn", sections)


def _classes_held(evaluation: ClassEvaluation) -> Section:
    """The verdict on a classifier, and the metrics of every model."""
    rows = tuple(
        (str(row["model"]).replace("_", " "), *(number(row.get(name)) for name in SHOWN_CLASS_METRICS))  # type: ignore[arg-type]
        for row in evaluation.summary
    )
    table = ReportTable("", (Column("model"), *numbers(*SHOWN_CLASS_METRICS.values())), rows)
    tables = (table, *class_figures_tables(evaluation.summary))
    return Section("accuracy", "Held-out accuracy", (evaluation.verdict.sentence,), tables=tables)


def _monitoring(found: Monitoring | ClassMonitoring) -> Page:
    from tsx.report.monitoring import SHOWN, models_table, nights_table, title

    advice = f"{found.advice.value}: {found.advice.reason}"
    return Page(
        title(found),
        f"to {time_words([found.newest])[0]}",
        (
            Section("advice", "Advice", (advice, found.verdict.sentence), tables=(models_table(found),)),
            Section("nights", "Nights", tables=(nights_table(found, SHOWN),)),
            *_reasons((), found.findings),
        ),
    )


def _accuracy(backtest: Backtest, title: str) -> Section:
    """The verdict and the metrics of every model."""
    interval = backtest_sentences.interval(backtest)
    known = {
        name: word for name, word in SHOWN_METRICS.items() if any(row.get(name) is not None for row in backtest.summary)
    }
    covered = numbers(f"{interval} % coverage") if interval else ()
    rows = tuple(
        (
            str(row["model"]).replace("_", " "),
            *(number(row.get(name)) for name in known),
            *((percent(row.get(f"coverage_{interval}")),) if interval else ()),
        )
        for row in backtest.summary
    )
    said = (backtest.verdict.sentence, *backtest_sentences.interval_lines(backtest))
    table = ReportTable("", (Column("model"), *numbers(*known.values()), *covered), rows)
    return Section("accuracy", title, said, tables=(table,))


def _reasons(decisions: Iterable[Decision], findings: Iterable[Finding]) -> tuple[Section, ...]:
    """What was decided, and what was noticed in the data."""
    rows = tuple((d.name.replace("_", " "), decided_words(d.value), d.reason) for d in decisions)
    titles = (Column("what"), Column("value", "prose"), Column("because", "prose"))
    return (
        Section("decided", "Decided", tables=(ReportTable("", titles, rows),) if rows else ()),
        Section("findings", "Noticed in the data", tuple(finding.message for finding in findings)),
    )


def _charts_of_inspection(inspection: Inspection) -> list[alt.LayerChart]:
    from tsx.report.charts.results import shapes

    return shapes(inspection)


def _charts_of_fit(fit: Fit) -> list[alt.LayerChart]:
    return _charts_of_backtest(fit.backtest) if fit.backtest else []


def _charts_of_forecast(forecast: Forecast) -> list[alt.LayerChart]:
    from tsx.report.charts.forecast import fans

    frame = forecast.frame
    if frame.is_empty() or forecast.history is None:
        return []
    past = max(5 * int(frame["step"].max()), 48)  # type: ignore[arg-type]
    return fans(frame, forecast.history, forecast.schema, intervals(forecast.quantile_levels), past)


def _charts_of_backtest(backtest: Backtest) -> list[alt.LayerChart]:
    from tsx.report.charts.results import errors_by_step

    return errors_by_step(backtest.per_step, [str(row["model"]) for row in backtest.summary])


def _charts_of_explanation(explanation: Explanation) -> list[alt.LayerChart]:
    from tsx.report.charts.drivers import lag_importance

    drawn = lag_importance(explanation)
    return drawn if isinstance(drawn, list) else [] if drawn is None else [drawn]


def _charts_of_classes(classified: Classification) -> list[alt.LayerChart]:
    from tsx.report.charts.results import classes

    return classes(classified)


def _charts_of_reliability(result: ClassifierFit | ClassBacktest) -> list[alt.LayerChart]:
    from tsx.report.charts.results import reliability

    return [] if result.evaluation is None else reliability(result.evaluation.reliability)


def _charts_of_nights(found: Monitoring) -> list[alt.LayerChart]:
    from tsx.report.charts.nights import night_charts

    return [chart for charts in night_charts(found.nights).values() for chart in charts]


def _charts_of_class_nights(found: ClassMonitoring) -> list[alt.LayerChart]:
    from tsx.report.charts.nights import class_night_charts

    return [chart for charts in class_night_charts(found.nights).values() for chart in charts]


def _charts_of_reasons(explanation: ClassExplanation) -> list[alt.LayerChart]:
    from tsx.report.classes.charts import lags

    return lags(explanation)


VIEWS: dict[str, View] = {
    "Inspection": View(_inspection, _charts_of_inspection),
    "Fit": View(_fit, _charts_of_fit),
    "Forecast": View(_forecast, _charts_of_forecast),
    "Backtest": View(_backtest, _charts_of_backtest),
    "Explanation": View(_explanation, _charts_of_explanation),
    "Classification": View(_classification, _charts_of_classes),
    "ClassifierFit": View(_classifier_fit, _charts_of_reliability),
    "ClassBacktest": View(_class_backtest, _charts_of_reliability),
    "Monitoring": View(_monitoring, _charts_of_nights),
    "ClassMonitoring": View(_monitoring, _charts_of_class_nights),
    "ClassExplanation": View(_explanation, _charts_of_reasons),
}
"""Every kind of result by the name of its class, which is not loaded for it."""
