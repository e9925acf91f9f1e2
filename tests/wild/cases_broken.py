"""What is no table, or no whole one."""

from __future__ import annotations

import gzip
import random

from tests.wild.cases_files import CSV, DAILY, LINES, cut, frame, ipc, jsonl, parquet, zstd
from tests.wild.truth import Case, bad, file, good

NOISE = random.Random(1).randbytes(4000)
PARQUET, ARROW = parquet(frame(DAILY)), ipc(frame(DAILY))
PAGE = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head>\n<body><form><input></form></body></html>\n"


def changed(line: int, new: str, table: list[str] = LINES) -> str:
    return "".join([*table[:line], new, *table[line + 1 :]])


CASES: list[Case] = [
    bad("an empty file", file("a.csv", ""), "file-empty"),
    bad("an empty Parquet file", file("a.parquet", ""), "file-empty"),
    bad("an empty gzip", file("a.csv.gz", gzip.compress(b"")), "file-empty"),
    bad("nothing but line ends", file("a.csv", "\n\n\n"), "file-empty"),
    bad("nothing but a byte order mark", file("a.csv", b"\xef\xbb\xbf"), "file-empty"),
    bad("a header alone", file("a.csv", LINES[0]), "file-empty"),
    bad("a Parquet file without rows", file("a.parquet", parquet(frame(DAILY).head(0))), "file-empty"),
    bad("nothing on stdin", file("in", ""), "file-empty", stdin=True),
    bad("JSON lines without rows", file("a.jsonl", "\n"), "file-empty"),
    bad("noise that is called csv", file("a.csv", NOISE), "file-unreadable"),
    bad("noise that is called parquet", file("a.parquet", NOISE), "file-unreadable"),
    bad("noise that is called arrow", file("a.arrow", NOISE), "file-unreadable"),
    bad("noise that is called jsonl", file("a.jsonl", NOISE), "file-unreadable"),
    bad("noise that is called gz", file("a.csv.gz", NOISE), "file-unreadable"),
    bad("noise on stdin", file("in", NOISE), "file-unreadable", stdin=True),
    bad(
        "a picture that is called csv", file("a.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + NOISE[:500]), "file-unreadable"
    ),
    bad("a PDF that is called csv", file("a.csv", b"%PDF-1.7\n" + NOISE[:500]), "file-unreadable"),
    bad("a page to sign in", file("a.csv", PAGE), "no-time-column"),
    bad("a gzip that ends early", file("a.csv.gz", cut(gzip.compress(CSV.encode()))), "file-unreadable"),
    bad("a gzip with a wrong sum", file("a.csv.gz", gzip.compress(CSV.encode())[:-8] + b"\0" * 8), "file-unreadable"),
    bad("a zstd that ends early", file("a.csv.zst", cut(zstd(CSV.encode()))), "file-unreadable"),
    bad("a Parquet file that ends early", file("a.parquet", cut(PARQUET)), "file-unreadable"),
    bad("a Parquet file that starts late", file("a.parquet", PARQUET[100:]), "file-unreadable"),
    bad("a Parquet file of its marks alone", file("a.parquet", b"PAR1PAR1"), "file-unreadable"),
    bad("an Arrow file that ends early", file("a.arrow", cut(ARROW)), "file-unreadable"),
    bad("JSON lines that end early", file("a.jsonl", cut(jsonl(DAILY).encode())), "file-unreadable"),
    bad("JSON lines that are an object", file("a.jsonl", '{\n "id": 1,\n "rows": [1, 2]\n}\n'), "file-unreadable"),
    bad("a NUL in a number", file("a.csv", changed(9, "amberly,2024-02-28,1\x002.50\n")), "file-unreadable"),
    bad("a NUL in an id", file("a.csv", CSV.replace("beryline", "bery\x00line", 1)), "file-unreadable"),
    bad("a quote that never closes", file("a.csv", changed(30, '"' + LINES[30])), "quote-open"),
    bad(
        "a row with more cells than the header", file("a.csv", changed(30, LINES[30].strip() + ",9,9\n")), "rows-ragged"
    ),
    bad("a row with fewer cells than the header", file("a.csv", changed(30, "amberly\n")), "rows-ragged"),
    bad("one name for two columns", file("a.csv", changed(0, "id,ds,id\n")), "column-twice"),
    good("no header", file("a.csv", "".join(LINES[1:])), DAILY, decisions=("header",)),
    bad("one column", file("a.csv", "".join(line.split(",")[0] + "\n" for line in LINES)), "no-time-column"),
    bad(
        "the header again in the middle",
        file("a.csv", CSV[: len(CSV) // 2].rsplit("\n", 1)[0] + "\n" + CSV),
        "times-unreadable",
    ),
    good("a CSV under a name of no format", file("a.docx", CSV), DAILY),
    bad(
        "prose",
        file("a.txt", "It was the best of times,\nit was the worst of times,\nit was the age of wisdom.\n"),
        "no-time-column",
    ),
    good("a mark for the end of a file of old", file("a.csv", CSV + "\x1a"), DAILY, findings=("footer-dropped",)),
]
