"""A process that has imported the program once and runs every command in a child of its own, which takes no start-up.

Reads one JSON document a line: `folder`, `words` of the command and, where something is to happen to it, `at` (the
number of the operation on files, from 0) and `errno` (which error the system gives there; null: the process is killed),
or `seconds` after which the signal `signal` comes. Answers with a line: `status` of the child, negative for a signal,
its `output` and how many `operations` there were.

`crowd`: a list of commands for each of several processes, which run side by side, each its own one after the other. The
answer is `endings`, the status and the output of every command.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

# what the commands import on their way
import filelock  # noqa: F401
import pandas  # noqa: F401
import pydantic.type_adapter  # noqa: F401
import rich.table  # noqa: F401

import tsx.__main__
import tsx.api
import tsx.cli.main
import tsx.io.writing
import tsx.report.charts.nights
import tsx.report.html
import tsx.report.monitoring
import tsx.training.initialisation
import tsx.workflows.explain
import tsx.workflows.fit
import tsx.workflows.forecast
import tsx.workflows.monitor
import tsx.workflows.update
from tests.faults import Faults, injected


class Killed:
    """The process is killed at the operation."""

    def __call__(self) -> BaseException:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def failure(number: int) -> Callable[[], BaseException]:
    return lambda: OSError(number, os.strerror(number))


def child(task: dict[str, Any], output: int, counted: int) -> None:
    os.chdir(task["folder"])
    for stream in (1, 2):
        os.dup2(output, stream)
    fault = Killed() if task.get("errno") is None else failure(task["errno"])
    faults = Faults(task.get("at", -1), fault)
    if "seconds" in task:
        threading.Timer(task["seconds"], os.kill, (os.getpid(), task["signal"])).start()
    status = 1
    try:
        with injected(faults):
            sys.argv = ["tsx", *task["words"]]
            status = tsx.__main__.main()
            atexit._run_exitfuncs()
    finally:
        os.pwrite(counted, str(faults.count).encode(), 0)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def crowd(task: dict[str, Any]) -> list[tuple[int, str]]:
    """Run the commands of several processes side by side."""
    folder = tempfile.mkdtemp()  # a TemporaryDirectory would be removed by the first child that ends
    try:
        members = []
        for number, commands in enumerate(task["crowd"]):
            if (pid := os.fork()) == 0:
                endings = [run({"folder": task["folder"], "words": words}) for words in commands]
                Path(folder, str(number)).write_text(json.dumps([(each["status"], each["output"]) for each in endings]))
                os._exit(0)
            members.append(pid)
        for pid in members:
            os.waitpid(pid, 0)
        return [ending for file in Path(folder).iterdir() for ending in json.loads(file.read_text())]
    finally:
        shutil.rmtree(folder)


def run(task: dict[str, Any]) -> dict[str, Any]:
    """Run one command in a child."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as counted:
        pid = os.fork()
        if pid == 0:
            child(task, output.fileno(), counted.fileno())
        _, status = os.waitpid(pid, 0)
        output.seek(0)
        counted.seek(0)
        return {
            "status": os.waitstatus_to_exitcode(status),
            "output": output.read().decode(errors="replace"),
            "operations": int(counted.read() or 0),
        }


def main() -> None:
    tsx.training.initialisation.STEPS = 5  # however well it is fitted
    for line in sys.stdin:
        task = json.loads(line)
        answer = {"endings": crowd(task)} if "crowd" in task else run(task)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
