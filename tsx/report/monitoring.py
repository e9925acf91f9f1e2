"""Monitored nights on a terminal, and as a page that works offline."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import RenderableType
from rich.text import Text

from tsx.errors import WriteError
from tsx.io.atomic import atomic_write, not_writable
from tsx.report import terminal_elements
from tsx.report.document import Assessment, Column, Figure, Heading, ReportTable, Section, ShareCell, Tile
from tsx.report.terminal_elements import ACCENT, REASON
from tsx.spec.metrics import SHOWN_CLASS_METRICS
from tsx.wording import NOT_DEFINED, count, number, percent
from tsx.workflows.monitor_classes import ClassMonitoring

if TYPE_CHECKING:
    from tsx.workflows.monitor import Monitoring
    from tsx.workflows.reasons import ReasonsDrift

    Monitored = Monitoring | ClassMonitoring

PAGE = "monitor.html"
MARK = re.compile(rb"<!-- tsx monitor ([0-9a-f]{64}) -->\n\Z")
"""The last line of a page of ours: the SHA-256 of what stands before it."""
SHOWN = 10
"""Nights on a terminal."""
Tone = Literal["good", "weak", "bad", "unknown"]
TONES: dict[str, Tone] = {"keep": "good", "recalibrate": "weak", "update": "weak", "refit": "bad"}
COMMANDS = {
    "keep": "",
    "recalibrate": "tsx fit DATA --intervals adaptive",
    "update": "tsx fit DATA --update",
    "refit": "tsx fit DATA",
}
"""What does as the advice says."""


def render_monitoring(result: Monitored) -> RenderableType:
    """The advice, the models side by side, and the newest nights."""
    advice = Text.assemble(("Advice: ", REASON), (result.advice.value, ACCENT), f" ({result.advice.reason})")
    command = _command(result)
    lines = [advice, *([terminal_elements.sentence(command, REASON)] if command else [])]
    return terminal_elements.page(
        terminal_elements.section(title(result), *lines),
        terminal_elements.section(_beside(result), _rendered(models_table(result))),
        terminal_elements.section("Nights", _rendered(nights_table(result, SHOWN))),
        *([terminal_elements.section("Inputs", _rendered(drift_table(result)))] if result.drift else []),
        *(terminal_elements.section("Reasons", *_reasons(each)) for each in _reasons_of(result)),
    )


def _reasons(found: ReasonsDrift) -> tuple[RenderableType, ...]:
    return terminal_elements.sentence(found.sentence), _rendered(reasons_table(found))


def _command(result: Monitored) -> str:
    """What does as the advice says."""
    command = COMMANDS[result.advice.value]
    return (
        f"{command} --label {shlex.quote(result.label)}" if command and isinstance(result, ClassMonitoring) else command
    )


def _beside(result: Monitored) -> str:
    return (
        "Beside the class frequencies at the fit" if isinstance(result, ClassMonitoring) else "Beside simple forecasts"
    )


def _reasons_of(result: Monitored) -> tuple[ReasonsDrift, ...]:
    return () if isinstance(result, ClassMonitoring) or result.reasons is None else (result.reasons,)


def _rendered(content: ReportTable) -> RenderableType:
    table = terminal_elements.table(*content.columns)
    for row in content.rows:
        table.add_row(*(Text(percent(cell.value) if isinstance(cell, ShareCell) else str(cell)) for cell in row))
    return table


def models_table(result: Monitored) -> ReportTable:
    """What was recorded and simple models on the same values; how the model did when it was fitted."""
    if isinstance(result, ClassMonitoring):
        return classes_table(result)
    columns = (
        Column("model", "text"),
        *(Column(title, "number") for title in ("MASE", "bias", "coverage 80 %", "values")),
    )
    rows = [
        (
            str(row["model"]).replace("_", " "),
            number(row["mase"], 3),
            number(row["bias"], 3),
            percent(row.get("coverage_80")),
            number(row["n"]),
        )
        for row in result.summary
    ]
    fitted = next(iter(result.fitted.summary or ()), None)
    if fitted is not None:
        cells = (number(fitted.get(name), 3) for name in ("mase", "bias"))  # type: ignore[arg-type]
        rows.append(("at the fit", *cells, percent(fitted.get("coverage_80")), number(fitted.get("n"))))  # type: ignore[arg-type]
    return ReportTable("", columns, tuple(rows))


def classes_table(result: ClassMonitoring) -> ReportTable:
    """The recorded classes and the class frequencies on the same series; how the model did when it was fitted."""
    columns = (Column("model", "text"), *(Column(title, "number") for title in SHOWN_CLASS_METRICS.values()))
    fitted = next(iter(result.fitted.summary or ()), None)
    named: list[tuple[str, Mapping[str, Any]]] = [(str(row["model"]).replace("_", " "), row) for row in result.summary]
    named += [] if fitted is None else [("at the fit", fitted)]
    rows = tuple((name, *(number(row.get(each), 3) for each in SHOWN_CLASS_METRICS)) for name, row in named)
    return ReportTable("", columns, rows)


def nights_table(result: Monitored, most: int | None = None) -> ReportTable:
    """A row a night, the newest first."""
    if isinstance(result, ClassMonitoring):
        return class_nights_table(result, most)
    columns = (
        Column("cutoff", "text"),
        Column("model", "text", detail=True),
        *(
            Column(title, "number")
            for title in ("series", "values", "MASE", "simple", "bias", "coverage 80 %", "CUSUM up", "down")
        ),
    )
    nights = result.nights.reverse() if most is None else result.nights.tail(most).reverse()
    rows = tuple(
        (
            str(row["cutoff"]),
            row["version"] or NOT_DEFINED,
            number(row["series"]),
            number(row["n"]),
            *(number(row[name], 3) for name in ("mase", "mase_simple", "bias")),
            percent(row["coverage_80"]),
            *(f"{row[name]:.1f}" for name in ("cusum_up", "cusum_down")),
        )
        for row in nights.iter_rows(named=True)
    )
    return ReportTable("", columns, rows)


def class_nights_table(result: ClassMonitoring, most: int | None = None) -> ReportTable:
    """A row a night, the newest first."""
    titles = ("series", "accuracy", "log loss", "frequencies", "said", "seen", "CUSUM up", "down")
    columns = (
        Column("newest row", "text"),
        Column("model", "text", detail=True),
        *(Column(title, "number") for title in titles),
    )
    nights = result.nights.reverse() if most is None else result.nights.tail(most).reverse()
    rows = tuple(
        (
            str(row["cutoff"]),
            row["version"] or NOT_DEFINED,
            number(row["n"]),
            percent(row["accuracy"]),
            *(number(row[name], 3) for name in ("log_loss", "log_loss_simple")),
            *(percent(row[name]) for name in ("said", "seen")),
            *(f"{row[name]:.1f}" for name in ("cusum_up", "cusum_down")),
        )
        for row in nights.iter_rows(named=True)
    )
    return ReportTable("", columns, rows)


def drift_table(result: Monitored) -> ReportTable:
    """How far each column has moved since the fit, in spreads of its values then."""
    columns = (Column("column", "name"), Column("drift", "number"), Column("smallest shown", "number"))
    rows = tuple((one.column, number(one.drift, 3), number(one.smallest, 3)) for one in result.drift)
    of = "the means of series" if isinstance(result, ClassMonitoring) else "the column's newest values at the fit"
    return ReportTable("", columns, rows, note=f"In spreads of {of}.")


def reasons_table(found: ReasonsDrift) -> ReportTable:
    """The shares of the importance that the features had in forecasts up to the fit, and have since."""
    columns = (Column("feature", "name"), *(Column(title, "number") for title in ("at the fit", "now", "moved")))
    rows = tuple(
        (str(row["feature"] or "all"), *(percent(row[name]) for name in ("share", "share_after", "moved")))
        for row in found.features.iter_rows(named=True)
    )
    note = (
        f"Shares of the importance in {count(found.before, 'forecast')} up to the fit and {number(found.since)} since; "
        "moved: what of the difference is beyond sampling noise."
    )
    return ReportTable("", columns, rows, note=note)


def title(result: Monitored) -> str:
    if isinstance(result, ClassMonitoring):
        return f"Classes of {result.label} over {count(result.nights.height, 'night')}"
    return f"Forecasts of {result.target} over {count(result.nights.height, 'night')}"


def sections_of(result: Monitored) -> tuple[Section, ...]:
    """The page below its heading."""
    notes: tuple[str, ...] = ()
    if isinstance(result, ClassMonitoring):
        tiles, figures = _class_tiles(result), _class_figures()
    else:
        tiles, figures, notes = _tiles(result), _figures(), result.notes
    noticed = tuple(finding.message for finding in result.findings)
    inputs = drift_table(result)
    return (
        Section("result", "Over all nights", (result.verdict.sentence,), tables=(models_table(result),), tiles=tiles),
        Section("nights", "Night by night", figures=figures, tables=(nights_table(result),)),
        Section("inputs", "Inputs", tables=(inputs,) if inputs.rows else ()),
        *(
            Section("reasons", "Reasons", (each.sentence,), tables=(reasons_table(each),))
            for each in _reasons_of(result)
        ),
        Section("findings", "What was noticed", (*noticed, *notes) or ("Nothing.",)),
    )


def _tiles(result: Monitoring) -> tuple[Tile, ...]:
    own = result.own
    return (
        Tile("Error", number(own["mase"], 3), f"MASE; {number(_best(result), 3)} of the best simple forecast"),
        Tile("Coverage", percent(own.get("coverage_80")), "of the 80 % intervals"),
        Tile("Bias", number(own["bias"], 3), "mean of forecast less actual value, in its units"),
    )


def _figures() -> tuple[Figure, ...]:
    return (
        Figure("errors", "Error", "Scaled error of each night's forecasts, beside the best simple forecast."),
        Figure("coverage", "Coverage", "Share of the actual values within the 80 % intervals."),
        Figure("control", "Control chart", "Cumulative sums of the errors one step ahead; over the line they shifted."),
    )


def _class_tiles(result: ClassMonitoring) -> tuple[Tile, ...]:
    own, simple = result.summary
    return (
        Tile("Accuracy", percent(own["accuracy"]), f"{percent(simple['accuracy'])} with the most frequent class"),
        Tile("Log loss", number(own["log_loss"], 3), f"{number(simple['log_loss'], 3)} of the class frequencies"),
        Tile("Calibration", number(own["calibration_error"], 3), "mean distance of probability and frequency"),
    )


def _class_figures() -> tuple[Figure, ...]:
    return (
        Figure("losses", "Log loss", "Of each night's probabilities, beside the class frequencies at the fit."),
        Figure("calibration", "Calibration", "Mean probability that was said, and the share that came true."),
        Figure(
            "control", "Control chart", "Cumulative sums of said less seen, each series once; over the line it shifted."
        ),
    )


def _best(result: Monitoring) -> float | None:
    return next((row["mase"] for row in result.summary if row["model"] == result.verdict.against), None)


def dashboard(result: Monitored) -> str:
    """The page; the same monitoring gives the same text."""
    from tsx.report.charts.nights import class_night_charts, night_charts
    from tsx.report.html import html_page

    advice = result.advice
    command = _command(result)
    sentence = advice.reason + (f": {command}" if command else "")
    answer = Assessment("What to do with the model?", str(advice.value), sentence, TONES[advice.value])
    cutoffs = result.nights["cutoff"].to_list()
    span = f"{cutoffs[0]} to {cutoffs[-1]}" if cutoffs else NOT_DEFINED
    heading = Heading(title(result), span, (answer,))
    content = tuple(section for section in sections_of(result) if not section.is_empty)
    return html_page(
        heading, content, (class_night_charts if isinstance(result, ClassMonitoring) else night_charts)(result.nights)
    )


def write_dashboard(result: Monitored, folder: Path) -> Path:
    """Write the page into a folder, over an earlier one of ours alone. Raises WriteError `file-not-writable`."""
    page = folder / PAGE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if page.exists() and not _is_ours(page.read_bytes()):
            raise WriteError(
                "file-not-writable",
                f"{page} cannot be written: that is a file of somebody else",
                hint="name another folder with --out",
                where=str(page),
            )
    except OSError as error:
        raise not_writable(page, error) from None
    content = dashboard(result).encode()
    with atomic_write(page) as file:
        file.write(content + f"<!-- tsx monitor {hashlib.sha256(content).hexdigest()} -->\n".encode())
    return page


def _is_ours(content: bytes) -> bool:
    mark = MARK.search(content)
    return mark is not None and hashlib.sha256(content[: mark.start()]).hexdigest().encode() == mark[1]
