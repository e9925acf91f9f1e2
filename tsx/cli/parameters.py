"""The flags of a command, made from the declarations of its settings.

A flag's long name is its key in `tsx.toml` and, in capitals after `TSX_`, its environment variable.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from tsx.cli.defaults import apply_defaults, origin
from tsx.cli.help import HELP_ALL, show_all
from tsx.errors import ConfigError, UsageError
from tsx.io.atomic import for_owner_alone
from tsx.spec.setting import Setting, number, seconds, split
from tsx.spec.shares import Share
from tsx.spec.verbs import TABLE, Verb

if TYPE_CHECKING:
    from tsx.cli.console import Console

T = TypeVar("T")

SEVERAL = ("columns", "texts", "choices", "numbers")
"""Kinds of settings that are given comma-separated or repeated."""


@dataclass(frozen=True)
class Arguments:
    """What stood on the command line, in the environment or in the settings file.

    data    the tables, or None.
    values  every flag with its value; `given`: the names of those that were not left at their default.
    """

    verb: Verb
    data: list[str] | None
    values: Mapping[str, Any]
    given: frozenset[str]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def source(self) -> str | list[str] | None:
        """The table as the function takes it: one file or several."""
        return self.data[0] if self.data and len(self.data) == 1 else self.data or None

    @property
    def table_words(self) -> list[str]:
        """What names the table again on a command line: the files, or the query, without keys and tokens."""
        if "sql" not in self.given:
            from tsx.io.remote import place_of

            return [place_of(one) for one in self.data or ()]
        from tsx.io.database import Query

        return Query(self["sql"], self["connection"] or "").words

    @property
    def keywords(self) -> dict[str, Any]:
        """What the function is called with: the settings that were given, but those that the command sees to."""
        return {
            one.name: self.values[one.name] for one in self.verb.keywords if one.name in self.given and not one.output
        }


Body = Callable[["Console", Arguments], None]


@dataclass(frozen=True, eq=False)
class CommandOf:
    """A command of the program: its verb, and what it does with the console and the arguments.

    checks  functions of the value of a flag that raise before any work is done
    """

    verb: Verb
    body: Body
    checks: Mapping[str, Callable[[Any], Any]]

    @property
    def help(self) -> str:
        return inspect.getdoc(self.body) or ""

    def function(self) -> Callable[..., None]:
        """The function that the framework makes a command of: its flags are those of the verb.

        Made when the command is asked for: of all commands the flags are most of the time of `tsx --help`.
        """

        def run(ctx: typer.Context, **values: Any) -> None:
            self._run(ctx, values)

        run.__doc__ = self.body.__doc__
        run.__signature__ = inspect.Signature(parameters(self.verb))  # type: ignore[attr-defined]
        run.__annotations__ = {}
        return run

    def _run(self, ctx: typer.Context, values: dict[str, Any]) -> None:
        verb, data = self.verb, values.pop("data", None)
        values.pop(HELP_ALL, None)
        given = {
            name
            for name, value in values.items()
            if value is not None and str(ctx.get_parameter_source(name)).rpartition(".")[2] != "DEFAULT"
        }
        if data and str(ctx.get_parameter_source("sql")).rpartition(".")[2] == "DEFAULT_MAP":
            given -= {"sql"}  # a table on the command line beats a query in the settings file
        path = ctx.command_path
        if verb.data == "needed" and not data and values.get("sql") is None:
            raise UsageError("argument-missing", "Missing argument 'DATA'.", hint=f"see `{path} --help`", where=path)
        shown = {name: bool(values.get(name)) for name in ("json", "quiet", "verbose", "show_values")}
        console: Console = ctx.obj.configure(**shown, log_format=values.get("log_format"))
        for name, check in self.checks.items():
            check(values[name])
        if console.json and values.get("out") == "-":
            raise UsageError("stdout-twice", "--json and --out - both want stdout", hint="give --out a file's name")
        if values.get("private") and console.show_values:
            raise UsageError(
                "flags-contradict", "--private and --show-values contradict each other", hint="give one of them"
            )
        with (
            _naming_origins(ctx, verb, given),
            _one_version(verb),
            for_owner_alone() if values.get("private") else nullcontext(),
        ):
            self.body(console, Arguments(verb, data, values, frozenset(given)))


@contextmanager
def _naming_origins(ctx: typer.Context, verb: Verb, given: set[str]) -> Iterator[None]:
    """An error about flags that contradict each other names those that stand in the settings file or the
    environment, where nobody who reads the command sees them."""
    try:
        yield
    except UsageError as error:
        sources = {name: origin(ctx, name) for name in sorted(given)}
        named = [f"{verb[name].flag} ({source})" for name, source in sources.items() if source and verb.takes(name)]
        if error.code == "flags-contradict" and named:
            error.hint = f"{error.hint}; set elsewhere: {', '.join(named)}"
        raise


def _one_version(verb: Verb) -> AbstractContextManager[None]:
    """Where a command reads a model, all of it reads the same version."""
    if not verb.takes("model"):
        return nullcontext()
    from tsx.store.copies import asked_once  # loads Polars, which the command is about to do

    return asked_once()


def command(verb: Verb, **checks: Callable[[Any], Any]) -> Callable[[Body], CommandOf]:
    """Make a command of a function of the console and the arguments, as `CommandOf` says."""
    return lambda body: CommandOf(verb, body, checks)


def parameters(verb: Verb) -> list[inspect.Parameter]:
    """The context, the table and the flags, as the framework reads them from a signature."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    annotation: Any
    taken = [inspect.Parameter("ctx", keyword, annotation=typer.Context)]
    if verb.data != "none":
        taken.append(_table(verb))
    for one in verb.words:
        word = typer.Argument(metavar=one.metavar, show_default=False, help=one.help)
        taken.append(
            inspect.Parameter(one.name, keyword, default=_default(one), annotation=Annotated[_type(one), word])
        )
    for one in verb.flags:
        kind = _type(one)
        annotation = Annotated[kind, _option(one)]
        taken.append(inspect.Parameter(one.name, keyword, default=_default(one), annotation=annotation))
    if verb.usual:
        more = typer.Option("--help-all", is_eager=True, callback=show_all, help="Show every flag and exit.")
        taken.append(inspect.Parameter(HELP_ALL, keyword, default=False, annotation=Annotated[bool, more]))
    return taken


def one_reader_of_stdin(*tables: str | list[str] | None) -> None:
    """Standard input can be read once, and is a whole table."""
    named = [name for table in tables for name in ([table] if isinstance(table, str) else table or [])]
    if named.count("-") > 1:
        raise typer.BadParameter("only one table can come from stdin.", param_hint="-")


def _table(verb: Verb) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    if verb.data == "needed":
        help = f"The table: {TABLE}; or none, with --sql."
    else:
        help = f"The table: {TABLE}. Without it, the file the model was fitted on."
    argument = typer.Argument(metavar="DATA", show_default=False, help=help)
    return inspect.Parameter("data", kind, default=None, annotation=Annotated[list[str] | None, argument])


def _option(one: Setting) -> Any:
    names = [f"{one.flag}/{one.refusal}" if one.refusal else one.flag, *([one.short] if one.short else [])]
    more: dict[str, Any] = {}
    if one.name == "config":
        more = {"is_eager": True, "callback": apply_defaults}
    elif one.kind == "duration":
        more = {"parser": _parsed(seconds)}
    elif one.kind == "share":
        more = {"parser": _parsed(Share.parse)}
    elif one.kind == "whole" and one.auto:
        more = {"parser": _whole}
    elif one.kind in SEVERAL or (one.output and one.kind == "number"):
        more = {"callback": _read(one)}
    return typer.Option(*names, metavar=one.metavar or None, help=_help(one), rich_help_panel=one.group or None, **more)


def _help(one: Setting) -> str:
    """The help, with a default that the framework would show in another way."""
    if one.kind == "numbers" and one.default:
        return f"{one.help} Default: {','.join(f'{value:g}' for value in one.default)}."
    return one.help


def _type(one: Setting) -> Any:
    if one.kind in SEVERAL:
        return list[str] | None
    if one.kind in ("path", "table", "span"):
        return str if isinstance(one.default, str) else str | None
    if one.default is None:
        return one.annotation | None
    return one.annotation


def _default(one: Setting) -> Any:
    return None if one.kind in SEVERAL else one.default


def _read(one: Setting) -> Callable[[Any], Any]:
    """A callback that splits names; the values of flags that the command itself sees to are checked too."""

    def read(value: Any) -> Any:
        if value is None:
            return None
        if one.kind in SEVERAL:
            value = [name for text in value for name in split(text)]
        if one.kind == "numbers":
            value = [_parsed(number)(text) for text in value]
        if not one.output:
            return value or None
        try:
            return one.read(value)
        except ConfigError as error:
            raise typer.BadParameter(". ".join(filter(None, (error.message, error.hint)))) from None

    return read


def _whole(value: Any) -> int | None:
    """A whole number, or `auto` for the program's own choice."""
    if str(value).strip().casefold() == "auto":
        return None
    try:
        return int(str(value))
    except ValueError:
        raise typer.BadParameter(f"'{value}' is neither a whole number nor auto.") from None


def _parsed(parse: Callable[[str], T]) -> Callable[[Any], T]:
    """`parse`, with its complaint as one of the framework's."""

    def parsed(value: Any) -> T:
        try:
            return parse(str(value))
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return parsed
