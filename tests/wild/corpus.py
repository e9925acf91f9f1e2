"""All files of the corpus. Each case writes its own into a folder; `CASES` are those of every line of the promise."""

from __future__ import annotations

from tests.wild import cases_broken, cases_files, cases_odd, cases_shapes, cases_times, cases_values
from tests.wild.truth import Case

CASES: list[Case] = [
    *(
        case
        for module in (cases_files, cases_shapes, cases_times, cases_values, cases_odd, cases_broken)
        for case in module.CASES
    )
]
