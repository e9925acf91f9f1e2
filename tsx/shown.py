"""How a result shows itself: as HTML in a notebook, as a chart, as a pandas frame, as a report in a file.

Results know only their data. `tsx.report.views` holds how each kind of them is shown and is loaded by its name when
that is first asked for, so that no module below it imports it.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsx.progress import SILENT, Progress

if TYPE_CHECKING:
    import altair
    import pandas
    import polars as pl

VIEWS = "tsx.report.views"
NOTEBOOK = "tsx.report.notebook"


class Shown:
    """What a verb returns: it shows itself in a notebook, as a chart and as a pandas frame."""

    def as_frame(self) -> pl.DataFrame:
        """The table that best stands for the result, as a Polars frame."""
        raise NotImplementedError

    def to_pandas(self) -> pandas.DataFrame:
        """The table that best stands for the result, as a pandas frame.

        Raises ModuleNotFoundError where pandas is not installed.

            >>> tsx.inspect("sales.parquet").to_pandas()
        """
        return self.as_frame().to_pandas()

    def plot(self) -> altair.TopLevelMixin:
        """A chart of the result, which a notebook shows; `.save("chart.png")` writes it.

        Raises UsageError `nothing-to-plot` where the result holds nothing to draw.

            >>> tsx.inspect("sales.parquet").plot().save("series.html")
        """
        chart: altair.TopLevelMixin = import_module(VIEWS).chart(self)
        return chart

    def _repr_html_(self) -> str:
        html: str = import_module(VIEWS).html(self)
        return html


def write_folder(explanation: Any, folder: str | Path, kinds: tuple[str, ...]) -> list[Path]:
    """Write the tables of an explanation and its reports of these kinds into a folder, and give their paths."""
    paths: list[Path] = import_module(VIEWS).write_folder(explanation, folder, kinds)
    return paths


def write_file(explanation: Any, kind: str, path: str | Path) -> Path:
    """Write the report of one kind as a file by itself, and give its path."""
    written: Path = import_module(VIEWS).write_file(explanation, kind, path)
    return written


def write_dashboard(monitoring: Any, folder: str | Path) -> Path:
    """Write the page of what `tsx monitor` found into a folder, and give its path."""
    written: Path = import_module(VIEWS).write_dashboard(monitoring, Path(folder))
    return written


def watcher() -> Progress:
    """Who watches where nobody is named: a bar under the cell of a notebook, otherwise nobody."""
    if not in_notebook():
        return SILENT
    bar: Progress = import_module(NOTEBOOK).Bar()
    return bar


@cache
def in_notebook() -> bool:
    """Whether this program is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")
