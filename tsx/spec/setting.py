"""How a setting is declared: its name, type, default, limits, help and group, in one place.

A setting of a stored dataclass is a field made by `setting`; one that belongs to no dataclass is a `Setting` of its
own. From the declaration follow the flag, the keyword of the Python function, the key in `tsx.toml`, the variable
`TSX_...`, the reference page, the checks of a value, and whether `--update` may change it.
"""

# Annotations are evaluated here and in `settings`: a declaration reads the type of its field.
import csv
import dataclasses
import difflib
import operator
import os
from collections.abc import Callable, Sequence
from numbers import Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from tsx.errors import ConfigError
from tsx.spec.shares import Share

Kind = Literal[
    "switch",  # yes or no
    "whole",  # a whole number
    "number",
    "duration",  # seconds; in text also 90s, 10m, 1h, 2d, 1w
    "numbers",  # several numbers
    "choice",  # one of the choices
    "choices",  # several of the choices
    "text",
    "texts",  # several texts
    "columns",  # names of columns
    "span",  # a whole number, or a word for it
    "share",  # one of several shares: 2/7
    "path",
    "table",  # whatever a table can be read from
]
"""How the value of a setting is given and checked."""

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
"""Seconds in a unit of a duration."""

MANY = 30
"""Choices above which an error names the nearest one alone."""
Choices = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting.

    name       the keyword, the key in `tsx.toml`; with hyphens the flag, in capitals after TSX_ the variable.
    annotation the type of the value after it was read. None in it: the setting may be left to the program.
    help       one or two sentences for the help of the command and of the function.
    group      the heading under which it stands there; empty: the first one.
    metavar    what stands for the value behind the flag; empty: the choices.
    least, above, most, below   bounds of a number: at least, more than, at most, less than.
    auto       the text `auto` leaves the value to the program.
    free       `fit --update` may be given another value than the model was fitted with.
    only       "command": a flag and no keyword of the function; "python": a keyword and no flag.
    output     it says what becomes of the result: a command sees to that itself, after the function has returned.
    short      a flag of one letter, such as -q.
    """

    name: str
    annotation: Any
    default: Any
    help: str
    group: str = ""
    metavar: str = ""
    kind: Kind = "text"
    choices: Choices = ()
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    auto: bool = False
    free: bool = False
    only: Literal["", "command", "python"] = ""
    output: bool = False
    short: str = ""

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def refusal(self) -> str:
        """The flag that says no, of a switch that is otherwise left to the program; empty for others."""
        return "--no-" + self.flag.removeprefix("--") if self.kind == "switch" and self.default is None else ""

    @property
    def variable(self) -> str:
        return "TSX_" + self.name.upper()

    def but(self, **changes: Any) -> "Setting":
        """The same setting where a command means another default, or has more to say about it."""
        return dataclasses.replace(self, **changes)

    def read(self, value: Any) -> Any:
        """The value as the program uses it, from a keyword, a flag or text; None: not given.

        Raises ConfigError `setting-type-wrong`, `setting-unknown`, `setting-out-of-range`.
        """
        if value is None or (self.auto and isinstance(value, str) and value.strip().casefold() == "auto"):
            return None
        read = READERS[self.kind](self, value)
        self.check(read)
        return read

    def check(self, value: Any) -> None:
        """That a value, as the program uses it, keeps to the declaration. Raises as `read` does."""
        if value is None and self.default is None:
            return
        if self.kind == "choice":
            self._check_choice(value)
        elif self.kind == "choices":
            for one in value:
                self._check_choice(one)
        elif self.kind in ("whole", "number", "duration", "span"):
            number = READERS[self.kind](self, value)
            # A span in words is checked where the length of a step is known.
            if isinstance(number, int | float) and not (self.kind == "span" and isinstance(value, str)):
                self._check_bounds(number)
        else:
            READERS[self.kind](self, value)

    def wrong(self, value: Any, hint: str) -> ConfigError:
        """The error for a value of another type."""
        given = repr(value) if isinstance(value, str) else type(value).__name__
        return ConfigError("setting-type-wrong", f"{self.name} is given as {given}", hint=hint, where=self.name)

    def _check_choice(self, value: Any) -> None:
        if value not in self.choices:
            words = all(any(map(str.isalnum, choice)) for choice in self.choices)
            hint = f"choose one of {', '.join(self.choices if words else map(repr, self.choices))}"
            if len(self.choices) > MANY:
                near = difflib.get_close_matches(str(value), self.choices, n=1, cutoff=0)
                hint = f"did you mean {near[0]}?"
            raise ConfigError("setting-unknown", f"{self.name} is {value!r}", hint=hint, where=self.name)

    def _check_bounds(self, value: float) -> None:
        inside = (
            (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )
        if not inside:
            raise ConfigError(
                "setting-out-of-range", f"{self.name} is {value}; it must be {self.bounds}", where=self.name
            )

    @property
    def bounds(self) -> str:
        """The bounds in words; empty where there are none."""
        unit = " seconds" if self.kind == "duration" else ""
        low = self.least if self.above is None else self.above
        high = self.most if self.below is None else self.below
        if low is None and high is None:
            return ""
        if high is None:
            return f"{low} or more{unit}" if self.above is None else f"over {low}{unit}"
        high_text = "2^63" if high == 2**63 else str(high)
        return f"in {'[' if self.above is None else '('}{low}, {high_text}{']' if self.below is None else ')'}{unit}"


def setting(default: Any, help: str, **declared: Any) -> Any:
    """A field of a dataclass that is a setting; its name and type are those of the field."""
    return dataclasses.field(default=default, metadata={"setting": {"help": help, **declared}})


def declared(cls: type) -> tuple[Setting, ...]:
    """The settings among the fields of a dataclass, in their order."""
    known: tuple[Setting, ...] | None = cls.__dict__.get("__settings__")
    if known is None:
        known = tuple(
            declare(one.name, one.type, one.default, **one.metadata["setting"])
            for one in dataclasses.fields(cls)
            if "setting" in one.metadata
        )
        cls.__settings__ = known  # type: ignore[attr-defined]
    return known


def declare(name: str, annotation: Any, default: Any, help: str, **more: Any) -> Setting:
    """A setting whose kind and choices follow from its type, where they are not named."""
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType] if _is_union(annotation) else [annotation]
    (first, *others) = kinds
    kind: Kind
    choices: Choices = ()
    if get_origin(first) is Literal:
        kind, choices = "choice", get_args(first)
    elif get_origin(first) is tuple:
        kind = "numbers" if get_args(first)[0] is float else "texts"
    elif others:
        kind = "path" if Path in kinds else "span"
    else:
        kind = {bool: "switch", int: "whole", float: "number", str: "text", Share: "share"}[first]  # type: ignore[assignment]
    return Setting(name, annotation, default, help, **{"kind": kind, "choices": choices, **more})


class Checked:
    """A dataclass whose settings are checked against their declarations when it is made."""

    def __post_init__(self) -> None:
        for one in declared(type(self)):
            one.check(getattr(self, one.name))


def split(text: str) -> tuple[str, ...]:
    """Names separated by commas; one that holds a comma stands in double quotes."""
    names = (name.strip() for row in csv.reader([text], skipinitialspace=True) for name in row)
    return tuple(name for name in names if name)


def number(text: str) -> float:
    """Raises ValueError with a sentence for people."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"'{text}' is not a number.") from None


def seconds(text: str) -> float:
    """The seconds of a duration such as 90, 90s, 10m, 1h, 2d or 1w. Raises ValueError with a sentence for people."""
    text = text.strip().casefold()
    unit = UNITS.get(text[-1:])
    return number(text) if unit is None else number(text[:-1]) * unit


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, UnionType)


def _switch(one: Setting, value: Any) -> bool:
    if not isinstance(value, bool):
        raise one.wrong(value, "give True or False")
    return value


def _whole(one: Setting, value: Any) -> int:
    hint = "give a whole number" + (", or leave it to the program with auto" if one.auto else "")
    if isinstance(value, bool):
        raise one.wrong(value, hint)
    try:
        return int(value) if isinstance(value, str) else operator.index(value)
    except (TypeError, ValueError):
        raise one.wrong(value, hint) from None


def _number(one: Setting, value: Any) -> float:
    try:
        if isinstance(value, str):
            return number(value)
    except ValueError:
        raise one.wrong(value, "give a number") from None
    if isinstance(value, bool) or not isinstance(value, Real):
        raise one.wrong(value, "give a number")
    return value if isinstance(value, int | float) else float(value)


def _duration(one: Setting, value: Any) -> float:
    try:
        if isinstance(value, str):
            return seconds(value)
    except ValueError:
        raise one.wrong(value, "give seconds, or a time such as 90s, 10m or 1h") from None
    return _number(one, value)


def _numbers(one: Setting, value: Any) -> tuple[float, ...]:
    try:
        if isinstance(value, str):
            return tuple(map(number, split(value)))
        if isinstance(value, Real) and not isinstance(value, bool):
            return (float(value),)
        return tuple(number(each) if isinstance(each, str) else float(each) for each in value)
    except (TypeError, ValueError):
        raise one.wrong(value, "give several numbers") from None


def _choice(one: Setting, value: Any) -> Any:
    return value


def _text(one: Setting, value: Any) -> str:
    if not isinstance(value, str):
        raise one.wrong(value, "give text")
    return value


def _several(value: Any) -> tuple[Any, ...]:
    if isinstance(value, str):
        return split(value)
    return tuple(value) if isinstance(value, Sequence) else (value,)


def _choices(one: Setting, value: Any) -> tuple[str, ...]:
    return _several(value)


def _texts(one: Setting, value: Any) -> tuple[str, ...]:
    return tuple(map(str, _several(value)))


def _columns(one: Setting, value: Any) -> tuple[str, ...]:
    for name in (names := _several(value)):
        if not isinstance(name, str):
            raise ConfigError(
                "setting-type-wrong",
                f"{one.name} is given as {type(name).__name__}, not as the name of a column",
                hint="give names of columns as text",
                where=one.name,
            )
    return names


def _span(one: Setting, value: Any) -> int | str:
    if isinstance(value, str):
        return int(value) if value.strip().isdigit() else value
    return _whole(one, value)


def _share(one: Setting, value: Any) -> Share:
    try:
        return value if isinstance(value, Share) else Share.parse(value)
    except (TypeError, ValueError):
        raise one.wrong(value, "give the number of a share and how many there are, such as 2/7") from None


def _path(one: Setting, value: Any) -> Any:
    if not isinstance(value, str | os.PathLike):
        raise one.wrong(value, "give a path")
    return value


def _table(one: Setting, value: Any) -> Any:
    return value


READERS: dict[str, Callable[[Setting, Any], Any]] = {
    "switch": _switch,
    "whole": _whole,
    "number": _number,
    "duration": _duration,
    "numbers": _numbers,
    "choice": _choice,
    "choices": _choices,
    "text": _text,
    "texts": _texts,
    "columns": _columns,
    "span": _span,
    "share": _share,
    "path": _path,
    "table": _table,
}
"""How a value of each kind is read."""
