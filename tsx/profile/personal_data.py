"""Which columns look like data about persons, judged by their names and by the form of a sample of their values.

A suspicion is a hint, never a proof, and it quotes nothing: it names the column, the kind, and shares. What measures
(decimal numbers), codes (tickers, stations, stores, articles) and the table's time are not suspected.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import polars as pl

from tsx.wording import percent

Kind = Literal["person-name", "birth-date", "record-number", "phone", "e-mail", "postcode", "national-id"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MOST_VALUES = 2_000
FEWEST_VALUES = 5
"""By their form alone, so many different values at least are suspected: a few may look like anything."""
USUAL = 0.8
"""A form counts where this share of the different values has it."""
SOME = 0.1
"""E-mail addresses have a form that nothing else has: a share of this is enough."""

WORDS: dict[Kind, str] = {
    "person-name": "names of persons",
    "birth-date": "dates of birth",
    "record-number": "record numbers of persons",
    "phone": "phone numbers",
    "e-mail": "e-mail addresses",
    "postcode": "postcodes",
    "national-id": "national or tax numbers",
}

NAMES: dict[Kind, str] = {
    "e-mail": "email|e mail|emails|mail address|email address|mailadresse|correo|correo electronico|courriel|"
    "邮箱|電子郵件|メール|почта",
    "birth-date": "dob|birth|birthdate|birth date|birthday|date of birth|year of birth|birth year|yob|born|"
    "geburtsdatum|geburtstag|geburtsjahr|geburt|geb datum|gebdatum|geboren|date de naissance|naissance|ne le|"
    "fecha de nacimiento|nacimiento|data di nascita|nascita|data de nascimento|nascimento|geboortedatum|"
    "fodelsedatum|fodselsdato|data urodzenia|出生日期|生日|生年月日|дата рождения",
    "national-id": "ssn|social security|social security number|social security no|national id|national insurance|"
    "nino|sin number|sozialversicherungsnummer|svnr|sv nummer|rentenversicherungsnummer|steuer id|steuerid|"
    "steuernummer|tax id|taxpayer id|personnummer|fodselsnummer|cpf|dni|nie|bsn|insee|numero de securite sociale|"
    "codice fiscale|passport|passport no|passport number|ausweisnummer|reisepass|aadhaar|pesel|curp|身份证|инн|снилс",
    "record-number": "mrn|medical record|medical record number|medical record no|patient number|"
    "patient no|patient nr|patient id|patientid|patientennummer|patientennr|patienten id|fallnummer|fall nr|"
    "case number|case no|hospital number|hospital no|nhs number|nhs no|chart number|insurance number|"
    "versichertennummer|numero de dossier|numero de historia|historia clinica|病历号|住院号|患者番号",
    "phone": "phone|phone number|phone no|telephone|tel|tel no|tel nr|mobile|mobile phone|mobile number|cell phone|"
    "cellphone|fax|handy|handynummer|telefon|telefonnummer|rufnummer|mobil|mobilnummer|telefono|movil|celular|"
    "telefone|telemovel|telefoon|portable|numero de telephone|电话|手机|電話|電話番号|телефон",
    "postcode": "postcode|post code|postal|postal code|postalcode|zip|zipcode|zip code|plz|postleitzahl|code postal|"
    "codigo postal|codice postale|codigo de postal|cep|postnummer|postnr|pincode|pin code|kod pocztowy|"
    "邮编|邮政编码|郵便番号|индекс",
    "person-name": "first name|firstname|last name|lastname|given name|givenname|family name|surname|forename|"
    "middle name|maiden name|full name|fullname|patient name|customer name|client name|person name|employee name|"
    "contact name|vorname|nachname|familienname|geburtsname|patientenname|kundenname|prenom|nom de famille|"
    "nombre completo|apellido|apellidos|cognome|sobrenome|nome completo|achternaam|voornaam|fornamn|efternamn|"
    "imie|nazwisko|姓名|氏名|名前|фамилия|имя|фио",
}
PERSONS = _words(
    "patient patienten patientin person persons client customer kunde employee mitarbeiter doctor arzt physician nurse "
    "teacher student pupil member mitglied user driver fahrer owner contact name nom nombre nome naam namn paciente "
    "cliente empleado"
)
"""Words of a name under which two capitalised words are likely a person."""
BARE = _words("name nom nombre nome naam namn")
"""Words that name anything: here given names have to be among the values."""
BESIDE = _words(
    "home work private main primary secondary emergency billing shipping delivery mother father parent child spouse "
    "nr no num number nummer code value text the of 1 2 3"
)
"""Words that may stand beside those of a kind: `mother_birth_date` is a birth date, `birth_rate` is not."""
HARMLESS = _words(
    "station site store shop branch filiale outlet product produkt item article artikel sku ean gtin upc isin cusip "
    "sedol cik permno ticker symbol stock aktie security securities fund issuer company firma firm exchange "
    "sensor device meter zaehler machine well route line linie region county fips geo city stadt town country land "
    "state district ward drug brand category class group model channel feature "
    "metric event team league founded founding opened opening built ipo listed listing "
    "established commissioned installed install expiry maturity release released published issue issued"
)
"""Words of a name that say that the values are of things: their form alone is then no suspicion."""

EMAIL = r"^[^@\s,;]+@[^@\s,;]+\.\p{L}{2,}$"
PHONES = (
    r"^(?:\+|00)\d{1,3}[\s./()-]*\d(?:[\s./()-]*\d){5,12}$",
    r"^\(?\d{3}\)?[\s.-]\d{3}[\s.-]\d{4}$",
    r"^\(?0\d{1,5}\)?\s?[\s/-]\s?\d{3,}(?:[\s-]\d+)*$",
    r"^0\d(?:[ .]\d\d){4}$",
)
DIGITS = r"^\+?\d[\d\s./()-]{4,18}\d$"
POSTCODES = (
    r"^[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}$",
    r"^[A-Z]\d[A-Z] \d[A-Z]\d$",
    r"^\d{5}-\d{4}$",
    r"^\d{4} [A-Z]{2}$",
)
POSTCODE_LIKE = (
    r"(?i)^(?:[A-Z]{1,2}-?)?(?:\d{3,6}|\d{2,5}[ -]\d{3,4}|\d{4} ?[A-Z]{2}|[A-Z]\d[A-Z\d]{0,2} ?\d[A-Z\d]{2})$"
)
NATIONAL = (
    r"^\d{3}-\d{2}-\d{4}$",
    r"^[A-CEGHJ-PR-TW-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D]$",
    r"^[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]$",
    r"^\d{3}\.\d{3}\.\d{3}-\d{2}$",
    r"^\d{6}(?:\d{2})?[-+]\d{4}$",
    r"^[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]$",
)
_MARKED = r"^(?i)(?:MRN|PAT|PID|HN|NHS|PATIENT)[\s:#_-]*\d{5,}$"
FORMS: dict[Kind, tuple[str, ...]] = {
    "national-id": NATIONAL,
    "phone": PHONES,
    "postcode": POSTCODES,
    "record-number": (_MARKED,),
}
"""Forms of text that nothing else has, looked for in this order."""
TEXT_FORMS: dict[Kind, str] = {"phone": DIGITS, "postcode": POSTCODE_LIKE, "record-number": r"\d{3,}"}
NUMBER_FORMS: dict[Kind, str] = {
    "birth-date": r"^(?:19\d\d|20[01]\d)$",
    "phone": r"^\d{6,15}$",
    "postcode": r"^\d{3,6}$",
    "record-number": r"^\d{5,}$",
    "national-id": r"^\d{7,}$",
}
"""Forms of text, and of whole numbers, under a name of the kind."""
LONG_NUMBER = r"^\d{7,11}$"
COMPACT_DATE = r"^(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])$"
_CAPITALISED = r"(?:\p{Lu}[\p{L}'\u{2019}-]+|\p{Lu}\.)"
PERSON = rf"^{_CAPITALISED}(?:,? (?:(?:von|van|de|der|den|da|del|di|la|le|bin|al) )*{_CAPITALISED}){{1,3}}$"
DATES = (r"^(\d{4})-\d\d-\d\d$", r"^\d{1,2}[./-]\d{1,2}[./-](\d{4})$", r"^(\d{4})/\d\d/\d\d$")

GIVEN = _words(
    "james john robert michael william david richard joseph thomas charles christopher daniel matthew anthony mark "
    "donald steven paul andrew joshua kenneth kevin brian george timothy edward jason jeffrey ryan jacob gary nicholas "
    "eric jonathan stephen larry justin scott brandon benjamin samuel gregory frank alexander patrick raymond jack "
    "dennis jerry mary patricia jennifer linda elizabeth barbara susan jessica sarah karen lisa nancy betty margaret "
    "sandra ashley kimberly emily donna michelle carol amanda dorothy melissa deborah stephanie rebecca sharon laura "
    "cynthia kathleen amy angela anna ruth brenda pamela nicole katherine samantha christine emma olivia sophia "
    "isabella mia charlotte amelia harper evelyn grace alice jane julia peter hans klaus jurgen wolfgang heinz gunter "
    "werner helmut manfred uwe stefan andreas matthias tobias sebastian jan lukas felix leon jonas finn paula ursula "
    "petra sabine monika renate helga brigitte ingrid erika karin gisela claudia katharina lena lea hannah johanna "
    "jean pierre michel jacques philippe alain bernard francois nicolas julien antoine louis lucas hugo marie nathalie "
    "isabelle sylvie catherine francoise camille chloe manon juan jose luis carlos jesus miguel javier antonio manuel "
    "francisco pedro pablo diego maria carmen ana isabel lucia elena marta rosa giovanni giuseppe marco luca andrea "
    "francesco alessandro matteo lorenzo giulia chiara francesca sara paola joao paulo rafael mateus beatriz fernanda "
    "mariana willem cornelis johannes hendrik sanne lars erik anders bjorn karl nils ingrid astrid sofia maja ivan "
    "dmitri sergei alexei nikolai olga natalia tatiana irina ekaterina svetlana wei fang ming jing hui xin yan hiroshi "
    "takashi kenji yuki haruto sakura yoko keiko minh thi nguyen ravi raj amit sunil anil sanjay priya pooja anita "
    "deepa mohammed muhammad mohamed ahmed ali hassan hussein omar ibrahim fatima aisha khadija zainab mehmet mustafa "
    "ayse emre elif krzysztof piotr andrzej agnieszka katarzyna malgorzata katrin birgit heike anja silke kai sven "
    "robin chris alex sam max tom ben tim nina eva clara ida oscar oliver harry arthur henry leo noah liam ethan"
)


@dataclass(frozen=True)
class Suspicion:
    """Why `column` may hold data about persons: its `kind`, the `reason` in words, and the `share` of values of that
    form (None where only the name tells)."""

    column: str
    kind: Kind
    reason: str
    share: float | None = None

    @property
    def words(self) -> str:
        return WORDS[self.kind]


def suspect_columns(sample: pl.DataFrame, beside: Collection[str] = ()) -> tuple[Suspicion, ...]:
    """A suspicion for every column of `sample` that looks personal; the columns `beside` (the time) are left out."""
    suspicions = (_suspect(column) for column in sample.iter_columns() if column.name not in beside)
    return tuple(suspicion for suspicion in suspicions if suspicion is not None)


def _suspect(column: pl.Series) -> Suspicion | None:
    dtype, unnamed = column.dtype, column.alias("values")  # Polars takes some names for patterns of names
    if isinstance(dtype, (pl.Date, pl.Datetime)):
        return _birth_dates(column.name, unnamed)
    if not (dtype.is_integer() or isinstance(dtype, (pl.String, pl.Categorical, pl.Enum))):
        return None
    named = _named(column.name)
    if dtype.is_integer() and named is None:
        return None
    values = unnamed.drop_nulls().unique().sort().head(MOST_VALUES).cast(pl.String).str.strip_chars()
    values = values.filter(values != "")
    if not len(values):
        return None
    if dtype.is_integer():
        # By name only: a count of millions has the form of a phone number.
        return _by_name_and_form(column.name, values, named, NUMBER_FORMS)
    return _by_name(column.name, values, named) or _by_form(column.name, values)


def _by_name(name: str, values: pl.Series, named: Kind | None) -> Suspicion | None:
    """The name says a kind, and the values do not contradict it."""
    if named == "e-mail" and (share := _share(values, EMAIL)) >= SOME:
        return _suspicion(name, named, share, values, "by its name and the form of")
    if named in ("e-mail", "national-id"):
        return Suspicion(name, named, "by its name")
    if named == "person-name":
        letters = _share(values, r"\p{L}")
        return Suspicion(name, named, "by its name", letters) if letters >= USUAL else None
    if named == "birth-date":
        return _birth_dates(name, values)
    return _by_name_and_form(name, values, named, TEXT_FORMS)


def _by_name_and_form(name: str, values: pl.Series, named: Kind | None, forms: Mapping[Kind, str]) -> Suspicion | None:
    """The name says a kind, and most values have the form that it has."""
    if named is None or named not in forms:
        return None
    share = _share(values, forms[named])
    return _suspicion(name, named, share, values, "by its name and the form of") if share >= USUAL else None


def _by_form(name: str, values: pl.Series) -> Suspicion | None:
    """The values have a form of their own."""
    share = _share(values, EMAIL)
    if share >= SOME:
        return _suspicion(name, "e-mail", share, values)
    tokens = set(_tokens(name))
    persons = _persons(name, tokens, values)
    if persons is not None or len(values) < FEWEST_VALUES:
        return persons
    for kind, patterns in FORMS.items():
        share = max(_share(values, pattern) for pattern in patterns)
        if share >= USUAL:
            return _suspicion(name, kind, share, values)
    if tokens & HARMLESS:
        return None
    return _birth_dates(name, values) or _long_numbers(name, values)


def _persons(name: str, tokens: set[str], values: pl.Series) -> Suspicion | None:
    """Two to four capitalised words, under a name for persons or with common given names among them."""
    share = _share(values, PERSON)
    if share < USUAL or tokens & HARMLESS:
        return None
    if tokens & PERSONS - BARE:
        return _suspicion(name, "person-name", share, values, "capitalised words in")
    first = values.str.replace(r"^.*, ", "").str.extract(r"^(\S+)").str.to_lowercase().str.normalize("NFKD")
    given = float(first.str.replace_all(r"[^\p{L}]", "").is_in(list(GIVEN)).mean() or 0.0)  # type: ignore[arg-type]
    if given < (0.15 if tokens & BARE else 0.3) or (len(values) < FEWEST_VALUES and not tokens & BARE):
        return None
    suspicion = _suspicion(name, "person-name", share, values, "capitalised words in")
    return replace(suspicion, reason=f"{suspicion.reason}, {percent(given)} with a common given name")


def _long_numbers(name: str, values: pl.Series) -> Suspicion | None:
    """Digit strings of one length that do not simply count up: what hospitals and offices number people with."""
    share = _share(values, LONG_NUMBER)
    lengths = values.str.len_chars()
    usual = float((lengths == lengths.mode().min()).mean() or 0.0)  # type: ignore[arg-type]
    if min(share, usual) < 0.95 or _share(values, COMPACT_DATE) >= USUAL:
        return None
    numbers = values.cast(pl.Int64, strict=False).drop_nulls().sort()
    steps = numbers.diff().drop_nulls()
    if not len(steps) or float(steps.median() or 0) <= 2:  # type: ignore[arg-type]
        return None
    return _suspicion(name, "record-number", share, values)


def _birth_dates(name: str, values: pl.Series) -> Suspicion | None:
    """Days between 1900 and 2015 that spread over decades; under a name for birth dates any spread will do."""
    named = _named(name) == "birth-date"
    years = _years(values.drop_nulls())
    if years is None or not len(years):
        return None
    within = float(years.is_between(1900, 2015).mean() or 0.0)  # type: ignore[arg-type]
    words = f"{percent(within)} of {len(years):,} sampled values lie between 1900 and 2015"
    if named:
        return Suspicion(name, "birth-date", f"by its name; {words}", within)
    decades = float(years.quantile(0.9) or 0) - float(years.quantile(0.1) or 0)
    if set(_tokens(name)) & HARMLESS or within < USUAL or years.n_unique() < FEWEST_VALUES or decades < 15:
        return None
    return Suspicion(name, "birth-date", f"{words}, spread over {decades:.0f} years", within)


def _years(values: pl.Series) -> pl.Series | None:
    """The year of every value that is a whole day; None where most are not."""
    if isinstance(values.dtype, pl.Datetime):
        if not len(values) or bool((values.dt.time() != dt.time()).any()):
            return None
        return values.dt.year()
    if isinstance(values.dtype, pl.Date):
        return values.dt.year()
    for pattern in DATES:
        if _share(values, pattern) >= USUAL:
            return values.str.extract(pattern).cast(pl.Int32, strict=False).drop_nulls()
    return None


def _suspicion(name: str, kind: Kind, share: float, values: pl.Series, why: str = "by the form of") -> Suspicion:
    return Suspicion(name, kind, f"{why} {percent(share)} of {len(values):,} different values sampled", share)


def _share(values: pl.Series, pattern: str) -> float:
    return float(values.str.contains(pattern).mean() or 0.0) if len(values) else 0.0  # type: ignore[arg-type]


def _tokens(name: str) -> list[str]:
    """The words of a column's name in lower case without accents: `dateOfBirth`, `date_of_birth` are the same."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    plain = unicodedata.normalize("NFKD", split.casefold().replace("ß", "ss"))
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    return re.findall(r"[^\W_]+", unicodedata.normalize("NFC", letters))


def _named(name: str) -> Kind | None:
    """The kind whose words are the name, apart from words for persons and the like."""
    tokens = _tokens(name)
    if set(tokens) & HARMLESS:
        return None
    return _kinds().get(" ".join(tokens)) or _kinds().get(
        " ".join(token for token in tokens if token not in BESIDE and token not in PERSONS - BARE)
    )


@cache
def _kinds() -> dict[str, Kind]:
    """Kind by name, without accents as the tokens are, and without the words that may stand beside."""
    kinds: dict[str, Kind] = {}
    for kind, text in NAMES.items():
        for words in text.split("|"):
            tokens = _tokens(words)
            kinds.setdefault(" ".join(tokens), kind)
    return kinds
