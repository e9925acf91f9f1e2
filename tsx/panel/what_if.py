"""A panel as it would be if some columns had other values: in the rows that a forecast reads of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tsx.errors import ConfigError
from tsx.panel.panel import Panel
from tsx.spec.decision import Finding
from tsx.spec.schema import Schema
from tsx.wording import column_list, verb

WRITTEN = re.compile(r"(.+?)=(=?)([+*-]?)((?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(%?)", re.IGNORECASE)
WAYS = "price=+10%, price=-3, price=*1.2, or price==5 for the value itself"
OPERATIONS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "+": lambda values, amount: values + amount,
    "-": lambda values, amount: values - amount,
    "*": lambda values, amount: values * amount,
    "=": lambda values, amount: np.full_like(values, amount),
}


@dataclass(frozen=True)
class Change:
    """What becomes of the values of a column: `operation` (+, -, *, =) with an amount in the column's own units."""

    column: str
    operation: str
    amount: float

    def of(self, values: np.ndarray) -> np.ndarray:
        """The values (...) after it; a missing one stays missing, unless the value itself is given."""
        return OPERATIONS[self.operation](values, self.amount)


def changes_of(given: Sequence[str], schema: Schema) -> tuple[Change, ...]:
    """The changes that were asked for, one a column.

    Raises ConfigError `setting-unknown` for one that cannot be read, `column-not-found` for a column that is no
    known-future and no past covariate, `settings-contradict` for a column that is changed twice.
    """
    changes = tuple(_change(text) for text in given)
    for change in changes:
        if change.column not in (*schema.past, *schema.future):
            known = column_list((*schema.past, *schema.future)) or "none"
            raise ConfigError(
                "column-not-found",
                f"the model reads no past or known-future covariate {change.column!r}; it reads {known}",
                hint="change one of these, or fit with --past or --future",
                where="what_if",
            )
    columns = [change.column for change in changes]
    if len(set(columns)) < len(columns):
        raise ConfigError(
            "settings-contradict",
            f"{len(columns)} changes are given for {column_list(dict.fromkeys(columns))}",
            hint="give one change for each column",
            where="what_if",
        )
    return changes


def _change(text: str) -> Change:
    found = WRITTEN.fullmatch(text.strip())
    if found is not None:
        column, itself, sign, number, percent = found.groups()
        amount = float(number)
        if itself:
            if sign in ("", "+", "-") and not percent:
                return Change(column, "=", -amount if sign == "-" else amount)
        elif percent and sign in ("+", "-"):
            return Change(column, "*", 1 + amount / 100 if sign == "+" else 1 - amount / 100)
        elif not percent:
            return Change(column, sign or "=", amount)
    raise ConfigError("setting-unknown", f"what_if is {text!r}", hint=f"write it as one of {WAYS}", where="what_if")


def what_if(
    panel: Panel, changes: Sequence[Change], series: np.ndarray, cutoffs: np.ndarray, context: int, horizon: int
) -> tuple[Panel, tuple[Finding, ...]]:
    """The panel that forecasts of `series` (B) from `cutoffs` (B, positions) read, and what was noticed.

    Known-future covariates change over the horizon after the cutoff, past ones over the context up to it.
    """
    values = panel.values.copy()
    findings: list[Finding] = []
    for change in changes:
        channel = panel.schema.channels.index(change.column)
        first, last = (1, horizon) if change.column in panel.schema.future else (1 - context, 0)
        positions = cutoffs[:, None] + np.arange(first, last + 1)
        rows = panel.offsets[series][:, None] + positions
        inside = (positions >= 0) & (rows < panel.offsets[series + 1][:, None])
        whose, rows = np.broadcast_to(series[:, None], rows.shape)[inside], rows[inside]
        center = panel.centers[whose, channel]
        changed = change.of(values[rows, channel] + center)
        findings += _outside(panel, change.column, channel, whose, changed)
        values[rows, channel] = changed - center
    return replace(panel, values=values), tuple(findings)


def _outside(panel: Panel, column: str, channel: int, series: np.ndarray, changed: np.ndarray) -> list[Finding]:
    """A finding where changed values (K) of `series` (K) lie outside those that the table has."""
    of = np.repeat(np.arange(len(panel)), np.diff(panel.offsets))
    known = panel.values[:, channel] + panel.centers[of, channel]
    low, high = np.full(len(panel), np.inf), np.full(len(panel), -np.inf)
    np.fmin.at(low, of, known)
    np.fmax.at(high, of, known)
    slack = 1e-6 * np.maximum(np.abs(low), np.abs(high))  # values are float32 around their center
    beyond = (changed < (low - slack)[series]) | (changed > (high + slack)[series])
    number, total = int(beyond.sum()), int(np.isfinite(changed).sum())
    if not number:
        return []
    anywhere = int(((changed < (low - slack).min()) | (changed > (high + slack).max())).sum())
    message = (
        f"{number:,} of {total:,} values of `{column}` that --what-if asks for {verb(number, 'lies')} outside all that "
        f"the table has of the same series, {anywhere:,} of them outside that of every series: the model has learnt "
        "nothing about such values"
    )
    return [Finding("what-if-outside", message, column)]
