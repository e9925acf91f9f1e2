"""Typed values from a JSON document: every field is checked against its annotation, and an error names the field."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from tsx.errors import ConfigError, TsxError

T = TypeVar("T")


class NotOfType(ValueError):
    """A value is not of its field's type: `str()` gives the field's path and what it holds."""


def from_json(kind: type[T], value: Any, path: str = "") -> T:
    """`value`, as `json.loads` gives it, as a `kind`: lists become tuples, objects dataclasses, all the way down.

    A field that is absent takes its default. `path` names the value in errors. Raises NotOfType; ConfigError
    `config-unknown-field` for a field that the dataclass does not have.
    """
    converted: T = _typed(kind, value, path)
    return converted


def _typed(kind: Any, value: Any, path: str) -> Any:
    if kind is Any:
        return value
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return value
    if kind in (str, int, bool, NoneType):
        if type(value) is kind:
            return value
    elif is_dataclass(kind):
        if isinstance(value, dict):
            return _record(kind, value, path)
    elif (converted := _composite(kind, value, path)) is not MISSING:
        return converted
    raise NotOfType(f"{path} cannot be {_shown(value)}")


def _composite(kind: Any, value: Any, path: str) -> Any:
    """A value of a generic type; MISSING where it is of another one."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return value if type(value) is str and value in arguments else MISSING
    if origin in (Union, UnionType):
        return _of_one(arguments, value, path)
    if origin is tuple and isinstance(value, list):
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(kinds) != len(value):
            return MISSING
        return tuple(_typed(each, one, f"{path}[{at}]") for at, (each, one) in enumerate(zip(kinds, value)))
    if origin in (dict, Mapping) and isinstance(value, dict):
        return {name: _typed(arguments[1], one, f"{path}.{name}") for name, one in value.items()}
    return MISSING


def _of_one(kinds: tuple[Any, ...], value: Any, path: str) -> Any:
    """A value of the first type that it is of. Where none can be, the last complaint is the most exact one."""
    if value is None:
        return None if NoneType in kinds else MISSING
    others = [kind for kind in kinds if kind is not NoneType]
    for kind in others[:-1]:
        try:
            return _typed(kind, value, path)
        except NotOfType:
            continue
    return _typed(others[-1], value, path)


def _record(kind: Any, value: dict[str, Any], path: str) -> Any:
    kinds = _kinds(kind)
    if unknown := sorted(set(value) - set(kinds)):
        raise ConfigError(
            "config-unknown-field",
            f"{path or kind.__name__} has no field {', '.join(unknown)}",
            hint="the model was written by a newer tsx; upgrade",
        )
    within = f"{path}." if path else ""
    given = {}
    for field in fields(kind):
        if field.name in value:
            given[field.name] = _typed(kinds[field.name], value[field.name], within + field.name)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise NotOfType(f"{within}{field.name} is missing")
    try:
        return kind(**given)
    except TsxError as error:  # what the dataclass itself asks of its values
        raise NotOfType(f"{within}{error.message}") from error


@cache
def _kinds(kind: Any) -> dict[str, Any]:
    """The annotation of every field."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _shown(value: Any) -> str:
    """A value in a message: texts, lists and objects by their kind, since they may be long or somebody's own."""
    kinds: dict[type, str] = {str: "this text", list: "a list", dict: "an object"}
    return kinds.get(type(value)) or json.dumps(value)
