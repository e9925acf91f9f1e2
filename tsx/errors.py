"""Every failure that `tsx` declares, in one tree.

    TsxError                 exit status
    ├── UsageError                     2   the command line or arguments do not fit together
    ├── MissingDependency              3   an optional package is not installed
    ├── NotFound                       4   a file or a model is not there
    ├── DataError                      5   the table cannot be used as it is
    ├── ConfigError                    5   a setting is invalid, alone or for this data
    ├── QualityGate                    6   a check that was asked for did not pass
    ├── WriteError                    74   a result could not be written
    ├── Locked                        75   another run is writing to the model
    ├── Interrupted                  130   Ctrl-C
    └── Terminated                   143   SIGTERM

Each carries a `code` that scripts can match (it never changes), a `message` with the numbers, a `hint` that says what
to do, and `where` it happened (a file, a column). None of these four ever holds a value of the user's data; what would
(ids, cells, dates) stands apart in `values`, which is shown on request only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class TsxError(Exception):
    """A declared failure: `code`, `message`, `hint`, `where`, `values` and the process's `exit_status`.

    `setting`: the one that would settle it, by its name in `tsx.spec`, where the hint asks to set one.

    Examples:
        >>> try:
        ...     tsx.forecast(model="no-such-model")
        ... except tsx.TsxError as error:
        ...     print(error.code, error.exit_status)
        model-not-found 4
    """

    exit_status = 1

    def __init__(
        self, code: str, message: str, *, hint: str = "", where: str = "", values: str = "", setting: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.where = where
        self.values = values
        self.setting = setting

    def to_dict(self) -> dict[str, Any]:
        """The error as the contract's JSON object, without the outer `error` key.

        >>> tsx.TsxError("a-code", "what is wrong", hint="what to do").to_dict()["hint"]
        'what to do'
        """
        return {"code": self.code, "message": self.message, "hint": self.hint, "where": self.where}

    def __reduce__(self) -> tuple[Any, ...]:
        """So that an error raised in another process arrives as it is."""
        return _empty, (type(self), self.message), vars(self)


def _empty(kind: type[TsxError], message: str) -> TsxError:
    return kind.__new__(kind, message)


class UsageError(TsxError):
    exit_status = 2


class MissingDependency(TsxError):
    exit_status = 3


class NotFound(TsxError):
    exit_status = 4


class DataError(TsxError):
    exit_status = 5


class ConfigError(TsxError):
    exit_status = 5


class QualityGate(TsxError):
    """The results that were asked for are there, but did not pass the check that was asked for with them.

    `where`: the setting that set the gate; `gates`: every gate that failed, where this error stands for several.
    """

    exit_status = 6

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str = "",
        where: str = "",
        values: str = "",
        gates: Sequence[QualityGate] = (),
    ) -> None:
        super().__init__(code, message, hint=hint, where=where, values=values)
        self.gates = tuple(gates) or (self,)

    def to_dict(self) -> dict[str, Any]:
        """As of every error, with `gates`: each that failed, with the setting that set it."""
        gates = [{"gate": each.where, "code": each.code, "message": each.message} for each in self.gates]
        return {**super().to_dict(), "gates": gates}


class WriteError(TsxError):
    exit_status = 74


class Locked(TsxError):
    exit_status = 75


class Interrupted(TsxError):
    exit_status = 130


class Terminated(TsxError):
    exit_status = 143
