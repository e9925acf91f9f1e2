"""Series that are read as images: a step is a row, numbered columns of the table stand side by side.

Shapes: T steps, W columns, P players.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tsx.explanation.classes.cells import SeriesCells
from tsx.explanation.shap.players import Players
from tsx.model.classifier import Classifier

NUMBERED = re.compile(r"(.*?)(\d+)(\D*)")
FEWEST, MOST_UNEQUAL = 4, 4
"""Rows and columns of an image at least, and how many times as long as the other one side is at most."""


@dataclass(frozen=True)
class Image:
    """The columns of a table from left to right, those of one value included, and the rows of every series."""

    columns: tuple[str, ...]
    rows: int

    @property
    def words(self) -> str:
        return f"{self.rows} steps of {len(self.columns)} numbered columns, as the rows of an image"

    def spread(self, values: np.ndarray, players: Players, cells: SeriesCells) -> np.ndarray:
        """Values (..., P) of players as (..., T, W), the first step first: the cells of one share its value evenly.

        0 where nobody plays, as in a column that the classifier does not read.
        """
        return self.of_channels(players.by_cell(values)[..., : cells.numbers_over_time], cells, 0.0)

    def of_channels(self, values: np.ndarray, cells: SeriesCells, elsewhere: float) -> np.ndarray:
        """Values (..., T * C) of the cells over time as (..., T, W), `elsewhere` in columns that are no channel."""
        names = [channel.name for channel in cells.config.channels.time_varying]
        out = np.full((*values.shape[:-1], cells.steps, len(self.columns)), elsewhere)
        out[..., [self.columns.index(name) for name in names]] = values.reshape(*values.shape[:-1], cells.steps, -1)
        return out


def image_of(classifier: Classifier, lengths: np.ndarray) -> Image | None:
    """The image that series of these `lengths` are; None where they are none.

    They are as long as each other, and the classifier reads columns that are numbered one after the other. Between
    them, and beside them, may stand such columns of a single value, which it does not read.
    """
    channels, steps = classifier.config.channels, int(lengths.max(initial=0))
    names = [channel.name for channel in channels.time_varying]
    if channels.words or steps > classifier.config.context_length or len(np.unique(lengths)) != 1:
        return None
    unused = [name for each in classifier.decisions if each.name == "unused_columns" for name in each.value]
    columns = _numbered(names, unused)
    short, long = sorted((len(columns), steps))
    return Image(columns, steps) if short >= FEWEST and long <= MOST_UNEQUAL * short else None


def columns_of(classifier: Classifier, image: Image | None) -> tuple[str, ...]:
    """The columns side by side: of an image, or those of numbers over time as the classifier reads them."""
    numbers = classifier.config.channels.time_varying
    return tuple(channel.name for channel in numbers) if image is None else image.columns


def _numbered(names: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    """The columns in the order of the numbers in their names, which have no gap; none where they are not numbered."""
    parts = {name: match.groups() for name in (*names, *others) if (match := NUMBERED.fullmatch(name))}
    frames = {(parts[name][0], parts[name][2]) if name in parts else None for name in names}
    if len(frames) != 1 or None in frames:
        return ()
    number = {name: int(digits) for name, (before, digits, after) in parts.items() if (before, after) in frames}
    found = sorted(number, key=lambda name: number[name])
    first = number[found[0]]
    return tuple(found) if [number[name] - first for name in found] == list(range(len(found))) else ()
