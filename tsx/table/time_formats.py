"""Times as people write them: which layout a column of text or numbers follows, and the expression that reads it.

A cell's shape is what is left when every digit becomes 0 (`00/00/0000 00:00`). A column has few shapes, and each shape
has one layout, but for the order of day and month: that is decided by a number over 12 somewhere in the column, or
asked for. It is never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

import polars as pl

from tsx.errors import ConfigError, DataError

Order = Literal["iso", "day-first", "month-first"]
Kind = Literal["date", "datetime", "instant", "clock"]

ORDERS: tuple[Order, ...] = ("iso", "day-first", "month-first")
QUARTERS = "quarters"
"""How the user says that 1-2015 is a quarter, not a month."""
EPOCHS = {"epoch-s": 1, "epoch-ms": 10**3, "epoch-us": 10**6, "epoch-ns": 10**9}
FORMATS = (*ORDERS, QUARTERS, *EPOCHS, "excel")
"""The words for how times are written; anything else is a pattern."""
OVER_12, EITHER = "a number over 12 shows where the day stands", "in every cell day and month are the same number"
EPOCH_YEARS = (631_152_000, 4_102_444_800)
"""1990 to 2100 in seconds since 1970: numbers outside are no times by themselves."""
EXCEL_EPOCH = -25_569
"""Days from 1970 to the day 0 of spreadsheets, 1899-12-30."""
EXCEL_DAYS = (32_874, 73_050)
"""1990 to 2099 in days of a spreadsheet."""
EARLIEST_YEAR = 1000
MICROSECONDS_A_DAY = 86_400_000_000
CALENDAR = (-719_528 * MICROSECONDS_A_DAY, 2_932_896 * MICROSECONDS_A_DAY)
_DIGITS = {
    6: ("%Y%m%d", "01"),
    7: ("%Y%j", ""),
    8: ("%Y%m%d", ""),
    10: ("%Y%m%d%H:%M", ":00"),
    12: ("%Y%m%d%H%M", ""),
    14: ("%Y%m%d%H%M%S", ""),
}
"""Layouts of whole numbers by their digits: a month, a day of the year, a day, an hour, a minute, a second."""

# English, German, French, Spanish, Italian, Portuguese and Dutch, whole and short.
_MONTHS = (
    "january januar janvier enero gennaio janeiro januari jänner jan janv ene gen",
    "february februar février fevrier febrero febbraio fevereiro februari feb febr fév fev févr fevr",
    "march märz maerz mars marzo março marco maart mar mär mrz mrt",
    "april avril abril aprile apr avr abr",
    "may mai mayo maggio maio mei mag",
    "june juni juin junio giugno junho jun giu",
    "july juli juillet julio luglio julho jul juil lug",
    "august août aout agosto augustus aug aoû aou ago",
    "september septembre septiembre settembre setembro sep sept set",
    "october oktober octobre octubre ottobre outubro oct okt ott out",
    "november novembre noviembre novembro nov",
    "december dezember décembre decembre diciembre dicembre dezembro dec dez déc dic",
)
MONTHS = {name: month for month, names in enumerate(_MONTHS, start=1) for name in names.split()}
_WRITTEN = {
    **{name: f"~{month:02}" for name, month in sorted(MONTHS.items(), key=lambda item: -len(item[0]))},
    **{"a.m.": "am", "p.m.": "pm", "utc": "z", "gmt": "z"},
}
_WEEKDAYS = r"^(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?|(?:mo|di|mi|do|fr|sa|so)),?\.? +"

_CLOCK = r"(?P<hour>0{1,2}):00(?P<second>:00(?P<fraction>[.,]0{1,9})?)?(?P<half> ?[ap]m)?"
_DAY_END = r"(^|[T ])24:00(:00)?(?:[.,]0+)?( ?[Zz]| ?[+-][0-9]{2}:?[0-9]{2})?$"
_ZONE = r"(?P<offset> ?(?:[Zz]|[+-]00(?::?00)?))"
_DATES: tuple[tuple[str, Order | None, str, str], ...] = (
    # shape of the date; its order (None: day and month stand where either could); layout; what is added to the cell
    (r"0000(?P<s>[-/.])0{1,2}(?P=s)0{1,2}", "iso", "%Y{s}%m{s}%d", ""),
    (r"0{8}", "iso", "%Y%m%d", ""),
    (r"0000(?P<s>[-/.])0{1,2}", "iso", "%Y{s}%m", "{s}%d|{s}01"),
    (r"0000[Mm]0{1,2}", "iso", "%Y{m}%m", "{m}%d|{m}01"),
    (r"0000(?P<s>[-/.])000", "iso", "%Y{s}%j", ""),
    (r"0000-[Ww]00-0", "iso", "%G-{w}%V-%u", ""),
    (r"0000-[Ww]00", "iso", "%G-{w}%V", "-%u|-1"),
    (r"0000[Ww]00-0", "iso", "%G{w}%V-%u", ""),
    (r"0000[Ww]000", "iso", "%G{w}%V%u", ""),
    (r"0000[Ww]00", "iso", "%G{w}%V", "-%u|-1"),
    (r"0000(?P<s>[- /.]?)~00(?P=s)0{1,2}", "iso", "%Y{s}~%m{s}%d", ""),
    (r"0000(?P<s>[- /.]?)~00", "iso", "%Y{s}~%m", " %d| 01"),
    (r"0{1,2}(?P<s>[-/.])0{1,2}(?P=s)0000", None, "%d{s}%m{s}%Y", ""),
    (r"0{1,2}(?P<s>[-/.])0{1,2}(?P=s)00", None, "%d{s}%m{s}%y", ""),
    (r"0{1,2}(?P<s>[-/. ]{0,2})~00(?P<r>[-/., ]{0,2})0000", "day-first", "%d{s}~%m{r}%Y", ""),
    (r"0{1,2}(?P<s>[-/. ]{0,2})~00(?P<r>[-/., ]{0,2})00", "day-first", "%d{s}~%m{r}%y", ""),
    (r"~00(?P<s>[-/. ]{0,2})0{1,2}(?P<r>[-/, ]{1,2})0000", "month-first", "~%m{s}%d{r}%Y", ""),
    (r"~00(?P<s>[-/., ]{1,2})0000", "day-first", "~%m{s}%Y", " %d| 01"),
    (r"~00(?P<s>[-/ ])00", "day-first", "~%m{s}%y", " %d| 01"),
    (r"0{1,2}(?P<s>[-/.])0000", "day-first", "%m{s}%Y", " %d| 01"),
)
QUARTER = r"^(?:([0-9]{4})[ -/]?[qQ]([1-4])|(?:[qQ]([1-4])|([1-4])[qQ])[ -/]?([0-9]{4}))$"
PLAIN_QUARTER = r"^(?:([0-9]{4})[ -/]([1-4])|([1-4])[ -/]([0-9]{4}))$"
"""A quarter without its letter, which may also be one of the months January to April."""
SPAN = r"^(\S.*?)(?: [-\u2013] |/| to | bis )(\S.*)$"
"""A time from when to when: 01.01.2024 00:00 - 01.01.2024 01:00, or 2024-01-01T00:00Z/2024-01-01T01:00Z."""
MIXED = 0.02
"""Where more than this share of the times carries an offset, and of the others too, neither are mistakes."""
FEWEST_QUARTERS = 8
"""Cells that none of a fifth or later month stands in, among so many: months would hardly be so few."""


@dataclass(frozen=True)
class Layout:
    """One way to write a time, as Polars reads it once `suffix` is added to the cell."""

    pattern: str
    suffix: str = ""

    def swapped(self) -> Layout:
        """The layout with the month before the day."""
        return replace(self, pattern=self.pattern.translate(str.maketrans("dm", "md")))


QUARTER_LAYOUT, PLAIN_QUARTER_LAYOUT = Layout("quarter"), Layout("plain quarter")


@dataclass(frozen=True)
class TimeForm:
    """How the cells of one column become times. `bad` of the sample's `cells` cells do not.

    order: what `Reading.time_format` calls it. layouts: tried one after the other. translated: month names and the
    like are replaced before the layouts see a cell. rival: the layouts of the other order of day and month, where the
    sample fits both.
    """

    kind: Kind
    order: str
    layouts: tuple[Layout, ...]
    translated: bool = False
    rival: tuple[Layout, ...] = ()
    cells: int = 0
    bad: int = 0
    reason: str = ""
    """What showed the order, where there could be another."""
    unlike: int = 0
    """Cells of the sample that do not even have the form."""
    local: tuple[Layout, ...] = ()
    """How cells without an offset are written, where others carry one; they are times of `zone`."""
    zone: str | None = None
    spans: bool = False
    """Whether the cells say from when to when; the beginning counts."""
    ends_days: bool = False
    """Whether some cells say 24:00, which is 00:00 of the day after."""

    @property
    def dtype(self) -> pl.DataType:
        """The type of the column once read."""
        return {
            "date": pl.Date(),
            "datetime": pl.Datetime("us"),
            "instant": pl.Datetime("us", "UTC"),
            "clock": pl.Time(),
        }[self.kind]


def translate(cell: pl.Expr) -> pl.Expr:
    """Lower case, without weekdays, with `~05` for a month's name; a decimal comma of seconds becomes a point."""
    return (
        cell.str.to_lowercase()
        .str.replace(_WEEKDAYS, "")
        .str.replace_many(list(_WRITTEN), list(_WRITTEN.values()), leftmost=True)
        .str.replace(r"(~[0-9]{2})\.", "$1")
        .str.replace(r"(:[0-9]{2}),([0-9]{1,9})", "$1.$2")
    )


def layout_of(shape: str) -> tuple[Kind, Order | None, Layout] | None:
    """The layout of all cells of one shape; an order of None stands for day and month in either."""
    if match := re.fullmatch(_CLOCK, shape):
        return "clock", "iso", Layout(_clock(match))
    for date, order, pattern, suffix in _DATES:
        match = re.fullmatch(rf"(?P<date>{date})(?:(?P<gap>[Tt]|,? +)(?:{_CLOCK}|(?P<short>0{{2,6}})){_ZONE}?)?", shape)
        if match is None:
            continue
        groups = match.groupdict()
        letters = {
            "s": groups.get("s") or "",
            "r": groups.get("r") or "",
            "w": "w" if "w" in shape else "W",
            "m": "m" if "m" in shape else "M",
        }
        added, _, tail = suffix.format(**letters).partition("|")
        if groups["gap"] is None:
            return "date", order, Layout(pattern.format(**letters) + added, tail)
        if suffix or (groups["short"] and (groups["gap"] not in "Tt" or len(groups["short"]) % 2)):
            return None
        clock = _clock(match) if groups["hour"] else {2: "%H:%M", 4: "%H%M", 6: "%H%M%S"}[len(groups["short"])]
        hour_only = ":00" if groups["short"] and len(groups["short"]) == 2 else ""
        if hour_only and groups["offset"]:
            return None
        zone = groups["offset"].replace(groups["offset"].strip(), "%#z") if groups["offset"] else ""
        layout = Layout(pattern.format(**letters) + groups["gap"] + clock + zone, hour_only)
        return ("instant" if zone else "datetime"), order, layout
    return None


def _clock(match: re.Match[str]) -> str:
    half = match["half"] or ""
    second = "" if not match["second"] else ":%S" if not match["fraction"] else ":%S%.f"
    return f"{'%I' if half else '%H'}:%M{second}{half.replace(half.strip(), '%p') if half else ''}"


def time_form(
    column: pl.Series, wish: str | None, *, called: str | None = None, zone: str | None = None
) -> TimeForm | None:
    """What the cells of a text column, without words for missing, are read as: None where none of them is a time.

    wish: the user's `time_format`. called: what the column's name says that it holds, `clock` (so that 08.30 is one
    too), `quarter` (so that 1-2015 is one) or something else. zone: that of times that name none. Errors: ConfigError
    `time-format-unknown`.
    """
    if called == "clock" and column.str.contains(r"^[0-9]{1,2}\.[0-9]{2}(\.[0-9]{2})?$").all():
        pointed = column.str.count_matches(".", literal=True).max() == 2
        return _measured(TimeForm("clock", "iso", (Layout("%H.%M.%S" if pointed else "%H.%M"),)), column)
    if wish is not None and "%" in wish:
        return _measured(pattern_form(wish), column)
    if (begins := _begins(column)) is not None:
        of_begins = time_form(begins, wish, called=called, zone=zone)
        return None if of_begins is None else replace(of_begins, spans=True)
    cell = pl.col("cell")
    frame = column.rename("cell").to_frame()
    translated = bool(column.str.contains(r"[a-su-vxyA-SU-VXY]|:[0-9]{2},[0-9]").any())
    texts = translate(cell) if translated else cell
    shapes = frame.select(texts.str.replace_all(r"[0-9]", "0").alias("cell")).group_by("cell").len()
    if frame.select(cell.str.contains(QUARTER).mean() > 0.5).item():
        return _measured(TimeForm("date", "iso", (QUARTER_LAYOUT,)), column)
    by_month: TimeForm | None = None
    if (plain := frame.select(cell.str.contains(PLAIN_QUARTER).mean()).item() or 0.0) > 0.5:
        quarters = _measured(TimeForm("date", QUARTERS, (PLAIN_QUARTER_LAYOUT,)), column)
        if wish == QUARTERS or (wish is None and called == "quarter" and not quarters.bad):
            reason = "the column is called so, and no number over 4 stands in it"
            return replace(quarters, reason="" if wish else reason)
        if wish is None and plain == 1 and len(column) >= FEWEST_QUARTERS and called != "month":
            by_month = quarters
    votes: dict[tuple[Kind, Order | None], int] = {}
    layouts: dict[Layout, tuple[Kind, Order | None]] = {}
    for shape, count in shapes.sort("len", descending=True).head(200).iter_rows():
        if (found := layout_of(shape)) is not None:
            votes[found[:2]] = votes.get(found[:2], 0) + count
            layouts[found[2]] = found[:2]
    if not votes:
        return None
    zoned = sum(n for (kind, _), n in votes.items() if kind == "instant")
    clocks = sum(n for (kind, _), n in votes.items() if kind == "clock")
    local = sum(votes.values()) - zoned - clocks
    main = max(zoned, clocks, local)
    both = min(zoned, local) > MIXED * (zoned + local)
    if both:
        main = zoned
    allowed: tuple[Kind, ...] = (
        ("instant",) if main == zoned else ("clock",) if main == clocks else ("date", "datetime")
    )
    used = {layout: found for layout, found in layouts.items() if found[0] in allowed}
    without = tuple(layout for layout, found in layouts.items() if found[0] == "datetime" and found[1]) if both else ()
    open_votes = sum(n for (kind, order), n in votes.items() if kind in allowed and order is None)
    if 2 * open_votes < main:
        # A few cells in a way of their own are mistakes; they do not make the others doubtful.
        used = {layout: found for layout, found in used.items() if found[1] is not None}
    kind: Kind = "date" if all(found[0] == "date" for found in used.values()) else allowed[-1]
    fixed = tuple(layout for layout, (_, order) in used.items() if order is not None)
    either = tuple(layout for layout, (_, order) in used.items() if order is None)
    swapped = tuple(layout.swapped() for layout in either)
    if not either or wish == "iso":
        orders = {order for _, order in used.values() if order is not None}
        order = "month-first" if orders == {"month-first"} else "day-first" if "day-first" in orders else "iso"
        form = TimeForm(kind, order, fixed, translated, local=without, zone=zone) if fixed else None
        form = _measured(form, column) if form is not None else None
        return replace(form, rival=by_month.layouts) if form is not None and by_month is not None else form
    day = _measured(TimeForm(kind, "day-first", (*either, *fixed), translated), column)
    month = _measured(TimeForm(kind, "month-first", (*swapped, *fixed), translated), column)
    if wish in ("day-first", "month-first"):
        return replace(day if wish == "day-first" else month, unlike=min(day.bad, month.bad))
    if day.bad != month.bad:
        return replace(day if day.bad < month.bad else month, reason=OVER_12)
    same = frame.select((time_of(cell, day) == time_of(cell, month)).all()).item()
    return replace(day, reason=EITHER) if same else replace(day, rival=month.layouts)


def _begins(column: pl.Series) -> pl.Series | None:
    """The first of two times that mostly stand in the cells, written alike; an empty text where a cell holds no two."""
    halves = column.str.extract_groups(SPAN).struct
    first, last = halves.field("1"), halves.field("2")
    alike = first.str.replace_all("[0-9]", "0") == last.str.replace_all("[0-9]", "0")
    return first.fill_null("") if 2 * int(alike.sum()) > len(column) else None


def months_or_quarters(what: str, where: str = "") -> DataError:
    """The error that `what` may be a month or a quarter."""
    return DataError(
        "time-ambiguous",
        f"{what} can be read as a month, January to April, and as a quarter",
        hint="say which with --time-format quarters, or with a pattern of months such as --time-format %m-%Y",
        where=where,
        setting="time_format",
    )


def ambiguous(what: str, *, years: bool, where: str = "", likely: Order = "day-first") -> DataError:
    """The error that `what` is two dates: by its year, or by its day and month. The hint names `likely` first."""
    orders = "with the year first and with the day first" if years else "with the day first and the month first"
    words = ("day-first", "month-first") if likely == "day-first" else ("month-first", "day-first")
    hint = (
        "say how times are written with a pattern, such as --time-format %y-%m-%d or %d-%m-%y"
        if years
        else f"say which with {' or '.join(f'--time-format {word}' for word in words)}"
    )
    return DataError("time-ambiguous", f"{what} can be read {orders}", hint=hint, where=where, setting="time_format")


def more_even(column: pl.Series, day: TimeForm, month: TimeForm) -> Order:
    """The order of day and month under which the longest step is the shorter one, measured in typical steps.

    Hours of a few days jump over months where both are exchanged, and so do first days of months.
    """

    def longest(form: TimeForm) -> float:
        times = column.rename("cell").to_frame().select(time_of(pl.col("cell"), form)).to_series()
        steps = times.drop_nulls().unique().sort().diff().drop_nulls().dt.total_seconds()
        return float(steps.max()) / float(steps.median()) if len(steps) else 1.0  # type: ignore[arg-type]

    return "month-first" if longest(month) < longest(day) else "day-first"


def year_may_come_first(column: pl.Series, form: TimeForm) -> bool:
    """Whether two-digit years seem to stand where days are read: 24-05-30, 24-05-31."""
    if not any(layout.pattern.endswith("%y") and "~" not in layout.pattern for layout in form.layouts):
        return False
    parts = column.str.extract_groups(r"^([0-9]{1,2})[-/.][0-9]{1,2}[-/.]([0-9]{2})$").struct
    first, last = parts.field("1").drop_nulls(), parts.field("2").drop_nulls()
    return bool(len(last)) and last.n_unique() > first.n_unique() and int(last.max() or 99) <= 31  # type: ignore[arg-type]


def pattern_form(pattern: str) -> TimeForm:
    """How cells are read by the user's own strptime pattern."""
    return TimeForm(_kind_of(pattern), pattern, (_user_layout(pattern),))


def time_of(text: pl.Expr, form: TimeForm) -> pl.Expr:
    """The texts as times: Date, Datetime("us"), Datetime("us", "UTC") or Time; a cell that is none becomes null."""
    cell = text.str.strip_chars()
    if form.spans:
        return time_of(cell.str.extract(SPAN), replace(form, spans=False))
    if form.ends_days:
        midnight = cell.str.replace(_DAY_END, "${1}00:00${2}${3}")
        time = time_of(midnight, replace(form, ends_days=False))
        return (
            time if form.kind == "clock" else pl.when(ends_day(cell)).then(time + pl.duration(days=1)).otherwise(time)
        )
    if form.layouts[0] in (QUARTER_LAYOUT, PLAIN_QUARTER_LAYOUT):
        with_letter = form.layouts[0] == QUARTER_LAYOUT
        parts = cell.str.extract_groups(QUARTER if with_letter else PLAIN_QUARTER).struct
        year = pl.coalesce(parts.field("1"), parts.field("5" if with_letter else "4")).cast(pl.Int32)
        numbers = ("2", "3", "4") if with_letter else ("2", "3")
        quarter = pl.coalesce(*(parts.field(number) for number in numbers)).cast(pl.Int32)
        return pl.date(year, 3 * quarter - 2, 1)
    if form.translated:
        cell = translate(cell)
    read = [
        _parsed(cell + layout.suffix if layout.suffix else cell, layout.pattern, form.kind) for layout in form.layouts
    ]
    for layout in form.local:
        wall = _parsed(cell + layout.suffix if layout.suffix else cell, layout.pattern, "datetime").dt
        there = wall.replace_time_zone(form.zone or "UTC", ambiguous="earliest", non_existent="null")
        read.append(there.dt.convert_time_zone("UTC"))
    return read[0] if len(read) == 1 else pl.coalesce(read)


def ends_day(text: pl.Expr) -> pl.Expr:
    """Whether a cell says 24:00, which is 00:00 of the day after."""
    return text.str.contains(_DAY_END)


def _parsed(cell: pl.Expr, pattern: str, kind: Kind) -> pl.Expr:
    # Polars' cache of texts costs more than it saves unless most are the same.
    if kind == "date":
        return cell.str.to_date(pattern, strict=False, cache=False)
    if kind == "clock":
        return cell.str.to_time(pattern, strict=False, cache=False)
    zone = "UTC" if kind == "instant" else None
    return cell.str.to_datetime(pattern, strict=False, time_unit="us", time_zone=zone, cache=False)


def readable(column: str, form: TimeForm) -> pl.Expr:
    """Whether each cell is a time; stricter than `time_of`, which takes 24 for the year 24."""
    time = time_of(pl.col(column), form)
    return time.is_not_null() if form.kind == "clock" else (time.dt.year() >= EARLIEST_YEAR).fill_null(False)


def _measured(form: TimeForm, column: pl.Series) -> TimeForm:
    frame = column.rename("cell").to_frame()
    if form.kind != "date" and frame.select(ends_day(pl.col("cell").str.strip_chars()).any()).item():
        form = replace(form, ends_days=True)
    try:
        good = int(frame.select(readable("cell", form).sum()).item())
    except pl.exceptions.PolarsError:
        raise _format_unknown(form.order) from None
    return replace(form, cells=len(column), bad=len(column) - good, unlike=len(column) - good)


def digits_form(low: int, high: int) -> TimeForm | None:
    """How whole numbers from `low` to `high`, such as 20240531 or 202405310800, could be read as times."""
    length = len(str(low))
    if low <= 0 or length not in _DIGITS or len(str(high)) != length:
        return None
    if int(str(low)[:4]) < 1900 or int(str(high)[:4]) > 2100:
        return None
    return TimeForm("date" if length <= 8 else "datetime", "iso", (Layout(*_DIGITS[length]),))


def epoch_of(low: float, high: float) -> str | None:
    """The epoch whose years 1990 to 2100 hold all numbers from `low` to `high`; None: they are plain steps."""
    first, last = EPOCH_YEARS
    return next((name for name, scale in EPOCHS.items() if first * scale <= low and high < last * scale), None)


def may_be_excel(low: float, high: float) -> bool:
    """Whether all numbers from `low` to `high` are days of a spreadsheet in the years 1990 to 2099."""
    return EXCEL_DAYS[0] <= low and high <= EXCEL_DAYS[1]


def time_of_number(number: pl.Expr, form: str) -> pl.Expr:
    """Times of epoch numbers (UTC) or of a spreadsheet's days."""
    if form == "excel":
        days = number.cast(pl.Float64) + EXCEL_EPOCH
        # To the millisecond: a float of days holds no more.
        millis = (days * MICROSECONDS_A_DAY / 1000).round().cast(pl.Int64, strict=False)
        return _within_calendar(millis * 1000, days * MICROSECONDS_A_DAY).cast(pl.Datetime("us"))
    scale = 10**6 / EPOCHS[form]
    # Whole numbers stay whole: a float has no room for nanoseconds since 1970.
    whole = number.cast(pl.Int64, strict=False)
    exact = whole * int(scale) if scale >= 1 else whole // int(EPOCHS[form] / 10**6)
    broken = (number.cast(pl.Float64) * scale).round().cast(pl.Int64, strict=False)
    micros = pl.when(number.cast(pl.Float64) == whole.cast(pl.Float64)).then(exact).otherwise(broken)
    return _within_calendar(micros, number.cast(pl.Float64) * scale).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _within_calendar(micros: pl.Expr, about: pl.Expr) -> pl.Expr:
    """Microseconds since 1970 between the years 0 and 9999; others become null.

    about: the same as floats, for whole numbers begin anew where they overflow.
    """
    return pl.when(about.is_between(*CALENDAR)).then(micros)


def check_format(wish: str | None) -> None:
    """Errors: ConfigError `time-format-unknown`."""
    if wish is not None and "%" not in wish and wish not in FORMATS:
        raise _format_unknown(wish)


def check_zone(zone: str | None) -> None:
    """Errors: ConfigError `zone-unknown`."""
    try:
        pl.Series([0]).cast(pl.Datetime("us")).dt.replace_time_zone(zone)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        raise ConfigError(
            "zone-unknown",
            f"there is no time zone {zone!r}",
            hint="name one by region and city, such as Europe/Berlin, or UTC",
            where="zone",
        ) from None


def _format_unknown(wish: str) -> ConfigError:
    return ConfigError(
        "time-format-unknown",
        f"time_format is {wish!r}",
        hint=f"choose one of {', '.join(FORMATS)}, or give a pattern such as %d.%m.%Y %H:%M",
        where="time_format",
    )


def _user_layout(pattern: str) -> Layout:
    """A strptime pattern, completed where it names a month without a day or an hour without a minute."""
    if re.search(r"%[HI]", pattern) and not re.search(r"%[MRTXc]", pattern):
        return Layout(pattern + " %M", " 00")
    if not re.search(r"%[dejuwDFxcs]", pattern):
        return Layout(pattern + (" %u" if "%G" in pattern else " %d"), " 1" if "%G" in pattern else " 01")
    return Layout(pattern)


def _kind_of(pattern: str) -> Kind:
    if re.search(r"%(?::|#)?z|%\+", pattern):
        return "instant"
    return "datetime" if re.search(r"%[HIMTRXcsk]", pattern) else "date"
