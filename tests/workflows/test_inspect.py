"""What `inspect` makes of a table: its columns, its series, and the command that fits it."""

from __future__ import annotations

import datetime as dt
import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.processes import autoregression, make_panel
from tsx.errors import DataError, TsxError
from tsx.io.source import Source
from tsx.progress import SILENT
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading, Roles
from tsx.table.roles import RoleSuggestion
from tsx.table.tidy import Table
from tsx.workflows.inspect import (
    Inspection,
    TableRequest,
    fit_command,
    inspect_columns,
    inspect_table,
    missing_share,
    overview_of_columns,
)
from tsx.workflows.open_table import open_table

ROLES, READING = Roles(), Reading()


def look(source: Source, roles: Roles = ROLES, reading: Reading = READING) -> Inspection:
    return inspect_table(open_table(source, roles, reading, None, SILENT), TableRequest(source, roles, reading))


def bare(frame: pl.DataFrame, **reading: object) -> Table:
    return Table(frame.lazy(), Roles(), Reading(**reading), "here")  # type: ignore[arg-type]


def long_table(series: int = 6, length: int = 140) -> pl.DataFrame:
    days = pl.date_range(dt.date(2024, 1, 1), dt.date(2024, 1, 1) + dt.timedelta(days=length - 1), eager=True)
    random = np.random.default_rng(0)
    return pl.concat(
        pl.DataFrame(
            {
                "patient": [f"Anna Nr{chr(65 + n)}"] * length,
                "date": days,
                "glucose": np.round(120 + 5 * autoregression(length, n), 1),
                "steps": random.integers(0, 9999, length),
                "sex": ["f" if n % 2 else "m"] * length,
                "birth_date": [dt.date(1950 + 7 * n, 3, 4)] * length,
            }
        )
        for n in range(series)
    )


def test_a_table_is_told_whole_and_as_json():
    found = look(long_table())
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (told["rows"], told["steps"], told["series"], told["frequency"], told["season"]) == (840, 840, 6, "1d", 7)
    assert (told["first"], told["last"]) == ("2024-01-01", "2024-05-19")
    assert (told["shortest"], told["longest"]) == (140, 140)
    assert told["schema"]["target"] == "glucose"
    assert {column["name"]: column["role"] for column in told["columns"]} == {
        "patient": "id",
        "date": "time",
        "glucose": "target",
        "steps": "",
        "sex": "",
        "birth_date": "",
    }
    assert told["profile"]["horizon"]["value"] == 7
    assert [score["model"] for score in told["profile"]["scores"]] == ["naive", "seasonal_naive"]
    assert {decision["name"] for decision in told["decisions"]} >= {"freq", "season", "target"}
    assert all("values" not in finding for finding in told["findings"])


def test_nothing_of_the_rows_is_in_what_is_told():
    text = json.dumps(look(long_table()).to_dict())
    assert "Anna" not in text
    assert "1950" not in text


def test_an_id_that_looks_personal_gets_a_hint_on_where_ids_appear():
    findings = {finding.code: finding.message for finding in look(long_table()).findings}
    assert findings["personal-data"] == (
        "2 columns look like data about persons: 'patient' (names of persons), 'birth_date' (dates of birth)"
    )
    assert "ids stand in forecasts and reports" in findings["personal-id"]
    harmless = look(long_table().drop("birth_date").with_columns(pl.lit("p1").alias("patient")).head(140))
    assert [f for f in harmless.findings if f.code.startswith("personal")] == []


def test_only_some_of_many_suspected_columns_are_listed():
    mails = {f"m{k}": pl.Series([f"p{n}@example.org" for n in range(840)]) for k in range(30)}
    (finding,) = [f for f in look(long_table().with_columns(**mails)).findings if f.code == "personal-data"]
    assert finding.message.startswith("32 columns look like data about persons: 'patient' (names of persons), ")
    assert finding.message.endswith(" and 22 more")


def test_a_column_that_is_constant_within_series_is_suggested_as_static():
    columns = {column.name: column for column in look(long_table()).overview.columns}
    assert columns["sex"].suggested == "static"
    assert columns["steps"].suggested != "static"
    assert columns["birth_date"].suggested == ""


def test_what_looks_like_a_label_gets_its_own_command_and_is_not_advised_as_a_covariate():
    died = pl.col("patient").str.slice(7).is_in(["A", "C"]).cast(pl.Int64).alias("died")
    inspection = look(long_table().with_columns(died), Roles(id=("patient",), target=("glucose",)))
    assert {c.name: c.suggested for c in inspection.overview.columns}["died"] == "label"
    (unused,) = (decision for decision in inspection.decisions if decision.name == "unused_columns")
    assert unused.value == ["steps"]
    words = shlex.split(inspection.label_command)
    assert words[:2] == ["tsx", "fit"]
    assert words[words.index("--label") + 1] == "died"
    assert words[words.index("--id") + 1] == "patient"
    assert "--target" not in words
    assert look(long_table(), Roles(id=("patient",), target=("glucose",))).label_command == ""


def test_a_column_that_moves_with_the_target_is_not_suggested_without_a_warning():
    table = long_table().with_columns((2 * pl.col("glucose") + 1).alias("again"))
    (column,) = [
        column for column in look(table, Roles(target=("glucose",))).overview.columns if column.name == "again"
    ]
    assert column.suggested == ""
    assert column.reason.startswith("moves with the target (correlation 1.00")


def test_the_suggestions_made_with_the_roles_are_taken_over():
    suggested = (RoleSuggestion("past", ("steps",), "numeric"),)
    overview = inspect_columns(bare(long_table()), Schema("date", "glucose", "patient"), suggested)
    (column,) = [column for column in overview.columns if column.name == "steps"]
    assert (column.suggested, column.reason) == ("past", "numeric")


# --- columns alone ---------------------------------------------------------------------------------------------------


def test_columns_are_told_of_a_table_that_cannot_be_read_to_a_panel():
    frame = pl.DataFrame(
        {
            "when": ["2024-01-01", "2024-01-01", "never"],
            "value": ["1.5", "2", "high"],
            "note": [None, "a", None],
            "e-mail": ["a@example.org", "b@example.org", "c@example.org"],
            "ok": [True, False, None],
            "n": [1.0, float("nan"), None],
        }
    )
    overview = inspect_columns(bare(frame))
    kinds = {column.name: (column.kind, round(column.missing, 2), column.distinct) for column in overview.columns}
    assert kinds == {
        "when": ("text", 0.0, 2),
        "value": ("text", 0.0, 3),
        "note": ("text", 0.67, 1),
        "e-mail": ("text", 0.0, 3),
        "ok": ("yes/no", 0.33, 2),
        "n": ("number", 0.67, 1),
    }
    columns = {column.name: column for column in overview.columns}
    assert columns["value"].numbers == pytest.approx(2 / 3, abs=1e-3)
    assert columns["e-mail"].personal is not None
    assert (overview.rows, overview.sampled) == (3, 3)
    assert json.dumps(overview.to_dict(), allow_nan=False)


@pytest.mark.parametrize("wide", [False, True])
def test_a_long_table_is_sampled_in_many_places(wide):
    frame = pl.DataFrame({"id": np.repeat(np.arange(100), 1000), "y": np.arange(100_000.0)})
    overview = inspect_columns(bare(frame, wide=wide))
    assert overview.rows == 100_000
    assert 3_000 <= overview.sampled <= 4_500
    assert overview.columns[0].distinct >= 8


def test_a_table_with_duplicates_or_unreadable_times_is_looked_at_all_the_same(tmp_path):
    path = tmp_path / "t.csv"
    for text in ("ds,y\n2024-01-01,1\n2024-01-01,2\n2024-01-02,3\n", "when;wert;email\nnever;1,5;a@b.example\n;;\n"):
        path.write_text(text)
        with pytest.raises(TsxError):
            look(str(path))
        overview = overview_of_columns(TableRequest(str(path)))
        assert overview is not None
        assert [column.name for column in overview.columns] == text.split("\n")[0].replace(";", ",").split(",")
    assert overview.columns[2].personal is not None
    path.write_bytes(b"")
    assert overview_of_columns(TableRequest(str(path))) is None
    assert overview_of_columns(TableRequest(str(tmp_path / "absent.csv"))) is None
    assert overview_of_columns(TableRequest("-")) is None


def test_an_empty_table_and_columns_of_lists_can_be_looked_at():
    overview = inspect_columns(bare(pl.DataFrame({"y": [], "l": []}, schema={"y": pl.Float64, "l": pl.List(pl.Int8)})))
    assert [(column.kind, column.missing, column.distinct) for column in overview.columns] == [
        ("number", 0.0, 0),
        ("other", 0.0, 0),
    ]


def test_a_file_that_breaks_off_is_looked_at_as_far_as_it_goes_or_is_an_error(tmp_path):
    path = tmp_path / "table.parquet"
    pl.DataFrame({"id": np.repeat(np.arange(100), 1000), "y": np.arange(100_000.0)}).write_parquet(
        path, row_group_size=10_000
    )
    table = Table(pl.scan_parquet(path), Roles(), Reading(), str(path))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 30_000] = bytes(30_000)
    path.write_bytes(content)
    overview = inspect_columns(table)
    assert overview.rows is None
    assert [column.name for column in overview.columns] == ["id", "y"]
    path.write_bytes(b"PAR1 no more")
    with pytest.raises(DataError):
        inspect_columns(Table(pl.scan_parquet(path), Roles(), Reading(), str(path)))


@pytest.mark.parametrize("id", ["rows", "id", "c0", "0", "", "n"])
def test_any_column_may_be_called_anything(id):
    frame = pl.DataFrame({id: ["a", "a", "b", "b"], "t": [0, 1, 0, 1], "y": [1.0, 2, 3, 4], "k": [5, 5, 6, 6]})
    overview = inspect_columns(bare(frame), Schema("t", "y", id))
    assert [column.suggested for column in overview.columns] == ["", "", "", "static"]


# --- missing shares --------------------------------------------------------------------------------------------------


@given(st.integers(1, 4), st.integers(0, 5), st.floats(0, 1), st.integers(0, 99))
def test_the_missing_share_is_that_of_the_history(series, ahead, share, seed):
    random = np.random.default_rng(seed)
    tables = [random.normal(size=(12 + n, 3)) for n in range(series)]
    for table in tables:
        table[random.random(table.shape) < share] = np.nan
    panel = make_panel(tables, past=("a",), future=("b",), known_ahead=ahead)
    history = np.concatenate([table[: len(table) - ahead] for table in tables])
    expected = np.isnan(history).mean(axis=0)
    assert list(missing_share(panel).values()) == pytest.approx(expected.tolist())


# --- the command -----------------------------------------------------------------------------------------------------

SCHEMA = Schema("day", "y", "shop")


def command(
    source: Source = "t.csv",
    schema: Schema = SCHEMA,
    *,
    roles: Roles = ROLES,
    freq: str | None = None,
    reading: Reading = READING,
    decided: Reading | None = None,
) -> str:
    return fit_command(TableRequest(source, roles, reading, freq), schema, decided or reading)


def test_the_command_names_the_roles_that_were_found():
    assert command() == "tsx fit t.csv --id shop --time day --target y"
    assert command(schema=Schema("t", "y")) == "tsx fit t.csv --time t --target y"
    schema = Schema("day", "y", past=("a", "b c"), future=("price",), static=("kind",))
    assert command(schema=schema) == ("tsx fit t.csv --time day --target y --past 'a,b c' --future price --static kind")


def test_the_command_carries_every_wish_for_the_reading():
    reading = Reading(
        id_from="filename",
        time_format="%d.%m.%Y %H:%M",
        zone="Europe/Berlin",
        decimal=",",
        missing=("-999", "n/a,b"),
        duplicates="mean",
        regularize="last",
        calendar=True,
        holidays="DE-BY",
        max_rows=10,
    )
    words = shlex.split(command(["a.csv", "b c.csv"], roles=Roles(), reading=reading, freq="1h"))
    assert words == [
        "tsx",
        "fit",
        "a.csv",
        "b c.csv",
        "--time",
        "day",
        "--target",
        "y",
        "--freq",
        "1h",
        "--id-from",
        "filename",
        "--time-format",
        "%d.%m.%Y %H:%M",
        "--zone",
        "Europe/Berlin",
        "--decimal",
        ",",
        '--missing=-999,"n/a,b"',
        "--duplicates",
        "mean",
        "--regularize",
        "last",
        "--calendar",
        "--holidays",
        "DE-BY",
        "--max-rows",
        "10",
    ]
    assert command(reading=Reading()) == command()


def test_columns_that_came_about_in_reading_are_not_named():
    made = Schema("day", "value", "series")
    assert command(schema=made, decided=Reading(wide=True)) == "tsx fit t.csv --wide"
    assert command(schema=made, roles=Roles(time=("day",)), reading=Reading(wide=True)) == (
        "tsx fit t.csv --time day --wide"
    )
    stacked = Reading(stacked=("open", "a,b"))
    assert command(schema=made, roles=Roles(id=("shop",), target=("open", "a,b")), decided=stacked) == (
        "tsx fit t.csv --id shop --time day --target 'open,\"a,b\"'"
    )
    parts = Reading(time_parts=("date", "clock"))
    assert "--time date,clock" in command(schema=Schema("time", "y"), decided=parts)


def test_a_name_like_a_flag_and_a_file_like_a_flag_stay_values():
    schema = Schema("--day", "-y", "it's", past=("-a", "b"))
    assert command("-t.csv", schema) == "tsx fit ./-t.csv --id 'it'\"'\"'s' --time=--day --target=-y --past=-a,b"
    assert command("-") == "tsx fit - --id shop --time day --target y"
    assert command(Path("d/t.csv")).startswith("tsx fit d/t.csv ")
    assert command(pl.DataFrame()).startswith("tsx fit DATA ")


NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8).map(str.strip).filter(bool)


@given(st.lists(NAMES, min_size=4, max_size=6, unique=True))
def test_whatever_the_names_the_command_line_reads_them_back(names):
    from tsx.spec.setting import split

    id, time, target, *past = names
    words = shlex.split(command(schema=Schema(time, target, id, tuple(past))))
    read: dict[str, str] = {}
    words = iter(words[3:])
    for word in words:
        name, given, value = word.partition("=")
        read[name] = value if given else next(words)
    assert split(read["--id"]) == (id,)
    assert split(read["--time"]) == (time,)
    assert split(read["--target"]) == (target,)
    assert split(read["--past"]) == tuple(past)


def test_the_command_is_understood_by_a_shell(tmp_path):
    schema = Schema("a day", "y$HOME`x`", 'sh"op', past=("p;q", "r,s"))
    text = command("t able.csv", schema).removeprefix("tsx ")
    program = f'{shlex.quote(sys.executable)} -c "import sys, json; print(json.dumps(sys.argv[1:]))" {text}'
    done = subprocess.run(["sh", "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert json.loads(done.stdout) == [
        "fit",
        "t able.csv",
        "--id",
        '"sh""op"',
        "--time",
        "a day",
        "--target",
        "y$HOME`x`",
        "--past",
        'p;q,"r,s"',
    ]
