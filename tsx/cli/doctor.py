"""`tsx doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tsx.cli.parameters import Arguments, command
from tsx.spec.verbs import DOCTOR

if TYPE_CHECKING:
    from tsx.cli.console import Console


@command(DOCTOR)
def doctor(console: Console, arguments: Arguments) -> None:
    """Check that everything tsx needs is here and works.

    Examples:
      tsx doctor
      tsx doctor --json

    Exit status 3 when a package that tsx needs is missing, too old or does not load.
    """
    from tsx.workflows.doctor import checkup

    found = checkup()
    if console.json and not found.broken:
        console.document(found.to_dict())
    elif not console.json:
        rows = [(name.replace("_", " "), str(value)) for name, value in found.machine.items()]
        rows += [(package.name, package.trouble or str(package.version)) for package in found.packages]
        left = max(len(name) for name, _ in rows)
        for name, value in rows:
            console.line(f"{name:<{left}}  {value}")
    found.check()
