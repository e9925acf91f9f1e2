"""`tsx tune`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from tsx.cli.outputs import checkpoint_of
from tsx.cli.parameters import Arguments, command
from tsx.spec.verbs import CONFIG_FILE, TUNE
from tsx.workflows.outputs import check_file

if TYPE_CHECKING:
    from tsx.cli.console import Console
    from tsx.evaluation.search import Tuning


def check_settings(value: str) -> None:
    """That the settings can be written, and the file that is there can be edited.

    Raises WriteError `file-not-writable`, ConfigError `config-unreadable`.
    """
    if value == "-":
        return
    path = Path(value)
    check_file(path)
    from tsx.cli.settings_file import merged, read_text

    text = read_text(path)
    for table in ("fit", "backtest"):
        merged(text, table, {"layers": "1"}, {"context_length"}, path)


@command(TUNE, out=check_settings)
def tune(console: Console, arguments: Arguments) -> None:
    """Search for settings that forecast a table better than the defaults, and write them to tsx.toml.

    Examples:
      tsx tune sales.parquet --max-time 10m
      tsx tune sales.parquet --trials 40 --study tune.db
      tsx tune sales.parquet --hidden-size 64 --layers 1 --out sales.toml

    What you give stays as you give it; of the rest, context, segment, size, layers, dropout, learning rate and cell are
    searched. Each trial is scored by a backtest that leaves out the newest rows, so that `tsx fit` still judges the
    result on rows that no trial saw. The first trial is the defaults: where nothing beats them, it says to keep them.
    """
    from tsx import api

    out = arguments["out"]
    tuned = api.tune(
        arguments.source, **arguments.keywords, checkpoint=checkpoint_of(TUNE, out), progress=console.progress
    )
    console.close()
    if out == "-":
        for line in tuned.to_toml().splitlines():
            console.line(line)
        return
    _write(tuned, Path(out))
    if console.json:
        console.document({**tuned.to_dict(), "out": out})
        return
    from tsx.report.terminal import render_tune

    console.show(render_tune(tuned))
    console.note(f"wrote {out}")
    where = [] if out == CONFIG_FILE else ["--config", out]
    console.note(f"next: {shlex.join(['tsx', 'fit', *arguments.table_words, *where])}")


def _write(tuned: Tuning, path: Path) -> None:
    from tsx.cli.settings_file import merged, read_text
    from tsx.evaluation.search import COMMENT, TABLES, toml_value
    from tsx.io.atomic import atomic_write

    text = read_text(path)
    values = {name: toml_value(value) for name, value in tuned.settings.items()}
    for table in TABLES:
        text = merged(text, table, values, set(tuned.defaults), path)
    lines = [line for line in text.splitlines() if not line.startswith(COMMENT)]
    text = "\n".join([f"{COMMENT}{tuned.sentence}", *lines]) + "\n"
    with atomic_write(path) as file:
        file.write(text.encode())
