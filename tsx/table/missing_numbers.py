"""Numbers that mean missing, such as -999, taken out of the columns of numbers that are neither a time nor an id."""

from __future__ import annotations

from dataclasses import replace

from tsx.table import text_values
from tsx.table.column_types import null_where_missing
from tsx.table.draft import Draft
from tsx.table.infer_roles import is_id_name
from tsx.table.validation import Check, missing_numbers


def without_missing_numbers(draft: Draft) -> Draft:
    """The draft with null for such numbers; which they are is said by the user or was found in an earlier table."""
    time, static = draft.time, draft.roles.static
    words = (*draft.reading.missing, *draft.reading.found_missing)
    # Steps of a time column are never missing.
    checks = [
        replace(check, words=()) if check.column == time and isinstance(check.form, text_values.Form) else check
        for check in draft.checks
    ]
    if not missing_numbers(words):
        return replace(draft, checks=tuple(checks))
    apart = {*static, time, draft.roles.id}
    checks = [
        check if check.column in apart or is_id_name(check.column) else replace(check, words=words) for check in checks
    ]
    columns = draft.columns
    for name, dtype in draft.types.items():
        if dtype.is_numeric() and name not in (time, draft.roles.id) and not is_id_name(name):
            # What was found in the channels says nothing of a static column.
            meant = draft.reading.missing if name in static else words
            columns = columns.reading(name, null_where_missing(columns.expr(name), meant), dtype)
            if name not in columns.forms:
                checks.append(Check(columns.rows, name, name, words=meant))
    return replace(draft, columns=columns, checks=tuple(checks))
