"""The reference of the command line as Markdown, made from the program itself.

`python -m tsx.cli.reference docs/reference/cli.md` writes it; with `--check` it only says whether it is up to date.
"""

from __future__ import annotations

import sys
from html import escape
from typing import Any

import typer

from tsx.cli.help import option_rows, usage
from tsx.cli.main import program
from tsx.spec.stub import write_or_check

HEAD = """# Command line

<!-- Generated from the program by `make docs`; change the commands in tsx/cli instead. -->
"""


def reference() -> str:
    """All commands, in the order of `tsx --help`."""
    group: Any = program()
    ctx = typer.Context(group, info_name="tsx", **group.context_settings)
    parts = [HEAD, _prose(group.help), _usage(usage(group, ctx)), *_tables(group, ctx), _prose(group.epilog)]
    for name, command in group.commands.items():
        inner = typer.Context(command, info_name=name, parent=ctx)
        parts += [f"## tsx {name}\n", _prose(command.help), _usage(usage(command, inner)), *_tables(command, inner)]
    return "\n".join(parts)


def _prose(text: str) -> str:
    """Paragraphs as they are; indented lines under a heading become a code block."""
    parts = []
    for paragraph in text.split("\n\n"):
        lines = paragraph.splitlines()
        if lines[-1].startswith(" "):
            code = "\n".join(line.removeprefix("  ") for line in lines[1:])
            parts.append(f"{lines[0]}\n\n```console\n{code}\n```\n")
        else:
            parts.append(paragraph + "\n")
    return "\n".join(parts)


def _usage(line: str) -> str:
    return f"```console\n{line}\n```\n"


def _tables(command: Any, ctx: Any) -> list[str]:
    parts = []
    for title, rows in option_rows(command, ctx).items():
        lines = [f"| {title} | |", "| --- | --- |"]
        lines += [f"| {code_cell(name)} | {cell(text)} |" for name, text in rows]
        parts.append("\n".join(lines) + "\n")
    return parts


def cell(text: str) -> str:
    """Text in a table."""
    return text.replace("|", "\\|")


def code_cell(text: str) -> str:
    """Code in a table; as HTML where it has a `|`, since programs differ about one that is escaped in code."""
    if "|" not in text:
        return f"`{text}`"
    return f"<code>{escape(text, quote=False).replace('|', '&#124;')}</code>"


if __name__ == "__main__":
    sys.exit(write_or_check(reference(), sys.argv[1:]))
