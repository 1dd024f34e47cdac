"""Which users of the machine may take which roles. The kernel says who is calling (SO_PEERCRED)."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from hsm_emulation.sessions import Role

_ROLES = tuple(Role)
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


@dataclass(frozen=True)
class Peers:
    """``allowed``: user ids for each role. The daemon's own user and root, who could read its files, may take all."""

    allowed: Mapping[Role, frozenset[int]] = field(default_factory=dict)

    def roles(self, uid: int) -> frozenset[Role]:
        """The roles of this user; none: not to be let in."""
        if uid in (os.geteuid(), 0):
            return frozenset(Role)
        return frozenset(role for role, uids in self.allowed.items() if uid in uids)

    @property
    def others(self) -> bool:
        """Whether anybody but the daemon's own user and root may come."""
        return any(self.allowed.values())


def peer(connection: socket.socket) -> int:
    """The user id of whoever connected."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(credentials)
    return int(uid)


def mask_of(roles: frozenset[Role]) -> int:
    """Roles as one number, for handing a connection over."""
    return sum(1 << _ROLES.index(role) for role in roles)


def roles_of(mask: int) -> frozenset[Role]:
    """The inverse."""
    return frozenset(role for at, role in enumerate(_ROLES) if mask & 1 << at)
