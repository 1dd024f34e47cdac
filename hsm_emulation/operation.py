"""What an operation of the daemon is: who may ask for it, and what its arguments must be.

A check gives the argument as the operation takes it, or raises DataInvalid (or what says better what is wrong).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from foundation.keys.errors import DataInvalid, KeyStoreError
from hsm_emulation.protocol import Frame
from hsm_emulation.sessions import Role

E = TypeVar("E", bound=Enum)
Check = Callable[[object], Any]
_OPAQUE_ID = re.compile(r"[!-~]{1,128}", re.ASCII).fullmatch


def text(longest: int) -> Check:
    """Printable text of 1 to ``longest`` characters."""

    def check(value: object) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= longest or not value.isprintable():
            raise DataInvalid
        return value

    return check


def opaque_id(value: object) -> str:
    """Ids of keys and persons: 1 to 128 printable ASCII characters without a space."""
    if not isinstance(value, str) or not _OPAQUE_ID(value):
        raise DataInvalid
    return value


def secret(value: object) -> str:
    """A PIN or code, whatever is in it: its check says whether it is right."""
    if not isinstance(value, str) or len(value) > 255:
        raise DataInvalid
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        raise DataInvalid from None
    return value


def octets(value: object) -> bytes:
    """Octets, however many."""
    if not isinstance(value, bytes):
        raise DataInvalid
    return value


def list_of_octets(value: object) -> list[bytes]:
    """A list of octet strings."""
    if not isinstance(value, list):
        raise DataInvalid
    return [octets(one) for one in value]


def list_of_labels(value: object) -> list[str]:
    """A list of labels."""
    if not isinstance(value, list):
        raise DataInvalid
    return [label(one) for one in value]


def flag(value: object) -> bool:
    """True or false, not 1 or 0."""
    if not isinstance(value, bool):
        raise DataInvalid
    return value


def number(value: object) -> int:
    """A whole number from 0 that fits the store."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 62:
        raise DataInvalid
    return value


def one_of(kind: type[E], otherwise: type[KeyStoreError]) -> Check:
    """A value of an enumeration; ``otherwise`` is raised for any other."""

    def check(value: object) -> E:
        try:
            return kind(value)
        except ValueError:
            raise otherwise from None

    return check


def or_none(check: Check) -> Check:
    """What ``check`` takes, or nothing."""
    return lambda value: None if value is None else check(value)


label = text(200)
USER, SO, BOTH = frozenset({Role.USER}), frozenset({Role.SO}), frozenset({Role.USER, Role.SO})
ALL = frozenset(Role)


@dataclass(frozen=True)
class Operation:
    """``fields``: argument name to its check. ``run`` gets them by name, and gives the answer or a Staged that will.
    ``subject``: what a refusal is about. ``hot``: ``run`` takes no longer than a look-up, and what waits for the disk
    or uses a private key is in the Staged that it gives; all others run where they keep nobody waiting. ``frame``: the
    operation can be asked for without JSON, too.
    """

    roles: frozenset[Role]
    fields: Mapping[str, Check]
    run: Callable[..., Any]
    subject: str | None = None
    hot: bool = False
    frame: Frame | None = None
