"""Whether everything that `tsx` needs is here: its packages, and what the machine offers.

Loads nothing that could be what is broken before it looks.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tsx.errors import MissingDependency

if TYPE_CHECKING:
    from pathlib import Path

MODULES = {"vl-convert-python": "vl_convert", "scikit-learn": "sklearn"}
"""Packages whose module has another name."""


class Package(NamedTuple):
    """One requirement: what is installed, and what is wrong with it (nothing: an empty text)."""

    name: str
    needed: str
    version: str | None
    trouble: str


@dataclass(frozen=True)
class Checkup:
    """What was found: facts of the machine by their names, and every package that `tsx` needs.

    Examples:
        >>> checkup = tsx.doctor()
        >>> checkup.broken
        ()
    """

    machine: dict[str, Any]
    packages: tuple[Package, ...]

    def __repr__(self) -> str:
        return f"Checkup(packages={len(self.packages)}, broken={[package.name for package in self.broken]})"

    @property
    def broken(self) -> tuple[Package, ...]:
        """The packages that are missing, too old, or do not load."""
        return tuple(package for package in self.packages if package.trouble)

    def check(self) -> None:
        """Raises MissingDependency `package-missing` where a package is broken.

        >>> checkup.check()
        """
        if self.broken:
            raise MissingDependency(
                "package-missing",
                "; ".join(f"{package.name} {package.trouble}" for package in self.broken),
                hint="install them: pip install " + " ".join(f'"{package.needed}"' for package in self.broken),
                where=sys.prefix,
            )

    def to_dict(self) -> dict[str, Any]:
        """The machine's facts, and the version of each package; None where it is not installed.

        >>> checkup.to_dict()["packages"]["torch"]
        """
        return {**self.machine, "packages": {package.name: package.version for package in self.packages}}


def checkup() -> Checkup:
    """Look at the machine and at every package."""
    return Checkup(_machine(), tuple(_packages()))


def _packages() -> list[Package]:
    """The distribution's own requirements, each with what is installed and whether it loads."""
    import importlib.metadata

    try:
        wanted = importlib.metadata.requires("tsx-forecast") or []
    except importlib.metadata.PackageNotFoundError:
        wanted = []
    return [_package(text) for text in sorted(wanted) if "extra" not in text]


def _package(text: str) -> Package:
    import importlib.metadata
    import re

    requirement = text.split(";")[0].strip()
    name, lowest = re.match(r"([A-Za-z0-9._-]+)(?:\s*>=\s*([\d.]+))?", requirement).groups()  # type: ignore[union-attr]
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Package(name, requirement, None, "is not installed")
    if lowest and _numbers(version) < _numbers(lowest):
        return Package(name, requirement, version, f"is too old ({version})")
    try:
        importlib.import_module(MODULES.get(name, name.replace("-", "_")))
    except Exception as error:
        return Package(name, requirement, version, f"does not load ({type(error).__name__})")
    return Package(name, requirement, version, "")


def _numbers(version: str) -> tuple[int, ...]:
    import re

    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[:3])


def _machine() -> dict[str, Any]:
    import locale
    import platform
    import shutil
    from pathlib import Path

    columns, lines = shutil.get_terminal_size()
    return {
        "tsx": _version("tsx-forecast"),
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        **_torch(),
        "temporary_folder": _temporary(),
        "working_folder": _writable(Path.cwd()),
        "terminal": f"{columns} x {lines}" if sys.stdout.isatty() else "none",
        "encoding": f"{sys.stdout.encoding} ({locale.setlocale(locale.LC_CTYPE)})",
    }


def _version(distribution: str) -> str:
    import importlib.metadata

    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed as a package"


def _torch() -> dict[str, Any]:
    """Device and threads, where torch loads."""
    try:
        import torch

        from tsx.runtime.devices import choose_device

        choice = choose_device("auto")
        return {"device": f"{choice.value} ({choice.reason})", "threads": torch.get_num_threads()}
    except Exception as error:
        return {"device": f"unknown: torch does not load ({type(error).__name__})", "threads": None}


def _temporary() -> str:
    import tempfile
    from pathlib import Path

    try:
        return _writable(Path(tempfile.gettempdir()))
    except OSError:
        return "none that may be written"


def _writable(folder: Path) -> str:
    import shutil

    free = shutil.disk_usage(folder).free / 2**30
    return f"{folder} ({'' if os.access(folder, os.W_OK) else 'NOT '}writable, {free:.1f} GiB free)"
