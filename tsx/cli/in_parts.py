"""How a command runs in parts, and shows what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tsx.cli.parameters import Arguments
from tsx.errors import UsageError
from tsx.wording import count, number
from tsx.workflows.outputs import is_folder_of_parts

if TYPE_CHECKING:
    from tsx.cli.console import Console


def ran_in_parts(console: Console, arguments: Arguments, function: Callable[..., Any]) -> bool:
    """Whether the result was to be a folder of parts; then `function`, of `tsx.api`, was called and its result shown.

    Raises as the function does, and QualityGate.
    """
    if not _asks_for_parts(arguments):
        return False
    from tsx import api
    from tsx.workflows.gates import Checked, failed_gate

    settings = {name: value for name, value in arguments.keywords.items() if name != "engine"}
    if arguments.verb.takes("report") and "report" in arguments.given:
        settings["report"] = arguments["report"]
    result = api.in_parts(
        function,
        arguments.source,
        out=arguments["out"],
        shard=arguments["shard"],
        engine=arguments["engine"],
        progress=console.progress,
        **settings,
    )
    console.close()
    console.tell(result.findings)
    ids = result.ids() if arguments.values.get("require_series") else None
    checked = Checked(result.findings, result.verdict, result.newest, ids, result.metrics)
    failed = failed_gate(arguments.values, checked)
    if console.json:
        console.document({**result.summary(), "findings": console.told(result.findings)}, failed)
    else:
        done = len(result.receipts)
        of = "" if done == result.parts else f" of {result.parts:,}"
        there = f", {result.reused:,} of them there before" if result.reused else ""
        speed = f", {number(result.new_series / result.seconds, 3)} series a second" if result.new_series else ""
        console.line(
            f"{done:,}{of} part{'' if result.parts == 1 else 's'}{there}: {count(result.series, 'series')}, "
            f"{count(result.rows, 'row')}{speed}, at most {result.peak_memory / 2**20:,.0f} MiB in a process"
        )
    console.note(f"wrote {arguments['out']}")
    if failed is not None:
        raise failed
    return True


def _asks_for_parts(arguments: Arguments) -> bool:
    """Whether --out names a folder of parts. Of a verb that always writes a folder, whether a share is asked for.

    Raises UsageError `shard-needs-folder`.
    """
    of_parts = {one.name for one in arguments.verb.settings if one.name in ("shard", "engine") and one.only}
    asked = bool(of_parts & arguments.given)  # an engine also does the pieces of one backtest or explanation
    always_a_folder = arguments.verb["out"].default is not None
    if always_a_folder or not asked:
        return asked or (not always_a_folder and is_folder_of_parts(arguments["out"]))
    if is_folder_of_parts(arguments["out"]):
        return True
    raise UsageError(
        "shard-needs-folder",
        "a run in parts writes a folder of parts, and --out names none",
        hint="end the name in a slash: --out FOLDER/",
        where="out",
    )
