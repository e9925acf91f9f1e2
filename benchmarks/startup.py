"""`tsx --help`, whole process, against importing typer alone. Run: python -m benchmarks.startup"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from benchmarks.timing import report, take_turns


def process(*words: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    seconds = take_turns(
        {
            "python -c 'import typer'": process("-c", "import typer"),
            "tsx --help": process("-m", "tsx", "--help"),
            "python -c 'import tsx'": process("-c", "import tsx"),
        },
        rounds=21,
    )
    report("Start of the program (to reach: --help under 2 x)", seconds, "python -c 'import typer'")
