"""The optional packages themselves, which the other tests replace: what `tsx` asks of them, they do."""

from __future__ import annotations

import datetime as dt
import zipfile
from pathlib import Path

from tsx.panel.calendar_features import holidays_of
from tsx.progress import SILENT
from tsx.spec.settings import Reading, Roles
from tsx.workflows.open_table import open_table

SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


Rows = list[list[str | float]]


def write_workbook(path: Path, rows: Rows, **more: Rows) -> None:
    """A workbook of the sheet Sales, and of those named, as small as the format allows."""
    sheets = {"Sales": rows, **more}

    def cell(value: str | float) -> str:
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        return f"<c><v>{value}</v></c>"

    listed = [f'<sheet name="{name}" sheetId="{k}" r:id="r{k}"/>' for k, name in enumerate(sheets, start=1)]
    targets = [
        f'<Relationship Id="r{k}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{k}.xml"/>'
        for k in range(1, len(sheets) + 1)
    ]
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" ContentType='
        '"application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType='
        '"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" Type='
        f'"{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{SHEET}" xmlns:r="{OFFICE}"><sheets>'
        f"{''.join(listed)}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">{"".join(targets)}'
        "</Relationships>",
    }
    for k, table in enumerate(sheets.values(), start=1):
        lines = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in table)
        parts[f"xl/worksheets/sheet{k}.xml"] = f'<worksheet xmlns="{SHEET}"><sheetData>{lines}</sheetData></worksheet>'
    with zipfile.ZipFile(path, "w") as workbook:
        for name, text in parts.items():
            workbook.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{text}')


def test_a_workbook_is_read_with_its_title_line_left_out(tmp_path: Path) -> None:
    days = [dt.date(2024, 2, 1) + dt.timedelta(days=k) for k in range(40)]
    rows: list[list[str | float]] = [["Sales of the north"], ["day", "sales"]]
    write_workbook(tmp_path / "sales.xlsx", [*rows, *([day.isoformat(), 7.5 + k] for k, day in enumerate(days))])
    opened = open_table(str(tmp_path / "sales.xlsx"), Roles(), Reading(), None, SILENT)
    panel = opened.panel
    assert panel.calendar.alias == "1d"
    assert panel.starts.to_list() == [dt.date(2024, 2, 1)]
    assert (panel.values[:, 0] + panel.centers[0, 0]).tolist() == [7.5 + k for k in range(40)]


def test_the_holidays_of_a_region_are_those_of_its_calendar() -> None:
    christmas, epiphany = ((day - dt.date(1970, 1, 1)).days for day in (dt.date(2024, 12, 25), dt.date(2024, 1, 6)))
    bavaria, germany = (holidays_of(place, range(2024, 2025)).tolist() for place in ("DE-BY", "DE"))
    assert {christmas, epiphany} <= set(bavaria)
    assert christmas in germany
    assert epiphany not in germany
