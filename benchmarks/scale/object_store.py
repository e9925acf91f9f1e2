"""The row about data where it lies: Parquet from an S3 server on loopback beside the same file on the disk."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.scale.rows import Asked
from benchmarks.speed.rows import Figure, clocked, ratio, show, take_turns
from tests.io.s3_server import options, s3_server
from tsx.io.remote import stores_opened_with
from tsx.io.source import scan
from tsx.panel.reading import read_panel
from tsx.spec.schema import Schema

SERIES, EACH = 1_000, 5_000
HOUR = 3_600_000_000


def object_store(asked: Asked) -> Figure:
    """Reading a panel from it. Needs `moto_server`, as `tests/io/s3_server.py` says."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sales.parquet"
        _make(file)
        with s3_server({file.name: file}) as address, stores_opened_with(options(address)):
            contestants = {
                "S3 on loopback": clocked(lambda: _read(f"s3://bucket/{file.name}")),
                "file": clocked(lambda: _read(str(file))),
                "Polars alone, S3": clocked(lambda: _polars_alone(f"s3://bucket/{file.name}", options(address))),
                "Polars alone, file": clocked(lambda: _polars_alone(str(file), None)),
            }
            turns = take_turns(contestants, asked.rounds)
    title = f"{SERIES * EACH / 1e6:.0f} million rows of Parquet to a panel"
    show(title, turns, "file")
    alone = ratio(turns, "Polars alone, S3", "Polars alone, file")
    here = f"{ratio(turns, 'S3 on loopback', 'file'):.2f}; Polars alone {alone:.2f}"
    return Figure("object-store", f"{title}: S3 server on loopback / local file", here, "1.3", "1.1")


def _read(source: str) -> object:
    return read_panel(scan(source).rows, Schema("time", "y", "id"))


def _polars_alone(source: str, keys: dict[str, str] | None) -> object:
    return pl.scan_parquet(source, storage_options=keys).collect(engine="streaming")


def _make(file: Path) -> None:
    random = np.random.default_rng(0)
    ids = pl.Series("id", [f"s{n:06d}" for n in range(SERIES)]).gather(np.repeat(np.arange(SERIES), EACH))
    time = pl.Series("time", np.tile(np.arange(EACH), SERIES) * HOUR).cast(pl.Datetime("us"))
    y = pl.Series("y", random.normal(size=SERIES * EACH))
    pl.DataFrame([ids, time, y]).write_parquet(file, row_group_size=500_000)
