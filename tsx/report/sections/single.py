"""The newest forecast of a series, input by input."""

from __future__ import annotations

from tsx.explanation.result import Explanation
from tsx.panel.calendar import Calendar
from tsx.report.document import Figure, Section
from tsx.report.labels import explained_words
from tsx.report.summaries import MOST_FORECASTS, last_step


def section(explanation: Explanation) -> Section | None:
    """None where no single series is shown, as in a private explanation."""
    series = explanation.quantiles.select(explanation.schema.id_names).n_unique()
    if not series or explanation.question.explain == "error":
        return None
    step = last_step(explanation)
    of = explained_words(explanation)
    if step is not None and explanation.config.horizon > 1:
        of += f" {Calendar.parse(explanation.frequency).span(step)} ahead (step {step})"
    of_how_many = f" of the first {MOST_FORECASTS} series" if series > MOST_FORECASTS else ""
    others = "" if series == 1 else f" The others{of_how_many} can be looked up."
    caption = (
        f"From the base value, which is what is said of a series of which nothing is known, to {of}. Each bar is what "
        f"one input moved it by, in units of {explanation.schema.target}: blue raises it, orange lowers it; whiskers "
        "are one standard error, times count back from the first step that is forecast. Below it the same over time, "
        f"under the inputs. This is the first of the explained series.{others}"
    )
    return Section("single", "This forecast", figures=(Figure("single", "", caption, stacked=True),))
