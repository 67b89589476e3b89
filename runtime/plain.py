"""JSON types to dataclasses, each value held against its field's annotation."""

from __future__ import annotations

import json
import math
import types
import typing
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Literal, NoReturn, TypeVar

from runtime.errors import SpecError

T = TypeVar("T")


def read_json(text: str | bytes, what: str) -> object:
    """Read a JSON document as its standard has it: no NaN, no key twice.

    Raises:
        SpecError: where it is none.
    """
    try:
        text = text.decode() if isinstance(text, bytes) else text
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    except SpecError:
        raise
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{what} is not JSON: {error}. Convert the model again.") from None


def from_plain(cls: type[T], data: object, where: str) -> T:
    """Make a frozen dataclass from JSON types, checking every field against its annotation.

    Args:
        cls: the dataclass.
        data: what `json.loads` or `tomllib.loads` gave.
        where: how to call `data` in an error.

    Raises:
        SpecError: where a field is missing or has another type.
    """
    if not isinstance(data, dict):
        raise _wrong(where, data, "an object")
    hints = typing.get_type_hints(cls)
    members: tuple[Field[Any], ...] = fields(typing.cast("Any", cls))
    values = {
        item.name: _convert(hints[item.name], data[item.name], f"{where}.{item.name}")
        for item in members
        if item.name in data
    }
    needed = [item.name for item in members if item.name not in values and not _has_default(item)]
    if needed:
        raise SpecError(f"{where} lacks {', '.join(needed)}. Convert the model again.")
    return cls(**values)


def kind(value: object) -> str:
    """Tell a value in an error: itself where that is short and plain text, else its type."""
    if isinstance(value, (list, dict)):
        return f"{'a list' if isinstance(value, list) else 'an object'} with {len(value)} entries"
    if isinstance(value, str) and len(value) > 60:
        return f"a text of {len(value)} characters"
    text = repr(value) if not isinstance(value, int) or abs(value) < 1 << 64 else "a very large number"
    return text if len(text) <= 64 else f"a {type(value).__name__}"


def _has_default(item: Field[Any]) -> bool:
    return item.default is not MISSING or item.default_factory is not MISSING


def _convert(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint):
        return from_plain(typing.cast("type[Any]", hint), value, where)
    return _CONVERSIONS.get(typing.get_origin(hint), _single)(hint, value, where)


def _single(hint: Any, value: Any, where: str) -> Any:
    if hint is float and type(value) in (int, float):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise SpecError(f"{where} is too large a number.")
        return number
    if hint is str and type(value) is str:
        return _text(value, where)
    if type(value) is hint:
        return value
    raise _wrong(where, value, str(getattr(hint, "__name__", hint)))


def _union(hint: Any, value: Any, where: str) -> Any:
    options = typing.get_args(hint)
    if value is None and type(None) in options:
        return None
    # An exact type first: 3 stays an int where float and int are both allowed.
    exact = [option for option in options if type(value) is _class_of(option)]
    rest = [option for option in options if option not in exact and option is not type(None)]
    for option in (*exact, *rest):
        try:
            return _convert(option, value, where)
        except SpecError as error:
            last = error
    raise last


def _class_of(hint: Any) -> Any:
    return typing.get_origin(hint) or hint


def _literal(hint: Any, value: Any, where: str) -> Any:
    options = typing.get_args(hint)
    if not any(value == option and type(value) is type(option) for option in options):
        raise _wrong(where, value, f"one of {', '.join(map(str, options))}")
    return value


def _tuple(hint: Any, value: Any, where: str) -> Any:
    arguments = typing.get_args(hint)
    if not isinstance(value, list):
        raise _wrong(where, value, "a list")
    if arguments[-1] is not Ellipsis and len(arguments) != len(value):
        raise SpecError(f"{where} has {len(value)} entries; it must have {len(arguments)}.")
    return tuple(_convert(arguments[0], each, f"{where}[{i}]") for i, each in enumerate(value))


def _dict(hint: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(where, value, "an object")
    of = typing.get_args(hint)[1]
    return {_text(key, where): _convert(of, each, f"{where}[{kind(key)}]") for key, each in value.items()}


def _list(_hint: Any, value: Any, where: str) -> Any:
    if not isinstance(value, list):
        raise _wrong(where, value, "a list")
    return value


_CONVERSIONS: dict[Any, typing.Callable[[Any, Any, str], Any]] = {
    typing.Union: _union,
    types.UnionType: _union,
    Literal: _literal,
    tuple: _tuple,
    dict: _dict,
    list: _list,
}


def _text(value: str, where: str) -> str:
    # JSON can spell half of a surrogate pair, which no terminal, file or socket takes.
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise SpecError(f"{where} is {value[:20]!a}, which is not text.") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has a key twice")
    return members


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _wrong(where: str, value: object, expected: str) -> SpecError:
    return SpecError(f"{where} is {kind(value)}; it must be {expected}.")
