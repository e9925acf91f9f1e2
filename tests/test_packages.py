"""The lock names what the program needs, in the versions that the tests ran with, each with the hashes of its files."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text()


def plain(name: str) -> str:
    """A package's name as every index writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def versions(text: str) -> dict[str, str]:
    return {plain(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.M)}


def test_every_package_of_the_lock_has_hashes_and_the_version_of_the_tests() -> None:
    entries = re.split(r"^(?=\w)", LOCK, flags=re.M)[1:]
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)
    tested = versions((ROOT / "constraints.txt").read_text())
    assert {name: version for name, version in versions(LOCK).items() if tested.get(name, version) != version} == {}


def test_the_lock_has_all_that_the_program_depends_on() -> None:
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {plain(re.split(r"[\[<>=~! ]", one)[0]) for one in needed}
    assert names <= versions(LOCK).keys()
