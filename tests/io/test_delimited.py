"""Delimited text: whatever the separator, the quotes, the line ends and the encoding, the same cells come out."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tsx.errors import DataError
from tsx.io.delimited import read_text
from tsx.io.dialect import sniff
from tsx.io.failures import collecting
from tsx.io.raw_table import RawTable

SECRET = "secret"


def read(content: str | bytes, default: str = ",") -> RawTable:
    return read_text(content if isinstance(content, bytes) else content.encode(), "here", default=default)


def cells(content: str | bytes) -> dict[str, list[str | None]]:
    return read(content).rows.collect().to_dict(as_series=False)


def refused(content: str | bytes, code: str) -> DataError:
    with pytest.raises(DataError) as caught:
        read(content).rows.collect()
    assert caught.value.code == code
    assert SECRET not in f"{caught.value.message}{caught.value.hint}{caught.value.where}"
    return caught.value


TABLE = {"day": ["2024-01-01", "2024-01-02", "2024-01-03"], "y": ["1", "2", None]}


@pytest.mark.parametrize(
    "content",
    [
        "day,y\n2024-01-01,1\n2024-01-02,2\n2024-01-03,\n",
        "day,y\r\n2024-01-01,1\r\n2024-01-02,2\r\n2024-01-03,",
        "day,y\r2024-01-01,1\r2024-01-02,2\r2024-01-03,\r",
        "day;y\n2024-01-01;1\n2024-01-02;2\n2024-01-03;\n",
        "day\ty\n2024-01-01\t1\n2024-01-02\t2\n2024-01-03\t\n",
        "day | y\n2024-01-01 | 1\n2024-01-02 | 2\n2024-01-03 | \n",
        '"day","y"\n"2024-01-01","1"\n"2024-01-02","2"\n"2024-01-03",""\n',
        "day,y,\n2024-01-01,1,\n2024-01-02,2,\n2024-01-03,,\n",
        "day,y\n2024-01-01,1,\n2024-01-02,2,\n2024-01-03,,\n",
        "day,y,,\n2024-01-01,1,,\n2024-01-02,2,,\n2024-01-03,,,\n",
        "Rainfall of a town\n\nday,y\n2024-01-01,1\n2024-01-02,2\n2024-01-03,\n",
        "# unit: mm, daily\n#\nday,y\n2024-01-01,1\n2024-01-02,2\n2024-01-03,\n",
        "day,y\n2024-01-01,1\n2024-01-02,2\n2024-01-03,\n\n\n",
        "day,y\n2024-01-01,1\n\n2024-01-02,2\n,\n2024-01-03,\n",
        "day,y\n2024-01-01,1\n2024-01-02,2\n2024-01-03,\nTotal,3\n",
        "day,y\n2024-01-01,1\n2024-01-02,2\n2024-01-03,\n\nSource: a town, its gauge, and another\n",
        "day,y\n2024-01-01,1\n2024-01-02,2\n2024-01-03,\n(3 rows)\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_one_table_comes_out_of_every_layout(content: str, encoding: str) -> None:
    assert cells(content.encode(encoding)) == TABLE


def test_the_plain_case_makes_no_noise() -> None:
    scanned = read("day,y\n2024-01-01,1\n2024-01-02,2\n\n")
    assert scanned.decisions == ()
    assert scanned.findings == ()


@pytest.mark.parametrize(
    ("content", "name", "value"),
    [
        ("a;b\n1,5;2,5\n", "separator", "semicolon"),
        ("a\tb\n1\t2\n", "separator", "tab"),
        ("a|b\n1|2\n", "separator", "bar"),
        ("a  b\n1 2\n", "separator", "blanks"),
        ("é,b\n1,2\n".encode("latin-1"), "encoding", "windows-1252"),
        ("é\x81,b\n1,2\n".encode("latin-1"), "encoding", "iso-8859-1"),
        ("a,b\n1,2\n".encode("utf-16"), "encoding", "utf-16"),
        ("title\na,b\n1,2\n3,4\n", "first_line", 2),
        ("2024-01-01,1\n2024-01-02,2\n", "header", "none"),
        (",b\n1,2\n", "unnamed_columns", ["column_1"]),
    ],
)
def test_every_choice_is_told(content: str | bytes, name: str, value: object) -> None:
    told = [(decision.name, decision.value) for decision in read(content).decisions]
    assert told == [(name, value)]


def test_a_decision_says_in_how_many_lines_letters_are_no_utf8() -> None:
    (decision,) = read("a,b\né,1\nx,2\nüä,3\n".encode("latin-1")).decisions
    assert "2 lines" in decision.reason


def test_a_late_letter_that_is_no_utf8_is_noticed() -> None:
    content = b"a,b\n" + b"x,1\n" * 300_000 + "é,2\n".encode("latin-1")
    scanned = read(content)
    assert [decision.value for decision in scanned.decisions] == ["windows-1252"]
    assert scanned.rows.collect()["a"][-1] == "é"


def test_the_encoding_of_text_separated_by_blanks_is_said_wherever_it_shows() -> None:
    table = read(b"a  b\n" + b"x  1\n" * 100_000 + "é  2\n".encode("latin-1"))
    assert table.rows.last().collect().row(0) == ("é", "2")
    assert "windows-1252" in [decision.value for decision in table.decisions if decision.name == "encoding"]


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        ("day,y\n2024-01-01,1\n2024-01-02,2\n2024-01-03,3\nTotal,6\n", "footer-dropped", "line 5"),
        ("day,y,z\n2024-01-01,1,1\n2024-01-02,2,2\nSource: a\nNote: b\n", "footer-dropped", "line 4"),
        ("id,y,z\na,1,1\nb,2,2\nTotal,,3\n", "footer-dropped", "line 4"),
        ("day,y,z\n2024-01-01,1,1\n2024-01-02,2,2\n2024-01-03,2", "last-line-cut", "line 4"),
        ("day,y\n2024-01-01,1\n\n2024-01-02,2\n", "blank-lines", "line 3"),
        ("day,y\n2024-01-01,1\n \t \n2024-01-02,2\n", "blank-lines", "line 3"),
        ("day,y\r\n2024-01-01,1\r\n,\r\n2024-01-02,2\r\n", "blank-lines", "line 3"),
        ('"day","y"\n"2024-01-01","1"\n"",""\n"2024-01-02","2"\n"",""\n', "blank-lines", "line 3"),
    ],
)
def test_lines_that_are_left_out_are_found(content: str, code: str, line: str) -> None:
    scanned = read(content)
    (finding,) = scanned.findings
    assert finding.code == code
    assert line in finding.message


def test_a_series_named_total_is_no_footer() -> None:
    assert cells("id,day,y\nTotal,1,5\nTotal,2,6\n")["id"] == ["Total", "Total"]


@pytest.mark.parametrize(
    ("content", "places"),
    [
        ("a,b\n1,2\nsecret,3,4\n5,6\n", "1 row with more fields (line 3)"),
        ("a,b,c\n1,2,3\nsecret,2\n5,6,7\n", "1 row with fewer fields (line 3)"),
        ("a,b,c\n1,2,3\n3,4,5\n5,6\n", "1 row with fewer fields (line 4)"),
        ("a,b,c\n1,2\n3,4\n", "2 rows with fewer fields (line 2, 3)"),
        ("a,b\n1,2,3\n3,4,5\n", "2 rows with more fields (line 2, 3)"),
        ("value\n1,5\n2,5\n", "2 rows with more fields"),
        ('a,b\n"x\ny",2\n3,4,5\n"6",7\n', "line 4"),
        (
            "# x\na,b\n" + "1,2\n" * 9 + "1,2,3\n" * 9 + "1,2\n" * 9,
            "9 rows with more fields (line 12, 13, 14, 15, 16, ...",
        ),
    ],
)
def test_rows_of_other_numbers_of_fields_are_refused_with_their_lines(content: str, places: str) -> None:
    assert places in refused(content, "rows-ragged").message


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('a,b\n1,2\n"secret,4\n5,6\n', 3),
        ('a,b\n1,2\n"secret,4\n"x","y"\n5,6\n', 3),
        ('a,b\n"1","2"\n"3","secret\n', 3),
    ],
)
def test_an_open_quote_is_refused_with_its_line(content: str, line: int) -> None:
    assert f"line {line} " in refused(content, "quote-open").message


@pytest.mark.parametrize(
    ("content", "column"),
    [
        ('a,b\n5" pipe,2\n3,4\n6" pipe,7\n', ['5" pipe', "3", '6" pipe']),
        ('a,b\n5" pipe,2\n3,4\n', ['5" pipe', "3"]),
        ('a,b\n"x,y",5" pipe\n "q,r",7\n', ["x,y", "q,r"]),
        ('a,b\n"x,y" ,1\n"z",7\n', ["x,y", "z"]),
        ('a,b\n"x ""y"" z",1\n"""q""",7\n"",8\n', ['x "y" z', '"q"', None]),
        ('a,b\n"x\r\ny",1\n', ["x\r\ny"]),
    ],
)
def test_quotes_that_follow_no_rule_are_read_as_they_are_meant(content: str, column: list[str]) -> None:
    assert cells(content)["a"] == column


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ('"a ""b"" c",d\n1,2\n', ['a "b" c', "d"]),
        ('" a ", [b] (c) \n1,2\n', ["a", "[b] (c)"]),
        ('"a,b",ж日本\n1,2\n', ["a,b", "ж日本"]),
        ("a,,c,\n1,2,3,4\n", ["a", "column_2", "c", "column_4"]),
        ("column_2,\n1,2\n", ["column_2", "column_2_"]),
        ('"a\nb",c\n1,2\n', ["a\nb", "c"]),
        ('"a" "b"\n"x" 3 4\n"y" 5 6\n', ["column_1", "a", "b"]),
        ("id,1,2,3\nx,5,6,7\n", ["id", "1", "2", "3"]),
        ("id,2019,2020\nx,5,6\n", ["id", "2019", "2020"]),
        ("id,2024-01-01,2024-01-02\nx,5,6\n", ["id", "2024-01-01", "2024-01-02"]),
        ("x,5,6,9\ny,7,8,1\n", ["column_1", "column_2", "column_3", "column_4"]),
        ("5\n6\n", ["column_1"]),
        ("y\n6\n", ["y"]),
        ("#day,y\n1,2\n3,4\n", ["#day", "y"]),
    ],
)
def test_names_are_kept_or_given(content: str, names: list[str]) -> None:
    assert read(content).rows.collect_schema().names() == names


def test_a_name_twice_is_refused_by_its_place() -> None:
    error = refused("secret,b,secret\n1,2,3\n", "column-twice")
    assert "columns 1, 3" in error.message
    assert error.values == "'secret'"


def test_too_many_columns_are_refused() -> None:
    refused(",".join(map(str, range(100_001))) + "\n" + "1," * 100_000 + "1\n", "too-many-columns")


@pytest.mark.parametrize("content", ["a,b\n", "a,b", "\n \n", "a,b\n\n\n", "a,b\n,\n"])
def test_a_header_without_rows_is_empty(content: str) -> None:
    refused(content, "file-empty")


@pytest.mark.parametrize("content", [b"a,b\n1," + b"x" * (17 * 2**20) + b"\n3,4\n" * 3, b"x" * (33 * 2**20)])
def test_a_line_without_an_end_is_refused(content: bytes) -> None:
    refused(content, "line-too-long")


def test_more_rows_than_allowed_are_refused_with_their_number() -> None:
    content = b"a,b\n" + b"1,2\n" * 11
    assert len(read_text(content, "here", max_rows=11).rows.collect()) == 11
    with pytest.raises(DataError, match="11 rows; at most 10") as caught:
        read_text(content, "here", max_rows=10)
    assert caught.value.code == "too-many-rows"


def test_a_file_is_read_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b\n" + "1,2\n" * 9 + "Total,18\n")
    rows = read_text(path, "here").rows
    assert str(path) in rows.explain()
    assert rows.select("b").collect()["b"].to_list() == ["2"] * 9


BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
letters = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r\n", exclude_categories=("Cs",))
    | st.sampled_from(list("\",;|\t '=#<[%\x1b")),
    max_size=12,
)
tables = st.integers(2, 5).flatmap(
    lambda width: st.lists(st.lists(letters, min_size=width, max_size=width), min_size=1, max_size=6)
)


@given(
    rows=tables,
    separator=st.sampled_from(",;\t|"),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_hostile_cells_come_back_one_by_one(
    rows: list[list[str]], separator: str, line_end: str, quoting: int, encoding: str
) -> None:
    width = len(rows[0])
    names = [f"name {k}" for k in range(width)]
    # a first row without a gap or quirk, lest one of the strange rows be taken for a footer or a blank line
    told = [["x"] * width, *[["x", *row[1:]] for row in rows], ["x"] * width]
    out = io.StringIO()
    csv.writer(out, delimiter=separator, quoting=quoting, lineterminator=line_end).writerows([names, *told])  # type: ignore[arg-type]
    content = out.getvalue().encode(encoding)
    expected = {name: [row[k].strip(BLANKS) or None for row in told] for k, name in enumerate(names)}
    assert cells(content) == expected


@given(
    names=st.lists(
        letters.map(str.strip).filter(lambda name: name and name[0] not in "#\ufeff"), min_size=2, unique=True
    )
)
def test_hostile_names_are_kept(names: list[str]) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([names, ["text"] * len(names), ["cells"] * len(names)])
    dialect = sniff(out.getvalue(), "here", separator=",")
    assert list(dialect.names) == names


@example(content=b"0\n,\n0")
@given(content=st.binary(max_size=200) | st.text(st.sampled_from(list('a1,;\t |"\n\r#é')), max_size=80).map(str.encode))
def test_any_bytes_give_a_table_or_a_declared_error(content: bytes) -> None:
    outcome = "read"
    try:
        with collecting("here"):  # as every command reads
            frame = read(content).rows.collect()
        assert frame.height > 0
    except DataError as error:
        outcome = error.code
    declared = {"file-empty", "file-unreadable", "rows-ragged", "quote-open", "column-twice", "line-too-long"}
    assert outcome in {"read", *declared}
