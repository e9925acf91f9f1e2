"""Results on a terminal, in 80 columns: renderables for rich.

Every text of the user's goes through `clean` into a `Text`, never through markup. One accent colour marks what leads
the eye, dim marks reasons and units, and nothing is said by colour alone. Every result is wrapped in
`Portable`, which gives terminals without Unicode characters that they have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from tsx.explanation.measure import INSIDE
from tsx.report import backtest_sentences, terminal_elements
from tsx.report.document import Cell, Column, ReportTable, Section, ShareCell, Sparkline, VerdictCell, widest
from tsx.report.labels import event_words, intervals, probability_words, time_words, words
from tsx.report.story import Story, story_of
from tsx.report.terminal_elements import ACCENT, BAR, HEIGHTS, REASON, bar
from tsx.sanitize import clean
from tsx.spec.decision import Decision
from tsx.spec.metrics import SHOWN_METRICS
from tsx.spec.schema import Schema
from tsx.wording import count, decimals, fixed, number, percent

if TYPE_CHECKING:
    import polars as pl

    from tsx.evaluation.backtest import Backtest
    from tsx.evaluation.search import Tuning
    from tsx.explanation.result import Explained
    from tsx.workflows.fit import Fit

TONES = {"good": "bold green", "weak": "bold yellow", "bad": "bold red", "unknown": REASON}
VERDICTS = {"pass": "green", "weak": "yellow", "fail": "bold red"}
SPARK = 44
NARROW = 6
"""A table of this many columns gets short bars."""
FORECAST_ROWS = 12
MOST_SERIES = 12
"""So many series are shown with the model that forecasts them best."""
SIDE_BY_SIDE = 4
"""Events of a table of reliability."""
OUTPUT = "The forecast"
DECIDED = {
    "The table": (
        *(
            "id",
            "time",
            "target",
            "label",
            "keep_together",
            "text",
            "past",
            "future",
            "static",
            "suggested_past",
            "unused_columns",
            "unused_column",
        ),
        *("freq", "zone", "time_format", "decimal", "regularize", "calendar", "holidays", "missing"),
    ),
    OUTPUT: (
        "season",
        "horizon",
        "transform",
        "counts",
        "delay",
        "point",
        "intervals",
        "network_weight",
        "pretrained_weight",
        "part_weights",
        "positive_class",
        "cost",
        "threshold",
        "abstain",
        "held_out",
    ),
    "Privacy": ("private_epsilon",),
    "The network": (
        "cell",
        "context_length",
        "segment",
        "attention",
        "ensemble",
        "max_steps",
        "max_time",
        "update_steps",
    ),
}
"""Decisions that a user might make otherwise, by what they are about."""
ASKED = ("since", "counterfactuals", "errors", "interactions", "cohorts", "comparison")
"""Sections of an explanation that exist only where they were asked for, and are shown whole."""
AT_FIRST = ("findings", "drivers", *ASKED)
"""What a terminal shows at first; of the checks it shows those that were not passed."""
AT_FIRST_ROWS = 3
"""Rows of the tables of what drives it, so that all fits a screen."""


def render_fit(fit: Fit) -> RenderableType:
    """What was decided about the table, the forecast and the network, what was seen in the data, and how the network
    did beside simple forecasts."""
    return _fit(fit, decided_in_groups(fit.decisions))


def render_fit_in_full(fit: Fit) -> RenderableType:
    """The same with every decision, those on how it is built and trained among them."""
    return _fit(fit, terminal_elements.decisions(fit.decisions))


def decided_in_groups(decided: Sequence[Decision], output: str = OUTPUT) -> RenderableType:
    """What a user might decide otherwise, under plain headings; the count of the rest.

    `output`: the heading of what the model makes.
    """
    shown = [
        (output if title == OUTPUT else title, [one for one in decided if one.name in names])
        for title, names in DECIDED.items()
    ]
    rest = len(decided) - sum(len(group) for _, group in shown)
    parts: list[RenderableType] = []
    for title, group in shown:
        if group:
            parts += [Text(title, style="bold"), *map(terminal_elements.decision, group)]
    if rest:
        parts.append(Text(f"and {rest} more on how it is built and trained, with --verbose", style=REASON))
    return terminal_elements.section("Decided", *parts) if parts else Text("", end="")


def _fit(fit: Fit, decided: RenderableType) -> RenderableType:
    history = fit.forecaster.history
    trained = terminal_elements.pairs(
        [
            ("model", str(fit.path)),
            ("training", f"{history.steps:,} steps ({history.stopped})"),
        ]
    )
    if fit.backtest is not None:
        metrics: RenderableType = _backtest(fit.backtest)
    else:
        metrics = terminal_elements.sentence(
            f"Not evaluated: {fit.reason}." if fit.reason else "Not evaluated.", REASON
        )
    return terminal_elements.page(
        decided,
        terminal_elements.findings(fit.findings),
        terminal_elements.section("Held-out accuracy", metrics),
        terminal_elements.section("Written" if fit.trained else "Unchanged", trained),
    )


def render_forecast(
    frame: pl.DataFrame,
    schema: Schema,
    levels: Sequence[float],
    probabilities: Sequence[str] = (),
    what_if: Sequence[str] = (),
) -> RenderableType:
    """The first rows with the widest interval, or with what else was asked for, and how many there are."""
    if frame.is_empty():
        return terminal_elements.page(
            terminal_elements.sentence("No forecast: no series has a value to start from.", REASON)
        )
    wide = next(iter(intervals(levels)), None)
    shown = frame.head(FORECAST_ROWS)
    spread = (shown[wide[2]] - shown[wide[1]]).median() if wide else None
    places = decimals(float(spread)) if isinstance(spread, float) else 4
    other = [what_if[0], what_if[-1]] if what_if else []
    numbers = ["step", "yhat", *(wide[1:] if wide and not (probabilities or other) else ()), *other]
    titles = [*(words(name.removeprefix("what_if_")) for name in numbers), *map(event_words, probabilities)]
    table = terminal_elements.table(
        *(Column(name, "name") for name in schema.id_names),
        Column(schema.time),
        *(Column(title, "number") for title in titles),
    )
    for row, when in zip(shown.iter_rows(named=True), time_words(shown[schema.time].to_list()), strict=True):
        cells = [*(terminal_elements.line(row[name]) for name in schema.id_names), terminal_elements.line(when)]
        cells.append(Text(number(row["step"])))
        cells += [Text(fixed(row[name], places)) for name in numbers[1:]]
        table.add_row(*cells, *(Text(probability_words(row[name])) for name in probabilities))
    series, steps = frame.select(schema.id_names).n_unique(), int(frame["step"].max())  # type: ignore[arg-type]
    size = f"{steps} step{'s' if steps > 1 else ''} of {clean(schema.target)} for {series:,} series"
    parts: list[RenderableType] = [table]
    if frame.height > shown.height:
        parts.append(Text(f"… and {frame.height - shown.height:,} more rows", style=REASON))
    return terminal_elements.page(terminal_elements.section("Forecast", Text(size, style=REASON), *parts))


def render_backtest(backtest: Backtest) -> RenderableType:
    """Models by metrics, the best value of each in bold, and the verdict in words."""
    parts = (_backtest(backtest), *_winners(backtest))
    return terminal_elements.page(terminal_elements.section("Backtest", *parts))


def render_tune(tuning: Tuning) -> RenderableType:
    """Every choice with the default, the best, and how much it matters; then the verdict in words."""
    table = terminal_elements.table(
        Column("choice", "name"), Column("default", "number"), Column("best", "number"), Column("importance")
    )
    importance = tuning.importance or {}
    top = max(importance.values(), default=0.0)
    for name, default in sorted(tuning.defaults.items(), key=lambda item: -importance.get(item[0], 0.0)):
        best, share = tuning.best.get(name, default), importance.get(name)
        cell = Text("") if share is None else _cell(ShareCell(share), Column(""), top, BAR)
        table.add_row(
            terminal_elements.line(name.replace("_", " ")),
            Text(str(default)),
            Text(str(best), style=ACCENT if best != default else ""),
            cell,
        )
    states = tuning.trials["state"].to_list()
    ended = [f"{states.count(state)} {state}" for state in ("whole", "pruned", "failed") if state in states]
    trials = f"{count(len(states), 'trial')} ({', '.join(ended)}), scored on "
    trials += f"{count(tuning.folds, 'fold')} of {tuning.scored_on}."
    notes = [trials, *map(_as_sentence, tuning.notes)]
    if tuning.importance is None and tuning.defaults:
        notes.append("Too few trials to say which choices matter.")
    parts: list[RenderableType] = [table, Text("")] if tuning.defaults else []
    parts += [terminal_elements.sentence(tuning.sentence, "green" if tuning.best else "yellow")]
    return terminal_elements.page(
        terminal_elements.section("Tuned", *parts, *(terminal_elements.sentence(note, REASON) for note in notes))
    )


def render_explanation(explanation: Explained) -> RenderableType:
    """One screen: whether to believe it, the findings, what drives it, what was asked for besides, and the checks that
    were not passed."""
    story = story_of(explanation)
    parts = _head(story)
    asked = any(section.key in ASKED for section in story.sections)
    for section in story.sections:
        if section.key == "checks":
            parts.append(_story(_not_passed(section)))
            parts.append(_advice(story))
        elif section.key == "drivers":
            shown = [table for table in section.tables if table.brief != 0][: 1 if asked else None]
            brief = tuple(
                replace(each, brief=min(each.brief or AT_FIRST_ROWS, AT_FIRST_ROWS), note="") for each in shown
            )
            parts.append(_story(replace(section, tables=brief)))
        elif section.key in AT_FIRST:
            parts.append(_story(replace(section, groups=tuple(each for each in section.groups if each[0] != INSIDE))))
    left = [each.title for each in story.sections if each.key not in (*AT_FIRST, "checks", "method", "forecast")]
    if left:
        parts.append(Text(f"With --full also: {'; '.join(left)}; how it works inside, and was computed.", style=REASON))
    return terminal_elements.page(*parts)


def render_explanation_in_full(explanation: Explained) -> RenderableType:
    """Every section: the findings first, then what drives it, how far to believe it, and what the network remembers.
    Tables are cut to their `brief` rows, and listings are left to the page."""
    story = story_of(explanation)
    parts = _head(story)
    for section in story.sections:
        parts.append(_method(story) if section.key == "method" else _story(section))
        if section.key == "checks":
            parts.append(_advice(story))
    return terminal_elements.page(*parts)


def _not_passed(section: Section) -> Section:
    """The checks without those that were passed, which its sentence counts."""
    checks = next(table for table in section.tables if table.stacked)
    rows = tuple(row for row in checks.rows if VerdictCell("pass") not in row)
    return replace(section, tables=(replace(checks, rows=rows),) if rows else ())


def _advice(story: Story) -> RenderableType:
    """What could be done about the checks that were not passed."""
    return Padding(Group(*(terminal_elements.sentence(each, REASON) for each in story.advice)), (0, 0, 0, 2))


def _head(story: Story) -> list[RenderableType]:
    """The title, and whether to believe the explanation."""
    parts: list[RenderableType] = [
        Text(clean(story.heading.title), style="bold"),
        Text(clean(story.heading.subtitle), style=REASON),
        Text(""),
    ]
    for answer in story.heading.assessments:
        word = (f"{answer.word}.", TONES[answer.tone])
        parts.append(Text.assemble(f"{answer.question} ", word, f" {clean(answer.sentence)}"))
    return [*parts, Text("")]


def _story(section: Section) -> RenderableType:
    tables = [table for table in section.tables if table.brief != 0]
    if not (section.sentences or section.sparklines or section.groups or tables):
        return Text("", end="")
    parts: list[RenderableType] = []
    for title, said in section.groups:
        parts += [Text(title, style="bold"), *map(terminal_elements.bullet, said)]
    several = len(section.sentences) > 1 or section.key == "findings"
    parts += [terminal_elements.bullet(s) if several else terminal_elements.sentence(s) for s in section.sentences]
    if section.sentences and (section.sparklines or tables):
        parts.append(Text(""))
    if section.sparklines:
        parts.append(_sparks(section.sparklines))
        if tables:
            parts.append(Text(""))
    for k, table in enumerate(tables):
        if k:
            parts.append(Text(""))
        if len(tables) > 1 and table.title:
            parts.append(Text(clean(table.title), style="bold"))
        parts.append(_checks(table) if table.stacked else _story_table(table))
        if table.note:
            parts.append(Text(clean(table.note), style=REASON))
    return terminal_elements.section(section.title, *parts)


def _story_table(table: ReportTable) -> RenderableType:
    shown = [k for k, column in enumerate(table.columns) if not column.detail]
    grid = terminal_elements.table(*(table.columns[k] for k in shown))
    width = BAR if len(shown) < NARROW else BAR // 2
    tops = [widest(table, k) for k in range(len(table.columns))]
    for row in table.rows[: table.brief]:
        grid.add_row(*(_cell(row[k], table.columns[k], tops[k], width) for k in shown))
    return grid


def _cell(cell: Cell, column: Column, top: float, width: int) -> Text:
    if isinstance(cell, ShareCell):
        share = (cell.value or 0.0) / top if top else 0.0
        return Text.assemble((bar(share, width), ACCENT), f" {percent(cell.value):>7}")
    if isinstance(cell, VerdictCell):
        return Text(cell.verdict, style=VERDICTS.get(cell.verdict, ""))
    return terminal_elements.sentence(cell) if column.kind == "prose" else terminal_elements.line(cell)


def _checks(table: ReportTable) -> RenderableType:
    """A line for each: its verdict, name and figure; what was not passed says why."""
    grid = terminal_elements.bare_table()
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, justify="right")
    grid.add_column(ratio=1)
    for name, pill, figure, sentence in table.rows:
        if (
            isinstance(pill, VerdictCell)
            and isinstance(name, str)
            and isinstance(figure, str)
            and isinstance(sentence, str)
        ):
            why = Text("" if pill.verdict == "pass" else clean(sentence))
            grid.add_row(Text(pill.verdict, style=VERDICTS.get(pill.verdict, "")), Text(clean(name)), Text(figure), why)
    return grid


def _method(story: Story) -> RenderableType:
    words = [f"{name}: {value}" for name, value in story.method]
    return (
        terminal_elements.section("How this was computed", terminal_elements.sentence("; ".join(words) + ".", REASON))
        if words
        else Text("")
    )


def _sparks(sparks: Sequence[Sparkline]) -> RenderableType:
    grid = terminal_elements.bare_table()
    for spark in sparks:
        values = spark.values
        width = min(SPARK, len(values))
        picked = [values[k * (len(values) - 1) // max(width - 1, 1)] for k in range(width)]
        line = "".join(HEIGHTS[max(1, round(8 * min(max(v, 0.0), 1.0)))] for v in picked)
        grid.add_row(terminal_elements.sentence(spark.label), Text(line, style=ACCENT), Text(spark.note, style=REASON))
    return grid


def _backtest(backtest: Backtest) -> RenderableType:
    summary = backtest.summary
    headings = SHOWN_METRICS | ({"qlike": "QLIKE"} if backtest.verdict.loss == "QLIKE" else {})
    known = {name: title for name, title in headings.items() if any(row.get(name) is not None for row in summary)}
    interval = backtest_sentences.interval(backtest)
    titles = [*known.values(), *([f"{interval} % coverage"] if interval else [])]
    table = terminal_elements.table(Column("model", "name"), *(Column(title, "number") for title in titles))
    best = {name: min((row[name] for row in summary if row.get(name) is not None), default=None) for name in known}
    for k, row in enumerate(summary):
        cells = [terminal_elements.line(str(row["model"]).replace("_", " "), style=ACCENT if k == 0 else "")]
        for name in known:
            value = row.get(name)
            cells.append(Text(number(value), style="bold" if value is not None and value == best[name] else ""))
        if interval:
            cells.append(Text(percent(row.get(f"coverage_{interval}"))))
        table.add_row(*cells)
    verdict = backtest.verdict
    parts: list[RenderableType] = [table] if summary else []
    parts += [Text(""), terminal_elements.sentence(verdict.sentence, "green" if verdict.has_skill else "yellow")]
    parts += [
        terminal_elements.sentence(line)
        for line in (*backtest_sentences.interval_lines(backtest), *backtest_sentences.zone_lines(backtest))
    ]
    parts += [terminal_elements.sentence(_as_sentence(note), REASON) for note in backtest.notes]
    own = [row for row in backtest.reliability if row["model"] == verdict.model]
    return Group(*parts, *_reliability(own))


def _winners(backtest: Backtest) -> list[RenderableType]:
    """Which model forecasts how many series best, and of a few series which one."""
    table = backtest.by_series()
    if table.height < 2:
        return []
    wins: list[RenderableType] = [Text(""), terminal_elements.sentence(backtest_sentences.wins(backtest, table.height))]
    if table.height > MOST_SERIES:
        return wins
    ids = table.columns[: table.columns.index("winner")]
    network = f"mae_{backtest.verdict.model}"
    grid = terminal_elements.table(
        *(Column(name, "name") for name in ids),
        Column("best"),
        Column("its error", "number"),
        Column("network", "number"),
    )
    for row in table.iter_rows(named=True):
        cells = [terminal_elements.line(row[name]) for name in ids]
        best = row["winner"]
        error = None if best is None else row[f"mae_{best}"]
        name = "" if best is None else best.replace("_", " ")
        grid.add_row(*cells, Text(name), Text(number(error)), Text(number(row[network])))
    return [*wins, Text(""), grid]


def _reliability(rows: Sequence[dict[str, Any]]) -> list[RenderableType]:
    """How often it happened, and of how many forecasts, by the probability that was forecast: events side by side."""
    parts: list[RenderableType] = []
    for begin in range(0, len(rows), SIDE_BY_SIDE):
        some = rows[begin : begin + SIDE_BY_SIDE]
        table = terminal_elements.table(
            Column("forecast"), *(Column(event_words(row["column"]), "number") for row in some)
        )
        bins = [{part["low"]: part for part in row["bins"]} for row in some]
        for low, high in sorted({(part["low"], part["high"]) for row in some for part in row["bins"]}):
            side_by_side = [by_low.get(low) for by_low in bins]
            cells = [f"{percent(part['observed_frequency'])} of {part['n']:,}" if part else "" for part in side_by_side]
            table.add_row(Text(f"{100 * low:.0f} to {100 * high:.0f} %"), *map(Text, cells))
        table.add_row(Text("mean forecast"), *(Text(percent(row["mean_probability"])) for row in some), style=REASON)
        table.add_row(Text("happened"), *(Text(percent(row["observed_frequency"])) for row in some), style=REASON)
        table.add_row(Text("Brier score"), *(Text(fixed(row["brier"], 4)) for row in some), style=REASON)
        parts += [Text(""), table]
    title = terminal_elements.sentence("How often it happened, by the probability that was forecast:")
    return [Text(""), title, *parts] if parts else []


def _as_sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
