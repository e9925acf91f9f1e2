"""What only a process of its own can show: signals, pipes, the installed entry points."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.shell import ROOT, start

WAITING = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background has it ignored
import tsx.api
def wait(*given, **named):
    try:
        print("waiting", file=sys.stderr, flush=True)
        time.sleep(60)
    except Exception:
        print("swallowed", file=sys.stderr)
    finally:
        print("cleaned up", file=sys.stderr, flush=True)
tsx.api.forecast = wait
from tsx.cli.main import main
sys.exit(main({arguments}))
"""
LATE = """
import os, signal, sys, weakref
signal.signal(signal.SIGINT, signal.default_int_handler)
import tsx.cli.main
tsx.cli.main.main = lambda: 3
from tsx.__main__ import main
class Kept: pass
kept = Kept()
weakref.finalize(kept, os.kill, os.getpid(), signal.{number})  # runs when the interpreter ends
sys.exit(main())
"""
MANY = "ds,y\n" + "".join(f"2024-01-{1 + hour // 24:02d} {hour % 24:02d}:00,{hour % 24}\n" for hour in range(700))


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_signal_after_the_work_changes_nothing(number: str) -> None:
    done = subprocess.run([sys.executable, "-c", LATE.format(number=number)], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


@pytest.mark.parametrize(
    ("number", "status", "code"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_unwinds_the_work_and_has_its_own_status(
    tmp_path: Path, number: signal.Signals, status: int, code: str
) -> None:
    process = start(WAITING.format(arguments=["forecast", "--json"]), tmp_path)
    assert process.stderr is not None
    assert process.stderr.readline() == "waiting\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert json.loads(out)["error"]["code"] == code
    assert err == "cleaned up\n"


def test_what_compiled_code_prints_on_stderr_is_not_shown_and_our_own_words_are(tmp_path: Path) -> None:
    program = """
import os, sys
import tsx.api
from tsx.errors import DataError
def panic(*given, **named):
    os.write(2, b"thread panicked at src/secret.rs")
    sys.stderr.write("a word of ours\\n")
    raise DataError("some-code", "3 rows are wrong")
tsx.api.forecast = panic
from tsx.cli.main import main
status = main(["forecast"])
os.write(2, b"after")
sys.exit(status)
"""
    process = start(program, tmp_path)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 5
    assert err.splitlines() == ["a word of ours", "error: 3 rows are wrong", "  code: some-code", "after"]


def test_a_reader_that_leaves_early_is_no_failure(tmp_path: Path) -> None:
    program = """
import sys
import polars as pl
import tsx.api, tsx.workflows.forecast
from tsx.spec.schema import Schema
frame = pl.DataFrame({"unique_id": [0] * 200_000, "ds": range(200_000), "step": [1] * 200_000})
tsx.api.forecast = lambda *given, **named: tsx.workflows.forecast.Forecast(frame, Schema("ds", "y"), (), frame["ds"])
from tsx.cli.main import main
sys.exit(main(["forecast"]))
"""
    process = start(program, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "unique_id,ds,step\n"
    process.stdout.close()
    process.wait(timeout=60)
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.returncode == 0
    process.stderr.close()


@pytest.mark.parametrize(("redirection", "why"), [(">&-", "it is closed"), ("> /dev/full", "No space left on device")])
def test_a_result_that_stdout_does_not_take_is_an_error(tmp_path: Path, redirection: str, why: str) -> None:
    (tmp_path / "table.csv").write_text(MANY)
    for flags in ("", "--json"):
        done = subprocess.run(
            ["sh", "-c", f'exec "{sys.executable}" -m tsx inspect table.csv {flags} {redirection}'],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
        assert done.returncode == 74
        assert flags or f"stdout cannot be written: {why}" in done.stderr


def test_the_program_reads_a_table_from_stdin_and_writes_nothing_but_json_to_stdout(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tsx", "inspect", "-", "--json", "--verbose"],
        input=MANY,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["steps"] == 700
    assert "reading" in done.stderr


def test_a_pipe_is_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(MANY.replace("y\n", "größe\n", 1), encoding="utf-8")
    process = start(
        "import sys; from tsx.cli.main import main; sys.exit(main(['inspect', 'table.csv']))",
        tmp_path,
        PYTHONIOENCODING="ascii",
        PYTHONUTF8="0",
    )
    process.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert "größe" in out


def test_without_arguments_it_shows_its_help(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "tsx"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Forecast time series")


def test_the_reference_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tsx.cli.reference", "--check", "docs/reference/cli.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
