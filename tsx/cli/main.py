"""The program `tsx`: its commands, its exit status, and the one place where a failure becomes words."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import cache
from types import FrameType
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException
from typer.main import get_command

from tsx.cli import (
    backtest,
    classify,
    demo,
    docs,
    doctor,
    explain,
    fit,
    forecast,
    inspect,
    make_future,
    models,
    monitor,
    partition,
    tune,
)
from tsx.cli.console import ClosedStream, Console, writing
from tsx.cli.defaults import origin
from tsx.cli.help import Commands, Group, Listed
from tsx.cli.parameters import CommandOf
from tsx.errors import ConfigError, Interrupted, MissingDependency, Terminated, TsxError, UsageError
from tsx.runtime.group import follows

LOOK = "Look at a table"
FIT_AND_FORECAST = "Forecast it"
UNDERSTAND = "Know why"
SCALE = "Many series, many machines"
KEEP = "Keep, try and check"

app = typer.Typer(
    cls=Group,
    name="tsx",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    epilog="Every flag can also be set in the environment (TSX_HORIZON=24) or in a file tsx.toml (horizon = 24, or "
    "in a table [fit] for one command). A flag beats a variable, a variable beats the file.\n\n"
    "Exit status: 0 done, 1 internal error, 2 usage, 3 package missing, 4 file or model not found, 5 data or setting "
    "invalid, 6 quality gate failed, 74 result not written, 75 another run is writing to the model, 130 interrupted, "
    "143 terminated.",
)

PANELS: dict[str, tuple[CommandOf, ...]] = {
    LOOK: (inspect.inspect,),
    FIT_AND_FORECAST: (
        fit.fit,
        forecast.forecast,
        classify.classify,
        make_future.make_future,
        backtest.backtest,
        tune.tune,
    ),
    UNDERSTAND: (explain.explain,),
    SCALE: (partition.partition, partition.merge),
    KEEP: (monitor.monitor, models.models, demo.demo, doctor.doctor, docs.docs),
}
"""The commands, in the groups and the order in which the help of the program lists them."""


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"tsx {version('tsx-forecast')}")
        raise typer.Exit


@app.callback()
def tsx(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Forecast time series with recurrent networks, and know why.

    Examples:
      tsx demo                             see it all on shipped data
      tsx inspect sales.parquet            what is in a table
      tsx fit sales.parquet                train; what you do not say is chosen
      tsx fit stays.parquet --label died   learn a class of each series
      tsx forecast --out forecast.csv      forecast every series, with intervals
      tsx explain --report html            which past values drive it, how far back
      tsx backtest sales.parquet           how it would have done

    `tsx COMMAND --help` shows the flags that people use, with `--help-all` all.
    """


@cache
def program() -> Any:
    """The program as the framework has it."""
    group: Any = get_command(app)
    group.commands = Commands(
        Listed(one.verb.command, panel, one.help, one.function)
        for panel, commands in PANELS.items()
        for one in commands
    )
    return group


class Stop(BaseException):
    """SIGTERM arrived. No `except Exception` on the way may swallow it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `tsx` with these arguments (default: the process's own) and give its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not follows():
        return _run(arguments)
    # Of processes that train together one speaks for all.
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        return _run(arguments)


def _run(arguments: list[str]) -> int:
    # Threads that wait in a spin slow a busy machine tenfold; this is read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Its libraries write warnings past this program, such as of an address that has no name; read at the same time.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    # Row groups read ahead of need cost memory and, on a local disk, gain nothing; this is read when polars is loaded.
    os.environ.setdefault("POLARS_ROW_GROUP_PREFETCH_SIZE", "1")
    # Processes of a group would warn that a machine has no name where no server gives it one.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    _replace_closed_streams()
    console = Console(json=_asks_for_json(arguments))
    error: TsxError | None = None
    stdout, stderr = sys.stdout, sys.stderr
    try:
        with _quiet_warnings(), _quiet_libraries(), _sigterm_raises():
            status = program()(arguments or ["--help"], prog_name="tsx", standalone_mode=False, obj=console)
            with writing():
                sys.stdout.flush()
            if status == Interrupted.exit_status:
                raise KeyboardInterrupt
            status = status if isinstance(status, int) else 0
            console.ended(status)
            return status
    except TsxError as failure:
        error = failure
    except Stop:
        error = Terminated("terminated", "terminated by SIGTERM; nothing half-written is left")
    except KeyboardInterrupt:
        error = Interrupted("interrupted", "interrupted; nothing half-written is left")
    except (BrokenPipeError, SystemExit):
        # The framework turns a closed pipe into SystemExit. Whoever read stdout has seen enough.
        sys.stdout, sys.stderr = stdout, stderr
        _discard_stdout()
        return 0
    except TyperException as failure:
        error = _usage_error(failure)
    except Exception as failure:
        if _is_set("TSX_DEBUG"):
            console.close()
            import traceback

            traceback.print_exc()
        error = _undeclared(failure)
    finally:
        console.close()
    if follows() and type(error) is TsxError and error.code != "process-lost" and sys.__stderr__ is not None:
        print(f"process {os.environ['RANK']}: {error.message}", file=sys.__stderr__)  # the first one has no such error
    try:
        console.fail(error)
        sys.stdout.flush()
    except OSError:
        _discard_stdout()
    console.ended(error.exit_status)
    return error.exit_status


def _replace_closed_streams() -> None:
    """Whoever started us may have closed a stream: results then have nowhere to go, and words are not heard."""
    for name, stream in (("stdout", ClosedStream), ("stderr", io.StringIO)):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_WRONLY)  # takes its descriptor, which the next file to be opened would get
            setattr(sys, name, stream())


def _asks_for_json(arguments: Sequence[str]) -> bool:
    """Whether a failure must be JSON, known before the arguments are understood."""
    flags = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in flags or _is_set("TSX_JSON")


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "").casefold() not in ("", "0", "false", "no", "off")


@contextmanager
def _quiet_warnings() -> Iterator[None]:
    """Warnings of the libraries below are for whoever develops `tsx`."""
    with warnings.catch_warnings():
        if not _is_set("TSX_DEBUG") and not sys.warnoptions:
            warnings.simplefilter("ignore")
        yield


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """What compiled code prints past Python, such as a panic with its backtrace, is for whoever develops `tsx`.

    Descriptor 2 leads nowhere meanwhile; `sys.stderr` writes to a copy of it.
    """
    own = sys.stderr
    try:
        descriptor = own.fileno()
    except (OSError, ValueError):  # not a file: nothing of ours to protect
        descriptor = -1
    if descriptor != 2 or _is_set("TSX_DEBUG"):
        yield
        return
    own.flush()
    copy = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    sys.stderr = open(copy, "w", encoding=own.encoding, errors=own.errors, buffering=1)  # noqa: SIM115 - closed below
    try:
        yield
    finally:
        with suppress(OSError):
            sys.stderr.flush()
        os.dup2(copy, 2)
        with suppress(OSError):
            sys.stderr.close()
        sys.stderr = own


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """SIGTERM unwinds the stack, so that temporary files go and the last good model stays."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends the process at once
        raise Stop

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _usage_error(failure: Any) -> TsxError:
    """A complaint of the command line framework as one of ours."""
    codes = {"NoSuchOption": "option-unknown", "MissingParameter": "argument-missing", "BadParameter": "value-invalid"}
    ctx, parameter = getattr(failure, "ctx", None), getattr(failure, "param", None)
    path = ctx.command_path if ctx is not None else "tsx"
    message = _own_words(failure.format_message())
    if parameter is not None and (source := origin(ctx, parameter.name)) is not None:
        return ConfigError(
            "config-value-invalid",
            f"{source}: {_own_words(failure.message)}",
            where=source,
            hint=f"see `{path} --help`",
        )
    code = codes.get(type(failure).__name__, "usage")
    if message.startswith("No such command"):
        code = "command-unknown"
    return UsageError(code, message, hint=f"see `{path} --help`", where=path)


def _own_words(text: str) -> str:
    """The framework's complaint without the words of the library that checks values for it."""
    text = text.replace("Value error, ", "")
    for kind, needed in (("integer", "a whole number"), ("number", "a number")):
        text = re.sub(rf"Input should be a valid {kind}\b.*", f"it must be {needed}.", text)
    return text


def _undeclared(failure: Exception) -> TsxError:
    if isinstance(failure, ModuleNotFoundError) and (failure.name or "tsx").split(".")[0] != "tsx":
        name = str(failure.name).split(".")[0]
        return MissingDependency(
            "package-missing",
            f"the Python package {name} is not installed",
            where=name,
            hint="run `tsx doctor`, and install tsx-forecast again with pip",
        )
    if isinstance(failure, MemoryError) or type(failure).__name__ == "OutOfMemoryError":
        return TsxError(
            "out-of-memory",
            "there is not enough memory for this",
            hint="give a smaller --batch-size or --context-length, or fewer series at a time",
        )
    if isinstance(failure, OSError):
        return TsxError(
            "system-error",
            f"the system says: {failure.strerror or type(failure).__name__}",
            hint="see whether the disk is full and the files are yours",
            where=str(failure.filename or ""),
        )
    return TsxError(
        "internal-error",
        f"an error inside tsx that should not happen ({type(failure).__name__})",
        hint="run it again with TSX_DEBUG=1 to see where, and report that",
    )


def _discard_stdout() -> None:
    """Nobody reads stdout any more: let the interpreter's last flush go nowhere instead of complaining."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
