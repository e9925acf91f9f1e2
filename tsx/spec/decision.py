"""What was decided for the user and why, and what was seen in the data that a user should know."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from tsx.progress import Progress
from tsx.spec.findings import SEVERITIES, Severity


@dataclass(frozen=True)
class Decision:
    """One value that was chosen for the user: `name`, `value` (JSON-able) and the `reason` in words."""

    name: str
    value: Any
    reason: str


def announce(decisions: Sequence[Decision], progress: Progress) -> None:
    """Report the decisions before the work that depends on them begins."""
    for decision in decisions:
        progress.decided(decision.name, decision.value, decision.reason)


def with_newer(decisions: Sequence[Decision], *newer: Decision) -> tuple[Decision, ...]:
    """The decisions in their order, each replaced with the newer one of its name where there is one."""
    by_name = {decision.name: decision for decision in newer}
    return tuple(by_name.get(decision.name, decision) for decision in decisions)


def without(decisions: Sequence[Decision], names: Collection[str]) -> tuple[Decision, ...]:
    """The decisions in their order, but those of these names."""
    return tuple(decision for decision in decisions if decision.name not in names)


@dataclass(frozen=True)
class Finding:
    """Something seen in the data that a user should know: a `code`, the `message` with counts, and `where`.

    `values` quotes the data itself (ids, cells, dates) and is shown on request only; nothing stores it. `count`: how
    many series, rows, cells or columns it is about; None where nothing is counted.
    """

    code: str
    message: str
    where: str = ""
    values: str = field(default="", repr=False)
    count: int | None = None

    @property
    def severity(self) -> Severity:
        """`warning`: something may be wrong with the table, or with what is made of it; `note`: good to know."""
        return SEVERITIES.get(self.code, "note")

    def to_dict(self) -> dict[str, Any]:
        """The finding as a program reads it: without the values."""
        return {
            "code": self.code,
            "severity": self.severity,
            "count": self.count,
            "message": self.message,
            "where": self.where,
        }

    def stored(self) -> dict[str, Any]:
        """The finding as a model keeps it: its severity follows from its code."""
        return {name: value for name, value in self.to_dict().items() if name != "severity"}
