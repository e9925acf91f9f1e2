"""The results of all parts as one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from tsx.errors import UsageError
from tsx.explanation.report_folder import INDEX, earlier_hashes, file_hash
from tsx.explanation.shap.scratch import Scratch
from tsx.io.failures import collecting
from tsx.io.writing import sink_table
from tsx.progress import Progress, task
from tsx.spec.verbs import Request
from tsx.store.receipts import Plan, Receipt, changed, receipts_of

PART = "part"
"""The column that names the part, where results are of parts and not of series."""
AT_ONCE = 200
"""Files that are read side by side; Polars takes a thread for each, of 512."""
OF_EXPLANATIONS = "lag_importance.parquet"
"""The table of an explanation that is merged."""


@dataclass(frozen=True, eq=False)
class Merged:
    """What the parts of a folder hold together: `rows` as a lazy frame, and the receipts that they come with.

    Examples:
        >>> merged = tsx.merge("forecasts")
        >>> merged.series
        3
    """

    rows: pl.LazyFrame
    plan: Plan
    receipts: tuple[Receipt, ...]
    scratch: Scratch | None = field(default=None, repr=False)
    """Where some of the rows lie until this object goes."""

    def __repr__(self) -> str:
        return f"Merged(parts={len(self.receipts)}, series={self.series})"

    def as_frame(self) -> pl.DataFrame:
        """All rows in memory.

        >>> merged.as_frame().height
        21
        """
        with collecting("the merged table"):
            return self.rows.collect()

    @property
    def series(self) -> int:
        """Series of all parts."""
        return sum(one.series for one in self.receipts)


def merge(folder: str | Path, request: Request, progress: Progress) -> Merged:
    """The results of a run in parts as one table, as `tsx.merge` says. Raises as `tsx.merge` does."""
    if not isinstance(folder, str | Path):
        raise UsageError(
            "source-unknown",
            "results are merged from the folder that a run with --out FOLDER/ has written",
            hint="name that folder",
            where="data",
        )
    place = Path(folder)
    with task(progress, "checking the parts"):
        plan, receipts = receipts_of(place)
    rows, scratch = _together(place, plan, receipts)
    merged = Merged(rows, plan, receipts, scratch)
    if request["out"] is not None:
        with task(progress, "merging"):
            sink_table(merged.rows, request["out"])
    return merged


def _together(folder: Path, plan: Plan, receipts: Sequence[Receipt]) -> tuple[pl.LazyFrame, Scratch | None]:
    """The rows of all parts, one series after the other where they are of series, as a run in one piece has them.

    More parts than are read side by side are brought together in a scratch folder first, which goes with the object.
    """
    with collecting(str(folder), source=True):
        tables = [_table(folder, one) for one in receipts]
        if not plan.ids:
            named = [rows.select(pl.lit(one.part).alias(PART), pl.all()) for rows, one in zip(tables, receipts)]
            return pl.concat(named, how="vertical_relaxed"), None
        if len(tables) <= AT_ONCE:
            return _in_order(tables, plan.ids), None
        scratch = Scratch(folder)
        groups = [tables[k : k + AT_ONCE] for k in range(0, len(tables), AT_ONCE)]
        paths = [scratch.path / f"{k}.parquet" for k in range(len(groups))]
        for path, group in zip(paths, groups):
            sink_table(_in_order(group, plan.ids), path)
        return _in_order([pl.scan_parquet(path, glob=False) for path in paths], plan.ids), scratch


def _in_order(tables: list[pl.LazyFrame], ids: Sequence[str]) -> pl.LazyFrame:
    """The rows of tables, each in the order of its ids, in that of all. A tree: no row passes through many nodes."""
    while len(tables) > 1:
        pairs = zip(tables[::2], tables[1::2])
        odd = tables[-1:] if len(tables) % 2 else []
        tables = [a.merge_sorted(b, list(ids), maintain_order=True) for a, b in pairs] + odd
    return tables[0]


def _table(folder: Path, receipt: Receipt) -> pl.LazyFrame:
    """Raises DataError `part-changed`, of an explanation whose table is not the one that its index names."""
    output = folder / receipt.output
    if output.name == INDEX:
        output = output.with_name(OF_EXPLANATIONS)
        if file_hash(output) != earlier_hashes(output.parent).get(OF_EXPLANATIONS):
            raise changed(folder, [receipt.part], 1)
    return pl.scan_parquet(output, glob=False)
