"""Headless Chromium, which is no part of tsx: it prints pages to PDF."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from tsx.errors import MissingDependency

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
"""What the program is called on different systems."""
SECONDS = 180
"""After so long a printer that has not answered never will."""
TIMES = re.compile(rb"(?<=Date \(D:)\d{14}")
"""When a PDF says that it was made: as long as what takes their place, since the file counts its bytes."""
NEVER = b"19700101000000"


def find_browser() -> str:
    """The path of Chromium. Raises MissingDependency `dependency-missing`."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    raise MissingDependency(
        "dependency-missing",
        "a PDF is printed by Chromium, and there is none on this machine",
        hint="install it (Debian: apt-get install chromium), or take --report html and print the page from any browser",
        where="report",
    )


def printed(page: str) -> bytes:
    """The page as PDF, with the light theme and paper of its own style sheet; the same page gives the same bytes.

    Raises MissingDependency `dependency-missing` without a Chromium that can print.
    """
    import subprocess  # it and temporary folders take start-up time of every command
    from tempfile import TemporaryDirectory

    browser = find_browser()
    with TemporaryDirectory() as name:
        folder = Path(name)
        source, target = folder / "report.html", folder / "report.pdf"
        source.write_text(page, encoding="utf-8", errors="backslashreplace")
        command = [
            *(browser, "--headless", "--disable-gpu", "--no-first-run", f"--user-data-dir={folder / 'profile'}"),
            *(("--no-sandbox",) if getattr(os, "geteuid", lambda: 1)() == 0 else ()),  # Chromium asks it of root
            *("--virtual-time-budget=30000", "--no-pdf-header-footer", f"--print-to-pdf={target}", source.as_uri()),
        ]
        try:
            done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
            ended = f"exit status {done.returncode}"
        except subprocess.TimeoutExpired:
            ended = f"no answer in {SECONDS} s"
        if not target.is_file():
            raise MissingDependency(
                "dependency-missing",
                f"Chromium is on this machine and printed nothing ({ended})",
                hint="take --report html and print the page from any browser",
                where="report",
            )
        return TIMES.sub(NEVER, target.read_bytes())
