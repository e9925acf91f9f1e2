"""Where a flag's value comes from when it is not on the command line: `TSX_*`, then `tsx.toml`, then the default.

Both become the command's default map, so that they pass the same checks as a flag.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import typer

from tsx.errors import ConfigError, NotFound
from tsx.spec.verbs import CONFIG_FILE

STORAGE = "storage"
"""The table of the settings file whose keys are options of object stores, not ours; none of them is shown."""
ORIGINS = "tsx.cli.defaults.origins"
"""Key in the context's `meta`: for every value of the default map, the variable or file that it came from."""


def apply_defaults(ctx: typer.Context, value: str | None) -> str | None:
    """The callback of `--config`: read settings file and environment before any other flag is looked at.

    Errors: NotFound `config-not-found`; ConfigError `config-unreadable`, `config-unknown-key`,
    `config-unknown-variable`.
    """
    if ctx.resilient_parsing or ctx.parent is None:
        return value
    given = value or os.environ.get("TSX_CONFIG")
    path = Path(given or CONFIG_FILE)
    content = _load(path) if given or path.is_file() else {}
    if isinstance(storage := content.pop(STORAGE, None), dict):
        from tsx.io.remote import open_stores_with

        open_stores_with(storage)
    commands = {name: _parameters(command) for name, command in _commands(ctx).items()}
    _check(content, commands, path)
    _check_variables(commands)
    own = _parameters(ctx.command)
    shared = {key: value for key, value in content.items() if not isinstance(value, dict)}
    values: dict[str, tuple[Any, str]] = {}
    for table in (shared, content.get(str(ctx.info_name), {})):
        for key, setting in table.items():
            if (parameter := own.get(_canonical(key))) is not None:
                values[str(parameter.name)] = (_shaped(parameter, setting), f"{path}, {key}")
    for key, parameter in own.items():
        variable = f"TSX_{key.upper()}"
        if text := os.environ.get(variable):
            values[str(parameter.name)] = (_shaped(parameter, text), variable)
    ctx.default_map = {name: setting for name, (setting, _) in values.items()}
    ctx.meta[ORIGINS] = {name: origin for name, (_, origin) in values.items()}
    if ctx.obj is not None and str(ctx.default_map.get("json", "")).casefold() in ("true", "1", "yes", "on"):
        ctx.obj.json = True
    return str(path) if content else value


def origin(ctx: Any, name: str) -> str | None:
    """The variable or file that a parameter's value came from, or None for the command line and plain defaults."""
    source = ctx.get_parameter_source(name) if ctx is not None else None
    if source is None or source.name != "DEFAULT_MAP":
        return None
    named: str | None = ctx.meta.get(ORIGINS, {}).get(name)
    return named


def _load(path: Path) -> dict[str, Any]:
    import tomllib

    where = str(path)
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise NotFound("config-not-found", f"there is no file {path}", hint="check --config", where=where) from None
    except OSError as error:
        raise ConfigError("config-unreadable", f"{path} cannot be read: {error.strerror}", where=where) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        why = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "it is not UTF-8 text"
        raise ConfigError(
            "config-unreadable", f"{path} is not valid TOML: {why}", hint="mend that line", where=where
        ) from None


def _check(content: Mapping[str, Any], commands: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Every key must mean something: a misspelt one would be ignored every night without a word."""
    everywhere = {key for keys in commands.values() for key in keys}
    for key, value in content.items():
        if isinstance(value, dict):
            if key not in commands:
                raise _unknown(f"table [{key}]", key, commands, path)
            for inner in value:
                if _canonical(inner) not in commands[key]:
                    raise _unknown(f"key `{inner}` in [{key}]", inner, commands[key], path)
        elif _canonical(key) not in everywhere:
            raise _unknown(f"key `{key}`", key, everywhere, path)


def _check_variables(commands: Mapping[str, Mapping[str, Any]]) -> None:
    """A variable that is nearly one of ours is a misspelt one; others may be another program's."""
    from difflib import get_close_matches

    known = {f"TSX_{key.upper()}" for keys in commands.values() for key in keys} | {"TSX_CONFIG", "TSX_DEBUG"}
    for variable in sorted(name for name in os.environ if name.startswith("TSX_") and name not in known):
        if near := get_close_matches(variable, known, n=1, cutoff=0.85):
            raise ConfigError(
                "config-unknown-variable",
                f"the environment has the unknown variable {variable}",
                where=variable,
                hint=f"did you mean {near[0]}?",
            )


def _unknown(what: str, key: str, known: Iterable[str], path: Path) -> ConfigError:
    from difflib import get_close_matches

    near = get_close_matches(_canonical(key), list(known), n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(sorted(known))}"
    return ConfigError("config-unknown-key", f"{path} has the unknown {what}", hint=hint, where=str(path))


def _commands(ctx: typer.Context) -> dict[str, Any]:
    commands: dict[str, Any] = getattr(ctx.parent.command, "commands", {}) if ctx.parent is not None else {}
    return commands


def _parameters(command: Any) -> dict[str, Any]:
    """The command's parameters by their key: the long flag's name with underscores."""
    keys = {_key(parameter): parameter for parameter in command.params}
    for name in ("config", "help_all"):  # of the command line alone
        keys.pop(name, None)
    return keys


def _key(parameter: Any) -> str:
    flags = [flag for flag in parameter.opts if flag.startswith("--")]
    return _canonical(flags[0].removeprefix("--") if flags else parameter.name)


def _canonical(key: str) -> str:
    return key.replace("-", "_")


def _shaped(parameter: Any, value: Any) -> Any:
    """A single value becomes a list where the flag may be repeated; the flag's own parser does the rest."""
    if not getattr(parameter, "multiple", False) and parameter.nargs != -1:
        return value
    items = value if isinstance(value, list) else [value]
    return [str(item) if isinstance(item, int | float) and not isinstance(item, bool) else item for item in items]
