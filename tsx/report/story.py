"""An explanation as every format tells it, whatever kind of model it is of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tsx.explanation.classes.result import ClassExplanation
from tsx.explanation.result import Explained, Explanation
from tsx.report import heading
from tsx.report.answers import answers
from tsx.report.document import Heading, Section, Tile
from tsx.report.sections import sections
from tsx.report.sections.method import method

if TYPE_CHECKING:
    import altair as alt

SHORT = ("values", "players", "reference", "absent", "level", "relative_error", "evaluations", "seed")
"""The figures of the method that a terminal shows."""


@dataclass(frozen=True, eq=False)
class Story:
    """The sections and sentences of a report.

    method    how it was computed in brief, as (what, value)
    advice    what could be done about the checks that were not passed, for whoever runs the program
    charts    draws every chart, by its key
    picks     draws what can be looked up beside a figure: by its key the charts of each series, by its name
    download  the forecasts as CSV
    """

    heading: Heading
    sections: tuple[Section, ...]
    method: tuple[tuple[str, str], ...]
    advice: tuple[str, ...]
    charts: Callable[[], dict[str, list[alt.LayerChart]]]
    picks: Callable[[], dict[str, dict[str, list[alt.LayerChart]]]] = dict
    download: Callable[[], str] = str


def story_of(explanation: Explained) -> Story:
    """The story of an explanation."""
    if isinstance(explanation, ClassExplanation):
        return of_classes(explanation)
    assert isinstance(explanation, Explanation)
    return of_forecasts(explanation)


def of_forecasts(explanation: Explanation) -> Story:
    """That of forecasts."""

    def draw() -> dict[str, list[alt.LayerChart]]:
        from tsx.report.charts import charts

        return charts(explanation)

    def pick() -> dict[str, dict[str, list[alt.LayerChart]]]:
        from tsx.report.charts.forecast import every_forecast
        from tsx.report.charts.single import every_single

        return {"forecast": every_forecast(explanation), "single": every_single(explanation)}

    return Story(
        heading=_heading(
            explanation, heading.headline(explanation), heading.subtitle(explanation), answers(explanation)
        ),
        sections=sections(explanation),
        method=tuple(method(explanation, SHORT)),
        advice=explanation.advice,
        charts=draw,
        picks=pick,
        download=explanation.quantiles.write_csv,
    )


def of_classes(explanation: ClassExplanation) -> Story:
    """That of classes."""
    from tsx.report.classes import heading as of_labels
    from tsx.report.classes import sections as told

    def draw() -> dict[str, list[alt.LayerChart]]:
        from tsx.report.classes.charts import charts

        return charts(explanation)

    return Story(
        heading=_heading(
            explanation, of_labels.headline(explanation), of_labels.subtitle(explanation), told.answers(explanation)
        ),
        sections=told.sections(explanation),
        method=tuple(told.method(explanation, told.SHORT)),
        advice=explanation.advice,
        charts=draw,
    )


def _heading(explanation: Explained, title: str, subtitle: str, tiles: tuple[Tile, ...]) -> Heading:
    command = explanation.origin.command if explanation.origin else ""
    told = heading.assessments(explanation), heading.origin_lines(explanation)
    return Heading(title, subtitle, *told, tiles, command)
