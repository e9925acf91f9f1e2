"""What a row of the table may be asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """How often contestants take turns; rows of the large table; series that are forecast, and that are explained."""

    rounds: int
    rows: int
    series: int
    explained: int
