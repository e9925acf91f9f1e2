"""Help in plain text: what the command does, examples, then the flags in groups.

Written here because the framework's own rich help costs as much start-up time as everything else together.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command_from_info
from typer.models import CommandInfo

from tsx.spec.settings import SHARED
from tsx.spec.verbs import OUTPUT, USUAL, VERBS

WIDEST = 100
INDENT = "  "
GAP = 2
FIRST_COLUMN = 22
ARGUMENTS = "Arguments"
HELP_ALL = "help_all"

Rows = dict[str, list[tuple[str, str]]]
"""(flag, explanation) of parameters, by the group they belong to."""


class Command(TyperCommand):
    """A command whose help is plain text."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        rows = option_rows(self, ctx)
        usual = usual_rows(self, rows)
        left = sum(map(len, rows.values())) - sum(map(len, usual.values()))
        more = f"{ctx.command_path} --help-all shows {left} more flags." if left else ""
        formatter.write(command_help(self, ctx, usual, more))


@dataclass(frozen=True, eq=False)
class Listed:
    """A command as the program lists it: its name, the group it belongs to, its help, and what makes its function."""

    name: str
    panel: str
    help: str
    function: Callable[[], Callable[..., None]]

    @cached_property
    def command(self) -> Any:
        info = CommandInfo(self.name, cls=Command, callback=self.function())
        return get_command_from_info(info, pretty_exceptions_short=False, rich_markup_mode=None)


class Commands(Mapping[str, Any]):
    """The commands by their names, each made when it is asked for."""

    def __init__(self, listed: Iterable[Listed]) -> None:
        self.listed = {one.name: one for one in listed}

    def __getitem__(self, name: str) -> Any:
        return self.listed[name].command

    def __iter__(self) -> Iterator[str]:
        return iter(self.listed)

    def __len__(self) -> int:
        return len(self.listed)


class Group(TyperGroup):
    """The program itself, whose help lists the commands in groups."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(group_help(self, self.commands, ctx, width(), bold=sys.stdout.isatty()))


def width() -> int:
    return min(shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST) - 1


def group_help(group: Group, commands: Any, ctx: Any, columns: int, *, bold: bool) -> str:
    panels: dict[str, list[tuple[str, str]]] = {}
    for one in commands.listed.values():
        panels.setdefault(one.panel, []).append((one.name, summary(one)))
    longest = max(len(name) for name in commands)
    parts = [_prose(group.help or "", columns, bold=bold), f"{_heading('Usage:', bold)} {usage(group, ctx)}"]
    parts += [_section(title, rows, columns, longest, bold=bold) for title, rows in panels.items()]
    parts.append(_section("Options", option_rows(group, ctx)["Options"], columns, FIRST_COLUMN, bold=bold))
    if group.epilog:
        parts.append(_prose(group.epilog, columns, bold=bold))
    return "\n\n".join(parts) + "\n"


def command_help(command: Any, ctx: Any, groups: Rows, more: str) -> str:
    """What the command does, and these groups of its flags; `more`: where to read on."""
    columns, bold = width(), sys.stdout.isatty()
    parts = [_prose(command.help, columns, bold=bold), f"{_heading('Usage:', bold)} {usage(command, ctx)}"]
    parts += [_section(title, rows, columns, FIRST_COLUMN, bold=bold) for title, rows in groups.items()]
    return "\n\n".join([*parts, *([more] if more else [])]) + "\n"


def show_all(ctx: Any, asked: bool) -> None:
    """The callback of --help-all: the help with every flag, and nothing else is done."""
    if asked:
        sys.stdout.write(command_help(ctx.command, ctx, option_rows(ctx.command, ctx), ""))
        raise typer.Exit


def usual_rows(command: Any, groups: Rows) -> Rows:
    """What the command takes without a flag, and the flags that people use, which its verb names, in one group."""
    usual = next((verb.usual for verb in VERBS if verb.command == command.name), ())
    if not usual:
        return groups
    flags = {"--" + name.replace("_", "-") for name in (*usual, *USUAL, "help", "help_all")}
    rest = [row for title, rows in groups.items() if title != ARGUMENTS for row in rows]
    kept = [row for row in rest if flags & set(row[0].replace(",", " ").split())]
    return {title: rows for title, rows in groups.items() if title == ARGUMENTS} | {"Options": kept}


def usage(command: Any, ctx: Any) -> str:
    words = [ctx.command_path]
    if isinstance(command, TyperGroup):
        return " ".join([*words, "COMMAND", "[OPTIONS]"])
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            words.append(parameter.metavar if parameter.required else f"[{parameter.metavar}]")
    return " ".join([*words, "[OPTIONS]"])


def summary(command: Any) -> str:
    """The first paragraph of a command's help, on one line."""
    return " ".join((command.help or "").split("\n\n")[0].split())


def option_rows(command: Any, ctx: Any) -> Rows:
    """Those of every parameter; arguments first."""
    panels: Rows = {}
    for parameter in command.get_params(ctx):
        if getattr(parameter, "hidden", False):
            continue
        default = ARGUMENTS if parameter.param_type_name == "argument" else "Options"
        if parameter.name in ("help", HELP_ALL) and SHARED in panels:
            default = SHARED
        panel = getattr(parameter, "rich_help_panel", None) or default
        panels.setdefault(panel, []).append((_name(parameter), _explanation(parameter)))
    last = {ARGUMENTS: 0, "Options": 1, OUTPUT: 3, SHARED: 4}
    return dict(sorted(panels.items(), key=lambda item: last.get(item[0], 2)))


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar)
    flags = ", ".join([*sorted(parameter.opts, key=len, reverse=True), *parameter.secondary_opts])
    if parameter.is_flag:
        return flags
    return f"{flags} {parameter.metavar or '|'.join(_choices(parameter)) or 'VALUE'}"


def _choices(parameter: Any) -> tuple[str, ...]:
    return tuple(str(choice) for choice in parameter.type_descriptor.choices or ())


def _explanation(parameter: Any) -> str:
    text = parameter.help or ""
    default = parameter.default
    if parameter.param_type_name == "option" and not parameter.is_flag and default not in (None, "", [], ()):
        text += f" Default: {default}."
    return text


def _prose(text: str, columns: int, *, bold: bool) -> str:
    """Paragraphs are filled; a paragraph with indented lines (examples) stays as it is."""
    paragraphs = []
    for paragraph in text.split("\n\n"):
        lines = paragraph.splitlines()
        if any(line.startswith(" ") for line in lines):
            first = _heading(lines[0], bold) if not lines[0].startswith(" ") else lines[0]
            paragraphs.append("\n".join([first, *lines[1:]]))
        else:
            paragraphs.append(textwrap.fill(" ".join(lines), columns, break_on_hyphens=False))
    return "\n\n".join(paragraphs)


def _section(title: str, rows: list[tuple[str, str]], columns: int, longest: int, *, bold: bool) -> str:
    lines = [_heading(f"{title}:", bold)]
    first = min(max(len(name) for name, _ in rows), longest)
    left = len(INDENT) + first + GAP
    for name, text in rows:
        wrapped = textwrap.wrap(text, max(columns - left, 24), break_on_hyphens=False) or [""]
        if len(name) > first:
            lines.append(INDENT + name)
        else:
            lines.append(f"{INDENT}{name:<{first}}{' ' * GAP}{wrapped.pop(0)}".rstrip())
        lines += [" " * left + line for line in wrapped]
    return "\n".join(lines)


def _heading(text: str, bold: bool) -> str:
    return f"\x1b[1m{text}\x1b[0m" if bold else text
