"""Names and ids are data: whatever they hold, every output shows them as text and does nothing with them."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from rich.cells import cell_len

from tests.cli.shell import Run
from tests.report.test_report_html import Page
from tests.stored import in_use
from tests.wild.program import tsx, written
from tests.wild.truth import noise

LONG = "long" * 2500
IDS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</script><!--",
    "[bold red]rich[/bold red]",
    "[/]",
    "\x1b[31mred\x1b[2J",
    "\x1b]0;title\x07bell",
    "\x9b31mC1",
    "\u202egnp.exe",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(1+1)",
    "../../etc/passwd",
    "/dev/stdout",
    "C:\\con",
    "a,b;c\td",
    "quote\"d 'twice'",
    "line\nbreak",
    "back\\slash \\u0041",
    "{{7*7}} {% raw %} ${7*7} %s %(x)s {0}",
    "&lt;&amp;",
    "|pipe| *star* _under_ `tick` [link](http://evil.example) # head",
    " blank ",
    "-rf",
    "--help",
    "NULL",
    "\u200bzero\u00adwidth",
    "\U0001f469\u200d\U0001f4bb",
    "מזהה سلسلة 系列",
    LONG,
)
COLUMNS = {
    "id": "<b onclick=alert(2)>who</b>",
    "time": "[red]when|then[/red]",
    "target": 'y,"<i>" {{8*8}}',
    "past": "\x1b[5mwind\x1b[0m",
    "future": "=price()|../..",
    "static": "</style><script>static",
}
CATEGORIES = ("<u>cat</u>", "[blink]dog[/blink]", "\x1b[7mcow", "=1+1")
TABLE = "<img src=x onerror=alert(3)>[red] $(touch owned) `touch owned` {{9*9}}.parquet"
LENGTH, AHEAD, SHORT = 26, 4, 3
TINY = ("--max-steps", "3", "--hidden-size", "4", "--horizon", "3", "--context-length", "8", "--device", "cpu")
ROLES = (
    "--id",
    COLUMNS["id"],
    "--time",
    COLUMNS["time"],
    "--target",
    '"' + COLUMNS["target"].replace('"', '""') + '"',
    "--past",
    COLUMNS["past"],
    "--future",
    COLUMNS["future"],
    "--static",
    COLUMNS["static"],
)
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What a terminal would obey, or what turns the direction of text."""


def table() -> pl.DataFrame:
    parts = []
    for n, id in enumerate(IDS):
        length = LENGTH + AHEAD
        values = noise(n, length)
        parts.append(
            pl.DataFrame(
                {
                    COLUMNS["id"]: [id] * length,
                    COLUMNS["time"]: [date(2024, 1, 1) + timedelta(days=t) for t in range(length)],
                    COLUMNS["target"]: [*values[:LENGTH], *[None] * AHEAD],
                    COLUMNS["past"]: [float(t % 5) for t in range(length)],
                    COLUMNS["future"]: [float(t % 7) for t in range(length)],
                    COLUMNS["static"]: [CATEGORIES[n % len(CATEGORIES)]] * length,
                }
            )
        )
    return pl.concat(parts)


@dataclass(frozen=True)
class Place:
    folder: Path
    said: dict[str, Run]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("hostile") / "here"
    folder.mkdir()
    table().write_parquet(folder / TABLE)
    table().select(COLUMNS["id"], COLUMNS["time"], COLUMNS["target"]).head((LENGTH + AHEAD) * 6).pivot(
        COLUMNS["id"], index=COLUMNS["time"], values=COLUMNS["target"]
    ).write_csv(folder / "wide.csv")
    explain = ("--windows", "6", "--max-evals", "100")
    commands: dict[str, tuple[tuple[str, ...], bool]] = {
        "inspect": (("inspect", TABLE, *ROLES), True),
        "inspect plain": (("inspect", TABLE), True),
        "inspect json": (("inspect", TABLE, *ROLES, "--json"), False),
        "inspect wide": (("inspect", "wide.csv", "--wide"), True),
        "fit": (("fit", TABLE, *ROLES, *TINY, "--model", "m"), True),
        "fit json": (("fit", TABLE, *ROLES, *TINY, "--model", "m", "--json"), False),
        "forecast": (("forecast", "--model", "m"), True),
        "forecast csv": (("forecast", "--model", "m", "--out", "f.csv"), True),
        "forecast stdout": (("forecast", "--model", "m"), False),
        "forecast parquet": (("forecast", "--model", "m", "--out", "f.parquet"), True),
        "forecast json": (("forecast", "--model", "m", "--json"), False),
        "forecast json file": (("forecast", "--model", "m", "--out", "f.json"), False),
        "explain": (("explain", "--model", "m", "--report", "terminal,html,md,json", *explain), True),
        "explain json": (("explain", "--model", "m", "--out", "r2", "--json", *explain), False),
        "backtest": (("backtest", TABLE, *ROLES, *TINY, "--cutoffs", "2", "--out", "b.csv"), True),
        "make-future": (("make-future", "--model", "m", "--out", "u.csv"), True),
        "forecast csv screen": (("forecast", "--model", "m", "--out", "-"), True),
        "make-future screen": (("make-future", "--model", "m"), True),
        "later": (("forecast", "wide.csv", "--model", "m"), True),
        "no such column": (("fit", TABLE, "--target", "x"), True),
        "two readings": (("fit", TABLE, *ROLES, "--past", COLUMNS["target"]), True),
    }
    said = {name: tsx(folder, *arguments, terminal=screen) for name, (arguments, screen) in commands.items()}
    failed = {name: run.err for name, run in said.items() if run.status}
    assert set(failed) == {"later", "no such column", "two readings"}, failed
    return Place(folder, said)


SCREENS = (
    "inspect",
    "inspect plain",
    "inspect wide",
    "fit",
    "forecast",
    "explain",
    "backtest",
    "make-future",
    "make-future screen",
    "forecast csv screen",
    "later",
    "no such column",
    "two readings",
)


@pytest.mark.parametrize("name", SCREENS)
def test_a_terminal_gets_no_order_and_no_markup_from_the_data(place: Place, name: str) -> None:
    run = place.said[name]
    for text in (run.out, run.err):
        assert not OBEYED.search(text), repr(OBEYED.findall(text)[:5])
    assert run.out + run.err


@pytest.mark.parametrize("name", ["inspect", "inspect plain", "inspect wide", "fit", "forecast", "explain", "backtest"])
def test_a_screen_of_80_columns_is_kept_to(place: Place, name: str) -> None:
    commands = [line for line in place.said[name].out.splitlines() if "tsx fit" in line or TABLE[:20] in line]
    wide = [line for line in place.said[name].out.splitlines() if cell_len(line) > 80 and line not in commands]
    assert wide == []
    assert LONG not in place.said[name].out


def test_markup_is_shown_and_not_obeyed(place: Place) -> None:
    assert "[red]when|then" in place.said["inspect"].out
    assert "&lt;&amp;" in place.said["forecast"].out


def test_the_ids_come_back_as_they_were(place: Place) -> None:
    wanted = sorted(IDS)
    frame = pl.read_parquet(place.folder / "f.parquet")
    assert sorted(frame[COLUMNS["id"]].unique()) == wanted
    tables = [(place.folder / name).read_text(encoding="utf-8") for name in ("f.csv", "u.csv")]
    for text in (*tables, place.said["forecast stdout"].out):
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        # What a spreadsheet would run as a formula is made text by an apostrophe.
        inert = ["'" + id if id[0] in "=+-@" else id for id in IDS]
        assert sorted({row[COLUMNS["id"]] for row in rows}) == sorted(inert)
    for document in (place.said["forecast json"].out, (place.folder / "f.json").read_text(encoding="utf-8")):
        content = json.loads(document)
        rows = content["forecast"] if isinstance(content, dict) else content
        assert sorted({row[COLUMNS["id"]] for row in rows}) == wanted


def test_json_keeps_the_names_of_the_columns(place: Place) -> None:
    for name in ("inspect json", "fit json", "explain json"):
        assert place.said[name].err == "" or name == "explain json"
        json.loads(place.said[name].out)
    assert set(COLUMNS.values()) <= set(_texts(json.loads(place.said["inspect json"].out)))


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in _texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in _texts(part)]
    return [str(value)]


def test_the_page_holds_no_element_and_no_attribute_of_the_data(place: Place) -> None:
    text = (place.folder / "tsx-report" / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert {tag for tag, _ in page.elements}.isdisjoint(
        {"img", "b", "i", "u", "link", "iframe", "object", "embed", "base", "form", "blink", "red"}
    )
    links = [attributes for tag, attributes in page.elements if tag == "a"]
    assert all(re.fullmatch("#[a-z-]+", link.get("href") or "") for link in links)
    assert len(page.scripts) == 4
    names = {name for _, attributes in page.elements for name in attributes}
    assert names <= {
        "charset",
        "content",
        "http-equiv",
        "name",
        "lang",
        "class",
        "id",
        "style",
        "scope",
        "tabindex",
        "type",
        "href",
        "data-view",
        "data-show",
        "aria-pressed",
        "aria-label",
        "aria-live",
        "open",
        "autocomplete",
        "data-figure",
        "list",
        "value",
        "role",
    }
    for _, attributes in page.elements:
        for value in attributes.values():
            assert "alert" not in (value or "")
    shown = "".join(page.text)
    assert "{{8*8}}" in shown
    assert "64" not in re.sub(r"\d+\.\d+|\d{3,}", "", shown.split("{{8*8}}")[0][-20:])
    assert "<b onclick=alert(2)>who</b>" in shown or "<script>alert(1)</script>" in shown
    json.loads(page.scripts[0])
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


def test_the_markdown_holds_no_element_link_or_column_of_the_data(place: Place) -> None:
    text = (place.folder / "tsx-report" / "report.md").read_text(encoding="utf-8")
    assert not OBEYED.search(text)
    assert not re.search(r"(?<!\\)<(?!br>)[a-zA-Z/!]", text)
    assert not re.search(r"(?<!\\)\]\((?!\w+\.parquet|[\w.]+\.json)", text)
    lines = text.splitlines()
    for above, line in pairwise(lines):
        if above.startswith("|") and line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", above)) == len(re.findall(r"(?<!\\)\|", line)), line


def test_no_name_becomes_a_path(place: Place) -> None:
    kept = set(written(place.folder.parent))
    folders = {path.split("/")[1] for path in kept if path.count("/") > 1}
    assert folders <= {"m", "tsx-report", "r2"}
    assert {path for path in kept if path.count("/") == 1} == {
        f"here/{name}" for name in (TABLE, "wide.csv", "f.csv", "f.parquet", "f.json", "b.csv", "u.csv")
    }
    assert {path.rsplit("/", 1)[1] for path in kept if path.startswith("here/m/")} == {
        "CURRENT",
        ".lock",
        "manifest.json",
        "model.safetensors",
        "card.md",
    }


def test_the_model_directory_holds_names_of_columns_as_text_and_no_id(place: Place) -> None:
    manifest = (in_use(place.folder / "m") / "manifest.json").read_text(encoding="utf-8")
    assert json.loads(manifest)["schema"]["target"] == COLUMNS["target"]
    card = (in_use(place.folder / "m") / "card.md").read_text(encoding="utf-8")
    assert not OBEYED.search(card)
    assert not re.search(r"(?<!\\)<[a-zA-Z/!]", re.sub(r"`+[^`]*`+", "", card))
    for text in (manifest, card):
        assert not [id for id in (*IDS, *CATEGORIES) if len(id) > 6 and (id in text or json.dumps(id)[1:-1] in text)]


def test_the_printed_command_is_safe_to_paste(place: Place) -> None:
    (command,) = re.findall(r"^ *(tsx fit(?:.*\\\n)*.*)", place.said["inspect plain"].out, re.MULTILINE)
    assert shlex.split(command.replace("\\\n", ""))[:3] == ["tsx", "fit", TABLE]
    assert not (place.folder / "owned").exists()


@pytest.mark.parametrize(
    "name",
    [
        "-rf.csv",
        "[bold red]a.csv",
        "a b;c&d.csv",
        "\x1b[31ma.csv",
        "line\nbreak.csv",
        "*.csv",
        "日付.csv",
        "<a>.csv",
        "a'b\"c.csv",
        "%s.csv",
        "{x}.csv",
    ],
)
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    rows = "".join(f"2024-01-{day:02},{day % 7}.5\n" for day in range(1, 31))
    (tmp_path / name).write_text("ds,y\n" + rows)
    given = f"./{name}" if name.startswith("-") else name
    for arguments in (("inspect", given), ("inspect", given, "--target", "none")):
        run = tsx(tmp_path, *arguments, terminal=True)
        assert run.status == (5 if "none" in arguments else 0), run.err
        assert not OBEYED.search(run.out + run.err)
    document = json.loads(tsx(tmp_path, "inspect", given, "--json").out)
    assert shlex.split(document["command"])[2].lstrip("./") == name.lstrip("./")
