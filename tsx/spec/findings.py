"""Every finding by its code, with its severity: what `--fail-on` can name."""

from __future__ import annotations

from typing import Literal

Severity = Literal["note", "warning"]
WARNING = "warning"
NO_SKILL = "no-skill"
"""What `--fail-on` takes beside codes: every finding that warns, and a model without skill."""

WARNINGS = (
    "checkpoint-discarded",
    "clipped-values",
    "columns-left-out",
    "coverage-off",
    "constant-column",
    "errors-shifted",
    "far-values",
    "footer-dropped",
    "frequency-changed",
    "future-covariates-missing",
    "future-series-unknown",
    "last-line-cut",
    "level-jump",
    "looks-wide",
    "mixed-frequencies",
    "more-missing",
    "numbers-like-dates",
    "personal-data",
    "read-differently",
    "rows-already-seen",
    "rows-fewer",
    "scale-jumped",
    "scale-jumped-in-series",
    "sentinel-suspected",
    "series-fewer",
    "series-late",
    "series-left-out",
    "series-missing",
    "series-without-target",
    "stuck-values",
    "time-backwards",
    "time-type-changed",
    "worse-than-simple",
)
"""Something may be wrong with the table, or with what is made of it."""
NOTES = (
    "blank-lines",
    "blank-rows",
    "bounds-taken",
    "closed-days",
    "cohort-missing",
    "constant-series",
    "count-like",
    "explained-earlier",
    "few-negative-values",
    "flags-left-out",
    "future-before-cutoff",
    "future-beyond-horizon",
    "future-rows",
    "gaps",
    "heavy-tails",
    "intervals-adapted",
    "missing-covariate",
    "missing-target",
    "missing-words",
    "mostly-zeros",
    "not-promoted",
    "not-transformed",
    "other-frequencies",
    "personal-id",
    "price-like",
    "provisional-values",
    "rows-joined",
    "rows-merged",
    "rows-skipped",
    "rows-without-values",
    "series-behind",
    "series-below-context",
    "series-short",
    "time-twice",
    "unit-left-out",
    "unseen-category",
    "unseen-series",
)
"""What was seen or done, and is good to know."""
SEVERITIES: dict[str, Severity] = {
    **dict.fromkeys(WARNINGS, "warning"),
    **dict.fromkeys(NOTES, "note"),
}
