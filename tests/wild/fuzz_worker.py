"""Reads mutants until told to stop: a number on each line of stdin, a verdict on each line of stdout.

A process of its own, so that one that hangs or aborts takes only itself away. By hand, to see what mutant n does:

    python -m tests.wild.fuzz_worker SEED FOLDER <<< n
"""

from __future__ import annotations

import json
import resource
import sys
import time
import traceback
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

import tsx
from tests.wild.mutants import mutant, wishes
from tsx.cli.main import _quiet_libraries
from tsx.errors import TsxError
from tsx.progress import SILENT
from tsx.spec.settings import Reading, Roles
from tsx.spec.verbs import INSPECT
from tsx.workflows.open_table import open_table

LIMIT = 8 * 2**30
"""Bytes of address space: what asks for more is stopped before it takes the machine along."""
WISHES_OF_INSPECT = (
    "wide",
    "id_from",
    "time_format",
    "zone",
    "decimal",
    "missing",
    "duplicates",
    "regularize",
    "max_rows",
)
WORDS = ("polars", "pyarrow", "panic", "rust", "arrow::", "compute error", "schemaerror", "Traceback")


def verdict(path: Path, roles: Roles, reading: Reading, *, inspect: bool) -> str:
    """`ok`, the code of a declared error, or what is wrong, starting with an exclamation mark."""
    try:
        if inspect:
            asked = {f.name: getattr(reading, f.name) for f in fields(reading) if f.name in WISHES_OF_INSPECT}
            taken = {one.name for one in INSPECT.keywords}
            asked |= {name: value for name, value in asdict(roles).items() if name in taken}
            tsx.inspect(path, **asked)
        else:
            panel = open_table(path, roles, reading, None, SILENT).panel
            if np.isinf(panel.values).any() or not np.isfinite(panel.centers).all():
                return "! the panel holds infinities"
            if len(panel) == 0 or panel.offsets[-1] != len(panel.values) or panel.ids.null_count():
                return "! the panel is no panel"
    except TsxError as error:
        told = f"{error.message} {error.hint} {error.where}".replace(str(path), "")
        if any(word in told for word in WORDS):
            return f"! {error.code} speaks of a library: {told}"
        return error.code if error.message and error.hint else f"! {error.code} lacks a message or a hint"
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"! {type(error).__name__} from {last.filename}:{last.lineno}: {str(error)[:200]}"
    return "ok"


def peak() -> int:
    """Bytes of memory held at most."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage tells there starts with the memory of the process that started this one
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def main() -> None:
    seed, folder = int(sys.argv[1]), Path(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    with _quiet_libraries():
        work(seed, folder)


def work(seed: int, folder: Path) -> None:
    for line in sys.stdin:
        number = int(line)
        name, data = mutant(seed, number)
        path = folder / name
        path.write_bytes(data)
        began = time.process_time()
        said = verdict(path, *wishes(seed, number), inspect=number % 2 == 1)
        spent = time.process_time() - began
        path.unlink()
        sys.stdout.write(
            json.dumps({"number": number, "file": name, "said": said, "peak": peak(), "spent": spent}) + "\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
