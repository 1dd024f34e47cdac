"""What the issuing CA needs from outside of its room."""

from __future__ import annotations

from typing import Protocol


class KeyControl(Protocol):
    """Switches a certified key off and on, next to the key. A `foundation.keys.port.KeyStore` is one."""

    def set_enabled(self, key_id: str, enabled: bool) -> None:
        """Raises a `foundation.keys.errors` class; KeyHandleInvalid where the key is gone for good."""
        ...
