"""Plain values (of YAML, of the command line) as the types that a dataclass asks for, or an error in a user's words."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from anyview.errors import OptionError


def build(cls: Any, values: Any, where: str, path: str) -> Any:
    """A dataclass from a mapping; `path` is the dotted name of the group that it is, `where` the file for errors.

    Raises:
        OptionError: an unknown key, a missing group or option, a value that does not fit.
    """
    if not isinstance(values, Mapping):
        what = f"`{path}` is no group of options" if path else "no options"
        names = ", ".join(field.name for field in fields(cls))
        raise OptionError(what, where=where, expected=f"keys and values: {names}", actual=_shown(values))
    check_names(cls, values, where, path)
    hints = get_type_hints(cls)
    arguments = {}
    for field in fields(cls):
        key = f"{path}.{field.name}" if path else field.name
        if field.name in values:
            arguments[field.name] = convert(hints[field.name], values[field.name], where, key)
        elif is_dataclass(hints[field.name]) or (field.default is MISSING and field.default_factory is MISSING):
            kind = "the group" if is_dataclass(hints[field.name]) else "the option"
            raise OptionError(f"{kind} `{key}` is missing", where=where, expected=in_words(hints[field.name]))
    return cls(**arguments)


def check_names(cls: Any, names: Iterable[object], where: str, path: str) -> None:
    """Raise an OptionError for the first name that is no field."""
    start = f"{path}." if path else ""
    known = [field.name for field in fields(cls)]
    for name in names:
        if name not in known:
            near = get_close_matches(str(name), known, 1)
            raise OptionError(
                "no such option", where=where, expected="one of " + ", ".join(start + one for one in known),
                actual=f"{start}{name}", hint=f"did you mean `{start}{near[0]}`?" if near else None,
            )  # fmt: skip


def convert(kind: Any, value: Any, where: str, key: str) -> Any:
    """A plain value as the type asks for it: whole numbers where numbers are asked for, lists for tuples, "1e-3" too.

    Raises:
        OptionError: it is of another type.
    """
    wrong = OptionError(f"wrong value of `{key}`", where=where, expected=in_words(kind), actual=_shown(value))
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return build(kind, value, where, key)
    if origin is Literal:
        for choice in arguments:
            if type(choice) is type(value) and choice == value:
                return value
    elif origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        groups = [choice for choice in arguments if is_dataclass(choice)]
        if groups and isinstance(value, Mapping):
            return build(groups[0], value, where, key)
        for choice in arguments:
            try:
                return convert(choice, value, where, key)
            except OptionError:
                continue
    elif origin is tuple and isinstance(value, list | tuple):
        kinds = arguments[:1] * len(value) if arguments[-1:] == (...,) else arguments
        if len(kinds) == len(value):
            pairs = enumerate(zip(kinds, value, strict=True))
            return tuple(convert(one, item, where, f"{key}[{i}]") for i, (one, item) in pairs)
    elif kind is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-3 as a string
        except (ValueError, OverflowError):
            raise wrong from None
    elif type(value) is kind or (kind is type(None) and value is None):
        return value
    raise wrong


def in_words(kind: Any) -> str:
    """A type in a user's words."""
    arguments = get_args(kind)
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(in_words(choice) for choice in arguments)
    if get_origin(kind) is tuple:
        return "[" + ", ".join("..." if one is ... else in_words(one) for one in arguments) + "]"
    if is_dataclass(kind):
        return "keys and values: " + ", ".join(field.name for field in fields(kind))
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}
    return words.get(kind, str(kind))


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)
