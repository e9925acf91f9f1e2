"""Which column of a table plays which part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Schema:
    """Which column of the user's table plays which part. `channels` is the order of the panel's columns of numbers.

    A table to forecast has a `target`. A table to classify has none: it has a `label`, one value for each series, and
    every column that varies over time is a past covariate.
    """

    time: str
    target: str = ""
    id: str | tuple[str, ...] | None = None
    """The column of ids, several that make the id together, or none."""
    past: tuple[str, ...] = ()
    future: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    """Constant per series; text columns become categories, numeric ones stay numbers."""
    computed: tuple[str, ...] = ()
    """Channels that are computed from the time (`tsx.panel.calendar_features`): the table has no such columns."""
    derived: str = ""
    """`return`, `log-return` or `variance` where the target is made from a `column` of the table
    (`tsx.panel.transform`); empty: the target is the column itself."""
    column: str = ""
    counts: bool = False
    """Whether forecasts are given as whole numbers."""
    label: str | None = None
    """The class of each series, constant within it; None in a table to forecast, and in one without labels."""
    together: str | None = None
    """Series with the same value of this column stay on one side of every hold-out."""
    past_words: tuple[str, ...] = ()
    """Past covariates in words, whose codes stand beside the numbers of `channels`; `future_words`: those known ahead.
    """
    future_words: tuple[str, ...] = ()

    @property
    def as_read(self) -> Schema:
        """The schema of the table itself, without what is computed from it."""
        return replace(self, target=self.column or self.target, computed=(), derived="", column="")

    @property
    def ahead(self) -> tuple[str, ...]:
        """Channels that are known after the cutoff."""
        return (*self.future, *self.computed)

    @property
    def words(self) -> tuple[str, ...]:
        """The covariates over time in words, in the order of the panel's codes."""
        return (*self.past_words, *self.future_words)

    @property
    def given_ahead(self) -> tuple[str, ...]:
        """The columns of the table that are known after the cutoff: numbers, then words."""
        return (*self.future, *self.future_words)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table that are read as inputs or as the target."""
        return (*self.channels, *self.words, *self.static)

    @property
    def channels(self) -> tuple[str, ...]:
        return (*((self.target,) if self.target else ()), *self.past, *self.ahead)

    @property
    def per_series(self) -> tuple[str, ...]:
        """The columns with one value for each series: static covariates, the label, what keeps series together."""
        return (*self.static, *(name for name in (self.label, self.together) if name is not None))

    @property
    def ids(self) -> tuple[str, ...]:
        """The columns of the table that say which series a row belongs to; empty where there is none."""
        return () if self.id is None else (self.id,) if isinstance(self.id, str) else self.id

    @property
    def id_names(self) -> tuple[str, ...]:
        """The id's columns in every output: the user's own, or `unique_id` where the table has none."""
        return self.ids or ("unique_id",)

    @property
    def id_label(self) -> str:
        """What the id is called where one name has to do: the names of all its columns."""
        return ", ".join(self.id_names)


def one_or_several(names: Sequence[str]) -> str | tuple[str, ...] | None:
    """The columns of an id as a schema and a decision hold them: one name, several, or none."""
    return tuple(names) if len(names) > 1 else names[0] if names else None
