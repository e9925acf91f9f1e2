"""Columns about persons are suspected, and columns about things are not."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tsx.profile.personal_data import GIVEN, Suspicion, suspect_columns

RANDOM = np.random.default_rng(0)
FAMILIES = ("Müller", "O'Neil", "Smith-Jones", "Kowalski", "García", "Nguyen", "Rossi", "Andersson", "Haddad", "Tanaka")
FIRST = sorted(GIVEN)


def suspicion(name: str, values: list[object] | pl.Series) -> Suspicion | None:
    found = suspect_columns(pl.DataFrame({name: values}))
    assert len(found) <= 1
    return found[0] if found else None


def kind(name: str, values: list[object] | pl.Series) -> str | None:
    found = suspicion(name, values)
    return found.kind if found else None


def digits(count: int, length: int) -> list[str]:
    return ["".join(map(str, row)) for row in RANDOM.integers(1, 10, (count, length))]


def people(count: int) -> list[str]:
    return [f"{FIRST[7 * k % len(FIRST)].title()} {FAMILIES[k % len(FAMILIES)]}" for k in range(count)]


def days(first: int, last: int, count: int = 200) -> pl.Series:
    span = (dt.date(last, 12, 31) - dt.date(first, 1, 1)).days
    return pl.Series([dt.date(first, 1, 1) + dt.timedelta(days=int(d)) for d in RANDOM.integers(0, span, count)])


PEOPLE = people(60)
PERSONAL = [
    ("person-name", "patient", PEOPLE),
    ("person-name", "series", PEOPLE),
    ("person-name", "Name", [f"{p.split()[1]}, {p.split()[0]}" for p in PEOPLE]),
    ("person-name", "Nachname", ["Schmidt", "Weber", "Wolf"]),
    ("person-name", "prénom", ["Zoé", "Léa"]),
    ("person-name", "lastName", ["Li", "Wu"]),
    ("person-name", "姓名", ["李雷", "韩梅梅"]),
    ("birth-date", "dob", days(1990, 1992)),
    ("birth-date", "dateOfBirth", days(1930, 2010).dt.to_string("%d.%m.%Y")),
    ("birth-date", "Geburtsdatum", days(1930, 2010).dt.to_string("%Y-%m-%d")),
    ("birth-date", "birth_year", RANDOM.integers(1930, 2010, 100)),
    ("birth-date", "d2", days(1925, 2012)),
    ("birth-date", "fecha de nacimiento", days(1930, 2010).cast(pl.Datetime("us"))),
    ("record-number", "MRN", digits(50, 8)),
    ("record-number", "patient_id", RANDOM.integers(10**6, 10**7, 50)),
    ("record-number", "Fallnummer", digits(50, 9)),
    ("record-number", "code", [f"MRN{d}" for d in digits(50, 7)]),
    ("record-number", "id", digits(80, 8)),
    ("phone", "phone", digits(30, 10)),
    ("phone", "Telefon", [f"0{d[:3]}/{d[3:]}" for d in digits(30, 9)]),
    ("phone", "customer_mobile", RANDOM.integers(10**9, 10**10, 30)),
    ("phone", "x", [f"+49 {d[:3]} {d[3:]}" for d in digits(30, 10)]),
    ("phone", "x", [f"({d[:3]}) {d[3:6]}-{d[6:]}" for d in digits(30, 10)]),
    ("e-mail", "user", [f"{p.split()[0].lower()}@example.org" for p in PEOPLE]),
    ("e-mail", "note", [*(f"a{k}@example.org" for k in range(10)), *(f"text {k}" for k in range(40))]),
    ("e-mail", "E-Mail", ["hidden"]),
    ("postcode", "PLZ", digits(30, 5)),
    ("postcode", "zip_code", RANDOM.integers(10_000, 99_999, 40)),
    ("postcode", "codigoPostal", digits(30, 5)),
    ("postcode", "x", ["SW1A 1AA", "M1 1AE", "B33 8TH", "CR2 6XH", "DN55 1PT", "W1A 0AX"]),
    ("national-id", "ssn", digits(20, 9)),
    ("national-id", "x", [f"{d[:3]}-{d[3:5]}-{d[5:]}" for d in digits(20, 9)]),
    ("national-id", "Codice Fiscale", ["hidden"]),
]


@pytest.mark.parametrize(("expected", "name", "values"), PERSONAL)
def test_a_column_about_persons_is_suspected(expected, name, values):
    assert kind(name, values) == expected


HARMLESS = [
    ("symbol", ["AAPL", "MSFT", "BRK.B", "SAP", "7203.T", "GOOGL"]),
    ("isin", [f"US{d}" for d in digits(40, 10)]),
    ("station", ["EDDF", "KJFK", "USW00094728", "GME00121150", "UK000003377"]),
    ("site_no", digits(60, 8)),
    ("store", [f"CA_{k}" for k in range(40)]),
    ("store_id", RANDOM.integers(10**6, 10**7, 50)),
    ("unique_id", [f"{k:08d}" for k in range(1000, 1200)]),
    ("product_name", ["Blue Widget", "Red Mary", "Big Apple", "John Deere", "Max Pack", "Ben Nevis"]),
    ("city", ["New York", "San Francisco", "Los Angeles", "Santa Maria", "San Jose", "Saint Paul"]),
    ("name", ["New York", "San Francisco", "Los Angeles", "Kansas City", "Las Vegas", "Salt Lake City"]),
    ("name", ["Apple Inc", "Deutsche Bank", "Morgan Stanley", "Procter Gamble", "Hewlett Packard", "Union Pacific"]),
    ("series", ["Heart Rate", "Blood Pressure", "Body Weight", "Oxygen Saturation", "Blood Glucose", "Body Height"]),
    ("patient", [f"P{k:03d}" for k in range(40)]),
    ("volume", RANDOM.integers(10**6, 10**7, 400)),
    ("mobile_users", RANDOM.integers(10**6, 10**7, 400)),
    ("phone_sales", RANDOM.integers(10**6, 10**7, 400)),
    ("births", RANDOM.integers(1900, 2010, 400)),
    ("birth_rate", RANDOM.integers(1900, 2010, 400)),
    ("email_campaign", ["spring", "autumn"]),
    ("zip", ["gzip", "zstd"]),
    ("glucose", RANDOM.normal(120, 20, 400)),
    ("phone", RANDOM.normal(120, 20, 400)),
    ("founded", days(1900, 2010)),
    ("ipo_date", days(1960, 2015)),
    ("discharge", days(2019, 2024)),
    ("admitted", days(1985, 2014).cast(pl.Datetime("us")).dt.offset_by("7h")),
    ("day", [f"{y}{m:02d}15" for y in range(1980, 2020) for m in range(1, 13)]),
    ("period", ["2024-01", "2024-02", "2024-03"]),
    ("ip", ["192.168.0.1", "10.0.0.7", "172.16.4.2", "8.8.8.8", "1.1.1.1"]),
    ("version", ["1.2.3", "10.20.30", "2.0.0", "2.0.1", "3.1.4"]),
    ("flag", [True, False]),
    ("empty", [None, None]),
    ("blank", ["", " "]),
    ("diagnosis", ["E11.9", "I10", "J45.909", "F32.1", "K21.0"]),
    ("segment", ["Consumer", "Corporate", "Home Office", "Small Business", "Public Sector"]),
]


@pytest.mark.parametrize(("name", "values"), HARMLESS)
def test_a_column_about_things_is_not_suspected(name, values):
    assert kind(name, values) is None


def test_the_time_column_is_never_suspected():
    table = pl.DataFrame({"dob": days(1930, 2010)})
    assert suspect_columns(table)
    assert suspect_columns(table, beside=["dob"]) == ()


def test_a_reason_names_shares_and_quotes_no_value():
    planted = [f"{name} Zyzzyva" for name in ("Anna", "Otto", "Petra", "Maria", "James", "Laura")]
    found = suspicion("client", [*planted, "?"])
    assert found is not None
    assert found.reason == "capitalised words in 86 % of 7 different values sampled"
    assert found.words == "names of persons"
    assert "Zyzzyva" not in str(found)


def test_a_few_stray_values_do_not_hide_a_kind():
    assert kind("contact phone", [*digits(90, 10), *["none", "ask"] * 4]) == "phone"
    assert kind("x", [*(f"+44 20 {d}" for d in digits(90, 8)), "none", "ask"]) == "phone"


@example("^)$", ["x"])
@example("^$", [])
@given(st.text(max_size=30), st.lists(st.one_of(st.none(), st.text(max_size=12)), max_size=20))
def test_any_name_and_any_text_can_be_judged(name, values):
    found = suspicion(name, pl.Series(values, dtype=pl.String))
    assert found is None or found.column == name
