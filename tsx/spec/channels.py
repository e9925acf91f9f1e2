"""The channels of a model: their names, which part each plays, and where it stands in an array.

Arrays over time (of a panel, a window, a batch) have the numbers that vary over time in their last dimension: the
target at `TARGET`, then the covariates at `COVARIATES`. A classifier has no target: all of its channels are past
covariates. Covariates in words have an array of codes beside it. Static covariates have arrays of their own, one of
numbers and one of codes. No other module counts positions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from tsx.spec.schema import Schema

Role = Literal["target", "past", "future", "static"]
Kind = Literal["number", "category"]

TARGET = 0
COVARIATES = slice(1, None)
LEAST_EMBEDDING, MOST_EMBEDDING = 4, 32
"""Numbers that stand for a word over time: about the root of how many words there are, within these."""


@dataclass(frozen=True)
class Channel:
    """One input of a network."""

    name: str
    role: Role
    kind: Kind = "number"
    vocabulary: tuple[str, ...] = ()
    """Of a category: the known ones, in the order of their codes from 1 (`tsx.model.categories`); code 0 is any
    other."""
    computed: bool = False
    """Computed from the time: the table has no such column."""

    @property
    def embedding(self) -> int:
        """How many numbers stand for a word over time."""
        return min(max(math.isqrt(len(self.vocabulary)), LEAST_EMBEDDING), MOST_EMBEDDING)


@dataclass(frozen=True)
class Channels:
    """The channels of a model in their order.

    Target, past, known future; past and known-future words; static numbers, static categories.
    """

    every: tuple[Channel, ...]

    @classmethod
    def of(cls, schema: Schema, vocabulary: Mapping[str, tuple[str, ...]] | None = None) -> Channels:
        """The channels of a table. `vocabulary`: as the property of this name; other static covariates are numbers."""
        categories = vocabulary or {}
        return cls(
            (
                *((Channel(schema.target, "target"),) if schema.target else ()),
                *(Channel(name, "past") for name in schema.past),
                *(Channel(name, "future") for name in schema.future),
                *(Channel(name, "future", computed=True) for name in schema.computed),
                *(Channel(name, "past", "category", tuple(categories.get(name, ()))) for name in schema.past_words),
                *(Channel(name, "future", "category", tuple(categories.get(name, ()))) for name in schema.future_words),
                *(Channel(name, "static") for name in schema.static if name not in categories),
                *(
                    Channel(name, "static", "category", known)
                    for name, known in categories.items()
                    if name not in schema.words
                ),
            )
        )

    @cached_property
    def time_varying(self) -> tuple[Channel, ...]:
        """C channels of numbers, in the order of the last dimension of arrays over time."""
        return tuple(channel for channel in self.every if channel.role != "static" and channel.kind == "number")

    @cached_property
    def words(self) -> tuple[Channel, ...]:
        """K channels of words that vary over time, past ones first, in the order of a panel's `codes`."""
        return tuple(channel for channel in self.every if channel.role != "static" and channel.kind == "category")

    @cached_property
    def words_ahead(self) -> tuple[Channel, ...]:
        """Those of `words` that are known after the cutoff: the last ones."""
        return tuple(channel for channel in self.words if channel.role == "future")

    @cached_property
    def over_time(self) -> tuple[Channel, ...]:
        """C + K channels: numbers, then words."""
        return (*self.time_varying, *self.words)

    @property
    def covariates(self) -> tuple[Channel, ...]:
        """C - 1 channels, in the order of `COVARIATES`."""
        return self.time_varying[COVARIATES]

    @cached_property
    def ahead(self) -> tuple[Channel, ...]:
        """F channels that are known after the cutoff, in the order of a batch's `future`."""
        return tuple(channel for channel in self.time_varying if channel.role == "future")

    @cached_property
    def given_ahead(self) -> tuple[Channel, ...]:
        """Those of `ahead` that the table has, which come first: what is computed from the time is not among them."""
        return tuple(channel for channel in self.ahead if not channel.computed)

    @cached_property
    def ahead_positions(self) -> slice:
        """Where the channels that are known after the cutoff stand among the time-varying ones."""
        count = len(self.time_varying)
        return slice(count - len(self.ahead), count)

    @cached_property
    def static(self) -> tuple[Channel, ...]:
        """Channels with one value per series: numbers, then categories."""
        return (*self.static_numbers, *self.static_categories)

    @cached_property
    def static_numbers(self) -> tuple[Channel, ...]:
        """In the order of a panel's `static_values`."""
        return tuple(channel for channel in self.every if (channel.role, channel.kind) == ("static", "number"))

    @cached_property
    def static_categories(self) -> tuple[Channel, ...]:
        """In the order of a batch's `static_codes`."""
        return tuple(channel for channel in self.every if (channel.role, channel.kind) == ("static", "category"))

    @property
    def vocabulary(self) -> dict[str, tuple[str, ...]]:
        """The known categories by channel, in the order of their codes from 1."""
        return {channel.name: channel.vocabulary for channel in (*self.words, *self.static_categories)}

    @property
    def static_vocabulary(self) -> dict[str, tuple[str, ...]]:
        """Those of static covariates alone."""
        return {channel.name: channel.vocabulary for channel in self.static_categories}


def embedded_size(channels: Iterable[Channel]) -> int:
    """How many numbers stand for the words of one time, of all these channels."""
    return sum(channel.embedding for channel in channels)


TARGET_ALONE = Channels((Channel("y", "target"),))
