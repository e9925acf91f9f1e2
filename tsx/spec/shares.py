"""A share of a table: whole series of it, or some of its parts."""

from __future__ import annotations

import re
from dataclasses import dataclass

WRITTEN = re.compile(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*")


@dataclass(frozen=True)
class Share:
    """The share `number` of `of`, counted from 1; written `2/7`."""

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise ValueError(f"there is no share {self.number} of {self.of}.")

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @classmethod
    def parse(cls, text: str) -> Share:
        """Raises ValueError with a sentence for people."""
        found = WRITTEN.fullmatch(text)
        if found is None:
            raise ValueError(f"'{text}' is no share such as 2/7.")
        return cls(int(found[1]), int(found[2]))
