"""How accurate the model was on rows held out, beside simple methods."""

from __future__ import annotations

from tsx.explanation.result import Explanation
from tsx.report.document import Column, Figure, ReportTable, Section
from tsx.report.labels import INTERVAL, numbers
from tsx.spec.metrics import SHOWN_METRICS
from tsx.wording import number, percent


def section(explanation: Explanation) -> Section | None:
    held_out = explanation.origin.held_out if explanation.origin else ()
    if not held_out:
        return None
    known = {name: title for name, title in SHOWN_METRICS.items() if any(row.get(name) is not None for row in held_out)}
    coverage = f"coverage_{INTERVAL}"
    covered = [f"{INTERVAL} % interval covers"] if any(row.get(coverage) is not None for row in held_out) else []
    rows = tuple(
        (
            str(row["model"]).replace("_", " "),
            *(number(row.get(name)) for name in known),
            *([percent(row.get(coverage))] if covered else []),
        )
        for row in held_out
    )
    return Section(
        "accuracy",
        "How accurate it was",
        _sentences(explanation),
        figures=_figures(explanation),
        tables=(
            ReportTable(
                "",
                (Column("model", "name"), *numbers(*known.values(), *covered)),
                rows,
                f"{number(held_out[0].get('n'))} values, held out before the model was fitted to all rows; "
                "the smaller an error, the better",
            ),
        ),
    )


def _figures(explanation: Explanation) -> tuple[Figure, ...]:
    steps = explanation.origin.per_step if explanation.origin else ()
    if len({row["step"] for row in steps}) < 2:
        return ()
    words = (
        "On the rows held out. Left: the error of each model by how far ahead it forecasts, the smaller the better. "
        f"Right: how often its {INTERVAL} % interval held the value; the nearer to {INTERVAL} %, the better."
    )
    return (Figure("held_out", "By how far ahead", words),)


def _sentences(explanation: Explanation) -> tuple[str, ...]:
    """The verdict of the hold-out, where it does not stand above the sections already."""
    sentence = str(explanation.skill.get("sentence", ""))
    return (sentence,) if sentence and sentence not in explanation.knowledge.sentence else ()
