"""Files: packing, encoding, separators, what stands around the table, formats, several files."""

from __future__ import annotations

import gzip
import importlib.util
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

from tests.wild.truth import (
    DAILY,
    HOURLY,
    LARGE,
    ONE,
    Case,
    Truth,
    bad,
    file,
    files,
    good,
    holed,
    iso,
    number,
    text,
)
from tsx.spec.settings import Reading, Roles

CSV = text(DAILY)
LINES = CSV.splitlines(keepends=True)
UMLAUTS = DAILY.named("Käßlein", "Müller", "Ölberg")
BLANK = DAILY.named("am ber", "be;ry,l", 'co"ral')
BY_NAME = Reading(id_from="filename")
ONES = text(ONE, names=("ds", "y"))


def frame(truth: Truth, names: tuple[str, ...] = ("id", "ds", "y"), dtype: Any = None) -> pl.DataFrame:
    made = pl.DataFrame(truth.rows, schema=list(names), orient="row")
    return made.cast({names[1]: dtype}) if dtype is not None else made


def parquet(made: pl.DataFrame) -> bytes:
    sink = io.BytesIO()
    made.write_parquet(sink)
    return sink.getvalue()


def ipc(made: pl.DataFrame, *, stream: bool = False) -> bytes:
    sink = io.BytesIO()
    made.write_ipc_stream(sink) if stream else made.write_ipc(sink)
    return sink.getvalue()


def feather(made: pl.DataFrame) -> bytes:
    sink = io.BytesIO()
    pyarrow.feather.write_feather(made.to_arrow(), sink, compression="zstd")
    return sink.getvalue()


def jsonl(truth: Truth, names: tuple[str, ...] = ("id", "ds", "y")) -> str:
    return "".join(json.dumps(dict(zip(names, [i, iso(t), y], strict=True))) + "\n" for i, t, y in truth.rows)


def zstd(data: bytes) -> bytes:
    packed: bytes = pa.Codec("zstd").compress(data, asbytes=True)
    return packed


def xlsx(rows: Sequence[Sequence[str | float]]) -> bytes:
    """A smallest workbook with cells of text and of numbers."""

    def cell(content: str | float) -> str:
        if isinstance(content, str):
            return f'<c t="inlineStr"><is><t>{content}</t></is></c>'
        return f"<c><v>{content}</v></c>"

    sheet = "".join(f'<row r="{r}">{"".join(map(cell, row))}</row>' for r, row in enumerate(rows, start=1))
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    papers = "http://schemas.openxmlformats.org/package/2006"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{papers}/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{papers}/relationships"><Relationship Id="r1" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        '<sheet name="one" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{papers}/relationships"><Relationship Id="r1" '
        f'Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{sheet}</sheetData></worksheet>',
    }
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>' + content)
    return sink.getvalue()


@cache
def bomb() -> bytes:
    """100 kB that unpack to 100 MB of one endless row."""
    sink = io.BytesIO()
    with gzip.GzipFile(fileobj=sink, mode="wb", mtime=0) as packer:
        packer.write(b"id,ds,y\n")
        for _ in range(100):
            packer.write(b"0" * 2**20)
    return sink.getvalue()


def rows_forged() -> bytes:
    """A Parquet file of 113 rows whose footer speaks of 2^40 everywhere."""
    data = parquet(frame(DAILY))
    at = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    # Numbers are zigzagged varints there: 113 is e2 01, and 2^40 takes six bytes.
    forged = data[at:-8].replace(b"\xe2\x01", b"\x80\x80\x80\x80\x80\x40")
    assert forged != data[at:-8]
    return data[:at] + forged + len(forged).to_bytes(4, "little") + b"PAR1"


def cut(data: bytes, share: float = 0.6) -> bytes:
    return data[: int(len(data) * share)]


def padded(truth: Truth) -> str:
    rows = [("id", "ds", "y"), *((i, iso(t), f"{y:.2f}") for i, t, y in truth.rows)]
    return "".join(f"{i:<12}{t:<22}{y:>10}\n" for i, t, y in rows)


def with_folder(contents: dict[str, str | bytes]) -> Callable[[Path], Path]:
    return files(contents, folder=True)


def parts(order: int = 1) -> dict[str, str | bytes]:
    chunks = [LINES[1:50], LINES[50:80], LINES[80:]][::order]
    return {f"part-{n}.csv": "".join([LINES[0], *chunk]) for n, chunk in enumerate(chunks)}


def per_file(suffix: str = ".csv") -> dict[str, str | bytes]:
    return {f"{one.id}{suffix}": text(DAILY.only(n), names=("ds", "y")) for n, one in enumerate(DAILY.series)}


PREAMBLE = "Meter report\nSite:,north\nExported by the logger on demand\n\n"
SHEET: list[list[str | float]] = [["id", "ds", "y"], *([i, iso(t), y] for i, t, y in DAILY.rows)]
WORKBOOKS: dict[str, Callable[[Path], Path]] = {
    "an Excel workbook": file("a.xlsx", xlsx(SHEET)),
    "an Excel workbook of text": file("a.xlsx", xlsx([list(map(str, row)) for row in SHEET])),
    "an Excel workbook with lines before the table": file("a.xlsx", xlsx([["Report of the north"], [], *SHEET])),
    "an Excel workbook that is called csv": file("a.csv", xlsx(SHEET)),
    "an Excel workbook on stdin": file("in", xlsx(SHEET)),
}
EXCEL = [
    good(name, write, DAILY, stdin="stdin" in name)
    if importlib.util.find_spec("fastexcel") is not None
    else bad(name, write, "excel-missing", stdin="stdin" in name)
    for name, write in WORKBOOKS.items()
]
QUIET = ("time", "id", "target", "freq")

CASES: list[Case] = [
    good("a plain CSV", file("a.csv", CSV), DAILY, decisions=QUIET),
    good("a TSV by its name", file("a.tsv", text(DAILY, sep="\t")), DAILY),
    good("tabs in a file called csv", file("a.csv", text(DAILY, sep="\t")), DAILY, decisions=("separator",)),
    good("a TXT file with commas", file("a.txt", CSV), DAILY),
    good("semicolons", file("a.csv", text(DAILY, sep=";")), DAILY, decisions=("separator",)),
    good("semicolons in a file called tsv", file("a.tsv", text(DAILY, sep=";")), DAILY, decisions=("separator",)),
    good("single blanks", file("a.csv", text(DAILY, sep=" ")), DAILY, decisions=("separator",)),
    good("columns aligned with blanks", file("a.txt", padded(DAILY)), DAILY, decisions=("separator",)),
    good("commas with a blank after each", file("a.csv", CSV.replace(",", ", ")), DAILY),
    good("gzip", file("a.csv.gz", gzip.compress(CSV.encode())), DAILY),
    good("gzip of a TSV", file("a.tsv.gz", gzip.compress(text(DAILY, sep="\t").encode())), DAILY),
    good("gzip that is called csv", file("a.csv", gzip.compress(CSV.encode())), DAILY),
    good(
        "gzip of two members",
        file("a.csv.gz", gzip.compress(CSV[:900].encode()) + gzip.compress(CSV[900:].encode())),
        DAILY,
    ),
    good("zstd", file("a.csv.zst", zstd(CSV.encode())), DAILY),
    good("zstd of semicolons", file("a.csv.zst", zstd(text(DAILY, sep=";").encode())), DAILY),
    good("gzip of JSON lines", file("a.jsonl.gz", gzip.compress(jsonl(DAILY).encode())), DAILY),
    good("a byte order mark", file("a.csv", b"\xef\xbb\xbf" + CSV.encode()), DAILY),
    good(
        "a byte order mark before quotes",
        file("a.csv", b"\xef\xbb\xbf" + text(DAILY, always_quote=True).encode()),
        DAILY,
    ),
    good("UTF-8 with umlauts", file("a.csv", text(UMLAUTS)), UMLAUTS),
    good("Latin-1", file("a.csv", text(UMLAUTS).encode("latin-1")), UMLAUTS, decisions=("encoding",)),
    good(
        "Latin-1 with semicolons and decimal commas",
        file("a.csv", text(UMLAUTS, sep=";", value=number(",")).encode("latin-1")),
        UMLAUTS,
        decisions=("encoding",),
    ),
    good("UTF-16", file("a.csv", text(UMLAUTS).encode("utf-16")), UMLAUTS, decisions=("encoding",)),
    good("CRLF", file("a.csv", text(DAILY, end="\r\n")), DAILY),
    good("no line end at the end", file("a.csv", CSV.rstrip("\n")), DAILY),
    good("every cell quoted", file("a.csv", text(DAILY, always_quote=True)), DAILY),
    good("separators and quotes in quoted ids", file("a.csv", text(BLANK)), BLANK),
    good(
        "a line end in a quoted id",
        file("a.csv", text(DAILY.named("am\nber", "beryl", "coral"))),
        DAILY.named("am\nber", "beryl", "coral"),
    ),
    good(
        "blanks around cells", file("a.csv", text(DAILY, id=lambda i: f"  {i} ", value=lambda y: f" {y:.2f} ")), DAILY
    ),
    good("decimal commas", file("a.csv", text(DAILY, sep=";", value=number(","))), DAILY, decisions=("decimal",)),
    good(
        "decimal commas, quoted between commas",
        file("a.csv", text(DAILY, value=number(","))),
        DAILY,
        decisions=("decimal",),
    ),
    good("thousands marked by commas", file("a.csv", text(LARGE, sep=";", value=number(".", ","))), LARGE),
    good(
        "thousands marked by points",
        file("a.csv", text(LARGE, sep=";", value=number(",", "."))),
        LARGE,
        decisions=("decimal",),
    ),
    good("thousands marked by blanks", file("a.csv", text(LARGE, sep=";", value=number(",", " "))), LARGE),
    good("thousands marked by narrow blanks", file("a.csv", text(LARGE, sep=";", value=number(",", "\u202f"))), LARGE),
    good("thousands marked by apostrophes", file("a.csv", text(LARGE, sep=";", value=number(".", "'"))), LARGE),
    bad(
        "numbers that are thousands or decimals",
        file("a.csv", text(DAILY.mapped(lambda y: 1000 * int(y)), sep=";", value=number(".", ","))),
        "decimal-ambiguous",
    ),
    good(
        "numbers that are thousands, once that is said",
        file("a.csv", text(DAILY.mapped(lambda y: 1000.0 * int(y)), sep=";", value=number(".", ","))),
        DAILY.mapped(lambda y: 1000.0 * int(y)),
        reading=Reading(decimal="."),
    ),
    good("lines before the header", file("a.csv", PREAMBLE + CSV), DAILY, decisions=("first_line",)),
    good(
        "comments before the header", file("a.csv", "# exported\n# station 4\n" + CSV), DAILY, decisions=("first_line",)
    ),
    good("blank lines before the header", file("a.csv", "\n\n" + CSV), DAILY),
    good(
        "blank lines between the rows",
        file("a.csv", "\n".join([*CSV.splitlines()[:9], "", *CSV.splitlines()[9:], ""]) + "\n\n"),
        DAILY,
        findings=("blank-lines",),
    ),
    good("a footer of words", file("a.csv", CSV + "End of the report\n"), DAILY, findings=("footer-dropped",)),
    good(
        "a footer of a total",
        file("a.csv", CSV + "\nTotal,,6151.05\n"),
        DAILY,
        findings=("blank-lines", "footer-dropped"),
    ),
    good(
        "lines before and after",
        file("a.csv", PREAMBLE + CSV + "\n-- 113 rows --\n"),
        DAILY,
        decisions=("first_line",),
        findings=("footer-dropped",),
    ),
    good(
        "an unnamed index column",
        file("a.csv", "".join([f",{LINES[0]}", *(f"{n},{line}" for n, line in enumerate(LINES[1:]))])),
        DAILY,
        decisions=("unnamed_columns",),
    ),
    good(
        "an unnamed id column", file("a.csv", text(DAILY, names=("", "ds", "y"))), DAILY, decisions=("unnamed_columns",)
    ),
    good("separators at the line ends", file("a.csv", text(DAILY, trailing=True)), DAILY),
    good(
        "separators at the ends of the rows only",
        file("a.csv", LINES[0] + "".join(line.rstrip("\n") + ",\n" for line in LINES[1:])),
        DAILY,
    ),
    good("semicolons at the line ends", file("a.csv", text(DAILY, sep=";", trailing=True)), DAILY),
    good(
        "names with blanks and brackets",
        file("a.csv", text(DAILY, names=("Patient No.", "Date & time", "Glucose [mg/dL] (raw)"))),
        DAILY,
    ),
    good("names with quotes and commas", file("a.csv", text(DAILY, names=('the "id"', "ds", "y, in '%'"))), DAILY),
    good("names in other scripts", file("a.csv", text(DAILY, names=("患者", "日付", "क़ीमत"))), DAILY),
    good("names with emoji and accents", file("a.csv", text(DAILY, names=("série", "ds", "température 🌡️"))), DAILY),
    good(
        "names with blanks around them",
        file("a.csv", text(DAILY, names=(" id ", " ds", "y "))),
        DAILY,
        roles=Roles(id=("id",), time=("ds",), target=("y",)),
    ),
    good("Parquet", file("a.parquet", parquet(frame(DAILY))), DAILY, decisions=QUIET),
    good("Parquet of hours in nanoseconds", file("a.parquet", parquet(frame(HOURLY, dtype=pl.Datetime("ns")))), HOURLY),
    good("Parquet of hours in milliseconds", file("a.pq", parquet(frame(HOURLY, dtype=pl.Datetime("ms")))), HOURLY),
    good(
        "Parquet with dates in text",
        file("a.parquet", parquet(frame(DAILY).with_columns(pl.col("ds").cast(pl.String)))),
        DAILY,
    ),
    good(
        "Parquet with ids as categories",
        file("a.parquet", parquet(frame(DAILY).with_columns(pl.col("id").cast(pl.Categorical)))),
        DAILY,
    ),
    good(
        "Parquet with ids that are numbers",
        file("a.parquet", parquet(frame(DAILY.named(7, 12, 100)))),
        DAILY.named(7, 12, 100),
    ),
    good(
        "Parquet with decimals",
        file("a.parquet", parquet(frame(DAILY).with_columns(pl.col("y").cast(pl.Decimal(12, 2))))),
        DAILY,
    ),
    good(
        "Parquet with numbers in text",
        file("a.parquet", parquet(frame(DAILY).with_columns(pl.col("y").cast(pl.String)))),
        DAILY,
    ),
    good(
        "Parquet with a column of lists",
        file("a.parquet", parquet(frame(DAILY).with_columns(pl.lit([1, 2]).alias("trace")))),
        DAILY,
    ),
    good("Parquet that is called csv", file("a.csv", parquet(frame(DAILY))), DAILY),
    good("Arrow IPC", file("a.arrow", ipc(frame(DAILY))), DAILY),
    good("Arrow IPC as a stream", file("a.arrows", ipc(frame(DAILY), stream=True)), DAILY),
    good("Feather", file("a.feather", feather(frame(DAILY))), DAILY),
    good("JSON lines", file("a.jsonl", jsonl(DAILY)), DAILY),
    good("JSON lines, newest first", file("a.ndjson", "\n".join(jsonl(DAILY).splitlines()[::-1])), DAILY),
    good("JSON lines with nulls", file("a.jsonl", jsonl(holed(DAILY))), holed(DAILY), findings=("missing-target",)),
    good("CSV from stdin", file("in", CSV), DAILY, stdin=True),
    good("semicolons from stdin", file("in", text(DAILY, sep=";", value=number(","))), DAILY, stdin=True),
    good("gzip from stdin", file("in", gzip.compress(CSV.encode())), DAILY, stdin=True),
    good("Parquet from stdin", file("in", parquet(frame(DAILY))), DAILY, stdin=True),
    good("JSON lines from stdin", file("in", jsonl(DAILY)), DAILY, stdin=True),
    good("several files", files(parts()), DAILY),
    good("several files, the newest first", files(parts(-1)), DAILY),
    good("a folder of parts", with_folder(parts()), DAILY),
    good(
        "a folder of parts with what writers leave behind",
        with_folder({**parts(), "_SUCCESS": "", ".part-0.csv.crc": b"crc\0"}),
        DAILY,
    ),
    good(
        "a folder of packed parts",
        with_folder({f"{name}.gz": gzip.compress(str(content).encode()) for name, content in parts().items()}),
        DAILY,
    ),
    good(
        "a folder of Parquet",
        with_folder({f"{n}.parquet": parquet(frame(DAILY.only(n))) for n in range(len(DAILY.series))}),
        DAILY,
    ),
    good(
        "parts with their columns in another order",
        files(
            {
                "1.csv": text(DAILY.only(0, 1)),
                "2.csv": "y,ds,id\n" + "".join(f"{y},{iso(t)},{i}\n" for i, t, y in DAILY.only(2).rows),
            }
        ),
        DAILY,
    ),
    good("a folder with one file a series", with_folder(per_file()), DAILY, reading=BY_NAME),
    good("several files with one series each", files(per_file(".txt")), DAILY, reading=BY_NAME),
    good(
        "one packed file a series",
        with_folder({f"{name}.gz": gzip.compress(str(content).encode()) for name, content in per_file().items()}),
        DAILY,
        reading=BY_NAME,
    ),
    good("one file with its id in its name", file("amberly.csv", ONES), ONE, reading=BY_NAME),
    bad("one file a series, without being told so", with_folder(per_file()), "duplicate-rows"),
    bad(
        "parts with other columns",
        files({"1.csv": text(DAILY.only(0)), "2.csv": text(DAILY.only(1), names=("id", "ds", "z"))}),
        "parts-differ",
    ),
    bad("an empty folder", with_folder({".keep": ""}), "file-empty"),
    bad(
        "a folder of mixed formats",
        with_folder({"1.csv": text(DAILY.only(0)), "2.parquet": parquet(frame(DAILY.only(1)))}),
        "parts-differ",
    ),
    bad("a file that is not there", lambda folder: folder / "no.csv", "file-not-found"),
    bad(
        "one of several that is not there",
        lambda folder: [*files(parts())(folder), folder / "no.csv"],
        "file-not-found",
    ),
    *EXCEL,
    bad("a folder that is called csv", lambda folder: (folder / "a.csv").mkdir() or folder / "a.csv", "file-empty"),
]
