"""Options (frozen, nested dataclasses) as YAML that explains itself, and back, with every mistake named.

The string below a field is its explanation: it becomes the comment above the field's line. Only YAML's plain values are
read (`safe_load`); types are those that the dataclass says.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from itertools import pairwise
from textwrap import dedent, indent, wrap
from typing import Any, TypeVar, get_type_hints

import yaml

from anyview.errors import FormatError, OptionError
from anyview.training.values import build, check_names, convert, in_words

T = TypeVar("T")
_WIDTH = 120


def to_yaml(options: Any) -> str:
    """The options as YAML, each with its explanation as a comment above it.

    Args:
        options: a dataclass of bools, numbers, strings, None, tuples of these, and further dataclasses.
    """
    notes = _explanations(type(options))
    text = ""
    for field in fields(options):
        value = getattr(options, field.name)
        note = notes.get(field.name) or (inspect.getdoc(value) if is_dataclass(value) else "") or ""
        text += "".join(f"# {line}\n" for line in wrap(" ".join(note.split()), _WIDTH - 2))
        if is_dataclass(value):
            text += f"{field.name}:\n{indent(to_yaml(value) or '{}' + chr(10), '  ')}"
        else:
            text += f"{field.name}: {_inline(value)}\n"
    return text


def from_yaml(cls: type[T], text: str, where: str) -> T:
    """Options from YAML. A value that is left out keeps its default; a group that is left out is an error.

    Args:
        cls: the dataclass.
        text: what `to_yaml` gives, perhaps edited.
        where: named in errors: the file.

    Raises:
        FormatError: not YAML.
        OptionError: an unknown key, a missing group, a value of another type or out of range.
    """
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise FormatError("not YAML", where=where, actual=" ".join(str(error).split())) from error
    return build(cls, values, where, "")


def with_values(options: T, settings: Sequence[str]) -> T:
    """Options with some values changed, all at once, so that they are checked together.

    Args:
        options: a dataclass.
        settings: such as "grid.levels=8"; values as YAML has them, and strings need no quotes.

    Raises:
        OptionError: an unknown key, no value, or one that does not fit.
    """
    values = _plain(options)
    for setting in settings:
        key, equals, text = setting.partition("=")
        where, path = f"--set {setting}", key.strip().split(".")
        if not equals:
            raise OptionError("a setting without a value", where=where, expected="--set KEY=VALUE")
        kind: Any = type(options)
        parent: Any = None
        place: Any = values
        for depth, part in enumerate(path):
            group = ".".join(path[:depth])
            if not is_dataclass(kind):
                raise OptionError(f"`{group}` is no group of options", where=where, expected=in_words(kind))
            check_names(kind, [part], where, group)
            kind, parent, place = get_type_hints(kind)[part], place, place[part]
        if is_dataclass(kind):
            names = ", ".join(f"{key}.{field.name}" for field in fields(kind))
            raise OptionError(f"`{key}` is a group of options", where=where, expected=f"one of {names}")
        parent[path[-1]] = _setting(kind, text, where, key)
    return build(type(options), values, "--set", "")


def _setting(kind: Any, text: str, where: str, key: str) -> Any:
    """A value from the command line: as YAML reads it, else the bare words."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    try:
        return convert(kind, value, where, key)
    except OptionError:
        if isinstance(value, str) or not text.strip():
            raise
        try:
            return convert(kind, text, where, key)
        except OptionError:
            pass
        raise


def _plain(options: Any) -> dict[str, Any]:
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    return {name: _plain(value) if is_dataclass(value) else value for name, value in values.items()}


def _inline(value: Any) -> str:
    """One value on one line, as YAML has it."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=float("inf"))
    return text.removesuffix("...\n").strip()


def _explanations(cls: type) -> dict[str, str]:
    """The strings below a dataclass's fields, and below those of the classes that it is made of."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        try:
            tree = ast.parse(dedent(inspect.getsource(base)))
        except (OSError, TypeError):  # made at run time, or built in
            continue
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for field, note in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                words = note.value.value if isinstance(note, ast.Expr) and isinstance(note.value, ast.Constant) else ""
                found[field.target.id] = words if isinstance(words, str) else ""
    return found
