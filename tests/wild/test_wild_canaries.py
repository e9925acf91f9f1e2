"""Forty names are planted in tables; what is said, logged and stored about these tables never speaks them."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.cli.shell import Run
from tests.wild.program import tsx, written
from tests.wild.truth import noise

IDS = (
    *("Quillon-Abernathy", "Zsofia Vanterpool", "Brannigh Oyelaran", "Theodric Maskelyne", "Wilhelmina Xu-Ruth"),
    *("Ingvild Thorkelsen", "Octavian Prideaux", "Nkechi Umbrosio", "Jarmila Kvapilova", "Eustace Fotheringay"),
)
"""Series of the long table."""
CATEGORIES = ("wardhemlock", "wardjuniper", "wardlarkspur", "wardmonkshood", "wardnigella", "wardoleander")
CELLS = ("refusedmeds", "seenbypolice", "oweseverybody", "relapsedagain", "hivpositive", "gotfired")
"""Cells of a column of text that plays no part."""
COLUMNS = ("Pemberley-Fund", "Xanthorrhoea AG", "Ballydehob plc", "Ouagadougou SA", "Krasnoyarsk OAO", "Timbuktoo NV")
"""Series of the wide table."""
FILES = ("margarethe-dyce", "lorcan-ffoulkes", "anselm-quaintrell", "odalys-prewett", "rosalind-yaxley", "tarquin-ubbe")
"""Series named by their files."""
SPOILT = ("fivehundredish", "tomorrowmaybe", "brokenpromise", "halfaquote", "pairedtwice", "strangeword")
"""Cells that stand where they do not belong."""
PLANTED = (*IDS, *CATEGORIES, *CELLS, *COLUMNS, *FILES, *SPOILT)

START = date(2024, 1, 1)
TINY = ("--max-steps", "3", "--hidden-size", "4", "--horizon", "3", "--context-length", "8", "--device", "cpu")
HEADER = "person,ds,y,wind,price,ward,note\n"
LENGTH, AHEAD = 40, 6


def line(n: int, t: int, *, y: str | None = None, day: str | None = None, ward: str | None = None) -> str:
    values = noise(n, LENGTH + AHEAD)
    target = (f"{values[t]:.2f}" if t < LENGTH else "") if y is None else y
    ward = CATEGORIES[n % 6] if ward is None else ward
    when = (START + timedelta(days=t)).isoformat() if day is None else day
    return f"{IDS[n]},{when},{target},{t % 7},{(t * 3) % 11},{ward},{CELLS[(n + t) % 6]}\n"


def people(length: int = LENGTH + AHEAD, series: int = 10) -> list[str]:
    return [line(n, t) for n in range(series) for t in range(length)]


def wide(length: int = LENGTH) -> list[str]:
    columns = [noise(50 + k, length) for k in range(len(COLUMNS))]
    rows = [
        ",".join([(START + timedelta(days=t)).isoformat(), *(f"{c[t]:.2f}" for c in columns)]) for t in range(length)
    ]
    return [",".join(["ds", *COLUMNS]) + "\n", *(f"{row}\n" for row in rows)]


def part(n: int) -> list[str]:
    values = noise(80 + n, LENGTH)
    return ["ds,y\n", *(f"{(START + timedelta(days=t)).isoformat()},{values[t]:.2f}\n" for t in range(LENGTH))]


def save(path: Path, lines: list[str], header: str = "") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(header + "".join(lines), encoding="utf-8")
    return path.name


ROLES = ("--id", "person", "--target", "y", "--past", "wind", "--future", "price", "--static", "ward")


@dataclass(frozen=True)
class Place:
    """A folder with tables and models, and what every command that was run there said."""

    folder: Path
    said: dict[str, Run]

    def __getitem__(self, name: str) -> Run:
        return self.said[name]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("planted")
    save(folder / "people.csv", people(), HEADER)
    save(folder / "funds.csv", wide())
    for n, name in enumerate(FILES):
        save(folder / "files" / f"{name}.csv", part(n))
    commands: dict[str, tuple[str, ...]] = {
        "inspect": ("inspect", "people.csv", *ROLES, "--verbose"),
        "inspect alone": ("inspect", "people.csv"),
        "inspect json": ("inspect", "people.csv", "--json"),
        "inspect wide": ("inspect", "funds.csv", "--wide", "--verbose"),
        "inspect wide json": ("inspect", "funds.csv", "--wide", "--json"),
        "inspect files": ("inspect", "files", "--id-from", "filename", "--verbose"),
        "fit": ("fit", "people.csv", *ROLES, *TINY, "--model", "m1", "--verbose"),
        "fit json": ("fit", "people.csv", *ROLES, *TINY, "--model", "m2", "--json"),
        "fit wide": ("fit", "funds.csv", "--wide", *TINY, "--model", "m3", "--verbose"),
        "fit files": ("fit", "files", "--id-from", "filename", *TINY, "--model", "m4", "--verbose"),
        "forecast": ("forecast", "--model", "m1", "--out", "f.csv", "--verbose"),
        "forecast wide": ("forecast", "--model", "m3", "--out", "w.csv", "--verbose"),
        "forecast files": ("forecast", "--model", "m4", "--out", "n.csv", "--verbose"),
        "explain": (
            "explain",
            "--model",
            "m1",
            "--report",
            "html,md,json",
            "--out",
            "r1",
            "--windows",
            "2",
            "--max-evals",
            "100",
            "--verbose",
        ),
        "explain wide": (
            "explain",
            "--model",
            "m3",
            "--report",
            "html,md,json",
            "--out",
            "r3",
            "--windows",
            "2",
            "--max-evals",
            "100",
            "--verbose",
        ),
        "backtest": ("backtest", "people.csv", *ROLES, *TINY, "--cutoffs", "2", "--out", "b.csv", "--verbose"),
        "make-future": ("make-future", "--model", "m1", "--out", "future.csv", "--verbose"),
        "doctor": ("doctor",),
    }
    said = {name: tsx(folder, *arguments) for name, arguments in commands.items()}
    assert {name: run.err for name, run in said.items() if run.status} == {}
    return Place(folder, said)


def spoken(text: str) -> list[str]:
    return [name for name in PLANTED if name in text or json.dumps(name)[1:-1] in text]


def test_the_tables_hold_forty_names(place: Place) -> None:
    tables = b"".join(written(place.folder / ".").values()).decode(errors="replace")
    assert len(set(PLANTED)) == 40
    stems = {path.stem for path in (place.folder / "files").iterdir()}
    assert [name for name in PLANTED if name not in tables and name not in stems and name not in SPOILT] == []


@pytest.mark.parametrize(
    "name",
    [
        "inspect",
        "inspect alone",
        "inspect json",
        "inspect wide",
        "inspect wide json",
        "inspect files",
        "fit",
        "fit json",
        "fit wide",
        "fit files",
        "doctor",
    ],
)
def test_what_is_told_about_a_table_names_nobody(place: Place, name: str) -> None:
    assert place[name].out
    assert spoken(place[name].out) == []


@pytest.mark.parametrize(
    "name",
    [
        "inspect",
        "inspect wide",
        "inspect files",
        "fit",
        "fit wide",
        "fit files",
        "forecast",
        "forecast wide",
        "forecast files",
        "explain",
        "explain wide",
        "backtest",
        "make-future",
    ],
)
def test_the_log_names_nobody(place: Place, name: str) -> None:
    assert place[name].err
    assert spoken(place[name].err) == []


@pytest.mark.parametrize("model", ["m1", "m2", "m3", "m4"])
def test_a_model_directory_names_nobody_in_any_writing(place: Place, model: str) -> None:
    kept = written(place.folder / model)
    assert {"manifest.json", "model.safetensors", "card.md"} <= {Path(path).name for path in kept}
    for path, data in kept.items():
        assert spoken(path) == []
        assert spoken(data.decode("utf-8", errors="replace")) == [], path
        for name in PLANTED:
            raw = name.encode()
            shapes = (
                name.encode("utf-16-le"),
                name.encode("utf-32-le"),
                raw.hex().encode(),
                raw.hex().upper().encode(),
            )
            b64 = [base64.b64encode(raw[n:])[:-4] for n in range(3)]
            assert not [shape for shape in (*shapes, *b64) if shape in data], (path, name)


def test_results_name_the_series_that_they_are_about_and_nothing_else(place: Place) -> None:
    for table, names in (("f.csv", IDS), ("future.csv", IDS), ("w.csv", COLUMNS), ("n.csv", FILES)):
        text = (place.folder / table).read_text()
        assert set(spoken(text)) == set(names)
    assert set(spoken((place.folder / "b.csv").read_text())) == set(IDS)


@pytest.mark.parametrize(("folder", "names"), [("r1", IDS), ("r3", COLUMNS)])
def test_a_report_names_only_the_series_that_it_explains(place: Place, folder: str, names: tuple[str, ...]) -> None:
    kept = written(place.folder / folder)
    assert {"report.html", "report.md", "explanation.json"} <= {Path(path).name for path in kept}
    for path, data in kept.items():
        assert set(spoken(data.decode("utf-8", errors="replace"))) <= set(names), path
    for path in ("explanation.json", "checks.json", "surrogate.json"):
        assert spoken(kept[path].decode()) == []


# ------------------------------------------------------------------------------------------------ commands that fail

Spoil = Callable[[Path], tuple[str, ...]]


def fitting(lines: list[str], *more: str, header: str = HEADER, name: str = "bad.csv", roles: bool = True) -> Spoil:
    def spoil(folder: Path) -> tuple[str, ...]:
        save(folder / name, lines, header)
        return ("fit", name, *(ROLES if roles else ()), *TINY, "--model", "mx", *more)

    return spoil


def forecasting(lines: list[str], *more: str, header: str = HEADER, model: str = "m1") -> Spoil:
    def spoil(folder: Path) -> tuple[str, ...]:
        return ("forecast", save(folder / "later.csv", lines, header), "--model", model, "--out", "later-f.csv", *more)

    return spoil


def swap(row: int, new: str, lines: list[str] | None = None) -> list[str]:
    lines = people() if lines is None else lines
    return [*lines[:row], new, *lines[row + 1 :]]


def broken_part(folder: Path) -> tuple[str, ...]:
    for n, name in enumerate(FILES):
        save(folder / "broken" / f"{name}.csv", part(n) if n != 3 else ["day;value\n", '"2024;1\n', "\0\0\n"])
    return ("fit", "broken", "--id-from", "filename", *TINY, "--model", "mx")


def repeated_part(folder: Path) -> tuple[str, ...]:
    for n, name in enumerate(FILES):
        save(folder / "repeated" / f"{name}.csv", part(n) + (part(n)[5:9] if n == 2 else []))
    return ("fit", "repeated", "--id-from", "filename", *TINY, "--model", "mx")


def without(column: str) -> list[str]:
    place = HEADER.strip().split(",").index(column)
    return [",".join(c for k, c in enumerate(one.strip().split(",")) if k != place) + "\n" for one in people()]


FAILING: dict[str, Spoil] = {
    "a word in the target": fitting(swap(30, line(0, 30, y=SPOILT[0]))),
    "a word for a time": fitting(swap(30, line(0, 30, day=SPOILT[1]))),
    "a time that is missing": fitting(swap(30, line(0, 30, day=""))),
    "rows twice": fitting([*people(), line(2, 5), line(2, 6)]),
    "rows twice, no id": fitting(without("person"), header=HEADER.replace("person,", ""), roles=False),
    "a category that changes": fitting(swap(30, line(0, 30, ward=CATEGORIES[3]))),
    "an infinity": fitting(swap(30, line(0, 30, y="inf"))),
    "a row too long": fitting(swap(30, line(0, 30).strip() + f",{SPOILT[2]}\n")),
    "a quote that never closes": fitting(swap(30, f'"{SPOILT[3]}' + line(0, 30))),
    "no header": fitting(people(), header="", roles=False),
    "no header, roles named": fitting(people(), header=""),
    "a target of words": fitting(people(), "--target", "note", roles=False),
    "a target that is none of the columns": fitting(wide(), "--wide", "--target", "Pemberly", header="", roles=False),
    "wide, a word in a cell": fitting(
        swap(9, wide()[9].replace(",", f",{SPOILT[5]}", 1), wide()), "--wide", header="", roles=False
    ),
    "wide, a day twice": fitting([*wide(), wide()[5]], "--wide", header="", roles=False),
    "wide, a name twice": fitting(
        [wide()[0].replace(COLUMNS[1], COLUMNS[0]), *wide()[1:]], "--wide", header="", roles=False
    ),
    "wide, with an id that is none of the columns": fitting(wide(), "--wide", "--id", "nobody", header="", roles=False),
    "a date in another century": fitting(swap(30, line(0, 30, day="2924-01-01"))),
    "days at random": fitting(
        [line(n, t, day=(START + timedelta(days=t * t * (n + 3))).isoformat()) for n in range(4) for t in range(LENGTH)]
    ),
    "all too short": fitting(people(4), "--horizon", "5"),
    "a part that is no table": broken_part,
    "a part with rows twice": repeated_part,
    "later: future covariates end early": forecasting(people(LENGTH + 2)),
    "later: a column is gone": forecasting(without("wind"), header=HEADER.replace("wind,", "")),
    "later: a column is words now": forecasting(swap(30, line(0, 30, y=SPOILT[4]))),
    "later: rows twice": forecasting([*people(), line(2, 5), line(2, 6)]),
    "later: another step": forecasting(
        [line(n, t, day=(START + timedelta(weeks=t)).isoformat()) for n in range(10) for t in range(LENGTH + AHEAD)]
    ),
    "later: no series long enough": forecasting(people(2)),
}
MENDED = {"no header"}
"""Those that are read after all."""
MENTIONED = {"rows twice", "later: future covariates end early", "later: rows twice"}
"""Those in which --show-values must say which series it is about."""


@pytest.mark.parametrize("name", list(FAILING))
def test_a_command_on_a_spoilt_table_names_nobody(place: Place, name: str) -> None:
    folder, arguments = place.folder, FAILING[name](place.folder)
    shutil.rmtree(folder / "mx", ignore_errors=True)
    words = tsx(folder, *arguments, "--verbose")
    document = tsx(folder, *arguments, "--json")
    assert words.status == document.status
    assert (words.status == 5) is (name not in MENDED), words.err
    assert spoken(words.err) + spoken(words.out) == []
    assert spoken(document.out) + spoken(document.err) == []
    kept = b"".join(written(folder / "mx").values()).decode("utf-8", errors="replace")
    assert bool(kept) is (name in MENDED)
    assert spoken(kept) == []
    if name in MENTIONED:
        shown = tsx(folder, *arguments, "--show-values")
        assert spoken(shown.err)
        assert set(spoken(shown.err)) <= set(IDS) | set(SPOILT) | set(CATEGORIES)


NOTED: dict[str, Spoil] = {
    "a category that is new": forecasting(
        [line(n, t, ward=SPOILT[0] if n == 1 else None) for n in range(10) for t in range(LENGTH + AHEAD)]
    ),
    "a series that is new": forecasting(
        [*people(), *(one.replace(IDS[2], SPOILT[1]) for one in people() if one.startswith(IDS[2]))]
    ),
    "a series that is short": forecasting([*people(), *(one.replace(IDS[9], SPOILT[2]) for one in people()[-9:])]),
    "a series that ends early": forecasting(
        [one for one in people() if not one.startswith(IDS[4])]
        + people()[4 * (LENGTH + AHEAD) : 4 * (LENGTH + AHEAD) + 30]
    ),
}


@pytest.mark.parametrize("name", list(NOTED))
def test_what_is_noticed_in_a_later_table_names_nobody(place: Place, name: str) -> None:
    arguments = NOTED[name](place.folder)
    for run in (tsx(place.folder, *arguments, "--verbose"), tsx(place.folder, *arguments, "--json")):
        assert run.status in (0, 5), run.err
        assert spoken(run.err) == []
        assert run.status == 0 or spoken(run.out) == []
        assert spoken(json.dumps(json.loads(run.out).get("findings", []))) == [] if run.out.startswith("{") else True
