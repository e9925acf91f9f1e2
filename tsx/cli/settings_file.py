"""Writing into a settings file (`tsx.toml`) without touching what else somebody wrote there."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tsx.errors import ConfigError

HEADER = re.compile(r"^\s*\[")
KEY = re.compile(r"""^\s*["']?([A-Za-z0-9_-]+)["']?\s*=""")


def read_text(path: Path) -> str:
    """The file's text; empty where there is none. Errors: ConfigError `config-unreadable`."""
    try:
        text = path.read_bytes().decode("utf-8")
        tomllib.loads(text)
    except FileNotFoundError:
        return ""
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        why = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "it is not UTF-8 text"
        raise _unreadable(path, f"is not valid TOML: {why}", "mend that line, or name another file") from None
    except OSError as error:
        raise _unreadable(path, f"cannot be read: {error.strerror}", "name another file") from None
    return text


def merged(text: str, table: str, values: Mapping[str, str], gone: set[str], path: Path) -> str:
    """The file's text with `values` (key to TOML) in its table, and without the keys `gone` there.

    Everything else, comments too, stays as it is. Errors: ConfigError `config-unreadable` where the table is written
    in a way that cannot be edited line by line.
    """
    before = tomllib.loads(text)
    named = before.get(table, {})
    if not isinstance(named, dict):
        raise _unreadable(path, f"gives {table} a value, where a table is meant", "name another file")
    shared = {_canonical(key): value for key, value in before.items() if not isinstance(value, dict)}
    set_there = {_canonical(key) for key in named}
    values = {
        key: toml
        for key, toml in values.items()
        if key in set_there or key not in shared or tomllib.loads(f"x = {toml}")["x"] != shared[key]
    }
    rest = {key: value for key, value in named.items() if _canonical(key) not in gone | set(values)}
    expected = {
        **before,
        table: {**rest, **{key: tomllib.loads(f"x = {toml}")["x"] for key, toml in values.items()}},
    }
    added = [f"{key} = {toml}" for key, toml in values.items()]
    lines = text.splitlines()
    start = next((k for k, line in enumerate(lines) if re.match(rf"^\s*\[\s*{table}\s*\]", line)), None)
    if start is None:
        if not added:
            return text
        lines += [*([""] if lines and lines[-1].strip() else []), f"[{table}]", *added]
    else:
        end = next((k for k in range(start + 1, len(lines)) if HEADER.match(lines[k])), len(lines))
        body = [line for line in lines[start + 1 : end] if not _has_key(line, gone | set(values))]
        lines[start + 1 : end] = [*added, *body]
    result = "\n".join(lines) + "\n"
    if _loads(result) != expected:
        raise _unreadable(path, f"writes [{table}] in a way that tsx cannot edit", "name another file")
    return result


def _has_key(line: str, keys: set[str]) -> bool:
    match = KEY.match(line)
    return match is not None and _canonical(match[1]) in keys


def _canonical(key: str) -> str:
    return key.replace("-", "_")


def _loads(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _unreadable(path: Path, why: str, hint: str) -> ConfigError:
    return ConfigError("config-unreadable", f"{path} {why}", hint=hint, where=str(path))
