"""Which column of a table plays which part."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Schema:
    """Which column of the user's table plays which part. `channels` is the order of the panel's columns."""

    time: str
    target: str
    id: str | None = None
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

    @property
    def as_read(self) -> Schema:
        """The schema of the table itself, without what is computed from it."""
        return replace(self, target=self.column or self.target, computed=(), derived="", column="")

    @property
    def ahead(self) -> tuple[str, ...]:
        """Channels that are known after the cutoff."""
        return (*self.future, *self.computed)

    @property
    def channels(self) -> tuple[str, ...]:
        return (self.target, *self.past, *self.ahead)

    @property
    def id_name(self) -> str:
        """The id column's name in every output: the user's own, or `unique_id` where the table has none."""
        return self.id if self.id is not None else "unique_id"
