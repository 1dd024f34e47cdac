"""PDF objects by value: pyHanko's, made and looked at with types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pyhanko.pdf_utils import generic

_g: Any = generic  # pyHanko's constructors have no types

Dictionary: Any = generic.DictionaryObject
Array: Any = generic.ArrayObject


def name(value: str) -> Any:
    """A name, with its solidus."""
    return _g.pdf_name(value)


def number(value: float) -> Any:
    """An integer where it is one, else a real with two digits behind the point."""
    return _g.NumberObject(int(value)) if value == int(value) else _g.FloatObject(f"{value:.2f}")


def exact(value: float) -> Any:
    """A real with four digits behind the point."""
    return _g.FloatObject(f"{value:.4f}")


def text(value: str) -> Any:
    return _g.pdf_string(value)


def octets(value: bytes) -> Any:
    """A string of octets that is no text."""
    return _g.ByteStringObject(value)


def array(items: Iterable[Any] = ()) -> Any:
    return _g.ArrayObject(items)


def dictionary(entries: Mapping[str, Any] | None = None) -> Any:
    return _g.DictionaryObject({name(key): value for key, value in (entries or {}).items()})


def stream(data: bytes, entries: Mapping[str, Any] | None = None) -> Any:
    """A stream whose octets are ``data`` as they are, filters and all."""
    return _g.StreamObject(dictionary(entries), encoded_data=data)


def reference(holder: Any, number_of: int, generation: int = 0) -> Any:
    """A reference to an object of ``holder``, a reader or an update."""
    return _g.IndirectObject(number_of, generation, holder)


def entry(holder: Any, key: str, kind: Any = generic.PdfObject) -> Any | None:
    """What a dictionary holds, followed to its end; None where there is nothing, null, or something of another kind."""
    if key not in holder:
        return None
    value = holder[key]
    return value if isinstance(value, kind) and not isinstance(value, generic.NullObject) else None
