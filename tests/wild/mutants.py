"""Real tables in every format, and spoilt copies of them: mutant n of a seed is the same bytes in every run."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

import polars as pl

from tests.wild.cases_files import feather, ipc, parquet, zstd
from tsx.spec.settings import Reading, Roles

ROWS = 400
Mutation = Callable[[random.Random, bytes], bytes]


def sample(name: str) -> pl.DataFrame:
    return pl.read_parquet(files("tsx.sample_data") / f"{name}.parquet")


def delimited(frame: pl.DataFrame, separator: str, *, comma: bool = False) -> bytes:
    return frame.write_csv(separator=separator, decimal_comma=comma, datetime_format="%Y-%m-%d %H:%M:%S").encode()


@cache
def originals() -> dict[str, bytes]:
    """Files by name, about 400 rows each: trading days of two tickers, glucose of two donors."""
    stocks = sample("stocks_daily").group_by("symbol", maintain_order=True).head(ROWS // 2).head(ROWS)
    sugar = sample("glucose_real").group_by("donor", maintain_order=True).head(ROWS // 2).head(ROWS)
    closes = stocks.pivot("symbol", index="date", values="close").sort("date")
    epochs = sugar.with_columns(pl.col("time").dt.epoch("s"))
    european = stocks.with_columns(pl.col("date").dt.strftime("%d.%m.%Y"))
    preamble = b"Report of the desk\nMade on demand\n\n"
    return {
        "stocks.csv": delimited(stocks, ","),
        "sugar.tsv": delimited(sugar, "\t"),
        "european.csv": delimited(european, ";", comma=True),
        "epochs.csv": delimited(epochs, ","),
        "wide.csv": delimited(closes, ","),
        "preamble.csv": preamble + delimited(sugar, ",").replace(b"\n", b"\r\n"),
        "stocks.csv.gz": gzip.compress(delimited(stocks, ","), mtime=0),
        "sugar.csv.zst": zstd(delimited(sugar, ",")),
        "stocks.parquet": parquet(stocks),
        "sugar.parquet": parquet(sugar.with_columns(pl.col("donor").cast(pl.Categorical))),
        "stocks.arrow": ipc(stocks),
        "sugar.feather": feather(sugar),
        "sugar.jsonl": sugar.write_ndjson().encode(),
    }


# ---------------------------------------------------------------------------------------------- ways to spoil bytes


def flip(draw: random.Random, data: bytes) -> bytes:
    spoilt = bytearray(data)
    # Half of the time near the end, where Parquet and Arrow keep what they need most.
    low = max(0, len(spoilt) - 2000) if draw.random() < 0.5 else 0
    for _ in range(draw.choice((1, 1, 2, 8, 64))):
        spoilt[draw.randrange(low, len(spoilt))] ^= 1 << draw.randrange(8)
    return bytes(spoilt)


def overwrite(draw: random.Random, data: bytes) -> bytes:
    at, length = draw.randrange(len(data)), draw.choice((1, 4, 30, 300))
    return data[:at] + draw.choice((draw.randbytes(length), b"\xff" * length, b"\0" * length)) + data[at + length :]


def delete(draw: random.Random, data: bytes) -> bytes:
    at = draw.randrange(len(data))
    return data[:at] + data[at + draw.choice((1, 3, 50, 1000)) :]


def truncate(draw: random.Random, data: bytes) -> bytes:
    return data[: draw.randrange(len(data))]


def behead(draw: random.Random, data: bytes) -> bytes:
    return data[draw.randrange(1, len(data)) :]


def duplicate(draw: random.Random, data: bytes) -> bytes:
    at = draw.randrange(len(data))
    part = data[at : at + draw.choice((1, 20, 500, 5000))]
    return data[:at] + part * draw.choice((2, 2, 9)) + data[at + len(part) :]


def insert(draw: random.Random, data: bytes) -> bytes:
    for _ in range(draw.choice((1, 1, 3, 20))):
        at = draw.randrange(len(data))
        what = draw.choice(
            (
                b"\0",
                b'"',
                b"'",
                b",",
                b";",
                b"\t",
                b"\n",
                b"\r",
                b"\r\n\r\n",
                b"\xef\xbb\xbf",
                b"\xff\xfe",
                b"\xc3\x28",
                b"-",
                b"NA",
                b"1e999",
                b"9" * 40,
                b"inf",
                b"{",
                b"}",
                b"=1+1",
                "\u202e".encode(),
                b"," * 300,
            )
        )
        data = data[:at] + what + data[at:]
    return data


def double(draw: random.Random, data: bytes) -> bytes:
    return data + data


def append(draw: random.Random, data: bytes) -> bytes:
    return data + draw.choice(list(originals().values()))[: draw.choice((10, 500, 10**6))]


# ---------------------------------------------------------------------------------------------- ways to spoil lines


def cut_lines(draw: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    at, length = draw.randrange(len(lines)), draw.choice((1, 1, 5, 100))
    return b"".join(lines[:at] + lines[at + length :])


def repeat_lines(draw: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    at = draw.randrange(len(lines))
    return b"".join(lines[: at + 1] * draw.choice((1, 2)) + lines[at:])


def shuffle_lines(draw: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    draw.shuffle(lines)
    return b"".join(lines)


def cut_line_ends(draw: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    for _ in range(draw.choice((1, 5))):
        at = draw.randrange(len(lines))
        lines[at] = lines[at][: draw.randrange(len(lines[at]))] + draw.choice((b"", b"\n"))
    return b"".join(lines)


def drop_column(draw: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    separator = draw.choice((b",", b";", b"\t"))
    place = draw.randrange(8)
    only = draw.random() < 0.3 and draw.randrange(len(lines))
    for n, line in enumerate(lines):
        cells = line.split(separator)
        if len(cells) > 1 and (only is False or n == only):
            lines[n] = separator.join(cells[:place] + cells[place + 1 :])
    return b"".join(lines)


def change_cells(draw: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    for _ in range(draw.choice((1, 3, 40))):
        at = draw.randrange(len(lines))
        cells = lines[at].split(b",")
        cells[draw.randrange(len(cells))] = draw.choice(
            (
                b"",
                b" ",
                b"NA",
                b"-999",
                b"1e308",
                b"-inf",
                b"0000-00-00",
                b"2924-02-30",
                b"9999-12-31",
                b"0001-01-01",
                b"1.2.3",
                b"12:61",
                b"x" * 5000,
                b"9223372036854775808",
                b"-9223372036854775808",
                b"''",
                b'"',
                b"\xe9",
            )
        )
        lines[at] = b",".join(cells)
    return b"".join(lines)


def change_separators(draw: random.Random, data: bytes) -> bytes:
    old, new = draw.sample((b",", b";", b"\t", b".", b" ", b"\n", b'"', b"-", b":"), 2)
    return data.replace(old, new, draw.choice((1, 50, -1)))


BYTES: tuple[Mutation, ...] = (flip, flip, flip, overwrite, delete, truncate, behead, duplicate, insert, double, append)
LINES: tuple[Mutation, ...] = (
    *(cut_lines, repeat_lines, shuffle_lines, cut_line_ends, drop_column, drop_column, change_cells, change_cells),
    *(change_separators, insert, flip),
)


WISHES = (
    {"wide": True},
    {"id_from": "filename"},
    {"time_format": "day-first"},
    {"time_format": "epoch-s"},
    {"decimal": ","},
    {"time_format": "%Y-%m-%d %H:%M:%S"},
    {"zone": "America/New_York"},
    {"missing": ("-999", "LOW")},
    {"decimal": "."},
    {"duplicates": "last"},
    {"duplicates": "mean"},
    {"regularize": "last"},
    {"regularize": "mean"},
    {"max_rows": 100},
    {"regularize": "none"},
    {"max_rows": 10**9},
)
COLUMNS = ("symbol", "date", "close", "volume", "donor", "time", "glucose_mg_dl", "isig_na", "AAPL", "nothing")


def wishes(seed: int, number: int) -> tuple[Roles, Reading]:
    """What is asked for beside the file: in half of the cases nothing."""
    draw = random.Random(f"{seed}/{number}/wishes")
    if draw.random() < 0.5:
        return Roles(), Reading()
    reading: dict[str, Any] = {}
    for wish in draw.choices(WISHES, k=draw.choice((0, 1, 2))):
        reading |= wish
    names = draw.sample(COLUMNS, 5)
    parts = {"id": names[0], "time": (names[1],), "target": tuple(names[2 : draw.choice((3, 4))]), "past": (names[4],)}
    roles: dict[str, Any] = {part: value for part, value in parts.items() if draw.random() < 0.2}
    return Roles(**roles), Reading(**reading)


def mutant(seed: int, number: int) -> tuple[str, bytes]:
    """A file's name and its spoilt bytes. One in five is spoilt inside its packing, one in ten also misnamed."""
    draw = random.Random(f"{seed}/{number}")
    # The texts thrice: packed and binary files are mostly refused at once.
    name = draw.choice([n for n in originals() for _ in range(3 if n.endswith((".csv", ".tsv", ".jsonl")) else 1)])
    data = originals()[name]
    unpack = name.endswith(".gz") and draw.random() < 0.8
    if unpack:
        data = gzip.decompress(data)
    textual = unpack or name.endswith((".csv", ".tsv", ".jsonl"))
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        ways = LINES if textual and draw.random() < 0.85 else BYTES
        if len(data) > 1:  # nothing is left of a single byte
            data = draw.choice(ways)(draw, data) or b"\n"
    if unpack:
        data = gzip.compress(data, mtime=0)
    if draw.random() < 0.1:
        name = "stray" + draw.choice((".csv", ".parquet", ".jsonl", ".csv.gz", ".arrow", ".txt"))
    return name, data
