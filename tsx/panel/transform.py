"""What is learnt instead of a target: its logarithm, or the returns or the variance of a price.

A price is rarely forecast better than by its last value; what is forecast are its returns, or how far they will swing.
Those replace the target: every forecast, score and explanation then speaks of the return, not of the price. A logarithm
is taken inside the network only, and forecasts stay in units of y.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tsx.errors import ConfigError, DataError
from tsx.io.mapped import new_array
from tsx.panel.lookup import row_chunks
from tsx.panel.panel import Panel
from tsx.spec.decision import Decision, Finding
from tsx.spec.schema import Schema

Matrix = NDArray[np.float64]

DERIVED = ("return", "log-return", "variance")
"""Transforms that change what y is."""
WORDS = {"return": "return", "log-return": "log-return", "variance": "squared log-return"}
REALISED = "realised variance"


def derived_schema(schema: Schema, transform: str, *, realised: bool = False) -> Schema:
    """The schema of a panel whose target was changes from the column that `schema` reads.

    Raises ConfigError `column-name-taken` where the table has a column of the new name.
    """
    name = f"{REALISED if realised else WORDS[transform]} of {schema.target}"
    if name in (schema.time, *schema.id_names, *schema.columns):
        raise ConfigError(
            "column-name-taken",
            f"the table has a column `{name}`, which is the name of the transformed target",
            hint="rename the column",
            where=name,
        )
    return replace(schema, target=name, derived=transform, column=schema.target)


def derive_target(panel: Panel, transform: str, *, realised: bool = False) -> Panel:
    """The panel with the target p replaced: `return` p_t / p_(t-1) - 1, `log-return` ln p_t - ln p_(t-1), `variance`
    the square of the latter.

    Each belongs to one step: the first row of a series has none and is left out, and a step after a gap is masked,
    since its return would be that of several steps. So is a value that is 0 or less; a finding counts both. `realised`:
    the target already is the sum of squared log-returns within each step (`tsx.panel.regularize`) and is only named.
    Covariates stay as they are.

    Raises DataError `no-target-values` where no step is left, ConfigError `column-name-taken`.
    """
    schema = derived_schema(panel.schema, transform, realised=realised)
    if realised:
        return replace(panel, schema=schema)
    not_first = np.ones(len(panel.values), dtype=np.bool_)
    not_first[panel.offsets[:-1][np.diff(panel.offsets) > 0]] = False
    not_positive = after_gap = left = 0
    values = new_array((int(np.count_nonzero(not_first)), panel.values.shape[1]))
    last, written = np.nan, 0
    for rows, series in row_chunks(panel.offsets):
        now = panel.values[rows, 0] + panel.centers[series, 0]
        before = np.concatenate([[last], now[:-1]])
        last = now[-1]
        positive = now > 0
        usable = positive & (before > 0) & not_first[rows]
        part = panel.values[rows].copy()
        part[:, 0] = np.nan
        part[usable, 0] = _changes(now[usable], before[usable], transform)
        part = part[not_first[rows]]
        values[written : written + len(part)] = part
        written += len(part)
        left += int(usable.sum())
        not_positive += int(((now <= 0) & not_first[rows]).sum())
        after_gap += int((positive & ~usable & not_first[rows]).sum())
    if not left:
        raise DataError(
            "no-target-values",
            f"no step of {len(panel):,} series has a {WORDS[transform]}: that takes two neighbouring values of "
            f"{panel.schema.target!r} over 0",
            hint="name another column with --target, or leave --transform out",
            where=panel.schema.target,
        )
    centers = panel.centers.copy()
    centers[:, 0] = 0.0
    findings = panel.findings
    if not_positive or after_gap:
        lost = not_positive + after_gap
        message = (
            f"no {WORDS[transform]} of one step can be taken of {lost:,} of {left + lost:,} values of "
            f"{panel.schema.target!r}, which are masked; 0 or less: {not_positive:,}, after one that is missing, 0 or "
            f"less: {after_gap:,}"
        )
        findings = (*findings, Finding("not-transformed", message, panel.schema.target, count=lost))
    every = np.arange(len(panel))
    rows_left = np.maximum(np.diff(panel.offsets) - 1, 0)
    return replace(
        panel,
        values=values,
        codes=panel.codes[not_first],
        offsets=np.concatenate([[0], np.cumsum(rows_left)]),
        lengths=np.maximum(panel.lengths - 1, 0),
        starts=panel.times(every, np.ones_like(every)),
        centers=centers,
        schema=schema,
        findings=findings,
    )


def derived_decision(schema: Schema) -> Decision:
    """What y is now."""
    return Decision("y", schema.target, f"--transform {schema.derived}; forecasts, scores and explanations are of it")


def _changes(now: Matrix, before: Matrix, transform: str) -> Matrix:
    if transform == "return":
        return np.asarray(now / before - 1)
    steps = np.log(now) - np.log(before)
    return steps if transform == "log-return" else np.asarray(steps**2)
