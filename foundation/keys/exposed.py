"""A socket that would stand open: beside the failures of `foundation.keys.errors`."""

from __future__ import annotations

from foundation.errors import Kind
from foundation.keys.errors import KeyStoreError


class SocketExposed(KeyStoreError):
    """``directory``: where others than its owner could reach what listens there."""

    ckr = "CKR_ARGUMENTS_BAD"
    code = "foundation.token_socket_exposed"
    kind = Kind.FORBIDDEN
